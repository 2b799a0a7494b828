//! Journals to be damaged, and what is in them.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use rate_limited_store::{
    Back, Charged, Dispatch, End, Ended, Failure, Found, Journal, Meter, Options, Past, Record,
    State, Unfinished, Walk, Wall,
};

use crate::soak::memory;
use crate::support::{end, failed, key};

/// Calls that are over.
const CALLS: u64 = 160;

/// Calls that are in flight or wait, behind them.
const OPEN: u64 = 12;

/// The files of a journal.
#[derive(Clone, Debug)]
pub(crate) struct Files {
    pub(crate) main: Option<Vec<u8>>,
    pub(crate) log: Option<Vec<u8>>,
    pub(crate) count: Option<Vec<u8>>,
}

impl Files {
    pub(crate) fn of(path: &Path) -> Files {
        let read = |suffix: &str| std::fs::read(beside(path, suffix)).ok();
        Files {
            main: read(""),
            log: read("-wal"),
            count: read("-count"),
        }
    }

    pub(crate) fn put(&self, path: &Path) {
        for (suffix, bytes) in [
            ("", &self.main),
            ("-wal", &self.log),
            ("-count", &self.count),
        ] {
            if let Some(bytes) = bytes {
                std::fs::write(beside(path, suffix), bytes).expect("room");
            }
        }
    }
}

pub(crate) fn beside(path: &Path, suffix: &str) -> std::path::PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// A journal, and the truth of it.
pub(crate) struct Sample {
    pub(crate) name: &'static str,
    pub(crate) files: Files,
    /// The file itself when the journal was half as long, where it had another log then.
    pub(crate) earlier: Vec<u8>,
    pub(crate) truth: Truth,
}

/// All that a good journal says.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Truth {
    /// By their numbers, from 1.
    pub(crate) results: Vec<Ended>,
    /// The number of the last result of each call that is over.
    pub(crate) last: BTreeMap<u64, u64>,
    pub(crate) unfinished: BTreeMap<u64, Unfinished>,
    pub(crate) meters: Vec<Meter>,
    pub(crate) job: BTreeMap<String, String>,
    pub(crate) failures: BTreeMap<u64, Vec<Failure>>,
    pub(crate) calls: u64,
}

pub(crate) fn options() -> Options {
    let hour = Some(Duration::from_secs(3_600));
    Options {
        resources: vec![("requests".to_owned(), hour), ("money".to_owned(), None)],
        job: vec![("input".to_owned(), "calls.jsonl".to_owned())],
        ..Options::default()
    }
}

pub(crate) fn open(path: &Path) -> Journal {
    Journal::open(path, &options())
        .expect("a good journal")
        .journal
}

impl Sample {
    pub(crate) fn all() -> Vec<Sample> {
        let closed = |path: &Path| {
            drop(write(open(path), 0..CALLS / 2, "mine"));
            std::fs::copy(path, beside(path, ".earlier")).expect("room");
            drop(write(open(path), CALLS / 2..CALLS, "mine"));
            Files::of(path)
        };
        let living = |path: &Path| {
            drop(write(open(path), 0..CALLS / 2, "mine"));
            let journal = write(open(path), CALLS / 2..CALLS, "mine");
            let files = Files::of(path);
            drop(journal);
            files
        };
        let young = |path: &Path| {
            let journal = write(open(path), 0..CALLS, "mine");
            let files = Files::of(path);
            drop(journal);
            files
        };
        // A reader keeps a part of the log from being moved into the tables.
        let half_moved = |path: &Path| {
            let journal = write(open(path), 0..CALLS / 2, "mine");
            let reader = rusqlite::Connection::open(path).expect("there");
            let query = "BEGIN; SELECT count(*) FROM calls";
            reader.execute_batch(query).expect("readable");
            let journal = write(journal, CALLS / 2..CALLS * 3 / 4, "mine");
            checkpoint(path);
            let journal = write(journal, CALLS * 3 / 4..CALLS, "mine");
            let files = Files::of(path);
            drop(reader);
            drop(journal);
            files
        };
        let moved = |path: &Path| {
            let journal = write(open(path), 0..CALLS, "mine");
            checkpoint(path);
            let files = Files::of(path);
            drop(journal);
            files
        };
        vec![
            Sample::of("closed", closed),
            Sample::of("living", living),
            Sample::of("young", young),
            Sample::of("half-moved", half_moved),
            Sample::of("moved", moved),
        ]
    }

    /// The journal of another run of the same calls.
    pub(crate) fn stranger() -> Sample {
        Sample::of("strange", |path| {
            drop(write(open(path), 0..CALLS / 2, "theirs"));
            let journal = write(open(path), CALLS / 2..CALLS, "theirs");
            let files = Files::of(path);
            drop(journal);
            files
        })
    }

    fn of(name: &'static str, make: impl Fn(&Path) -> Files) -> Sample {
        let folder = memory();
        let path = folder.path().join("run.journal");
        let files = make(&path);
        let earlier = std::fs::read(beside(&path, ".earlier")).unwrap_or_default();
        let copy = memory();
        let path = copy.path().join("run.journal");
        files.put(&path);
        let truth = Truth::of(&path);
        let whose = if name == "strange" { "theirs" } else { "mine" };
        truth.check(whose);
        Sample {
            name,
            files,
            earlier,
            truth,
        }
    }
}

fn checkpoint(path: &Path) {
    let db = rusqlite::Connection::open(path).expect("there");
    db.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))
        .expect("readable");
}

/// What the answer of a call is: short, long, or none that could be kept.
fn answer(call: u64, whose: &str) -> Option<Vec<u8>> {
    match call % 60 {
        7 => Some(format!("{whose} {call} ").repeat(900).into_bytes()),
        9 => None,
        _ => Some(format!("{whose} answer {call}").into_bytes()),
    }
}

fn charge(resource: u32, micros: i64) -> Charged {
    Charged {
        resource,
        at: Wall::now(),
        micros,
    }
}

/// Records calls in many commits; at the end of all of them some stay open.
fn write(journal: Journal, calls: std::ops::Range<u64>, whose: &str) -> Journal {
    let push = |record| journal.push(record).expect("open");
    let mut last = 0;
    for call in calls.clone() {
        push(dispatch(call, 1));
        if call % 10 == 3 {
            push(Record::Back(back(call, 1)));
            push(dispatch(call, 2));
        }
        push(Record::Charge(charge(0, 1_000_000)));
        push(Record::Charge(charge(1, 250)));
        let body = answer(call, whose);
        last = if call % 25 == 5 {
            push(Record::End(End {
                body: None,
                ..failed(call)
            }))
        } else {
            push(Record::End(End { body, ..end(call) }))
        };
        if call % 16 == 0 {
            journal.wait(last).expect("room");
        }
    }
    // Some that failed are run again: the old results stay.
    for call in calls.clone().filter(|call| call % 50 == 5) {
        push(dispatch(call, 1));
        let body = answer(call, whose);
        last = push(Record::End(End { body, ..end(call) }));
    }
    if calls.end == CALLS {
        for call in CALLS..CALLS + OPEN {
            last = push(dispatch(call, 1));
            if call % 3 == 0 {
                last = push(Record::Back(back(call, 1)));
            }
        }
        push(Record::Learnt {
            resource: 1,
            learnt: b"calls use a tenth".to_vec(),
        });
        last = last.max(push(Record::Pause {
            resource: 0,
            until: Wall(Wall::now().0 + 1_000_000_000_000),
        }));
    }
    journal.wait(last).expect("room");
    journal
}

fn dispatch(call: u64, attempt: u32) -> Record {
    Record::Dispatch(Dispatch {
        position: call,
        key: key(call),
        request: key(call),
        attempt,
        crashes: 0,
        reserved: vec![charge(0, 2_000_000)],
    })
}

fn back(call: u64, attempts: u32) -> Back {
    Back {
        position: call,
        key: key(call),
        request: key(call),
        attempts,
        crashes: 0,
        unknown: false,
        failure: Some(Failure {
            at: Wall(7),
            kind: "Status".to_owned(),
            text: format!("503 for {call}"),
        }),
    }
}

impl Truth {
    /// Reads all of a good journal.
    fn of(path: &Path) -> Truth {
        let opened = Journal::open(path, &options()).expect("a good journal");
        let Past { lost, torn, .. } = opened.past;
        assert!(lost == 0 && !torn);
        let mut walk = Walk::new(&opened.journal).expect("readable");
        let (mut last, mut failures) = (BTreeMap::new(), BTreeMap::new());
        for call in 0..CALLS + OPEN {
            if let Found::Over(over) = walk.look(key(call), key(call)).expect("undamaged") {
                last.insert(call, over.number);
            }
            failures.insert(call, opened.journal.failures(call).expect("undamaged"));
        }
        let numbers = 1..=last.values().max().copied().expect("some");
        let read = |number| opened.journal.read(number).expect("undamaged");
        Truth {
            results: numbers.map(read).collect(),
            last,
            unfinished: opened.past.unfinished,
            meters: opened.past.meters,
            job: opened.past.job,
            failures,
            calls: CALLS + OPEN,
        }
    }

    /// Holds what was read to what was written.
    fn check(&self, whose: &str) {
        assert_eq!(self.last.len() as u64, CALLS);
        let again = (0..CALLS).filter(|call| call % 50 == 5).count();
        assert_eq!(self.results.len() as u64, CALLS + again as u64);
        for (call, number) in &self.last {
            let result = &self.results[*number as usize - 1];
            let is_failed = call % 25 == 5 && call % 50 != 5;
            let body = answer(*call, whose).filter(|_| !is_failed);
            assert_eq!((result.position, result.key), (*call, key(*call)));
            assert_eq!(result.state == State::Failed, is_failed);
            assert_eq!(result.body, body, "call {call}");
        }
        assert_eq!(self.unfinished.len() as u64, OPEN);
        let reserved = self.unfinished.values().filter(|call| call.unknown).count() as i64;
        let taken: i64 = self.meters[0]
            .charges
            .iter()
            .map(|charge| charge.micros)
            .sum();
        assert_eq!(taken, CALLS as i64 * 1_000_000 + reserved * 2_000_000);
        assert_eq!(self.meters[1].spent, CALLS as i64 * 250);
        assert!(self.meters[0].paused_until > Wall::now());
        assert_eq!(self.job["input"], "calls.jsonl");
    }
}

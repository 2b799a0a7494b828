//! The process that is put into trouble: this test binary, run again.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rate_limited_store::{
    Digest, Dispatch, Durability, End, Found, Journal, Options, Record, Walk,
};

/// Attempts in flight at once.
pub(crate) const IN_FLIGHT: usize = 8;

const PATH: &str = "RATE_LIMITED_TEST_JOURNAL";
const ROLE: &str = "RATE_LIMITED_TEST_ROLE";

/// How often something is done: more with `RATE_LIMITED_SOAK=N`.
pub(crate) fn times(short: usize, long: usize) -> usize {
    let soak = std::env::var("RATE_LIMITED_SOAK").ok();
    soak.map_or(short, |factor| {
        long * factor.parse::<usize>().expect("a number")
    })
}

pub(crate) fn key(position: u64) -> Digest {
    Digest::of(&[b"call", &position.to_le_bytes()])
}

pub(crate) fn body(position: u64) -> Vec<u8> {
    format!("answer {position} ")
        .repeat(1 + position as usize % 40)
        .into_bytes()
}

pub(crate) fn end(position: u64) -> End {
    let key = key(position);
    End::done(position, key, key, 1, Some(body(position)))
}

fn dispatch(position: u64) -> Record {
    Record::Dispatch(Dispatch {
        position,
        key: key(position),
        request: key(position),
        attempt: 1,
        crashes: 0,
        reserved: Vec::new(),
    })
}

/// A command that does `role` with the journal at `path`, perhaps under another program.
pub(crate) fn command(under: &[&str], path: &Path, role: &str) -> Command {
    let this = std::env::current_exe().expect("a test binary");
    let this = this.to_str().expect("plain");
    let words: Vec<&str> = under.iter().copied().chain([this]).collect();
    let mut command = Command::new(words[0]);
    command
        .args(&words[1..])
        .args([
            "--exact",
            "child::in_trouble",
            "--nocapture",
            "--test-threads=1",
        ])
        .env(PATH, path)
        .env(ROLE, role)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .stdin(Stdio::null());
    command
}

/// What a child has said.
#[derive(Debug, Default)]
pub(crate) struct Said {
    /// The positions of results that were told.
    pub(crate) told: Vec<u64>,
    pub(crate) errors: Vec<String>,
    /// Everything else.
    pub(crate) words: Vec<String>,
}

/// Starts a child and kills it after so long, or lets it end.
pub(crate) fn run(mut command: Command, patience: Option<Duration>) -> Said {
    let mut child = command.spawn().expect("a process");
    let said = hear(&mut child, patience);
    child.wait().expect("a child");
    said
}

fn hear(child: &mut Child, patience: Option<Duration>) -> Said {
    let out = BufReader::new(child.stdout.take().expect("piped"));
    let mut stderr = child.stderr.take().expect("piped");
    let noise = std::thread::spawn(move || {
        let mut text = String::new();
        let _ = stderr.read_to_string(&mut text);
        text
    });
    if let Some(patience) = patience {
        std::thread::sleep(patience);
        child.kill().expect("a child");
    }
    let mut said = Said::default();
    for line in out.split(b'\n').map_while(Result::ok) {
        let line = String::from_utf8_lossy(&line).into_owned();
        // The harness writes its own words before the first of ours.
        let line = line.rsplit("... ").next().unwrap_or_default();
        match line.split_once(' ') {
            Some(("told", position)) if line.ends_with('.') => {
                said.told
                    .push(position.trim_end_matches('.').parse().expect("a number"));
            }
            Some(("error", text)) => said.errors.push(text.to_owned()),
            _ => said.words.push(line.to_owned()),
        }
    }
    let noise = noise.join().expect("no panic");
    assert!(!noise.contains("panicked"), "{noise}");
    said
}

/// Not a test of its own: what the others run.
#[test]
fn in_trouble() {
    let Ok(role) = std::env::var(ROLE) else {
        return;
    };
    let path = std::env::var_os(PATH).expect("with the role");
    let path = Path::new(&path);
    match role.as_str() {
        "work" => work(path, Durability::Process, u64::MAX),
        "write" => work(path, Durability::Process, 200),
        "power" => work(path, Durability::Power, 200),
        "few" => work(path, Durability::Process, 12),
        "few, for good" => work(path, Durability::Power, 12),
        "large" => large(path),
        "own" => own(path),
        other => panic!("no role {other}"),
    }
}

fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    // Whoever listened may be gone.
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

/// Goes on with a journal: calls that are not over are made, a few at once, and told when they are safe.
fn work(path: &Path, durability: Durability, count: u64) {
    let options = Options {
        durability,
        max_concurrent: IN_FLIGHT as u32,
        ..Options::default()
    };
    let opened = match Journal::open(path, &options) {
        Ok(opened) => opened,
        Err(error) => return say(&format!("error {error}")),
    };
    say(&format!("unknown {}", opened.past.counts.unknown));
    let journal = &opened.journal;
    let mut walk = Walk::new(journal).expect("readable");
    for first in (0..count).step_by(IN_FLIGHT) {
        let mut in_flight = Vec::new();
        for call in first..(first + IN_FLIGHT as u64).min(count) {
            let found = walk.look(key(call), key(call)).expect("undamaged");
            match found {
                Found::Over(over) => {
                    let ended = journal.read(over.number).expect("undamaged");
                    assert_eq!(ended.body, Some(body(call)));
                }
                Found::New { position } | Found::Unfinished { position, .. } => {
                    in_flight.push((call, position));
                }
            }
        }
        for (call, position) in &in_flight {
            let record = match dispatch(*call) {
                Record::Dispatch(dispatch) => Record::Dispatch(Dispatch {
                    position: *position,
                    ..dispatch
                }),
                other => other,
            };
            let pushed = journal.push(record).and_then(|ticket| journal.wait(ticket));
            if pushed.is_err() || journal.error().is_some() {
                let error = journal.error().map(|error| error.to_string());
                return say(&format!("error {}", error.unwrap_or_default()));
            }
        }
        for (call, position) in in_flight {
            let record = Record::End(End {
                position,
                ..end(call)
            });
            let ticket = journal.push(record).expect("it is open");
            if journal.wait(ticket).is_ok() {
                say(&format!("told {call}."));
            }
        }
    }
    say("done");
}

/// Writes results until something keeps it from that.
fn large(path: &Path) {
    let opened = Journal::open(path, &Options::default()).expect("room");
    for first in (0..1_000_000).step_by(64) {
        let push = |call| opened.journal.push(Record::End(end(call))).expect("open");
        let tickets: Vec<_> = (first..first + 64).map(push).collect();
        for (call, ticket) in (first..).zip(tickets) {
            match opened.journal.wait(ticket) {
                Ok(()) => say(&format!("told {call}.")),
                Err(error) => return say(&format!("error {error}")),
            }
        }
        if let Some(error) = opened.journal.error() {
            return say(&format!("error {error}"));
        }
    }
}

/// Tries to have the journal for a moment.
fn own(path: &Path) {
    match Journal::open(path, &Options::default()) {
        Ok(opened) => {
            say(&format!("owner {}", opened.journal.path().display()));
            let log = path.with_extension("log");
            let mut log = std::fs::OpenOptions::new()
                .append(true)
                .create(true)
                .open(log)
                .expect("room");
            log.write_all(b"[").expect("room");
            std::thread::sleep(Duration::from_millis(5));
            log.write_all(b"]").expect("room");
        }
        Err(error) => say(&format!("error {error}")),
    }
}

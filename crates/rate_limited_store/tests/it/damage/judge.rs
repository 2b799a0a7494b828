//! What must hold of each mutation.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use rate_limited_store::{
    Found, Journal, JournalError, OpenError, Opened, Past, Record, Walk, salvage, verify,
};

use crate::support::{body, end, key};

use super::map::Map;
use super::sample::{Files, Sample, Truth, beside, options};

pub(crate) struct Judge<'a> {
    pub(crate) sample: &'a Sample,
    pub(crate) map: &'a Map,
    pub(crate) files: Files,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) ballast: &'a Path,
    pub(crate) what: String,
    /// Whether it is all of another journal: what is good in it is that one's.
    pub(crate) is_of_a_stranger: bool,
}

impl Judge<'_> {
    /// A folder of its own for each question.
    fn path(&self, name: &str) -> PathBuf {
        let folder = self.folder.path().join(name);
        std::fs::create_dir_all(&folder).expect("room");
        folder.join("run.journal")
    }

    /// Opens it. The room that it sets aside is there already: to fill it thousands of times takes long.
    fn open_at(&self, path: &Path) -> Result<Opened, OpenError> {
        let _ = std::fs::hard_link(self.ballast, beside(path, "-ballast"));
        Journal::open(path, &options())
    }

    /// Opens the journal: how that ended. With `write_on` it is written on, too.
    pub(crate) fn open(&self, write_on: bool) -> &'static str {
        let path = self.path("open");
        self.files.put(&path);
        match self.open_at(&path) {
            Err(error) => {
                self.check_refusal(&path, &error);
                "refused"
            }
            Ok(opened) => {
                let past = opened.past.clone();
                let read = self.check_reading(&opened.journal, &past);
                drop(opened);
                self.check_verify(&path, &read);
                if write_on {
                    self.check_writing(&path, &read);
                }
                match read.damages {
                    _ if past.torn => "a shorter journal, told",
                    0 => "all read back",
                    _ => "told when read",
                }
            }
        }
    }

    /// The place is told, and nothing was changed.
    fn check_refusal(&self, path: &Path, error: &OpenError) {
        let what = &self.what;
        match error {
            OpenError::Damaged { damages, .. } => assert!(!damages.is_empty(), "{what}"),
            OpenError::Foreign { .. } | OpenError::Newer { .. } => {}
            _ => panic!("{what}: {error}"),
        }
        let after = Files::of(path);
        for (name, before, after) in [
            ("file", &self.files.main, &after.main),
            ("count", &self.files.count, &after.count),
            ("log", &self.files.log, &after.log),
        ] {
            assert!(before == after, "{what}: the {name} was changed");
        }
    }

    /// What is read is the truth, or damage is told; a shorter journal is told, too.
    fn check_reading(&self, journal: &Journal, past: &Past) -> Read {
        let (what, truth) = (&self.what, &self.sample.truth);
        let kept = truth.results.len() as u64 - past.lost;
        let mut read = Read {
            kept,
            ..Read::default()
        };
        if !past.torn {
            assert_eq!(past.lost, 0, "{what}");
            assert_eq!(past.unfinished, truth.unfinished, "{what}");
            assert_eq!(past.meters, truth.meters, "{what}");
            assert_eq!(past.job, truth.job, "{what}");
        }
        if past.uncounted {
            assert!(self.files.count != self.sample.files.count, "{what}");
        }
        let Ok(mut walk) = Walk::new(journal) else {
            read.damages += 1;
            return read;
        };
        for call in 0..truth.calls {
            match walk.look(key(call), key(call)) {
                Ok(found) => self.check_found(call, found, past),
                Err(JournalError::Damaged(_)) => {
                    read.damages += 1;
                    break;
                }
                Err(error) => panic!("{what}: {error}"),
            }
        }
        for number in 1..=kept {
            match journal.read(number) {
                Ok(ended) => {
                    assert_eq!(
                        ended,
                        truth.results[number as usize - 1],
                        "{what}: {number}"
                    );
                    read.good.insert(number);
                }
                Err(JournalError::Damaged(_)) => read.damages += 1,
                Err(error) => panic!("{what}: {error}"),
            }
        }
        self.check_failures(journal, past, &mut read);
        read
    }

    fn check_found(&self, call: u64, found: Found, past: &Past) {
        let (what, truth) = (&self.what, &self.sample.truth);
        let kept = truth.results.len() as u64 - past.lost;
        let expected = truth.last.get(&call).copied();
        let is_right = match (found, expected) {
            (Found::Over(over), Some(number)) if number <= kept => {
                over.number == number && over.position == call
            }
            // Its last result is gone, or its last dispatch: an earlier one stands, or none.
            (Found::Over(over), _) => {
                past.torn
                    && over.number <= kept
                    && truth.results[over.number as usize - 1].position == call
            }
            (Found::Unfinished { position, .. }, None) => position == call,
            (Found::Unfinished { position, .. }, Some(number)) => {
                past.torn && position == call && number > kept
            }
            (Found::New { .. }, Some(number)) => past.torn && number > kept,
            (Found::New { .. }, None) => past.torn,
        };
        assert!(
            is_right,
            "{what}: call {call} is {found:?}, not {expected:?}"
        );
    }

    fn check_failures(&self, journal: &Journal, past: &Past, read: &mut Read) {
        let (what, truth) = (&self.what, &self.sample.truth);
        for (call, failures) in &truth.failures {
            match journal.failures(*call) {
                Ok(found) if found == *failures => {}
                // The last ones are looked for by `verify` only.
                Ok(found) if failures.starts_with(&found) => {
                    read.failures_missing = !past.torn;
                }
                Ok(found) => panic!("{what}: failures of {call} are {found:?}"),
                Err(JournalError::Damaged(_)) => read.damages += 1,
                Err(error) => panic!("{what}: {error}"),
            }
        }
    }

    /// A look at everything finds what reading found, and what only it looks for.
    fn check_verify(&self, path: &Path, read: &Read) {
        let what = &self.what;
        match verify(path) {
            Ok(verified) => {
                assert_eq!(read.damages, 0, "{what}: verify saw none");
                assert!(!read.failures_missing, "{what}: failures are missing");
                assert_eq!(verified.results, read.kept, "{what}");
            }
            Err(OpenError::Damaged { damages, .. }) => assert!(!damages.is_empty(), "{what}"),
            Err(error) => panic!("{what}: verify: {error}"),
        }
    }

    /// To write on harms nothing that was good.
    fn check_writing(&self, path: &Path, read: &Read) {
        let what = &self.what;
        let calls = 10_000..10_010;
        let mut last = 0;
        {
            let Ok(opened) = self.open_at(path) else {
                panic!("{what}: it was opened before");
            };
            assert!(!opened.past.torn, "{what}: told once");
            for call in calls.clone() {
                last = opened.journal.push(Record::End(end(call))).expect("open");
            }
            let written = opened.journal.wait(last);
            if written.is_err() {
                // Damage that writing met; what was good is looked for all the same.
                assert!(read.damages > 0, "{what}: {written:?}");
                return;
            }
        }
        let journal = match self.open_at(path) {
            Ok(opened) => opened.journal,
            Err(error) => panic!("{what}: after writing: {error}"),
        };
        for number in &read.good {
            let ended = journal.read(*number).expect("it was good");
            assert_eq!(
                ended,
                self.sample.truth.results[*number as usize - 1],
                "{what}"
            );
        }
        for (number, call) in (read.kept + 1..).zip(calls) {
            let ended = journal.read(number).expect("it was written just now");
            assert_eq!(ended.body, Some(body(call)), "{what}");
        }
    }

    /// Salvages what is there: how many results were untouched and kept, and how many more were kept.
    pub(crate) fn salvage(&self) -> (u64, u64) {
        let (what, truth) = (&self.what, &self.sample.truth);
        let path = self.path("salvage");
        self.files.put(&path);
        let untouched: Vec<_> = self
            .map
            .untouched(&self.sample.files, &self.files)
            .collect();
        let salvaged = match salvage(&path) {
            Ok(salvaged) => salvaged,
            Err(error) => {
                let is_newer = matches!(error, OpenError::Newer { .. });
                assert!(is_newer || untouched.is_empty(), "{what}: {error}");
                assert!(self.files.main == Files::of(&path).main, "{what}");
                return (0, 0);
            }
        };
        let before = self.files.main.clone().unwrap_or_default();
        let aside = std::fs::read(&salvaged.damaged);
        let aside = aside.unwrap_or_else(|error| panic!("{what}: {error}"));
        assert!(aside == before, "{what}: the damaged file is another one");
        if let Some(log) = self.files.log.as_ref().filter(|log| !log.is_empty()) {
            let aside = std::fs::read(beside(&salvaged.damaged, "-wal"));
            let aside = aside.unwrap_or_else(|error| panic!("{what}: {error}"));
            assert!(aside == *log, "{what}: the damaged log is another one");
        }
        let opened = self.open_at(&path);
        let opened = opened.unwrap_or_else(|error| panic!("{what}: {error}"));
        let journal = opened.journal;
        if self.is_of_a_stranger {
            return (0, salvaged.kept);
        }
        let found = results_of(&journal, salvaged.kept, truth, what);
        // No call whose answer was kept is sent again.
        let mut walk = Walk::new(&journal).expect("readable");
        for call in 0..truth.calls {
            let known = walk.look(key(call), key(call)).expect("undamaged");
            let kept = truth.last.get(&call).and_then(|number| found.get(number));
            if let Some(kept) = kept {
                let is_over = matches!(known, Found::Over(over) if over.number == *kept);
                assert!(is_over, "{what}: call {call} is {known:?}");
            }
        }
        drop(journal);
        let verified = verify(&path).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(
            (verified.results, verified.lost),
            (salvaged.kept, 0),
            "{what}"
        );
        for number in &untouched {
            assert!(
                found.contains_key(number),
                "{what}: result {number} is not kept"
            );
        }
        (
            untouched.len() as u64,
            salvaged.kept - untouched.len() as u64,
        )
    }
}

/// What was read of a journal.
#[derive(Default)]
struct Read {
    /// Results that it should have.
    kept: u64,
    /// Those that were read back.
    good: BTreeSet<u64>,
    /// Damages that were told.
    damages: u64,
    /// Whether the last failures of a call are missing.
    failures_missing: bool,
}

/// The results of a salvaged journal, each of which must be one of the truth, by their numbers there.
fn results_of(journal: &Journal, kept: u64, truth: &Truth, what: &str) -> BTreeMap<u64, u64> {
    let mut found = BTreeMap::new();
    for number in 1..=kept {
        let ended = journal
            .read(number)
            .unwrap_or_else(|error| panic!("{what}: {error}"));
        let before = truth.results.iter().position(|known| *known == ended);
        let before = before.unwrap_or_else(|| panic!("{what}: result {number} is none of ours"));
        found.insert(before as u64 + 1, number);
    }
    found
}

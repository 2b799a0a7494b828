//! What the tests share.

use std::path::{Path, PathBuf};

use rate_limited_store::{
    Digest, Dispatch, End, Failure, Found, Journal, Opened, Options, Past, Record, State, Walk,
};

/// A folder with a journal in it.
pub(crate) struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    pub(crate) fn new() -> Place {
        Place {
            folder: tempfile::tempdir().expect("a folder"),
        }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("run.journal")
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn open(&self) -> Opened {
        Journal::open(&self.path(), &Options::default()).expect("a good journal")
    }

    /// A journal with so many calls, each with its answer.
    pub(crate) fn with_calls(count: u64) -> Place {
        let place = Place::new();
        let opened = place.open();
        fill(&opened.journal, 0..count);
        place
    }
}

pub(crate) fn key(call: u64) -> Digest {
    Digest::of(&[b"call", &call.to_le_bytes()])
}

pub(crate) fn body(call: u64) -> Vec<u8> {
    format!("answer {call} ").repeat(3).into_bytes()
}

pub(crate) fn end(call: u64) -> End {
    End::done(call, key(call), key(call), 1, Some(body(call)))
}

pub(crate) fn failed(call: u64) -> End {
    End {
        state: State::Failed,
        failure: Some(Failure {
            kind: "Timeout".to_owned(),
            text: "no answer".to_owned(),
            ..Failure::default()
        }),
        ..end(call)
    }
}

pub(crate) fn dispatch(call: u64) -> Record {
    Record::Dispatch(Dispatch {
        position: call,
        key: key(call),
        request: key(call),
        attempt: 1,
        crashes: 0,
        reserved: Vec::new(),
    })
}

/// Records the answers of calls whose positions are their numbers.
pub(crate) fn fill(journal: &Journal, calls: std::ops::Range<u64>) {
    let mut last = 0;
    for call in calls {
        journal.push(dispatch(call)).expect("open");
        last = journal.push(Record::End(end(call))).expect("open");
    }
    journal.wait(last).expect("room");
}

/// What the journal knows of calls, in the order of the inputs.
pub(crate) fn found(journal: &Journal, calls: impl IntoIterator<Item = u64>) -> Vec<Found> {
    let mut walk = Walk::new(journal).expect("readable");
    let look = |call| walk.look(key(call), key(call)).expect("undamaged");
    calls.into_iter().map(look).collect()
}

/// The bodies of calls that are over; `None` for those that are not.
pub(crate) fn bodies(
    journal: &Journal,
    calls: impl IntoIterator<Item = u64>,
) -> Vec<Option<Vec<u8>>> {
    let read = |found| match found {
        Found::Over(over) => journal.read(over.number).expect("undamaged").body,
        _ => None,
    };
    found(journal, calls).into_iter().map(read).collect()
}

pub(crate) fn counts(past: &Past) -> [u64; 4] {
    let counts = past.counts;
    [
        counts.done,
        counts.failed,
        counts.unfinished,
        counts.unknown,
    ]
}

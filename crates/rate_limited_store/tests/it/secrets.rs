//! Who can read what: files of their owner, no links, and nothing of a request but its hash.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use rate_limited_store::{Digest, Dispatch, End, Failure, Journal, Options, Record, State};

use crate::support::{Place, end};

/// The files of a folder that have a text in them.
fn files_with(folder: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("readable") {
        let entry = entry.expect("readable");
        let bytes = fs::read(entry.path()).expect("readable");
        if bytes
            .windows(text.len())
            .any(|part| part == text.as_bytes())
        {
            found.push(entry.file_name().into_string().expect("plain"));
        }
    }
    found.sort();
    found
}

#[test]
fn a_request_leaves_nothing_but_its_hash() {
    let place = Place::new();
    let opened = place.open();
    let request = "sk-CANARY-request";
    let key = Digest::of(&[b"id", request.as_bytes()]);
    let dispatch = Dispatch {
        position: 0,
        key,
        request: Digest::of(&[request.as_bytes()]),
        attempt: 1,
        crashes: 0,
        reserved: Vec::new(),
    };
    opened
        .journal
        .push(Record::Dispatch(dispatch))
        .expect("open");
    let done = End {
        state: State::Done,
        failure: Some(Failure {
            text: "CANARY-failure".to_owned(),
            ..Failure::default()
        }),
        ..End::done(0, key, key, 1, Some(b"CANARY-answer".to_vec()))
    };
    let last = opened.journal.push(Record::End(done)).expect("open");
    opened.journal.wait(last).expect("room");
    assert_eq!(files_with(place.folder(), request), [""; 0]);
    for text in ["CANARY-answer", "CANARY-failure"] {
        assert_eq!(files_with(place.folder(), text), ["run.journal-wal"]);
    }
    drop(opened);
    assert_eq!(files_with(place.folder(), request), [""; 0]);
    for text in ["CANARY-answer", "CANARY-failure"] {
        assert_eq!(files_with(place.folder(), text), ["run.journal"]);
    }
}

#[test]
fn links_are_followed_nowhere() {
    for suffix in ["", "-wal", "-shm", "-count", "-ballast"] {
        let place = Place::with_calls(3);
        let elsewhere = place.folder().join("elsewhere");
        fs::write(&elsewhere, "somebody's\n").expect("room");
        let link = place.folder().join(format!("run.journal{suffix}"));
        let _ = fs::remove_file(&link);
        symlink(&elsewhere, &link).expect("possible");
        let opened = Journal::open(&place.path(), &Options::default());
        assert!(opened.is_err(), "{suffix}");
        assert_eq!(
            fs::read(&elsewhere).expect("there"),
            b"somebody's\n",
            "{suffix}"
        );
        assert!(link.is_symlink(), "{suffix}: the link was removed");
    }
}

#[test]
fn files_of_others_are_not_written_over() {
    for suffix in ["-count", "-ballast"] {
        let place = Place::with_calls(3);
        let theirs = place.folder().join(format!("run.journal{suffix}"));
        let text = "somebody's notes\n".repeat(1_000);
        fs::write(&theirs, &text).expect("room");
        let error = Journal::open(&place.path(), &Options::default()).expect_err("not ours");
        assert!(error.to_string().contains(suffix), "{error}");
        assert_eq!(fs::read(&theirs).expect("there"), text.as_bytes());
    }
}

/// A file that somebody has put where answers are rescued to is not used.
#[test]
fn answers_are_rescued_to_files_of_our_own_only() {
    let place = Place::new();
    let break_it = |call| {
        let opened = place.open();
        fs::remove_file(place.path()).expect("there");
        let last = opened.journal.push(Record::End(end(call))).expect("open");
        opened.journal.wait(last).expect("kept elsewhere");
        let error = opened.journal.error();
        let Some(rate_limited_store::JournalError::Write {
            rescue: Some(rescue),
            ..
        }) = error
        else {
            panic!("{error:?}")
        };
        rescue
    };
    let rescue = break_it(1);
    // Everybody may read this one from now on: the next goes to another.
    fs::set_permissions(&rescue, fs::Permissions::from_mode(0o666)).expect("ours");
    let other = break_it(2);
    assert_ne!(rescue, other);
    let mode = fs::metadata(&other).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    for file in [rescue, other] {
        fs::remove_file(file).expect("ours");
    }
}

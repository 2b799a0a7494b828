//! Whose a journal is, and where it lies.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::{Duration, Instant};

use rate_limited_store::{Journal, JournalError, OpenError, Options, Record, remove};

use crate::support::{Place, counts, dispatch, end};

fn refused(place: &Place) -> OpenError {
    Journal::open(&place.path(), &Options::default()).expect_err("refused")
}

#[test]
fn only_one_process_has_it() {
    let place = Place::with_calls(3);
    let opened = place.open();
    let started = Instant::now();
    let error = refused(&place);
    assert!(started.elapsed() < Duration::from_millis(100));
    let OpenError::InUse { holder, .. } = error else {
        panic!("{error}")
    };
    let process = format!("process {} on ", std::process::id());
    assert!(holder.starts_with(&process), "{holder}");
    assert!(holder.contains(", since 20"), "{holder}");
    drop(opened);
    place.open();
}

#[test]
fn only_its_owner_can_read_it() {
    let place = Place::with_calls(3);
    let opened = place.open();
    opened.journal.push(dispatch(5)).expect("open");
    let mut names = Vec::new();
    for entry in fs::read_dir(place.folder()).expect("readable") {
        let entry = entry.expect("readable");
        let mode = entry.metadata().expect("known").permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{:?}", entry.file_name());
        names.push(entry.file_name().into_string().expect("plain"));
    }
    names.sort();
    let suffixes = ["", "-ballast", "-count", "-shm", "-wal"];
    assert_eq!(names, suffixes.map(|suffix| format!("run.journal{suffix}")));
    drop(opened);
    let left = fs::read_dir(place.folder()).expect("readable").count();
    assert_eq!(
        left, 2,
        "a journal that is closed is one file and its count"
    );
}

#[test]
fn other_files_are_left_alone() {
    let foreign: [(&str, Vec<u8>); 3] = [
        ("text", b"hello\n".repeat(50)),
        ("a short one", b"SQLite".to_vec()),
        ("zeros", vec![0; 4_096]),
    ];
    for (name, bytes) in foreign {
        let place = Place::new();
        fs::write(place.path(), &bytes).expect("room");
        let error = refused(&place);
        assert!(
            matches!(error, OpenError::Foreign { .. }),
            "{name}: {error}"
        );
        assert!(remove(&place.path()).is_err());
        assert_eq!(fs::read(place.path()).expect("there"), bytes);
        assert_eq!(fs::read_dir(place.folder()).expect("readable").count(), 1);
    }
}

#[test]
fn a_database_of_something_else_is_left_alone() {
    let place = Place::new();
    let other = rusqlite::Connection::open(place.path()).expect("room");
    other
        .execute_batch("CREATE TABLE calls (a); INSERT INTO calls VALUES (1)")
        .expect("room");
    drop(other);
    let error = refused(&place);
    assert!(matches!(error, OpenError::Foreign { .. }), "{error}");
}

#[test]
fn a_later_format_is_refused() {
    let place = Place::with_calls(3);
    let db = rusqlite::Connection::open(place.path()).expect("there");
    db.pragma_update(None, "user_version", 2).expect("room");
    drop(db);
    let error = refused(&place);
    assert!(
        matches!(
            error,
            OpenError::Newer {
                found: 2,
                known: 1,
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn links_are_not_followed() {
    let place = Place::new();
    let elsewhere = place.folder().join("elsewhere");
    fs::write(&elsewhere, "").expect("room");
    symlink(&elsewhere, place.path()).expect("possible");
    assert!(matches!(refused(&place), OpenError::Link(_)));
    assert_eq!(fs::read(&elsewhere).expect("there"), b"");
}

#[test]
fn a_folder_that_is_a_link_is_fine() {
    let place = Place::with_calls(3);
    let link = place.folder().join("link");
    symlink(place.folder(), &link).expect("possible");
    let opened = Journal::open(&link.join("run.journal"), &Options::default()).expect("there");
    assert_eq!(counts(&opened.past), [3, 0, 0, 0]);
}

#[test]
fn a_journal_that_is_removed_meanwhile_stops_the_run() {
    let place = Place::with_calls(3);
    let opened = place.open();
    fs::remove_file(place.path()).expect("there");
    let last = opened.journal.push(dispatch(3)).expect("open");
    assert!(opened.journal.wait(last).is_err(), "it is nowhere");
    let error = opened.journal.error().expect("it is gone");
    assert!(error.to_string().contains("moved or removed"), "{error}");
    assert!(
        opened.journal.push(dispatch(4)).is_err(),
        "nothing new may leave"
    );
    let last = opened
        .journal
        .push(Record::End(end(3)))
        .expect("answers are kept");
    opened.journal.wait(last).expect("kept elsewhere");
    let error = opened.journal.error();
    let Some(JournalError::Write {
        rescue: Some(rescue),
        ..
    }) = error
    else {
        panic!("{error:?}")
    };
    assert!(rescue.is_file());
    drop(opened);
    fs::remove_file(rescue).expect("there");
}

#[test]
fn a_journal_without_its_file_is_told_by_its_count() {
    let place = Place::with_calls(3);
    fs::remove_file(place.path()).expect("there");
    let error = refused(&place).to_string();
    assert!(error.contains("3 results were in it"), "{error}");
    assert!(!place.path().exists());
    remove(&place.path()).expect("possible");
    assert_eq!(counts(&place.open().past), [0, 0, 0, 0]);
}

#[test]
fn a_folder_that_is_not_there_is_told() {
    let place = Place::new();
    let path = place.folder().join("no/run.journal");
    let error = Journal::open(&path, &Options::default()).expect_err("no folder");
    assert!(matches!(error, OpenError::System { .. }), "{error}");
}

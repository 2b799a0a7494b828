//! Folders and files that are taken away or closed to the journal, before and while it is in use.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use rate_limited_store::{Found, Journal, JournalError, OpenError, Options, Record, Walk};

use crate::child::{body, command, end, key, run};
use crate::soak::memory;

fn open(path: &Path) -> Result<rate_limited_store::Opened, OpenError> {
    Journal::open(path, &Options::default())
}

/// Records the ends of calls; the first error.
fn fill(journal: &Journal, calls: std::ops::Range<u64>) -> Result<(), JournalError> {
    for call in calls {
        let ticket = journal.push(Record::End(end(call)))?;
        journal.wait(ticket)?;
    }
    Ok(())
}

fn check(path: &Path, calls: std::ops::Range<u64>) {
    let opened = open(path).expect("whole");
    let mut walk = Walk::new(&opened.journal).expect("readable");
    for call in calls {
        let found = walk.look(key(call), key(call)).expect("undamaged");
        let Found::Over(over) = found else {
            panic!("{call} is {found:?}")
        };
        let ended = opened.journal.read(over.number).expect("undamaged");
        assert_eq!(ended.body, Some(body(call)));
    }
}

fn mount(words: &[&str], folder: &Path) -> bool {
    let mounted = Command::new("mount").args(words).arg(folder).output();
    mounted.is_ok_and(|output| output.status.success())
}

#[test]
fn a_disk_that_is_read_only_is_told_and_loses_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    if !mount(&["-t", "tmpfs", "tmpfs"], folder.path()) {
        eprintln!("skipped: this process may not mount a disk");
        return;
    }
    let path = folder.path().join("run.journal");
    drop(fill(&open(&path).expect("room").journal, 0..20));
    let remount = |how: &str| mount(&["-o", &format!("remount,{how}")], folder.path());
    assert!(remount("ro"));
    let before = fs::read(&path).expect("readable");
    let error = open(&path).expect_err("read-only");
    assert!(matches!(error, OpenError::System { .. }), "{error}");
    assert!(error.to_string().contains("ead-only"), "{error}");
    assert_eq!(fs::read(&path).expect("readable"), before);
    assert!(remount("rw"));
    check(&path, 0..20);
    let _ = Command::new("umount").arg("-l").arg(folder.path()).status();
}

/// As somebody else: to root nothing is closed.
#[test]
fn what_may_not_be_written_is_told() {
    let folder = memory();
    let path = folder.path().join("run.journal");
    drop(fill(&open(&path).expect("room").journal, 0..20));
    for (name, mode) in [
        ("run.journal", 0o444),
        ("run.journal", 0),
        ("run.journal-count", 0),
        ("", 0o555),
    ] {
        let closed = folder.path().join(name);
        let before = fs::metadata(&closed).expect("there").permissions();
        let before_all = fs::read(&path).expect("readable");
        fs::set_permissions(&closed, fs::Permissions::from_mode(mode)).expect("ours");
        let said = run(as_nobody(&path), None);
        if said.errors.is_empty() {
            eprintln!(
                "skipped: this process cannot become another one ({:?})",
                said.words
            );
        } else {
            let is_told = |error: &String| error.contains("ermission denied");
            assert!(
                said.errors.iter().all(is_told),
                "{name} {mode:o}: {:?}",
                said.errors
            );
        }
        assert!(said.told.is_empty());
        fs::set_permissions(&closed, before).expect("ours");
        assert_eq!(fs::read(&path).expect("readable"), before_all);
    }
    check(&path, 0..20);
}

/// The child as a user whose every file was closed by somebody else.
fn as_nobody(path: &Path) -> Command {
    command(&["setpriv", "--reuid=65534", "--clear-groups"], path, "few")
}

/// Whatever the shell allows others.
#[test]
fn all_files_are_private_under_any_mask() {
    let folder = memory();
    let path = folder.path().join("run.journal");
    let under = ["sh", "-c", "umask 000; exec \"$0\" \"$@\""];
    let patience = Some(std::time::Duration::from_millis(500));
    let said = run(command(&under, &path, "work"), patience);
    assert!(!said.told.is_empty());
    let mut names = Vec::new();
    for entry in fs::read_dir(folder.path()).expect("readable") {
        let entry = entry.expect("readable");
        let mode = entry.metadata().expect("known").permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{:?}", entry.file_name());
        names.push(entry.file_name().into_string().expect("plain"));
    }
    names.sort();
    let suffixes = ["", "-ballast", "-count", "-shm", "-wal"];
    assert_eq!(names, suffixes.map(|suffix| format!("run.journal{suffix}")));
}

#[test]
fn a_folder_that_is_removed_meanwhile_stops_the_run_and_keeps_answers() {
    let folder = memory();
    let inner = folder.path().join("inner");
    fs::create_dir(&inner).expect("room");
    let path = inner.join("run.journal");
    let opened = open(&path).expect("room");
    fill(&opened.journal, 0..20).expect("room");
    fs::remove_dir_all(&inner).expect("ours");
    // In flight when the folder went: they are kept elsewhere.
    fill(&opened.journal, 20..25).expect("in the folder for temporary files");
    let error = opened.journal.error();
    let Some(JournalError::Write {
        rescue: Some(rescue),
        ..
    }) = error
    else {
        panic!("{error:?}")
    };
    drop(opened);
    assert!(rescue.is_file());
    let mode = fs::metadata(&rescue).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    // Another journal of the same name does not take what is none of its own.
    fs::create_dir(&inner).expect("room");
    let opened = open(&path).expect("a new one");
    assert_eq!(opened.past.rescued, 0);
    assert!(rescue.is_file());
    drop(opened);
    fs::remove_file(&rescue).expect("ours");
}

#[test]
fn a_log_that_is_removed_meanwhile_costs_nothing() {
    let folder = memory();
    let path = folder.path().join("run.journal");
    let opened = open(&path).expect("room");
    fill(&opened.journal, 0..20).expect("room");
    fs::remove_file(folder.path().join("run.journal-wal")).expect("there");
    fill(&opened.journal, 20..25).expect("elsewhere");
    let error = opened.journal.error().expect("told").to_string();
    assert!(error.contains("its log was removed"), "{error}");
    drop(opened);
    let opened = open(&path).expect("whole");
    assert_eq!((opened.past.rescued, opened.past.lost), (5, 0));
    drop(opened);
    check(&path, 0..25);
}

#[test]
fn a_limit_on_the_size_of_files_costs_nothing() {
    for kilobytes in [8_200, 8_600] {
        let folder = memory();
        let path = folder.path().join("run.journal");
        // Ignored, as any careful program does, the signal becomes an error of the write.
        let script = format!("ulimit -f {kilobytes}; trap '' XFSZ; exec \"$0\" \"$@\"");
        let under = ["bash", "-c", &script];
        let said = run(command(&under, &path, "large"), None);
        assert_eq!(said.errors.len(), 1, "{:?}", said.words);
        check(&path, 0..said.told.len() as u64);
        // And as the system has it, it is one more way to die.
        let script = format!("ulimit -f {kilobytes}; exec \"$0\" \"$@\"");
        let under = ["bash", "-c", &script];
        let path = folder.path().join("other.journal");
        let said = run(command(&under, &path, "large"), None);
        check(&path, 0..said.told.len() as u64);
    }
}

#[test]
fn a_file_that_is_removed_while_it_is_held_is_another_journal_from_then_on() {
    let folder = memory();
    let path = folder.path().join("run.journal");
    let first = open(&path).expect("room");
    fill(&first.journal, 0..3).expect("room");
    for suffix in ["", "-wal", "-shm", "-count", "-ballast"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        fs::remove_file(name).expect("there");
    }
    let second = open(&path).expect("another one");
    fill(&second.journal, 10..13).expect("room");
    // The first one's holder notices, and does not touch the second.
    assert!(first.journal.push(Record::End(end(3))).is_ok());
    let ticket = first.journal.push(Record::End(end(4))).expect("open");
    first.journal.wait(ticket).expect("kept elsewhere");
    let error = first.journal.error();
    let Some(JournalError::Write {
        rescue: Some(rescue),
        ..
    }) = error
    else {
        panic!("{error:?}")
    };
    drop(first);
    fill(&second.journal, 13..16).expect("untouched");
    drop(second);
    check(&path, 10..16);
    fs::remove_file(rescue).expect("ours");
}

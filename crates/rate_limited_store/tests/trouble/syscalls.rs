//! System calls that fail, one after the other, by strace.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use rate_limited_store::{Found, Journal, Options, Walk};

use crate::child::{body, command, key, run, times};

pub(crate) fn has_strace() -> bool {
    let works = Command::new("strace")
        .args(["-f", "-e", "inject=getpid:error=EIO:when=1000", "true"])
        .output();
    works.is_ok_and(|output| output.status.success())
}

/// Everything that was told is there.
fn check(path: &Path, told: &BTreeSet<u64>, what: &str) {
    if told.is_empty() && !path.exists() {
        return;
    }
    let opened = Journal::open(path, &Options::default());
    let opened = opened.unwrap_or_else(|error| panic!("{what}: {error}"));
    let mut walk = Walk::new(&opened.journal).expect("readable");
    for call in told {
        let found = walk.look(key(*call), key(*call)).expect("undamaged");
        let Found::Over(over) = found else {
            panic!("{what}: {call} is {found:?}")
        };
        assert_eq!(
            opened.journal.read(over.number).expect("undamaged").body,
            Some(body(*call))
        );
    }
}

#[test]
fn a_failed_call_of_the_system_is_never_taken_for_success() {
    if !has_strace() {
        eprintln!("skipped: strace is not there, or may not trace");
        return;
    }
    let most = times(20, 200);
    let faults = [
        ("pwrite64", "ENOSPC", "write"),
        ("pwrite64", "EIO", "write"),
        ("fdatasync", "EIO", "power"),
        ("fsync", "EIO", "power"),
        ("ftruncate", "EIO", "write"),
    ];
    let (mut failed, mut results) = (0, 0);
    for (call, error, role) in faults {
        for nth in 1..=most {
            let folder = tempfile::tempdir().expect("a folder");
            let path = folder.path().join("run.journal");
            let inject = format!("inject={call}:error={error}:when={nth}");
            let trace = format!("trace={call}");
            let under = [
                "strace",
                "-f",
                "-qq",
                "-o",
                "/dev/null",
                "-e",
                &trace,
                "-e",
                &inject,
            ];
            let said = run(command(&under, &path, role), None);
            failed += usize::from(!said.errors.is_empty());
            let told: BTreeSet<u64> = said.told.into_iter().collect();
            check(&path, &told, &inject);
            results += told.len();
        }
    }
    let faults = faults.len() * most;
    println!("{faults} faults: {failed} runs stopped, {results} results told, 0 lost");
}

/// With `Durability::Power` nothing is told before the log that has it is on the disk.
#[test]
fn nothing_is_told_before_the_disk_has_it() {
    if !has_strace() {
        eprintln!("skipped: strace is not there, or may not trace");
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let (path, log) = (
        folder.path().join("run.journal"),
        folder.path().join("trace"),
    );
    let log_path = log.to_str().expect("plain");
    let trace = "trace=pwrite64,write,fdatasync,fsync";
    let under = [
        "strace", "-f", "-qq", "-y", "-s", "16", "-o", log_path, "-e", trace,
    ];
    let said = run(command(&under, &path, "power"), None);
    assert_eq!(said.told.len(), 200, "{:?}", said.errors);
    let (mut dirty, mut told) = (false, 0);
    for line in std::fs::read_to_string(&log).expect("a trace").lines() {
        let of_log = line.contains("run.journal-wal>");
        if of_log && line.contains("pwrite64(") {
            dirty = true;
        } else if of_log && (line.contains("fdatasync(") || line.contains("fsync(")) {
            dirty = false;
        } else if line.contains("write(1<") && line.contains("\"told ") {
            told += 1;
            assert!(!dirty, "told before the disk had it: {line}");
        }
    }
    assert_eq!(told, 200);
    println!("200 results told, each after the log that has it was on the disk");
}

/// kill -9 at every single call that opening, writing and closing make.
#[test]
fn a_kill_at_any_call_of_the_system_costs_nothing() {
    if !has_strace() {
        eprintln!("skipped: strace is not there, or may not trace");
        return;
    }
    let (mut kills, mut results) = (0, 0);
    let most = times(12, 400);
    for call in [
        "openat",
        "pwrite64",
        "fsync",
        "fdatasync",
        "rename",
        "unlink",
        "ftruncate",
        "fallocate",
        "flock",
        "fcntl",
        "mmap",
        "close",
    ] {
        for role in ["few", "few, for good"] {
            for nth in 1..=most {
                let folder = crate::soak::memory();
                let path = folder.path().join("run.journal");
                let inject = format!("inject={call}:signal=SIGKILL:when={nth}");
                let trace = format!("trace={call}");
                let under = [
                    "strace",
                    "-f",
                    "-qq",
                    "-o",
                    "/dev/null",
                    "-e",
                    &trace,
                    "-e",
                    &inject,
                ];
                let said = run(command(&under, &path, role), None);
                let told: BTreeSet<u64> = said.told.into_iter().collect();
                results += told.len();
                let what = format!("{role}: {inject}");
                let opened = Journal::open(&path, &Options::default());
                let opened = opened.unwrap_or_else(|error| panic!("{what}: {error}"));
                assert!(!opened.past.torn && !opened.past.uncounted, "{what}");
                drop(opened);
                check(&path, &told, &what);
                if said.words.iter().any(|word| word == "done") {
                    break;
                }
                kills += 1;
            }
        }
    }
    println!("{kills} kills at calls of the system, {results} results told, 0 lost");
}

/// After the disk has failed to take something, nothing is told that is not safe elsewhere: here nothing is.
#[test]
fn nothing_is_told_after_a_failed_wait_for_the_disk() {
    if !has_strace() {
        eprintln!("skipped: strace is not there, or may not trace");
        return;
    }
    let most = times(20, 200);
    let (mut failed, mut results) = (0, 0);
    for nth in 1..=most {
        let folder = crate::soak::memory();
        let (path, log) = (
            folder.path().join("run.journal"),
            folder.path().join("trace"),
        );
        let log_path = log.to_str().expect("plain");
        let inject = format!("inject=fsync,fdatasync:error=EIO:when={nth}+");
        let under = [
            "strace",
            "-f",
            "-qq",
            "-y",
            "-s",
            "16",
            "-o",
            log_path,
            "-e",
            "trace=fsync,fdatasync,write",
            "-e",
            &inject,
        ];
        let said = run(command(&under, &path, "power"), None);
        let mut has_failed = false;
        for line in std::fs::read_to_string(&log).expect("a trace").lines() {
            has_failed |= line.contains("(INJECTED)");
            let is_told = line.contains("write(1<") && line.contains("\"told ");
            assert!(!(has_failed && is_told), "{inject}: {line}");
        }
        assert!(has_failed, "{inject}");
        assert!(said.words.iter().all(|word| word != "done"), "{inject}");
        let told: BTreeSet<u64> = said.told.into_iter().collect();
        check(&path, &told, &inject);
        failed += usize::from(!said.errors.is_empty());
        results += told.len();
    }
    println!(
        "{most} disks that fail for good: {failed} runs said so, {results} results told before, 0 after"
    );
}

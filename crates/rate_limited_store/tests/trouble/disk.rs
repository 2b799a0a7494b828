//! A disk that is full, of every size.

use std::path::{Path, PathBuf};
use std::process::Command;

use rate_limited_store::{
    Digest, Dispatch, End, Found, Journal, JournalError, OpenError, Options, Record, Walk,
};

use crate::child::{IN_FLIGHT, key, times};

/// Larger than what a commit finds room for by chance.
const BODY_BYTES: usize = 20_000;

/// A small disk, unmounted when it is dropped.
struct Disk {
    folder: tempfile::TempDir,
}

impl Disk {
    /// `None` where this process may not mount one.
    fn of(kilobytes: usize) -> Option<Disk> {
        let folder = tempfile::tempdir().expect("a folder");
        let size = format!("size={kilobytes}k,mode=700");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(folder.path())
            .output()
            .is_ok_and(|output| output.status.success());
        mounted.then_some(Disk { folder })
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("run.journal")
    }

    fn grow(&self) {
        let grown = Command::new("mount")
            .args(["-o", "remount,size=200m"])
            .arg(self.folder.path())
            .status();
        assert!(grown.is_ok_and(|status| status.success()));
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount")
            .arg("-l")
            .arg(self.folder.path())
            .status();
    }
}

fn end(position: u64) -> End {
    let body = vec![position as u8; BODY_BYTES];
    End::done(position, key(position), key(position), 1, Some(body))
}

fn dispatch(position: u64) -> Record {
    Record::Dispatch(Dispatch {
        position,
        key: key(position),
        request: Digest::default(),
        attempt: 1,
        crashes: 0,
        reserved: Vec::new(),
    })
}

/// Fills the disk; gives the positions of results that were told.
fn fill(path: &Path) -> Option<(Vec<u64>, JournalError)> {
    let options = Options {
        max_concurrent: IN_FLIGHT as u32,
        ..Options::default()
    };
    let opened = match Journal::open(path, &options) {
        Ok(opened) => opened,
        Err(OpenError::NoRoom { .. }) => return None,
        Err(error) => panic!("{error}"),
    };
    let journal = opened.journal;
    let mut told = Vec::new();
    for first in (0..).step_by(IN_FLIGHT) {
        let calls = first..first + IN_FLIGHT as u64;
        for call in calls.clone() {
            let Ok(ticket) = journal.push(dispatch(call)) else {
                break;
            };
            journal.wait(ticket).expect("told");
        }
        // What was in flight when the disk became full comes back, and is kept.
        for call in calls {
            let ticket = journal.push(Record::End(end(call))).expect("open");
            journal.wait(ticket).expect("told");
            told.push(call);
        }
        if let Some(error) = journal.error() {
            assert!(
                journal.push(dispatch(first + 100)).is_err(),
                "nothing new may leave"
            );
            return Some((told, error));
        }
        assert!(first < 100_000, "the disk is never full");
    }
    None
}

fn check(path: &Path, told: &[u64]) {
    let opened = Journal::open(path, &Options::default()).expect("whole");
    let mut walk = Walk::new(&opened.journal).expect("readable");
    for call in told {
        let found = walk.look(key(*call), key(*call)).expect("undamaged");
        let Found::Over(over) = found else {
            panic!("{call} was told, and is {found:?}")
        };
        let body = opened.journal.read(over.number).expect("undamaged").body;
        assert_eq!(body, end(*call).body);
    }
}

#[test]
fn a_full_disk_costs_no_answer() {
    let sizes = times(8, 200);
    let (mut refused, mut results) = (0, 0);
    // Hardly a page, then from too little for the reserve to some megabytes above it.
    let tiny = [4, 16, 64, 256, 1_000];
    let around = (0..sizes).map(|step| 7_000 + step * 7_000 / sizes);
    for kilobytes in tiny.into_iter().chain(around) {
        let Some(disk) = Disk::of(kilobytes) else {
            eprintln!("skipped: this process may not mount a disk");
            return;
        };
        match fill(&disk.path()) {
            None => {
                refused += 1;
                assert!(
                    !disk.path().exists(),
                    "what was refused leaves nothing behind"
                );
            }
            Some((told, error)) => {
                let text = error.to_string();
                assert!(
                    matches!(error, JournalError::Full(_) | JournalError::Write { .. }),
                    "{text}"
                );
                disk.grow();
                check(&disk.path(), &told);
                results += told.len();
            }
        }
    }
    println!(
        "{} disks: {refused} too small to begin, {results} results told, 0 lost",
        sizes + tiny.len()
    );
}

//! The log beside a journal, and those who look without leaving one.

use std::fs;
use std::path::{Path, PathBuf};

use crate::place;
use crate::store;

/// The log of a journal, as it was before anybody opened it.
pub(crate) struct Log<'a> {
    journal: &'a Path,
    bytes: Option<u64>,
}

impl Log<'_> {
    pub(crate) fn beside(journal: &Path) -> Log<'_> {
        let found = place::beside(journal, "-wal").symlink_metadata();
        let bytes = found.ok().map(|found| found.len());
        Log { journal, bytes }
    }

    pub(crate) fn is_there(&self) -> bool {
        self.bytes.is_some_and(|bytes| bytes > 0)
    }

    /// Removes the empty one that looking at a journal without one has made.
    pub(crate) fn forget(&self) {
        if self.bytes.is_none() && !Log::beside(self.journal).is_there() {
            for suffix in ["-wal", "-shm"] {
                let made = place::beside(self.journal, suffix);
                // A link of that name is none that was made here.
                if made.symlink_metadata().is_ok_and(|made| made.is_file()) {
                    let _ = fs::remove_file(made);
                }
            }
        }
    }
}

/// A visit to a journal that somebody else may have: where there was no log before, none stays behind.
///
/// To be made before the connections that read, and dropped after them.
#[derive(Debug)]
pub(crate) struct Visit {
    journal: PathBuf,
    had_log: bool,
}

impl Visit {
    pub(crate) fn to(journal: &Path) -> Visit {
        Visit {
            journal: journal.to_owned(),
            had_log: Log::beside(journal).is_there(),
        }
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        let log = place::beside(&self.journal, "-wal").symlink_metadata();
        let is_empty = log.is_ok_and(|log| log.is_file() && log.len() == 0);
        if !self.had_log && is_empty {
            // The database alone knows if nobody else is there; where it cannot tell, an empty log does no harm.
            let _ = store::close_up(&self.journal);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;
    use crate::journal::{Journal, Options};
    use crate::peek::{Onlooker, peek};
    use crate::record::{End, Record};
    use crate::verify::verify;
    use crate::walk::Walk;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).expect("readable");
        let names = entries.map(|entry| entry.expect("readable").file_name());
        let mut names: Vec<_> = names
            .map(|name| name.into_string().expect("plain"))
            .collect();
        names.sort();
        names
    }

    fn open(path: &Path) -> Journal {
        let opened = Journal::open(path, &Options::default());
        opened.expect("a good journal").journal
    }

    fn add(journal: &Journal, position: u64) {
        let key = Digest::of(&[&position.to_le_bytes()]);
        let end = Record::End(End::done(position, key, key, 1, Some(b"a".to_vec())));
        journal
            .wait(journal.push(end).expect("open"))
            .expect("room");
    }

    /// Every way to look, without and with a look for a key that is elsewhere than expected.
    fn look(path: &Path) {
        assert_eq!(peek(path).expect("good").counts.done, 1);
        assert_eq!(verify(path).expect("good").counts.done, 1);
        let onlooker = Onlooker::new(path, &[]).expect("good");
        let mut walk = Walk::beside(&onlooker).expect("good");
        for key in [b"a", b"b"] {
            let key = Digest::of(&[key]);
            walk.look(key, key).expect("undamaged");
        }
    }

    #[test]
    fn those_who_look_leave_nothing_behind() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("run.journal");
        add(&open(&path), 0);
        let (before, bytes) = (names(folder.path()), fs::read(&path).expect("there"));
        assert!(
            !before.iter().any(|name| name.ends_with("-wal")),
            "{before:?}"
        );
        look(&path);
        assert_eq!(names(folder.path()), before);
        // An empty log of an earlier look goes, too.
        drop(store::connect(&path, false).map(|db| db.execute_batch("BEGIN; SELECT 1 FROM calls")));
        assert_eq!(names(folder.path()).len(), before.len() + 2);
        look(&path);
        assert_eq!(names(folder.path()), before);
        assert_eq!(fs::read(&path).expect("there"), bytes);
    }

    #[test]
    fn those_who_look_leave_the_log_to_those_who_need_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("run.journal");
        add(&open(&path), 0);
        // Somebody reads: the log is empty, and his.
        let onlooker = Onlooker::new(&path, &[]).expect("good");
        let mut walk = Walk::beside(&onlooker).expect("good");
        let key = Digest::of(&[b"a"]);
        walk.look(key, key).expect("undamaged");
        look(&path);
        assert!(place::beside(&path, "-wal").exists());
        // Somebody writes, from before the others are gone.
        let journal = open(&path);
        look(&path);
        drop(walk);
        add(&journal, 1);
        assert!(Log::beside(&path).is_there());
        assert_eq!(peek(&path).expect("good").counts.done, 2);
        assert!(Log::beside(&path).is_there());
        drop(journal);
        assert_eq!(verify(&path).expect("good").counts.done, 2);
        assert!(!place::beside(&path, "-wal").exists());
    }
}

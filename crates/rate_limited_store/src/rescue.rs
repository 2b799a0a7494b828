//! Where results go that the journal has no room for.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Result;

use crate::digest::Digest;
use crate::look::{self, Damages};
use crate::opening::{self, Log};
use crate::place::{self, Kind};
use crate::reading;
use crate::record::{End, Record};
use crate::rows::JobRow;
use crate::store::{self, Store};
use crate::sum::Id;

/// Names that are tried: a file that is not ours is left alone.
const NAMES: u32 = 8;

/// No file takes longer from its beginning to its tables.
const MAKING_MAX: Duration = Duration::from_secs(60);

/// A journal in the folder for temporary files, whose results the next opening takes over. It has the
/// identity of the journal that it is for: no other one takes its results.
pub(crate) struct Rescue {
    store: Store,
    path: PathBuf,
}

/// Where the results of a journal may be.
fn paths(journal: &Path) -> impl Iterator<Item = PathBuf> {
    let whole = journal
        .canonicalize()
        .or_else(|_| std::path::absolute(journal));
    let whole = whole.unwrap_or_else(|_| journal.to_owned());
    let name = Digest::of(&[b"rescue", whole.as_os_str().as_encoded_bytes()]);
    let path = move |number| {
        let name = format!("rate-limited-rescue-{name}-{number}.db");
        std::env::temp_dir().join(name)
    };
    (0..NAMES).map(path)
}

impl Rescue {
    pub(crate) fn begin(journal: &Path, id: Id) -> Option<Rescue> {
        paths(journal).find_map(|path| {
            let store = if place::create_private(&path).is_ok() || is_unfinished(&path) {
                let made = Store::create(&path, id, &JobRow::default());
                // Where there is no room nothing is left behind.
                made.inspect_err(|_| opening::forget(&path)).ok()
            } else {
                open(&path, id)
            };
            store.map(|store| Rescue { store, path })
        })
    }

    /// Whether the results among the records are safe now.
    pub(crate) fn put(&mut self, records: &[Record]) -> bool {
        let ends = records
            .iter()
            .filter(|record| matches!(record, Record::End(_)));
        let ends: Vec<_> = ends.cloned().collect();
        ends.is_empty() || self.store.apply(&ends).is_ok()
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.path.clone()
    }

    /// Closes it, so that it is one file; one without results is removed.
    pub(crate) fn close(self) {
        let Rescue { store, path } = self;
        let is_empty = store.totals.results == 0;
        // What stays in its log is found, too.
        let _ = store.close();
        if is_empty {
            opening::forget(&path);
        }
    }
}

/// Whether it is ours, and whoever made it died before anything was in it. A young one may be in the making.
fn is_unfinished(path: &Path) -> bool {
    let Ok(found) = path.symlink_metadata() else {
        return false;
    };
    let age = found.modified().ok().and_then(|made| made.elapsed().ok());
    let is_old = age.is_some_and(|age| age > MAKING_MAX);
    let is_empty = found.len() == 0 && !place::beside(path, "-wal").exists();
    is_private(&found) && is_empty && is_old
}

/// What was rescued earlier for the journal of that identity.
fn open(path: &Path, id: Id) -> Option<Store> {
    let is_ours = path
        .symlink_metadata()
        .is_ok_and(|found| is_private(&found));
    if !is_ours || place::kind_at(path).ok()? != Kind::Journal {
        return None;
    }
    let log = Log::beside(path);
    let found = look_into(path, id);
    if found.is_none() {
        log.forget();
    }
    found
}

fn look_into(path: &Path, id: Id) -> Option<Store> {
    let db = store::connect(path, true).ok()?;
    let mut damages = Damages::default();
    let seen = look::look(&db, &mut damages).ok()?;
    let is_good = damages.is_empty() && seen.totals.id == id;
    is_good.then(|| Store::of(db, seen.totals, seen.resources))
}

/// A file in a folder where anybody can put one is believed only if it is our own.
fn is_private(found: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    let own = rustix::process::geteuid().as_raw();
    let others = 0o077;
    found.is_file() && found.uid() == own && found.mode() & others == 0
}

/// The results that were rescued for a journal and are not in it. What is damaged there is run again.
pub(crate) fn results(journal: &Path, store: &Store) -> Result<Vec<End>> {
    let id = store.totals.id;
    let mut missing = Vec::new();
    for rescue in paths(journal).filter_map(|path| open(&path, id)) {
        let mut ends = Vec::new();
        look::each(&rescue.db, crate::error::Table::Results, |row| {
            if let Some((_, ended)) = reading::result(row, id) {
                ends.push(End::from(ended));
            }
            true
        })?;
        for end in ends {
            if !is_known(store, &end)? {
                missing.push(end);
            }
        }
    }
    Ok(missing)
}

fn is_known(store: &Store, end: &End) -> Result<bool> {
    use rusqlite::OptionalExtension;
    let known: Option<Vec<u8>> = store
        .db
        .prepare_cached("SELECT request FROM calls WHERE position = ?1 AND state = 1")?
        .query_row([end.position as i64], |row| row.get(0))
        .optional()?;
    Ok(known.is_some_and(|request| request == end.request.0))
}

/// Removes what was rescued for a journal: it is there now, or nobody wants it.
pub(crate) fn forget(journal: &Path, id: Id) {
    for path in paths(journal) {
        if is_unfinished(&path) || open(&path, id).is_some() {
            // What stays is found again, and changes nothing then.
            opening::forget(&path);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::SystemTime;

    use super::*;

    /// A journal of that name, which is not there; its files are removed at the end.
    struct Place(PathBuf);

    impl Place {
        fn new(name: &str) -> Place {
            Place(format!("/nowhere/{}-{name}.journal", std::process::id()).into())
        }

        /// All files that belong to it, by the ends of their names.
        fn files(&self) -> Vec<PathBuf> {
            let all = paths(&self.0).flat_map(|path| {
                ["", "-wal", "-shm", "-journal"].map(|suffix| place::beside(&path, suffix))
            });
            all.filter(|path| path.symlink_metadata().is_ok()).collect()
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            for file in self.files() {
                let _ = fs::remove_file(&file).or_else(|_| fs::remove_dir(&file));
            }
        }
    }

    fn end() -> Record {
        let key = Digest::of(&[b"call"]);
        Record::End(End::done(0, key, key, 1, None))
    }

    #[test]
    fn where_nothing_can_be_written_nothing_is_left() {
        let place = Place::new("closed");
        let logs: Vec<_> = paths(&place.0)
            .map(|path| place::beside(&path, "-journal"))
            .collect();
        for log in &logs {
            fs::create_dir(log).expect("room");
        }
        assert!(Rescue::begin(&place.0, Id::random()).is_none());
        assert_eq!(place.files(), logs);
    }

    #[test]
    fn one_without_results_is_removed() {
        let place = Place::new("unused");
        let id = Id::random();
        let rescue = Rescue::begin(&place.0, id).expect("room");
        rescue.close();
        assert!(place.files().is_empty());
        let mut rescue = Rescue::begin(&place.0, id).expect("room");
        assert!(rescue.put(&[end()]));
        rescue.close();
        assert_eq!(place.files().len(), 1);
        // Begun again it has what it had.
        Rescue::begin(&place.0, id).expect("ours").close();
        assert!(place.files()[0].metadata().expect("there").len() > 0);
        forget(&place.0, id);
        assert!(place.files().is_empty());
    }

    #[test]
    fn one_of_another_journal_is_looked_at_without_a_trace() {
        let place = Place::new("another");
        let mut rescue = Rescue::begin(&place.0, Id::random()).expect("room");
        assert!(rescue.put(&[end()]));
        rescue.close();
        let before = place.files();
        forget(&place.0, Id::random());
        assert_eq!(place.files(), before);
    }

    #[test]
    fn an_empty_one_is_taken_once_nobody_can_be_making_it() {
        let place = Place::new("unfinished");
        let first = paths(&place.0).next().expect("a name");
        let file = place::create_private(&first).expect("room");
        forget(&place.0, Id::random());
        assert_eq!(place.files(), vec![first.clone()]);
        let old = SystemTime::now() - 2 * MAKING_MAX;
        file.set_modified(old).expect("ours");
        let mut rescue = Rescue::begin(&place.0, Id::random()).expect("room");
        assert_eq!(rescue.path(), first);
        assert!(rescue.put(&[end()]));
        rescue.close();
        fs::remove_file(&first).expect("there");
        let file = place::create_private(&first).expect("room");
        file.set_modified(old).expect("ours");
        forget(&place.0, Id::random());
        assert!(place.files().is_empty());
    }
}

//! Where results go that the journal has no room for.

use std::path::{Path, PathBuf};

use rusqlite::Result;

use crate::digest::Digest;
use crate::look::{self, Damages};
use crate::place::{self, Kind};
use crate::reading;
use crate::record::{End, Record};
use crate::rows::JobRow;
use crate::store::{self, Store};
use crate::sum::Id;

/// Names that are tried: a file that is not ours is left alone.
const NAMES: u32 = 8;

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
            let store = if place::create_private(&path).is_ok() {
                Store::create(&path, id, &JobRow::default()).ok()
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

    /// Closes it, so that it is one file.
    pub(crate) fn close(self) {
        // What stays in its log is found, too.
        let _ = self.store.close();
    }
}

/// What was rescued earlier for the journal of that identity.
fn open(path: &Path, id: Id) -> Option<Store> {
    let is_ours = path
        .symlink_metadata()
        .is_ok_and(|found| is_private(&found));
    if !is_ours || place::kind_at(path).ok()? != Kind::Journal {
        return None;
    }
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
        if open(&path, id).is_some() {
            for suffix in ["", "-wal", "-shm"] {
                // What stays is found again, and changes nothing then.
                let _ = std::fs::remove_file(place::beside(&path, suffix));
            }
        }
    }
}

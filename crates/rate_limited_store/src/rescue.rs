//! Where results go that the journal has no room for.

use std::path::{Path, PathBuf};

use rusqlite::{OptionalExtension, Result};

use crate::digest::Digest;
use crate::journal;
use crate::place;
use crate::record::{End, Record};
use crate::store::{self, Store};

/// A journal in the folder for temporary files, whose results the next opening takes over.
pub(crate) struct Rescue {
    store: Store,
    path: PathBuf,
}

/// Where the results of a journal would be.
fn path_of(journal: &Path) -> PathBuf {
    let whole = journal
        .canonicalize()
        .or_else(|_| std::path::absolute(journal));
    let whole = whole.unwrap_or_else(|_| journal.to_owned());
    let name = Digest::of(&[b"rescue", whole.as_os_str().as_encoded_bytes()]);
    std::env::temp_dir().join(format!("rate-limited-rescue-{name}.db"))
}

impl Rescue {
    pub(crate) fn begin(journal: &Path) -> Result<Rescue> {
        let path = path_of(journal);
        let there = place::open_private(&path).and_then(|file| file.metadata());
        let is_new = there.is_ok_and(|found| found.len() == 0);
        let store = if is_new {
            Store::create(&path)?
        } else {
            let db = store::connect(&path, true)?;
            let totals = store::totals(&db)?.unwrap_or_default();
            Store::of(db, totals)?
        };
        Ok(Rescue { store, path })
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
}

/// Takes over what was rescued for a journal; how many results that were.
pub(crate) fn take_over(journal: &Path, store: &mut Store) -> Result<u64> {
    let path = path_of(journal);
    let is_ours = path
        .symlink_metadata()
        .is_ok_and(|found| is_private(&found));
    if !is_ours {
        return Ok(0);
    }
    let rescued = ends(&path)?;
    let mut missing = Vec::new();
    for end in rescued {
        if !is_known(store, &end)? {
            missing.push(Record::End(end));
        }
    }
    if !missing.is_empty() {
        store.apply(&missing)?;
    }
    for suffix in ["", "-wal", "-shm"] {
        // What stays is found again, and changes nothing then.
        let _ = std::fs::remove_file(place::beside(&path, suffix));
    }
    Ok(missing.len() as u64)
}

/// A file in a folder where anybody can put one is believed only if it is our own.
fn is_private(found: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    let own = rustix::process::geteuid().as_raw();
    let others = 0o077;
    found.is_file() && found.uid() == own && found.mode() & others == 0
}

fn is_known(store: &Store, end: &End) -> Result<bool> {
    let known: Option<Vec<u8>> = store
        .db
        .prepare_cached("SELECT request FROM calls WHERE position = ?1 AND state = 1")?
        .query_row([end.position as i64], |row| row.get(0))
        .optional()?;
    Ok(known.is_some_and(|request| request == end.request.0))
}

/// The results of a rescue; what is damaged there is run again.
fn ends(path: &Path) -> Result<Vec<End>> {
    let db = store::connect(path, true)?;
    let mut rows = db.prepare("SELECT * FROM results ORDER BY number")?;
    let rows = rows.query_map([], |row| Ok(journal::result(row)))?;
    let mut found = Vec::new();
    for row in rows {
        if let Some((_, ended)) = row? {
            found.push(End::from(ended));
        }
    }
    Ok(found)
}

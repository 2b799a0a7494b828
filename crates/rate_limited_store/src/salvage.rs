//! A new journal from what is good in a damaged one.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, Row};

use crate::error::OpenError;
use crate::journal::{self, refused};
use crate::past::{self, Damages};
use crate::place::{self, Held};
use crate::record::{End, Record};
use crate::store::{self, Store};

/// Results that are copied in one commit.
const BATCH: usize = 1_024;

/// What was kept of a damaged journal.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Salvaged {
    /// Results that are what was written.
    pub kept: u64,
    /// Where the damaged file is now.
    pub damaged: PathBuf,
}

/// Makes a journal of what is good in the one at `path`, which stays beside it as
/// `PATH.damaged-1` or the next free number. Calls whose results are damaged are run again.
///
/// # Errors
/// It is in use, or the system refuses.
pub fn salvage(path: &Path) -> Result<Salvaged, OpenError> {
    let held = Held::take(path)?;
    let fresh = place::beside(path, ".salvage");
    let failed = |source| OpenError::System {
        path: path.to_owned(),
        source,
    };
    for suffix in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(place::beside(&fresh, suffix));
    }
    place::open_private(&fresh).map_err(failed)?;
    let kept = copy(path, &fresh).map_err(|error| refused(path, &error))?;
    let damaged = set_aside(path).map_err(failed)?;
    std::fs::rename(&fresh, path).map_err(failed)?;
    // What is missing was told; from now on it is not.
    let _ = std::fs::remove_file(crate::side::path(path));
    drop(held);
    Ok(Salvaged { kept, damaged })
}

/// Moves a journal and its log out of the way.
fn set_aside(path: &Path) -> std::io::Result<PathBuf> {
    let free = (1_u32..).map(|number| place::beside(path, &format!(".damaged-{number}")));
    let mut free = free.filter(|path| path.symlink_metadata().is_err());
    let damaged = free
        .next()
        .unwrap_or_else(|| place::beside(path, ".damaged"));
    std::fs::rename(path, &damaged)?;
    for suffix in ["-wal", "-shm"] {
        // The log belongs to the file that it was written for.
        let _ = std::fs::rename(place::beside(path, suffix), place::beside(&damaged, suffix));
    }
    Ok(damaged)
}

fn copy(from: &Path, to: &Path) -> rusqlite::Result<u64> {
    let mut store = Store::create(to)?;
    let Ok(old) = store::connect(from, true) else {
        return Ok(0);
    };
    let mut ends = Vec::new();
    let mut kept = 0;
    let mut found = |row: &Row<'_>| {
        if let Some((_, ended)) = journal::result(row) {
            ends.push(Record::End(End::from(ended)));
            kept += 1;
        }
        if ends.len() >= BATCH {
            store.apply(&ends)?;
            ends.clear();
        }
        Ok(())
    };
    each(&old, &mut found)?;
    store.apply(&ends)?;
    copy_small(&old, &store)?;
    store.checkpoint(true)?;
    Ok(kept)
}

/// What is known of limits, of calls that are not over, and of the job.
fn copy_small(old: &Connection, store: &Store) -> rusqlite::Result<()> {
    // Damages here are what this is about.
    let mut damages = Damages::default();
    for row in past::open_rows(old, &mut damages).unwrap_or_default() {
        row.put(&store.db)?;
    }
    for known in past::resources(old, &mut damages).unwrap_or_default() {
        store::put_resource(
            &store.db,
            known.id,
            &known.name,
            known.spent,
            known.paused_until,
        )?;
        for (at, amount) in past::charges(old, known.id, &mut damages).unwrap_or_default() {
            store::put_charge(&store.db, known.id, at, amount)?;
        }
    }
    for (name, value) in past::job(old, &mut damages).unwrap_or_default() {
        store::put_meta(&store.db, &name, &value)?;
    }
    Ok(())
}

/// Shows each row of `results` that can be read, whatever lies between them.
fn each(
    db: &Connection,
    found: &mut dyn FnMut(&Row<'_>) -> rusqlite::Result<()>,
) -> rusqlite::Result<()> {
    let mut next = 0_i64;
    loop {
        match read_from(db, next, &mut next, found) {
            Ok(()) => return Ok(()),
            Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull) => {
                return Err(error);
            }
            Err(_) => {}
        }
        match after_the_hole(db, next) {
            Some(number) => next = number,
            None => return Ok(()),
        }
    }
}

fn read_from(
    db: &Connection,
    from: i64,
    next: &mut i64,
    found: &mut dyn FnMut(&Row<'_>) -> rusqlite::Result<()>,
) -> rusqlite::Result<()> {
    let mut rows = db.prepare_cached("SELECT * FROM results WHERE number >= ?1 ORDER BY number")?;
    let mut rows = rows.query([from])?;
    while let Some(row) = rows.next()? {
        *next = row.get::<_, i64>(0)?.saturating_add(1);
        found(row)?;
    }
    Ok(())
}

/// The first number behind the rows that cannot be read: a step that doubles finds one that can be, and
/// halving goes back to the first.
fn after_the_hole(db: &Connection, from: i64) -> Option<i64> {
    let readable = |number: i64| {
        let row = db
            .prepare_cached("SELECT number FROM results WHERE number >= ?1 ORDER BY number LIMIT 1")
            .and_then(|mut query| query.query_row([number], |row| row.get::<_, i64>(0)));
        row.ok()
    };
    let mut step = 1_i64;
    while readable(from.checked_add(step)?).is_none() {
        step = step.checked_mul(2).filter(|step| *step < 1 << 40)?;
    }
    let (mut bad, mut good) = (from, from + step);
    while good - bad > 1 {
        let middle = bad + (good - bad) / 2;
        if readable(middle).is_some() {
            good = middle;
        } else {
            bad = middle;
        }
    }
    Some(good)
}

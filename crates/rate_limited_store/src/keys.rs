//! An index of the calls of a journal by their keys, made when it is needed.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use rusqlite::Connection;

use crate::digest::Digest;
use crate::error::JournalError;
use crate::past::Unfinished;
use crate::record::Position;
use crate::store;
use crate::sum::Id;
use crate::walk;

/// The index lies in a temporary file, so that memory stays flat however many calls there are.
#[derive(Debug)]
pub(crate) struct Keys {
    db: Connection,
    unfinished: HashMap<Digest, Vec<Position>>,
    /// The number of the last result whose call is in it.
    number: i64,
}

impl Keys {
    /// # Errors
    /// A row is damaged: with a wrong key its call would seem to be a new one.
    pub(crate) fn of(
        path: &Path,
        id: Id,
        unfinished: &BTreeMap<Position, Unfinished>,
    ) -> Result<Keys, JournalError> {
        let db = store::connect(path, false)?;
        check(&db, id)?;
        // First the number: what is written meanwhile is taken in twice, and not missed.
        let number = last(&db)?;
        db.execute_batch(
            "CREATE TEMP TABLE keys (key BLOB, position INTEGER, PRIMARY KEY (key, position)) WITHOUT ROWID; \
             INSERT INTO keys SELECT key, position FROM calls ORDER BY key, position",
        )?;
        Ok(Keys {
            db,
            unfinished: by_key(unfinished),
            number,
        })
    }

    /// Takes in the calls that are over since; these are not.
    pub(crate) fn renew(
        &mut self,
        unfinished: &BTreeMap<Position, Unfinished>,
    ) -> rusqlite::Result<()> {
        let number = last(&self.db)?;
        let news = "INSERT OR IGNORE INTO keys SELECT key, position FROM results WHERE number > ?1";
        self.db.prepare_cached(news)?.execute([self.number])?;
        (self.number, self.unfinished) = (number, by_key(unfinished));
        Ok(())
    }

    /// The first position of a key that is wanted.
    pub(crate) fn first(
        &self,
        key: Digest,
        wanted: impl Fn(Position) -> bool,
    ) -> rusqlite::Result<Option<Position>> {
        let begun = self.unfinished.get(&key).into_iter().flatten().copied();
        let begun = begun.filter(|position| wanted(*position)).min();
        let mut rows = self
            .db
            .prepare_cached("SELECT position FROM keys WHERE key = ?1 ORDER BY position")?;
        let mut rows = rows.query([key.0])?;
        while let Some(row) = rows.next()? {
            let position = row.get::<_, i64>(0)? as u64;
            if begun.is_some_and(|begun| begun < position) {
                break;
            }
            if wanted(position) {
                return Ok(Some(position));
            }
        }
        Ok(begun)
    }
}

/// The number of the last result.
fn last(db: &Connection) -> rusqlite::Result<i64> {
    let query = "SELECT coalesce(max(number), 0) FROM results";
    db.query_row(query, [], |row| row.get(0))
}

fn by_key(unfinished: &BTreeMap<Position, Unfinished>) -> HashMap<Digest, Vec<Position>> {
    let mut positions: HashMap<Digest, Vec<Position>> = HashMap::new();
    for (position, call) in unfinished {
        positions.entry(call.key).or_default().push(*position);
    }
    positions
}

/// Looks at each row.
fn check(db: &Connection, id: Id) -> Result<(), JournalError> {
    let mut rows = db.prepare("SELECT * FROM calls")?;
    let mut rows = rows.query([])?;
    while let Some(row) = rows.next()? {
        walk::over(row, id)?;
    }
    Ok(())
}

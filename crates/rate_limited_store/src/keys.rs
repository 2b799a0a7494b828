//! An index of the calls of a journal by their keys, made when it is needed.

use std::collections::HashMap;
use std::path::Path;

use rusqlite::Connection;

use crate::digest::Digest;
use crate::past::Unfinished;
use crate::record::Position;
use crate::store;

/// The index lies in a temporary file, so that memory stays flat however many calls there are.
#[derive(Debug)]
pub(crate) struct Keys {
    db: Connection,
    unfinished: HashMap<Digest, Vec<Position>>,
}

impl Keys {
    pub(crate) fn of<'a>(
        path: &Path,
        unfinished: impl Iterator<Item = (&'a Position, &'a Unfinished)>,
    ) -> rusqlite::Result<Keys> {
        let db = store::connect(path, false)?;
        db.execute_batch(
            "CREATE TEMP TABLE keys (key BLOB, position INTEGER, PRIMARY KEY (key, position)) WITHOUT ROWID; \
             INSERT INTO keys SELECT key, position FROM calls ORDER BY key, position",
        )?;
        let mut by_key: HashMap<Digest, Vec<Position>> = HashMap::new();
        for (position, call) in unfinished {
            by_key.entry(call.key).or_default().push(*position);
        }
        Ok(Keys {
            db,
            unfinished: by_key,
        })
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

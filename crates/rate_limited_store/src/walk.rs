//! The inputs of a run, matched with the calls of its journal.
//!
//! Both come in nearly the same order, so they are walked side by side: the next few thousand rows of the
//! journal are at hand by key. Only an input that is not among them while other rows are left is looked
//! up, in an index that is made at the first such question. Of equal keys the first input has the first
//! row: the k-th occurrence is the k-th everywhere.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

use rusqlite::{Connection, Row};

use crate::digest::Digest;
use crate::error::{Damage, JournalError, Table};
use crate::journal::Journal;
use crate::keys::Keys;
use crate::past::{Past, Unfinished, WRONG_SUM};
use crate::record::{Position, State};
use crate::store::{self, CallRow};

/// Rows at hand on each side of the one that was found last.
const AT_HAND: u64 = 8_192;

/// Rows that are read at once.
const CHUNK: i64 = 1_024;

/// What the journal knows of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing: it has this position from now on.
    New {
        /// Its position.
        position: Position,
    },
    /// It is over.
    Over(Over),
    /// It has begun.
    Unfinished {
        /// Its position.
        position: Position,
        /// How far it came.
        call: Unfinished,
        /// Whether its request is another one than before.
        changed: bool,
    },
}

/// A call of the journal that is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Over {
    /// Its position.
    pub position: Position,
    /// The number of its result.
    pub number: u64,
    /// What it came to.
    pub state: State,
    /// Attempts made.
    pub attempts: u32,
    /// Whether its request is another one than the one that was answered.
    pub changed: bool,
}

/// How the inputs of a run stand to the calls of its journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Census {
    /// Inputs that are what they were.
    pub unchanged: u64,
    /// Inputs with a key of the journal and another request.
    pub changed: u64,
    /// Inputs that the journal does not know.
    pub new: u64,
    /// Calls of the journal that no input has.
    pub gone: u64,
}

impl Census {
    /// Whether the inputs belong to another job: there are some, and no call of the journal is among them
    /// as it was.
    pub fn is_another_job(&self) -> bool {
        let (inputs, calls) = (self.changed + self.new, self.changed + self.gone);
        self.unchanged == 0 && inputs > 0 && calls > 0
    }
}

/// A walk through the inputs of a run and the calls of a journal, side by side.
#[derive(Debug)]
pub struct Walk {
    path: PathBuf,
    db: Connection,
    past: Arc<Past>,
    ahead: Rows,
    /// The position from which on rows are read next.
    read: Position,
    /// The position that was found last.
    cursor: Position,
    /// The first position that no call had when the journal was opened.
    end: Position,
    /// The position of the next new call.
    next: Position,
    taken: Taken,
    /// Rows that were read and left behind.
    passed: u64,
    rows: u64,
    census: Census,
    keys: Option<Keys>,
}

/// A row at hand.
#[derive(Clone, Copy, Debug)]
enum Known {
    Over(Over, Digest),
    Unfinished(Unfinished),
}

/// Rows at hand, by position and by key.
#[derive(Debug, Default)]
struct Rows {
    by_position: BTreeMap<Position, (Digest, Known)>,
    by_key: HashMap<Digest, Vec<Position>>,
}

/// One bit for each position.
#[derive(Debug, Default)]
struct Taken(Vec<u64>);

impl Taken {
    fn has(&self, position: Position) -> bool {
        let word = self.0.get((position / 64) as usize);
        word.is_some_and(|word| word >> (position % 64) & 1 == 1)
    }

    fn add(&mut self, position: Position) {
        let place = (position / 64) as usize;
        if self.0.len() <= place {
            self.0.resize(place + 1, 0);
        }
        self.0[place] |= 1 << (position % 64);
    }
}

impl Walk {
    /// A walk from the beginning.
    ///
    /// New calls get their positions here, so only one walk of a journal may lead to calls.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn new(journal: &Journal) -> Result<Walk, JournalError> {
        let past = Arc::clone(&journal.past);
        let path = journal.path().to_owned();
        let db = store::connect(&path, false)?;
        let counts = past.counts;
        // A call that is run again lies in both tables.
        let both = past
            .unfinished
            .keys()
            .map(|position| is_over(&db, *position));
        let both = both.filter(|found| !matches!(found, Ok(false))).count() as u64;
        Ok(Walk {
            rows: counts.done + counts.failed + counts.unfinished - both,
            end: past.end,
            next: past.end,
            path,
            db,
            past,
            ahead: Rows::default(),
            read: 0,
            cursor: 0,
            taken: Taken::default(),
            passed: 0,
            census: Census::default(),
            keys: None,
        })
    }

    /// What the journal knows of the next input.
    ///
    /// # Errors
    /// A row is damaged, or the file cannot be read.
    pub fn look(&mut self, key: Digest, request: Digest) -> Result<Found, JournalError> {
        self.read_ahead()?;
        let found = match self.ahead.first(key) {
            Some(position) => self.ahead.take(position),
            None if self.passed == 0 && self.read >= self.end => None,
            None => self.search(key)?,
        };
        let Some((position, known)) = found else {
            self.census.new += 1;
            let position = self.next;
            self.next += 1;
            return Ok(Found::New { position });
        };
        self.taken.add(position);
        self.cursor = position;
        let (found, before) = match known {
            Known::Over(over, before) => {
                let changed = before != request;
                (Found::Over(Over { changed, ..over }), before)
            }
            Known::Unfinished(call) => {
                let changed = call.request != request;
                let found = Found::Unfinished {
                    position,
                    call,
                    changed,
                };
                (found, call.request)
            }
        };
        if before == request {
            self.census.unchanged += 1;
        } else {
            self.census.changed += 1;
        }
        Ok(found)
    }

    /// How the inputs so far stand to the calls of the journal.
    pub fn census(&self) -> Census {
        Census {
            gone: self.rows - self.census.unchanged - self.census.changed,
            ..self.census
        }
    }

    /// Keeps the rows around the cursor at hand.
    fn read_ahead(&mut self) -> Result<(), JournalError> {
        while self.read < self.end && self.read < self.cursor + AT_HAND {
            self.read_chunk()?;
        }
        while let Some(first) = self.ahead.by_position.first_key_value() {
            let position = *first.0;
            if position + AT_HAND >= self.cursor {
                break;
            }
            self.ahead.take(position);
            self.passed += 1;
        }
        Ok(())
    }

    fn read_chunk(&mut self) -> Result<(), JournalError> {
        let mut rows = self.db.prepare_cached(
            "SELECT * FROM calls WHERE position >= ?1 AND position < ?2 ORDER BY position LIMIT ?3",
        )?;
        let mut rows = rows.query([self.read as i64, self.end as i64, CHUNK])?;
        let (from, mut count, mut last) = (self.read, 0, self.end - 1);
        while let Some(row) = rows.next()? {
            let (position, key, known) = over(row)?;
            count += 1;
            if count == CHUNK {
                last = position;
            }
            if !self.taken.has(position) && !self.past.unfinished.contains_key(&position) {
                self.ahead.add(position, key, known);
            }
        }
        for (position, call) in self.past.unfinished.range(from..=last) {
            if !self.taken.has(*position) {
                self.ahead
                    .add(*position, call.key, Known::Unfinished(*call));
            }
        }
        self.read = last + 1;
        Ok(())
    }

    /// A row that is not at hand, by its key.
    fn search(&mut self, key: Digest) -> Result<Option<(Position, Known)>, JournalError> {
        if self.keys.is_none() {
            self.keys = Some(Keys::of(&self.path, self.past.unfinished.iter())?);
        }
        let Some(keys) = &self.keys else {
            return Ok(None);
        };
        let taken = &self.taken;
        let Some(position) = keys.first(key, |position| !taken.has(position))? else {
            return Ok(None);
        };
        if let Some(call) = self.past.unfinished.get(&position) {
            return Ok(Some((position, Known::Unfinished(*call))));
        }
        let mut row = self
            .db
            .prepare_cached("SELECT * FROM calls WHERE position = ?1")?;
        let mut rows = row.query([position as i64])?;
        match rows.next()? {
            Some(row) => over(row).map(|(position, _, known)| Some((position, known))),
            None => Ok(None),
        }
    }
}

impl Rows {
    fn add(&mut self, position: Position, key: Digest, known: Known) {
        self.by_position.insert(position, (key, known));
        self.by_key.entry(key).or_default().push(position);
    }

    fn first(&self, key: Digest) -> Option<Position> {
        self.by_key.get(&key)?.iter().min().copied()
    }

    fn take(&mut self, position: Position) -> Option<(Position, Known)> {
        let (key, known) = self.by_position.remove(&position)?;
        if let Some(positions) = self.by_key.get_mut(&key) {
            positions.retain(|other| *other != position);
            if positions.is_empty() {
                self.by_key.remove(&key);
            }
        }
        Some((position, known))
    }
}

fn is_over(db: &Connection, position: Position) -> rusqlite::Result<bool> {
    db.prepare_cached(crate::schema::HAS_CALL)?
        .exists([position as i64])
}

/// A row of `calls`, if it is what was written.
fn over(row: &Row<'_>) -> Result<(Position, Digest, Known), JournalError> {
    let position: i64 = row.get(0)?;
    let damaged = || {
        JournalError::Damaged(Damage {
            table: Table::Calls,
            row: Some(position),
            what: WRONG_SUM.to_owned(),
        })
    };
    let (call, sum) = call_row(row).map_err(|_| damaged())?;
    let state = State::of(call.state).filter(|_| call.sum() == sum);
    let over = Over {
        position: position as u64,
        number: call.number as u64,
        state: state.ok_or_else(damaged)?,
        attempts: call.attempts as u32,
        changed: false,
    };
    Ok((over.position, call.key, Known::Over(over, call.request)))
}

pub(crate) fn call_row(row: &Row<'_>) -> rusqlite::Result<(CallRow, i64)> {
    let call = CallRow {
        position: row.get(0)?,
        key: Digest(row.get(1)?),
        request: Digest(row.get(2)?),
        state: row.get(3)?,
        attempts: row.get(4)?,
        number: row.get(5)?,
    };
    Ok((call, row.get(6)?))
}

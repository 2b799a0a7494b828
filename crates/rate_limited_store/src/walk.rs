//! The inputs of a run, matched with the calls of its journal.
//!
//! Both come in nearly the same order, so they are walked side by side: the next few thousand rows of the
//! journal are at hand by key. Only an input that is not among them while other rows are left is looked
//! up, in an index that is made at the first such question. Of equal keys the first input has the first
//! row: the k-th occurrence is the k-th everywhere.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::{Connection, Row};

use crate::digest::Digest;
use crate::error::{Damage, JournalError, Table};
use crate::journal::Journal;
use crate::keys::Keys;
use crate::log::Visit;
use crate::past::{Past, Unfinished};
use crate::peek::Onlooker;
use crate::record::{Position, State};
use crate::rows::{CallRow, WRONG_SUM};
use crate::store;
use crate::sum::Id;

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
    id: Id,
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
    /// How many rows are read ahead.
    at_hand: u64,
    taken: Taken,
    /// Rows that were read and left behind.
    passed: u64,
    rows: u64,
    census: Census,
    keys: Option<Keys>,
    /// Of one who only looks on; the last field, for it goes when all connections are closed.
    _visit: Option<Visit>,
}

/// A row at hand.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Known {
    Over(Over, Digest),
    Unfinished(Unfinished),
}

/// Rows at hand, by position and by key.
#[derive(Debug, Default)]
struct Rows {
    by_position: BTreeMap<Position, (Digest, Known)>,
    by_key: HashMap<Digest, Vec<Position>>,
}

/// One bit for each position, in blocks: what a file says of positions must not cost memory.
#[derive(Debug, Default)]
pub(crate) struct Taken(HashMap<u64, Box<[u64; 64]>>);

impl Taken {
    /// Positions in a block.
    const BLOCK: u64 = 64 * 64;

    pub(crate) fn has(&self, position: Position) -> bool {
        let block = self.0.get(&(position / Self::BLOCK));
        let (word, bit) = Self::place(position);
        block.is_some_and(|block| block[word] >> bit & 1 == 1)
    }

    pub(crate) fn add(&mut self, position: Position) {
        let block = self.0.entry(position / Self::BLOCK);
        let (word, bit) = Self::place(position);
        block.or_insert_with(|| Box::new([0; 64]))[word] |= 1 << bit;
    }

    /// Takes a position out; whether it was there.
    pub(crate) fn remove(&mut self, position: Position) -> bool {
        let had = self.has(position);
        if let Some(block) = self.0.get_mut(&(position / Self::BLOCK)) {
            let (word, bit) = Self::place(position);
            block[word] &= !(1 << bit);
        }
        had
    }

    fn place(position: Position) -> (usize, u64) {
        ((position / 64 % 64) as usize, position % 64)
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
        Walk::from(journal.id, journal.path(), Arc::clone(&journal.past), None)
    }

    /// A walk of one who only looks on: what it calls new gets no position that anybody else knows of.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn beside(onlooker: &Onlooker) -> Result<Walk, JournalError> {
        let past = Arc::clone(&onlooker.past);
        let visit = Visit::to(&onlooker.path);
        Walk::from(onlooker.id, &onlooker.path, past, Some(visit))
    }

    fn from(
        id: Id,
        path: &Path,
        past: Arc<Past>,
        visit: Option<Visit>,
    ) -> Result<Walk, JournalError> {
        let db = store::connect(path, false)?;
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
            at_hand: AT_HAND,
            id,
            path: path.to_owned(),
            db,
            past,
            ahead: Rows::default(),
            read: 0,
            cursor: 0,
            taken: Taken::default(),
            passed: 0,
            census: Census::default(),
            keys: None,
            _visit: visit,
        })
    }

    /// Begins anew with what the journal has by now, of which these calls are not over. Those that are `busy` belong to
    /// no input; `goes_on`: what no input has is none that is gone.
    pub(crate) fn begin_anew(
        &mut self,
        unfinished: &BTreeMap<Position, Unfinished>,
        busy: &HashSet<Position>,
        goes_on: bool,
    ) -> Result<(), JournalError> {
        if let Some(keys) = &mut self.keys {
            keys.renew(unfinished)?;
        }
        self.past = Arc::new(Past {
            unfinished: unfinished.clone(),
            ..Past::default()
        });
        self.end = self.next;
        self.at_hand = CHUNK as u64;
        (self.read, self.cursor, self.passed) = (0, 0, 0);
        self.ahead = Rows::default();
        self.taken = Taken::default();
        for position in busy {
            self.taken.add(*position);
        }
        self.census = Census::default();
        if goes_on {
            self.rows = 0;
        }
        Ok(())
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
            let position = self.add();
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
            gone: (self.rows).saturating_sub(self.census.unchanged + self.census.changed),
            ..self.census
        }
    }

    /// Keeps the rows around the cursor at hand.
    fn read_ahead(&mut self) -> Result<(), JournalError> {
        while self.read < self.end && self.read < self.cursor + self.at_hand {
            self.read_chunk()?;
        }
        // Lists may be short, and many.
        self.at_hand = AT_HAND.min(2 * self.at_hand);
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
        let mut at_least = from;
        while let Some(row) = rows.next()? {
            let (position, key, known) = over(row, self.id)?;
            if position < at_least || position >= self.end {
                return Err(damaged(position as i64, "it is out of order"));
            }
            at_least = position + 1;
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
            let unfinished = &self.past.unfinished;
            self.keys = Some(Keys::of(&self.path, self.id, unfinished)?);
        }
        let Some(keys) = &self.keys else {
            return Ok(None);
        };
        // What came to its end since the list began belongs to this list.
        let wanted = |position| position < self.end && !self.taken.has(position);
        let Some(position) = keys.first(key, wanted)? else {
            return Ok(None);
        };
        if let Some(call) = self.past.unfinished.get(&position) {
            return Ok(Some((position, Known::Unfinished(*call))));
        }
        Ok(self.row(position)?.map(|known| (position, known)))
    }

    /// The call at this position, if it is over.
    pub(crate) fn row(&self, position: Position) -> Result<Option<Known>, JournalError> {
        let row = "SELECT * FROM calls WHERE position = ?1";
        let mut row = self.db.prepare_cached(row)?;
        let mut rows = row.query([position as i64])?;
        match rows.next()? {
            Some(row) => over(row, self.id).map(|(_, _, known)| Some(known)),
            None => Ok(None),
        }
    }

    /// The position of a new call.
    pub(crate) fn add(&mut self) -> Position {
        self.census.new += 1;
        self.next += 1;
        self.next - 1
    }

    /// No input from now on has the call at this position.
    pub(crate) fn take(&mut self, position: Position) {
        self.taken.add(position);
        self.ahead.take(position);
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
    db.prepare_cached(crate::schema::SUM_OF_CALL)?
        .exists([position as i64])
}

/// A row of `calls`, if it is what was written.
pub(crate) fn over(row: &Row<'_>, id: Id) -> Result<(Position, Digest, Known), JournalError> {
    let call = CallRow::of(row, id);
    let state = call.as_ref().and_then(|call| State::of(call.state));
    let (Some(call), Some(state)) = (call, state) else {
        return Err(damaged(row.get(0).unwrap_or_default(), WRONG_SUM));
    };
    let over = Over {
        position: call.position as u64,
        number: call.number as u64,
        state,
        attempts: call.attempts,
        changed: false,
    };
    Ok((over.position, call.key, Known::Over(over, call.request)))
}

fn damaged(position: i64, what: &str) -> JournalError {
    JournalError::Damaged(Damage {
        table: Table::Calls,
        row: Some(position),
        what: what.to_owned(),
    })
}

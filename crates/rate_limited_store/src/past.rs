//! What opening finds: how far the run came, what is not over, what was taken of the limits.

use std::collections::BTreeMap;

use rusqlite::{Connection, Result, Row};

use crate::digest::Digest;
use crate::error::{Damage, Table};
use crate::record::{Position, State};
use crate::store::{self, IN_FLIGHT, OpenRow, Store, UNKNOWN};
use crate::wall::Wall;

/// What a journal had when it was opened.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Past {
    /// How many calls there are.
    pub counts: Counts,
    /// The calls that have begun and are not over, by their positions.
    pub unfinished: BTreeMap<Position, Unfinished>,
    /// What was taken of each resource, in the order of the options.
    pub meters: Vec<Meter>,
    /// Results at the end that were committed once and are gone: their calls are run again.
    pub lost: u64,
    /// Results that were kept elsewhere while there was no room, and are here now.
    pub rescued: u64,
    /// Whether the count beside the journal could not tell if results are missing.
    pub uncounted: bool,
    /// What the job was when the journal was made, by name.
    pub job: BTreeMap<String, String>,
    /// The first position that no call has.
    pub(crate) end: Position,
}

/// How many calls of a journal are over, or are not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Counts {
    /// Calls with an answer.
    pub done: u64,
    /// Calls that failed for good.
    pub failed: u64,
    /// Calls that have begun and are not over.
    pub unfinished: u64,
    /// Those of them that were in flight when the process died.
    pub unknown: u64,
}

/// A call that has begun and is not over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unfinished {
    /// The key of the call.
    pub key: Digest,
    /// The hash of its request.
    pub request: Digest,
    /// Attempts made.
    pub attempts: u32,
    /// In how many crashes it was in flight.
    pub crashes: u32,
    /// Whether it was in flight when the process died: it may have been answered.
    pub unknown: bool,
}

/// What was taken of a resource.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Meter {
    /// What was charged within its window, the oldest first.
    pub charges: Vec<Charge>,
    /// What was spent of a budget, beside those, in millionths.
    pub spent: i64,
    /// Until when the server asked to leave it alone.
    pub paused_until: Wall,
}

impl Meter {
    /// What was charged, as moments of another clock and millionths, the oldest first; what a budget has
    /// spent comes at its beginning.
    pub fn charges_on(&self, now_nanos: u64) -> impl Iterator<Item = (u64, i64)> {
        let spent = (self.spent != 0).then_some((0, self.spent));
        let charges = self.charges.iter();
        let charges = charges.map(move |charge| (charge.at.nanos_on(now_nanos), charge.micros));
        spent.into_iter().chain(charges)
    }
}

/// An amount that the server has counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Charge {
    /// When.
    pub at: Wall,
    /// How much, in millionths.
    pub micros: i64,
}

/// Damages found while something was read.
#[derive(Debug, Default)]
pub(crate) struct Damages {
    pub(crate) first: Vec<Damage>,
    pub(crate) more: u64,
}

impl Damages {
    /// The most that are kept.
    const KEPT: usize = 8;

    pub(crate) fn add(&mut self, table: Table, row: Option<i64>, what: impl Into<String>) {
        if self.first.len() < Self::KEPT {
            let what = what.into();
            self.first.push(Damage { table, row, what });
        } else {
            self.more += 1;
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_empty()
    }
}

/// What is said of a row whose checksum is wrong.
pub(crate) const WRONG_SUM: &str = "its checksum is wrong";

/// Looks whether the numbers of rows are those that they should be.
pub(crate) fn count(store: &Store, damages: &mut Damages) -> Result<Counts> {
    let mut counts = Counts::default();
    let mut rows = store
        .db
        .prepare("SELECT state, count(*) FROM calls GROUP BY state")?;
    let mut rows = rows.query([])?;
    while let Some(row) = rows.next()? {
        let number: i64 = row.get(1)?;
        match State::of(row.get(0)?) {
            Some(State::Done) => counts.done = number as u64,
            Some(State::Failed) => counts.failed = number as u64,
            None => damages.add(
                Table::Calls,
                None,
                format!("{number} rows of no known state"),
            ),
        }
    }
    let (found, told) = (counts.done + counts.failed, store.totals.calls);
    if found != told {
        damages.add(
            Table::Calls,
            None,
            format!("{found} rows, and {told} were written"),
        );
    }
    let last: Option<i64> = store
        .db
        .query_row("SELECT max(number) FROM results", [], |row| row.get(0))?;
    let (last, told) = (last.unwrap_or(0) as u64, store.totals.results);
    if last != told {
        damages.add(
            Table::Results,
            None,
            format!("the last row is {last}, not {told}"),
        );
    }
    Ok(counts)
}

/// The calls that are not over. Those in flight become unknown, and what was reserved for them counts as
/// used, for good.
pub(crate) fn unfinished(
    store: &Store,
    damages: &mut Damages,
) -> Result<BTreeMap<Position, Unfinished>> {
    let rows = open_rows(&store.db, damages)?;
    if !damages.is_empty() {
        return Ok(BTreeMap::new());
    }
    let now = Wall::now();
    let mut unfinished = BTreeMap::new();
    store.db.execute_batch("BEGIN IMMEDIATE")?;
    for mut row in rows {
        if row.in_flight == IN_FLIGHT {
            for (resource, at, amount) in row.charges() {
                // Where the server counts at an unknown moment, it may do so still.
                store::put_charge(&store.db, resource, at.min(now), amount)?;
            }
            row.in_flight = UNKNOWN;
            row.crashes += 1;
            row.reserved.clear();
            row.put(&store.db)?;
        }
        let call = Unfinished {
            key: row.key,
            request: row.request,
            attempts: row.attempts,
            crashes: row.crashes,
            unknown: row.in_flight == UNKNOWN,
        };
        unfinished.insert(row.position, call);
    }
    store.db.execute_batch("COMMIT")?;
    Ok(unfinished)
}

/// All rows of `open` that are what was written.
pub(crate) fn open_rows(db: &Connection, damages: &mut Damages) -> Result<Vec<OpenRow>> {
    let mut rows = db.prepare("SELECT * FROM open ORDER BY position")?;
    let mut rows = rows.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let position = row.get(0)?;
        match open_row(row) {
            Ok((open, sum)) if open.sum() == sum => found.push(open),
            _ => damages.add(Table::Open, Some(position), WRONG_SUM),
        }
    }
    Ok(found)
}

fn open_row(row: &Row<'_>) -> Result<(OpenRow, i64)> {
    let open = OpenRow {
        position: row.get::<_, i64>(0)? as u64,
        key: Digest(row.get(1)?),
        request: Digest(row.get(2)?),
        attempts: row.get(3)?,
        crashes: row.get(4)?,
        in_flight: row.get(5)?,
        reserved: row.get(6)?,
    };
    Ok((open, row.get(7)?))
}

/// A resource as `resources` has it.
pub(crate) struct Known {
    pub(crate) id: i64,
    pub(crate) name: String,
    pub(crate) spent: i64,
    pub(crate) paused_until: Wall,
}

/// All rows of `resources` that are what was written.
pub(crate) fn resources(db: &Connection, damages: &mut Damages) -> Result<Vec<Known>> {
    let mut rows = db.prepare("SELECT * FROM resources ORDER BY id")?;
    let mut rows = rows.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let id = row.get(0)?;
        match resource(row) {
            Ok((known, sum))
                if store::resource_sum(known.id, &known.name, known.spent, known.paused_until)
                    == sum =>
            {
                found.push(known);
            }
            _ => damages.add(Table::Resources, Some(id), WRONG_SUM),
        }
    }
    Ok(found)
}

fn resource(row: &Row<'_>) -> Result<(Known, i64)> {
    let known = Known {
        id: row.get(0)?,
        name: row.get(1)?,
        spent: row.get(2)?,
        paused_until: Wall(row.get(3)?),
    };
    Ok((known, row.get(4)?))
}

/// What was taken of a resource, from `since` on; older charges are dropped, and those of a budget, for
/// which there is no `since`, are added up.
pub(crate) fn meter(
    store: &Store,
    known: &Known,
    since: Option<Wall>,
    damages: &mut Damages,
) -> Result<Meter> {
    let mut meter = Meter {
        charges: Vec::new(),
        spent: known.spent,
        paused_until: known.paused_until,
    };
    for (at, micros) in charges(&store.db, known.id, damages)? {
        match since {
            Some(since) if at < since => {}
            Some(_) => meter.charges.push(Charge { at, micros }),
            None => meter.spent = meter.spent.saturating_add(micros),
        }
    }
    if !damages.is_empty() {
        return Ok(meter);
    }
    meter.charges.sort_unstable_by_key(|charge| charge.at);
    let before = since.unwrap_or(Wall(i64::MAX));
    store.db.execute_batch("BEGIN IMMEDIATE")?;
    store
        .db
        .prepare_cached(crate::schema::DROP_CHARGES)?
        .execute([known.id, before.0])?;
    if meter.spent != known.spent {
        store::put_resource(
            &store.db,
            known.id,
            &known.name,
            meter.spent,
            known.paused_until,
        )?;
    }
    store.db.execute_batch("COMMIT")?;
    Ok(meter)
}

/// The charges of a resource that are what was written.
pub(crate) fn charges(
    db: &Connection,
    resource: i64,
    damages: &mut Damages,
) -> Result<Vec<(Wall, i64)>> {
    let mut rows = db.prepare("SELECT number, at, amount, sum FROM charges WHERE resource = ?1")?;
    let mut rows = rows.query([resource])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let (at, amount): (Wall, i64) = (Wall(row.get(1)?), row.get(2)?);
        if store::charge_sum(resource, at, amount) == row.get::<_, i64>(3)? {
            found.push((at, amount));
        } else {
            damages.add(Table::Charges, Some(row.get(0)?), WRONG_SUM);
        }
    }
    Ok(found)
}

/// What the journal says of its job.
pub(crate) fn job(db: &Connection, damages: &mut Damages) -> Result<BTreeMap<String, String>> {
    let mut rows = db.prepare("SELECT name, value, sum FROM meta")?;
    let mut rows = rows.query([])?;
    let mut found = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let (name, value): (String, Vec<u8>) = (row.get(0)?, row.get(1)?);
        if store::meta_sum(&name, &value) == row.get::<_, i64>(2)? {
            found.insert(name, String::from_utf8_lossy(&value).into_owned());
        } else {
            damages.add(Table::Meta, None, format!("{name}: {WRONG_SUM}"));
        }
    }
    Ok(found)
}

/// The first position that no call has.
pub(crate) fn end(db: &Connection) -> Result<Position> {
    let last: Option<i64> = db.query_row(
        "SELECT max(last) FROM (SELECT max(position) AS last FROM calls \
         UNION ALL SELECT max(position) FROM open)",
        [],
        |row| row.get(0),
    )?;
    Ok(last.map_or(0, |last| last as u64 + 1))
}

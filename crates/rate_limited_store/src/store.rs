//! The tables of one journal, and records turned into rows.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension, Result, params};

use crate::digest::Digest;
use crate::error::Table;
use crate::record::{Back, Charged, Dispatch, End, Failure, Record};
use crate::schema;
use crate::sum::Sum;
use crate::wall::Wall;

/// How long another connection of a reader may hold things up.
const BUSY: Duration = Duration::from_secs(10);

/// Charges within so many nanoseconds share a row: 1 ms.
const SLOT: i64 = 1_000_000;

/// What `open.in_flight` says.
pub(crate) const WAITING: i64 = 0;
pub(crate) const IN_FLIGHT: i64 = 1;
/// It was in flight when the process died.
pub(crate) const UNKNOWN: i64 = 2;

/// How many rows the tables should have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct Totals {
    pub(crate) calls: u64,
    pub(crate) results: u64,
}

impl Totals {
    fn sum(self) -> i64 {
        let sum = Sum::of(Table::Meta).number(self.calls as i64);
        sum.number(self.results as i64).finish()
    }
}

/// A connection that writes.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) db: Connection,
    pub(crate) totals: Totals,
    /// The rows of the resources, by their places among those of the options.
    pub(crate) resources: Vec<i64>,
}

/// Opens a connection; `write` makes the file where it is not there.
pub(crate) fn connect(path: &Path, write: bool) -> Result<Connection> {
    let access = if write {
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE
    } else {
        OpenFlags::SQLITE_OPEN_READ_ONLY
    };
    let flags = access | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let db = Connection::open_with_flags(absolute(path), flags)?;
    db.busy_timeout(BUSY)?;
    // What a file says must not be run: no triggers or views of a stranger, no trust in its schema.
    db.pragma_update(None, "trusted_schema", false)?;
    db.pragma_update(None, "cell_size_check", true)?;
    db.set_prepared_statement_cache_capacity(64);
    Ok(db)
}

/// The path without links in its folders, which the database would refuse.
fn absolute(path: &Path) -> std::path::PathBuf {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new(".")).canonicalize();
    match (folder, path.file_name()) {
        (Ok(folder), Some(name)) => folder.join(name),
        _ => path.to_owned(),
    }
}

impl Store {
    /// Makes the tables in an empty file. Its header is on the disk before anything else is.
    pub(crate) fn create(path: &Path) -> Result<Store> {
        let db = connect(path, true)?;
        db.execute_batch(&format!(
            "BEGIN IMMEDIATE; PRAGMA application_id = {}; PRAGMA user_version = {}; {} COMMIT",
            schema::APPLICATION,
            schema::FORMAT,
            schema::CREATE
        ))?;
        Store::of(db, Totals::default())?.with_totals()
    }

    /// A store over tables that are there.
    pub(crate) fn of(db: Connection, totals: Totals) -> Result<Store> {
        db.pragma_update(None, "journal_mode", "WAL")?;
        db.pragma_update(None, "wal_autocheckpoint", 0)?;
        Ok(Store {
            db,
            totals,
            resources: Vec::new(),
        })
    }

    fn with_totals(self) -> Result<Store> {
        put_totals(&self.db, self.totals)?;
        Ok(self)
    }

    /// Whether each commit waits for the disk.
    pub(crate) fn durable(&self, power: bool) -> Result<()> {
        let level = if power { "FULL" } else { "NORMAL" };
        self.db.pragma_update(None, "synchronous", level)
    }

    /// Finds the resources, and adds those that are new.
    pub(crate) fn name_resources(&mut self, names: &[String]) -> Result<()> {
        for name in names {
            let known = self
                .db
                .query_row("SELECT id FROM resources WHERE name = ?1", [name], |row| {
                    row.get(0)
                })
                .optional()?;
            let id = match known {
                Some(id) => id,
                None => {
                    let last: Option<i64> =
                        self.db
                            .query_row("SELECT max(id) FROM resources", [], |row| row.get(0))?;
                    let id = last.unwrap_or(0) + 1;
                    put_resource(&self.db, id, name, 0, Wall(0))?;
                    id
                }
            };
            self.resources.push(id);
        }
        Ok(())
    }

    /// Writes records in one commit: all of them or none.
    pub(crate) fn apply(&mut self, records: &[Record]) -> Result<()> {
        let before = self.totals;
        let result = self.apply_all(records);
        if result.is_err() {
            self.totals = before;
            if !self.db.is_autocommit() {
                // What failed is told; a failed way back changes nothing about it.
                let _ = self.db.execute_batch("ROLLBACK");
            }
        }
        result
    }

    fn apply_all(&mut self, records: &[Record]) -> Result<()> {
        self.db.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        let mut charges = Charges::default();
        for record in records {
            match record {
                Record::Dispatch(dispatch) => self.dispatch(dispatch)?,
                Record::Back(back) => self.back(back)?,
                Record::End(end) => self.end(end)?,
                Record::Charge(charge) => charges.add(*charge),
                Record::Pause { resource, until } => self.pause(*resource, *until)?,
            }
        }
        for ((resource, _), (at, amount)) in charges.0 {
            if let Some(id) = self.resources.get(resource as usize) {
                put_charge(&self.db, *id, at, amount)?;
            }
        }
        put_totals(&self.db, self.totals)?;
        self.db.prepare_cached("COMMIT")?.execute([])?;
        Ok(())
    }

    fn dispatch(&self, dispatch: &Dispatch) -> Result<()> {
        let row = OpenRow {
            position: dispatch.position,
            key: dispatch.key,
            request: dispatch.request,
            attempts: dispatch.attempt,
            crashes: dispatch.crashes,
            in_flight: IN_FLIGHT,
            reserved: self.encoded(&dispatch.reserved),
        };
        row.put(&self.db)
    }

    fn back(&self, back: &Back) -> Result<()> {
        let row = OpenRow {
            position: back.position,
            key: back.key,
            request: back.request,
            attempts: back.attempts,
            crashes: back.crashes,
            in_flight: if back.unknown { UNKNOWN } else { WAITING },
            reserved: Vec::new(),
        };
        row.put(&self.db)?;
        self.failure(back.position, back.failure.as_ref())
    }

    fn end(&mut self, end: &End) -> Result<()> {
        let position = end.position as i64;
        self.db
            .prepare_cached(schema::DROP_OPEN)?
            .execute([position])?;
        self.failure(end.position, end.failure.as_ref())?;
        let number = self.totals.results as i64 + 1;
        let result = ResultRow {
            number,
            position,
            key: end.key,
            request: end.request,
            state: end.state.number(),
            attempts: end.attempts.into(),
            body: end.body.as_deref(),
        };
        result.put(&self.db)?;
        let is_new = !self
            .db
            .prepare_cached(schema::HAS_CALL)?
            .exists([position])?;
        let call = CallRow {
            position,
            key: end.key,
            request: end.request,
            state: end.state.number(),
            attempts: end.attempts.into(),
            number,
        };
        call.put(&self.db)?;
        self.totals.results += 1;
        self.totals.calls += u64::from(is_new);
        Ok(())
    }

    fn failure(&self, position: u64, failure: Option<&Failure>) -> Result<()> {
        let Some(failure) = failure else {
            return Ok(());
        };
        let position = position as i64;
        let mut last = self.db.prepare_cached(schema::LAST_FAILURE)?;
        let last: Option<i64> = last.query_row([position], |row| row.get(0))?;
        put_failure(&self.db, position, last.unwrap_or(0) + 1, failure)
    }

    fn pause(&self, place: u32, until: Wall) -> Result<()> {
        let Some(id) = self.resources.get(place as usize) else {
            return Ok(());
        };
        let mut known = self
            .db
            .prepare_cached("SELECT name, spent FROM resources WHERE id = ?1")?;
        let (name, spent): (String, i64) =
            known.query_row([id], |row| Ok((row.get(0)?, row.get(1)?)))?;
        put_resource(&self.db, *id, &name, spent, until)
    }

    /// Amounts as `open.reserved` has them: resource, moment and amount, 24 bytes each.
    fn encoded(&self, charges: &[Charged]) -> Vec<u8> {
        let known = charges
            .iter()
            .filter_map(|charge| Some((*self.resources.get(charge.resource as usize)?, charge)));
        known
            .flat_map(|(id, charge)| [id, charge.at.0, charge.micros])
            .flat_map(i64::to_le_bytes)
            .collect()
    }

    /// Moves what the log has into the tables, so that the log does not grow.
    pub(crate) fn checkpoint(&self, whole: bool) -> Result<()> {
        let mode = if whole { "TRUNCATE" } else { "PASSIVE" };
        self.db
            .query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |_| Ok(()))
    }
}

/// Charges of one commit, those of a moment together.
#[derive(Default)]
struct Charges(BTreeMap<(u32, i64), (Wall, i64)>);

impl Charges {
    fn add(&mut self, charge: Charged) {
        if charge.micros == 0 {
            return;
        }
        let place = (charge.resource, charge.at.0 / SLOT);
        let (at, amount) = self.0.entry(place).or_insert((charge.at, 0));
        // The later moment comes back later: the safe side.
        *at = charge.at.max(*at);
        *amount = amount.saturating_add(charge.micros);
    }
}

/// A row of `calls`.
pub(crate) struct CallRow {
    pub(crate) position: i64,
    pub(crate) key: Digest,
    pub(crate) request: Digest,
    pub(crate) state: i64,
    pub(crate) attempts: i64,
    pub(crate) number: i64,
}

impl CallRow {
    pub(crate) fn sum(&self) -> i64 {
        let sum = Sum::of(Table::Calls).number(self.position);
        let sum = sum.digest(self.key).digest(self.request);
        let sum = sum.number(self.state).number(self.attempts);
        sum.number(self.number).finish()
    }

    pub(crate) fn put(&self, db: &Connection) -> Result<()> {
        db.prepare_cached(schema::PUT_CALL)?.execute(params![
            self.position,
            self.key.0,
            self.request.0,
            self.state,
            self.attempts,
            self.number,
            self.sum(),
        ])?;
        Ok(())
    }
}

/// A row of `open`.
pub(crate) struct OpenRow {
    pub(crate) position: u64,
    pub(crate) key: Digest,
    pub(crate) request: Digest,
    pub(crate) attempts: u32,
    pub(crate) crashes: u32,
    pub(crate) in_flight: i64,
    pub(crate) reserved: Vec<u8>,
}

impl OpenRow {
    pub(crate) fn sum(&self) -> i64 {
        let sum = Sum::of(Table::Open).number(self.position as i64);
        let sum = sum.digest(self.key).digest(self.request);
        let sum = sum.number(self.attempts.into()).number(self.crashes.into());
        let sum = sum.number(self.in_flight);
        sum.bytes(Some(&self.reserved)).finish()
    }

    pub(crate) fn put(&self, db: &Connection) -> Result<()> {
        db.prepare_cached(schema::PUT_OPEN)?.execute(params![
            self.position as i64,
            self.key.0,
            self.request.0,
            self.attempts,
            self.crashes,
            self.in_flight,
            self.reserved,
            self.sum(),
        ])?;
        Ok(())
    }

    /// What is reserved: resource, moment and amount.
    pub(crate) fn charges(&self) -> impl Iterator<Item = (i64, Wall, i64)> {
        self.reserved.chunks_exact(24).map(|charge| {
            let number = |at: usize| {
                let mut bytes = [0; 8];
                bytes.copy_from_slice(&charge[at..at + 8]);
                i64::from_le_bytes(bytes)
            };
            (number(0), Wall(number(8)), number(16))
        })
    }
}

/// A row of `results`.
pub(crate) struct ResultRow<'a> {
    pub(crate) number: i64,
    pub(crate) position: i64,
    pub(crate) key: Digest,
    pub(crate) request: Digest,
    pub(crate) state: i64,
    pub(crate) attempts: i64,
    pub(crate) body: Option<&'a [u8]>,
}

impl ResultRow<'_> {
    pub(crate) fn sum(&self) -> i64 {
        let sum = Sum::of(Table::Results).number(self.number);
        let sum = sum.number(self.position);
        let sum = sum.digest(self.key).digest(self.request);
        let sum = sum.number(self.state).number(self.attempts);
        sum.bytes(self.body).finish()
    }

    pub(crate) fn put(&self, db: &Connection) -> Result<()> {
        db.prepare_cached(schema::PUT_RESULT)?.execute(params![
            self.number,
            self.position,
            self.key.0,
            self.request.0,
            self.state,
            self.attempts,
            self.body,
            self.sum(),
        ])?;
        Ok(())
    }
}

pub(crate) fn failure_sum(position: i64, number: i64, failure: &Failure) -> i64 {
    let sum = Sum::of(Table::Failures).number(position).number(number);
    let sum = sum
        .number(failure.at.0)
        .bytes(Some(failure.kind.as_bytes()));
    sum.bytes(Some(failure.text.as_bytes())).finish()
}

pub(crate) fn put_failure(
    db: &Connection,
    position: i64,
    number: i64,
    failure: &Failure,
) -> Result<()> {
    db.prepare_cached(schema::PUT_FAILURE)?.execute(params![
        position,
        number,
        failure.at.0,
        failure.kind,
        failure.text,
        failure_sum(position, number, failure),
    ])?;
    Ok(())
}

pub(crate) fn charge_sum(resource: i64, at: Wall, amount: i64) -> i64 {
    let sum = Sum::of(Table::Charges).number(resource);
    sum.number(at.0).number(amount).finish()
}

pub(crate) fn put_charge(db: &Connection, resource: i64, at: Wall, amount: i64) -> Result<()> {
    let sum = charge_sum(resource, at, amount);
    db.prepare_cached(schema::PUT_CHARGE)?
        .execute(params![resource, at.0, amount, sum])?;
    Ok(())
}

pub(crate) fn resource_sum(id: i64, name: &str, spent: i64, paused_until: Wall) -> i64 {
    let sum = Sum::of(Table::Resources).number(id);
    let sum = sum.bytes(Some(name.as_bytes())).number(spent);
    sum.number(paused_until.0).finish()
}

pub(crate) fn put_resource(
    db: &Connection,
    id: i64,
    name: &str,
    spent: i64,
    paused_until: Wall,
) -> Result<()> {
    let sum = resource_sum(id, name, spent, paused_until);
    db.prepare_cached(schema::PUT_RESOURCE)?.execute(params![
        id,
        name,
        spent,
        paused_until.0,
        sum
    ])?;
    Ok(())
}

pub(crate) fn put_meta(db: &Connection, name: &str, value: &str) -> Result<()> {
    let sum = meta_sum(name, value.as_bytes());
    db.prepare_cached(schema::PUT_META)?
        .execute(params![name, value.as_bytes(), sum])?;
    Ok(())
}

pub(crate) fn meta_sum(name: &str, value: &[u8]) -> i64 {
    let sum = Sum::of(Table::Meta).bytes(Some(name.as_bytes()));
    sum.bytes(Some(value)).finish()
}

pub(crate) fn put_totals(db: &Connection, totals: Totals) -> Result<()> {
    db.prepare_cached(schema::PUT_TOTALS)?.execute(params![
        totals.calls as i64,
        totals.results as i64,
        totals.sum(),
    ])?;
    Ok(())
}

/// The totals, if they are what was written.
pub(crate) fn totals(db: &Connection) -> Result<Option<Totals>> {
    let row = db
        .query_row(
            "SELECT calls, results, sum FROM totals WHERE id = 0",
            [],
            |row| {
                let totals = Totals {
                    calls: row.get::<_, i64>(0)? as u64,
                    results: row.get::<_, i64>(1)? as u64,
                };
                Ok((totals, row.get::<_, i64>(2)?))
            },
        )
        .optional()?;
    Ok(row
        .filter(|(totals, sum)| totals.sum() == *sum)
        .map(|(totals, _)| totals))
}

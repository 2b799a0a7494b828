//! The tables of one journal, and records turned into rows.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, Error, OpenFlags, OptionalExtension, Result, ffi};

use crate::error::Table;
use crate::place;
use crate::record::{Back, Charged, Dispatch, End, Failure, Record, State};
use crate::rows::{
    CallRow, ChargeRow, FailureRow, IN_FLIGHT, JobRow, OpenRow, ResourceRow, ResultRow, Small,
    UNKNOWN, WAITING,
};
use crate::schema;
use crate::sum::Id;
use crate::totals::Totals;
use crate::wall::Wall;

/// How long another connection of a reader may hold things up.
const BUSY: Duration = Duration::from_secs(10);

/// Charges within so many nanoseconds share a row: 1 ms.
const SLOT: i64 = 1_000_000;

/// A connection that writes.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) db: Connection,
    pub(crate) totals: Totals,
    /// The rows of the resources, by their places among those of the options.
    pub(crate) places: Vec<i64>,
    resources: BTreeMap<i64, ResourceRow>,
}

/// The resource that this is a part of, by its name: one with a key in brackets behind it.
pub(crate) fn whole_of(name: &str) -> Option<&str> {
    Some(name.strip_suffix(']')?.split_once('[')?.0)
}

/// Opens a connection to a file that is there.
pub(crate) fn connect(path: &Path, write: bool) -> Result<Connection> {
    let access = if write {
        OpenFlags::SQLITE_OPEN_READ_WRITE
    } else {
        OpenFlags::SQLITE_OPEN_READ_ONLY
    };
    let flags = access | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let db = Connection::open_with_flags(absolute(path), flags)?;
    db.busy_timeout(BUSY)?;
    // What a file says must not be run: no triggers or views of a stranger, no trust in its schema.
    for (config, on) in [
        (DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false),
        (DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true),
        // Whoever closes a journal says himself when its log is to go into the tables.
        (DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true),
    ] {
        db.set_db_config(config, on)?;
    }
    db.pragma_update(None, "cell_size_check", true)?;
    db.pragma_update(None, "wal_autocheckpoint", 0)?;
    db.set_prepared_statement_cache_capacity(64);
    Ok(db)
}

/// Removes the empty log of a journal that nobody has open: the last one who closes it does.
pub(crate) fn close_up(path: &Path) -> Result<()> {
    let db = connect(path, true)?;
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
    db.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
    db.close().map_err(|(_, error)| error)
}

/// Changes go into a log from now on.
fn keep_a_log(db: &Connection) -> Result<()> {
    let mut statement = db.prepare("PRAGMA journal_mode = WAL")?;
    let mut rows = statement.query([])?;
    let mut is_kept = false;
    // The header is written behind the row that names the mode: only who asks for the next one hears of a
    // disk that fails there.
    while let Some(row) = rows.next()? {
        is_kept = row.get::<_, String>(0)? == "wal";
    }
    if is_kept {
        return Ok(());
    }
    let failed = ffi::Error::new(ffi::SQLITE_IOERR_WRITE);
    let what = "its header could not be written".to_owned();
    Err(Error::SqliteFailure(failed, Some(what)))
}

/// The path without links in its folders, which the database would refuse.
fn absolute(path: &Path) -> PathBuf {
    match (place::folder_of(path).canonicalize(), path.file_name()) {
        (Ok(folder), Some(name)) => folder.join(name),
        _ => path.to_owned(),
    }
}

impl Store {
    /// Makes the tables in an empty file.
    pub(crate) fn create(path: &Path, id: Id, job: &JobRow) -> Result<Store> {
        let db = connect(path, true)?;
        db.execute_batch(&format!("PRAGMA page_size = {}", schema::PAGE))?;
        let tables = schema::TABLES.map(|(_, create)| create).join("; ");
        db.execute_batch(&format!(
            "BEGIN IMMEDIATE; PRAGMA application_id = {}; PRAGMA user_version = {}; {tables}",
            schema::APPLICATION,
            schema::FORMAT,
        ))?;
        let totals = Totals::new(id);
        totals.put(&db)?;
        job.put(&db, id)?;
        db.execute_batch("COMMIT")?;
        keep_a_log(&db)?;
        Ok(Store::of(db, totals, Vec::new()))
    }

    /// A store over tables that are there.
    pub(crate) fn of(db: Connection, totals: Totals, resources: Vec<ResourceRow>) -> Store {
        let resources = resources.into_iter().map(|row| (row.id, row));
        Store {
            db,
            totals,
            places: Vec::new(),
            resources: resources.collect(),
        }
    }

    /// Whether each commit waits for the disk.
    pub(crate) fn durable(&self, power: bool) -> Result<()> {
        let level = if power { "FULL" } else { "NORMAL" };
        self.db.pragma_update(None, "synchronous", level)
    }

    /// Moves the log into the tables and closes the file.
    pub(crate) fn close(self) -> Result<()> {
        self.checkpoint(true)?;
        let on_close = DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE;
        self.db.set_db_config(on_close, false)?;
        self.db.close().map_err(|(_, error)| error)
    }

    /// Makes changes in one commit: all of them or none.
    pub(crate) fn commit(&mut self, change: impl FnOnce(&mut Store) -> Result<()>) -> Result<()> {
        let before = self.totals;
        let result = self.try_commit(change);
        if result.is_err() {
            self.totals = before;
            if !self.db.is_autocommit() {
                // What failed is told; a failed way back changes nothing about it.
                let _ = self.db.execute_batch("ROLLBACK");
            }
        }
        result
    }

    fn try_commit(&mut self, change: impl FnOnce(&mut Store) -> Result<()>) -> Result<()> {
        self.db.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        let before = self.db.total_changes();
        change(self)?;
        if self.db.total_changes() != before {
            self.totals.commits += 1;
            self.totals.put(&self.db)?;
        }
        self.db.prepare_cached("COMMIT")?.execute([])?;
        Ok(())
    }

    /// Writes records in one commit.
    pub(crate) fn apply(&mut self, records: &[Record]) -> Result<()> {
        self.commit(|store| store.write(records))
    }

    /// Writes records; for a commit.
    pub(crate) fn write(&mut self, records: &[Record]) -> Result<()> {
        let mut charges = Charges::default();
        for record in records {
            match record {
                Record::Dispatch(dispatch) => self.dispatch(dispatch)?,
                Record::Back(back) => self.back(back)?,
                Record::End(end) => self.end(end)?,
                Record::Charge(charge) => charges.add(*charge),
                Record::Resource { name } => self.name_resources(&[name])?,
                Record::Pause { resource, until } => {
                    self.change_resource(*resource, |row| row.paused_until = *until)?;
                }
                Record::Learnt { resource, learnt } => {
                    self.change_resource(*resource, |row| row.learnt.clone_from(learnt))?;
                }
            }
        }
        for ((resource, _), (at, amount)) in charges.0 {
            if let Some(resource) = self.places.get(resource as usize).copied() {
                self.put_charge(&ChargeRow {
                    resource,
                    at,
                    amount,
                })?;
            }
        }
        Ok(())
    }

    fn dispatch(&mut self, dispatch: &Dispatch) -> Result<()> {
        let row = OpenRow {
            position: dispatch.position,
            key: dispatch.key,
            request: dispatch.request,
            attempts: dispatch.attempt,
            crashes: dispatch.crashes,
            in_flight: IN_FLIGHT,
            reserved: self.encoded(&dispatch.reserved),
        };
        self.put_open(&row)
    }

    fn back(&mut self, back: &Back) -> Result<()> {
        if back.attempts == 0 && back.crashes == 0 && back.failure.is_none() && !back.unknown {
            // It was never sent: another process has to find no more than this one did.
            return self.drop_open(back.position as i64);
        }
        let row = OpenRow {
            position: back.position,
            key: back.key,
            request: back.request,
            attempts: back.attempts,
            crashes: back.crashes,
            in_flight: if back.unknown { UNKNOWN } else { WAITING },
            reserved: Vec::new(),
        };
        self.put_open(&row)?;
        self.failure(back.position, back.failure.as_ref())
    }

    /// Takes down that a call is over; for a commit.
    pub(crate) fn end(&mut self, end: &End) -> Result<()> {
        let position = end.position as i64;
        self.drop_open(position)?;
        self.failure(end.position, end.failure.as_ref())?;
        let number = self.totals.results as i64 + 1;
        let result = ResultRow {
            number,
            position,
            key: end.key,
            request: end.request,
            state: end.state.number(),
            attempts: end.attempts,
            body: end.body.as_deref(),
        };
        let sum = result.put(&self.db, self.totals.id)?;
        self.totals.results += 1;
        self.totals.replaced(Table::Results, None, Some(sum));
        let before = self.sum_of(schema::SUM_OF_CALL, position)?;
        let call = CallRow {
            position,
            key: end.key,
            request: end.request,
            state: end.state.number(),
            attempts: end.attempts,
            number,
        };
        let sum = call.put(&self.db, self.totals.id)?;
        self.totals.calls += u64::from(before.is_none());
        self.totals.replaced(Table::Calls, before, Some(sum));
        Ok(())
    }

    fn drop_open(&mut self, position: i64) -> Result<()> {
        let open = self.sum_of(schema::SUM_OF_OPEN, position)?;
        if open.is_some() {
            self.db
                .prepare_cached(schema::DROP_OPEN)?
                .execute([position])?;
            self.totals.replaced(Table::Open, open, None);
        }
        Ok(())
    }

    fn failure(&mut self, position: u64, failure: Option<&Failure>) -> Result<()> {
        let Some(failure) = failure else {
            return Ok(());
        };
        let (before, most) = FailureRow::ids(position as i64);
        let last: Option<i64> = self
            .db
            .prepare_cached(schema::LAST_FAILURE)?
            .query_row([before, most], |row| row.get(0))?;
        let row = FailureRow {
            id: last.unwrap_or(before) + 1,
            failure: failure.clone(),
        };
        // Nobody reads the list of so many.
        if row.id <= most {
            self.put_failure(&row)?;
        }
        Ok(())
    }

    fn change_resource(&mut self, place: u32, change: impl FnOnce(&mut ResourceRow)) -> Result<()> {
        let id = self.places.get(place as usize);
        let Some(known) = id.and_then(|id| self.resources.get(id)) else {
            return Ok(());
        };
        let mut row = known.clone();
        change(&mut row);
        self.put_resource(row)
    }

    /// Finds the resources, and adds those that are new; for a commit.
    pub(crate) fn name_resources(&mut self, names: &[&str]) -> Result<()> {
        for name in names {
            let known = self.resources.values().find(|row| row.name == **name);
            if let Some(row) = known {
                self.places.push(row.id);
                continue;
            }
            let last = self.resources.last_key_value();
            let id = last.map_or(1, |(id, _)| id.saturating_add(1));
            self.put_resource(ResourceRow {
                id,
                name: (*name).to_owned(),
                spent: 0,
                paused_until: Wall(0),
                learnt: Vec::new(),
            })?;
            self.places.push(id);
        }
        Ok(())
    }

    /// The names of the resources that are parts of these: they have a key in brackets behind the name.
    pub(crate) fn parts_of(&self, names: &[&str]) -> Vec<String> {
        let known = self.resources.values().map(|row| &row.name);
        let is_part = |name: &&String| {
            let is_of = whole_of(name).is_some_and(|whole| names.contains(&whole));
            is_of && !names.contains(&name.as_str())
        };
        known.filter(is_part).cloned().collect()
    }

    /// What is known of a resource.
    pub(crate) fn resource(&self, id: i64) -> Option<&ResourceRow> {
        self.resources.get(&id)
    }

    pub(crate) fn put_open(&mut self, row: &OpenRow) -> Result<()> {
        let before = self.sum_of(schema::SUM_OF_OPEN, row.position as i64)?;
        let sum = row.put(&self.db, self.totals.id)?;
        self.totals.replaced(Table::Open, before, Some(sum));
        Ok(())
    }

    pub(crate) fn put_failure(&mut self, row: &FailureRow) -> Result<()> {
        let sum = row.put(&self.db, self.totals.id)?;
        self.totals.replaced(Table::Failures, None, Some(sum));
        Ok(())
    }

    pub(crate) fn put_charge(&mut self, row: &ChargeRow) -> Result<()> {
        let sum = row.put(&self.db, self.totals.id)?;
        self.totals.replaced(Table::Charges, None, Some(sum));
        Ok(())
    }

    pub(crate) fn put_resource(&mut self, row: ResourceRow) -> Result<()> {
        let id = self.totals.id;
        let before = self.resources.get(&row.id).map(|before| before.sum(id));
        let sum = row.put(&self.db, id)?;
        self.totals.replaced(Table::Resources, before, Some(sum));
        self.resources.insert(row.id, row);
        Ok(())
    }

    /// Drops the charges of a resource before a moment; for a commit. `all` are those that are there.
    pub(crate) fn drop_charges(
        &mut self,
        resource: i64,
        before: Wall,
        all: &[ChargeRow],
    ) -> Result<()> {
        self.db
            .prepare_cached(schema::DROP_CHARGES)?
            .execute([resource, before.0])?;
        for row in all {
            if row.resource == resource && row.at < before {
                let sum = row.sum(self.totals.id);
                self.totals.replaced(Table::Charges, Some(sum), None);
            }
        }
        Ok(())
    }

    /// What became of a call, if it is over.
    pub(crate) fn state_of(&self, position: u64) -> Result<Option<State>> {
        let mut row = self
            .db
            .prepare_cached("SELECT state FROM calls WHERE position = ?1")?;
        let state = row.query_row([position as i64], |row| row.get(0));
        Ok(state.optional()?.and_then(State::of))
    }

    /// The checksum of a row that is there.
    fn sum_of(&self, query: &str, position: i64) -> Result<Option<i64>> {
        let mut row = self.db.prepare_cached(query)?;
        row.query_row([position], |row| row.get(0)).optional()
    }

    /// Amounts as `open.reserved` has them: resource, moment and amount, 24 bytes each.
    fn encoded(&self, charges: &[Charged]) -> Vec<u8> {
        let known = charges
            .iter()
            .filter_map(|charge| Some((*self.places.get(charge.resource as usize)?, charge)));
        known
            .flat_map(|(id, charge)| [id, charge.at.0, charge.micros.max(0)])
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
        // Nothing gives a quota back: what a file says must not either.
        if charge.micros <= 0 {
            return;
        }
        let place = (charge.resource, charge.at.0 / SLOT);
        let (at, amount) = self.0.entry(place).or_insert((charge.at, 0));
        // The later moment comes back later: the safe side.
        *at = charge.at.max(*at);
        *amount = amount.saturating_add(charge.micros);
    }
}

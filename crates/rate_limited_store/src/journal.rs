//! An open journal.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::ballast::{self, Ballast};
use crate::digest::Digest;
use crate::error::{Damage, JournalError, OpenError, Table};
use crate::past::{self, Damages, Past, WRONG_SUM};
use crate::place::{self, Held, Kind};
use crate::record::{Ended, Failure, Position, Record, State};
use crate::rescue;
use crate::side::{self, Count, Side};
use crate::store::{self, ResultRow, Store};
use crate::wall::Wall;
use crate::writer::{Shared, Writer};

/// The number of a record: it is safe when as many have been written.
pub type Ticket = u64;

/// What a record survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Durability {
    /// The death of the process at any moment. After a loss of power the latest records may be missing,
    /// and that is told.
    #[default]
    Process,
    /// A loss of power, too: each commit waits for the disk.
    Power,
}

/// How a journal is opened.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// What a record survives. Default: the death of the process.
    pub durability: Durability,
    /// How many attempts may be in flight: room is set aside for their answers, 64 KiB each and 8 MiB at
    /// least. Default: 0.
    pub max_concurrent: u32,
    /// The limits of the run, each with the time after which a charge has come back; `None`: never, as in
    /// a budget.
    pub resources: Vec<(String, Option<Duration>)>,
    /// What the run is, by name: a new journal notes it.
    pub job: Vec<(String, String)>,
}

/// A journal, and what it had.
#[derive(Debug)]
pub struct Opened {
    /// The journal.
    pub journal: Journal,
    /// What it had.
    pub past: Past,
}

/// The durable record of a run; a thread of its own writes it.
///
/// Dropping it waits until all is written.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    shared: Arc<Shared>,
    writer: Option<JoinHandle<()>>,
    /// For results on their way back.
    reader: Mutex<Option<Connection>>,
    pub(crate) past: Arc<Past>,
    held: Arc<Held>,
    /// The process that opened it: a child that was forked off has no writer.
    process: u32,
}

impl Journal {
    /// Opens the journal at `path`, or makes one.
    ///
    /// # Errors
    /// It is in use, no journal, of a later version, damaged, on a network file system, or the system
    /// refuses. Nothing was changed then.
    pub fn open(path: &Path, options: &Options) -> Result<Opened, OpenError> {
        let was_there = path.symlink_metadata().is_ok();
        let held = Held::take(path)?;
        let result = Journal::open_held(path, held, options);
        if result.is_err() && !was_there {
            // Made here, and nobody needs it.
            let _ = std::fs::remove_file(path);
        }
        result
    }

    fn open_held(path: &Path, held: Held, options: &Options) -> Result<Opened, OpenError> {
        let failed = |source| OpenError::System {
            path: path.to_owned(),
            source,
        };
        let count = side::count(path).map_err(failed)?;
        let mut store = store_of(path, &held, count)?;
        let side = Side::open(path, &holder()).map_err(failed)?;
        let bytes = ballast::size(options.max_concurrent);
        let ballast = Ballast::set_aside(path, bytes).map_err(|error| match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                OpenError::NoRoom {
                    path: path.to_owned(),
                    bytes,
                }
            }
            _ => failed(error),
        })?;
        let past = read_past(path, &mut store, count, options)?;
        side.put(store.totals.results).map_err(failed)?;
        let power = options.durability == Durability::Power;
        store
            .durable(power)
            .map_err(|error| refused(path, &error))?;
        let held = Arc::new(held);
        let writer = Writer {
            path: path.to_owned(),
            store,
            held: Arc::clone(&held),
            side,
            ballast,
            power,
            log_pages: 0,
            trouble: None,
        };
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        let thread = thread::Builder::new().name("journal".to_owned());
        let thread = thread.spawn(move || writer.run(&theirs)).map_err(failed)?;
        let journal = Journal {
            path: path.to_owned(),
            shared,
            writer: Some(thread),
            reader: Mutex::new(None),
            past: Arc::new(past.clone()),
            held,
            process: std::process::id(),
        };
        Ok(Opened { journal, past })
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Hands a record to the writer. It is safe when [`Journal::written`] has reached the ticket.
    ///
    /// # Errors
    /// A dispatch after the journal failed: nothing new may leave. Everything else is still taken, and
    /// kept wherever there is room.
    pub fn push(&self, record: Record) -> Result<Ticket, JournalError> {
        self.shared.push(record)
    }

    /// The ticket of the last record that is safe.
    pub fn written(&self) -> Ticket {
        self.shared.written()
    }

    /// Waits until a record is safe.
    ///
    /// # Errors
    /// The writer ended before.
    pub fn wait(&self, ticket: Ticket) -> Result<(), JournalError> {
        self.shared.wait(ticket)
    }

    /// What keeps the journal from being written as usual, if anything does.
    pub fn error(&self) -> Option<JournalError> {
        self.shared.error()
    }

    /// Calls `tell` after each commit, on the thread of the writer.
    pub fn on_news(&self, tell: impl Fn() + Send + 'static) {
        self.shared.on_news(Box::new(tell));
    }

    /// Reads the result of that number, and checks it.
    ///
    /// # Errors
    /// It is missing or damaged, or the file cannot be read.
    pub fn read(&self, number: u64) -> Result<Ended, JournalError> {
        self.reading(|db| read(db, number as i64))
    }

    /// What went wrong with the attempts of a call, in order.
    ///
    /// # Errors
    /// A row is damaged, or the file cannot be read.
    pub fn failures(&self, position: Position) -> Result<Vec<Failure>, JournalError> {
        self.reading(|db| failures(db, position as i64))
    }

    /// Notes what the job is from now on.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn renew_job(&self, job: &[(String, String)]) -> Result<(), JournalError> {
        let db = store::connect(&self.path, true)?;
        for (name, value) in job {
            store::put_meta(&db, name, value)?;
        }
        Ok(())
    }

    /// In a child that was forked off: lets go of the lock, which then ends with the parent. Everything
    /// else about a journal belongs to the process that opened it.
    pub fn let_go_in_child(&self) {
        if std::process::id() != self.process {
            self.held.let_go();
        }
    }

    fn reading<T>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, JournalError>,
    ) -> Result<T, JournalError> {
        let reader = &mut *self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        let db = match reader.take() {
            Some(db) => db,
            None => store::connect(&self.path, false)?,
        };
        let found = read(&db);
        *reader = Some(db);
        found
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        let reader = self
            .reader
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if std::process::id() != self.process {
            // Its thread stayed with the parent, and so must its files.
            std::mem::forget(reader);
            return;
        }
        drop(reader);
        self.shared.close();
        let writer = self.writer.take();
        // Whoever heard of the last commit may be the last to have the journal.
        let here = thread::current().id();
        if let Some(writer) = writer.filter(|writer| writer.thread().id() != here) {
            // A writer that panicked has told so already.
            let _ = writer.join();
        }
    }
}

/// Removes a journal and all that belongs to it.
///
/// # Errors
/// It is in use, is no journal, or cannot be removed.
pub fn remove(path: &Path) -> Result<(), OpenError> {
    let failed = |source| OpenError::System {
        path: path.to_owned(),
        source,
    };
    if path.symlink_metadata().is_ok() {
        let held = Held::take(path)?;
        if let Kind::Foreign(what) = held.kind().map_err(failed)? {
            let (path, what) = (path.to_owned(), what.to_owned());
            return Err(OpenError::Foreign { path, what });
        }
    }
    for suffix in ["-ballast", "-wal", "-shm", "-count", ""] {
        match std::fs::remove_file(place::beside(path, suffix)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(failed(error));
            }
            _ => {}
        }
    }
    Ok(())
}

/// The tables of the file that is held.
fn store_of(path: &Path, held: &Held, count: Count) -> Result<Store, OpenError> {
    let failed = |source| OpenError::System {
        path: path.to_owned(),
        source,
    };
    let owned = || path.to_owned();
    let store = match held.kind().map_err(failed)? {
        Kind::Empty => {
            if let Count::Known(results @ 1..) = count {
                let mut damages = Damages::default();
                let what = format!("the file is empty or gone, and {results} results were in it");
                damages.add(Table::Results, None, what);
                return Err(damaged(path, damages));
            }
            let store = Store::create(path);
            store.and_then(|store| store.checkpoint(true).map(|()| store))
        }
        Kind::Journal => existing(path),
        Kind::Newer(found) => {
            return Err(OpenError::Newer {
                path: owned(),
                found,
                known: crate::schema::FORMAT,
            });
        }
        Kind::Foreign(what) => {
            return Err(OpenError::Foreign {
                path: owned(),
                what: what.to_owned(),
            });
        }
    };
    store.map_err(|error| refused(path, &error))
}

fn existing(path: &Path) -> rusqlite::Result<Store> {
    let db = store::connect(path, true)?;
    let totals = store::totals(&db)?;
    let Some(totals) = totals else {
        return Err(rusqlite::Error::QueryReturnedNoRows);
    };
    Store::of(db, totals)
}

fn read_past(
    path: &Path,
    store: &mut Store,
    count: Count,
    options: &Options,
) -> Result<Past, OpenError> {
    let mut damages = Damages::default();
    let past = past_of(path, store, options, &mut damages);
    if !damages.is_empty() {
        return Err(damaged(path, damages));
    }
    let mut past = past.map_err(|error| refused(path, &error))?;
    past.uncounted = count == Count::Damaged;
    let before = store.totals.results - past.rescued;
    if let Count::Known(counted) = count {
        past.lost = counted.saturating_sub(before);
    }
    Ok(past)
}

fn past_of(
    path: &Path,
    store: &mut Store,
    options: &Options,
    damages: &mut Damages,
) -> rusqlite::Result<Past> {
    let mut past = Past {
        counts: past::count(store, damages)?,
        job: past::job(&store.db, damages)?,
        unfinished: past::unfinished(store, damages)?,
        ..Past::default()
    };
    past::resources(&store.db, damages)?;
    if !damages.is_empty() {
        return Ok(past);
    }
    let names: Vec<_> = options
        .resources
        .iter()
        .map(|(name, _)| name.clone())
        .collect();
    store.name_resources(&names)?;
    past.rescued = rescue::take_over(path, store)?;
    if past.rescued > 0 {
        past.counts = past::count(store, damages)?;
        past.unfinished = past::unfinished(store, damages)?;
    }
    let now = Wall::now();
    let known = past::resources(&store.db, damages)?;
    for ((_, window), id) in options.resources.iter().zip(store.resources.clone()) {
        let since = window.map(|window| {
            let nanos = i64::try_from(window.as_nanos()).unwrap_or(i64::MAX);
            Wall(now.0.saturating_sub(nanos))
        });
        if let Some(known) = known.iter().find(|known| known.id == id) {
            past.meters.push(past::meter(store, known, since, damages)?);
        }
    }
    past.end = past::end(&store.db)?;
    past.counts.unfinished = past.unfinished.len() as u64;
    past.counts.unknown = past.unfinished.values().filter(|call| call.unknown).count() as u64;
    let is_new = past.job.is_empty() && past.end == 0;
    if is_new {
        for (name, value) in &options.job {
            store::put_meta(&store.db, name, value)?;
            past.job.insert(name.clone(), value.clone());
        }
    }
    Ok(past)
}

pub(crate) fn damaged(path: &Path, damages: Damages) -> OpenError {
    OpenError::Damaged {
        path: path.to_owned(),
        damages: damages.first,
        more: damages.more,
    }
}

/// What an error of the database means for opening.
pub(crate) fn refused(path: &Path, error: &rusqlite::Error) -> OpenError {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
    let broken = match error.sqlite_error_code() {
        Some(code) => matches!(code, DatabaseCorrupt | NotADatabase),
        // A value of another type, a row or a table that is not there.
        None => true,
    };
    let is_schema = error.to_string().contains("no such");
    if broken || is_schema {
        let mut damages = Damages::default();
        damages.add(Table::Meta, None, what(error));
        return damaged(path, damages);
    }
    OpenError::Database {
        path: path.to_owned(),
        message: error.to_string(),
    }
}

fn what(error: &rusqlite::Error) -> String {
    match error {
        rusqlite::Error::QueryReturnedNoRows => {
            "the numbers of rows are not what was written".to_owned()
        }
        _ => error.to_string(),
    }
}

pub(crate) fn read(db: &Connection, number: i64) -> Result<Ended, JournalError> {
    let damage = |what: &str| {
        JournalError::Damaged(Damage {
            table: Table::Results,
            row: Some(number),
            what: what.to_owned(),
        })
    };
    let found = db
        .prepare_cached("SELECT * FROM results WHERE number = ?1")?
        .query_row([number], |row| Ok(result(row)))
        .optional();
    match found {
        Ok(Some(Some((_, ended)))) => Ok(ended),
        Ok(Some(None)) => Err(damage(WRONG_SUM)),
        Ok(None) => Err(damage("it is missing")),
        Err(error) => Err(damage(&error.to_string())),
    }
}

/// A row of `results` as it was written, with its number; `None` if it is not.
pub(crate) fn result(row: &Row<'_>) -> Option<(u64, Ended)> {
    let number: i64 = row.get(0).ok()?;
    let body = match row.get_ref(6).ok()? {
        ValueRef::Null => None,
        ValueRef::Blob(bytes) => Some(bytes),
        _ => return None,
    };
    let found = ResultRow {
        number,
        position: row.get(1).ok()?,
        key: Digest(row.get(2).ok()?),
        request: Digest(row.get(3).ok()?),
        state: row.get(4).ok()?,
        attempts: row.get(5).ok()?,
        body,
    };
    if row.get::<_, i64>(7).ok()? != found.sum() {
        return None;
    }
    let ended = Ended {
        position: found.position as u64,
        key: found.key,
        request: found.request,
        state: State::of(found.state)?,
        attempts: u32::try_from(found.attempts).ok()?,
        body: body.map(<[u8]>::to_vec),
    };
    Some((number as u64, ended))
}

pub(crate) fn failures(db: &Connection, position: i64) -> Result<Vec<Failure>, JournalError> {
    let mut rows = db.prepare_cached(
        "SELECT number, at, kind, text, sum FROM failures WHERE position = ?1 ORDER BY number",
    )?;
    let mut rows = rows.query(params![position])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let failure = Failure {
            at: Wall(row.get(1)?),
            kind: row.get(2)?,
            text: row.get(3)?,
        };
        if store::failure_sum(position, row.get(0)?, &failure) != row.get::<_, i64>(4)? {
            return Err(JournalError::Damaged(Damage {
                table: Table::Failures,
                row: Some(position),
                what: WRONG_SUM.to_owned(),
            }));
        }
        found.push(failure);
    }
    Ok(found)
}

/// Who has a journal, in words for others.
fn holder() -> String {
    let host = rustix::system::uname();
    let host = host.nodename().to_string_lossy();
    let process = std::process::id();
    let since = jiff::Timestamp::now();
    format!("process {process} on {host}, since {since:.0}")
}

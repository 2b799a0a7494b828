//! An open journal.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rusqlite::Connection;

use crate::ballast;
use crate::digest::Digest;
use crate::error::{JournalError, OpenError};
use crate::look;
use crate::opening::{self, Parts};
use crate::past::Past;
use crate::place::Held;
use crate::reading;
use crate::record::{Ended, Failure, Position, Record};
use crate::rows::JobRow;
use crate::store;
use crate::sum::Id;
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
    pub(crate) id: Id,
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
        let bytes = ballast::size(options.max_concurrent);
        let told = |error| opening::for_want_of_room(path, bytes, error);
        let mut held = Held::take(path).map_err(told)?;
        match opening::open(path, &mut held, options).map_err(told) {
            Ok(parts) => Journal::of(path, held, options, parts).map_err(opening::system(path)),
            Err(error) => {
                held.undo();
                Err(error)
            }
        }
    }

    fn of(path: &Path, held: Held, options: &Options, parts: Parts) -> io::Result<Opened> {
        let held = Arc::new(held);
        let past = parts.past;
        let id = parts.store.totals.id;
        let writer = Writer {
            path: path.to_owned(),
            held: Arc::clone(&held),
            store: parts.store,
            side: parts.side,
            ballast: parts.ballast,
            power: options.durability == Durability::Power,
            log: None,
            log_pages: 0,
            trouble: None,
        };
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        let thread = thread::Builder::new().name("journal".to_owned());
        let thread = thread.spawn(move || writer.run(&theirs))?;
        let journal = Journal {
            path: path.to_owned(),
            id,
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

    /// Hands a record to the writer. It is safe when [`Journal::written`] has reached the ticket and
    /// there is no [`Journal::error`].
    ///
    /// # Errors
    /// A dispatch after the journal failed: nothing new may leave. Everything else is still taken, and
    /// kept wherever there is room. In a child that was forked off, nothing is taken.
    pub fn push(&self, record: Record) -> Result<Ticket, JournalError> {
        self.ours()?;
        self.shared.push(record)
    }

    /// The ticket of the last record that the writer is done with. Up to the first
    /// [`error`](Journal::error) all of them are safe; after it, [`Journal::is_safe`] tells.
    pub fn written(&self) -> Ticket {
        self.ours().map_or(0, |()| self.shared.written())
    }

    /// Whether a record is in the journal or, if it is a result, at least where the next opening finds it.
    pub fn is_safe(&self, ticket: Ticket) -> bool {
        self.ours().is_ok() && self.shared.is_safe(ticket)
    }

    /// Waits until the writer is done with a record.
    ///
    /// # Errors
    /// It is not safe, and will not be.
    pub fn wait(&self, ticket: Ticket) -> Result<(), JournalError> {
        self.ours()?;
        self.shared.wait(ticket)
    }

    /// What keeps the journal from being written as usual, if anything does.
    pub fn error(&self) -> Option<JournalError> {
        match self.ours() {
            Ok(()) => self.shared.error(),
            Err(error) => Some(error),
        }
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
        self.reading(|db| reading::read(db, self.id, number))
    }

    /// Reads the latest result of a call, and checks it.
    ///
    /// # Errors
    /// There is none, or it is damaged, or the file cannot be read.
    pub fn latest(&self, position: Position) -> Result<Ended, JournalError> {
        self.reading(|db| reading::latest(db, self.id, position))
    }

    /// What tells this journal from all others, each time it is open.
    pub fn identity(&self) -> Digest {
        Digest::of(&[b"journal".as_slice(), &self.id.bytes()])
    }

    /// Whether the result of that number is this one. It is not copied, nor is its checksum looked at.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn is_result(&self, number: u64, body: &[u8]) -> Result<bool, JournalError> {
        self.reading(|db| reading::is_result(db, number, body))
    }

    /// Whether any of these is a result of a call, whichever. All results are looked at.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn has_result(&self, bodies: &[&[u8]]) -> Result<bool, JournalError> {
        self.reading(|db| reading::has_result(db, bodies))
    }

    /// What went wrong with the attempts of a call, in order.
    ///
    /// # Errors
    /// A row is damaged, or the file cannot be read.
    pub fn failures(&self, position: Position) -> Result<Vec<Failure>, JournalError> {
        self.reading(|db| reading::failures(db, self.id, position))
    }

    /// Notes what the job is from now on; what it does not name stays as it was.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn renew_job(&self, job: &[(String, String)]) -> Result<(), JournalError> {
        self.ours()?;
        if !self.held.is_there() {
            return Err(JournalError::Read("it was moved or removed".to_owned()));
        }
        let db = store::connect(&self.path, true)?;
        db.execute_batch("BEGIN IMMEDIATE")?;
        let known = look::job(&db, self.id)?.unwrap_or_default();
        let mut pairs: BTreeMap<_, _> = known.0.into_iter().collect();
        pairs.extend(job.iter().cloned());
        JobRow(pairs.into_iter().collect()).put(&db, self.id)?;
        db.execute_batch("COMMIT")?;
        Ok(())
    }

    /// In a child that was forked off: lets go of the lock, which then ends with the parent. Everything
    /// else about a journal belongs to the process that opened it.
    pub fn let_go_in_child(&self) {
        if self.ours().is_err() {
            self.held.let_go();
        }
    }

    /// Whether this is the process that opened it: in a child that was forked off there is no writer.
    fn ours(&self) -> Result<(), JournalError> {
        if std::process::id() == self.process {
            Ok(())
        } else {
            Err(JournalError::Closed)
        }
    }

    fn reading<T>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, JournalError>,
    ) -> Result<T, JournalError> {
        self.ours()?;
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
        if self.ours().is_err() {
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

//! The thread that commits, and what the others share with it.

use std::path::PathBuf;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use rusqlite::ErrorCode;

use crate::ballast::Ballast;
use crate::error::JournalError;
use crate::place::Held;
use crate::record::Record;
use crate::rescue::Rescue;
use crate::side::Side;
use crate::store::Store;

/// The most records in one commit.
const BATCH: usize = 4_096;

/// Pages of the log after which it is moved into the tables: 8 MiB.
const LOG_PAGES: u64 = 2_048;

/// The pages that a commit touches beside its results.
const COMMIT_PAGES: u64 = 6;

/// What producers and the writer share.
#[derive(Default)]
pub(crate) struct Shared {
    queue: Mutex<Queue>,
    work: Condvar,
    news: Condvar,
    on_news: Mutex<Option<Box<dyn Fn() + Send>>>,
}

#[derive(Default)]
struct Queue {
    records: Vec<Record>,
    /// Records taken in so far.
    pushed: u64,
    /// Records that were committed so far.
    written: u64,
    error: Option<JournalError>,
    closing: bool,
    ended: bool,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Shared")
    }
}

impl Shared {
    /// Takes in a record, and gives the number that [`Shared::written`] reaches when it is safe.
    pub(crate) fn push(&self, record: Record) -> Result<u64, JournalError> {
        let mut queue = self.lock();
        match &queue.error {
            // What comes back is kept wherever there is room; nothing new leaves.
            Some(error) if matches!(record, Record::Dispatch(_)) => return Err(error.clone()),
            _ if queue.closing => return Err(JournalError::Closed),
            _ => {}
        }
        queue.records.push(record);
        queue.pushed += 1;
        if queue.records.len() == 1 {
            self.work.notify_one();
        }
        Ok(queue.pushed)
    }

    /// The number of records that are safe.
    pub(crate) fn written(&self) -> u64 {
        self.lock().written
    }

    pub(crate) fn error(&self) -> Option<JournalError> {
        self.lock().error.clone()
    }

    /// Waits until a record is safe.
    pub(crate) fn wait(&self, ticket: u64) -> Result<(), JournalError> {
        let mut queue = self.lock();
        while queue.written < ticket && !queue.ended {
            queue = self
                .news
                .wait(queue)
                .unwrap_or_else(PoisonError::into_inner);
        }
        if queue.written >= ticket {
            return Ok(());
        }
        Err(queue.error.clone().unwrap_or(JournalError::Closed))
    }

    pub(crate) fn on_news(&self, tell: Box<dyn Fn() + Send>) {
        *self.on_news.lock().unwrap_or_else(PoisonError::into_inner) = Some(tell);
    }

    /// Asks the writer to end when all is written.
    pub(crate) fn close(&self) {
        self.lock().closing = true;
        self.work.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next records to commit; `None` when there will be none.
    fn take(&self, batch: &mut Vec<Record>) -> bool {
        let mut queue = self.lock();
        while queue.records.is_empty() {
            if queue.closing {
                return false;
            }
            queue = self
                .work
                .wait(queue)
                .unwrap_or_else(PoisonError::into_inner);
        }
        if queue.records.len() <= BATCH {
            std::mem::swap(&mut queue.records, batch);
        } else {
            batch.extend(queue.records.drain(..BATCH));
        }
        true
    }

    /// Tells that records are safe, or that they will never be.
    fn tell(&self, written: u64, error: Option<JournalError>) {
        let mut queue = self.lock();
        queue.written += written;
        if error.is_some() {
            queue.error = error;
        }
        drop(queue);
        self.news.notify_all();
        let tell = self.on_news.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(tell) = &*tell {
            tell();
        }
    }

    fn end(&self) {
        self.lock().ended = true;
        self.news.notify_all();
    }
}

/// What the thread owns.
pub(crate) struct Writer {
    pub(crate) path: PathBuf,
    pub(crate) store: Store,
    pub(crate) held: std::sync::Arc<Held>,
    pub(crate) side: Side,
    pub(crate) ballast: Ballast,
    pub(crate) power: bool,
    pub(crate) log_pages: u64,
    pub(crate) trouble: Option<Trouble>,
}

/// What keeps the journal from being written as usual.
pub(crate) enum Trouble {
    /// The disk is full; what was set aside takes what was in flight.
    Full,
    /// It cannot be written: what still comes goes elsewhere.
    Broken(Option<Rescue>),
}

impl Writer {
    /// Commits until the journal is closed.
    pub(crate) fn run(mut self, shared: &Shared) {
        let mut batch = Vec::new();
        while shared.take(&mut batch) {
            let error = self.write(&batch);
            shared.tell(batch.len() as u64, error);
            batch.clear();
        }
        if self.trouble.is_none() {
            // All is safe in the log already; a failure here costs the next opening some time.
            let _ = self.store.checkpoint(true);
        }
        // The database first: when it closes its file, locks of this process on it may go.
        drop(self.store);
        drop(self.ballast);
        shared.end();
    }

    /// Writes a batch wherever there is room for it. The error, if there is a new one.
    fn write(&mut self, batch: &[Record]) -> Option<JournalError> {
        if let Some(Trouble::Broken(_)) = self.trouble {
            return self.rescue(batch, "it failed before");
        }
        if !self.held.is_there() {
            self.trouble = Some(Trouble::Broken(None));
            return self.rescue(batch, "it was moved or removed while it was in use");
        }
        let was_full = matches!(self.trouble, Some(Trouble::Full));
        let mut result = self.store.apply(batch);
        if result.as_ref().is_err_and(is_for_want_of_room) && self.ballast.free() {
            self.trouble = Some(Trouble::Full);
            result = self.store.apply(batch);
        }
        if let Err(error) = result {
            self.trouble = Some(Trouble::Broken(None));
            return self.rescue(batch, &error.to_string());
        }
        if let Err(message) = self.after(batch) {
            // The batch stands; what comes after it does not.
            self.trouble = Some(Trouble::Broken(None));
            return self.rescue(&[], &message);
        }
        let is_full = matches!(self.trouble, Some(Trouble::Full));
        (is_full && !was_full).then(|| JournalError::Full(self.path.clone()))
    }

    /// What follows a commit: the count beside it, and now and then an empty log.
    fn after(&mut self, batch: &[Record]) -> Result<(), String> {
        let counted = self.side.put(self.store.totals.results);
        let synced = counted.and_then(|()| if self.power { self.side.sync() } else { Ok(()) });
        synced.map_err(|error| error.to_string())?;
        self.log_pages += COMMIT_PAGES + batch.iter().map(size).sum::<u64>() / 4_096;
        if self.log_pages < LOG_PAGES {
            return Ok(());
        }
        self.log_pages = 0;
        let mut result = self.store.checkpoint(false);
        if result.as_ref().is_err_and(is_for_want_of_room) && self.ballast.free() {
            self.trouble = Some(Trouble::Full);
            result = self.store.checkpoint(false);
        }
        result.map_err(|error| error.to_string())
    }

    /// Puts the results of a batch into a journal in the folder for temporary files.
    fn rescue(&mut self, batch: &[Record], why: &str) -> Option<JournalError> {
        let Some(Trouble::Broken(rescue)) = &mut self.trouble else {
            return None;
        };
        let is_first = rescue.is_none();
        if is_first {
            *rescue = Rescue::begin(&self.path).ok();
        }
        let put = rescue.as_mut().is_some_and(|rescue| rescue.put(batch));
        let path = rescue.as_ref().filter(|_| put).map(Rescue::path);
        (is_first || !put).then(|| JournalError::Write {
            path: self.path.clone(),
            message: why.to_owned(),
            rescue: path,
        })
    }
}

/// The bytes that a record takes in the log, roughly.
fn size(record: &Record) -> u64 {
    const ROW: u64 = 200;
    match record {
        Record::End(end) => ROW + end.body.as_ref().map_or(0, |body| body.len() as u64),
        _ => ROW,
    }
}

/// Whether more room could help. A failed wait for the disk is not of this kind: what it was about may
/// be lost already.
fn is_for_want_of_room(error: &rusqlite::Error) -> bool {
    const IOERR_FSYNC: i32 = 10 | 4 << 8;
    const IOERR_DIR_FSYNC: i32 = 10 | 5 << 8;
    match error {
        rusqlite::Error::SqliteFailure(error, _) => match error.code {
            ErrorCode::DiskFull => true,
            ErrorCode::SystemIoFailure => {
                !matches!(error.extended_code, IOERR_FSYNC | IOERR_DIR_FSYNC)
            }
            _ => false,
        },
        _ => false,
    }
}

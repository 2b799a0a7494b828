//! The thread that commits, and what the others share with it.

use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use rusqlite::ErrorCode;

use crate::ballast::Ballast;
use crate::error::JournalError;
use crate::place::{self, Held};
use crate::record::Record;
use crate::rescue::Rescue;
use crate::side::{Side, Tally};
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
    /// Records that the writer is done with.
    written: u64,
    /// Those of them, by their tickets, that are nowhere.
    lost: Vec<Range<u64>>,
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

    /// The number of records that the writer is done with.
    pub(crate) fn written(&self) -> u64 {
        self.lock().written
    }

    pub(crate) fn is_safe(&self, ticket: u64) -> bool {
        self.lock().is_safe(ticket)
    }

    pub(crate) fn error(&self) -> Option<JournalError> {
        self.lock().error.clone()
    }

    /// Waits until the writer is done with a record.
    pub(crate) fn wait(&self, ticket: u64) -> Result<(), JournalError> {
        let mut queue = self.lock();
        while queue.written < ticket && !queue.ended {
            queue = self
                .news
                .wait(queue)
                .unwrap_or_else(PoisonError::into_inner);
        }
        if queue.is_safe(ticket) {
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

    /// Tells what became of a batch.
    fn tell(&self, batch: &[Record], written: Written) {
        let mut queue = self.lock();
        for record in batch {
            queue.written += 1;
            let is_lost = match written.kept {
                Kept::All => false,
                Kept::Results => !matches!(record, Record::End(_)),
                Kept::Nothing => true,
            };
            if is_lost {
                queue.lose();
            }
        }
        if written.error.is_some() {
            queue.error = written.error;
        }
        drop(queue);
        self.news.notify_all();
        self.say();
    }

    fn say(&self) {
        let tell = self.on_news.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(tell) = &*tell {
            tell();
        }
    }

    /// The writer has ended; in the midst of its work, if it panicked.
    fn end(&self, path: &std::path::Path, panicked: bool) {
        let mut queue = self.lock();
        queue.ended = true;
        if panicked {
            queue.error = Some(JournalError::Write {
                path: path.to_owned(),
                message: "its writer ended by a panic".to_owned(),
                rescue: None,
            });
        }
        drop(queue);
        self.news.notify_all();
        if panicked {
            // What it says may be what panicked.
            let _ = catch_unwind(AssertUnwindSafe(|| self.say()));
        }
    }
}

impl Queue {
    fn is_safe(&self, ticket: u64) -> bool {
        ticket <= self.written && !self.lost.iter().any(|lost| lost.contains(&ticket))
    }

    /// The record that the writer was done with last is nowhere.
    fn lose(&mut self) {
        let ticket = self.written;
        match self.lost.last_mut() {
            Some(last) if last.end == ticket => last.end += 1,
            _ => self.lost.push(ticket..ticket + 1),
        }
    }
}

/// What became of a batch.
struct Written {
    kept: Kept,
    /// What keeps the journal from being written as usual, if that is new.
    error: Option<JournalError>,
}

/// Which records of a batch are safe.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kept {
    All,
    /// Those that end a call: they were put elsewhere.
    Results,
    Nothing,
}

impl Written {
    /// All of it is in the journal.
    fn whole(error: Option<JournalError>) -> Written {
        let kept = Kept::All;
        Written { kept, error }
    }
}

/// What the thread owns.
pub(crate) struct Writer {
    pub(crate) path: PathBuf,
    pub(crate) store: Store,
    pub(crate) held: Arc<Held>,
    pub(crate) side: Side,
    pub(crate) ballast: Ballast,
    pub(crate) power: bool,
    /// The log, once there is one: device and number.
    pub(crate) log: Option<(u64, u64)>,
    pub(crate) log_pages: u64,
    pub(crate) trouble: Option<Trouble>,
}

/// What keeps the journal from being written as usual.
pub(crate) enum Trouble {
    /// The disk is full; what was set aside takes what was in flight.
    Full,
    /// It cannot be written: what still comes goes elsewhere.
    Broken {
        /// What came first.
        why: String,
        rescue: Option<Box<Rescue>>,
    },
}

impl Writer {
    /// Commits until the journal is closed.
    pub(crate) fn run(mut self, shared: &Shared) {
        let path = self.path.clone();
        let done = catch_unwind(AssertUnwindSafe(|| {
            let mut batch = Vec::new();
            while shared.take(&mut batch) {
                let written = self.write(&batch);
                shared.tell(&batch, written);
                batch.clear();
            }
            self.close();
        }));
        shared.end(&path, done.is_err());
    }

    /// Closes the files. After trouble nothing more is written to them: what they have is safe in the log,
    /// and the next opening finds it.
    fn close(self) {
        match self.trouble {
            // All is safe in the log already; a failure here costs the next opening some time.
            None => drop(self.store.close()),
            Some(Trouble::Broken {
                rescue: Some(rescue),
                ..
            }) => rescue.close(),
            Some(_) => {}
        }
    }

    /// Writes a batch wherever there is room for it.
    fn write(&mut self, batch: &[Record]) -> Written {
        if let Some(Trouble::Broken { why, .. }) = &self.trouble {
            let why = why.clone();
            return self.rescue(batch, &why);
        }
        if !self.held.is_there() {
            return self.breaks(batch, "it was moved or removed while it was in use");
        }
        if self.log.is_some() && self.log != self.log_now() {
            // What is in it is in no file with a name any more.
            let _ = self.store.checkpoint(true);
            return self.breaks(batch, "its log was removed while it was in use");
        }
        let mut told = None;
        let mut result = self.store.apply(batch);
        if let Err(error) = &result
            && let Some(full) = self.make_room(error)
        {
            told = Some(full);
            result = self.store.apply(batch);
        }
        if let Err(error) = result {
            return self.breaks(batch, &error.to_string());
        }
        if self.log.is_none() {
            self.log = self.log_now();
        }
        match self.after(batch) {
            Ok(full) => Written::whole(told.or(full)),
            Err(message) => {
                // The batch stands; what comes after it does not.
                let broken = self.breaks(&[], &message);
                Written::whole(broken.error)
            }
        }
    }

    /// The file that is the log now.
    fn log_now(&self) -> Option<(u64, u64)> {
        let found = place::beside(&self.path, "-wal").symlink_metadata().ok()?;
        Some((found.dev(), found.ino()))
    }

    /// Gives back what was set aside, if that may help against an error; what is to be told then.
    fn make_room(&mut self, error: &rusqlite::Error) -> Option<JournalError> {
        if !is_for_want_of_room(error) {
            return None;
        }
        let is_full =
            error.sqlite_error_code() == Some(ErrorCode::DiskFull) || self.ballast.is_at_the_end();
        if !self.ballast.free() {
            return None;
        }
        self.trouble = Some(Trouble::Full);
        let path = self.path.clone();
        Some(if is_full {
            JournalError::Full(path)
        } else {
            JournalError::Write {
                path,
                message: error.to_string(),
                rescue: None,
            }
        })
    }

    /// What follows a commit: the count beside it, and now and then an empty log.
    fn after(&mut self, batch: &[Record]) -> Result<Option<JournalError>, String> {
        let counted = self.side.put(Tally::from(&self.store.totals));
        let synced = counted.and_then(|()| if self.power { self.side.sync() } else { Ok(()) });
        synced.map_err(|error| error.to_string())?;
        self.log_pages += COMMIT_PAGES + batch.iter().map(size).sum::<u64>() / 4_096;
        if self.log_pages < LOG_PAGES || self.trouble.is_some() {
            return Ok(None);
        }
        self.log_pages = 0;
        let mut told = None;
        let mut result = self.store.checkpoint(false);
        if let Err(error) = &result
            && let Some(full) = self.make_room(error)
        {
            told = Some(full);
            result = self.store.checkpoint(false);
        }
        result.map(|()| told).map_err(|error| error.to_string())
    }

    /// From now on nothing is written here.
    fn breaks(&mut self, batch: &[Record], why: &str) -> Written {
        self.trouble = Some(Trouble::Broken {
            why: why.to_owned(),
            rescue: None,
        });
        let written = self.rescue(batch, why);
        let rescue = match &self.trouble {
            Some(Trouble::Broken {
                rescue: Some(rescue),
                ..
            }) => Some(rescue.path()),
            _ => None,
        };
        let error = JournalError::Write {
            path: self.path.clone(),
            message: why.to_owned(),
            rescue,
        };
        Written {
            error: Some(error),
            ..written
        }
    }

    /// Puts the results of a batch into a journal in the folder for temporary files.
    fn rescue(&mut self, batch: &[Record], why: &str) -> Written {
        let Some(Trouble::Broken { rescue, .. }) = &mut self.trouble else {
            return Written::whole(None);
        };
        let is_first = rescue.is_none();
        let has_results = batch.iter().any(|record| matches!(record, Record::End(_)));
        if is_first && has_results {
            *rescue = Rescue::begin(&self.path, self.store.totals.id).map(Box::new);
        }
        let put = rescue.as_mut().is_some_and(|rescue| rescue.put(batch));
        let path = rescue.as_ref().filter(|_| put).map(|rescue| rescue.path());
        let kept = if put { Kept::Results } else { Kept::Nothing };
        let is_news = has_results && (is_first || !put);
        let error = is_news.then(|| JournalError::Write {
            path: self.path.clone(),
            message: why.to_owned(),
            rescue: path,
        });
        Written { kept, error }
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
    const IOERR_FSYNC: i32 = 0x0A | 4 << 8;
    const IOERR_DIR_FSYNC: i32 = 0x0A | 5 << 8;
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

//! The output, written from several threads.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use crate::writing::output::OutputError;
use rate_limited_store::Position;

use crate::reading::request::Request;
use crate::running::stop::{Cause, Stopper};
use crate::writing::record::{Failure, Record, Spent, code};
use crate::writing::recorded::Place;
use crate::writing::reorder::OrderedWriter;
use crate::writing::row::Table;

/// An output that ends the run when it cannot be written.
///
/// Whoever brings a line writes it, with those that waited for it. Where these are many, such as a million
/// done calls behind a slow one, a thread of its own writes the rest, and nobody waits.
#[derive(Debug)]
pub(crate) struct Outlet {
    shared: Arc<Shared>,
    helper: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Shared {
    desk: Mutex<Desk>,
    work: Condvar,
    stopper: Arc<Stopper>,
}

#[derive(Debug)]
struct Desk {
    writer: OrderedWriter,
    is_wanted: bool,
    is_closing: bool,
    /// Whether what is there must be left as it is.
    is_taboo: bool,
}

impl Outlet {
    pub(crate) fn new(writer: OrderedWriter, stopper: Arc<Stopper>) -> Outlet {
        let desk = Desk {
            writer,
            is_wanted: false,
            is_closing: false,
            is_taboo: false,
        };
        let shared = Arc::new(Shared {
            desk: Mutex::new(desk),
            work: Condvar::new(),
            stopper,
        });
        let theirs = Arc::clone(&shared);
        let thread = thread::Builder::new().name("output".to_owned());
        // Without it the lines are written a little later, by those who bring others.
        let helper = thread.spawn(move || theirs.help()).ok();
        Outlet {
            shared,
            helper: Mutex::new(helper),
        }
    }

    /// Takes the line of an index, and where its result is in the journal, if it is there. What cannot be
    /// written now is kept and tried again with later ones.
    pub(crate) fn put(&self, index: u64, line: Vec<u8>, place: Option<Place>) {
        let mut desk = self.shared.lock();
        let result = desk.writer.put_result(index, line, place);
        if desk.writer.is_behind() {
            self.shared.call(&mut desk);
        }
        drop(desk);
        self.shared.heed(result);
    }

    /// Takes a line that is in the journal; it may be written later, see [`Outlet::nudge`].
    pub(crate) fn put_recorded(&self, index: u64, place: Place) {
        let result = self.shared.lock().writer.put_recorded(index, place);
        self.shared.heed(result);
    }

    /// Takes the line of a request whose result is in the journal.
    pub(crate) fn put_over(&self, index: u64, request: &Request, position: Position) {
        let Some(row) = &request.row else {
            let line = request.line;
            return self.put_recorded(index, Place { line, position });
        };
        let result = self.shared.lock().writer.put_row(index, row, position);
        self.shared.heed(result);
    }

    /// Sees to it that lines whose turn has come are written now.
    pub(crate) fn nudge(&self) {
        let mut desk = self.shared.lock();
        if desk.writer.is_behind() {
            self.shared.call(&mut desk);
        }
    }

    /// Goes on behind the first lines of an output that is there, and cuts off the rest.
    pub(crate) fn go_on_behind(&self, lines: u64, bytes: u64) {
        let result = self.shared.lock().writer.go_on_behind(lines, bytes);
        self.shared.heed(result);
    }

    /// Leaves the output as it is, for good.
    pub(crate) fn leave(&self) {
        self.shared.lock().is_taboo = true;
    }

    /// Writes all that is left of the first `total` lines, and lets go of the journal.
    ///
    /// # Errors
    /// The output cannot be written.
    pub(crate) fn finish(&self, total: u64) -> Result<(), OutputError> {
        let mut desk = self.shared.lock();
        desk.is_closing = true;
        let result = if desk.is_taboo {
            Ok(())
        } else {
            let table = desk.writer.table().cloned();
            desk.writer
                .finish(total, |index| missing(index, table.as_ref()))
        };
        desk.writer.leave_records();
        drop(desk);
        self.shared.work.notify_all();
        let mut helper = self.helper.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(helper) = helper.take() {
            // One that panicked has told so already.
            let _ = helper.join();
        }
        result
    }

    /// The whole lines that the output has.
    pub(crate) fn lines_written(&self) -> u64 {
        self.shared.lock().writer.lines_written()
    }
}

impl Drop for Outlet {
    /// The helper must not keep a journal that nobody needs any more.
    fn drop(&mut self) {
        let mut desk = self.shared.lock();
        desk.is_closing = true;
        desk.writer.leave_records();
        drop(desk);
        self.shared.work.notify_all();
    }
}

impl Shared {
    /// Writes what others left, until the output is finished.
    fn help(&self) {
        let mut desk = self.lock();
        while !desk.is_closing {
            if std::mem::take(&mut desk.is_wanted) {
                let result = desk.writer.go_on();
                let goes_on = result.is_ok() && desk.writer.is_behind();
                desk.is_wanted |= goes_on;
                // Whoever waits with a line comes first.
                drop(desk);
                self.heed(result);
                thread::yield_now();
                desk = self.lock();
            } else {
                desk = self.work.wait(desk).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    fn call(&self, desk: &mut MutexGuard<'_, Desk>) {
        if !std::mem::replace(&mut desk.is_wanted, true) {
            self.work.notify_one();
        }
    }

    fn heed(&self, result: Result<(), OutputError>) {
        if let Err(error) = result {
            self.stopper.stop(Cause::Output(error));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The line of an index that nobody gave one: a fault of this program, which must not shift lines.
fn missing(index: u64, table: Option<&Table>) -> Vec<u8> {
    let failure = Failure::before_sending(code::INTERNAL, "the request was lost");
    let record = Record {
        line: index + 1,
        custom_id: None,
        response: None,
        error: Some(failure),
    };
    let row = table.map(|table| table.row(std::iter::empty()));
    record.line_in(row.as_ref(), Spent::default())
}

//! The output, written from several threads.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::output::OutputError;
use crate::record::{Failure, Record, code};
use crate::reorder::OrderedWriter;
use crate::stop::{Cause, Stopper};

/// An output that ends the run when it cannot be written.
#[derive(Debug)]
pub(crate) struct Outlet {
    writer: Mutex<OrderedWriter>,
    stopper: Arc<Stopper>,
}

impl Outlet {
    pub(crate) fn new(writer: OrderedWriter, stopper: Arc<Stopper>) -> Outlet {
        Outlet {
            writer: Mutex::new(writer),
            stopper,
        }
    }

    /// Takes the line of an index. What cannot be written now is kept and tried again with later ones.
    pub(crate) fn put(&self, index: u64, line: Vec<u8>) {
        let result = self.lock().put(index, line);
        if let Err(error) = result {
            self.stopper.stop(Cause::Output(error));
        }
    }

    /// Writes all that is left of the first `total` lines.
    ///
    /// # Errors
    /// The output cannot be written.
    pub(crate) fn finish(&self, total: u64) -> Result<(), OutputError> {
        self.lock().finish(total, missing)
    }

    /// The whole lines that the output has.
    pub(crate) fn lines_written(&self) -> u64 {
        self.lock().lines_written()
    }

    fn lock(&self) -> MutexGuard<'_, OrderedWriter> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The line of an index that nobody gave one: a fault of this program, which must not shift lines.
fn missing(index: u64) -> Vec<u8> {
    let failure = Failure::before_sending(code::INTERNAL, "the request was lost");
    let record = Record {
        line: index + 1,
        custom_id: None,
        response: None,
        error: Some(failure),
    };
    record.to_line()
}

//! How a run is brought to an early end: first nothing new, then, after a while, nothing at all.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rate_limited::Handle;
use rate_limited_store::JournalError;
use tokio::sync::Notify;

use crate::running::patience::TooLong;
use crate::running::signals::{Asked, Signals};
use crate::telling::say::tell;
use crate::values::duration::Human;
use crate::writing::output::OutputError;

/// Why a run was asked to end early.
#[derive(Debug)]
pub(crate) enum Cause {
    /// A signal.
    Signal(Asked),
    /// The output cannot be written.
    Output(OutputError),
    /// The input cannot be read on; in words for people.
    Input(String),
    /// All that is left must wait for too long.
    Wait(TooLong),
    /// The journal cannot be read.
    Journal(JournalError),
}

/// Brings a run to its end.
#[derive(Debug)]
pub(crate) struct Stopper {
    handle: Handle,
    grace: Duration,
    /// Whether answers are kept even if nobody reads them.
    keeps: bool,
    cause: Mutex<Option<Cause>>,
    draining: Notify,
    hurry: AtomicBool,
}

impl Stopper {
    pub(crate) fn new(handle: Handle, grace: Duration, keeps: bool) -> Stopper {
        Stopper {
            handle,
            grace,
            keeps,
            cause: Mutex::new(None),
            draining: Notify::new(),
            hurry: AtomicBool::new(false),
        }
    }

    /// Ends the run for this cause; the first one counts. What is in flight may finish, unless nobody
    /// would read it, now or later.
    pub(crate) fn stop(&self, cause: Cause) {
        let in_vain = matches!(cause, Cause::Output(OutputError::Closed(_))) && !self.keeps;
        self.lock().get_or_insert(cause);
        if in_vain {
            self.handle.halt();
        } else {
            self.handle.stop();
            self.drain();
        }
    }

    /// The run is ending by itself: it may take the grace period, no longer.
    pub(crate) fn drain(&self) {
        self.draining.notify_one();
    }

    /// Halts the run once the grace period that follows [`Stopper::drain`] is over.
    pub(crate) async fn halt_after_grace(&self) {
        self.draining.notified().await;
        tokio::time::sleep(self.grace).await;
        self.handle.halt();
    }

    /// Obeys signals: the first one stops, the second one halts, the third one leaves the rest of the
    /// output unwritten.
    pub(crate) async fn obey(&self, mut signals: Signals, quiet: bool) {
        let first = signals.next().await;
        if !quiet {
            let (name, grace) = (first.name, Human(self.grace));
            tell(format_args!(
                "{name}: nothing new is sent; calls in flight have {grace}, or until it comes again"
            ));
        }
        self.stop(Cause::Signal(first));
        signals.next().await;
        self.handle.halt();
        signals.next().await;
        self.hurry.store(true, Ordering::Relaxed);
    }

    /// Whether even the lines of what was not run are to be left out.
    pub(crate) fn is_in_haste(&self) -> bool {
        self.hurry.load(Ordering::Relaxed)
    }

    /// Why the run was asked to end early.
    pub(crate) fn take_cause(&self) -> Option<Cause> {
        self.lock().take()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Cause>> {
        self.cause.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

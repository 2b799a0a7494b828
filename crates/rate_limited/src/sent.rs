//! When a request really leaves.
//!
//! A server counts a request when it arrives, not when the function that sends it was started: in
//! between lie connecting, TLS and a busy machine. Quota is counted from the moment of sending on.
//! Without a hint that is the moment at which the function first waits for something; an executor
//! that knows better takes the signal over with [`defer`].

use std::cell::RefCell;
use std::sync::{Arc, Mutex, PoisonError};

type Tell = Box<dyn FnOnce() + Send>;

/// Tells the driver, once, that the request has left.
#[derive(Clone)]
pub struct Signal(Arc<Mutex<State>>);

struct State {
    tell: Option<Tell>,
    deferred: bool,
}

impl std::fmt::Debug for Signal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Signal")
    }
}

thread_local! {
    static CURRENT: RefCell<Option<Signal>> = const { RefCell::new(None) };
}

impl Signal {
    pub(crate) fn new(tell: impl FnOnce() + Send + 'static) -> Signal {
        Signal(Arc::new(Mutex::new(State {
            tell: Some(Box::new(tell)),
            deferred: false,
        })))
    }

    /// Says that the request leaves now; further calls do nothing.
    pub fn sent(&self) {
        if let Some(tell) = self.lock().tell.take() {
            tell();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes over the signal of the attempt that this code runs in: from now on only
/// [`Signal::sent`] counts. `None` outside of an attempt.
///
/// To be called from the future that the runner polls, not from a task that it spawned.
///
/// ```
/// # async fn send() {}
/// async fn call() {
///     let signal = rate_limited::sent::defer();
///     // … connect …
///     if let Some(signal) = signal {
///         signal.sent();
///     }
///     send().await;
/// }
/// # drop(call());
/// ```
pub fn defer() -> Option<Signal> {
    let signal = CURRENT.with_borrow(Clone::clone)?;
    signal.lock().deferred = true;
    Some(signal)
}

/// Runs one poll of an attempt's future; after the first one its request counts as sent, unless the
/// signal was taken over.
pub(crate) fn during<T>(signal: &Signal, poll: impl FnOnce() -> T) -> T {
    let former = CURRENT.replace(Some(signal.clone()));
    let _restore = Restore(former);
    let result = poll();
    if !signal.lock().deferred {
        signal.sent();
    }
    result
}

/// Puts the former signal back, after a panic too.
struct Restore(Option<Signal>);

impl Drop for Restore {
    fn drop(&mut self) {
        CURRENT.set(self.0.take());
    }
}

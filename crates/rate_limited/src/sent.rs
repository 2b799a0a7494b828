//! When a request really leaves.
//!
//! A server counts a request when it arrives, not when the function that sends it was started: in
//! between lie connecting, TLS and a busy machine. Quota is counted from the moment of sending on.
//! Without a hint that is the moment at which the function first waits for something; an executor
//! that knows better takes the signal over with [`defer`].

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Tells the driver, once, that the request has left.
#[derive(Clone)]
pub struct Signal(Arc<State<dyn Fn() + Send + Sync>>);

struct State<Tell: ?Sized> {
    told: AtomicBool,
    deferred: AtomicBool,
    tell: Tell,
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
    pub(crate) fn new(tell: impl Fn() + Send + Sync + 'static) -> Signal {
        Signal(Arc::new(State {
            told: AtomicBool::new(false),
            deferred: AtomicBool::new(false),
            tell,
        }))
    }

    /// Says that the request leaves now; further calls do nothing.
    pub fn sent(&self) {
        if self.is_first() {
            (self.0.tell)();
        }
    }

    /// A poll has ended: the request counts as sent, unless the signal was taken over.
    pub(crate) fn polled(&self) {
        if !self.is_deferred() {
            self.sent();
        }
    }

    /// The attempt has ended: whether its end says as well that its request had left, which nobody has told before.
    pub(crate) fn ends(&self) -> bool {
        !self.is_deferred() && self.is_first()
    }

    fn is_deferred(&self) -> bool {
        self.0.deferred.load(Ordering::Acquire)
    }

    /// Whether nobody has told before; from now on somebody has.
    fn is_first(&self) -> bool {
        !self.0.told.swap(true, Ordering::AcqRel)
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
    signal.0.deferred.store(true, Ordering::Release);
    Some(signal)
}

/// Runs one poll of an attempt's future; after the first one its request counts as sent, unless the
/// signal was taken over.
#[cfg(any(feature = "tower", all(test, feature = "http")))]
pub(crate) fn during<T>(signal: &Signal, poll: impl FnOnce() -> T) -> T {
    let result = within(signal, poll);
    signal.polled();
    result
}

/// Runs one poll of an attempt's future, in which the signal can be taken over.
pub(crate) fn within<T>(signal: &Signal, poll: impl FnOnce() -> T) -> T {
    let former = CURRENT.replace(Some(signal.clone()));
    let _restore = Restore(former);
    poll()
}

/// Puts the former signal back, after a panic too.
struct Restore(Option<Signal>);

impl Drop for Restore {
    fn drop(&mut self) {
        CURRENT.set(self.0.take());
    }
}

//! Quota held for one attempt.

use super::costs::{Costs, Told};
use super::error::CostError;
use crate::account::Account;
use rate_limited_core::{AttemptId, CallId, Class, Input, Outcome, ResourceId};
use std::sync::Arc;
use std::time::Duration;

/// Quota reserved for one attempt, by [`Limiter::acquire`](crate::Limiter::acquire).
///
/// Say [`sent`](Reservation::sent) when the request leaves, and at its end what came of it. Dropped before
/// it was sent, it is given back; dropped after that it counts as used, as the server may have counted it.
///
/// ```
/// use rate_limited::{Limiter, Resource};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let limiter = Limiter::new([Resource::per_minute("requests", 1)])?;
/// drop(limiter.try_acquire(())?); // given back
/// let mut reservation = limiter.try_acquire(())?;
/// reservation.sent();
/// drop(reservation); // used
/// assert!(limiter.try_acquire(()).is_err());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "a reservation that is dropped is given back"]
pub struct Reservation {
    account: Arc<Account>,
    call: CallId,
    attempt: AttemptId,
    is_sent: bool,
    is_settled: bool,
}

impl Reservation {
    pub(super) fn new(account: &Arc<Account>, call: CallId, attempt: AttemptId) -> Reservation {
        Reservation {
            account: Arc::clone(account),
            call,
            attempt,
            is_sent: false,
            is_settled: false,
        }
    }

    /// The request leaves now: what is reserved is charged from this moment on. Further calls do nothing.
    ///
    /// Without it the charge counts from the settlement on: quota is never passed, but is used less well.
    pub fn sent(&mut self) {
        if !std::mem::replace(&mut self.is_sent, true) {
            let attempt = self.attempt;
            self.account.open().report([Input::Sent { attempt }]);
        }
    }

    /// Says once, for the future that makes the call, that its request leaves.
    #[cfg(feature = "tower")]
    pub(crate) fn signal(&self) -> crate::sent::Signal {
        let (account, attempt) = (Arc::clone(&self.account), self.attempt);
        crate::sent::Signal::new(move || account.open().report([Input::Sent { attempt }]))
    }

    /// The call has succeeded, and has taken this much; what it does not name, it has taken as reserved.
    ///
    /// # Errors
    /// A usage that is no amount, or of a resource that is not there: then all counts as reserved.
    pub fn settle(mut self, usage: impl Costs) -> Result<(), CostError> {
        let told = Told::new(usage);
        let usage = told.named(&self.account.open());
        let known = usage.as_deref().unwrap_or_default();
        self.finish(Outcome::new(Class::Success).with_usage(known));
        usage.map(|_| ())
    }

    /// The call has failed: it counts as reserved, unless failures do not
    /// [count](crate::Resource::failures_count).
    pub fn failed(mut self) {
        self.finish(Outcome::new(Class::Permanent));
    }

    /// The server said "too much" (429 and kin): all that the call takes pauses for everyone, for as long as
    /// the answer asks, or else by a back-off of our own.
    ///
    /// ```
    /// use rate_limited::{Limiter, Resource};
    /// use std::time::Duration;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let limiter = Limiter::new([Resource::per_minute("requests", 60)])?;
    /// let seen_by_one = limiter.try_acquire(())?;
    /// seen_by_one.refused(Some(Duration::from_secs(30)));
    /// assert!(limiter.try_acquire(()).is_err_and(|not_until| not_until.is_pause()));
    /// # Ok(())
    /// # }
    /// ```
    pub fn refused(self, retry_after: Option<Duration>) {
        self.pause(None, retry_after);
    }

    /// As [`Reservation::refused`], where the answer names the resource: only that one pauses. Where the call
    /// took nothing of it, all who ask at the limiter pause, as it is not known who would be refused next.
    ///
    /// # Errors
    /// A resource that is not there: then all that the call takes pauses.
    pub fn refused_by(
        self,
        resource: &str,
        retry_after: Option<Duration>,
    ) -> Result<(), CostError> {
        let told = Told::new((resource, 0));
        let named = told.named(&self.account.open());
        let id = named.as_ref().ok().and_then(|costs| costs.first());
        let id = id.map(|cost| cost.resource);
        self.pause(id, retry_after);
        named.map(|_| ())
    }

    fn pause(mut self, resource: Option<ResourceId>, retry_after: Option<Duration>) {
        let outcome = Outcome::new(Class::Refused {
            resource,
            retry_after,
        });
        self.finish(outcome);
    }

    fn finish(&mut self, outcome: Outcome) {
        self.is_settled = true;
        let (call, attempt) = (self.call, self.attempt);
        let mut books = self.account.open();
        // The core would try a refused call again; whether that is done is decided by who asked.
        books.report([Input::Finished { attempt, outcome }, Input::Cancel { call }]);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if !self.is_settled {
            let attempt = self.attempt;
            self.account.open().report([Input::Unsent { attempt }]);
        }
    }
}

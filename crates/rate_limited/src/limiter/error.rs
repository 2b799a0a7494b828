//! Why quota cannot be had, or not yet.

use crate::account::Guard;
use rate_limited_core::{AmountError, ScheduleError, Time, Wait, WaitingOn};
use std::error::Error;
use std::fmt;
use std::time::Duration;

/// A cost or a usage that says nothing.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CostError {
    /// No resource has this name.
    #[error("no resource `{resource}`: the limiter has {known:?}")]
    Unknown {
        /// The name.
        resource: String,
        /// The names that there are.
        known: Vec<String>,
    },
    /// The number is no amount.
    #[error("a bad amount of `{resource}`: {reason}")]
    Amount {
        /// The name of the resource.
        resource: String,
        /// What is wrong with the number.
        reason: AmountError,
    },
}

/// Quota that waiting would not bring.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AcquireError {
    /// The cost says nothing.
    #[error(transparent)]
    Cost(#[from] CostError),
    /// The cost is above a whole quota.
    #[error(transparent)]
    Core(#[from] ScheduleError),
    /// The call costs more of it than there is left or will ever be.
    #[error("the call costs more of `{resource}` than there is left or will ever be")]
    Spent {
        /// The name of the resource.
        resource: String,
    },
    /// There is nothing that could look at the clock.
    #[error("waiting for quota needs a runtime of tokio: call it inside one, or use try_acquire")]
    NoRuntime,
}

/// Quota that cannot be had now: when asking again makes sense.
#[derive(Clone, Debug)]
pub struct NotUntil(Reason);

#[derive(Clone, Debug)]
enum Reason {
    Later {
        after: Option<Duration>,
        resource: Option<String>,
        is_pause: bool,
    },
    Never(AcquireError),
}

impl NotUntil {
    pub(super) fn new(books: &Guard<'_>, wait: Wait, now: Time) -> NotUntil {
        let (resource, is_pause) = match wait.on {
            WaitingOn::Quota(id) => (Some(id), false),
            WaitingOn::Paused { resource, .. } => (Some(resource), true),
            WaitingOn::Refused { .. } => (None, true),
            _ => (None, false),
        };
        NotUntil(Reason::Later {
            after: wait.until.map(|until| until.since(now)),
            resource: resource.map(|id| books.name(id).to_owned()),
            is_pause,
        })
    }

    pub(super) fn unknown() -> NotUntil {
        NotUntil(Reason::Later {
            after: None,
            resource: None,
            is_pause: false,
        })
    }

    /// For how long asking again is in vain: what belongs into a header `Retry-After`, rounded up. `None`: it
    /// depends on reservations that have not been [sent](crate::Reservation::sent) or settled yet; or it is
    /// [in vain for ever](NotUntil::is_never).
    pub fn retry_after(&self) -> Option<Duration> {
        match &self.0 {
            Reason::Later { after, .. } => *after,
            Reason::Never(_) => None,
        }
    }

    /// Which resource is short; `None`: another user of the limiter has its turn.
    pub fn resource(&self) -> Option<&str> {
        match &self.0 {
            Reason::Later { resource, .. } => resource.as_deref(),
            Reason::Never(AcquireError::Spent { resource }) => Some(resource),
            Reason::Never(_) => None,
        }
    }

    /// Whether the server asked to wait, or a back-off after its refusal runs.
    pub fn is_pause(&self) -> bool {
        matches!(self.0, Reason::Later { is_pause: true, .. })
    }

    /// Whether waiting does not help; the [source](Error::source) says why.
    pub fn is_never(&self) -> bool {
        matches!(self.0, Reason::Never(_))
    }
}

impl From<AcquireError> for NotUntil {
    fn from(error: AcquireError) -> NotUntil {
        NotUntil(Reason::Never(error))
    }
}

impl fmt::Display for NotUntil {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Reason::Later {
            after,
            resource,
            is_pause,
        } = &self.0
        else {
            return f.write_str("the call can never go");
        };
        let what = resource.as_deref().unwrap_or("the limiter");
        match (is_pause, after) {
            (true, Some(after)) => write!(f, "`{what}` is paused: try again in {after:.3?}"),
            (false, Some(after)) => write!(f, "`{what}` is used up: try again in {after:.3?}"),
            (_, None) => write!(
                f,
                "`{what}` is reserved by calls in flight: try again later"
            ),
        }
    }
}

impl Error for NotUntil {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.0 {
            Reason::Never(error) => Some(error),
            Reason::Later { .. } => None,
        }
    }
}

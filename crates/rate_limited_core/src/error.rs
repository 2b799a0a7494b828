//! What a caller can get wrong, as data and as a sentence that names the next step.

use crate::amount::Amount;
use crate::event::ResourceId;
use core::fmt;
use core::time::Duration;

/// A number that is no amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AmountError {
    /// The value is NaN.
    NotANumber,
    /// The value is below zero.
    Negative,
    /// The value is above [`Amount::MAX`].
    TooLarge,
}

impl fmt::Display for AmountError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AmountError::NotANumber => "an amount must be a number, not NaN",
            AmountError::Negative => "an amount must not be negative",
            AmountError::TooLarge => "an amount must be at most 9223372036854 units",
        })
    }
}

impl core::error::Error for AmountError {}

/// A resource that cannot be metered as declared.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum QuotaError {
    /// The quota (or the burst) is zero or negative.
    NotPositive {
        /// The name of the resource.
        resource: String,
        /// What was given.
        amount: Amount,
    },
    /// The window (or the interval) is shorter than a microsecond or longer than 400 days.
    Window {
        /// The name of the resource.
        resource: String,
        /// What was given.
        window: Duration,
    },
    /// Another resource has this name already.
    Duplicate {
        /// The name given twice.
        resource: String,
    },
    /// The name is empty.
    Unnamed,
    /// A quota was to be replaced of a resource that the limiter does not have.
    UnknownResource {
        /// What was named.
        resource: ResourceId,
    },
    /// A quota of one kind was to be replaced by one of another.
    OtherKind {
        /// The name of the resource.
        resource: String,
    },
}

impl fmt::Display for QuotaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            QuotaError::NotPositive { resource, amount } => write!(
                f,
                "resource `{resource}` has a quota of {amount}: give a number above 0, or leave the resource out if it has no limit"
            ),
            QuotaError::Window { resource, window } => write!(
                f,
                "resource `{resource}` has a window of {window:?}: give one between 1 microsecond and 400 days"
            ),
            QuotaError::Duplicate { resource } => {
                write!(
                    f,
                    "two resources are named `{resource}`: give each its own name"
                )
            }
            QuotaError::UnknownResource { resource } => {
                write!(f, "the limiter has no resource {resource:?}: add it first")
            }
            QuotaError::Unnamed => f.write_str("a resource has an empty name: name it"),
            QuotaError::OtherKind { resource } => write!(
                f,
                "resource `{resource}` cannot change the kind of its quota while it is in use: make a new limiter"
            ),
        }
    }
}

impl core::error::Error for QuotaError {}

/// A call that cannot be scheduled.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ScheduleError {
    /// The call alone is above the whole quota.
    NeverFits {
        /// The resource whose quota it exceeds.
        resource: ResourceId,
        /// Its name.
        name: String,
        /// What the call costs.
        cost: Amount,
        /// The most that one call can ever get.
        quota: Amount,
    },
    /// The cost is below zero.
    Negative {
        /// The name of the resource.
        name: String,
        /// What the call is said to cost.
        cost: Amount,
    },
    /// The cost names a resource that the limiter does not have.
    UnknownResource {
        /// What was named.
        resource: ResourceId,
    },
    /// More calls wait than the scheduler can number (4,294,967,295).
    Full,
}

impl fmt::Display for ScheduleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ScheduleError::NeverFits {
                name, cost, quota, ..
            } => write!(
                f,
                "call exceeds resource quota: it costs {cost} of `{name}`, whose quota is {quota}, so it can never run: make the call smaller or raise the quota"
            ),
            ScheduleError::Negative { name, cost } => {
                write!(
                    f,
                    "the call costs {cost} of `{name}`: give an amount of 0 or more"
                )
            }
            ScheduleError::UnknownResource { resource } => {
                write!(
                    f,
                    "the limiter has no resource {resource:?}: add it before the call is scheduled"
                )
            }
            ScheduleError::Full => f.write_str("4294967295 calls wait already: run them first"),
        }
    }
}

impl core::error::Error for ScheduleError {}

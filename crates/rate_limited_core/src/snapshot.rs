//! A limiter's past as plain data, so that a restart does not burst.

use crate::amount::Amount;
use crate::time::Time;

/// What a limiter has charged, resource by resource; see [`Limiter::snapshot`](crate::Limiter::snapshot).
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Snapshot {
    /// One entry a resource.
    pub resources: Vec<ResourceSnapshot>,
}

/// The past of one resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceSnapshot {
    /// The name of the resource; a partition has the name of its resource.
    pub name: String,
    /// Whose part it is, if it is a partition.
    pub key: Option<String>,
    /// Until when the server asked to wait.
    pub paused_until: Time,
    /// What was charged.
    pub meter: MeterSnapshot,
}

/// The books of one quota.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MeterSnapshot {
    /// Charges with their moments, oldest first.
    Sliding {
        /// When, and how much.
        charges: Vec<(Time, Amount)>,
    },
    /// The level of a bucket at a moment; negative while it is in debt.
    Bucket {
        /// What the bucket held.
        level: Amount,
        /// When it held it.
        at: Time,
    },
    /// The count of the current window.
    Fixed {
        /// Charged in this window.
        used: Amount,
        /// The part charged so late that the next window may count it too.
        late: Amount,
        /// The end of the window; `None` before the first call.
        end: Option<Time>,
    },
    /// What a budget has spent.
    Budget {
        /// Spent so far.
        used: Amount,
    },
    /// The last dispatch.
    Spacing {
        /// When it was; `None` before the first.
        last: Option<Time>,
    },
    /// Slots have no past.
    Slots,
}

//! What a run can be told about how to run.

use crate::backoff::Backoff;
use crate::time::Time;
use core::time::Duration;

/// How a [`Scheduler`](crate::Scheduler) runs its calls.
///
/// ```
/// use rate_limited_core::{MaxConcurrent, Order, Settings};
///
/// let settings = Settings { order: Order::InOrder, ..Settings::default() };
/// assert_eq!(settings.max_retries, 5);
/// assert_eq!(settings.max_concurrent, MaxConcurrent::Auto { start: 64, most: 4_096 });
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Which of the waiting calls goes first. Default [`Order::Packed`].
    pub order: Order,
    /// How many of the waiting calls are looked at to choose the next one. Default 4,096.
    pub look_ahead: u32,
    /// By how many later calls a waiting call may be overtaken before nothing may delay it any more.
    /// Default 4,096.
    pub overtakes_max: u64,
    /// How often a failed call is tried again. Default 5: at most 6 attempts; refusals do not count.
    pub max_retries: u16,
    /// How many attempts may be in flight at once. Default: found out, from 64 up to 4,096.
    pub max_concurrent: MaxConcurrent,
    /// How long to wait before a failed call is tried again.
    pub backoff: Backoff,
    /// How long one attempt may take. Default 600 s; `None` waits for ever.
    pub attempt_timeout: Option<Duration>,
    /// How long a call may take from its first dispatch on, all attempts and waits between them
    /// included. Default `None`: as long as its attempts take.
    pub call_timeout: Option<Duration>,
    /// From when on nothing is dispatched any more; what is in flight then may finish. Default `None`.
    pub deadline: Option<Time>,
    /// For how long failures and refusals may go on without one success before the run stops. Time
    /// in which all that waits waits for quota or for a moment that the server named does not count.
    /// Default 30 min; `None`: never.
    pub stall_limit: Option<Duration>,
    /// The seed of the jitter: same seed, same inputs, same outputs. Default 0.
    pub seed: u64,
}

/// Which of the waiting calls goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Order {
    /// The mix of calls that keeps every limit busy: calls are told apart by the resource that they
    /// need most and by how much of it they need, and each kind gets its share of the dispatches.
    #[default]
    Packed,
    /// The order of scheduling. A call that does not fit is passed only by calls that do not delay it.
    InOrder,
}

/// How many attempts may be in flight at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MaxConcurrent {
    /// This many; 0 is taken as 1.
    Fixed(u32),
    /// From `start` on doubled while it binds and answers do not become slow, up to `most`.
    Auto {
        /// The first bound.
        start: u32,
        /// The last bound.
        most: u32,
    },
}

impl Default for MaxConcurrent {
    fn default() -> Self {
        MaxConcurrent::Auto {
            start: 64,
            most: 4_096,
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            order: Order::default(),
            look_ahead: 4_096,
            overtakes_max: 4_096,
            max_retries: 5,
            max_concurrent: MaxConcurrent::default(),
            backoff: Backoff::default(),
            attempt_timeout: Some(Duration::from_secs(600)),
            call_timeout: None,
            deadline: None,
            stall_limit: Some(Duration::from_secs(30 * 60)),
            seed: 0,
        }
    }
}

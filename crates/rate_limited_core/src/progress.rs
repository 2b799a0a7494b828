//! How far a run is, in numbers.

/// How far a run is; see [`Scheduler::progress`](crate::Scheduler::progress).
///
/// Each call scheduled is in exactly one of `waiting`, `in_flight`, `done`, `failed` and `cancelled`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Progress {
    /// Calls scheduled.
    pub scheduled: u64,
    /// Calls that wait for their first or another attempt.
    pub waiting: u64,
    /// Calls with an attempt in flight.
    pub in_flight: u64,
    /// Calls that succeeded.
    pub done: u64,
    /// Calls that failed for good.
    pub failed: u64,
    /// Calls that were cancelled.
    pub cancelled: u64,
    /// Attempts dispatched.
    pub attempts: u64,
    /// Attempts that failed, time-outs included.
    pub failures: u64,
    /// Of those, attempts that outlived their time-out.
    pub timeouts: u64,
    /// Attempts whose answers the validation rejected.
    pub invalid: u64,
    /// Attempts that the server refused.
    pub refusals: u64,
    /// The bound on attempts in flight, as it is now.
    pub max_concurrent: u32,
    /// Whether that bound has kept a call from going since it was last raised.
    pub concurrency_binds: bool,
    /// Whether so many attempts fail that the server is taken to be down.
    pub outage: bool,
    /// Whether the user has paused the run.
    pub paused: bool,
}

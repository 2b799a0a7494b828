//! What came of a play.

use super::run::RunEnd;
use super::trace::Event;
use crate::stats::Stats;
use rate_limited_core::{Failure, QuotaError, ScheduleError, WaitingOn};
use std::fmt;
use std::time::Duration;

/// What came of a play.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Report {
    /// From the start until the last call ended.
    pub makespan: Duration,
    /// The shortest time in which any client could have done the work that the API charged.
    pub optimum: Duration,
    /// Each call, by its number.
    pub calls: Vec<CallReport>,
    /// The numbers of the calls that were done, in the order of their ends.
    pub completions: Vec<usize>,
    /// How each run ended.
    pub runs: Vec<RunEnd>,
    /// Attempts that the API refused.
    pub refusals: u64,
    /// The most calls of one run that were scheduled after another one and started before it.
    pub overtakes_max: u64,
    /// The looks ahead that were planned: when each was had, and the time that was left by it.
    pub looks: Vec<(Duration, Duration)>,
    /// What the API saw.
    pub stats: Stats,
    /// Every event in its order; empty if the world does not keep them.
    pub trace: Vec<Event>,
    /// The hash of all events: equal for equal plays, on every machine, as long as no latency is
    /// lognormal (whose logarithms may differ in their last bit).
    pub trace_hash: u64,
}

/// What became of one call. Moments are counted from the start.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CallReport {
    /// Its run.
    pub run: usize,
    /// When its first attempt was dispatched.
    pub started: Option<Duration>,
    /// When it ended.
    pub ended: Option<Duration>,
    /// How it ended.
    pub end: End,
    /// Attempts that were dispatched.
    pub attempts: u32,
    /// Attempts that the API refused.
    pub refusals: u32,
}

impl CallReport {
    pub(super) fn new(run: usize) -> CallReport {
        let (end, attempts, refusals) = (End::Unfinished, 0, 0);
        CallReport {
            run,
            started: None,
            ended: None,
            end,
            attempts,
            refusals,
        }
    }
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum End {
    /// It did not: its run stopped before, or it was cancelled.
    Unfinished,
    /// It succeeded.
    Done,
    /// It failed for good.
    Failed(Failure),
    /// The scheduler did not take it.
    Rejected(ScheduleError),
}

/// What must never happen, or cannot be played.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WorldError {
    /// A run waits although nothing is to come.
    Hang {
        /// Which run.
        run: usize,
        /// When, counted from the start.
        at: Duration,
        /// What it says it waits for.
        on: WaitingOn,
    },
    /// A run asks to be polled again and again without time passing and without doing anything.
    Spin {
        /// Which run.
        run: usize,
        /// When, counted from the start.
        at: Duration,
        /// What it says it waits for.
        on: WaitingOn,
    },
    /// The horizon has passed and calls are still unfinished.
    Endless {
        /// The horizon.
        horizon: Duration,
    },
    /// A call ended twice.
    EndedTwice {
        /// Which call.
        call: usize,
    },
    /// A run says that all is done, and this call has not ended.
    Lost {
        /// Which call.
        call: usize,
    },
    /// A resource of the plan is none.
    Quota(QuotaError),
}

impl fmt::Display for WorldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WorldError::Hang { run, at, on } => {
                write!(
                    f,
                    "run {run} hangs at {at:?}: it waits for {on:?}, and nothing is to come"
                )
            }
            WorldError::Spin { run, at, on } => {
                write!(
                    f,
                    "run {run} spins at {at:?}: it waits for {on:?}, and until now at the latest"
                )
            }
            WorldError::Endless { horizon } => {
                write!(
                    f,
                    "calls are unfinished after {horizon:?}: raise the horizon if that is meant"
                )
            }
            WorldError::EndedTwice { call } => write!(f, "call {call} ended twice"),
            WorldError::Lost { call } => {
                write!(
                    f,
                    "call {call} has not ended, and its run says that all is done"
                )
            }
            WorldError::Quota(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for WorldError {}

/// The most calls that started before one that was scheduled earlier in the same run. `started` has
/// the positions of the calls of one run, in the order of their first dispatches.
pub(super) fn overtakes_max(started: &[usize]) -> u64 {
    let size = started.iter().max().map_or(0, |position| position + 1);
    // A Fenwick tree over positions, counted from the end: the sum up to a position is the number of
    // calls that were scheduled later and have started already.
    let mut tree = vec![0_u64; size + 1];
    let mut most = 0;
    for position in started {
        let from_end = size - position;
        let mut later = 0;
        let mut index = from_end - 1;
        while index > 0 {
            later += tree[index];
            index &= index - 1;
        }
        most = most.max(later);
        index = from_end;
        while index <= size {
            tree[index] += 1;
            index += index & index.wrapping_neg();
        }
    }
    most
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overtakes_are_later_calls_that_started_before() {
        assert_eq!(overtakes_max(&[]), 0);
        assert_eq!(overtakes_max(&[0, 1, 2, 3]), 0);
        assert_eq!(overtakes_max(&[1, 2, 3, 0]), 3);
        assert_eq!(overtakes_max(&[3, 2, 1, 0]), 3);
        assert_eq!(overtakes_max(&[1, 0, 3, 2]), 1);
    }
}

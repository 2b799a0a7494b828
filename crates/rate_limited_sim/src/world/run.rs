//! One run: a scheduler and what its driver would keep.

use rate_limited_core::{AttemptId, CallId, Scheduler, Stop, Time, WaitingOn};
use std::collections::BTreeSet;

#[derive(Debug)]
pub(super) struct Run {
    pub(super) scheduler: Scheduler,
    /// Whether it is to be polled before time goes on.
    pub(super) due: bool,
    pub(super) rest: Rest,
    /// The numbers of the unfinished calls, by the index of their id: a driver's payloads.
    calls: Vec<u32>,
    /// Attempts whose answers are still on the way and no longer waited for.
    pub(super) abandoned: BTreeSet<AttemptId>,
}

/// What a run last said when it had nothing to do.
#[derive(Clone, Copy, Debug)]
pub(super) enum Rest {
    Waiting { until: Option<Time>, on: WaitingOn },
    Over(RunEnd),
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RunEnd {
    /// Nothing is left to do.
    Idle,
    /// It stopped before that.
    Stopped(Stop),
}

impl Run {
    pub(super) fn new(scheduler: Scheduler) -> Run {
        let (rest, abandoned) = (Rest::Over(RunEnd::Idle), BTreeSet::new());
        Run {
            scheduler,
            due: true,
            rest,
            calls: Vec::new(),
            abandoned,
        }
    }

    pub(super) fn keep(&mut self, id: CallId, number: u32) {
        if self.calls.len() <= id.index() {
            self.calls.resize(id.index() + 1, u32::MAX);
        }
        self.calls[id.index()] = number;
    }

    pub(super) fn number_of(&self, id: CallId) -> u32 {
        self.calls[id.index()]
    }

    /// How it ended, if it did.
    pub(super) fn over(&self) -> Option<RunEnd> {
        match self.rest {
            Rest::Over(end) => Some(end),
            Rest::Waiting { .. } => None,
        }
    }

    pub(super) fn wakes_at(&self) -> Option<Time> {
        match self.rest {
            Rest::Waiting { until, .. } => until,
            Rest::Over(_) => None,
        }
    }
}

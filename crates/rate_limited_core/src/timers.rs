//! The moments at which something is due without an input: ends of back-offs and time-outs.
//!
//! Time-outs of one kind are all equally long, so they come due in the order in which they were set:
//! a queue serves where a heap would cost more.

use crate::event::{AttemptId, CallId};
use crate::time::Time;
use core::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

#[derive(Clone, Debug, Default)]
pub(crate) struct Timers {
    backoffs: BinaryHeap<Reverse<(Time, CallId)>>,
    attempts: Expiries<AttemptId>,
    calls: Expiries<CallId>,
}

/// Time-outs of one kind, in the order in which they come due.
#[derive(Clone, Debug)]
struct Expiries<Id> {
    queue: VecDeque<(Time, Id)>,
    /// The length at which those that mean nothing any more are looked for.
    crowded: usize,
}

/// What has come due. Its call or attempt may have ended meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    Backoff(CallId),
    AttemptTimeout(AttemptId),
    CallTimeout(CallId),
}

impl Timers {
    pub(crate) fn back_off(&mut self, call: CallId, until: Time) {
        self.backoffs.push(Reverse((until, call)));
    }

    pub(crate) fn time_out_attempt(&mut self, attempt: AttemptId, at: Time) {
        self.attempts.queue.push_back((at, attempt));
    }

    pub(crate) fn time_out_call(&mut self, call: CallId, at: Time) {
        self.calls.queue.push_back((at, call));
    }

    /// The next thing that is due by `now`.
    pub(crate) fn pop(&mut self, now: Time) -> Option<Due> {
        if self
            .backoffs
            .peek()
            .is_some_and(|Reverse((at, _))| *at <= now)
        {
            return self
                .backoffs
                .pop()
                .map(|Reverse((_, call))| Due::Backoff(call));
        }
        if let Some(attempt) = self.attempts.pop(now) {
            return Some(Due::AttemptTimeout(attempt));
        }
        self.calls.pop(now).map(Due::CallTimeout)
    }

    /// Whether there may be many that have no meaning any more: a driver that never waits comes to no other look at them.
    pub(crate) fn is_crowded(&self) -> bool {
        self.attempts.is_crowded() || self.calls.is_crowded()
    }

    /// Drops what has no meaning any more, so that an idle driver is not woken for it.
    pub(crate) fn tidy(
        &mut self,
        attempt_lives: impl Fn(AttemptId) -> bool,
        call_lives: impl Fn(CallId) -> bool,
    ) {
        self.attempts.tidy(attempt_lives);
        self.calls.tidy(&call_lives);
        while self
            .backoffs
            .peek()
            .is_some_and(|Reverse((_, call))| !call_lives(*call))
        {
            self.backoffs.pop();
        }
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.attempts.queue.len() + self.calls.queue.len()
    }

    /// The moment of the next thing that is due.
    pub(crate) fn next(&self) -> Option<Time> {
        let backoff = self.backoffs.peek().map(|Reverse((at, _))| *at);
        [backoff, self.attempts.next(), self.calls.next()]
            .into_iter()
            .flatten()
            .min()
    }
}

impl<Id> Default for Expiries<Id> {
    fn default() -> Self {
        Expiries {
            queue: VecDeque::new(),
            crowded: CROWDED,
        }
    }
}

/// Time-outs that may lie in a queue before those of ended attempts are looked for.
const CROWDED: usize = 1_024;

impl<Id: Copy> Expiries<Id> {
    fn next(&self) -> Option<Time> {
        self.queue.front().map(|(at, _)| *at)
    }

    fn pop(&mut self, now: Time) -> Option<Id> {
        if self.next()? > now {
            return None;
        }
        self.queue.pop_front().map(|(_, id)| id)
    }

    fn is_crowded(&self) -> bool {
        self.queue.len() > self.crowded
    }

    fn tidy(&mut self, lives: impl Fn(Id) -> bool) {
        while self.queue.front().is_some_and(|(_, id)| !lives(*id)) {
            self.queue.pop_front();
        }
        // Behind one slow attempt millions of ended ones may lie.
        if self.is_crowded() {
            self.queue.retain(|(_, id)| lives(*id));
            self.crowded = CROWDED + 2 * self.queue.len();
        }
    }
}

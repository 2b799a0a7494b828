//! What happened, event by event, and the hash by which two plays are compared.

use crate::draw::mix;
use std::time::Duration;

/// One thing that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// When, in nanoseconds since the start.
    pub at: u64,
    /// To which call.
    pub call: u32,
    /// The how-manieth attempt, from 1; 0 where it is about none.
    pub number: u32,
    /// What.
    pub what: What,
}

/// What can happen to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum What {
    /// It was scheduled.
    Scheduled,
    /// The scheduler did not take it: it can never fit.
    Rejected,
    /// An attempt was dispatched.
    Dispatched,
    /// The API accepted the attempt.
    Accepted,
    /// The API refused the attempt.
    Refused,
    /// A good answer came back.
    Answered,
    /// An error came back.
    Errored,
    /// The scheduler stopped waiting for the attempt.
    Abandoned,
    /// The call was done.
    Done,
    /// The call failed for good.
    Failed,
}

#[derive(Debug)]
pub(super) struct Trace {
    pub(super) events: Vec<Event>,
    pub(super) hash: u64,
    keeps: bool,
}

impl Trace {
    pub(super) fn new(keeps: bool) -> Trace {
        Trace {
            events: Vec::new(),
            hash: 0,
            keeps,
        }
    }

    pub(super) fn add(&mut self, at: Duration, call: u32, number: u32, what: What) {
        let at = crate::span::nanos(at);
        for word in [at, u64::from(call) << 32 | u64::from(number), what as u64] {
            self.hash = mix(self.hash.rotate_left(5) ^ word.wrapping_add(1));
        }
        if self.keeps {
            self.events.push(Event {
                at,
                call,
                number,
                what,
            });
        }
    }
}

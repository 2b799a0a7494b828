//! For how long a run has had nothing but trouble.
//!
//! The clock starts with the first failure or refusal after a success, and stands still while all
//! that waits waits for quota or for a moment that the server named.

use crate::time::{Time, nanos};
use core::time::Duration;

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Stall {
    since: Option<Time>,
    waits_since: Option<Time>,
}

impl Stall {
    pub(crate) fn success(&mut self) {
        self.since = None;
    }

    pub(crate) fn trouble(&mut self, now: Time) {
        self.since.get_or_insert(now);
    }

    /// All that waits waits for quota or for a named moment, and nothing is in flight.
    pub(crate) fn waits(&mut self, now: Time) {
        self.waits_since.get_or_insert(now);
    }

    /// A call is dispatched: the wait, if there was one, does not count.
    pub(crate) fn goes_on(&mut self, now: Time) {
        let waited = self
            .waits_since
            .take()
            .map_or(0, |since| nanos(now.since(since)));
        self.since = self.since.map(|since| since.plus(waited));
    }

    /// When the limit is reached, if nothing changes; `None` while the clock stands still.
    pub(crate) fn due(&self, limit: Option<Duration>) -> Option<Time> {
        match (self.since, self.waits_since, limit) {
            (Some(since), None, Some(limit)) => Some(since + limit),
            _ => None,
        }
    }
}

//! Spacing: a shortest time between two dispatches.

use super::{Mark, Moment};
use crate::time::Time;

#[derive(Clone, Debug)]
pub(crate) struct Spacing {
    interval: u64,
    pub(super) guard: u64,
    pub(super) last: Option<Time>,
}

impl Spacing {
    pub(super) fn new(interval: u64, guard: u64) -> Self {
        Spacing {
            interval,
            guard,
            last: None,
        }
    }

    pub(super) fn when(&self, now: Time) -> Moment {
        match self.next() {
            Some(next) if next > now => Moment::At(next),
            _ => Moment::Now,
        }
    }

    /// Whether a dispatch now leaves the one at `later` its distance.
    pub(super) fn leaves(&self, now: Time, later: Time) -> bool {
        now.plus(self.interval).plus(self.guard) <= later
    }

    pub(super) fn charge(&mut self, now: Time) -> Mark {
        self.last = Some(now);
        0
    }

    pub(super) fn charged(&self, now: Time) -> i64 {
        if self.when(now) == Moment::Now {
            0
        } else {
            crate::Amount::units(1).as_micros()
        }
    }

    pub(super) fn set(&mut self, interval: u64) {
        self.interval = interval;
    }

    fn next(&self) -> Option<Time> {
        self.last
            .map(|last| last.plus(self.interval).plus(self.guard))
    }
}

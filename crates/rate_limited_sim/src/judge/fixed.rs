//! The fixed window: a counter that starts from zero at each window's beginning.

use super::Mark;
use crate::limit::Anchor;
use crate::span::nanos;

#[derive(Clone, Debug)]
pub(crate) struct Fixed {
    pub(super) quota: u64,
    window: u64,
    /// Windows end at this moment plus any multiple of the window; `None`: the first charge says.
    phase: Option<u64>,
    /// The end of the open window; what lies in the past means that none is open.
    end: u64,
    /// The number of that window: a correction that comes later than its end corrects nothing.
    number: u64,
    used: u64,
}

impl Fixed {
    pub(super) fn new(quota: u64, window: u64, anchor: Anchor) -> Fixed {
        let phase = match anchor {
            Anchor::FirstRequest => None,
            Anchor::Aligned => Some(0),
            Anchor::At(moment) => Some(nanos(moment) % window),
        };
        Fixed {
            quota,
            window,
            phase,
            end: 0,
            number: 0,
            used: 0,
        }
    }

    pub(super) fn wait(&mut self, amount: u64, now: u64) -> Option<u64> {
        self.roll(now);
        if amount > self.quota {
            return None;
        }
        let fits = self.used + amount <= self.quota;
        Some(if fits { 0 } else { self.end - now })
    }

    pub(super) fn charge(&mut self, amount: u64, now: u64) -> u64 {
        self.roll(now);
        if self.end <= now {
            self.end = now + self.window;
        }
        self.used += amount;
        self.number
    }

    pub(super) fn correct(&mut self, mark: Mark, amount: u64, now: u64) {
        self.roll(now);
        if mark.place == self.number {
            self.used = self.used - mark.amount + amount;
        }
    }

    pub(super) fn counted(&mut self, now: u64) -> u64 {
        self.roll(now);
        self.used
    }

    pub(super) fn reset(&mut self, now: u64) -> u64 {
        self.roll(now);
        self.end.saturating_sub(now)
    }

    fn roll(&mut self, now: u64) {
        if now < self.end {
            return;
        }
        self.used = 0;
        self.number += 1;
        self.end = match self.phase {
            Some(phase) if now < phase => phase,
            Some(phase) => phase + ((now - phase) / self.window + 1) * self.window,
            None => 0,
        };
    }
}

//! The fixed window: a counter that starts from zero at each boundary.
//!
//! A request sent just before a boundary may be counted just after it. What is charged within the
//! guard before the end therefore counts in both windows.

use super::{Anchor, Mark, Moment};
use crate::amount::Amount;
use crate::snapshot::MeterSnapshot;
use crate::time::Time;

#[derive(Clone, Debug)]
pub(crate) struct FixedWindow {
    quota: i64,
    window: u64,
    pub(super) guard: u64,
    anchor: Anchor,
    /// The end of the window that `used` counts in; `None` before the first call.
    end: Option<Time>,
    /// The number of that window, so that a settlement knows whether its window is over.
    number: u64,
    used: i64,
    /// The part of `used` that the next window may count too.
    late: i64,
}

impl FixedWindow {
    pub(super) fn new(quota: i64, window: u64, anchor: Anchor, guard: u64) -> Self {
        let end = match anchor {
            Anchor::FirstCall => None,
            Anchor::At(start) => Some(start),
            Anchor::Calendar { end, .. } => Some(end),
        };
        FixedWindow {
            quota,
            window,
            guard,
            anchor,
            end,
            number: 0,
            used: 0,
            late: 0,
        }
    }

    pub(super) fn when(&mut self, need: i64, now: Time) -> Moment {
        self.roll(now);
        if self.used.saturating_add(need) <= self.quota {
            return Moment::Now;
        }
        if need > self.quota {
            return Moment::Unknown;
        }
        // Debt carried into the next window may fill that one as well.
        let end = self
            .end
            .expect("something was charged, so a window is open");
        let fits_next = self.late.saturating_add(need) <= self.quota;
        Moment::At(if fits_next {
            end
        } else {
            end.plus(self.window)
        })
    }

    pub(super) fn leaves(&mut self, first: i64, second: i64, now: Time, later: Time) -> bool {
        self.roll(now);
        let both = first.saturating_add(second);
        if self.used.saturating_add(both) <= self.quota {
            return true;
        }
        let Some(end) = self.end else {
            return both <= self.quota;
        };
        if later < end {
            return false;
        }
        let carried = if self.is_late(now) { first } else { 0 };
        self.late.saturating_add(carried).saturating_add(second) <= self.quota
    }

    pub(super) fn charge(&mut self, amount: i64, now: Time) -> Mark {
        self.roll(now);
        if self.end.is_none() {
            self.end = Some(now.plus(self.window).plus(self.guard));
        }
        self.used = self.used.saturating_add(amount);
        let late = self.is_late(now);
        if late {
            self.late = self.late.saturating_add(amount);
        }
        self.number << 1 | u64::from(late)
    }

    pub(super) fn adjust(&mut self, mark: Mark, delta: i64, now: Time) {
        self.roll(now);
        let (number, late) = (mark >> 1, mark & 1 == 1);
        let counts = number == self.number || (late && number + 1 == self.number);
        if counts {
            self.used = self.used.saturating_add(delta);
        }
        if late && number == self.number {
            self.late = self.late.saturating_add(delta);
        }
    }

    pub(super) fn charged(&mut self, now: Time) -> i64 {
        self.roll(now);
        self.used
    }

    pub(super) fn set(&mut self, quota: i64, window: u64, anchor: Anchor, now: Time) {
        self.roll(now);
        if self.anchor != anchor || self.window != window {
            let fresh = FixedWindow::new(quota, window, anchor, self.guard);
            (self.window, self.anchor, self.end) = (window, anchor, fresh.end);
            if self.end.is_none() && self.used > 0 {
                self.end = Some(now.plus(window));
            }
        }
        self.quota = quota;
    }

    pub(super) fn boundary(&mut self, end: Time, next: Time, now: Time) {
        self.roll(now);
        if let Anchor::Calendar { .. } = self.anchor {
            self.anchor = Anchor::Calendar { end, next };
            self.end = Some(end);
            self.roll(now);
        }
    }

    pub(super) fn snapshot(&self) -> MeterSnapshot {
        MeterSnapshot::Fixed {
            used: Amount::from_micros(self.used),
            late: Amount::from_micros(self.late),
            end: self.end,
        }
    }

    pub(super) fn restore(&mut self, used: Amount, late: Amount, end: Option<Time>) {
        (self.used, self.late) = (used.as_micros(), late.as_micros());
        if !matches!(self.anchor, Anchor::Calendar { .. }) {
            self.end = end.or(self.end);
        }
    }

    /// Whether a request sent now may be counted after the end of the window. A window that begins
    /// with the first call begins at the server up to a guard later than here, and its end here
    /// already has that guard added: the doubt then begins a guard earlier.
    fn is_late(&self, now: Time) -> bool {
        let doubt = match self.anchor {
            Anchor::FirstCall => self.guard.saturating_mul(2),
            _ => self.guard,
        };
        self.end.is_some_and(|end| now.plus(doubt) >= end)
    }

    fn roll(&mut self, now: Time) {
        while let Some(end) = self.end.filter(|end| *end <= now) {
            let idle = self.used == 0;
            let Some(next) = self.end_after(end, now, idle) else {
                return;
            };
            // A window that begins with a call stays closed until there is one, unless a late call
            // may have opened it already.
            self.end = match self.anchor {
                Anchor::FirstCall if self.late == 0 => None,
                _ => Some(next),
            };
            self.number += 1;
            (self.used, self.late) = (self.late, 0);
        }
    }

    /// The end of the window after the one that ended at `end`; `None` while the driver owes it.
    fn end_after(&mut self, end: Time, now: Time, idle: bool) -> Option<Time> {
        match self.anchor {
            Anchor::Calendar { next, .. } if next > end => Some(next),
            Anchor::Calendar { .. } => None,
            // Idle windows are passed over at once, however many there were.
            _ if idle => {
                let passed = (now.as_nanos() - end.as_nanos()) / self.window;
                Some(
                    end.plus(passed.saturating_mul(self.window))
                        .plus(self.window),
                )
            }
            _ => Some(end.plus(self.window)),
        }
    }
}

//! The budget: what is spent never comes back, except for what a settlement refunds.

use super::{Mark, Moment};

#[derive(Clone, Debug)]
pub(crate) struct Budget {
    total: i64,
    used: i64,
}

impl Budget {
    pub(super) fn new(total: i64) -> Self {
        Budget { total, used: 0 }
    }

    pub(super) fn when(&self, need: i64) -> Moment {
        if self.used.saturating_add(need) <= self.total {
            Moment::Now
        } else {
            Moment::Unknown
        }
    }

    pub(super) fn charge(&mut self, amount: i64) -> Mark {
        self.used = self.used.saturating_add(amount);
        0
    }

    pub(super) fn adjust(&mut self, delta: i64) {
        self.used = self.used.saturating_add(delta);
    }

    pub(super) fn charged(&self) -> i64 {
        self.used
    }

    pub(super) fn set(&mut self, total: i64) {
        self.total = total;
    }
}

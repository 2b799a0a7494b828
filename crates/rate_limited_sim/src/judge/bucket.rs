//! The token bucket: it starts full, refills continuously, and may be in debt by a correction.

use super::Mark;

/// Amounts are kept in units times nanoseconds of the window, so that a refill of `quota` in a
/// window is exactly `quota` each nanosecond: no fraction is ever rounded away.
#[derive(Clone, Debug)]
pub(crate) struct Bucket {
    quota: i128,
    window: i128,
    full: i128,
    level: i128,
    at: u64,
}

impl Bucket {
    pub(super) fn new(quota: u64, window: u64, burst: u64) -> Bucket {
        let full = i128::from(burst) * i128::from(window);
        Bucket {
            quota: quota.into(),
            window: window.into(),
            full,
            level: full,
            at: 0,
        }
    }

    pub(super) fn set_quota(&mut self, quota: u64, burst: u64, now: u64) {
        self.refill(now);
        self.quota = quota.into();
        self.full = i128::from(burst) * self.window;
        self.level = self.level.min(self.full);
    }

    pub(super) fn wait(&mut self, amount: u64, now: u64) -> Option<u64> {
        let need = i128::from(amount) * self.window;
        (need <= self.full).then(|| self.wait_for(need, now))
    }

    pub(super) fn wait_for_any(&mut self, now: u64) -> u64 {
        self.wait_for(1, now)
    }

    pub(super) fn charge(&mut self, amount: u64, now: u64) -> u64 {
        self.refill(now);
        self.level -= i128::from(amount) * self.window;
        0
    }

    pub(super) fn correct(&mut self, mark: Mark, amount: u64, now: u64) {
        self.refill(now);
        let back = i128::from(mark.amount) - i128::from(amount);
        self.level = (self.level + back * self.window).min(self.full);
    }

    pub(super) fn counted(&mut self, now: u64) -> u64 {
        self.refill(now);
        whole(divided_up(self.full - self.level, self.window))
    }

    pub(super) fn reset(&mut self, now: u64) -> u64 {
        self.wait_for(self.full, now)
    }

    fn wait_for(&mut self, need: i128, now: u64) -> u64 {
        self.refill(now);
        whole(divided_up((need - self.level).max(0), self.quota))
    }

    fn refill(&mut self, now: u64) {
        let passed = i128::from(now - self.at);
        self.level = self.full.min(self.level + passed * self.quota);
        self.at = now;
    }
}

fn divided_up(amount: i128, by: i128) -> i128 {
    (amount + by - 1) / by
}

fn whole(amount: i128) -> u64 {
    u64::try_from(amount).unwrap_or(u64::MAX)
}

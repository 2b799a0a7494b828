//! The token bucket: a level that rises continuously up to the burst.
//!
//! The level is kept in (millionths × nanoseconds of the refill period), so that refilling is one
//! exact multiplication: nothing drifts, however often the bucket is asked.
//!
//! The guard against jitter is a margin of what flows in during it: requests that were sent
//! apart may arrive closer together, by at most that much. A full bucket gains that margin by being
//! left alone for a guard longer, and loses it with the next charge: at the server it stays full, and
//! gains nothing, until that request arrives.

use super::{Mark, Moment};
use crate::amount::Amount;
use crate::snapshot::MeterSnapshot;
use crate::time::Time;

#[derive(Clone, Debug)]
pub(crate) struct TokenBucket {
    refill: i64,
    per: u64,
    burst: i64,
    pub(super) guard: u64,
    /// Millionths × `per`; negative while in debt.
    level: i128,
    /// What the bucket lacked beyond its burst when it was made smaller: it comes back before a larger one is
    /// full. Millionths × the refill period in force.
    waived: i128,
    at: Time,
}

impl TokenBucket {
    pub(super) fn new(refill: i64, per: u64, burst: i64, guard: u64, now: Time) -> Self {
        let margin = i128::from(refill) * i128::from(guard);
        let level = i128::from(burst) * i128::from(per) + margin;
        TokenBucket {
            refill,
            per,
            burst,
            guard,
            level,
            waived: 0,
            at: now,
        }
    }

    pub(super) fn when(&mut self, need: i64, now: Time) -> Moment {
        self.refill(now);
        if need > self.burst {
            return Moment::Unknown;
        }
        let missing = self.level_for(need) - self.level;
        if missing <= 0 {
            return Moment::Now;
        }
        let refill = i128::from(self.refill);
        let wait = (missing + refill - 1) / refill;
        Moment::At(now.plus(u64::try_from(wait).unwrap_or(u64::MAX)))
    }

    pub(super) fn leaves(&mut self, first: i64, second: i64, now: Time, later: Time) -> bool {
        self.refill(now);
        let level = self.spendable() - self.scaled(first);
        self.level_after(level, later) >= self.level_for(second)
    }

    pub(super) fn charge(&mut self, amount: i64, now: Time) -> Mark {
        self.refill(now);
        self.level = self.spendable().saturating_sub(self.scaled(amount));
        0
    }

    pub(super) fn adjust(&mut self, delta: i64, now: Time) {
        self.refill(now);
        self.level = self
            .level
            .saturating_sub(self.scaled(delta))
            .min(self.full());
    }

    pub(super) fn charged(&mut self, now: Time) -> i64 {
        self.refill(now);
        self.burst.saturating_sub(self.units())
    }

    pub(super) fn set(&mut self, refill: i64, per: u64, burst: i64, now: Time) {
        self.refill(now);
        let waived = whole(self.waived + i128::from(self.per) - 1, self.per);
        let missing = self
            .burst
            .saturating_sub(self.units())
            .saturating_add(waived);
        let owed = self.units().min(0);
        (self.refill, self.per, self.burst) = (refill, per, burst);
        // A bucket that shrinks owes nothing for that, and gains nothing when it grows again.
        let lacking = burst.saturating_sub(missing);
        let level = lacking.max(owed);
        self.level = self.scaled(level);
        self.waived = self.scaled(level.saturating_sub(lacking));
    }

    /// Nothing is left; gives what was, rounded up.
    pub(super) fn drain(&mut self) -> i64 {
        let left = self.level.max(0);
        self.level -= left;
        let per = i128::from(self.per);
        i64::try_from((left + per - 1) / per).unwrap_or(i64::MAX)
    }

    pub(super) fn snapshot(&self) -> MeterSnapshot {
        MeterSnapshot::Bucket {
            level: Amount::from_micros(self.units()),
            at: self.at,
        }
    }

    pub(super) fn restore(&mut self, level: Amount, at: Time, now: Time) {
        self.level = self.scaled(level.as_micros()).min(self.scaled(self.burst));
        self.at = at.min(now);
    }

    /// The level at which `need` may go: with the margin above it.
    fn level_for(&self, need: i64) -> i128 {
        self.scaled(need) + self.margin()
    }

    fn margin(&self) -> i128 {
        i128::from(self.refill) * i128::from(self.guard)
    }

    /// The highest level: the burst, and the margin of a bucket that was left alone.
    fn full(&self) -> i128 {
        self.scaled(self.burst) + self.margin()
    }

    /// The level without that margin.
    fn spendable(&self) -> i128 {
        self.level.min(self.scaled(self.burst))
    }

    fn refill(&mut self, now: Time) {
        if now > self.at {
            let risen = self.level.saturating_add(self.flown(now));
            self.level = risen.min(self.full());
            // What flows over is of use to a larger bucket.
            self.waived = (self.waived - (risen - self.level)).max(0);
            self.at = now;
        }
    }

    fn level_after(&self, level: i128, later: Time) -> i128 {
        level.saturating_add(self.flown(later)).min(self.full())
    }

    /// What flows in until then.
    fn flown(&self, later: Time) -> i128 {
        let elapsed = i128::from(later.as_nanos().saturating_sub(self.at.as_nanos()));
        i128::from(self.refill).saturating_mul(elapsed)
    }

    fn scaled(&self, amount: i64) -> i128 {
        i128::from(amount) * i128::from(self.per)
    }

    /// The level in millionths, rounded down.
    fn units(&self) -> i64 {
        whole(self.spendable(), self.per)
    }
}

/// So much in millionths, rounded down.
fn whole(scaled: i128, per: u64) -> i64 {
    i64::try_from(scaled.div_euclid(i128::from(per))).unwrap_or(i64::MIN)
}

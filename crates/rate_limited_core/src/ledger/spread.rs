//! A limit that a server spreads over its window: it lets a few calls through at once, and then one after the other.
//!
//! "60 a minute" may be a whole minute's worth at any moment of it, or one a second, and pages of APIs seldom say which. The
//! first refusal does: where little has passed of what was told, and the call fits again so soon that much more
//! comes back within a window, what passed was a burst and says nothing of the rate. A refusal that names no moment
//! leaves it open; then the rate that was told is tried first, and later refusals show whether it is right.
//!
//! A bucket of that burst then stands beside the books of the limit: both must have room. So what was told is never
//! passed, and what refusals have shown of the limit lowers the rate of both.

use super::refusals::{Cut, DEEPEST_CUT};
use super::{Hold, Ledger};
use crate::amount::Amount;
use crate::ceiling::Evidence;
use crate::quota::{Meter, Moment, Quota};
use crate::ramp::Ramp;
use crate::resource::Untold;
use crate::time::{Time, nanos};
use core::time::Duration;

/// So many times what passed has to come back within a window.
const MORE: i64 = 2;

/// It has to be less than this part of what was told; and less than that one where a refusal names no moment.
const LESS: i64 = 2;
pub(super) const FAR_LESS: i64 = 16;

/// What passes in the time of so many bursts without a refusal makes it worth while to try more.
const BURSTS: u64 = 8;

/// So many bursts are too few to tell a rate by, where it is not known how much there was at first.
const FEW: i64 = 4;

/// One episode of refusals lowers a rate to this part at most.
const DEEPEST: i64 = 4;

/// The bucket that keeps calls apart, beside the books of the limit.
#[derive(Clone, Debug)]
pub(super) struct Spread {
    meter: Meter,
    quota: Quota,
    guard: u64,
    /// Attempts that were dispatched later are charged to it.
    since: Time,
    /// The beginning of the episode of refusals that showed it.
    episode: Time,
    /// Whether an earlier one had shown that there is one.
    proven: bool,
}

impl Spread {
    fn burst(&self) -> Amount {
        self.quota.capacity()
    }

    fn room_for(&self, need: i64) -> i64 {
        need.min(self.burst().as_micros())
    }

    /// When there is room in the books and here.
    pub(super) fn when(&mut self, books: Moment, need: i64, now: Time) -> Moment {
        match (books, self.meter.when(self.room_for(need), now)) {
            (Moment::Unknown, _) => Moment::Unknown,
            (books, Moment::Now | Moment::Unknown) => books,
            (Moment::Now, here) => here,
            (Moment::At(books), Moment::At(here)) => Moment::At(books.max(here)),
        }
    }

    pub(super) fn leaves(&mut self, first: i64, second: i64, now: Time, later: Time) -> bool {
        self.meter.leaves(first, self.room_for(second), now, later)
    }

    pub(super) fn goes(&mut self, amount: i64, now: Time) {
        self.meter.charge(amount, now);
    }

    /// What was held has taken so much in the end.
    pub(super) fn settle(&mut self, hold: &Hold, used: i64, now: Time) {
        if hold.dispatched > self.since {
            self.meter.adjust(0, hold.amount, used, now);
        }
    }

    /// Whether all of a burst is there that lets several go at once.
    pub(super) fn is_whole(&mut self, amount: i64, now: Time) -> bool {
        self.burst().as_micros() / 2 >= amount && self.meter.charged(now) <= 0
    }

    /// In this time, in nanoseconds, a rate that is too high is refused.
    pub(super) fn quiet(&self) -> u64 {
        self.quota.burst_nanos().saturating_mul(BURSTS)
    }

    /// Requests that were sent apart came closer together, or so a refusal may mean.
    pub(super) fn widen_guard(&mut self) {
        let widest = self.quota.burst_nanos() / 10;
        self.guard = (self.guard * 2).min(widest).max(self.guard);
        self.meter.set_guard(self.guard);
    }

    /// Takes the rate of this limit.
    pub(super) fn set_rate(&mut self, limit: Amount, window: Duration, now: Time) {
        self.quota = Quota::bucket(limit, window, self.burst());
        self.meter.set(&self.quota, now);
    }

    /// A refusal says that nothing is left.
    fn drain(&mut self, now: Time) {
        // What flows in until now is among it.
        self.meter.charged(now);
        self.meter.drain();
    }
}

impl Ledger {
    /// How much goes at once, where the server spreads the limit over its window.
    pub(crate) fn burst(&self) -> Option<Amount> {
        self.spread.as_ref().map(Spread::burst)
    }

    /// After a refused attempt was settled: whether it is due to a burst that is lower than was believed. Each further
    /// refusal of the episode makes that exact, or shows that the limit is lower instead.
    pub(super) fn is_spread(&mut self, asked: Amount, wait: Option<Duration>, now: Time) -> bool {
        self.hear_of_return(asked, wait);
        let Some(burst) = self.burst_shown(asked, now) else {
            self.forget_spread(now);
            return false;
        };
        // What the episode has said of the limit so far, it said of the burst.
        self.ceiling = self.refusals.ceiling.clone();
        self.refusals.cut = Cut::Due;
        self.doubt_the_rate(now);
        self.keep_apart(burst.max(asked), now);
        true
    }

    /// What passed at once before a refusal, if that may be a burst.
    fn burst_shown(&mut self, asked: Amount, now: Time) -> Option<Amount> {
        let whole = self.tally.whole;
        let passed = Amount::from_micros(self.tally.passed);
        match &self.spread {
            Some(spread) if spread.episode != self.refusals.start => self.lower_burst(asked),
            // Something went since: this refusal comes late, and tells nothing more.
            Some(spread) if !whole => Some(spread.burst()),
            Some(spread) if spread.proven => Some(spread.burst().min(passed)),
            _ => whole.then(|| self.first_burst(now)).flatten(),
        }
    }

    /// What is left of a burst that was found in an earlier episode, if less of it passed and the rate is not to blame.
    fn lower_burst(&self, asked: Amount) -> Option<Amount> {
        let burst = self.spread.as_ref()?.burst();
        let passed = Amount::from_micros(self.tally.passed).max(asked);
        let limit = self.quota().limit()?.as_micros();
        let is_rate = !self.tally.whole && self.rate_seen(asked, limit)? < limit / 16 * 15;
        (passed < burst && !is_rate).then_some(passed)
    }

    /// What this episode seemed to show of a burst does not hold.
    fn forget_spread(&mut self, now: Time) {
        let episode = self.refusals.start;
        if self.spread.take_if(|it| it.episode == episode).is_some() {
            (self.ceiling, self.spent_at) = (self.refusals.ceiling.clone(), None);
            self.remeter(now);
        }
    }

    /// Less comes back than was told: so much is the limit at most, unless the server asks to wait for another reason.
    fn doubt_the_rate(&mut self, now: Time) {
        let limit = self.quota().limit().map_or(0, Amount::as_micros);
        let lower = self.refusals.comes_back.filter(|it| *it < limit / 4 * 3);
        if let Some(lower) = lower {
            self.ceiling.found(lower.max(limit / DEEPEST_CUT), now);
        }
        self.remeter(now);
    }

    /// Remembers the least that comes back within a window, as the refusals of this episode tell.
    fn hear_of_return(&mut self, asked: Amount, wait: Option<Duration>) {
        let second = Duration::from_secs(1);
        // Whole seconds were rounded up, and a moment that is now says nothing.
        let wait = wait.map(|wait| match wait.subsec_nanos() {
            0 => wait.saturating_sub(second),
            _ => wait,
        });
        let Some(wait) = wait.filter(|wait| !wait.is_zero()) else {
            return;
        };
        let window = i128::from(nanos(self.base.window()));
        let amount = i128::from(asked.as_micros()) * window / i128::from(nanos(wait));
        let amount = i64::try_from(amount).unwrap_or(i64::MAX);
        let least = self.refusals.comes_back.map_or(amount, |it| it.min(amount));
        self.refusals.comes_back = Some(least);
    }

    /// What passed at once, if it is clearly less than the limit and the call fits again soon.
    fn first_burst(&mut self, now: Time) -> Option<Amount> {
        if self.resource.untold != Untold::Nothing {
            return None;
        }
        let may_be = match &mut self.meter {
            Meter::Sliding(_) | Meter::Bucket(_) => true,
            // At its edge little has passed, and the refusal may be of the one before.
            Meter::Fixed(meter) => !meter.is_at_edge(now),
            _ => false,
        };
        if !may_be {
            return None;
        }
        let believed = self.quota_under(&self.refusals.ceiling);
        let (passed, most) = (self.tally.passed, believed.capacity().as_micros());
        // Where nothing passes, no burst is what was spent.
        if passed <= 0 {
            return None;
        }
        let is_burst = match self.refusals.comes_back {
            Some(comes_back) => comes_back / MORE >= passed && passed <= most / LESS,
            None => passed <= most / FAR_LESS,
        };
        is_burst.then_some(Amount::from_micros(passed))
    }

    /// Puts the bucket beside the books, with nothing in it.
    fn keep_apart(&mut self, burst: Amount, now: Time) {
        let Some(limit) = self.quota().limit() else {
            return;
        };
        let quota = Quota::bucket(limit, self.base.window(), burst);
        let guard = self.resource.first_guard(&quota);
        let episode = self.refusals.start;
        let is_proven = |former: &Spread| former.proven || former.episode != episode;
        self.spread = Some(Spread {
            meter: Meter::new(&quota, guard, now),
            quota,
            guard,
            since: now,
            episode,
            proven: self.spread.as_ref().is_some_and(is_proven),
        });
        self.spends(now);
    }

    /// A refusal says that nothing is left: a slow start begins.
    pub(super) fn spends(&mut self, now: Time) {
        self.ramp = Some(Ramp::new(self.refusals.took));
        if let Some(spread) = &mut self.spread {
            spread.drain(now);
            self.spent_at = Some(self.refusals.start);
        }
    }

    /// What a refusal shows of the rate, where the burst is known.
    pub(super) fn evidence_of_rate(&self, asked: Amount, limit: i64) -> Option<Evidence> {
        let burst = self.spread.as_ref()?.burst().as_micros();
        Some(Evidence {
            passed: self.rate_seen(asked, limit)?.max(limit / DEEPEST),
            others: 0,
            limit,
            floor: burst.min(limit),
        })
    }

    /// The rate that the server lets through, as a limit: what has passed since nothing was left. Where that is more than a
    /// burst, the server's bucket may have been full meanwhile, and lost what flowed in: then the truth lies between
    /// that and the limit in force. Of a bucket that was full it takes some bursts to tell.
    fn rate_seen(&self, asked: Amount, limit: i64) -> Option<i64> {
        let burst = self.spread.as_ref()?.burst().as_micros();
        let mut passed = self.tally.passed;
        if self.tally.whole {
            if passed < burst.saturating_mul(FEW) {
                return Some(limit);
            }
            passed -= burst;
        }
        let time = i128::from(nanos(self.refusals.start.since(self.tally.since?)));
        let window = i128::from(nanos(self.base.window()));
        let over_window = |amount: i64| i128::from(amount.max(0)) * window / time.max(1);
        let seen = if passed < burst {
            over_window(passed.saturating_add(asked.as_micros()))
        } else {
            let (least, most) = (over_window(passed), i128::from(limit));
            (least.min(most) * most).isqrt()
        };
        i64::try_from(seen).ok()
    }
}

//! Learned reservations: what calls really use, as a share of their upper bound.
//!
//! Callers must name an upper bound (`max_tokens`), and real answers are often a tenth of it. Where
//! the API charges real usage, reserving the bound leaves most of the quota idle. So per power of
//! two of the bound the last 256 shares are kept, and a reservation is the mean share plus three
//! standard errors for as many calls as are in flight together: what they use in sum is then very
//! rarely above what they reserved, and the rest is repaid as debt.
//!
//! A refusal says that something of this was wrong, and how full the books were says what. With full
//! books, and once in a while, the sum was a little too low: a margin covers that, and melts away while
//! nothing is refused. With books that still had room, or again and again, the API counts the bounds
//! while calls are in flight, whatever it charges in the end: the bounds are reserved for a window, for
//! four windows the next time, then for sixteen, and so on. Where whole bounds would have filled the quota and what
//! calls are likely to use would not, that is certain enough to begin with sixteen. Answers that say how much remains
//! tell the two apart without any refusal, and end the distrust if it was wrong.

use crate::learnt::{LearntShares, SHARES};
use crate::time::Time;
use std::collections::VecDeque;

/// Settlements remembered per class of bounds.
const MEMORY: usize = 256;

/// Settlements needed before a share is believed.
const ENOUGH: usize = 16;

/// The part of a quota, in percent, from which on the books count as full.
const FULL: i128 = 95;

/// Refusals with full books that only raise reservations: the first one, and the one that follows when its pause
/// was too short.
const STRIKES: u32 = 2;

/// The part of a quota, in percent, by which usage and whole bounds must differ for an answer to tell them apart, and
/// how many answers in a row must agree; and by what they differ where there is nothing to tell apart.
const TELLING: i64 = 15;
const ALIKE: i64 = 3;
const VOTES: i32 = 3;

/// The part of a quota, in percent, below which what calls are likely to use explains no refusal.
const ROOM: i64 = 75;

/// Windows for which whole bounds are reserved where they explain a refusal that shares do not.
const EXPLAINED: u32 = 16;

/// By what a single refusal raises reservations, in millionths.
const MARGIN_STEP: i64 = WHOLE / 10;

/// The largest margin, in millionths.
const MARGIN_MAX: i64 = 2 * WHOLE;

/// Shares are counted in millionths.
const WHOLE: i64 = 1_000_000;

/// The largest share that is believed.
const SHARE_MAX: u32 = 4 * WHOLE as u32;

#[derive(Clone, Debug)]
pub(crate) struct Learned {
    /// By the power of two of the bound.
    classes: Vec<Shares>,
    /// After a refusal or a large debt nothing is believed until then.
    distrust_until: Time,
    /// For how many windows the next such refusal is remembered.
    memory: u32,
    /// By what reservations are raised, in millionths.
    margin: i64,
    /// Refusals since the last calm, and from when on it is calm again.
    strikes: u32,
    calm_from: Time,
    /// How many answers in a row showed that bounds are counted; below zero, that they are not.
    votes: i32,
    /// What the server was last seen to have counted beside all of ours, when hardly anything was in flight.
    others: i64,
}

#[derive(Clone, Debug, Default)]
struct Shares {
    recent: VecDeque<u32>,
    sum: i64,
    squares: i128,
}

impl Learned {
    pub(crate) fn new() -> Self {
        Learned {
            classes: vec![Shares::default(); 64],
            distrust_until: Time::default(),
            memory: 1,
            margin: WHOLE,
            strikes: 0,
            calm_from: Time::default(),
            votes: 0,
            others: 0,
        }
    }

    /// What to reserve for a call of this bound, with so many others in flight.
    pub(crate) fn reservation(&self, bound: i64, in_flight: u32, now: Time) -> i64 {
        if bound <= 0 || now < self.distrust_until {
            return bound;
        }
        let share = self.classes[class(bound)].upper_share(in_flight);
        let share = (share * self.margin / WHOLE).min(WHOLE);
        let product = i128::from(bound) * i128::from(share);
        let reserved = (product + i128::from(WHOLE) - 1) / i128::from(WHOLE);
        i64::try_from(reserved).unwrap_or(bound).min(bound)
    }

    /// What outlives the process.
    pub(crate) fn learnt(&self) -> LearntShares {
        let latest = |shares: &Shares| {
            let skipped = shares.recent.len().saturating_sub(SHARES);
            shares.recent.iter().skip(skipped).copied().collect()
        };
        let classes = self.classes.iter().enumerate();
        let known = classes.filter(|(_, shares)| !shares.recent.is_empty());
        LearntShares {
            margin: self.margin,
            memory: self.memory,
            classes: known
                .map(|(power, shares)| (power as u8, latest(shares)))
                .collect(),
        }
    }

    /// Takes over what was learnt before, as far as it could have been.
    pub(crate) fn recall(&mut self, learnt: &LearntShares) {
        self.margin = learnt.margin.clamp(WHOLE, MARGIN_MAX);
        self.memory = learnt.memory.max(1);
        for (power, latest) in &learnt.classes {
            if let Some(shares) = self.classes.get_mut(usize::from(*power)) {
                let latest = latest.iter().take(SHARES);
                latest.for_each(|share| shares.push((*share).min(SHARE_MAX)));
            }
        }
    }

    pub(crate) fn observe(&mut self, bound: i64, used: i64) {
        if bound <= 0 {
            return;
        }
        // A usage far above its bound says that the bound is wrong, not how wrong the next one is.
        let share = i128::from(used) * i128::from(WHOLE) / i128::from(bound);
        let share = u32::try_from(share).unwrap_or(u32::MAX).min(SHARE_MAX);
        self.classes[class(bound)].push(share);
        self.margin -= (self.margin - WHOLE) / 1_000;
    }

    /// An answer shows how much the server has counted. In the middle between what is likely to be used and whole
    /// bounds, it says which of them the server counts while calls are in flight.
    pub(crate) fn hears(&mut self, counted: i64, books: Books, quota: i64, window: u64, now: Time) {
        let likely = books.settled.saturating_add(self.likely(books.flying));
        let whole = books.settled.saturating_add(books.flying);
        let apart = whole.saturating_sub(likely);
        if apart < quota / 100 * ALIKE {
            self.others = counted.saturating_sub(whole).max(0);
        }
        if apart < quota / 100 * TELLING {
            return;
        }
        let counted = counted.saturating_sub(self.others);
        // More than all of ours is also what others take; less than what has ended is back there earlier than with us.
        if counted > whole.saturating_add(apart / 4) || counted < books.settled {
            return;
        }
        if counted < likely.saturating_add(apart / 2) {
            self.votes = self.votes.min(0) - 1;
        } else {
            self.votes = self.votes.max(0) + 1;
        }
        if self.votes >= VOTES {
            self.distrust(now.plus(window.saturating_mul(EXPLAINED.into())));
        } else if self.votes <= -VOTES && now < self.distrust_until {
            self.distrust_until = now;
        }
    }

    /// What calls with bounds of this sum are likely to use, by the dearest class of calls.
    fn likely(&self, bounds: i64) -> i64 {
        let known = self.classes.iter().filter(|it| !it.recent.is_empty());
        let means = known.map(|it| it.sum / it.recent.len() as i64);
        let product = i128::from(bounds) * i128::from(means.max().unwrap_or(WHOLE));
        i64::try_from(product / i128::from(WHOLE)).unwrap_or(bounds)
    }

    /// Whether less than whole bounds is reserved.
    pub(crate) fn is_trusting(&self, now: Time) -> bool {
        now >= self.distrust_until
            && self
                .classes
                .iter()
                .any(|class| class.recent.len() >= ENOUGH)
    }

    /// Reserves whole bounds until `until`.
    pub(crate) fn distrust(&mut self, until: Time) {
        self.distrust_until = self.distrust_until.max(until);
    }

    /// The server refused a call while the books said so; calls go on at `now`.
    pub(crate) fn refused(&mut self, books: Books, quota: i64, window: u64, now: Time) {
        let is_full = |amount: i64| i128::from(amount) * 100 >= i128::from(quota) * FULL;
        let full = is_full(books.reserved);
        let whole = books.settled.saturating_add(books.flying);
        let likely = books.settled.saturating_add(self.likely(books.flying));
        let explained = is_full(whole) && likely < quota / 100 * ROOM;
        self.strikes = if now > self.calm_from {
            1
        } else {
            self.strikes + 1
        };
        self.calm_from = now.plus(window.saturating_mul(4));
        if full && !explained && self.strikes <= STRIKES {
            self.margin = (self.margin + MARGIN_STEP).min(MARGIN_MAX);
        } else if now >= self.distrust_until {
            if explained {
                self.memory = self.memory.max(EXPLAINED);
            }
            self.distrust(now.plus(window.saturating_mul(self.memory.into())));
            self.memory = self.memory.saturating_mul(4);
        }
    }
}

/// What the books held when a call was refused.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Books {
    /// Charged or reserved.
    pub(crate) reserved: i64,
    /// Charged for attempts that have ended.
    pub(crate) settled: i64,
    /// The bounds of those in flight.
    pub(crate) flying: i64,
}

impl Shares {
    fn push(&mut self, share: u32) {
        if self.recent.len() == MEMORY {
            let oldest = i64::from(self.recent.pop_front().expect("the memory is full"));
            self.sum -= oldest;
            self.squares -= i128::from(oldest) * i128::from(oldest);
        }
        self.recent.push_back(share);
        self.sum += i64::from(share);
        self.squares += i128::from(share) * i128::from(share);
    }

    /// Mean plus three standard errors of the mean of `in_flight` calls, at most the whole.
    fn upper_share(&self, in_flight: u32) -> i64 {
        if self.recent.len() < ENOUGH {
            return WHOLE;
        }
        let count = self.recent.len() as i128;
        let sum = i128::from(self.sum);
        // Variance of one share, in millionths squared: (n Σx² - (Σx)²) / n(n - 1).
        let variance = (count * self.squares - sum * sum) / (count * (count - 1));
        let of_mean =
            u64::try_from(variance * 9 / i128::from(in_flight.max(1))).unwrap_or(u64::MAX);
        let upper = sum / count + 1 + i128::from(of_mean.isqrt());
        i64::try_from(upper).unwrap_or(WHOLE).min(WHOLE)
    }
}

fn class(bound: i64) -> usize {
    bound.unsigned_abs().ilog2() as usize
}

//! What a ledger makes of refusals.

use super::Ledger;
use super::spread::FAR_LESS;
use crate::amount::Amount;
use crate::backoff::{Backoff, Chance};
use crate::ceiling::{Ceiling, Evidence};
use crate::quota::{Meter, Quota};
use crate::resource::Untold;
use crate::time::{Time, nanos};
use core::time::Duration;

/// A wait below the window divided by this says that there is room soon: the limit over the window is hardly to blame.
const BRIEF: u64 = 8;

/// Of a window so long, a wait that the server names is followed and nothing is lowered: that costs a refusal a window,
/// and a limit lowered wrongly, since others use the account too, would cost the rest of a day. So is a refusal of which
/// it is not likely that the limit is to blame.
const LONG_WINDOW: Duration = Duration::from_secs(3_600);

/// One episode of refusals lowers a limit that was told to a sixteenth at most: one absurd refusal among
/// thousands of answers must not stop a run.
pub(super) const DEEPEST_CUT: i64 = 16;

/// What refusals have shown of late.
#[derive(Clone, Debug, Default)]
pub(super) struct Refusals {
    /// In a row, one an episode.
    pub(super) episodes: u32,
    /// When the present episode began.
    pub(super) start: Time,
    /// When the one before it did.
    pub(super) former: Time,
    pub(super) cut: Cut,
    /// Whether what was learnt of real usage is no reason for it.
    pub(super) unexplained: bool,
    /// The limit that refusals had shown before it.
    pub(super) ceiling: Ceiling,
    /// The least that comes back within a window, as its refusals tell.
    pub(super) comes_back: Option<i64>,
    /// What was charged or held when the attempt that was refused last was dispatched.
    pub(super) before: i64,
    /// The time from a request to its refusal, in nanoseconds: the slowest of late.
    pub(super) took: Option<u64>,
}

/// What the present episode of refusals does to the limit in force.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Cut {
    #[default]
    None,
    /// It may lower it, once the refused attempt is settled.
    Due,
    /// It has lowered it, and further refusals make it exact.
    Done,
}

impl Ledger {
    /// The server refused an attempt that asked for so much and was dispatched at `sent`. Refusals of attempts that were
    /// under way when the episode began belong to it, and only a longer wait changes anything.
    pub(crate) fn refused(
        &mut self,
        (asked, sent): (Amount, Time),
        retry_after: Option<Duration>,
        backoff: &Backoff,
        chance: &mut Chance,
        now: Time,
    ) {
        let same_episode = self.refusals.episodes > 0 && sent <= self.refusals.start;
        let took = nanos(now.since(sent));
        self.refusals.took = Some(
            self.refusals
                .took
                .map_or(took, |former| took.max(former / 8 * 7)),
        );
        if !same_episode {
            self.refusals.episodes += 1;
            self.refusals.former = self.refusals.start;
            self.refusals.start = now;
            self.refusals.ceiling = self.ceiling.clone();
            self.refusals.comes_back = None;
            self.widen_guard();
        }
        let search = if same_episode {
            None
        } else {
            self.searches(asked, now)
        };
        // Half of it is certain: a pause of nothing would ask for the next refusal.
        let own = |chance: &mut Chance| {
            search.unwrap_or_else(|| {
                let longest = backoff.longest(self.refusals.episodes - 1);
                longest / 2 + chance.below(longest / 2 + 1)
            })
        };
        match retry_after {
            // A moment that proved too early before is not believed again.
            Some(wait) if self.refusals.episodes > 1 => {
                let (told, own) = (nanos(wait), own(chance));
                self.pause(now.plus(told.max(own)), told >= own);
            }
            Some(wait) => self.pause(now + wait, true),
            None if same_episode => {}
            None => {
                let until = now.plus(own(chance));
                self.pause(until, false);
            }
        }
        if !same_episode {
            let explained = self.learn_from_refusal(now);
            self.refusals.unexplained = !explained;
            self.refusals.cut = if explained { Cut::None } else { Cut::Due };
        }
    }

    /// What was sent apart may have come closer together.
    fn widen_guard(&mut self) {
        if let Some(spread) = &mut self.spread {
            spread.widen_guard();
        }
        let widest = self.widest_guard();
        if self.guard > 0 && self.guard < widest {
            self.guard = (self.guard * 2).min(widest);
            self.meter.set_guard(self.guard);
        }
    }

    /// Whether the refusal may be due to what was learnt of real usage.
    fn learn_from_refusal(&mut self, now: Time) -> bool {
        let books = self.books(now);
        let quota = self.quota().capacity().as_micros();
        let Some(learned) = &mut self.learned else {
            return false;
        };
        let trusting = learned.is_trusting(now);
        let window = nanos(self.base.window());
        learned.refused(books, quota, window, self.paused_until.max(now));
        trusting
    }

    /// After a refused attempt was settled: the limit in force is lowered to what was let through, where that is
    /// clearly less. `alone`: no other resource can be to blame. Gives what that took from the books.
    pub(crate) fn cut(
        &mut self,
        asked: Amount,
        wait: Option<Duration>,
        alone: bool,
        now: Time,
    ) -> i64 {
        // What is refused alone is refused for another reason: no limit is nothing.
        let is_unlikely = self.refusals.before <= 0 && self.spread.is_none();
        if self.is_searching() || is_unlikely {
            return 0;
        }
        if self.base.window() >= LONG_WINDOW && (wait.is_some() || self.has_taken_little(now)) {
            return 0;
        }
        if self.refusals.unexplained && self.is_spread(asked, wait, now) {
            return 0;
        }
        let state = core::mem::take(&mut self.refusals.cut);
        if state == Cut::None {
            return 0;
        }
        let Some(evidence) = self.evidence(asked, now) else {
            return 0;
        };
        self.rest_misleads |= alone && self.rest.is_some_and(|rest| rest > evidence.limit / 16);
        let window = nanos(self.base.window());
        let lowered = if state == Cut::Due {
            self.spends(now);
            // Requests that were sent apart may have come closer together.
            let brief =
                self.spread.is_some() || wait.is_some_and(|wait| nanos(wait) < window / BRIEF);
            self.ceiling.refused(evidence, brief, window, now)
        } else {
            self.ceiling.refine(evidence.passed, evidence.floor)
        };
        if lowered || state == Cut::Done {
            self.refusals.cut = Cut::Done;
        }
        if !lowered {
            return 0;
        }
        self.remeter(now);
        let drained = self.meter.drain();
        self.spent_at = Some(self.refusals.start);
        drained
    }

    /// Whether so little of what was told has passed that the refusal may well be due to something else.
    fn has_taken_little(&mut self, now: Time) -> bool {
        let passed = self.booked(now).saturating_add(self.slack);
        let most = self.quota().capacity().as_micros();
        self.resource.untold == Untold::Nothing && passed <= most / FAR_LESS
    }

    /// What the server has let through within a window, as far as the books know.
    fn evidence(&mut self, asked: Amount, now: Time) -> Option<Evidence> {
        let limit = self.quota().limit()?.as_micros();
        if self.spread.is_some() {
            return self.evidence_of_rate(asked, limit);
        }
        let passed = match &self.meter {
            Meter::Sliding(_) | Meter::Fixed(_) => {
                // A server that reserves bounds has counted what is in flight in full.
                self.booked(now).saturating_add(self.slack)
            }
            Meter::Bucket(_) => self.bucket_evidence()?,
            _ => return None,
        };
        let told = self.base.limit()?.as_micros();
        Some(Evidence {
            passed,
            others: self.foreign.at(now, self.foreign_lasts()),
            limit,
            floor: if told == i64::MAX {
                1
            } else {
                limit / DEEPEST_CUT
            },
        })
    }

    /// The rate of a bucket that is spent: what passed since it was whole is its burst and what flowed in;
    /// since it was spent before, only the latter. `None`: too short a time to tell.
    fn bucket_evidence(&self) -> Option<i64> {
        let Quota::TokenBucket { amount, per, burst } = self.base else {
            return None;
        };
        let since = self.tally.since?;
        let window = i128::from(nanos(per));
        let passed = i128::from(self.tally.passed.max(0));
        let time = i128::from(nanos(self.refusals.start.since(since)));
        let share = if self.tally.whole {
            window * i128::from(burst.as_micros()) / i128::from(amount.as_micros().max(1))
        } else if time < window / 64 {
            return None;
        } else {
            0
        };
        i64::try_from(passed * window / (share + time).max(1)).ok()
    }

    /// What share of the limit in force is taken, in millionths: the fullest resource is the first suspect
    /// where a refusal names none.
    pub(crate) fn fullness(&mut self, now: Time) -> i64 {
        if self.is_searching() {
            return 1_000_000;
        }
        let booked = i128::from(self.booked(now).max(0));
        let capacity = i128::from(self.quota().capacity().as_micros().max(1));
        i64::try_from(booked * 1_000_000 / capacity).unwrap_or(i64::MAX)
    }

    /// Whether a refusal that asks to wait so long may be due to this resource: its quota is back earlier.
    pub(crate) fn explains(&self, wait: Option<Duration>) -> bool {
        self.is_searching() || wait.is_none_or(|wait| wait <= self.base.window() * 2)
    }
}

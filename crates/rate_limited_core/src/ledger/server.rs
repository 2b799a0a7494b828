//! What a ledger makes of the server's words: limits and rests that answers name, and refusals.

use super::{Cut, Hold, Ledger, Tally};
use crate::amount::Amount;
use crate::backoff::{Backoff, Chance};
use crate::ceiling::{Ceiling, Evidence};
use crate::feedback::{Feedback, Reset, Stand};
use crate::finder::Finder;
use crate::learned::Books;
use crate::learnt::Learnt;
use crate::outcome::Class;
use crate::quota::{Meter, Quota};
use crate::ramp::Ramp;
use crate::resource::Untold;
use crate::time::{Time, nanos};
use core::time::Duration;

/// The window of a limit that an answer names without one.
const USUAL_WINDOW: Duration = Duration::from_secs(60);

/// A wait below the window divided by this says that there is room soon: the limit over the window is hardly to blame.
const BRIEF: u64 = 8;

/// Of a window so long, a wait that the server names is followed and nothing is lowered: that costs a refusal a window,
/// and a limit lowered wrongly, since others use the account too, would cost the rest of a day.
const LONG_WINDOW: Duration = Duration::from_secs(3_600);

/// One episode of refusals lowers a limit that was told to a sixteenth at most: one absurd refusal among
/// thousands of answers must not stop a run.
const DEEPEST_CUT: i64 = 16;

impl Ledger {
    /// The server names its limit. A lower one than the user's holds at once, a higher one never. One of
    /// nothing would let nothing run, and is not believed; nor is less than a hundredth of the user's.
    pub(crate) fn believe(&mut self, limit: Amount, now: Time) {
        let own = self.base.limit();
        let Some(own) = own.filter(|_| limit > Amount::ZERO) else {
            return;
        };
        let least = match self.resource.untold {
            // The resource's limit is no measure for that of a part that the server names.
            Untold::Nothing if self.is_named_part() => Amount::from_micros(1),
            Untold::Nothing => Amount::from_micros((own.as_micros() / 100).max(1)),
            Untold::Limit | Untold::LimitAndWindow => Amount::from_micros(1),
        };
        let lower = Some(limit.max(least)).filter(|limit| *limit < own);
        if lower != self.server_limit {
            self.server_limit = lower;
            self.remeter(now);
        }
    }

    /// Whether it is a part that the server names.
    fn is_named_part(&self) -> bool {
        self.resource.is_named() && self.partition_of.is_some()
    }

    /// An answer tells how the resource stands; `hold` is what its attempt holds.
    pub(crate) fn hear(&mut self, told: &Feedback, hold: Option<&Hold>, now: Time) {
        self.hear_of_window(told, now);
        if let Some(Reset::WindowEnd(after)) = told.reset {
            let (end, believes) = (now + after, self.is_named_part());
            self.version += u64::from(self.meter.told_end(end, believes, now));
        }
        if let Some(limit) = told.limit {
            self.believe(limit, now);
        }
        if let (Some(remaining), Some(hold), None) = (told.remaining, hold, &self.finder) {
            self.hear_of_rest(remaining, told, hold, now);
        }
    }

    /// A limit that nobody told has the kind and the window that answers show.
    fn hear_of_window(&mut self, told: &Feedback, now: Time) {
        let limit = told.limit.filter(|limit| *limit > Amount::ZERO);
        if self.resource.untold == Untold::Nothing || limit.is_none() {
            return;
        }
        let declared = *self.resource.quota();
        let former = self.finder.is_none().then(|| self.base.window());
        let base = match (self.resource.untold, told.reset, told.window()) {
            (Untold::Limit, _, _) => declared.with_window(told.window.unwrap_or(declared.window())),
            (_, Some(Reset::Full(_)), Some(window)) => {
                Quota::bucket(Amount::MAX, window, Amount::MAX)
            }
            // The end of a window tells only that it is not shorter.
            (_, _, window) => {
                let window = window.or(former).unwrap_or(USUAL_WINDOW);
                Quota::per(
                    Amount::MAX,
                    former.map_or(window, |former| former.max(window)),
                )
            }
        };
        if self.finder.take().is_some() || base != self.base {
            self.take_kind(base, now);
        }
    }

    /// What remains at the server shows what it has counted beyond our own.
    fn hear_of_rest(&mut self, remaining: Amount, told: &Feedback, hold: &Hold, now: Time) {
        let capacity = self.quota().capacity().as_micros();
        let used = capacity
            .saturating_sub(remaining.as_micros())
            .saturating_sub(told.rounded_to.as_micros());
        let since = self.total.wrapping_sub(hold.stand.total);
        self.rest = Some(remaining.as_micros());
        self.doubt_the_ceiling(remaining, told, hold.stand.booked, now);
        self.hear_of_bounds(used, now);
        let gap = used.saturating_sub(hold.stand.booked.saturating_add(since));
        match self.meter {
            Meter::Bucket(_) if gap > 0 => {
                self.meter.charge(gap, now);
                self.total = self.total.wrapping_add(gap);
            }
            Meter::Sliding(_) | Meter::Fixed(_) => {
                let window = self.base.window();
                let until = match told.reset {
                    Some(Reset::WindowEnd(after)) => now + after.min(window),
                    _ => now + window,
                };
                let end = self.meter.window_end(now);
                let until = end.map_or(until, |end| end.min(until));
                if self.foreign.hear(gap, until, hold.dispatched) {
                    self.version += 1;
                }
            }
            _ => {}
        }
    }

    /// What the server has counted shows whether it counts whole bounds.
    fn hear_of_bounds(&mut self, counted: i64, now: Time) {
        let books = self.books(now);
        let capacity = self.quota().capacity().as_micros();
        let window = nanos(self.base.window());
        if let Some(learned) = &mut self.learned {
            let trusted = learned.is_trusting(now);
            learned.hears(counted, books, capacity, window, now);
            // What was held back for whole bounds may go.
            if !trusted && learned.is_trusting(now) {
                self.version += 1;
            }
        }
    }

    fn books(&mut self, now: Time) -> Books {
        let reserved = self.booked(now);
        Books {
            reserved,
            settled: reserved.saturating_sub(self.flying.saturating_sub(self.slack)),
            flying: self.flying,
        }
    }

    /// A limit that refusals have shown is forgotten where the server counts as we do and has more room than that;
    /// unless it refused before in spite of the room that it told.
    fn doubt_the_ceiling(&mut self, remaining: Amount, told: &Feedback, ours: i64, now: Time) {
        let (Some(ceiling), Some(limit), false) =
            (self.ceiling.limit(), told.limit, self.rest_misleads)
        else {
            return;
        };
        let used = limit.as_micros().saturating_sub(remaining.as_micros());
        // With little counted, numbers that are multiples of the truth look the same.
        if used <= ours && ours >= ceiling / 2 && limit.as_micros() > ceiling {
            self.ceiling = Ceiling::new();
            self.remeter(now);
        }
    }

    /// The books as they are, the attempt that is being dispatched included.
    pub(super) fn stand(&mut self, now: Time) -> Stand {
        Stand {
            booked: self.booked(now).saturating_add(self.slack),
            total: self.total,
        }
    }

    /// An attempt is dispatched.
    pub(super) fn goes(&mut self, amount: i64, now: Time) {
        if self.ramp.as_mut().is_some_and(|ramp| ramp.goes(now)) {
            self.ramp = None;
        }
        if self.finder.is_some() {
            self.begins_window(now);
        }
        if let Some(finder) = &mut self.finder {
            // What passes is counted since the search found something.
            finder.goes(amount, now);
        } else if let Some(spent) = self.spent_at.take() {
            self.tally = Tally {
                since: Some(spent),
                passed: 0,
                whole: false,
                ..Tally::default()
            };
        } else if matches!(self.meter, Meter::Bucket(_)) && self.booked(now) <= 0 {
            self.tally = Tally {
                since: Some(now),
                passed: 0,
                whole: true,
                ..Tally::default()
            };
        }
        self.tally.since.get_or_insert(now);
        self.tally.passed = self.tally.passed.saturating_add(amount);
    }

    /// An attempt has taken so much in the end.
    pub(super) fn passed(&mut self, hold: &Hold, used: i64) {
        if self
            .tally
            .since
            .is_some_and(|since| since <= hold.dispatched)
        {
            let more = used.saturating_sub(hold.amount);
            self.tally.passed = self.tally.passed.saturating_add(more);
        }
    }

    /// Until when nothing may go whatever the quota says: a probe is out, or a slow start holds back.
    pub(super) fn held_back_until(&mut self, now: Time) -> Option<Time> {
        if let Some(finder) = &self.finder
            && let Some(until) = finder.waits_until(self.refusals.took)
        {
            if until > now {
                return Some(until);
            }
            self.let_through(now);
        }
        self.ramp.and_then(|ramp| ramp.holds_until(now))
    }

    /// The probe was not refused.
    fn let_through(&mut self, now: Time) {
        let Some(finder) = &mut self.finder else {
            return;
        };
        let since = self.tally.since.unwrap_or(now);
        let Some(finding) = finder.passed(self.tally.passed, since) else {
            return;
        };
        if self.meter.is_calendar() {
            // Its windows are known: only the limit is found.
            let full = self.full_window(finding.amount);
            if let (Some(limit), Some(_)) = (full, finding.limit) {
                self.ceiling.found(limit, now);
                self.remeter(now);
            }
        } else if let Some((limit, span)) = finding.limit {
            self.tally = Tally {
                since: Some(finding.at),
                passed: finding.amount,
                whole: false,
                ..Tally::default()
            };
            self.ceiling.found(limit, now);
            self.take_kind(Quota::per(Amount::MAX, Duration::from_nanos(span)), now);
        }
        // A refusal hardly takes longer than an answer.
        let answer = nanos(now.since(finding.at)).min(Ramp::FIRST);
        self.ramp = Some(Ramp::new(self.refusals.took.or(Some(answer / 2))));
        self.version += 1;
    }

    /// What goes in a new window of a calendar is counted anew, while a limit is looked for.
    fn begins_window(&mut self, now: Time) {
        let Some(window) = self.meter.calendar_window(now) else {
            return;
        };
        if window != self.tally.window {
            let before = core::mem::replace(&mut self.tally, Tally::of_window(window, now));
            // Of the window in which the books began it is not known what was taken before.
            self.full = before.whole.then_some(before.passed);
        }
    }

    /// What the calendar window before this one let through, if the probe is the first that came through since: then its
    /// end was what brought room.
    fn full_window(&self, probe: i64) -> Option<i64> {
        self.full.filter(|_| self.tally.passed <= probe)
    }

    /// Whether one request at a time looks for a limit that nobody told.
    fn is_searching(&self) -> bool {
        self.finder.as_ref().is_some_and(Finder::is_searching)
    }

    /// Takes in a refusal where nobody told the limit: the search for it begins, goes on, or begins anew where
    /// much less passed than was found. Gives the wait for the next probe.
    fn searches(&mut self, asked: Amount, now: Time) -> Option<u64> {
        let others = self.booked(now).saturating_sub(asked.as_micros());
        let finder = self.finder.as_mut()?;
        let far_below = self.ceiling.limit().is_none_or(|limit| others < limit / 2);
        (finder.is_searching() || !finder.has_found() || far_below).then(|| finder.refused())
    }

    /// Where a limit that refusals have shown keeps a call from going, a little more is tried at times.
    pub(super) fn tries_more(&mut self, need: i64, now: Time) -> bool {
        let most = self.server_limit.or(self.base.limit());
        let most = most.map_or(i64::MAX, Amount::as_micros);
        let window = nanos(self.base.window());
        let raised = self.ceiling.binds(need, most, window, now);
        if raised {
            self.remeter(now);
        }
        raised
    }

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
            self.refusals.start = now;
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
            self.refusals.cut = if explained { Cut::None } else { Cut::Due };
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
    pub(crate) fn cut(&mut self, wait: Option<Duration>, alone: bool, now: Time) -> i64 {
        let state = core::mem::take(&mut self.refusals.cut);
        // What is refused alone is refused for another reason: no limit is nothing.
        if state == Cut::None || self.is_searching() || self.refusals.before <= 0 {
            return 0;
        }
        if wait.is_some() && self.base.window() >= LONG_WINDOW {
            return 0;
        }
        let Some(evidence) = self.evidence(now) else {
            return 0;
        };
        self.rest_misleads |= alone && self.rest.is_some_and(|rest| rest > evidence.limit / 16);
        let window = nanos(self.base.window());
        let lowered = if state == Cut::Due {
            self.ramp = Some(Ramp::new(self.refusals.took));
            let brief = wait.is_some_and(|wait| nanos(wait) < window / BRIEF);
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

    /// What the server has let through within a window, as far as the books know.
    fn evidence(&mut self, now: Time) -> Option<Evidence> {
        let limit = self.quota().limit()?.as_micros();
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

    /// An attempt that was dispatched at `sent` has ended otherwise than by a refusal of this resource.
    pub(crate) fn ended(&mut self, class: Class, sent: Time, now: Time) {
        let is_probe = |finder: &Finder| finder.probe_at() == Some(sent);
        let probe = self.finder.as_ref().is_some_and(is_probe);
        match class {
            Class::Success | Class::Invalid if sent > self.refusals.start => {
                self.refusals.episodes = 0;
            }
            _ => {}
        }
        match class {
            Class::Success | Class::Invalid | Class::Permanent if probe => self.let_through(now),
            _ if probe => {
                if let Some(finder) = &mut self.finder {
                    finder.lost();
                }
                self.version += 1;
            }
            _ => {}
        }
    }

    /// The window that was found out, in nanoseconds; 0: none.
    pub(super) fn window_found(&self) -> u64 {
        match self.resource.untold {
            Untold::Nothing => 0,
            _ if !self.is_lowered() => 0,
            _ => nanos(self.base.window()),
        }
    }

    /// Takes over the limits that were found out before.
    pub(super) fn recall_limits(&mut self, learnt: &Learnt, now: Time) {
        if learnt.window > 0 && self.finder.is_some() {
            if !self.meter.is_calendar() {
                self.base = Quota::per(Amount::MAX, Duration::from_nanos(learnt.window));
            }
            self.finder = Some(Finder::resumed());
        }
        self.believe(Amount::from_micros(learnt.limit), now);
        self.ceiling.recall(learnt.ceiling, now);
        self.remeter(now);
    }
}

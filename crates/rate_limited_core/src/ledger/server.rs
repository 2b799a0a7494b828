//! What a ledger makes of the server's words: limits and rests that answers name, and refusals.

use super::{Hold, Ledger, Tally};
use crate::amount::Amount;
use crate::ceiling::Ceiling;
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

    pub(super) fn books(&mut self, now: Time) -> Books {
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
            self.ceiling = Ceiling::default();
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
        } else if self.is_whole(amount, now) {
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

    /// Whether the server can have counted nothing that still counts.
    fn is_whole(&mut self, amount: i64, now: Time) -> bool {
        match &mut self.spread {
            Some(spread) => spread.is_whole(amount, now),
            None => self.booked(now) <= 0,
        }
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
    pub(super) fn is_searching(&self) -> bool {
        self.finder.as_ref().is_some_and(Finder::is_searching)
    }

    /// Takes in a refusal where nobody told the limit: the search for it begins, goes on, or begins anew where
    /// much less passed than was found. Gives the wait for the next probe.
    pub(super) fn searches(&mut self, asked: Amount, now: Time) -> Option<u64> {
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
        let quiet = self
            .spread
            .as_ref()
            .map_or(window, |it| it.quiet().min(window));
        let raised = self.ceiling.binds(need, most, quiet, now);
        if raised {
            self.remeter(now);
        }
        raised
    }

    /// An attempt that was dispatched at `sent` has ended otherwise than by a refusal of this resource.
    pub(crate) fn ended(&mut self, class: Class, sent: Time, now: Time) {
        let is_probe = |finder: &Finder| finder.probe_at() == Some(sent);
        let probe = self.finder.as_ref().is_some_and(is_probe);
        match class {
            Class::Success | Class::Invalid if sent > self.refusals.start => {
                self.refusals.episodes = 0;
            }
            // The pause before the present episode was long enough: what is spread out is refused now and then.
            Class::Success | Class::Invalid
                if self.spread.is_some() && sent > self.refusals.former =>
            {
                self.refusals.episodes = self.refusals.episodes.min(1);
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

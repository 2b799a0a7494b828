//! The fixed window: a counter that starts from zero at each boundary.
//!
//! When the server's window ends is known only within bounds: a request reaches it up to a guard after
//! it was sent, and a window that begins with a call begins when that call arrives. So the end is kept
//! as its earliest and its latest moment. What is charged in between may count in the window before or
//! in the one after, and counts here in both; the counter is cleared at the latest moment.
//!
//! A window that begins with a call has one more doubt: whether the call that began it counted at all.
//! When a settlement says that it did not, the window may have begun with any later charge, and its
//! latest end moves accordingly.
//!
//! The ends of calendar windows come from the driver ([`calendar`](super::calendar)); its clock and the
//! server's differ, so that the counter of such a window is cleared a guard after its end.

use super::calendar::{Almanac, Telling, is_near};
use super::{Anchor, Mark, Moment};
use crate::amount::Amount;
use crate::snapshot::MeterSnapshot;
use crate::time::Time;

/// The part of a window after its beginning in which the server's may be the one before.
const EDGE: u64 = 16;

#[derive(Clone, Debug)]
pub(crate) struct FixedWindow {
    quota: i64,
    window: u64,
    pub(super) guard: u64,
    anchor: Anchor,
    /// The end of the window that `used` counts in; `None` before the first call.
    end: Option<End>,
    /// The number of that window, so that a settlement knows whether its window is over.
    number: u64,
    used: i64,
    /// The part of `used` that the next window may count too, and when the first and the last of it
    /// was charged.
    late: i64,
    late_from: Time,
    late_to: Time,
    /// Whether the window has a charge that no other window may count.
    begun: bool,
    /// Whether the call that seemed to begin the window did not count.
    doubtful: bool,
    /// Whether the server said when the window ends.
    told: bool,
    last_charge: Time,
    /// What is known of the ends of calendar windows.
    almanac: Almanac,
}

/// The bounds of the moment at which a window ends.
#[derive(Clone, Copy, Debug)]
struct End {
    earliest: Time,
    latest: Time,
}

/// What comes after a window.
enum Next {
    /// A window that has begun already.
    Open(End),
    /// None before the next call.
    Closed,
    /// One whose end the driver has still to tell.
    Owed,
}

impl End {
    fn at(end: Time) -> End {
        End {
            earliest: end,
            latest: end,
        }
    }

    /// An end by our clock; by the server's it comes up to a guard later.
    fn about(end: Time, guard: u64) -> End {
        End {
            earliest: end,
            latest: end.plus(guard),
        }
    }
}

/// Servers tell ends in whole seconds, and those of two answers may differ by one.
const WHOLE_SECOND: u64 = 1_000_000_000;

/// A charge of nothing: it belongs to no window.
const NOWHERE: Mark = Mark::MAX;
const LATE: Mark = 1;
const OPENER: Mark = 2;

impl FixedWindow {
    pub(super) fn new(quota: i64, window: u64, anchor: Anchor, guard: u64, now: Time) -> Self {
        FixedWindow {
            quota,
            window,
            guard,
            anchor,
            end: first_end(anchor, window, guard, now),
            number: 0,
            used: 0,
            late: 0,
            late_from: Time::default(),
            late_to: Time::default(),
            begun: false,
            doubtful: false,
            told: false,
            last_charge: Time::default(),
            almanac: Almanac::default(),
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
        let end = self
            .end
            .expect("something was charged, so a window is open");
        if end.latest <= now {
            // The driver owes the next boundary; until it comes nothing is known.
            return Moment::At(Time::MAX);
        }
        if self.late.saturating_add(need) <= self.quota {
            return Moment::At(end.latest);
        }
        // Debt carried into the next window may fill that one as well.
        Moment::At(self.carried_end().latest.max(end.latest))
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
        if later < end.latest {
            return false;
        }
        let carried = if self.is_late(now) { first } else { 0 };
        self.late.saturating_add(carried).saturating_add(second) <= self.quota
    }

    pub(super) fn charge(&mut self, amount: i64, now: Time) -> Mark {
        self.roll(now);
        if amount == 0 {
            return NOWHERE;
        }
        let late = self.is_late(now);
        let opener = self.begins_with_a_call() && !self.begun;
        if opener {
            self.begin(now);
        }
        self.begun = true;
        self.used = self.used.saturating_add(amount);
        self.last_charge = now;
        if late {
            if self.late == 0 {
                self.late_from = now;
            }
            self.late_to = now;
            self.late = self.late.saturating_add(amount);
        }
        let flags = if late { LATE } else { 0 } | if opener { OPENER } else { 0 };
        self.number << 2 | flags
    }

    pub(super) fn adjust(&mut self, mark: Mark, from: i64, to: i64, now: Time) {
        if mark == NOWHERE {
            self.charge(to, now);
            return;
        }
        self.roll(now);
        let (number, late, opener) = (mark >> 2, mark & LATE != 0, mark & OPENER != 0);
        let delta = to.saturating_sub(from);
        if number == self.number || (late && number + 1 == self.number) {
            self.used = self.used.saturating_add(delta);
        }
        if late && number == self.number {
            self.late = self.late.saturating_add(delta);
        }
        if to == 0 && (opener || self.doubtful) && self.begins_with_a_call() {
            self.doubt();
        }
    }

    pub(super) fn charged(&mut self, now: Time) -> i64 {
        self.roll(now);
        self.used
    }

    pub(super) fn set(&mut self, quota: i64, window: u64, anchor: Anchor, now: Time) {
        self.roll(now);
        self.quota = quota;
        if let (Anchor::Calendar { .. }, Anchor::Calendar { end, next, .. }) = (self.anchor, anchor)
        {
            self.window = window;
            self.boundary(end, next, now);
        } else if self.anchor != anchor || self.window != window {
            (self.window, self.anchor) = (window, anchor);
            self.end = first_end(anchor, window, self.guard, now);
            if self.end.is_none() && self.used > 0 {
                self.begin(now);
            }
        }
    }

    /// The driver tells the ends of the current window and of the next one; both in the past tell nothing.
    pub(super) fn boundary(&mut self, end: Time, next: Time, now: Time) {
        self.roll(now);
        let Some(current) = self.end.filter(|_| self.is_calendar()) else {
            return;
        };
        let (anchor, telling) = self.anchor.told(end, next, self.window);
        let is_over = current.latest <= now;
        let almanac = match telling {
            // Whoever set the clock knows better than what was found out of the former one.
            Telling::Moved if !is_over => Almanac::default(),
            _ => self.almanac,
        };
        let Some(coming) = almanac.first_after(anchor, now) else {
            return;
        };
        let end = match telling {
            Telling::Expected if !is_over => {
                // The window stands as it is known; only its end may be known better.
                let ends = almanac.ends(anchor).into_iter();
                let mut same = ends.filter(|end| is_near(*end, current.earliest, self.window));
                same.next().unwrap_or(current.earliest)
            }
            _ => coming,
        };
        (self.anchor, self.almanac) = (anchor, almanac);
        if is_over {
            self.turn();
        }
        self.end = Some(End::about(end, self.guard));
    }

    /// An answer says that the window ends then. Whether that changes anything.
    pub(super) fn told_end(&mut self, end: Time, now: Time) -> bool {
        self.roll(now);
        let Some(current) = self.end.filter(|_| self.is_calendar()) else {
            return false;
        };
        let known = (self.anchor, current.earliest);
        let changes = self
            .almanac
            .hear(known, end, (self.window, self.guard), now);
        if changes {
            self.end = Some(End::about(end, self.guard));
        }
        changes
    }

    /// The server says that the window ends then, and nobody else knows: one that begins with a call is believed to.
    /// Whether that brings room earlier.
    pub(super) fn ends_at(&mut self, end: Time, now: Time) -> bool {
        self.roll(now);
        let ahead = end > now && end <= now.plus(self.window).plus(self.guard);
        let Some(current) = self.end.filter(|_| ahead && self.begins_with_a_call()) else {
            return false;
        };
        let known = current.latest.before(WHOLE_SECOND)..=current.latest;
        if self.told && known.contains(&end) {
            return false;
        }
        let told = End {
            earliest: end.before(self.guard.min(WHOLE_SECOND)),
            latest: end,
        };
        (self.end, self.told) = (Some(told), true);
        end < current.latest
    }

    /// The moment at which all of the window is back, if it is known.
    pub(super) fn window_end(&mut self, now: Time) -> Option<Time> {
        self.roll(now);
        let end = self.end.map(|end| end.latest);
        end.filter(|end| *end > now && self.is_calendar())
    }

    /// The number of the window that this moment lies in, if it ends as early as it may.
    pub(super) fn number_at(&mut self, now: Time) -> u64 {
        self.roll(now);
        let is_over = self.end.is_some_and(|end| end.earliest <= now);
        self.number + u64::from(is_over)
    }

    /// Whether another window ended so short a time ago that the server's may still be on.
    pub(crate) fn is_at_edge(&mut self, now: Time) -> bool {
        self.roll(now);
        let settled = self.window - self.window / EDGE;
        let is_young = |end: End| now.plus(settled) < end.earliest;
        self.number > 0 && self.end.is_none_or(is_young)
    }

    pub(super) fn is_calendar(&self) -> bool {
        matches!(self.anchor, Anchor::Calendar { .. })
    }

    pub(super) fn snapshot(&self) -> MeterSnapshot {
        MeterSnapshot::Fixed {
            used: Amount::from_micros(self.used),
            late: Amount::from_micros(self.late),
            end: self.end.map(|end| end.latest),
        }
    }

    pub(super) fn restore(&mut self, used: Amount, late: Amount, end: Option<Time>, now: Time) {
        let (used, late) = (used.as_micros().max(0), late.as_micros().max(0));
        if let (Anchor::Calendar { .. }, Some(current)) = (self.anchor, self.end) {
            (self.used, self.late) =
                match end.map(|end| current.latest.since(end).as_nanos() as u64) {
                    // Of a window that is over only what was late may count, and of an older one nothing.
                    Some(ago) if ago > self.window / 2 * 3 => (0, 0),
                    Some(ago) if ago > self.window / 2 => (late, 0),
                    _ => (used, late),
                };
            return;
        }
        (self.used, self.late) = (used, late);
        self.begun = true;
        (self.late_from, self.late_to) = (end.unwrap_or(now), end.unwrap_or(now));
        match end {
            Some(end) => self.end = Some(End::at(end)),
            None if self.end.is_none() && self.used > 0 => self.begin(now),
            None => {}
        }
    }

    /// Takes over charges. Which of them began a window that begins with a call is not known: all that
    /// may still count do, until the last of them no longer can.
    pub(super) fn replay(&mut self, charges: &[(Time, Amount)], now: Time) {
        let since = self.counts_since(now);
        let (mut used, mut late) = (Amount::ZERO, Amount::ZERO);
        let mut last = None;
        for (at, amount) in charges.iter().filter(|(at, _)| *at >= since) {
            used = used + *amount;
            if !self.begins_with_a_call() && self.is_late(*at) {
                late = late + *amount;
            }
            last = Some((*at).min(now));
        }
        let Some(last) = last else { return };
        let reach = self.window.saturating_add(self.guard);
        let end = self.begins_with_a_call().then(|| last.plus(reach));
        self.restore(used, late, end, now);
        self.last_charge = last;
    }

    /// What was charged before this moment counts no more.
    pub(super) fn counts_since(&mut self, now: Time) -> Time {
        self.roll(now);
        let reach = self.window.saturating_add(self.guard);
        let ends = match (self.anchor, self.end) {
            (Anchor::Calendar { .. }, Some(end)) => {
                let start = self.almanac.start(self.anchor, end.earliest, self.window);
                return start.before(self.guard);
            }
            (Anchor::FirstCall, _) | (_, None) => now,
            (_, Some(end)) => end.latest,
        };
        ends.before(reach)
    }

    fn begins_with_a_call(&self) -> bool {
        self.anchor == Anchor::FirstCall
    }

    /// A call begins the window, unless what was carried into it has begun it before.
    fn begin(&mut self, now: Time) {
        let latest = now.plus(self.window).plus(self.guard);
        let earliest = self.end.map_or(now.plus(self.window), |end| end.earliest);
        self.end = Some(End { earliest, latest });
    }

    /// The call that seemed to begin the window did not count: any later one may have begun it.
    fn doubt(&mut self) {
        if self.told {
            return;
        }
        if self.used == 0 && self.late == 0 {
            (self.end, self.begun, self.doubtful) = (None, false, false);
            return;
        }
        self.doubtful = true;
        let begun_last = self.last_charge.plus(self.window).plus(self.guard);
        if let Some(end) = &mut self.end {
            end.latest = end.latest.max(begun_last);
        }
    }

    /// Whether a request sent now may be counted after the end of the window.
    fn is_late(&self, now: Time) -> bool {
        self.end
            .is_some_and(|end| now.plus(self.guard) >= end.earliest)
    }

    /// The end of the window that begins with what is carried into it.
    fn carried_end(&self) -> End {
        let end = self.end.unwrap_or(End::at(Time::MAX));
        match self.anchor {
            Anchor::FirstCall => End {
                earliest: end.earliest.max(self.late_from).plus(self.window),
                latest: self.late_to.plus(self.window).plus(self.guard),
            },
            Anchor::Calendar { .. } => {
                let next = self.almanac.first_after(self.anchor, end.earliest);
                next.map_or(end, |next| End::about(next, self.guard))
            }
            Anchor::At(_) => End::at(end.latest.plus(self.window)),
        }
    }

    fn roll(&mut self, now: Time) {
        while let Some(end) = self.end.filter(|end| end.latest <= now) {
            match self.next_end(end, now) {
                Next::Owed => return,
                Next::Closed => self.end = None,
                Next::Open(next) => self.end = Some(next),
            }
            self.turn();
        }
    }

    /// A window is over: what was late counts in the one that began.
    fn turn(&mut self) {
        self.number += 1;
        (self.used, self.late) = (self.late, 0);
        (self.begun, self.told) = (false, false);
        self.doubtful = self.end.is_some();
    }

    /// The window after the one that ended.
    fn next_end(&self, end: End, now: Time) -> Next {
        match self.anchor {
            // A window that begins with a call stays closed until there is one, unless a late call
            // may have opened it already.
            Anchor::FirstCall if self.late == 0 => Next::Closed,
            Anchor::FirstCall => Next::Open(self.carried_end()),
            Anchor::Calendar { .. } => {
                let next = self.almanac.first_after(self.anchor, end.earliest);
                next.map_or(Next::Owed, |next| Next::Open(End::about(next, self.guard)))
            }
            // Idle windows are passed over at once, however many there were.
            Anchor::At(_) if self.used == 0 => {
                let passed = now.since(end.latest).as_nanos() as u64 / self.window;
                let skipped = passed.saturating_add(1).saturating_mul(self.window);
                Next::Open(End::at(end.latest.plus(skipped)))
            }
            Anchor::At(_) => Next::Open(End::at(end.latest.plus(self.window))),
        }
    }
}

/// The end of the window that `now` lies in; `None` before the first call of a window that begins with
/// one.
fn first_end(anchor: Anchor, window: u64, guard: u64, now: Time) -> Option<End> {
    match anchor {
        Anchor::FirstCall => None,
        Anchor::At(start) => {
            let (start, now) = (start.as_nanos(), now.as_nanos());
            let end = if start > now {
                start - (start - now - 1) / window * window
            } else {
                start.saturating_add(((now - start) / window + 1).saturating_mul(window))
            };
            Some(End::at(Time::from_nanos(end)))
        }
        Anchor::Calendar { end, .. } => Some(End::about(end, guard)),
    }
}

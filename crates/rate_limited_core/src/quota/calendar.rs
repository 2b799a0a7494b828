//! The ends of calendar windows: as the driver computes them, and as the server corrects them.
//!
//! A core that knows no calendar takes from the driver the ends of the current window and of the next one. An
//! answer may name another end: the server's clock is not ours, or its days begin in another zone. It is
//! believed where a later answer names the same moment, and all further ends move as far.

use super::Anchor;
use crate::time::Time;

/// Two tellings mean the same moment if they lie so close: clocks are read anew for each, and answers round.
const NEAR: u64 = 2_000_000_000;

/// The time between two answers after which they are two witnesses, not one: a wait that is always the
/// same, whatever the time, is no end of a window.
const APART: u64 = 3_000_000_000;

/// What is known of the ends of calendar windows beside what the driver told.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Almanac {
    /// By how much the server's windows end later than the driver says, in nanoseconds.
    offset: i64,
    /// The end that an answer named, and when it came.
    heard: Option<(Time, Time)>,
}

/// What a telling is beside the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Telling {
    /// The same ends, or those of the next window.
    Expected,
    /// Others: the clock was set.
    Moved,
}

impl Anchor {
    /// The anchor after the driver has told these ends.
    pub(super) fn told(self, end: Time, next: Time, window: u64) -> (Anchor, Telling) {
        let Anchor::Calendar {
            start,
            end: former,
            next: expected,
        } = self
        else {
            return (self, Telling::Expected);
        };
        let (start, telling) = if is_near(end, former, window) {
            (start, Telling::Expected)
        } else if is_near(end, expected, window) {
            (former, Telling::Expected)
        } else {
            (end.before(window), Telling::Moved)
        };
        (Anchor::Calendar { start, end, next }, telling)
    }

    fn moments(self) -> [Time; 3] {
        match self {
            Anchor::Calendar { start, end, next } => [start, end, next],
            Anchor::FirstCall | Anchor::At(_) => [Time::MAX; 3],
        }
    }
}

impl Almanac {
    /// The two ends that the driver told, by the server's clock.
    pub(super) fn ends(&self, anchor: Anchor) -> [Time; 2] {
        let [_, end, next] = anchor.moments();
        [self.corrected(end), self.corrected(next)]
    }

    /// The first end after a moment, if it is known.
    pub(super) fn first_after(&self, anchor: Anchor, than: Time) -> Option<Time> {
        let near = |end: &Time| *end > than && *end < Time::MAX;
        self.ends(anchor).into_iter().find(near)
    }

    /// When the window began that ends so.
    pub(super) fn start(&self, anchor: Anchor, end: Time, window: u64) -> Time {
        let moments = anchor.moments().map(|moment| self.corrected(moment));
        let earlier = |moment: &Time| *moment < end && !is_near(*moment, end, window);
        let known = moments.into_iter().rev().find(earlier);
        known.unwrap_or(end.before(window))
    }

    /// Takes in that an answer names an end; whether it moves the end that is known. In reason is what lies within
    /// a window from now, and what a later answer confirms.
    pub(super) fn hear(
        &mut self,
        (anchor, known): (Anchor, Time),
        end: Time,
        (window, guard): (u64, u64),
        now: Time,
    ) -> bool {
        if end <= now || end > now.plus(window).plus(window / 8) {
            return false;
        }
        let Some((heard, since)) = self
            .heard
            .filter(|(heard, _)| distance(*heard, end) <= NEAR)
        else {
            self.heard = Some((end, now));
            return false;
        };
        // The rounding of answers and the guard make the rest.
        let is_known = distance(heard, known) <= NEAR.max(guard);
        if is_known || distance(since, now) < APART {
            return false;
        }
        let nearest = |moment: &Time| distance(*moment, end);
        let Some(by_driver) = anchor.moments().into_iter().min_by_key(nearest) else {
            return false;
        };
        self.offset = end
            .as_nanos()
            .wrapping_sub(by_driver.as_nanos())
            .cast_signed();
        true
    }

    fn corrected(&self, moment: Time) -> Time {
        let nanos = moment.as_nanos().saturating_add_signed(self.offset);
        if moment == Time::MAX {
            moment
        } else {
            Time::from_nanos(nanos)
        }
    }
}

/// Whether two moments are the same end.
pub(super) fn is_near(one: Time, other: Time, window: u64) -> bool {
    distance(one, other) <= NEAR.min(window / 8)
}

fn distance(one: Time, other: Time) -> u64 {
    one.as_nanos().abs_diff(other.as_nanos())
}

//! What answers tell of a resource, and what follows for its books.
//!
//! A server that says how much remains of a limit says with it how much it has counted. If that is more than
//! all that we can have been counted for, others use the same account, or it charges more than we think. The
//! difference is kept from our room until it has come back, or until a later answer says otherwise. Nothing
//! is ever added to our room: what looks like too much may be on its way.

use crate::amount::Amount;
use crate::time::{Time, nanos};
use core::time::Duration;

/// What an answer tells of one resource. Whatever is left out, it does not tell.
///
/// ```
/// use rate_limited_core::{Amount, Feedback, Reset};
/// use std::time::Duration;
///
/// let told = Feedback {
///     limit: Some(Amount::units(60)),
///     remaining: Some(Amount::units(12)),
///     reset: Some(Reset::WindowEnd(Duration::from_secs(21))),
///     ..Feedback::default()
/// };
/// assert_eq!(told.rounded_to, Amount::ZERO);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Feedback {
    /// The limit in force, over the window of the resource.
    pub limit: Option<Amount>,
    /// What remains of it, after this attempt.
    pub remaining: Option<Amount>,
    /// What `remaining` is rounded to a multiple of. Default 0: it is exact.
    pub rounded_to: Amount,
    /// When it comes back.
    pub reset: Option<Reset>,
    /// The window of the limit; counts only where the user told no limit.
    pub window: Option<Duration>,
}

/// When quota comes back, from now on, and what is back then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reset {
    /// All of a quota that comes back steadily: for a part of it one has to wait less.
    Full(Duration),
    /// All: the window ends, and nothing comes back before.
    WindowEnd(Duration),
    /// Some, or nobody knows how much.
    Some(Duration),
}

/// What the books looked like when an attempt was dispatched.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Stand {
    /// All that was charged or held then, in full bounds, the attempt included.
    pub(crate) booked: i64,
    /// The sum of all bounds ever taken, up to then.
    pub(crate) total: i64,
}

/// What the server has counted beyond our own.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Foreign {
    pub(crate) amount: i64,
    pub(crate) until: Time,
    /// When the attempt was dispatched whose answer told so: older ones know less.
    as_of: Time,
}

impl Foreign {
    /// What still counts at `now`. Others go on: what has come back is taken to be taken again, less and less so
    /// within the next window, unless an answer says how it is.
    pub(crate) fn at(&self, now: Time, window: u64) -> i64 {
        let passed = now.as_nanos().saturating_sub(self.until.as_nanos());
        if self.amount == 0 || passed == 0 {
            return self.amount;
        }
        let left = u128::from(window.saturating_sub(passed));
        let part = u128::from(self.amount.unsigned_abs()) * left / u128::from(window.max(1));
        i64::try_from(part).unwrap_or(self.amount)
    }

    /// Takes an answer in; whether it is news. `gap` is what the server has counted beyond our own.
    pub(crate) fn hear(&mut self, gap: i64, until: Time, as_of: Time) -> bool {
        if as_of < self.as_of {
            return false;
        }
        let before = (self.amount, self.until);
        self.as_of = as_of;
        self.amount = gap.max(0);
        // A later answer of the same window does not prolong what it knows no better.
        if gap > 0 && (before.0 == 0 || gap > before.0 || until < self.until) {
            self.until = until;
        }
        before != (self.amount, self.until)
    }
}

/// Windows as APIs have them, in seconds: the end of a window tells only that it is longer than that.
const USUAL_WINDOWS: [u64; 12] = [1, 2, 5, 10, 15, 30, 60, 300, 600, 900, 3_600, 86_400];

impl Feedback {
    /// The window, as far as an answer tells it. `quota` is what remains of a full one.
    pub(crate) fn window(&self) -> Option<Duration> {
        match (self.window, self.reset) {
            (Some(window), _) => Some(window),
            (None, Some(Reset::WindowEnd(after))) => {
                let longer = |window: &&u64| Duration::from_secs(**window) >= after;
                let usual = USUAL_WINDOWS.iter().find(longer);
                Some(usual.map_or(after, |window| Duration::from_secs(*window)))
            }
            (None, Some(Reset::Full(after))) => {
                let (limit, remaining) = (self.limit?, self.remaining?);
                let missing = limit.as_micros().checked_sub(remaining.as_micros())?;
                if missing <= 0 || self.rounded_to > Amount::ZERO {
                    return None;
                }
                let window = u128::from(nanos(after)) * u128::try_from(limit.as_micros()).ok()?
                    / u128::try_from(missing).ok()?;
                Some(Duration::from_nanos(u64::try_from(window).ok()?))
            }
            (None, _) => None,
        }
    }
}

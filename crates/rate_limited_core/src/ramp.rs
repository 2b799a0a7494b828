//! A slow start after refusals: one request, then twice as many in each step, until one is refused.
//!
//! A step is twice the time in which a refusal comes, so each doubling knows whether the one before it was
//! too much. Answers are not waited for: they may take a hundred times as long.

use crate::time::Time;

/// A step, in nanoseconds: at least, and at most.
const LEAST: u64 = 20_000_000;
const MOST: u64 = 5_000_000_000;

/// Doublings after which nothing is held back any more.
const DOUBLINGS: u64 = 12;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Ramp {
    /// When its first request was sent.
    from: Option<Time>,
    step: u64,
    sent: u32,
}

impl Ramp {
    /// The step where nothing is known of refusals, in nanoseconds.
    pub(crate) const FIRST: u64 = 250_000_000;

    /// A start that begins with the next request. `refusal` is the time that a refusal takes, where one was seen.
    pub(crate) fn new(refusal: Option<u64>) -> Ramp {
        Ramp {
            from: None,
            step: refusal.map_or(Ramp::FIRST, |nanos| {
                nanos.saturating_mul(2).clamp(LEAST, MOST)
            }),
            sent: 0,
        }
    }

    /// The moment before which no further request may go, if it is not past.
    pub(crate) fn holds_until(&self, now: Time) -> Option<Time> {
        let steps = u64::from((self.sent + 1).ilog2());
        let from = self.from.filter(|_| self.sent > 0)?;
        let until = from.plus(self.step * steps);
        (until > now).then_some(until)
    }

    /// A request goes; whether the start is over with it.
    pub(crate) fn goes(&mut self, now: Time) -> bool {
        let from = *self.from.get_or_insert(now);
        self.sent = self.sent.saturating_add(1);
        from.plus(self.step * DOUBLINGS) <= now
    }
}

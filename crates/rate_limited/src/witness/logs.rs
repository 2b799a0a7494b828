//! Spans and events of `tracing`: few of them, and without anything of users in them.

use rate_limited_core::{Class, Progress, Time};
use std::time::Duration;
use tracing::{Span, debug, debug_span, info, info_span, trace, warn};

use super::{Fate, Trip};

/// How often refusals are spoken of, at first and at least.
const REFUSALS_EVERY: [Duration; 2] = [Duration::from_secs(10), Duration::from_secs(600)];

/// How often a failure is spoken of.
const FAILURES_EVERY: [Duration; 2] = [Duration::from_millis(100); 2];

/// The span of a run; those of its attempts lie in it.
pub(crate) fn run_span() -> Span {
    info_span!(target: "rate_limited", "run")
}

/// The span of an attempt: what the user's function logs lies in it.
pub(crate) fn attempt_span(index: u64, number: u32) -> Span {
    debug_span!(target: "rate_limited", "attempt", call = index, number)
}

/// What was said so far.
#[derive(Debug)]
pub(super) struct Logs {
    refusals: Throttle,
    failures: Throttle,
    is_outage: bool,
}

impl Default for Logs {
    fn default() -> Logs {
        Logs {
            refusals: Throttle::new(REFUSALS_EVERY),
            failures: Throttle::new(FAILURES_EVERY),
            is_outage: false,
        }
    }
}

impl Logs {
    pub(super) fn ended(&mut self, trip: Trip, fate: Fate<'_>, now: Time) {
        let call = trip.index;
        let outcome = match fate {
            Fate::Came(Class::Success, _) => {
                trace!(target: "rate_limited", call, "an attempt succeeded");
                return;
            }
            Fate::Came(class, _) => name(class),
            Fate::TimedOut => "timed_out",
            Fate::CutOff => "cut_off",
        };
        if let Some(left_out) = self.failures.lets(now) {
            debug!(target: "rate_limited", call, outcome, left_out, "an attempt did not succeed");
        }
        if matches!(fate, Fate::Came(Class::Refused { .. }, _))
            && let Some(left_out) = self.refusals.lets(now)
        {
            let refusals = left_out + 1;
            warn!(target: "rate_limited", refusals, "the server refuses: its limits may be lower than told");
        }
    }

    pub(super) fn look(&mut self, progress: &Progress) {
        if progress.outage == self.is_outage {
            return;
        }
        self.is_outage = progress.outage;
        if progress.outage {
            let failures = progress.failures;
            warn!(target: "rate_limited", failures, "too many attempts fail: one at a time probes the server");
        } else {
            info!(target: "rate_limited", "the server answers again");
        }
    }

    pub(super) fn ends(&mut self, progress: &Progress) {
        self.look(progress);
        let Progress {
            done,
            failed,
            waiting,
            attempts,
            refusals,
            ..
        } = *progress;
        info!(target: "rate_limited", done, failed, waiting, attempts, refusals, "a run ended");
    }
}

fn name(class: Class) -> &'static str {
    match class {
        Class::Success => "succeeded",
        Class::Invalid => "invalid",
        Class::NotSent => "not_sent",
        Class::Refused { .. } => "refused",
        Class::Overloaded { .. } => "overloaded",
        Class::Permanent => "permanent",
        Class::Fatal => "fatal",
        _ => "failed",
    }
}

/// Lets one thing through in a while, and ever fewer as long as more of them come.
#[derive(Debug)]
struct Throttle {
    every: Duration,
    bounds: [Duration; 2],
    last: Option<Time>,
    left_out: u64,
}

impl Throttle {
    fn new(bounds: [Duration; 2]) -> Throttle {
        Throttle {
            every: bounds[0],
            bounds,
            last: None,
            left_out: 0,
        }
    }

    /// How many were left out since the one before, if this one is let through.
    fn lets(&mut self, now: Time) -> Option<u64> {
        let [first, most] = self.bounds;
        if let Some(last) = self.last {
            let quiet = now.since(last);
            if quiet < self.every {
                self.left_out += 1;
                return None;
            }
            self.every = if quiet >= most * 2 {
                first
            } else {
                (self.every * 2).min(most)
            };
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::Throttle;
    use rate_limited_core::Time;
    use std::time::Duration;

    #[test]
    fn what_is_left_out_is_counted() {
        let mut throttle = Throttle::new([10, 40].map(Duration::from_secs));
        let mut seen = Vec::new();
        for second in (0..200).chain([500, 505, 510]) {
            let now = Time::default() + Duration::from_secs(second);
            seen.extend(throttle.lets(now).map(|left_out| (second, left_out)));
        }
        let expected = [
            (0, 0),
            (10, 9),
            (30, 19),
            (70, 39),
            (110, 39),
            (150, 39),
            (190, 39),
            (500, 9),
            (510, 1),
        ];
        assert_eq!(seen, expected);
    }
}

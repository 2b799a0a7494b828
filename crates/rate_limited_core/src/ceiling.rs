//! A limit that refusals have shown: lower than what was told, and tried anew from time to time.
//!
//! A refusal while our books have room says that the real limit is what they hold. One while they are full, or
//! one that asks to wait for much less than a window, may be a stray one: only a second within four windows
//! counts. One cut an episode: refusals of attempts that
//! were under way when it began only make it exact.
//!
//! Where the limit has bound for some windows without a refusal, a little more is tried, and twice as much
//! after each further quiet window, so that a limit that was raised is soon found. When that is refused,
//! the next trial waits twice as long: a limit that is right costs ever fewer refusals.
//! (Additive increase, multiplicative decrease after Chiu and Jain, "Analysis of the Increase and Decrease
//! Algorithms for Congestion Avoidance in Computer Networks", 1989; here the decrease is measured.)

use crate::time::Time;

/// The part of a limit, in percent, from which on the books count as full.
const FULL: i128 = 95;

/// Windows for which a refusal with full books is remembered.
const MEMORY: u64 = 4;

/// Quiet windows before the first trial, and before the last.
const QUIET: u32 = 4;
const QUIET_MAX: u32 = 64;

/// A window counts at least as so many nanoseconds here: trials must not be a habit.
const SHORTEST_QUIET: u64 = 5_000_000_000;

/// The first trial adds a limit's share of one in 2 to this power.
const FIRST_STEP: u32 = 6;

#[derive(Clone, Debug)]
pub(crate) struct Ceiling {
    limit: Option<i64>,
    /// Until then a refusal with full books is not the first one.
    calm_from: Time,
    /// Since when nothing was refused and nothing tried.
    quiet_from: Time,
    /// Quiet windows before the next trial, and before the first one after a refusal.
    patience: u32,
    quiet: u32,
    /// Trials since the last refusal.
    trials: u32,
}

/// What the books showed when a refusal came.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Evidence {
    /// What the server had let through of one limit, and what it has counted beside that.
    pub(crate) passed: i64,
    pub(crate) others: i64,
    /// The limit in force.
    pub(crate) limit: i64,
    /// The lowest limit that one episode may bring.
    pub(crate) floor: i64,
}

impl Default for Ceiling {
    fn default() -> Ceiling {
        Ceiling {
            limit: None,
            calm_from: Time::default(),
            quiet_from: Time::default(),
            patience: QUIET,
            quiet: QUIET,
            trials: 0,
        }
    }
}

impl Ceiling {
    /// The limit found, in millionths.
    pub(crate) fn limit(&self) -> Option<i64> {
        self.limit
    }

    /// An episode of refusals begins; whether it lowers the limit. `brief`: the server asks to wait for much less
    /// than a window.
    pub(crate) fn refused(
        &mut self,
        evidence: Evidence,
        brief: bool,
        window: u64,
        now: Time,
    ) -> bool {
        let Evidence {
            passed,
            others,
            limit,
            floor,
        } = evidence;
        let full = (i128::from(passed) + i128::from(others)) * 100 >= i128::from(limit) * FULL;
        let stray = (full || brief) && self.trials == 0 && now >= self.calm_from;
        self.calm_from = now.plus(window.saturating_mul(MEMORY));
        self.quiet_from = now;
        if stray {
            return false;
        }
        if self.trials > 0 {
            self.quiet = (self.quiet * 2).min(QUIET_MAX);
        }
        (self.patience, self.trials) = (self.quiet, 0);
        // A full one that is refused again and again is too high by something.
        let most = if full { limit - limit / 64 } else { limit };
        self.limit = Some(passed.min(most).max(floor).max(1));
        true
    }

    /// Another refusal of the same episode: less was let through than it seemed. Whether that changes the limit.
    pub(crate) fn refine(&mut self, passed: i64, floor: i64) -> bool {
        let exact = passed.max(floor).max(1);
        let lower = self.limit.is_some_and(|limit| exact < limit);
        if lower {
            self.limit = Some(exact);
        }
        lower
    }

    /// The limit was found in another way.
    pub(crate) fn found(&mut self, limit: i64, now: Time) {
        self.limit = Some(limit.max(1));
        (self.patience, self.trials, self.quiet_from) = (1, 0, now);
    }

    /// The limit keeps a call of `need` from going; whether it was raised for that. `most` is what was told.
    pub(crate) fn binds(&mut self, need: i64, most: i64, window: u64, now: Time) -> bool {
        let Some(limit) = self.limit else {
            return false;
        };
        let quiet = window
            .max(SHORTEST_QUIET)
            .saturating_mul(self.patience.into());
        let due = self.quiet_from.plus(quiet);
        if now < due {
            return false;
        }
        let step = (limit >> FIRST_STEP) << self.trials.min(FIRST_STEP);
        let raised = limit.saturating_add(step.max(need));
        self.limit = (raised < most).then_some(raised);
        (self.patience, self.quiet_from) = (1, now);
        self.trials += 1;
        true
    }

    /// Takes over a limit that was found before.
    pub(crate) fn recall(&mut self, limit: i64, now: Time) {
        self.limit = (limit > 0).then_some(limit);
        self.quiet_from = now;
    }
}

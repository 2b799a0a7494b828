//! How a limit that nobody told is found out.
//!
//! The first request goes alone: its answer may name the limit. If it does not, ever more requests go, until
//! one is refused. From then on one at a time asks whether the server lets through again. When it does, all that
//! it let through before, and the time since the first of it, are a limit and its window: exactly, for a window
//! that slides or begins with a request, if the server said when to come again; else with a window that is at most a
//! quarter too long. Of a bucket the first such estimate has its burst in it, and is refused far below the limit:
//! then the search begins anew, and what passes from one moment at which a bucket was empty to the next is its rate.
//!
//! Windows that follow a calendar are known. The limit is what one of them let through until it refused, if its end
//! brought room again: what passes before that is no witness, for the refusal had another cause.

use crate::time::Time;

/// How long the first answer is waited for, in nanoseconds.
const FIRST_ANSWER: u64 = 5_000_000_000;

/// The wait after the first refusal; each further one waits a quarter longer, up to the last.
const FIRST_WAIT: u64 = 250_000_000;
const LAST_WAIT: u64 = 60_000_000_000;

#[derive(Clone, Debug)]
pub(crate) struct Finder {
    /// The one request that asks, while the search is on.
    probe: Option<Probe>,
    refusals: u32,
    /// Whether a limit was found.
    found: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Probe {
    Due,
    Out { at: Time, amount: i64 },
}

/// What a probe that was let through shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// When it was dispatched, and what it took.
    pub(crate) at: Time,
    pub(crate) amount: i64,
    /// What passes in how many nanoseconds; `None`: nothing was refused so far.
    pub(crate) limit: Option<(i64, u64)>,
}

impl Finder {
    pub(crate) fn new() -> Self {
        Finder {
            probe: Some(Probe::Due),
            refusals: 0,
            found: false,
        }
    }

    /// One that goes on with what was found before.
    pub(crate) fn resumed() -> Self {
        Finder {
            probe: None,
            refusals: 0,
            found: true,
        }
    }

    /// Whether one request at a time asks.
    pub(crate) fn is_searching(&self) -> bool {
        self.probe.is_some()
    }

    /// Whether a limit was found.
    pub(crate) fn has_found(&self) -> bool {
        self.found
    }

    fn patience(&self, refusal: Option<u64>) -> u64 {
        if self.refusals == 0 {
            FIRST_ANSWER
        } else {
            refusal.unwrap_or(0).saturating_mul(4).max(FIRST_WAIT)
        }
    }

    /// Until when the probe in flight is waited for.
    pub(crate) fn waits_until(&self, refusal: Option<u64>) -> Option<Time> {
        self.probe_at().map(|at| at.plus(self.patience(refusal)))
    }

    pub(crate) fn goes(&mut self, amount: i64, now: Time) {
        if self.probe == Some(Probe::Due) {
            self.probe = Some(Probe::Out { at: now, amount });
        }
    }

    /// The probe ended without telling anything.
    pub(crate) fn lost(&mut self) {
        self.probe = Some(Probe::Due);
    }

    /// A refusal begins the search, or goes on with it. Gives the wait for the next probe where it names none.
    pub(crate) fn refused(&mut self) -> u64 {
        let mut wait = FIRST_WAIT;
        for _ in 0..self.refusals.min(64) {
            wait = (wait + wait / 4).min(LAST_WAIT);
        }
        self.refusals += 1;
        self.probe = Some(Probe::Due);
        wait
    }

    pub(crate) fn probe_at(&self) -> Option<Time> {
        match self.probe? {
            Probe::Due => None,
            Probe::Out { at, .. } => Some(at),
        }
    }

    /// The probe was let through. `passed` is what was since `since`, the probe included.
    pub(crate) fn passed(&mut self, passed: i64, since: Time) -> Option<Finding> {
        let Some(Probe::Out { at, amount }) = self.probe.take() else {
            return None;
        };
        let refused = core::mem::take(&mut self.refusals) > 0;
        self.found |= refused;
        let span = at.as_nanos().saturating_sub(since.as_nanos()).max(1_000);
        let before = passed.saturating_sub(amount).max(1);
        Some(Finding {
            at,
            amount,
            limit: refused.then_some((before, span)),
        })
    }
}

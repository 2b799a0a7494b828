//! What follows from an outcome: the verdict on the call, and the budget that keeps an outage from
//! being answered with a storm of retries.
//!
//! A refusal takes nothing from the call: the resource pauses for everyone, and the call waits with
//! the others. Any other failure takes one of its retries, and one of a budget that all calls of the
//! run share: 10 % of the attempts of the last minute, at least 10. When that is spent the server is
//! taken to be down: no call fails for it, dispatching stops, and one probe per back-off asks whether
//! it is back. (A shared budget bounds the load on a server in trouble to 1.1 times the normal one,
//! where retries per call would multiply it: "Handling Overload", Site Reliability Engineering, 2016.)

use crate::backoff::{Backoff, Chance};
use crate::event::Failure;
use crate::outcome::Class;
use crate::time::Time;

/// What becomes of a call after an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Done,
    /// Again, as soon as quota allows; whether it takes a retry of the call.
    Again {
        counts: bool,
    },
    /// Again after a back-off; whether it takes a retry of the call.
    After {
        at: Time,
        counts: bool,
    },
    GiveUp(Failure),
}

/// What the verdict depends on besides the outcome.
pub(crate) struct Situation<'a> {
    /// Retries that the call has used.
    pub(crate) failures: u16,
    pub(crate) max_retries: u16,
    pub(crate) backoff: &'a Backoff,
    /// Whether the server is taken to be down.
    pub(crate) outage: bool,
}

pub(crate) fn verdict(
    class: Class,
    situation: &Situation<'_>,
    chance: &mut Chance,
    now: Time,
) -> Verdict {
    let spent = situation.failures >= situation.max_retries;
    match class {
        Class::Success => Verdict::Done,
        Class::Refused { .. }
        | Class::Overloaded {
            retry_after: Some(_),
        } => Verdict::Again { counts: false },
        Class::Invalid if spent => Verdict::GiveUp(Failure::Attempts),
        Class::Invalid => Verdict::Again { counts: true },
        Class::Failure | Class::NotSent | Class::Overloaded { .. }
            if spent && !situation.outage =>
        {
            Verdict::GiveUp(Failure::Attempts)
        }
        Class::Failure | Class::NotSent | Class::Overloaded { .. } => {
            let wait = situation.backoff.draw(situation.failures.into(), chance);
            Verdict::After {
                at: now.plus(wait),
                counts: !situation.outage,
            }
        }
        Class::Permanent => Verdict::GiveUp(Failure::Permanent),
        Class::Fatal => Verdict::GiveUp(Failure::Fatal),
    }
}

/// Retries that are always allowed within a minute.
const FREE_RETRIES: u32 = 10;

const SECONDS: usize = 60;

const SECOND: u64 = 1_000_000_000;

/// The run-wide budget of retries.
#[derive(Clone, Debug)]
pub(crate) struct RetryBudget {
    /// Attempts and failures of each of the last 60 seconds.
    seconds: [(u32, u32); SECONDS],
    attempts: u32,
    failures: u32,
    /// The second that was counted in last.
    second: u64,
    outage: Option<Outage>,
}

#[derive(Clone, Copy, Debug)]
struct Outage {
    probes: u32,
    next_probe: Time,
    probing: bool,
}

/// Whether an attempt may be dispatched as far as the budget is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leave {
    Free,
    /// One, as a probe.
    Probe,
    /// Not before this moment, or before the probe in flight has ended.
    Wait(Option<Time>),
}

impl RetryBudget {
    pub(crate) fn new() -> Self {
        RetryBudget {
            seconds: [(0, 0); SECONDS],
            attempts: 0,
            failures: 0,
            second: 0,
            outage: None,
        }
    }

    pub(crate) fn outage(&self) -> bool {
        self.outage.is_some()
    }

    pub(crate) fn leave(&self, now: Time) -> Leave {
        match self.outage {
            None => Leave::Free,
            Some(Outage { probing: true, .. }) => Leave::Wait(None),
            Some(outage) if outage.next_probe > now => Leave::Wait(Some(outage.next_probe)),
            Some(_) => Leave::Probe,
        }
    }

    pub(crate) fn dispatched(&mut self, probe: bool, now: Time) {
        self.count(now).0 += 1;
        self.attempts += 1;
        if let Some(outage) = &mut self.outage {
            outage.probing |= probe;
        }
    }

    /// An attempt failed in a way that takes a retry of the budget.
    pub(crate) fn failed(
        &mut self,
        probe: bool,
        backoff: &Backoff,
        chance: &mut Chance,
        now: Time,
    ) {
        self.count(now).1 += 1;
        self.failures += 1;
        match &mut self.outage {
            Some(outage) if probe => {
                outage.probes += 1;
                outage.probing = false;
                outage.next_probe = later(outage.probes, backoff, chance, now);
            }
            None if self.failures > FREE_RETRIES.max(self.attempts / 10) => {
                let next_probe = later(0, backoff, chance, now);
                self.outage = Some(Outage {
                    probes: 0,
                    next_probe,
                    probing: false,
                });
            }
            // In an outage only the probe tells anything; and before one, a failure within the budget.
            Some(_) | None => {}
        }
    }

    /// The server answered: it is there.
    pub(crate) fn answered(&mut self) {
        if self.outage.take().is_some() {
            (self.seconds, self.attempts, self.failures) = ([(0, 0); SECONDS], 0, 0);
        }
    }

    /// A probe ended without telling anything.
    pub(crate) fn probe_ended(&mut self, backoff: &Backoff, chance: &mut Chance, now: Time) {
        if let Some(outage) = &mut self.outage {
            outage.probing = false;
            outage.next_probe = later(outage.probes, backoff, chance, now);
        }
    }

    /// The counts of the present second, after those that are a minute old were dropped.
    fn count(&mut self, now: Time) -> &mut (u32, u32) {
        let second = now.as_nanos() / SECOND;
        let passed = second.saturating_sub(self.second).min(SECONDS as u64);
        for back in 0..passed {
            let old = &mut self.seconds[((second - back) % SECONDS as u64) as usize];
            self.attempts -= old.0;
            self.failures -= old.1;
            *old = (0, 0);
        }
        self.second = self.second.max(second);
        &mut self.seconds[(self.second % SECONDS as u64) as usize]
    }
}

/// Half of a back-off is certain, or a probe might follow at once.
fn later(probes: u32, backoff: &Backoff, chance: &mut Chance, now: Time) -> Time {
    let longest = backoff.longest(probes);
    now.plus(longest / 2 + chance.below(longest / 2 + 1))
}

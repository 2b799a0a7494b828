//! One limit's books: what counts now, what was charged in all, and the worst that ever counted.

use crate::api::Request;
use crate::judge::{Mark, Meter};
use crate::limit::{Charged, Counted, Kind, Limit, Unit};
use crate::stats::{LimitStats, LimitView};
use std::time::Duration;

#[derive(Clone, Debug)]
pub(crate) struct Ledger {
    pub(crate) limit: Limit,
    meter: Meter,
    /// All that accepted calls were charged, corrections included.
    pub(crate) work: u64,
    /// The most that ever counted at one moment.
    largest: u64,
}

impl Ledger {
    pub(crate) fn new(limit: Limit) -> Ledger {
        Ledger {
            meter: Meter::new(&limit),
            limit,
            work: 0,
            largest: 0,
        }
    }

    /// In how many nanoseconds the request would be accepted; `None`: never.
    pub(crate) fn wait(&mut self, request: &Request, now: u64) -> Option<u64> {
        if !self.is_for(request) {
            return Some(0);
        }
        match self.limit.counted {
            Counted::Arrival => self.meter.wait(self.asked(request), now),
            Counted::Completion => self.meter.wait_for_any(now),
        }
    }

    /// Charges an accepted request, if it is counted at arrival.
    pub(crate) fn arrive(&mut self, request: &Request, now: u64) -> Option<Mark> {
        let counts = self.limit.counted == Counted::Arrival && self.is_for(request);
        counts.then(|| self.charge(self.asked(request), now))
    }

    /// Charges a refused request, where the API counts those.
    pub(crate) fn refuse(&mut self, now: u64) {
        if self.limit.unit == Unit::Requests {
            self.meter.charge(1, now);
            self.note(now);
        }
    }

    /// Charges, corrects or gives back when the request ends. `free` calls are charged nothing.
    pub(crate) fn complete(
        &mut self,
        mark: Option<Mark>,
        request: &Request,
        (failed, free): (bool, bool),
        now: u64,
    ) {
        match mark {
            Some(mark) if free => self.correct(mark, 0, now),
            // The usage of a failed call is unknown to its API too: what it reserved stays.
            Some(mark) if self.limit.charged == Charged::Reserve && !failed => {
                self.correct(mark, self.used(request), now);
            }
            Some(_) => {}
            None if free || !self.is_for(request) => {}
            None => {
                self.charge(self.asked(request), now);
            }
        }
    }

    pub(crate) fn set_quota(&mut self, quota: u64, now: u64) {
        if let Kind::Bucket { burst } = &mut self.limit.kind {
            *burst = (*burst * quota / self.limit.quota).max(1);
        }
        self.limit.quota = quota;
        self.meter.set_quota(quota, self.limit.capacity(), now);
    }

    pub(crate) fn view(&mut self, now: u64) -> LimitView {
        let counted = self.meter.counted(now);
        LimitView {
            name: self.limit.name.clone(),
            unit: self.limit.unit,
            quota: self.limit.quota,
            window: self.limit.window,
            capacity: self.limit.capacity(),
            remaining: self.limit.capacity().saturating_sub(counted),
            reset: Duration::from_nanos(self.meter.reset(now)),
        }
    }

    pub(crate) fn stats(&self) -> LimitStats {
        LimitStats {
            name: self.limit.name.clone(),
            quota: self.limit.quota,
            work: self.work,
            busiest: self.work,
            largest: self.largest,
            worst_window: ratio(self.largest, self.limit.capacity()),
        }
    }

    fn is_for(&self, request: &Request) -> bool {
        self.limit.class.is_none_or(|class| class == request.class)
    }

    fn asked(&self, request: &Request) -> u64 {
        if self.limit.charged == Charged::Usage {
            return self.used(request);
        }
        match self.limit.unit {
            Unit::Tokens => request.bound_tokens,
            Unit::OutputTokens => request.bound_tokens.saturating_sub(request.prompt_tokens),
            Unit::Points => request.bound_points,
            Unit::Requests | Unit::InputTokens | Unit::Inputs => self.used(request),
        }
    }

    fn used(&self, request: &Request) -> u64 {
        match self.limit.unit {
            Unit::Requests => 1,
            Unit::Tokens => request.usage_tokens,
            Unit::InputTokens => request.prompt_tokens,
            Unit::OutputTokens => request.usage_tokens.saturating_sub(request.prompt_tokens),
            Unit::Inputs => request.inputs,
            Unit::Points => request.usage_points,
        }
    }

    fn charge(&mut self, amount: u64, now: u64) -> Mark {
        let mark = self.meter.charge(amount, now);
        self.work += amount;
        self.note(now);
        mark
    }

    fn correct(&mut self, mark: Mark, amount: u64, now: u64) {
        self.meter.correct(mark, amount, now);
        self.work = self.work - mark.amount + amount;
        self.note(now);
    }

    fn note(&mut self, now: u64) {
        self.largest = self.largest.max(self.meter.counted(now));
    }
}

#[expect(clippy::cast_precision_loss, reason = "a figure to show")]
fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole as f64
}

//! How many attempts may be in flight at once: told, or found out.
//!
//! With too few in flight a limit stays idle: 3,500 calls a minute of 10 s each need 583. With too
//! many a slow server only queues them. So the bound doubles while it binds, as long as answers take
//! less than one and a half times what they took before: from then on more in flight would bring more
//! waiting, not more answers.

use crate::settings::MaxConcurrent;

#[derive(Clone, Debug)]
pub(crate) struct Concurrency {
    limit: u32,
    most: u32,
    /// Whether the bound kept a call from going since it was last raised.
    binds: bool,
    /// The dispatches before this one were made under a lower bound and tell nothing of this one.
    epoch: u64,
    answers: u32,
    total_nanos: u128,
    /// The mean time of an answer under the bound before this one.
    former_mean: Option<u128>,
}

impl Concurrency {
    pub(crate) fn new(settings: MaxConcurrent) -> Self {
        let (limit, most) = match settings {
            MaxConcurrent::Fixed(limit) => (limit, limit),
            MaxConcurrent::Auto { start, most } => (start.min(most), most),
        };
        Concurrency {
            limit: limit.max(1),
            most: most.max(1),
            binds: false,
            epoch: 0,
            answers: 0,
            total_nanos: 0,
            former_mean: None,
        }
    }

    pub(crate) fn limit(&self) -> u32 {
        self.limit
    }

    /// Whether the bound has kept a call from going since it was last raised.
    pub(crate) fn binds(&self) -> bool {
        self.binds
    }

    /// Whether one more may go; if not, that is remembered.
    pub(crate) fn admits(&mut self, in_flight: u32) -> bool {
        let admits = in_flight < self.limit;
        self.binds |= !admits;
        admits
    }

    /// An answer came after `nanos` to the dispatch number `dispatch`; `dispatches` were made so far.
    pub(crate) fn answered(&mut self, nanos: u64, dispatch: u64, dispatches: u64) {
        if self.limit >= self.most || dispatch < self.epoch {
            return;
        }
        self.answers += 1;
        self.total_nanos += u128::from(nanos);
        if self.binds && self.answers >= (self.limit / 8).max(4) {
            self.consider(dispatches);
        }
    }

    fn consider(&mut self, dispatches: u64) {
        let mean = self.total_nanos / u128::from(self.answers);
        let slower = self.former_mean.is_some_and(|former| mean * 2 > former * 3);
        if slower {
            // Measured anew: a passing slowness must not hold the bound for the rest of the run.
            (self.answers, self.total_nanos) = (0, 0);
            return;
        }
        self.limit = self.limit.saturating_mul(2).min(self.most);
        self.former_mean = Some(mean);
        (self.binds, self.answers, self.total_nanos) = (false, 0, 0);
        self.epoch = dispatches;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(concurrency: &mut Concurrency, count: u64, nanos: u64, first: u64) {
        for dispatch in first..first + count {
            concurrency.answered(nanos, dispatch, first + count);
        }
    }

    #[test]
    fn doubles_while_it_binds_and_answers_stay_quick() {
        let mut auto = Concurrency::new(MaxConcurrent::Auto {
            start: 64,
            most: 200,
        });
        answered(&mut auto, 100, 1_000, 0);
        assert_eq!(auto.limit(), 64, "it did not bind");
        assert!(!auto.admits(64));
        answered(&mut auto, 1, 1_000, 100);
        assert_eq!(auto.limit(), 128);
        assert!(!auto.admits(128));
        answered(&mut auto, 64, 1_600, 101);
        assert_eq!(auto.limit(), 128, "answers became slower by more than half");
        answered(&mut auto, 64, 1_400, 200);
        assert_eq!(auto.limit(), 200, "never above the most");
    }

    #[test]
    fn a_told_bound_stays_and_is_at_least_one() {
        let mut told = Concurrency::new(MaxConcurrent::Fixed(0));
        assert!(told.admits(0));
        assert!(!told.admits(1));
        answered(&mut told, 1_000, 1, 0);
        assert_eq!(told.limit(), 1);
    }
}

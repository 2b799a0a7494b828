//! How many attempts may be in flight at once: told, or found out.
//!
//! With too few in flight a limit stays idle: 3,500 calls a minute of 10 s each need 583. With too
//! many a slow server only queues them. So the bound doubles while it binds, as long as answers take
//! less than one and a half times what they took before: from then on more in flight would bring more
//! waiting, not more answers. What is added comes into force bit by bit within a quarter of an answer's time: were
//! it let go at once, and a limit lower than was told, most of it would be refused.

use crate::settings::MaxConcurrent;
use crate::time::Time;

/// So many answers and overloads are looked at together.
const LATELY: u32 = 128;

/// From one overload to so many answers on, the server has too much to do.
const OVERLOADED: u32 = 4;

#[derive(Clone, Debug)]
pub(crate) struct Concurrency {
    limit: u32,
    most: u32,
    /// How the last raise comes into force.
    raise: Raise,
    /// Whether the bound kept a call from going since it was last raised.
    binds: bool,
    /// The dispatches before this one were made under a lower bound and tell nothing of this one.
    epoch: u64,
    answers: u32,
    total_nanos: u128,
    /// Answers and overloads of late: one overload among many answers is a failure like others.
    lately: (u32, u32),
    /// Whether the server had too much to do once: from then on the bound grows by an eighth at a time.
    careful: bool,
    /// The mean time of an answer under the bound before this one.
    former_mean: Option<u128>,
}

/// The bound before a raise, when that began, and how long it takes in nanoseconds.
#[derive(Clone, Copy, Debug, Default)]
struct Raise {
    before: u32,
    from: Time,
    takes: u64,
}

/// Whether one more may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    Now,
    /// A raise lets one more go then.
    At(Time),
    Full,
}

impl Room {
    /// When one more may go, if that is known.
    pub(crate) fn at(self) -> Option<Time> {
        match self {
            Room::At(at) => Some(at),
            Room::Now | Room::Full => None,
        }
    }
}

impl Concurrency {
    /// From now on each attempt counts for so many.
    pub(crate) fn divide(&mut self, by: u32) {
        let part = |bound: u32| (bound / by.max(1)).max(1);
        (self.limit, self.most) = (part(self.limit), part(self.most));
        self.raise.before = part(self.raise.before);
    }

    pub(crate) fn new(settings: MaxConcurrent) -> Self {
        let (limit, most) = match settings {
            MaxConcurrent::Fixed(limit) => (limit, limit),
            MaxConcurrent::Auto { start, most } => (start.min(most), most),
        };
        Concurrency {
            limit: limit.max(1),
            most: most.max(1),
            raise: Raise::default(),
            binds: false,
            epoch: 0,
            answers: 0,
            total_nanos: 0,
            lately: (0, 0),
            careful: false,
            former_mean: None,
        }
    }

    /// The user changes the bound: at once, and what was learnt under the former one is forgotten. `dispatches` were
    /// made so far.
    pub(crate) fn set(&mut self, settings: MaxConcurrent, dispatches: u64) {
        *self = Concurrency {
            epoch: dispatches + 1,
            ..Concurrency::new(settings)
        };
    }

    pub(crate) fn limit(&self) -> u32 {
        self.limit
    }

    /// Whether the bound has kept a call from going since it was last raised.
    pub(crate) fn binds(&self) -> bool {
        self.binds
    }

    /// Whether one more may go; if not, that is remembered.
    pub(crate) fn room(&mut self, in_flight: u32, now: Time) -> Room {
        if in_flight >= self.limit {
            self.binds = true;
            return Room::Full;
        }
        let Raise {
            before,
            from,
            takes,
        } = self.raise;
        if takes == 0 || in_flight < before {
            return Room::Now;
        }
        let (more, all) = (
            u64::from(in_flight + 1 - before),
            u64::from(self.limit - before),
        );
        let at = from.plus(
            u64::try_from(u128::from(takes) * u128::from(more) / u128::from(all)).unwrap_or(takes),
        );
        if at > now { Room::At(at) } else { Room::Now }
    }

    /// An answer came after `nanos` to the dispatch number `dispatch`; `dispatches` were made so far.
    pub(crate) fn answered(&mut self, nanos: u64, dispatch: u64, dispatches: u64, now: Time) {
        self.count_lately(1, 0);
        if self.limit >= self.most || dispatch < self.epoch {
            return;
        }
        self.answers += 1;
        self.total_nanos += u128::from(nanos);
        if self.binds && self.answers >= (self.limit / 8).max(4) {
            self.consider(dispatches, now);
        }
    }

    /// The server has too much to do, said to the dispatch number `dispatch`. Dispatches made before the
    /// bound was halved tell nothing new, and neither does one in many.
    pub(crate) fn overloaded(&mut self, dispatch: u64, dispatches: u64) {
        if dispatch < self.epoch {
            return;
        }
        self.count_lately(0, 1);
        let (answers, overloads) = self.lately;
        if overloads < 2 || overloads * OVERLOADED < answers {
            return;
        }
        self.lately = (0, 0);
        self.limit = (self.limit / 2).max(1);
        (self.careful, self.former_mean, self.raise) = (true, None, Raise::default());
        (self.binds, self.answers, self.total_nanos) = (false, 0, 0);
        self.epoch = dispatches + 1;
    }

    fn count_lately(&mut self, answers: u32, overloads: u32) {
        let (answers, overloads) = (self.lately.0 + answers, self.lately.1 + overloads);
        self.lately = if answers + overloads < LATELY {
            (answers, overloads)
        } else {
            (answers / 2, overloads / 2)
        };
    }

    fn consider(&mut self, dispatches: u64, now: Time) {
        let mean = self.total_nanos / u128::from(self.answers);
        let slower = self.former_mean.is_some_and(|former| mean * 2 > former * 3);
        if slower {
            // Measured anew: a passing slowness must not hold the bound for the rest of the run.
            (self.answers, self.total_nanos) = (0, 0);
            return;
        }
        self.raise = Raise {
            before: self.limit,
            from: now,
            takes: u64::try_from(mean / 4).unwrap_or(u64::MAX),
        };
        let more = if self.careful {
            (self.limit / 8).max(1)
        } else {
            self.limit
        };
        self.limit = self.limit.saturating_add(more).min(self.most);
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
            concurrency.answered(nanos, dispatch, first + count, Time::default());
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
        assert_eq!(auto.room(64, Time::default()), Room::Full);
        answered(&mut auto, 1, 1_000, 100);
        assert_eq!(auto.limit(), 128);
        assert_eq!(auto.room(128, Time::default()), Room::Full);
        answered(&mut auto, 64, 1_600, 101);
        assert_eq!(auto.limit(), 128, "answers became slower by more than half");
        answered(&mut auto, 64, 1_400, 200);
        assert_eq!(auto.limit(), 200, "never above the most");
    }

    #[test]
    fn a_raise_comes_bit_by_bit() {
        let mut auto = Concurrency::new(MaxConcurrent::Auto { start: 4, most: 8 });
        assert_eq!(auto.room(4, Time::default()), Room::Full);
        answered(&mut auto, 4, 4_000, 0);
        // A quarter of 4,000 ns for four more.
        assert_eq!(auto.room(3, Time::default()), Room::Now);
        assert_eq!(
            auto.room(4, Time::default()),
            Room::At(Time::from_nanos(250))
        );
        assert_eq!(auto.room(4, Time::from_nanos(250)), Room::Now);
        assert_eq!(
            auto.room(7, Time::from_nanos(999)),
            Room::At(Time::from_nanos(1_000))
        );
        assert_eq!(auto.room(8, Time::from_nanos(1_000)), Room::Full);
    }

    #[test]
    fn an_overload_halves_it_once_and_it_grows_again_bit_by_bit() {
        let mut told = Concurrency::new(MaxConcurrent::Fixed(64));
        for dispatch in 1..=64 {
            told.overloaded(dispatch, 64);
        }
        assert_eq!(told.limit(), 32);
        assert_eq!(told.room(32, Time::default()), Room::Full);
        answered(&mut told, 64, 1_000, 0);
        assert_eq!(told.limit(), 32, "those were sent before");
        answered(&mut told, 8, 1_000, 65);
        assert_eq!(told.limit(), 36);
        for round in 0..20 {
            assert_eq!(told.room(told.limit(), Time::default()), Room::Full);
            answered(&mut told, 64, 1_000, 100 + 64 * round);
        }
        assert_eq!(told.limit(), 64, "never above what was told");
    }

    #[test]
    fn a_few_overloads_among_many_answers_change_nothing() {
        let mut told = Concurrency::new(MaxConcurrent::Fixed(64));
        for round in 0..1_000 {
            answered(&mut told, 19, 1_000, 20 * round);
            told.overloaded(20 * round + 19, 20 * round + 20);
        }
        assert_eq!(told.limit(), 64);
    }

    #[test]
    fn a_told_bound_stays_and_is_at_least_one() {
        let mut told = Concurrency::new(MaxConcurrent::Fixed(0));
        assert_eq!(told.room(0, Time::default()), Room::Now);
        assert_eq!(told.room(1, Time::default()), Room::Full);
        answered(&mut told, 1_000, 1, 0);
        assert_eq!(told.limit(), 1);
    }

    #[test]
    fn a_bound_that_is_told_anew_holds_at_once_and_is_found_out_from_there() {
        let mut bound = Concurrency::new(MaxConcurrent::Auto { start: 4, most: 64 });
        assert_eq!(bound.room(4, Time::default()), Room::Full);
        answered(&mut bound, 4, 4_000, 0);
        bound.set(MaxConcurrent::Fixed(2), 4);
        assert_eq!(bound.room(2, Time::default()), Room::Full);
        bound.set(MaxConcurrent::Auto { start: 8, most: 64 }, 4);
        assert_eq!(
            bound.room(7, Time::default()),
            Room::Now,
            "no raise is under way"
        );
        assert_eq!(bound.room(8, Time::default()), Room::Full);
        answered(&mut bound, 4, 1_000, 1);
        assert_eq!(bound.limit(), 8, "those were sent before");
        answered(&mut bound, 4, 1_000, 5);
        assert_eq!(bound.limit(), 16);
    }
}

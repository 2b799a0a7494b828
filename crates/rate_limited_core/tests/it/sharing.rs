//! Several schedulers on one limiter.

use crate::play::{START, at, secs};
use rate_limited_core::{
    Amount, Class, Cost, Input, Limiter, MaxConcurrent, Order, Outcome, Output, Quota, Resource,
    ResourceId, Scheduler, Settings, Time,
};
use std::time::Duration;

struct Shared {
    limiter: Limiter,
    id: ResourceId,
    schedulers: Vec<Scheduler>,
    now: Time,
    /// Who sent when.
    sent: Vec<(usize, Time)>,
    /// When polling is due for each.
    due: Vec<Option<Time>>,
}

impl Shared {
    fn new(quota: u32, settings: &[Settings]) -> Shared {
        let mut limiter = Limiter::new(START);
        let quota = Quota::per(Amount::units(quota), secs(10.0));
        let resource = Resource::new("r", quota).guard(Duration::ZERO);
        let id = limiter.add(resource).expect("a sound quota");
        let schedulers: Vec<Scheduler> = settings
            .iter()
            .map(|s| Scheduler::new(&mut limiter, s.clone(), START))
            .collect();
        let due = vec![Some(START); schedulers.len()];
        Shared {
            limiter,
            id,
            schedulers,
            now: START,
            sent: Vec::new(),
            due,
        }
    }

    fn schedule(&mut self, who: usize, count: usize, cost: u32) {
        for _ in 0..count {
            let cost = [Cost::new(self.id, Amount::units(cost))];
            let scheduler = &mut self.schedulers[who];
            scheduler
                .schedule(&mut self.limiter, &cost, self.now)
                .expect("it fits");
        }
    }

    /// Polls whoever is due until all wait or the time is over; answers come at once.
    fn run_until(&mut self, end: Time) {
        let mut turns = 0;
        while let Some(next) = self
            .due
            .iter()
            .flatten()
            .min()
            .copied()
            .filter(|next| *next <= end)
        {
            self.now = self.now.max(next);
            turns += 1;
            assert!(
                turns < 10_000,
                "they wake each other for ever at {:?}: {:?}",
                self.now,
                self.due
            );
            for who in 0..self.schedulers.len() {
                if self.due[who].is_some_and(|due| due <= self.now) {
                    self.poll(who);
                }
            }
        }
        self.now = end;
    }

    fn poll(&mut self, who: usize) {
        let scheduler = &mut self.schedulers[who];
        match scheduler.poll(&mut self.limiter, self.now) {
            Output::Dispatch { attempt, .. } => {
                self.sent.push((who, self.now));
                scheduler.handle(&mut self.limiter, Input::Sent { attempt }, self.now);
                let outcome = Outcome::new(Class::Success);
                scheduler.handle(
                    &mut self.limiter,
                    Input::Finished { attempt, outcome },
                    self.now,
                );
            }
            Output::Wait(wait) => self.due[who] = wait.until,
            Output::Idle => self.due[who] = None,
            _ => {}
        }
        for woken in self.limiter.take_wakes() {
            let index = self
                .schedulers
                .iter()
                .position(|s| s.id() == woken)
                .expect("it is known");
            self.due[index] = Some(self.now);
        }
    }

    fn counts(&self) -> Vec<usize> {
        let count = |who| {
            self.sent
                .iter()
                .filter(|(sender, _)| *sender == who)
                .count()
        };
        (0..self.schedulers.len()).map(count).collect()
    }
}

fn fixed() -> Settings {
    Settings {
        max_concurrent: MaxConcurrent::Fixed(1_000),
        ..Settings::default()
    }
}

#[test]
fn two_runs_keep_one_quota_together_and_share_it() {
    let mut shared = Shared::new(10, &[fixed(), fixed()]);
    shared.schedule(0, 100, 1);
    shared.schedule(1, 100, 1);
    shared.run_until(at(95.0));
    for (_, from) in &shared.sent {
        let inside = shared
            .sent
            .iter()
            .filter(|(_, at)| at >= from && at.since(*from) < secs(10.0));
        assert!(inside.count() <= 10);
    }
    assert_eq!(shared.sent.len(), 100, "the quota is used up");
    let counts = shared.counts();
    assert!(counts[0].abs_diff(counts[1]) <= 10, "{counts:?}");
}

#[test]
fn a_run_alone_gets_all() {
    let mut shared = Shared::new(10, &[fixed(), fixed()]);
    shared.schedule(1, 100, 1);
    shared.run_until(at(45.0));
    assert_eq!(shared.counts(), [0, 50]);
}

#[test]
fn the_protected_call_of_one_run_is_not_delayed_by_another() {
    let in_order = Settings {
        order: Order::InOrder,
        ..fixed()
    };
    let mut shared = Shared::new(10, &[in_order, fixed()]);
    shared.schedule(0, 1, 4);
    shared.run_until(at(1.0));
    shared.due = vec![Some(shared.now); 2];
    shared.schedule(0, 1, 10);
    shared.run_until(at(2.0));
    shared.due[1] = Some(shared.now);
    shared.schedule(1, 100, 1);
    shared.run_until(at(12.0));
    let big = shared
        .sent
        .iter()
        .filter(|(who, _)| *who == 0)
        .nth(1)
        .expect("it ran");
    assert_eq!(big.1, at(10.0), "at the first moment at which it could");
}

#[test]
fn a_run_that_leaves_frees_its_claim() {
    let in_order = Settings {
        order: Order::InOrder,
        ..fixed()
    };
    let mut shared = Shared::new(10, &[in_order, fixed()]);
    shared.schedule(0, 1, 4);
    shared.schedule(0, 1, 10);
    shared.run_until(at(1.0));
    let gone = shared.schedulers.remove(0);
    shared.due.remove(0);
    gone.leave(&mut shared.limiter, at(1.0));
    shared.due[0] = Some(shared.now);
    shared.schedule(0, 100, 1);
    shared.run_until(at(2.0));
    assert_eq!(
        shared.counts(),
        [7],
        "four of ten are used, six are free: {:?}",
        shared.sent
    );
}

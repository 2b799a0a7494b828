//! Requests that leave late and arrive up to a guard after they left: what the server counts, by the
//! moments of arrival, keeps to every kind of quota.

use crate::chance::Chance;
use crate::play::START;
use rate_limited_core::{
    Amount, Anchor, AttemptId, CallId, Class, Cost, Input, Limiter, MaxConcurrent, Order, Outcome,
    Output, Quota, Resource, Scheduler, Settings, Time,
};
use std::collections::BTreeMap;
use std::time::Duration;

const CALLS: usize = 25;

const GUARD: Duration = Duration::from_millis(50);

/// What reached the server, and what it cost.
type Arrivals = [(Time, u32)];

#[derive(Clone, Copy)]
struct Event {
    at: Time,
    what: What,
    attempt: AttemptId,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    Leaves { cost: u32 },
    IsAnswered,
}

struct World {
    seed: u64,
    chance: Chance,
    quota: Quota,
    limiter: Limiter,
    scheduler: Scheduler,
    now: Time,
    events: Vec<Event>,
    costs: BTreeMap<CallId, u32>,
    arrivals: Vec<(Time, u32)>,
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn draw_quota(chance: &mut Chance) -> Quota {
    let window = millis(1_000 + chance.below(3_000));
    let amount = Amount::units(1 + chance.below(6) as u32);
    let burst = Amount::units(1 + chance.below(6) as u32);
    let fixed = |anchor| Quota::FixedWindow {
        amount,
        window,
        anchor,
    };
    match chance.below(5) {
        0 => Quota::per(amount, window),
        1 => Quota::bucket(amount, window, burst),
        2 => fixed(Anchor::FirstCall),
        3 => fixed(Anchor::At(START + millis(chance.below(1_000)))),
        _ => Quota::Spacing { interval: window },
    }
}

fn settings(order: Order) -> Settings {
    Settings {
        attempt_timeout: None,
        order,
        max_concurrent: MaxConcurrent::Fixed(50),
        ..Settings::default()
    }
}

impl World {
    fn new(seed: u64) -> World {
        let mut chance = Chance::new(seed.wrapping_mul(99_991) + 7);
        let quota = draw_quota(&mut chance);
        let mut limiter = Limiter::new(START);
        let id = limiter
            .add(Resource::new("r", quota).guard(GUARD))
            .expect("a sound quota");
        let order = if chance.once_in(2) {
            Order::InOrder
        } else {
            Order::Packed
        };
        let mut scheduler = Scheduler::new(&mut limiter, settings(order), START);
        let mut costs = BTreeMap::new();
        for _ in 0..CALLS {
            let units = 1 + chance.below(whole_units(quota.capacity())) as u32;
            let cost = [Cost::new(id, Amount::units(units))];
            let call = scheduler
                .schedule(&mut limiter, &cost, START)
                .expect("it fits");
            costs.insert(call, units);
        }
        World {
            seed,
            chance,
            quota,
            limiter,
            scheduler,
            now: START,
            events: Vec::new(),
            costs,
            arrivals: Vec::new(),
        }
    }

    /// Runs to the end, and returns what reached the server, by the moment of arrival.
    fn run(mut self) -> Vec<(Time, u32)> {
        let mut spins = 0;
        loop {
            self.deliver();
            let Some(until) = self.settle_down() else {
                break;
            };
            let events = self.events.iter().map(|event| event.at);
            let next = events.min().map_or(until, |event| event.min(until));
            assert!(
                next < Time::MAX,
                "seed {}, {:?}: a hang",
                self.seed,
                self.quota
            );
            assert!(next >= self.now, "seed {}: time runs backwards", self.seed);
            spins = if next == self.now { spins + 1 } else { 0 };
            assert!(spins < 1_000, "seed {}: the machine spins", self.seed);
            self.now = next;
        }
        self.arrivals.sort_unstable();
        self.arrivals
    }

    /// Lets happen what is due, and returns how many answers came.
    fn deliver(&mut self) -> usize {
        let mut answers = 0;
        self.events.sort_by_key(|event| {
            let answered = event.what == What::IsAnswered;
            (event.at, answered)
        });
        while let Some(event) = self.events.first().copied() {
            if event.at > self.now {
                break;
            }
            self.events.remove(0);
            let attempt = event.attempt;
            let input = match event.what {
                What::Leaves { cost } => {
                    let guard = GUARD.as_nanos() as u64;
                    let under_way = Duration::from_nanos(self.chance.below(guard + 1));
                    self.arrivals.push((self.now + under_way, cost));
                    Input::Sent { attempt }
                }
                What::IsAnswered => {
                    answers += 1;
                    let outcome = Outcome::new(Class::Success);
                    Input::Finished { attempt, outcome }
                }
            };
            self.scheduler.handle(&mut self.limiter, input, self.now);
        }
        answers
    }

    /// Polls until the machine waits, and returns until when; `None` where it is idle.
    fn settle_down(&mut self) -> Option<Time> {
        loop {
            match self.scheduler.poll(&mut self.limiter, self.now) {
                Output::Dispatch { call, attempt, .. } => self.dispatch(call, attempt),
                Output::Wait(wait) => return Some(wait.until.unwrap_or(Time::MAX)),
                Output::Idle => return None,
                _ => {}
            }
        }
    }

    fn dispatch(&mut self, call: CallId, attempt: AttemptId) {
        let delay = match self.chance.below(3) {
            0 => 0,
            1 => self.chance.below(100),
            _ => self.chance.below(5_000),
        };
        let leaves = self.now + millis(delay);
        let answered = leaves + millis(60 + self.chance.below(3_000));
        let cost = self.costs[&call];
        for (at, what) in [
            (leaves, What::Leaves { cost }),
            (answered, What::IsAnswered),
        ] {
            self.events.push(Event { at, what, attempt });
        }
        assert_eq!(self.deliver(), 0, "no answer is due right after a dispatch");
    }
}

fn whole_units(amount: Amount) -> u64 {
    amount.as_micros().unsigned_abs() / 1_000_000
}

/// Panics if a server that counts exactly would have refused any of these.
fn check(seed: u64, quota: Quota, arrivals: &Arrivals) {
    match quota {
        Quota::SlidingWindow { amount, window } => {
            check_sliding(seed, whole_units(amount), window, arrivals);
        }
        Quota::TokenBucket { amount, per, burst } => {
            let (amount, burst) = (whole_units(amount), whole_units(burst));
            check_bucket(seed, amount, per, burst, arrivals);
        }
        Quota::FixedWindow {
            amount,
            window,
            anchor: Anchor::At(start),
        } => check_anchored(seed, whole_units(amount), window, start, arrivals),
        Quota::FixedWindow { amount, window, .. } => {
            check_begun_by_calls(seed, whole_units(amount), window, arrivals);
        }
        Quota::Spacing { interval } => check_spacing(seed, interval, arrivals),
        _ => unreachable!("no other kind is drawn"),
    }
}

fn check_sliding(seed: u64, amount: u64, window: Duration, arrivals: &Arrivals) {
    for (from, _) in arrivals {
        let inside = arrivals
            .iter()
            .filter(|(at, _)| at >= from && at.since(*from) < window);
        let sum: u64 = inside.map(|(_, cost)| u64::from(*cost)).sum();
        assert!(
            sum <= amount,
            "seed {seed}: {sum} of {amount} within {window:?} of {from:?}"
        );
    }
}

/// Levels are counted in units × nanoseconds.
fn check_bucket(seed: u64, amount: u64, per: Duration, burst: u64, arrivals: &Arrivals) {
    let unit = per.as_nanos() as i128;
    let full = i128::from(burst) * unit;
    let (mut level, mut last) = (full, START);
    for (at, cost) in arrivals {
        let refill = i128::from(amount) * at.since(last).as_nanos() as i128;
        level = (level + refill).min(full) - i128::from(*cost) * unit;
        last = *at;
        assert!(
            level >= 0,
            "seed {seed}: the bucket of {burst}, {amount} per {per:?}, lacks {} at {at:?}",
            -level as f64 / unit as f64
        );
    }
}

fn check_begun_by_calls(seed: u64, amount: u64, window: Duration, arrivals: &Arrivals) {
    let (mut end, mut used) = (Time::default(), 0);
    for (at, cost) in arrivals {
        if *at >= end {
            (end, used) = (*at + window, 0);
        }
        used += u64::from(*cost);
        assert!(
            used <= amount,
            "seed {seed}: {used} of {amount} in the window that ends at {end:?}"
        );
    }
}

fn check_anchored(seed: u64, amount: u64, window: Duration, start: Time, arrivals: &Arrivals) {
    let mut windows: BTreeMap<i128, u64> = BTreeMap::new();
    for (at, cost) in arrivals {
        let since = i128::from(at.as_nanos()) - i128::from(start.as_nanos());
        let number = since.div_euclid(window.as_nanos() as i128);
        *windows.entry(number).or_default() += u64::from(*cost);
    }
    for (number, used) in windows {
        assert!(
            used <= amount,
            "seed {seed}: {used} of {amount} in window {number}"
        );
    }
}

fn check_spacing(seed: u64, interval: Duration, arrivals: &Arrivals) {
    for pair in arrivals.windows(2) {
        let distance = pair[1].0.since(pair[0].0);
        assert!(
            distance >= interval,
            "seed {seed}: {distance:?} instead of {interval:?}"
        );
    }
}

#[test]
fn requests_that_leave_and_arrive_late_keep_every_kind_of_quota() {
    for seed in 0..3_000 {
        let world = World::new(seed);
        let quota = world.quota;
        let arrivals = world.run();
        assert_eq!(arrivals.len(), CALLS, "seed {seed}: each call arrives once");
        check(seed, quota, &arrivals);
    }
}

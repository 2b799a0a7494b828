//! Limits that refusals show: told too high, or not told at all; and charges of others that answers tell of.

use crate::play::{START, secs};
use proptest::prelude::*;
use rate_limited_core::{
    Amount, AttemptId, Class, Cost, Feedback, Input, Limiter, MaxConcurrent, Outcome, Output,
    Quota, Reset, Resource, ResourceId, Scheduler, Settings, Time,
};
use std::collections::VecDeque;
use std::time::Duration;

/// How long an answer takes, and a refusal.
const ANSWER: f64 = 0.5;
const REFUSAL: f64 = 0.02;

/// What a run calls.
pub(crate) trait Api {
    /// A request arrives.
    fn take(&mut self, now: Time) -> Class;

    /// One of others does.
    fn others_take(&mut self, _now: Time) {}

    /// What an answer tells.
    fn feedback(&self, _now: Time) -> Option<Feedback> {
        None
    }
}

/// A server with one sliding window, which others use too.
struct Server {
    quota: usize,
    window: Duration,
    /// What it says of the wait when it refuses.
    tells_wait: bool,
    /// What it tells of its limit and its rest.
    tells_rest: bool,
    counted: Vec<Time>,
    refusals: usize,
}

impl Server {
    fn new(quota: usize, seconds: f64) -> Server {
        Server {
            quota,
            window: secs(seconds),
            tells_wait: false,
            tells_rest: false,
            counted: Vec::new(),
            refusals: 0,
        }
    }

    fn inside(&self, now: Time) -> usize {
        self.counted
            .iter()
            .filter(|at| **at + self.window > now)
            .count()
    }
}

impl Api for Server {
    fn others_take(&mut self, now: Time) {
        self.counted.push(now);
    }

    fn take(&mut self, now: Time) -> Class {
        if self.inside(now) < self.quota {
            self.counted.push(now);
            return Class::Success;
        }
        self.refusals += 1;
        let oldest = self.counted[self.counted.len() - self.quota];
        Class::Refused {
            resource: None,
            retry_after: self.tells_wait.then(|| (oldest + self.window).since(now)),
        }
    }

    fn feedback(&self, now: Time) -> Option<Feedback> {
        let whole = |units: usize| Amount::count(units as u64).ok();
        self.tells_rest.then(|| Feedback {
            limit: whole(self.quota),
            remaining: whole(self.quota.saturating_sub(self.inside(now))),
            reset: Some(Reset::Some(self.window)),
            ..Feedback::default()
        })
    }
}

/// Runs so many calls of one unit, sixteen at once; how long they took.
fn run(resource: Resource, server: &mut Server, calls: usize, others: &[f64]) -> Duration {
    run_with(16, resource, server, calls, others)
}

pub(crate) fn run_with(
    at_once: u32,
    resource: Resource,
    server: &mut impl Api,
    calls: usize,
    others: &[f64],
) -> Duration {
    let mut limiter = Limiter::new(START);
    let id = limiter.add(resource).expect("a sound quota");
    let settings = Settings {
        max_concurrent: MaxConcurrent::Fixed(at_once),
        ..Settings::default()
    };
    let mut scheduler = Scheduler::new(&mut limiter, settings, START);
    for _ in 0..calls {
        let costs = [Cost::new(id, Amount::units(1))];
        scheduler
            .schedule(&mut limiter, &costs, START)
            .expect("it fits");
    }
    let mut now = START;
    let mut others: VecDeque<Time> = others.iter().map(|at| START + secs(*at)).collect();
    let mut flying: Vec<(Time, AttemptId, Class, Option<Feedback>)> = Vec::new();
    loop {
        match scheduler.poll(&mut limiter, now) {
            Output::Dispatch { attempt, .. } => {
                scheduler.handle(&mut limiter, Input::Sent { attempt }, now);
                let class = server.take(now);
                let takes = if class == Class::Success {
                    ANSWER
                } else {
                    REFUSAL
                };
                flying.push((now + secs(takes), attempt, class, server.feedback(now)));
            }
            Output::Done { .. } => {}
            Output::Wait(wait) => {
                let next = flying
                    .iter()
                    .map(|it| it.0)
                    .chain(wait.until)
                    .chain(others.front().copied());
                now = next.min().expect("something is to come").max(now);
                if others.front().is_some_and(|at| *at <= now) {
                    others.pop_front();
                    server.others_take(now);
                }
                answer(&mut scheduler, &mut limiter, id, &mut flying, now);
            }
            Output::Idle => return now.since(START),
            other => panic!("{other:?}"),
        }
        assert!(now < START + secs(1_000_000.0), "it does not end");
    }
}

fn answer(
    scheduler: &mut Scheduler,
    limiter: &mut Limiter,
    resource: ResourceId,
    flying: &mut Vec<(Time, AttemptId, Class, Option<Feedback>)>,
    now: Time,
) {
    flying.sort_by_key(|it| it.0);
    while flying.first().is_some_and(|it| it.0 <= now) {
        let (_, attempt, class, feedback) = flying.remove(0);
        if let Some(feedback) = feedback {
            let input = Input::Feedback {
                resource,
                attempt,
                feedback,
            };
            scheduler.handle(limiter, input, now);
        }
        let outcome = Outcome::new(class);
        scheduler.handle(limiter, Input::Finished { attempt, outcome }, now);
    }
}

pub(crate) fn told(quota: u32) -> Resource {
    Resource::new("requests", Quota::per(Amount::units(quota), secs(60.0)))
}

#[test]
fn a_limit_told_ten_times_too_high_costs_one_burst_of_refusals() {
    let mut server = Server::new(50, 60.0);
    let took = run(told(500), &mut server, 500, &[]);
    assert!(took < secs(9.0 * 60.0 * 1.02), "{took:?}");
    // Sixteen may be in flight when the first is refused; later only trials are.
    assert!(server.refusals < 25, "{}", server.refusals);
}

#[test]
fn a_limit_that_is_right_is_not_lowered_by_a_stray_refusal() {
    let mut server = Server::new(50, 60.0);
    // Somebody else makes one call when the window is full.
    let took = run(told(50), &mut server, 500, &[59.9]);
    assert!(took < secs(10.0 * 60.0 * 1.02), "{took:?}");
    assert!(server.refusals <= 4, "{}", server.refusals);
}

#[test]
fn what_remains_shows_what_others_take() {
    // Fifty calls of others within five seconds, while ours go one after the other.
    let others: Vec<f64> = (0..50).map(|n| 0.1 * f64::from(n)).collect();
    let [told, untold] = [true, false].map(|tells_rest| {
        let mut server = Server::new(60, 60.0);
        server.tells_rest = tells_rest;
        let took = run_with(1, told(60), &mut server, 100, &others);
        (took, server.refusals)
    });
    assert!(told.0 < secs(200.0) && told.1 <= 2, "{told:?}");
    // Without a word, what was let through while others called is taken for the limit for a while.
    assert!(untold.0 > told.0, "{untold:?}");
}

#[test]
fn a_day_that_others_have_used_up_lowers_no_limit_where_the_wait_is_told() {
    const DAY: f64 = 86_400.0;
    // Others take half of the first day; the server tells how long to wait.
    let others: Vec<f64> = (0..50).map(|n| 0.02 * f64::from(n)).collect();
    let mut server = Server::new(100, DAY);
    server.tells_wait = true;
    let day = Resource::new("requests", Quota::per(Amount::units(100), secs(DAY)));
    let took = run(day, &mut server, 340, &others);
    // About 50, 100, 100 and 90 on four days.
    assert!(took < secs(3.03 * DAY), "{took:?}");
    assert!(server.refusals < 40, "{}", server.refusals);
}

#[test]
fn a_limit_that_nobody_told_is_found() {
    for (tells_wait, tells_rest, most) in
        [(true, true, 1.05), (true, false, 1.1), (false, false, 1.4)]
    {
        let mut server = Server::new(40, 30.0);
        (server.tells_wait, server.tells_rest) = (tells_wait, tells_rest);
        // Answers that name a limit do not name its window here: it is known.
        let resource = if tells_rest {
            Resource::new("requests", Quota::per(Amount::units(1), secs(30.0))).untold_limit()
        } else {
            Resource::untold("requests")
        };
        let took = run(resource, &mut server, 1_000, &[]);
        assert!(
            took < secs(24.0 * 30.0 * most),
            "{took:?} {tells_wait} {tells_rest}"
        );
        assert!(server.refusals < 60, "{}", server.refusals);
    }
}

#[test]
fn a_resource_without_any_limit_is_soon_as_fast_as_it_can_be() {
    let mut server = Server::new(usize::MAX, 1.0);
    let took = run(Resource::untold("requests"), &mut server, 1_000, &[]);
    // 63 rounds of sixteen, one round alone, and the slow start.
    assert!(took < secs(35.0), "{took:?}");
    assert_eq!(server.refusals, 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Whatever the server allows and whatever was told, every call is done, and a limit that was told is kept.
    #[test]
    fn every_call_is_done_and_what_was_told_is_kept(
        quota in 1_usize..100,
        window in 1.0_f64..120.0,
        factor in prop_oneof![Just(None), (0.1_f64..10.0).prop_map(Some)],
        tells_wait in any::<bool>(),
        tells_rest in any::<bool>(),
        others in prop::collection::vec(0.0_f64..300.0, 0..20),
    ) {
        let mut server = Server::new(quota, window);
        (server.tells_wait, server.tells_rest) = (tells_wait, tells_rest);
        let mut others = others;
        others.sort_by(f64::total_cmp);
        let units = factor.map(|factor| Amount::cost((quota as f64 * factor).max(1.0)).expect("an amount"));
        let resource = match units {
            Some(units) => Resource::new("requests", Quota::per(units, secs(window))),
            None => Resource::untold("requests"),
        };
        let took = run(resource, &mut server, 150, &others);
        if let Some(units) = units {
            let most = units.as_units().floor();
            let windows = (150.0 / most).ceil() - 1.0;
            prop_assert!(took.as_secs_f64() >= windows * window, "{took:?} of {windows} windows of {window}");
        }
    }
}

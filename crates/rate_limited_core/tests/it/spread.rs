//! Limits that a server spreads over their windows: a bucket with a small burst that nobody told of.

use crate::found::{Api, run_with, told};
use crate::play::secs;
use rate_limited_core::{Amount, Anchor, Class, Quota, Resource, Time};
use std::time::Duration;

const CALLS: usize = 600;

/// What a refusal says of the wait.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Hint {
    Exact,
    /// Rounded up.
    WholeSeconds,
    None,
}

/// A bucket that lets one through in so many seconds, and a few at once.
struct Bucket {
    per_call: f64,
    burst: f64,
    hint: Hint,
    level: f64,
    at: Option<Time>,
    refusals: usize,
}

impl Bucket {
    fn new(per_minute: f64, burst: f64, hint: Hint) -> Bucket {
        Bucket {
            per_call: 60.0 / per_minute,
            burst,
            hint,
            level: burst,
            at: None,
            refusals: 0,
        }
    }

    /// The time in which a client that knows all is through.
    fn optimum(&self) -> f64 {
        (CALLS as f64 - self.burst) * self.per_call
    }
}

impl Api for Bucket {
    fn take(&mut self, now: Time) -> Class {
        let passed = self.at.map_or(0.0, |at| now.since(at).as_secs_f64());
        self.level = (self.level + passed / self.per_call).min(self.burst);
        self.at = Some(now);
        if self.level >= 1.0 {
            self.level -= 1.0;
            return Class::Success;
        }
        self.refusals += 1;
        let wait = (1.0 - self.level) * self.per_call;
        Class::Refused {
            resource: None,
            retry_after: match self.hint {
                Hint::Exact => Some(Duration::from_secs_f64(wait)),
                Hint::WholeSeconds => Some(Duration::from_secs_f64(wait.ceil())),
                Hint::None => None,
            },
        }
    }
}

/// How much longer than the optimum the calls took, and how many were refused.
fn run(resource: Resource, mut server: Bucket) -> (f64, usize) {
    let took = run_with(32, resource, &mut server, CALLS, &[]);
    (took.as_secs_f64() / server.optimum(), server.refusals)
}

#[test]
fn a_limit_that_is_told_right_keeps_its_rate_whatever_the_burst() {
    for per_minute in [60.0, 600.0] {
        for burst in [1.0, 2.0, per_minute / 20.0] {
            for hint in [Hint::Exact, Hint::WholeSeconds, Hint::None] {
                let limit = Amount::cost(per_minute).expect("an amount");
                let window = secs(60.0);
                for quota in [
                    Quota::per(limit, window),
                    Quota::bucket(limit, window, limit),
                    Quota::FixedWindow {
                        amount: limit,
                        window,
                        anchor: Anchor::FirstCall,
                    },
                ] {
                    let what = format!("{quota:?}, burst {burst}, {hint:?}");
                    let resource = Resource::new("requests", quota);
                    let (share, refusals) = run(resource, Bucket::new(per_minute, burst, hint));
                    assert!(share < 1.05, "{what}: {share}");
                    assert!(refusals < 50, "{what}: {refusals} refusals");
                }
            }
        }
    }
}

#[test]
fn a_rate_that_is_told_too_high_as_well_is_found() {
    for times in [2, 5, 10] {
        for burst in [1.0, 3.0] {
            for hint in [Hint::Exact, Hint::WholeSeconds, Hint::None] {
                let what = format!("{times} times too high, burst {burst}, {hint:?}");
                let (share, refusals) = run(told(60 * times), Bucket::new(60.0, burst, hint));
                assert!(share < 1.13, "{what}: {share}");
                assert!(refusals < 90, "{what}: {refusals} refusals");
            }
        }
    }
}

#[test]
fn a_burst_that_is_half_of_the_limit_needs_a_moment_to_be_known() {
    let (share, _) = run(told(60), Bucket::new(60.0, 25.0, Hint::Exact));
    assert!(share < 1.05, "{share}");
}

/// It refuses all that comes at first, and asks to wait for a reason of its own.
struct Closed(usize);

impl Api for Closed {
    fn take(&mut self, _now: Time) -> Class {
        if self.0 == 0 {
            return Class::Success;
        }
        self.0 -= 1;
        Class::Refused {
            resource: None,
            retry_after: Some(Duration::from_millis(400)),
        }
    }
}

#[test]
fn a_server_that_lets_nothing_through_says_nothing_of_a_burst() {
    let limit = Amount::units(1_000);
    let resource = Resource::new("requests", Quota::per(limit, secs(1.0)));
    let took = run_with(3, resource, &mut Closed(3), 9, &[]);
    assert!(took < secs(3.0), "{took:?}");
}

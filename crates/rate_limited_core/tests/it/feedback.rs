//! Limits that the server names: lower ones hold at once, higher ones never, and none stops a run.

use crate::play::{START, at, secs};
use proptest::prelude::*;
use rate_limited_core::{
    Amount, Anchor, Class, Cost, Feedback, Input, Limiter, MaxConcurrent, Outcome, Output, Quota,
    Resource, ResourceId, Scheduler, Settings, Time,
};

fn limiter(quota: Quota) -> (Limiter, ResourceId) {
    let mut limiter = Limiter::new(START);
    let requests = Resource::new("requests", quota).guard(secs(0.001));
    let id = limiter.add(requests).expect("a sound quota");
    (limiter, id)
}

fn names(limit: Amount) -> Feedback {
    Feedback {
        limit: Some(limit),
        ..Feedback::default()
    }
}

/// Runs so many calls of this cost, whose answers name `limits` one after the other; the moments at which they
/// were sent, and the limiter.
fn run(
    (mut limiter, id): (Limiter, ResourceId),
    calls: usize,
    cost: u32,
    limits: &[Amount],
) -> (Vec<Time>, Limiter) {
    let settings = Settings {
        max_concurrent: MaxConcurrent::Fixed(4),
        ..Settings::default()
    };
    let mut scheduler = Scheduler::new(&mut limiter, settings, START);
    for _ in 0..calls {
        let costs = [Cost::new(id, Amount::units(cost))];
        let scheduled = scheduler.schedule(&mut limiter, &costs, START);
        scheduled.expect("a call that fits the user's limit");
    }
    let (mut now, mut sent, mut flying) = (START, Vec::new(), Vec::new());
    let mut named = limits.iter().cycle();
    loop {
        match scheduler.poll(&mut limiter, now) {
            Output::Dispatch { attempt, .. } => {
                sent.push(now);
                flying.push(attempt);
            }
            Output::Done { .. } => {}
            Output::Failed { why, .. } => panic!("{why:?}"),
            Output::Wait(_) if !flying.is_empty() => {
                now = now + secs(0.01);
                if let Some(limit) = named.next() {
                    let input = Input::Feedback {
                        resource: id,
                        attempt: flying[0],
                        feedback: names(*limit),
                    };
                    scheduler.handle(&mut limiter, input, now);
                }
                let outcome = Outcome::new(Class::Success);
                let attempt = flying.remove(0);
                scheduler.handle(&mut limiter, Input::Finished { attempt, outcome }, now);
            }
            Output::Wait(wait) => now = wait.until.expect("a known moment").max(now),
            _ => break,
        }
        assert!(now < START + secs(100_000.0), "it does not end");
    }
    assert_eq!(sent.len(), calls, "every call was sent");
    (sent, limiter)
}

/// The most that were sent within any window.
fn most_within(sent: &[Time], window: f64) -> usize {
    let until = |first: &Time| sent.partition_point(|at| *at < *first + secs(window));
    let counts = sent.iter().enumerate().map(|(at, first)| until(first) - at);
    counts.max().unwrap_or(0)
}

#[test]
fn a_lower_limit_holds_at_once_and_a_higher_one_never() {
    let quota = Quota::per(Amount::units(100), secs(10.0));
    let (sent, mut lower) = run(limiter(quota), 60, 1, &[Amount::units(10)]);
    // Four were in flight before the first answer came.
    assert!(most_within(&sent, 10.0) <= 10);
    let last = *sent.last().expect("sent");
    assert!(last >= at(50.0) && last < at(50.5), "{last:?}");
    let id = lower.find("requests").expect("there");
    assert_eq!(lower.view(id, last).limit, Some(Amount::units(10)));

    let (sent, _) = run(limiter(quota), 300, 1, &[Amount::units(1_000_000)]);
    assert_eq!(most_within(&sent, 10.0), 100);
}

#[test]
fn a_limit_that_is_raised_again_holds_as_far_as_the_users() {
    let quota = Quota::per(Amount::units(20), secs(10.0));
    let (mut limiter, id) = limiter(quota);
    for (named, holds) in [(5, 5), (10, 10), (50, 20), (0, 20), (7, 7)] {
        limiter.feedback(id, &names(Amount::units(named)), START);
        assert_eq!(limiter.view(id, START).limit, Some(Amount::units(holds)));
    }
    limiter.feedback(id, &names(Amount::from_micros(-5)), START);
    assert_eq!(limiter.view(id, START).limit, Some(Amount::units(7)));
    // The user's own change counts from then on, and the server's is still known.
    let user = Quota::per(Amount::units(6), secs(10.0));
    limiter.set_quota(id, user, START).expect("one of its kind");
    assert_eq!(limiter.view(id, START).limit, Some(Amount::units(6)));
    // A later process begins with what was known.
    limiter.feedback(id, &names(Amount::units(2)), START);
    let (mut later, id) = self::limiter(user);
    assert!(later.recall(id, &limiter.learnt(id)));
    assert_eq!(later.view(id, START).limit, Some(Amount::units(2)));
}

#[test]
fn a_call_above_the_named_limit_is_tried_alone() {
    let quota = Quota::per(Amount::units(100), secs(10.0));
    let (sent, _) = run(limiter(quota), 5, 50, &[Amount::units(10)]);
    // Two go before the first answer, and the others when nothing else is charged.
    let apart = sent.windows(2).skip(1).map(|two| two[1].since(two[0]));
    assert!(apart.into_iter().all(|wait| wait >= secs(9.9)), "{sent:?}");
}

#[test]
fn buckets_and_fixed_windows_take_it_too() {
    let amount = Amount::units(100);
    let bucket = Quota::bucket(amount, secs(10.0), Amount::units(50));
    let (sent, _) = run(limiter(bucket), 60, 1, &[Amount::units(10)]);
    let last = *sent.last().expect("sent");
    assert!(last >= at(50.0), "{last:?}");
    let fixed = Quota::FixedWindow {
        amount,
        window: secs(10.0),
        anchor: Anchor::At(START),
    };
    let (sent, _) = run(limiter(fixed), 60, 1, &[Amount::units(10)]);
    let last = *sent.last().expect("sent");
    assert!(last >= at(50.0) && last < at(50.5), "{last:?}");
}

#[test]
fn a_bucket_that_shrinks_and_grows_again_gains_nothing() {
    let quota = Quota::bucket(Amount::units(20), secs(10.0), Amount::units(10));
    let named = [Amount::from_micros(1), Amount::from_micros(16_402_882)];
    let (sent, _) = run(limiter(quota), 30, 2, &named);
    assert!(most_within(&sent, 10.0) * 2 <= 30, "{sent:?}");
}

proptest! {
    /// Whatever a server names, no window has more than the user allows, and every call is sent.
    #[test]
    fn no_header_floods_or_stops_a_run(
        limits in prop::collection::vec(
            prop_oneof![Just(0_i64), Just(1), Just(-1), Just(i64::MAX), Just(i64::MIN), any::<i64>(), 0..50_000_000_i64],
            1..8,
        ),
        kind in 0..2_u8,
        cost in 1..=10_u32,
    ) {
        let amount = Amount::units(20);
        let quota = match kind {
            0 => Quota::per(amount, secs(10.0)),
            _ => Quota::bucket(amount, secs(10.0), Amount::units(10)),
        };
        let limits: Vec<_> = limits.into_iter().map(Amount::from_micros).collect();
        let (sent, _) = run(limiter(quota), 30, cost, &limits);
        let most = most_within(&sent, 10.0) * cost as usize;
        prop_assert!(most <= 20 + 10 * usize::from(kind > 0), "{most}");
    }

    /// A lowered bucket is full again no earlier than the declared one: a call that takes all of either may go then.
    #[test]
    fn a_lower_bucket_takes_as_long_to_fill(all in 1_i64..1_000_000_000, burst in 1_i64..1_000_000_000, lower in 1_i64..1_000_000_000) {
        let bucket = Quota::bucket(Amount::from_micros(all), secs(10.0), Amount::from_micros(burst));
        let lower = lower.min(all);
        let lowered = bucket.with_limit(Amount::from_micros(lower));
        let burst_left = lowered.capacity().as_micros();
        prop_assert!(i128::from(burst_left) * i128::from(all) >= i128::from(burst) * i128::from(lower));
    }
}

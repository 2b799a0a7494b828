//! Plans, and the time left while a run goes on, against what simulated runs then really take.

use crate::scenarios::scenarios;
use rate_limited_core::{Assumed, MaxConcurrent, Settings};
use rate_limited_sim::world::{Call, World};
use rate_limited_sim::{ApiModel, Latency, Limit, Scenario};
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

/// Scenarios of whose limits the truth is told, or less, and that do not change.
fn told_right() -> Vec<(String, Scenario)> {
    let wrong = [
        "told_2x", "told_10x", "untold", "headers", "mid_run", "raised", "5x",
    ];
    let is_right = |name: &str| !wrong.iter().any(|part| name.contains(part));
    let right: Vec<_> = scenarios()
        .into_iter()
        .filter(|(name, _)| is_right(name))
        .collect();
    assert!(right.len() >= 20, "{}", right.len());
    right
}

/// By which part a time is off.
fn error(shown: Duration, real: Duration) -> f64 {
    (shown.as_secs_f64() / real.as_secs_f64() - 1.0).abs()
}

#[test]
fn the_planned_end_is_within_5_percent_of_the_real_one() {
    for (name, scenario) in told_right() {
        for seed in 0..5 {
            let world = scenario.world(seed);
            let plan = world.plan(100_000, &world.assumed()).expect("resources");
            let real = world.run().expect("a play").makespan;
            let finish = plan.finish;
            let shown = format!("{name} {seed}: {finish:?} planned, {real:?} real");
            assert!(error(finish, real) <= 0.05, "{shown}");
            assert_eq!(
                (plan.unfinished, plan.is_extrapolated),
                (0, false),
                "{shown}"
            );
        }
    }
}

#[test]
fn the_time_left_is_within_10_percent_after_the_first_quarter() {
    for (name, scenario) in told_right() {
        let mut world = scenario.world(1);
        let real = world.run().expect("a play").makespan;
        let assumed = world.assumed();
        // Nobody knows whether the very last answers are slow ones.
        let slow = 2 * scenario.latency_median();
        for percent in (25..=95).step_by(5) {
            world.look_ahead_at(real * percent / 100, assumed.clone());
        }
        let report = world.run().expect("a play");
        assert_eq!(report.makespan, real, "{name}: looking changes nothing");
        assert_eq!(report.looks.len(), 15);
        for (at, left) in report.looks {
            let truly = real.saturating_sub(at);
            let is_near = error(left, truly) <= 0.1 || left.abs_diff(truly) <= slow;
            assert!(is_near, "{name} at {at:?} of {real:?}: {left:?} shown");
        }
    }
}

/// 60,000 calls under a limit on requests and one on tokens, whose answers use half of their bounds.
fn long() -> World {
    let model = ApiModel::new(7)
        .limit(Limit::requests(6_000, MINUTE))
        .limit(Limit::tokens(1_000_000, MINUTE))
        .latency(Latency::Constant(Duration::from_millis(500)));
    let mut world = World::told_right(model);
    let run = world.add_run(Settings {
        max_concurrent: MaxConcurrent::Fixed(400),
        ..Settings::default()
    });
    for number in 0..60_000_u64 {
        // The second half is larger, so that another limit binds.
        let bound = if number < 30_000 { 100 } else { 400 };
        world.call(
            run,
            Call {
                bound_tokens: bound,
                usage_tokens: bound,
                ..Call::default()
            },
        );
    }
    world
}

#[test]
fn a_long_list_is_planned_in_fewer_steps() {
    let world = long();
    let real = world.run().expect("a play").makespan;
    for steps_max in [100, 1_000, 10_000] {
        let plan = world.plan(steps_max, &world.assumed()).expect("resources");
        let finish = plan.finish;
        assert!(
            error(finish, real) <= 0.02,
            "{steps_max}: {finish:?} {real:?}"
        );
        assert_eq!((plan.calls, plan.unfinished), (60_000, 0));
        assert!(!plan.is_extrapolated);
    }
}

#[test]
fn what_is_not_played_goes_on_as_before() {
    let world = long();
    let real = world.run().expect("a play").makespan;
    for steps_max in [10_000, 40_000, 50_000] {
        let assumed = Assumed {
            steps_max,
            ..world.assumed()
        };
        let plan = world.plan(100_000, &assumed).expect("resources");
        let finish = plan.finish;
        assert!(plan.is_extrapolated);
        assert!(
            error(finish, real) <= 0.1,
            "{steps_max}: {finish:?} {real:?}"
        );
    }
}

#[test]
fn a_plan_names_what_binds_and_for_how_long() {
    let world = |quota, in_flight| {
        let model = ApiModel::new(7)
            .limit(Limit::requests(quota, MINUTE))
            .limit(Limit::tokens(90_000, MINUTE))
            .latency(Latency::Constant(Duration::from_secs(10)));
        let mut world = World::told_right(model);
        let run = world.add_run(Settings {
            max_concurrent: MaxConcurrent::Fixed(in_flight),
            ..Settings::default()
        });
        for _ in 0..1_200 {
            world.call(
                run,
                Call {
                    bound_tokens: 300,
                    usage_tokens: 300,
                    ..Call::default()
                },
            );
        }
        let plan = world.plan(10_000, &world.assumed()).expect("resources");
        let binding = plan.binding().map(|resource| resource.name.clone());
        (binding, plan)
    };
    let (binding, plan) = world(60, 1_000);
    assert_eq!(binding.as_deref(), Some("requests"));
    let [requests, tokens] = &plan.resources[..] else {
        panic!("{plan:?}")
    };
    assert!(
        requests.binds > MINUTE * 18 && tokens.binds.is_zero(),
        "{plan:?}"
    );
    assert!(
        requests
            .utilisation
            .is_some_and(|it| (0.99..=1.0).contains(&it))
    );
    assert!(
        tokens
            .utilisation
            .is_some_and(|it| (0.19..=0.21).contains(&it))
    );
    assert_eq!(tokens.charged.to_string(), "360000");

    let (binding, _) = world(6_000, 1_000);
    assert_eq!(binding.as_deref(), Some("tokens"));

    let (binding, plan) = world(6_000, 10);
    assert_eq!(binding, None);
    assert_eq!(plan.in_flight_max, 10);
    assert_eq!(plan.finish, Duration::from_secs(1_200));
    assert!(
        plan.concurrency_binds >= Duration::from_secs(1_180),
        "{plan:?}"
    );
}

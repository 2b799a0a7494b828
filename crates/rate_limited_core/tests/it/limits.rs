//! Quotas: what is refused, what comes back when, and what outlives a restart.

use crate::play::{Over, Play, Reply, START, always, at, secs};
use rate_limited_core::{
    Amount, Anchor, Class, Cost, Counted, Input, Limiter, MaxConcurrent, Outcome, Output, Quota,
    QuotaError, Resource, ResourceId, ScheduleError, Scheduler, Settings, Settlement, Time,
};
use std::time::Duration;

fn settings() -> Settings {
    Settings {
        max_concurrent: MaxConcurrent::Fixed(100_000),
        ..Settings::default()
    }
}

fn limiter(resource: Resource) -> (Limiter, ResourceId) {
    let mut limiter = Limiter::new(START);
    let id = limiter.add(resource).expect("a sound quota");
    (limiter, id)
}

fn units(id: ResourceId, units: u32) -> [Cost; 1] {
    [Cost::new(id, Amount::units(units))]
}

/// When each of `count` calls of one unit is sent.
fn times(resource: Resource, count: usize, latency: f64) -> Vec<f64> {
    let (limiter, id) = limiter(resource);
    let mut play = Play::new(limiter, settings(), always(latency));
    for _ in 0..count {
        play.schedule(&units(id, 1));
    }
    play.run();
    play.sent
        .iter()
        .map(|sent| sent.at.since(START).as_secs_f64())
        .collect()
}

fn exact(quota: Quota) -> Resource {
    Resource::new("r", quota).guard(Duration::ZERO)
}

#[test]
fn each_kind_of_quota_gives_back_as_it_should() {
    let (two, window) = (Amount::units(2), secs(10.0));
    let fixed = |anchor| {
        exact(Quota::FixedWindow {
            amount: two,
            window,
            anchor,
        })
    };
    let cases = [
        (
            exact(Quota::per(two, window)),
            vec![0.0, 0.0, 10.0, 10.0, 20.0],
        ),
        (
            exact(Quota::bucket(two, window, two)),
            vec![0.0, 0.0, 5.0, 10.0, 15.0],
        ),
        (
            exact(Quota::bucket(two, window, Amount::units(1))),
            vec![0.0, 5.0, 10.0, 15.0, 20.0],
        ),
        (fixed(Anchor::FirstCall), vec![0.0, 0.0, 10.0, 10.0, 20.0]),
        (fixed(Anchor::At(at(3.0))), vec![0.0, 0.0, 3.0, 3.0, 13.0]),
        (exact(Quota::slots(two)), vec![0.0, 0.0, 1.0, 1.0, 2.0]),
        (
            exact(Quota::Spacing {
                interval: secs(4.0),
            }),
            vec![0.0, 4.0, 8.0, 12.0, 16.0],
        ),
        (
            exact(Quota::per(two, window)).counted(Counted::AtCompletion),
            vec![0.0, 0.0, 11.0, 11.0, 22.0],
        ),
    ];
    for (resource, expected) in cases {
        let quota = *resource.quota();
        assert_eq!(times(resource, 5, 1.0), expected, "{quota:?}");
    }
}

#[test]
fn the_guard_covers_what_arrives_late() {
    let window = secs(60.0);
    let got = times(
        Resource::new("r", Quota::per(Amount::units(1), window)),
        3,
        1.0,
    );
    assert_eq!(got, [0.0, 60.24, 120.48], "0.4 % of the window");
    let short = times(
        Resource::new("r", Quota::per(Amount::units(1), secs(0.1))),
        2,
        0.01,
    );
    assert_eq!(short, [0.0, 0.101], "at least 1 ms");
}

#[test]
fn a_window_whose_first_call_did_not_count_is_taken_to_end_later() {
    let anchor = Anchor::FirstCall;
    let quota = Quota::FixedWindow {
        amount: Amount::units(2),
        window: secs(10.0),
        anchor,
    };
    let (limiter, id) = limiter(exact(quota));
    let mut play = Play::new(limiter, settings(), |call, number, _| Reply {
        after: secs(6.0),
        outcome: Outcome::new(match (call, number) {
            (0, 1) => Class::Refused {
                resource: Some(id),
                retry_after: Some(Duration::ZERO),
            },
            _ => Class::Success,
        }),
    });
    play.schedule(&units(id, 1));
    play.run_until(at(4.0));
    for _ in 0..3 {
        play.schedule(&units(id, 1));
    }
    play.run();
    let sent: Vec<f64> = play
        .sent
        .iter()
        .map(|sent| sent.at.since(START).as_secs_f64())
        .collect();
    // The call at 0 s was refused at 6 s, so the window began with the one at 4 s.
    assert_eq!(sent, [0.0, 4.0, 6.0, 14.0, 14.0]);
}

#[test]
fn a_budget_never_comes_back_but_for_refunds() {
    let budget = Resource::new(
        "money",
        Quota::Budget {
            amount: Amount::units(10),
        },
    )
    .settlement(Settlement::Usage);
    let (limiter, id) = limiter(budget);
    let mut play = Play::new(limiter, settings(), move |_, _, _| Reply {
        after: secs(1.0),
        outcome: Outcome::new(Class::Success).with_usage(&units(id, 2)),
    });
    for _ in 0..6 {
        play.schedule(&units(id, 5));
    }
    assert_eq!(play.run(), Over::Idle);
    // Two reserve all; each gives 3 back, and so on, until 2 × 4 are spent and 5 do not fit any more.
    assert_eq!(play.scheduler.progress().done, 3);
    assert_eq!(play.scheduler.progress().failed, 3);
}

#[test]
fn debt_is_paid_before_anything_else_goes() {
    let tokens = exact(Quota::per(Amount::units(10), secs(10.0))).settlement(Settlement::Usage);
    let (limiter, id) = limiter(tokens);
    let mut play = Play::new(limiter, settings(), move |call, _, _| Reply {
        after: secs(1.0),
        outcome: Outcome::new(Class::Success)
            .with_usage(&units(id, if call == 0 { 25 } else { 1 })),
    });
    play.schedule(&units(id, 1));
    play.run_until(at(2.0));
    play.schedule(&units(id, 0));
    play.run();
    assert_eq!(play.sent[1].at, at(10.0), "a call of no cost waits too");
}

#[test]
fn learned_reservations_let_more_run_at_once_and_stay_within_the_quota() {
    let tokens = Resource::new("tokens", Quota::per(Amount::units(10_000), secs(10.0)))
        .settlement(Settlement::Usage);
    let makespan = |learn, learnt: &[u8]| {
        let (mut limiter, id) = limiter(tokens.clone().learn(learn));
        limiter.recall(id, learnt);
        let mut play = Play::new(limiter, settings(), move |call, _, _| Reply {
            after: secs(5.0),
            outcome: Outcome::new(Class::Success)
                .with_usage(&units(id, 90 + (call as u32 * 37) % 20)),
        });
        for _ in 0..500 {
            play.schedule(&units(id, 1_000));
        }
        play.run();
        for moment in 0..60 {
            let from = at(f64::from(moment));
            let inside = play
                .sent
                .iter()
                .filter(|s| s.at > from && s.at <= from + secs(10.0));
            let used: u32 = inside.map(|s| 90 + (s.call as u32 * 37) % 20).sum();
            assert!(used <= 10_100, "{used} tokens within 10 s of {from:?}");
        }
        let learnt = play.limiter.learnt(id);
        (play.now.since(START).as_secs_f64(), learnt)
    };
    // 50,000 tokens by 10,000 per 10 s: 40 s and the last answer, at best. What calls use is known
    // after 16 of them, which takes two waves of whole bounds.
    let ((learned, learnt), (plain, _)) = (makespan(true, &[]), makespan(false, &[]));
    assert!(learned < 62.0, "{learned} s");
    assert!(plain > 150.0, "{plain} s");
    // A later process knows it from the beginning.
    let (recalled, _) = makespan(true, &learnt);
    assert!(recalled < 56.0, "{recalled} s");
    assert!(recalled + 4.0 < learned, "{recalled} s, {learned} s");
}

#[test]
fn what_can_never_fit_is_told_at_once_with_the_numbers() {
    let (mut limiter, id) = limiter(Resource::new(
        "tokens",
        Quota::per_minute(Amount::units(10_000)),
    ));
    let mut scheduler = Scheduler::new(&mut limiter, settings(), START);
    let error = scheduler
        .schedule(&mut limiter, &units(id, 12_000), START)
        .expect_err("too much");
    let text = error.to_string();
    assert!(text.contains("exceeds resource quota"), "{text}");
    assert!(
        text.contains("12000") && text.contains("`tokens`") && text.contains("10000"),
        "{text}"
    );
    let mut other = Limiter::new(START);
    let mut scheduler = Scheduler::new(&mut other, settings(), START);
    let error = scheduler
        .schedule(&mut other, &units(id, 1), START)
        .expect_err("no such resource");
    assert!(matches!(error, ScheduleError::UnknownResource { .. }));
}

#[test]
fn quotas_that_are_none_are_refused() {
    let mut limiter = Limiter::new(START);
    let mut add = |quota| {
        limiter
            .add(Resource::new("r", quota))
            .expect_err("no quota")
    };
    let zero = add(Quota::per_minute(Amount::ZERO));
    assert!(matches!(zero, QuotaError::NotPositive { .. }));
    assert!(zero.to_string().contains("quota of 0"), "{zero}");
    assert!(matches!(
        add(Quota::slots(Amount::from_micros(-1))),
        QuotaError::NotPositive { .. }
    ));
    let short = add(Quota::per(Amount::units(1), Duration::from_nanos(10)));
    assert!(matches!(short, QuotaError::Window { .. }));
    let long = add(Quota::per(
        Amount::units(1),
        Duration::from_secs(3_650 * 86_400),
    ));
    assert!(long.to_string().contains("400 days"), "{long}");
    assert!(matches!(
        limiter.add(Resource::new("", Quota::slots(Amount::units(1)))),
        Err(QuotaError::Unnamed)
    ));
}

#[test]
fn the_largest_quota_and_the_longest_window_work() {
    let quota = Quota::per(Amount::MAX, Time::PAST);
    let (limiter, id) = limiter(Resource::new("r", quota));
    let mut play = Play::new(limiter, settings(), always(1.0));
    for _ in 0..3 {
        play.schedule(&[Cost::new(id, Amount::MAX)]);
    }
    play.run_until(at(1e7));
    assert_eq!(play.sent.len(), 1);
}

#[test]
fn a_restart_does_not_burst() {
    let quotas = [
        Quota::per(Amount::units(10), secs(60.0)),
        Quota::bucket(Amount::units(10), secs(60.0), Amount::units(10)),
        Quota::FixedWindow {
            amount: Amount::units(10),
            window: secs(60.0),
            anchor: Anchor::FirstCall,
        },
        Quota::Budget {
            amount: Amount::units(10),
        },
    ];
    for quota in quotas {
        let (mut limiter, id) = limiter(Resource::new("r", quota));
        let mut scheduler = Scheduler::new(&mut limiter, settings(), START);
        for _ in 0..10 {
            scheduler
                .schedule(&mut limiter, &units(id, 1), START)
                .expect("it fits");
        }
        while !matches!(
            scheduler.poll(&mut limiter, START),
            rate_limited_core::Output::Wait(_)
        ) {}
        // Killed with all in flight: they count.
        let past = limiter.snapshot(at(1.0));
        let (mut restarted, id) = self::limiter(Resource::new("r", quota));
        assert_eq!(restarted.restore(&past, at(2.0)), Vec::<String>::new());
        let charged = restarted.view(id, at(2.0)).charged;
        assert!(charged > Amount::units(9), "{quota:?}: {charged}");
        let (mut other, _) = self::limiter(Resource::new("other", quota));
        assert_eq!(other.restore(&past, at(2.0)), ["r"]);
    }
}

#[test]
fn a_raised_limit_is_used_at_once() {
    let (limiter, id) = limiter(exact(Quota::per(Amount::units(1), secs(100.0))));
    let mut play = Play::new(limiter, settings(), always(1.0));
    for _ in 0..5 {
        play.schedule(&units(id, 1));
    }
    play.run_until(at(10.0));
    let quota = Quota::per(Amount::units(4), secs(100.0));
    play.handle(Input::SetLimit {
        resource: id,
        quota,
    });
    play.run();
    let sent: Vec<f64> = play
        .sent
        .iter()
        .map(|sent| sent.at.since(START).as_secs_f64())
        .collect();
    assert_eq!(sent, [0.0, 10.0, 10.0, 10.0, 100.0]);
}

#[test]
fn each_partition_has_the_whole_quota() {
    let (mut limiter, tokens) = limiter(exact(Quota::per(Amount::units(1), secs(10.0))));
    let models = ["a", "b"].map(|key| limiter.partition(tokens, key));
    assert_eq!(limiter.partition(tokens, "a"), models[0]);
    let mut play = Play::new(limiter, settings(), always(1.0));
    for call in 0..4 {
        play.schedule(&units(models[call % 2], 1));
    }
    play.run();
    let sent: Vec<f64> = play
        .sent
        .iter()
        .map(|sent| sent.at.since(START).as_secs_f64())
        .collect();
    assert_eq!(sent, [0.0, 0.0, 10.0, 10.0]);
}

#[test]
fn a_moment_before_another_resource_was_used_is_looked_at_as_it_was() {
    let mut limiter = Limiter::new(START);
    let quota = Quota::per(Amount::units(5), secs(3.0));
    let [one, other] = ["one", "other"].map(|name| {
        let resource = Resource::new(name, quota);
        limiter.add(resource).expect("a sound quota")
    });
    let mut scheduler = Scheduler::new(&mut limiter, Settings::default(), START);
    let cost = [Cost::new(one, Amount::units(2))];
    scheduler
        .schedule(&mut limiter, &cost, START)
        .expect("it fits");
    let Output::Dispatch { attempt, .. } = scheduler.poll(&mut limiter, START) else {
        panic!("it goes at once");
    };
    scheduler.handle(&mut limiter, Input::Sent { attempt }, START);
    assert_eq!(limiter.view(other, at(9.0)).charged, Amount::ZERO);
    assert_eq!(limiter.view(one, at(1.0)).charged, Amount::units(2));
    assert_eq!(limiter.view(one, at(9.0)).charged, Amount::ZERO);
}

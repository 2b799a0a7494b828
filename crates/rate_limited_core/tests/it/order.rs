//! Which call goes when.

use crate::play::{Over, Play, START, always, at, secs};
use rate_limited_core::{
    Amount, Cost, Limiter, MaxConcurrent, Order, Quota, Resource, ResourceId, Settings,
};
use std::time::Duration;

fn limiter(quotas: &[(&str, u32, f64)]) -> (Limiter, Vec<ResourceId>) {
    let mut limiter = Limiter::new(START);
    let ids = quotas.iter().map(|(name, quota, window)| {
        let quota = Quota::per(Amount::units(*quota), secs(*window));
        limiter
            .add(Resource::new(*name, quota).guard(Duration::ZERO))
            .expect("a sound quota")
    });
    let ids = ids.collect();
    (limiter, ids)
}

fn settings(order: Order) -> Settings {
    Settings {
        order,
        max_concurrent: MaxConcurrent::Fixed(100_000),
        ..Settings::default()
    }
}

fn units(id: ResourceId, units: u32) -> Cost {
    Cost::new(id, Amount::units(units))
}

/// Blocks of 300 small calls, which bind the requests, and 50 big ones, which bind the tokens.
fn blocks(order: Order) -> f64 {
    let (limiter, ids) = limiter(&[("requests", 100, 60.0), ("tokens", 100_000, 60.0)]);
    let mut play = Play::new(limiter, settings(order), always(0.5));
    for _ in 0..3 {
        for (count, tokens) in [(300, 100), (50, 6_000)] {
            for _ in 0..count {
                play.schedule(&[units(ids[0], 1), units(ids[1], tokens)]);
            }
        }
    }
    assert_eq!(play.run(), Over::Idle);
    play.now.since(START).as_secs_f64()
}

#[test]
fn packed_mixes_what_binds_different_limits() {
    // Requests: 1,050 by 100 a window; tokens: 990,000 by 100,000 a window: at least 10 windows.
    let optimum = 10.0 * 60.0 + 0.5;
    let packed = blocks(Order::Packed) / optimum;
    let in_order = blocks(Order::InOrder) / optimum;
    assert!(packed <= 1.05, "{packed:.3} × the optimum");
    assert!(in_order > 1.2, "in order it cannot be done: {in_order:.3}");
}

#[test]
fn dispatches_keep_the_order_of_scheduling_when_told() {
    let (limiter, ids) = limiter(&[("requests", 3, 10.0)]);
    let mut play = Play::new(limiter, settings(Order::InOrder), always(1.0));
    for _ in 0..10 {
        play.schedule(&[units(ids[0], 1)]);
    }
    play.run();
    let order: Vec<usize> = play.sent.iter().map(|sent| sent.call).collect();
    assert_eq!(order, (0..10).collect::<Vec<_>>());
}

#[test]
fn in_order_passes_a_blocked_head_only_where_it_is_not_delayed() {
    let (limiter, ids) = limiter(&[("tokens", 10, 10.0), ("images", 10, 10.0)]);
    let mut play = Play::new(limiter, settings(Order::InOrder), always(1.0));
    play.schedule(&[units(ids[0], 6)]);
    play.run_until(at(1.0));
    play.schedule(&[units(ids[0], 8)]); // the head: needs what call 0 gives back at 10 s
    play.schedule(&[units(ids[0], 2)]); // leaves it its 8
    play.schedule(&[units(ids[0], 1)]); // would leave only 7
    play.schedule(&[units(ids[1], 5)]); // takes nothing that it needs
    play.run();
    let start = |call: usize| {
        play.sent
            .iter()
            .find(|sent| sent.call == call)
            .map(|sent| sent.at)
    };
    assert_eq!(start(2), Some(at(1.0)));
    assert_eq!(start(4), Some(at(1.0)));
    assert_eq!(
        start(1),
        Some(at(10.0)),
        "the head starts at the first moment at which it could"
    );
    assert_eq!(
        start(3),
        Some(at(11.0)),
        "and what would have delayed it has waited"
    );
}

#[test]
fn a_big_call_among_small_ones_is_not_passed_over_for_ever() {
    let (limiter, ids) = limiter(&[("tokens", 100, 1.0)]);
    let settings = Settings {
        overtakes_max: 500,
        ..settings(Order::Packed)
    };
    let mut play = Play::new(limiter, settings, always(0.01));
    for call in 0..5_000 {
        play.schedule(&[units(ids[0], if call == 0 { 100 } else { 1 })]);
    }
    play.run();
    let place = play
        .sent
        .iter()
        .position(|sent| sent.call == 0)
        .expect("it ran");
    assert!(place <= 600, "{place} calls passed the big one");
    let began = play.sent[place].at.since(START).as_secs_f64();
    assert!(
        began <= 5.0 + 2.0,
        "500 overtakes, then two windows: it began at {began} s"
    );
}

#[test]
fn a_call_that_fits_is_not_held_up_by_one_that_does_not() {
    for order in [Order::Packed, Order::InOrder] {
        let (limiter, ids) = limiter(&[("tokens", 10, 100.0), ("images", 10, 100.0)]);
        let mut play = Play::new(limiter, settings(order), always(1.0));
        play.schedule(&[units(ids[0], 10)]);
        play.schedule(&[units(ids[0], 10)]);
        play.schedule(&[units(ids[1], 1)]);
        play.run_until(at(1.0));
        let calls: Vec<usize> = play.sent.iter().map(|sent| sent.call).collect();
        assert_eq!(calls.len(), 2, "{order:?}");
        assert!(calls.contains(&2), "{order:?}");
    }
}

#[test]
fn more_kinds_of_calls_than_classes_all_run() {
    let quotas: Vec<String> = (0..100).map(|index| format!("r{index}")).collect();
    let quotas: Vec<(&str, u32, f64)> = quotas.iter().map(|name| (name.as_str(), 2, 1.0)).collect();
    let (limiter, ids) = limiter(&quotas);
    let mut play = Play::new(limiter, settings(Order::Packed), always(0.1));
    for call in 0..1_000 {
        play.schedule(&[units(ids[call % 100], 1)]);
    }
    assert_eq!(play.run(), Over::Idle);
    assert_eq!(play.ends.len(), 1_000);
}

#[test]
fn the_bound_on_concurrency_is_found_so_that_the_limit_is_filled() {
    let (limiter, ids) = limiter(&[("requests", 3_500, 60.0)]);
    let settings = Settings::default();
    let mut play = Play::new(limiter, settings, always(10.0));
    for _ in 0..3_500 * 5 {
        play.schedule(&[units(ids[0], 1)]);
    }
    play.run();
    let in_window = |from: f64| {
        let inside = play
            .sent
            .iter()
            .filter(|sent| sent.at >= at(from) && sent.at < at(from + 60.0));
        inside.count()
    };
    assert!(
        in_window(60.0) >= 3_430,
        "{} of 3,500 in the second minute",
        in_window(60.0)
    );
    assert!(
        in_window(120.0) >= 3_430,
        "{} of 3,500 in the third minute",
        in_window(120.0)
    );
    assert!(play.scheduler.progress().max_concurrent >= 583);
}

//! Windows that end when a calendar says, which the core does not know: the driver tells it.

use crate::play::{Play, Reply, START, at, secs};
use proptest::prelude::*;
use rate_limited_core::{
    Amount, Anchor, Assumed, Class, Cost, Feedback, Input, Limiter, Load, MaxConcurrent, Outcome,
    Output, Quota, Reset, Resource, ResourceId, Scheduler, Settings, Time,
};
use std::time::Duration;

const HOUR: f64 = 3_600.0;

/// A quota in the calendar window from one moment to another.
fn quota(amount: u32, window: f64, [start, end, next]: [f64; 3]) -> Quota {
    Quota::FixedWindow {
        amount: Amount::units(amount),
        window: secs(window),
        anchor: Anchor::Calendar {
            start: at(start),
            end: at(end),
            next: at(next),
        },
    }
}

fn limiter(quota: Quota, guard: f64) -> (Limiter, ResourceId) {
    let mut limiter = Limiter::new(START);
    let resource = Resource::new("r", quota).guard(secs(guard));
    let id = limiter.add(resource).expect("a sound quota");
    (limiter, id)
}

fn settings() -> Settings {
    Settings {
        max_concurrent: MaxConcurrent::Fixed(1_000),
        attempt_timeout: None,
        stall_limit: None,
        ..Settings::default()
    }
}

fn one(id: ResourceId) -> [Cost; 1] {
    [Cost::new(id, Amount::units(1))]
}

fn answers(after: f64) -> impl FnMut(usize, u32, Time) -> Reply {
    move |_, _, _| Reply {
        after: secs(after),
        outcome: Outcome::new(Class::Success),
    }
}

/// A play of so many calls.
fn play(quota: Quota, guard: f64, calls: usize) -> (Play<'static>, ResourceId) {
    let (limiter, id) = limiter(quota, guard);
    let mut play = Play::new(limiter, settings(), answers(0.5));
    for _ in 0..calls {
        play.schedule(&one(id));
    }
    (play, id)
}

fn tell(play: &mut Play<'_>, resource: ResourceId, end: f64, next: f64) {
    play.handle(Input::Boundary {
        resource,
        end: at(end),
        next: at(next),
    });
}

fn sent(play: &Play<'_>) -> Vec<f64> {
    let moments = play.sent.iter();
    moments
        .map(|sent| sent.at.since(START).as_secs_f64())
        .collect()
}

#[test]
fn calendar_windows_end_when_the_driver_says() {
    let (mut play, id) = play(quota(1, 15.0, [0.0, 5.0, 20.0]), 0.0, 4);
    play.run_until(at(6.0));
    tell(&mut play, id, 20.0, 50.0);
    play.run_until(at(21.0));
    tell(&mut play, id, 50.0, 60.0);
    play.run();
    assert_eq!(sent(&play), [0.0, 5.0, 20.0, 50.0]);
}

#[test]
fn what_is_told_late_or_twice_opens_no_window_twice() {
    // The window after 20 s is owed; when it is told it is over already, and so is the one after.
    let (mut play, id) = play(quota(2, 20.0, [0.0, 10.0, 20.0]), 0.0, 9);
    play.run_until(at(65.0));
    assert_eq!(sent(&play), [0.0, 0.0, 10.0, 10.0]);
    tell(&mut play, id, 70.0, 90.0);
    play.run_until(at(70.0));
    tell(&mut play, id, 70.0, 90.0);
    play.run_until(at(71.0));
    // Read a moment before the boundary by the wall clock, though our own had passed it.
    tell(&mut play, id, 70.001, 90.0);
    play.run_until(at(72.0));
    assert_eq!(sent(&play), [0.0, 0.0, 10.0, 10.0, 65.0, 65.0, 70.0, 70.0]);
    tell(&mut play, id, 90.0, 110.0);
    // Ends that lie in the past tell nothing.
    tell(&mut play, id, 30.0, 50.0);
    play.run();
    assert_eq!(sent(&play)[8..], [90.0]);
}

#[test]
fn a_clock_that_is_set_moves_the_end_and_forgives_nothing() {
    for (told, expected) in [
        // Set back: midnight comes later. Set forward: earlier, or it was passed and the next one counts.
        ([70.0, 170.0], 70.0),
        ([15.0, 115.0], 15.0),
        ([80.0, 180.0], 80.0),
    ] {
        let (mut play, id) = play(quota(1, 100.0, [0.0, 30.0, 130.0]), 0.0, 2);
        play.run_until(at(1.0));
        tell(&mut play, id, told[0], told[1]);
        play.run();
        assert_eq!(sent(&play), [0.0, expected], "{told:?}");
    }
}

#[test]
fn the_end_comes_a_guard_later_and_what_is_late_counts_twice() {
    let (mut play, id) = play(quota(2, 100.0, [0.0, 10.0, 110.0]), 2.0, 1);
    play.run_until(at(9.0));
    for _ in 0..3 {
        play.schedule(&one(id));
    }
    play.run_until(at(10.0));
    tell(&mut play, id, 110.0, 210.0);
    play.run();
    // One at 0 s, one at 9 s that the server may count after 10 s, and so one at 12 s.
    assert_eq!(sent(&play), [0.0, 9.0, 12.0, 112.0]);
}

#[test]
fn a_long_window_has_a_short_guard() {
    let day = quota(1, 24.0 * HOUR, [0.0, 24.0 * HOUR, 48.0 * HOUR]);
    let mut limiter = Limiter::new(START);
    let id = limiter.add(Resource::new("r", day)).expect("a sound quota");
    let mut play = Play::new(limiter, settings(), answers(0.5));
    play.run_until(at(24.0 * HOUR - 60.0));
    play.schedule(&one(id));
    play.schedule(&one(id));
    play.run();
    // A minute before midnight is the old day.
    assert_eq!(sent(&play), [24.0 * HOUR - 60.0, 24.0 * HOUR + 2.0]);
}

/// Days in the server's zone end so many hours after the driver's; each answer says when.
fn play_with_a_server_of_another_zone(days: u32, later_by: f64) -> (Play<'static>, ResourceId) {
    let (limiter, id) = limiter(quota(1, 24.0 * HOUR, [0.0, 24.0 * HOUR, 48.0 * HOUR]), 0.0);
    let mut play = Play::new(limiter, settings(), answers(0.5));
    let begin = 12.0 * HOUR;
    play.run_until(at(begin));
    for second in 0..2 {
        let now = begin + f64::from(second) * 10.0;
        play.run_until(at(now));
        let end = (24.0 * HOUR + later_by - now).rem_euclid(24.0 * HOUR);
        let told = Feedback {
            reset: Some(Reset::WindowEnd(secs(end))),
            ..Feedback::default()
        };
        play.limiter.feedback(id, &told, at(now));
    }
    for _ in 0..days {
        play.schedule(&one(id));
    }
    for day in 1..=days {
        play.run_until(at(f64::from(day) * 24.0 * HOUR));
        let next = f64::from(day + 1) * 24.0 * HOUR;
        tell(&mut play, id, next, next + 24.0 * HOUR);
    }
    play.run();
    (play, id)
}

#[test]
fn an_end_that_answers_name_twice_is_the_end_from_then_on() {
    for hours in [-7.0, -1.0, 0.0, 0.01, 1.0, 7.0, 11.0] {
        let (play, _) = play_with_a_server_of_another_zone(4, hours * HOUR);
        let first = 12.0 * HOUR + 10.0;
        let ends = [24.0, 48.0, 72.0].map(|end| (end + hours) * HOUR);
        let expected: Vec<f64> = core::iter::once(first).chain(ends).collect();
        let close = |(a, b): (&f64, &f64)| (a - b).abs() < 0.001;
        let all = sent(&play).iter().zip(&expected).all(close) && play.sent.len() == 4;
        assert!(all, "{hours}: {:?}", sent(&play));
    }
}

#[test]
fn an_end_that_is_no_moment_is_not_believed() {
    // The same wait in each answer; a wait beyond a window; none; only once.
    for waits in [
        vec![600.0, 600.0, 600.0],
        vec![30.0 * HOUR, 30.0 * HOUR - 10.0],
        vec![0.0, 0.0],
        vec![5.0 * HOUR],
    ] {
        let (limiter, id) = limiter(quota(1, 24.0 * HOUR, [0.0, 24.0 * HOUR, 48.0 * HOUR]), 0.0);
        let mut play = Play::new(limiter, settings(), answers(0.5));
        for (turn, wait) in waits.iter().enumerate() {
            let now = at(HOUR + 10.0 * turn as f64);
            let told = Feedback {
                reset: Some(Reset::WindowEnd(secs(*wait))),
                ..Feedback::default()
            };
            play.limiter.feedback(id, &told, now);
        }
        play.run_until(at(2.0 * HOUR));
        play.schedule(&one(id));
        play.schedule(&one(id));
        play.run();
        assert_eq!(sent(&play), [2.0 * HOUR, 24.0 * HOUR], "{waits:?}");
    }
}

#[test]
fn the_past_counts_in_its_own_window() {
    // A day of 25 hours: the window says 24.
    let day = quota(10, 24.0 * HOUR, [0.0, 25.0 * HOUR, 49.0 * HOUR]);
    let next = quota(10, 24.0 * HOUR, [25.0 * HOUR, 49.0 * HOUR, 73.0 * HOUR]);
    let charges = [0.5, 24.9, 25.5].map(|hour| (at(hour * HOUR), Amount::units(1)));
    for (quota, now, expected) in [(day, 24.95, 2), (next, 26.0, 1)] {
        let known = charges.iter().filter(|(at, _)| *at <= self::at(now * HOUR));
        let known: Vec<_> = known.copied().collect();
        let now = at(now * HOUR);
        let (mut fresh, id) = limiter(quota, 1.0);
        fresh.replay(id, &known, Time::default(), now);
        assert_eq!(fresh.view(id, now).charged, Amount::units(expected));
        // Where the books are in use already the past is charged once more, yesterday's not.
        fresh.replay(id, &known, Time::default(), now);
        assert_eq!(fresh.view(id, now).charged, Amount::units(2 * expected));
    }
}

#[test]
fn a_snapshot_counts_while_its_window_lasts() {
    let day = |number: u32| {
        let days = [0, 1, 2].map(|day| f64::from(number + day) * 24.0 * HOUR);
        quota(10, 24.0 * HOUR, days)
    };
    let (mut before, id) = limiter(day(0), 60.0);
    let mut scheduler = Scheduler::new(&mut before, settings(), START);
    // Two early in the day, one in its last minute.
    for hour in [1.0, 1.0, 23.99] {
        let now = at(hour * HOUR);
        let cost = one(id);
        scheduler
            .schedule(&mut before, &cost, now)
            .expect("it fits");
        let output = scheduler.poll(&mut before, now);
        let rate_limited_core::Output::Dispatch { attempt, .. } = output else {
            panic!("{output:?}");
        };
        scheduler.handle(&mut before, Input::Sent { attempt }, now);
    }
    let past = before.snapshot(at(23.99 * HOUR));
    for (number, expected) in [(0, 3), (1, 1), (2, 0)] {
        let (mut later, id) = limiter(day(number), 60.0);
        let now = at((f64::from(number) * 24.0 + 23.995) * HOUR);
        assert!(later.restore(&past, now).is_empty());
        assert_eq!(
            later.view(id, now).charged,
            Amount::units(expected),
            "{number}"
        );
    }
}

#[test]
fn a_plan_goes_over_many_ends() {
    let quota = quota(100, 24.0 * HOUR, [0.0, 6.0 * HOUR, 29.0 * HOUR]);
    let (mut limiter, _) = limiter(quota, 1.0);
    let scheduler = Scheduler::new(&mut limiter, settings(), START);
    let mut load = Load::new(&limiter, &settings(), 100_000);
    for _ in 0..450 {
        load.add(&[Amount::units(1)]);
    }
    let plan = scheduler.plan(&limiter, &load, &Assumed::default(), START);
    // The first day has 6 hours left, the second has 23, the others 24: the fifth day begins with the last calls.
    let begin = (6.0 + 23.0 + 24.0 + 24.0) * HOUR;
    let finish = plan.finish.as_secs_f64();
    assert!((begin..begin + 10.0).contains(&finish), "{finish} {begin}");
    assert_eq!(plan.unfinished, 0);
    let used = plan.resources[0].utilisation.expect("it has windows");
    assert!((used - 0.9).abs() < 1e-9, "{used}");
}

#[test]
fn a_changed_limit_keeps_the_window_of_today() {
    let (mut play, id) = play(quota(1, 100.0, [0.0, 10.0, 110.0]), 0.0, 5);
    play.run_until(at(10.0));
    tell(&mut play, id, 110.0, 210.0);
    play.run_until(at(20.0));
    let quota = play
        .limiter
        .view(id, at(20.0))
        .resource
        .quota()
        .with_limit(Amount::units(2));
    play.handle(Input::SetLimit {
        resource: id,
        quota,
    });
    play.run_until(at(110.0));
    assert_eq!(sent(&play), [0.0, 10.0, 20.0, 110.0, 110.0]);
}

#[test]
fn what_others_took_is_back_when_the_window_ends() {
    let (mut limiter, id) = limiter(quota(100, 100.0, [0.0, 50.0, 150.0]), 0.0);
    let mut scheduler = Scheduler::new(&mut limiter, settings(), START);
    for _ in 0..2 {
        scheduler
            .schedule(&mut limiter, &one(id), START)
            .expect("it fits");
    }
    let Output::Dispatch { attempt, .. } = scheduler.poll(&mut limiter, START) else {
        panic!("nothing keeps it");
    };
    scheduler.handle(&mut limiter, Input::Sent { attempt }, START);
    let feedback = Feedback {
        remaining: Some(Amount::ZERO),
        ..Feedback::default()
    };
    let told = Input::Feedback {
        resource: id,
        attempt,
        feedback,
    };
    scheduler.handle(&mut limiter, told, START);
    let Output::Wait(wait) = scheduler.poll(&mut limiter, START) else {
        panic!("others have taken all");
    };
    assert_eq!(wait.until, Some(at(50.0)));
    let output = scheduler.poll(&mut limiter, at(50.0));
    assert!(matches!(output, Output::Dispatch { .. }), "{output:?}");
}

/// A world of real windows, and a driver that learns their ends with a delay.
#[derive(Clone, Debug)]
struct World {
    quota: u32,
    /// The lengths of the windows, in milliseconds; the usual one is 1,000.
    lengths: Vec<u64>,
    /// By how much each end is told late; some are told twice.
    delays: Vec<(u64, bool)>,
    /// When calls come, in milliseconds, and what they cost in thousandths of the quota.
    calls: Vec<(u64, u32)>,
    /// How late each request arrives, in thousandths of the guard.
    lateness: Vec<u64>,
    guard: u64,
}

prop_compose! {
    fn worlds()(
        quota in 1_u32..50,
        lengths in prop::collection::vec(700_u64..1_500, 8),
        delays in prop::collection::vec((prop_oneof![Just(0_u64), 0_u64..3_000], any::<bool>()), 8),
        calls in prop::collection::vec((0_u64..6_000, 1_u32..=1_000), 1..60),
        lateness in prop::collection::vec(0_u64..1_000, 1..10),
        guard in 1_u64..20,
    ) -> World {
        World { quota, lengths, delays, calls, lateness, guard }
    }
}

impl World {
    fn ends(&self) -> Vec<u64> {
        let mut end = 0;
        let ends = self.lengths.iter().map(|length| {
            end += length;
            end
        });
        ends.collect()
    }

    fn is_told_in_time(&self) -> bool {
        self.delays.iter().all(|(delay, _)| *delay == 0)
    }
}

fn millis(millis: u64) -> Time {
    START + Duration::from_millis(millis)
}

/// What the driver does, in the order of time: ends that are told, and calls that come.
#[derive(Clone, Copy, Debug)]
enum Event {
    Told,
    Call(usize),
}

/// No real window holds more than the quota, whenever its end was told; told in time, the quota is used as soon
/// as the window is known to have begun.
fn holds(world: &World) {
    let ends = world.ends();
    let amount = i64::from(world.quota) * 1_000_000;
    let quota = Quota::FixedWindow {
        amount: Amount::units(world.quota),
        window: Duration::from_secs(1),
        anchor: Anchor::Calendar {
            start: START,
            end: millis(ends[0]),
            next: millis(ends[1]),
        },
    };
    let (limiter, id) = limiter(quota, world.guard as f64 / 1_000.0);
    let mut events: Vec<(u64, Event)> = Vec::new();
    for (window, (delay, twice)) in world.delays.iter().enumerate().take(ends.len() - 2) {
        // What is told of a window tells of the present one: a telling that is too late is skipped by the driver.
        let at = ends[window] + delay;
        events.push((at, Event::Told));
        if *twice {
            events.push((at + 100, Event::Told));
        }
    }
    let calls = world.calls.iter().enumerate();
    events.extend(calls.map(|(index, (at, _))| (*at, Event::Call(index))));
    events.sort_by_key(|(at, _)| *at);
    let mut play = Play::new(limiter, settings(), answers(0.001));
    let mut costs = Vec::new();
    for (moment, event) in events {
        play.run_until(millis(moment));
        match event {
            Event::Call(index) => {
                let cost = amount / 1_000 * i64::from(world.calls[index].1);
                costs.push(cost);
                play.schedule(&[Cost::new(id, Amount::from_micros(cost))]);
            }
            Event::Told => {
                let present = ends.iter().position(|end| *end > moment);
                let Some((end, next)) = present.and_then(|it| Some((ends[it], ends.get(it + 1)?)))
                else {
                    continue;
                };
                play.handle(Input::Boundary {
                    resource: id,
                    end: millis(end),
                    next: millis(*next),
                });
            }
        }
    }
    play.run_until(millis(ends[ends.len() - 1]));
    let mut windows = vec![0_i64; ends.len() + 1];
    for (number, sent) in play.sent.iter().enumerate() {
        let late = world.lateness[number % world.lateness.len()] * world.guard * 1_000;
        let arrival = sent.at.since(START) + Duration::from_nanos(late);
        let window = ends
            .iter()
            .filter(|end| Duration::from_millis(**end) <= arrival);
        windows[window.count()] += costs[sent.call];
    }
    assert!(
        windows.iter().all(|used| *used <= amount),
        "{windows:?} of {amount}: {:?}",
        sent(&play)
    );
    if world.is_told_in_time() {
        let waited = play.sent.iter().filter(|sent| {
            let at = sent.at.since(START).as_millis() as u64;
            let came = world.calls.iter().any(|(came, _)| *came == at);
            !came && !ends.iter().any(|end| end + world.guard == at)
        });
        // What waits for a window goes when it begins.
        assert_eq!(waited.count(), 0, "{:?} {ends:?}", sent(&play));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, ..ProptestConfig::default() })]

    #[test]
    fn no_real_window_holds_more_than_the_quota(world in worlds()) {
        holds(&world);
    }

    #[test]
    fn whatever_is_told_nothing_breaks(
        tells in prop::collection::vec((0_u64..10_000, any::<u64>(), any::<u64>(), any::<bool>()), 1..30),
        window in 1_u64..2_000,
    ) {
        let (limiter, id) = limiter(quota(1, window as f64 / 1_000.0, [0.0, 1.0, 2.0]), 0.001);
        let mut play = Play::new(limiter, settings(), answers(0.001));
        let mut now = 0;
        for (after, end, next, near) in tells {
            now += after;
            play.run_until(millis(now));
            play.schedule(&one(id));
            let moment = |raw: u64| if near { millis(raw % 20_000) } else { Time::from_nanos(raw) };
            play.handle(Input::Boundary { resource: id, end: moment(end), next: moment(next) });
            let reset = Some(Reset::WindowEnd(Duration::from_nanos(end)));
            play.limiter.feedback(id, &Feedback { reset, ..Feedback::default() }, millis(now));
        }
        play.run_until(millis(now + 100_000));
        let view = play.limiter.view(id, millis(now + 100_000));
        prop_assert!(view.charged <= Amount::units(1), "{view:?}");
    }
}

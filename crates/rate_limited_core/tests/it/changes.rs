//! What the user changes while a run goes on: its bound on attempts in flight, and pauses.

use crate::play::{Over, Play, START, always, at, secs};
use rate_limited_core::{
    Amount, Class, Cost, Input, Limiter, MaxConcurrent, Outcome, Output, Quota, Resource,
    Scheduler, Settings, Stop, WaitingOn,
};
use std::time::Duration;

fn settings(bound: u32) -> Settings {
    Settings {
        max_concurrent: MaxConcurrent::Fixed(bound),
        ..Settings::default()
    }
}

/// A run of so many calls, of a second each, with ample quota.
fn play(bound: u32, calls: u32) -> Play<'static> {
    let mut limiter = Limiter::new(START);
    let quota = Quota::per_minute(Amount::units(1_000));
    let requests = limiter.add(Resource::new("requests", quota));
    let cost = [Cost::new(requests.expect("sound"), Amount::units(1))];
    let mut play = Play::new(limiter, settings(bound), always(1.0));
    for _ in 0..calls {
        play.schedule(&cost);
    }
    play
}

fn sent(play: &Play<'_>) -> Vec<f64> {
    let at = play.sent.iter().map(|sent| sent.at.since(START));
    at.map(|at| at.as_secs_f64()).collect()
}

#[test]
fn a_higher_bound_holds_at_once_and_a_lower_one_drains() {
    let mut play = play(1, 9);
    play.run_until(at(0.5));
    let bound = |max_concurrent| Input::SetMaxConcurrent { max_concurrent };
    play.handle(bound(MaxConcurrent::Fixed(4)));
    play.run_until(at(0.75));
    assert_eq!(play.scheduler.progress().max_concurrent, 4);
    assert_eq!(sent(&play), [0.0, 0.5, 0.5, 0.5]);

    play.handle(bound(MaxConcurrent::Fixed(2)));
    play.run_until(at(1.25));
    assert_eq!(sent(&play).len(), 4, "three are still in flight");
    assert_eq!(play.run(), Over::Idle);
    assert_eq!(sent(&play)[4..], [1.5, 1.5, 2.5, 2.5, 3.5]);
}

#[test]
fn a_pause_keeps_what_waits_and_lets_go_on_what_is_in_flight() {
    let mut play = play(2, 6);
    play.run_until(at(0.5));
    play.handle(Input::Pause);
    play.run_until(at(100.0));
    let progress = play.scheduler.progress();
    assert_eq!(
        (progress.done, progress.in_flight, progress.paused),
        (2, 0, true)
    );
    let (_, wait) = play.waits.last().expect("it waits");
    assert_eq!((wait.until, wait.on), (None, WaitingOn::Unpause));

    play.handle(Input::Unpause);
    assert_eq!(play.run(), Over::Idle);
    assert_eq!(sent(&play), [0.0, 0.0, 100.0, 100.0, 101.0, 101.0]);
}

#[test]
fn a_run_that_is_paused_can_be_stopped_and_ends_when_nothing_is_left() {
    let mut stopped = play(1, 2);
    stopped.run_until(at(0.5));
    stopped.handle(Input::Pause);
    stopped.handle(Input::Stop);
    assert_eq!(stopped.run(), Over::Stopped(Stop::Asked));
    // A pause holds for the next run, too.
    stopped.handle(Input::Resume);
    stopped.run_until(at(9.0));
    assert_eq!(sent(&stopped), [0.0]);
    stopped.handle(Input::Unpause);
    assert_eq!(stopped.run(), Over::Idle);

    let mut ended = play(1, 1);
    ended.run_until(at(0.5));
    ended.handle(Input::Pause);
    assert_eq!(ended.run(), Over::Idle);
}

#[test]
fn time_in_a_pause_is_no_stall() {
    let mut limiter = Limiter::new(START);
    let settings = Settings {
        stall_limit: Some(Duration::from_secs(60)),
        max_retries: 0,
        ..settings(1)
    };
    let reply = |call, _, _| crate::play::Reply {
        after: secs(1.0),
        outcome: Outcome::new(if call == 0 {
            Class::Failure
        } else {
            Class::Success
        }),
    };
    let quota = Quota::per_minute(Amount::units(1_000));
    let requests = limiter
        .add(Resource::new("requests", quota))
        .expect("sound");
    let mut play = Play::new(limiter, settings, reply);
    for _ in 0..2 {
        play.schedule(&[Cost::new(requests, Amount::units(1))]);
    }
    play.run_until(at(0.5));
    play.handle(Input::Pause);
    play.run_until(at(3_600.0));
    play.handle(Input::Unpause);
    assert_eq!(play.run(), Over::Idle, "an hour of pause, after a failure");
    assert_eq!(sent(&play), [0.0, 3_600.0]);
}

#[test]
fn a_paused_run_keeps_no_other_from_the_quota() {
    let mut limiter = Limiter::new(START);
    let quota = Quota::per_minute(Amount::units(4));
    let requests = limiter
        .add(Resource::new("requests", quota))
        .expect("sound");
    let schedule = |scheduler: &mut Scheduler, limiter: &mut Limiter| {
        let cost = [Cost::new(requests, Amount::units(1))];
        scheduler.schedule(limiter, &cost, START).expect("it fits");
    };
    let mut paused = Scheduler::new(&mut limiter, settings(9), START);
    let mut other = Scheduler::new(&mut limiter, settings(9), START);
    paused.handle(&mut limiter, Input::Pause, START);
    for _ in 0..4 {
        schedule(&mut paused, &mut limiter);
        schedule(&mut other, &mut limiter);
    }
    assert!(matches!(paused.poll(&mut limiter, START), Output::Wait(_)));
    for _ in 0..4 {
        let output = other.poll(&mut limiter, START);
        assert!(matches!(output, Output::Dispatch { .. }), "{output:?}");
    }
}

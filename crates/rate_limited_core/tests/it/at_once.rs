//! Calls that go at once or not at all, and attempts that are given up before they leave.

use rate_limited_core::{
    Amount, AtOnce, AttemptId, CallId, Cost, Input, Limiter, MaxConcurrent, Order, Output, Quota,
    Resource, ResourceId, Scheduler, Settings, Time, WaitingOn,
};
use std::time::Duration;

const START: Time = Time::PROCESS_START;
const MINUTE: Duration = Duration::from_secs(60);

fn limiter(quota: u32) -> (Limiter, ResourceId) {
    let mut limiter = Limiter::new(START);
    let quota = Quota::per_minute(Amount::units(quota));
    let resource = Resource::new("r", quota).guard(Duration::ZERO);
    let id = limiter.add(resource).expect("a sound quota");
    (limiter, id)
}

fn settings() -> Settings {
    Settings {
        order: Order::InOrder,
        max_concurrent: MaxConcurrent::Fixed(u32::MAX),
        ..Settings::default()
    }
}

fn units(id: ResourceId, amount: u32) -> [Cost; 1] {
    [Cost::new(id, Amount::units(amount))]
}

fn dispatched(tried: AtOnce) -> (CallId, AttemptId) {
    match tried {
        AtOnce::Dispatched { call, attempt } => (call, attempt),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_call_that_cannot_go_at_once_is_told_when_and_leaves_nothing_behind() {
    let (mut limiter, id) = limiter(2);
    let mut scheduler = Scheduler::new(&mut limiter, settings(), START);
    let mut at_once = |amount, now| {
        scheduler
            .dispatch_at_once(&mut limiter, &units(id, amount), now)
            .map(|tried| (tried, scheduler.progress().waiting))
    };
    let (tried, _) = at_once(2, START).expect("a sound cost");
    let (_, attempt) = dispatched(tried);
    let AtOnce::NotUntil(wait) = at_once(1, START).expect("a sound cost").0 else {
        panic!("the quota is taken")
    };
    assert_eq!((wait.until, wait.on), (None, WaitingOn::Quota(id)));
    assert!(at_once(3, START).is_err(), "it can never fit");
    scheduler.handle(&mut limiter, Input::Sent { attempt }, START);
    let tried = scheduler
        .dispatch_at_once(&mut limiter, &units(id, 1), START)
        .expect("a sound cost");
    let AtOnce::NotUntil(wait) = tried else {
        panic!("the quota is used")
    };
    assert_eq!(wait.until, Some(START + MINUTE));
    assert_eq!(scheduler.progress().waiting, 0);
    let later = scheduler.dispatch_at_once(&mut limiter, &units(id, 1), START + MINUTE);
    dispatched(later.expect("a sound cost"));
}

#[test]
fn nothing_goes_at_once_past_a_call_that_it_would_delay() {
    let (mut limiter, id) = limiter(4);
    let mut scheduler = Scheduler::new(&mut limiter, settings(), START);
    let first = scheduler.dispatch_at_once(&mut limiter, &units(id, 2), START);
    dispatched(first.expect("a sound cost"));
    scheduler
        .schedule(&mut limiter, &units(id, 4), START)
        .expect("a sound cost");
    assert!(matches!(
        scheduler.poll(&mut limiter, START),
        Output::Wait(_)
    ));
    let tried = scheduler.dispatch_at_once(&mut limiter, &units(id, 1), START);
    let tried = tried.expect("a sound cost");
    assert!(matches!(tried, AtOnce::NotUntil(_)), "{tried:?}");
}

#[test]
fn an_attempt_given_up_before_it_leaves_takes_nothing_and_is_no_failure() {
    let (mut limiter, id) = limiter(3);
    let mut scheduler = Scheduler::new(&mut limiter, settings(), START);
    for _ in 0..1_000 {
        let tried = scheduler.dispatch_at_once(&mut limiter, &units(id, 3), START);
        let (_, attempt) = dispatched(tried.expect("a sound cost"));
        scheduler.handle(&mut limiter, Input::Unsent { attempt }, START);
        scheduler.handle(&mut limiter, Input::Unsent { attempt }, START);
    }
    assert_eq!(limiter.view(id, START).charged, Amount::ZERO);
    assert_eq!(limiter.view(id, START).held, Amount::ZERO);
    let progress = scheduler.progress();
    assert_eq!((progress.cancelled, progress.failures), (1_000, 0));
    assert_eq!((progress.in_flight, progress.waiting), (0, 0));
    assert_eq!(scheduler.poll(&mut limiter, START), Output::Idle);
}

#[test]
fn an_attempt_given_up_after_it_left_counts_as_used() {
    let (mut limiter, id) = limiter(3);
    let mut scheduler = Scheduler::new(&mut limiter, settings(), START);
    let tried = scheduler.dispatch_at_once(&mut limiter, &units(id, 2), START);
    let (_, attempt) = dispatched(tried.expect("a sound cost"));
    scheduler.handle(&mut limiter, Input::Sent { attempt }, START);
    scheduler.handle(&mut limiter, Input::Unsent { attempt }, START);
    assert_eq!(limiter.view(id, START).charged, Amount::units(2));
}

/// Behind a head that waits for a minute others come and go: they must not fill the look-ahead.
#[test]
fn calls_that_gave_up_keep_nobody_from_being_looked_at() {
    let mut limiter = Limiter::new(START);
    let mut add = |name| {
        let resource = Resource::new(name, Quota::per_minute(Amount::units(1)));
        limiter.add(resource).expect("a sound quota")
    };
    let (full, free) = (add("full"), add("free"));
    let mut scheduler = Scheduler::new(&mut limiter, settings(), START);
    for _ in 0..2 {
        scheduler
            .schedule(&mut limiter, &units(full, 1), START)
            .expect("a sound cost");
    }
    assert!(matches!(
        scheduler.poll(&mut limiter, START),
        Output::Dispatch { .. }
    ));
    for _ in 0..20_000 {
        let call = scheduler
            .schedule(&mut limiter, &units(full, 1), START)
            .expect("a sound cost");
        scheduler.poll(&mut limiter, START);
        scheduler.handle(&mut limiter, Input::Cancel { call }, START);
        assert!(
            call.index() < 8_000,
            "the slots of gone calls are not used again"
        );
    }
    scheduler
        .schedule(&mut limiter, &units(free, 1), START)
        .expect("a sound cost");
    let output = scheduler.poll(&mut limiter, START);
    assert!(matches!(output, Output::Dispatch { .. }), "{output:?}");
}

//! Time-outs, cancelling, stopping and going on.

use crate::play::{End, Over, Play, Reply, START, always, at, secs};
use rate_limited_core::{
    Amount, Class, Cost, Failure, Input, Limiter, MaxConcurrent, Outcome, Output, Quota, Resource,
    ResourceId, Scheduler, Settings, Stop,
};

fn limiter(quota: u32) -> (Limiter, ResourceId) {
    let mut limiter = Limiter::new(START);
    let quota = Quota::per_minute(Amount::units(quota));
    let id = limiter
        .add(Resource::new("requests", quota))
        .expect("a sound quota");
    (limiter, id)
}

fn one(id: ResourceId) -> [Cost; 1] {
    [Cost::new(id, Amount::units(1))]
}

#[test]
fn an_attempt_that_takes_too_long_is_abandoned_charged_and_tried_again() {
    let (limiter, id) = limiter(100);
    let settings = Settings {
        attempt_timeout: Some(secs(5.0)),
        ..Settings::default()
    };
    let mut play = Play::new(limiter, settings, |_, number, _| Reply {
        after: secs(if number == 1 { 1_000.0 } else { 1.0 }),
        outcome: Outcome::new(Class::Success),
    });
    play.schedule(&one(id));
    assert_eq!(play.run(), Over::Idle);
    assert_eq!(play.sent.len(), 2);
    assert!(play.sent[1].at >= at(5.0));
    assert_eq!(play.scheduler.progress().timeouts, 1);
    assert_eq!(play.limiter.view(id, play.now).charged, Amount::units(2));
}

#[test]
fn a_late_answer_wins_while_its_call_is_unfinished() {
    let (mut limiter, id) = limiter(100);
    let settings = Settings {
        attempt_timeout: Some(secs(5.0)),
        ..Settings::default()
    };
    let mut scheduler = Scheduler::new(&mut limiter, settings, START);
    let call = scheduler
        .schedule(&mut limiter, &one(id), START)
        .expect("it fits");
    assert!(matches!(
        scheduler.poll(&mut limiter, START),
        Output::Dispatch { .. }
    ));
    assert!(matches!(
        scheduler.poll(&mut limiter, at(5.0)),
        Output::Abandon { .. }
    ));
    let mut output = scheduler.poll(&mut limiter, at(6.0));
    assert!(
        matches!(output, Output::Dispatch { number: 2, .. }),
        "{output:?}"
    );
    scheduler.handle(&mut limiter, Input::Late { call }, at(6.5));
    output = scheduler.poll(&mut limiter, at(6.5));
    assert!(
        matches!(output, Output::Abandon { .. }),
        "the second attempt is not needed: {output:?}"
    );
    assert_eq!(scheduler.poll(&mut limiter, at(6.5)), Output::Done { call });
    assert_eq!(scheduler.poll(&mut limiter, at(6.5)), Output::Idle);
    scheduler.handle(&mut limiter, Input::Late { call }, at(7.0));
    assert_eq!(
        scheduler.poll(&mut limiter, at(7.0)),
        Output::Idle,
        "a second late answer is nothing"
    );
}

#[test]
fn the_index_of_a_call_is_free_only_after_its_end_was_told() {
    let (mut limiter, id) = limiter(100);
    let mut scheduler = Scheduler::new(&mut limiter, Settings::default(), START);
    let first = scheduler
        .schedule(&mut limiter, &one(id), START)
        .expect("it fits");
    let Output::Dispatch { attempt, .. } = scheduler.poll(&mut limiter, START) else {
        panic!("it can go");
    };
    let outcome = Outcome::new(Class::Success);
    scheduler.handle(&mut limiter, Input::Finished { attempt, outcome }, START);
    let schedule = |limiter: &mut Limiter, scheduler: &mut Scheduler| {
        let second = scheduler.schedule(limiter, &one(id), START);
        second.expect("it fits").index()
    };
    assert_ne!(schedule(&mut limiter, &mut scheduler), first.index());
    while !matches!(
        scheduler.poll(&mut limiter, START),
        Output::Wait(_) | Output::Idle
    ) {}
    assert_eq!(schedule(&mut limiter, &mut scheduler), first.index());
}

#[test]
fn a_call_that_takes_too_long_in_all_fails() {
    let (limiter, id) = limiter(100);
    let settings = Settings {
        call_timeout: Some(secs(10.0)),
        ..Settings::default()
    };
    let mut play = Play::new(limiter, settings, |_, _, _| Reply {
        after: secs(4.0),
        outcome: Outcome::new(Class::Invalid),
    });
    play.schedule(&one(id));
    play.run();
    assert_eq!(play.ends[&0], (End::Failed(Failure::TimedOut), at(10.0)));
}

#[test]
fn a_deadline_ends_the_run_after_what_is_in_flight() {
    let (limiter, id) = limiter(2);
    let settings = Settings {
        deadline: Some(at(30.0)),
        ..Settings::default()
    };
    let mut play = Play::new(limiter, settings, always(40.0));
    for _ in 0..4 {
        play.schedule(&one(id));
    }
    assert_eq!(play.run(), Over::Stopped(Stop::Deadline));
    assert_eq!(play.now, at(40.0));
    assert_eq!(play.ends.len(), 2);
}

#[test]
fn a_stopped_run_drains_and_goes_on_where_it_was() {
    let (limiter, id) = limiter(100);
    let settings = Settings {
        max_concurrent: MaxConcurrent::Fixed(3),
        ..Settings::default()
    };
    let mut play = Play::new(limiter, settings, always(2.0));
    for _ in 0..10 {
        play.schedule(&one(id));
    }
    play.run_until(at(1.0));
    play.handle(Input::Stop);
    assert_eq!(play.run(), Over::Stopped(Stop::Asked));
    assert_eq!((play.now, play.ends.len()), (at(2.0), 3));
    play.handle(Input::Resume);
    assert_eq!(play.run(), Over::Idle);
    assert_eq!(play.sent.len(), 10, "nothing is sent twice");
}

#[test]
fn a_halted_run_ends_at_once_and_its_quota_stays_used() {
    let (limiter, id) = limiter(100);
    let mut play = Play::new(limiter, Settings::default(), always(2.0));
    for _ in 0..3 {
        play.schedule(&one(id));
    }
    play.run_until(at(1.0));
    play.handle(Input::Halt);
    assert_eq!(play.run(), Over::Stopped(Stop::Asked));
    assert_eq!((play.now, play.ends.len()), (at(1.0), 0));
    assert_eq!(play.limiter.view(id, play.now).charged, Amount::units(3));
    play.handle(Input::Resume);
    assert_eq!(play.run(), Over::Idle);
    assert_eq!((play.sent.len(), play.ends.len()), (6, 3));
}

#[test]
fn cancelled_calls_are_forgotten_wherever_they_are() {
    let (limiter, id) = limiter(2);
    let settings = Settings {
        look_ahead: 3,
        ..Settings::default()
    };
    let mut play = Play::new(limiter, settings, always(5.0));
    let calls: Vec<_> = (0..8).map(|_| play.schedule(&one(id))).collect();
    play.run_until(at(1.0));
    for call in [0, 3, 7] {
        play.handle(Input::Cancel { call: calls[call] });
        play.handle(Input::Cancel { call: calls[call] });
    }
    assert_eq!(play.run(), Over::Idle);
    let progress = play.scheduler.progress();
    assert_eq!(
        (progress.done, progress.cancelled, progress.waiting),
        (5, 3, 0)
    );
    assert!([0, 3, 7].iter().all(|call| !play.ends.contains_key(call)));
}

#[test]
fn a_run_without_calls_is_idle_at_once() {
    let mut play = Play::new(Limiter::new(START), Settings::default(), always(1.0));
    assert_eq!(play.run(), Over::Idle);
    assert_eq!(play.now, START);
}

#[test]
fn a_limit_lowered_below_a_waiting_call_fails_it_alone() {
    let (limiter, id) = limiter(10);
    let mut play = Play::new(limiter, Settings::default(), always(1.0));
    play.schedule(&[Cost::new(id, Amount::units(10))]);
    play.schedule(&[Cost::new(id, Amount::units(8))]);
    play.schedule(&[Cost::new(id, Amount::units(2))]);
    play.run_until(at(0.5));
    let quota = Quota::per_minute(Amount::units(5));
    play.handle(Input::SetLimit {
        resource: id,
        quota,
    });
    assert_eq!(play.run(), Over::Idle);
    assert_eq!(play.ends[&1].0, End::Failed(Failure::NeverFits(id)));
    assert_eq!(play.ends[&2].0, End::Done);
}

#[test]
fn the_same_inputs_give_the_same_outputs() {
    let run = |seed| {
        let (limiter, id) = limiter(20);
        let settings = Settings {
            seed,
            ..Settings::default()
        };
        let mut play = Play::new(limiter, settings, |call, number, _| Reply {
            after: secs(0.1 + call as f64 / 100.0),
            outcome: Outcome::new(if number < 3 {
                Class::Failure
            } else {
                Class::Success
            }),
        });
        for _ in 0..30 {
            play.schedule(&one(id));
        }
        play.run();
        play.sent
            .iter()
            .map(|sent| (sent.call, sent.number, sent.at))
            .collect::<Vec<_>>()
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2), "another seed, other back-offs");
}

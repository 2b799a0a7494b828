//! What a hostile reading of the core found: each was wrong once, or was tried and held.

use crate::play::{End, Over, Play, Reply, START, always, at, secs};
use rate_limited_core::{
    Amount, Anchor, AttemptId, Backoff, CallId, Class, Cost, Failure, Input, Limiter,
    MaxConcurrent, MeterSnapshot, Order, Outcome, Output, Quota, Resource, ResourceId,
    ScheduleError, Scheduler, Settings, Stop, Time, WaitingOn,
};
use std::time::Duration;

fn limiter(resource: Resource) -> (Limiter, ResourceId) {
    let mut limiter = Limiter::new(START);
    let id = limiter.add(resource).expect("a sound quota");
    (limiter, id)
}

/// A resource without a guard.
fn exact(name: &str, quota: Quota) -> Resource {
    Resource::new(name, quota).guard(Duration::ZERO)
}

fn per(units: u32, window: f64) -> Quota {
    Quota::per(Amount::units(units), secs(window))
}

/// A fixed window of 10 units.
fn fixed_window(window: f64, anchor: Anchor) -> Quota {
    Quota::FixedWindow {
        amount: Amount::units(10),
        window: secs(window),
        anchor,
    }
}

fn units(id: ResourceId, units: u32) -> Cost {
    Cost::new(id, Amount::units(units))
}

fn settings(max_concurrent: u32) -> Settings {
    Settings {
        max_concurrent: MaxConcurrent::Fixed(max_concurrent),
        ..Settings::default()
    }
}

fn in_order(max_concurrent: u32) -> Settings {
    Settings {
        order: Order::InOrder,
        ..settings(max_concurrent)
    }
}

fn reply(after: f64, class: Class) -> Reply {
    Reply {
        after: secs(after),
        outcome: Outcome::new(class),
    }
}

/// A refusal that names no resource.
fn refusal(retry_after: Duration) -> Class {
    Class::Refused {
        resource: None,
        retry_after: Some(retry_after),
    }
}

fn schedule(scheduler: &mut Scheduler, limiter: &mut Limiter, costs: &[Cost]) -> CallId {
    scheduler.schedule(limiter, costs, START).expect("it fits")
}

/// Polls until there is nothing to do; what is dispatched has not left yet.
fn poll_all(
    scheduler: &mut Scheduler,
    limiter: &mut Limiter,
    now: Time,
) -> (Vec<(CallId, AttemptId)>, Output) {
    let mut dispatched = Vec::new();
    loop {
        match scheduler.poll(limiter, now) {
            Output::Dispatch { call, attempt, .. } => dispatched.push((call, attempt)),
            output @ (Output::Wait(_) | Output::Idle | Output::Stopped(_)) => {
                return (dispatched, output);
            }
            _ => {}
        }
    }
}

/// Polls at the start, and lets all leave that is dispatched.
fn send_all(scheduler: &mut Scheduler, limiter: &mut Limiter) -> Vec<(CallId, AttemptId)> {
    let (dispatched, _) = poll_all(scheduler, limiter, START);
    for (_, attempt) in &dispatched {
        let attempt = *attempt;
        scheduler.handle(limiter, Input::Sent { attempt }, START);
    }
    dispatched
}

/// Panics unless the one call of a scheduler goes within so many seconds of the start, polled from
/// `from` s on at the moments that it asks for, each time after the others.
fn goes_within(
    (from, seconds): (f64, f64),
    scheduler: &mut Scheduler,
    others: &mut [Scheduler],
    limiter: &mut Limiter,
) {
    let (mut now, mut polls, mut sent) = (at(from), 0, 0);
    while now < at(seconds) && sent == 0 {
        for other in others.iter_mut() {
            poll_all(other, limiter, now);
        }
        let (dispatched, output) = poll_all(scheduler, limiter, now);
        polls += 1;
        assert!(polls < 1_000, "the machine spins at {now:?}: {output:?}");
        sent += dispatched.len();
        let Output::Wait(wait) = output else { break };
        now = wait.until.unwrap_or(at(seconds));
    }
    assert_eq!(
        sent, 1,
        "from {from} s on: not admitted within {seconds} s, polled {polls} times"
    );
}

/// When the other run is polled first: at once its call delays no claim, as it is back when the claim
/// is; 1 s later it would.
const FROM: [f64; 2] = [0.0, 1.0];

#[test]
fn a_negative_cost_is_refused() {
    let (mut limiter, id) = limiter(exact("r", per(10, 10.0)));
    let mut scheduler = Scheduler::new(&mut limiter, settings(1_000), START);
    let cost = Cost::new(id, Amount::from_micros(-100_000_000));
    let refused = scheduler.schedule(&mut limiter, &[cost], START);
    assert!(
        matches!(refused, Err(ScheduleError::Negative { .. })),
        "{refused:?}"
    );
}

#[test]
fn a_resource_that_is_named_twice_costs_the_sum() {
    let (mut limiter, id) = limiter(exact("r", per(10, 10.0)));
    let mut scheduler = Scheduler::new(&mut limiter, settings(1_000), START);
    let twice = [units(id, 6), units(id, 6)];
    let refused = scheduler.schedule(&mut limiter, &twice, START);
    assert!(
        matches!(refused, Err(ScheduleError::NeverFits { cost, .. }) if cost == Amount::units(12)),
        "{refused:?}"
    );
    schedule(&mut scheduler, &mut limiter, &[units(id, 6), units(id, 4)]);
    schedule(&mut scheduler, &mut limiter, &[units(id, 1)]);
    poll_all(&mut scheduler, &mut limiter, START);
    assert_eq!(limiter.view(id, START).held, Amount::units(10));
}

#[test]
fn a_distance_is_kept_before_anything_has_left_and_whatever_it_costs() {
    let interval = secs(10.0);
    let (mut limiter, id) = limiter(exact("gap", Quota::Spacing { interval }));
    let mut scheduler = Scheduler::new(&mut limiter, settings(1_000), START);
    let tenth = Amount::cost(0.1).expect("a sound cost");
    for _ in 0..10 {
        schedule(&mut scheduler, &mut limiter, &[Cost::new(id, tenth)]);
    }
    let (dispatched, _) = poll_all(&mut scheduler, &mut limiter, START);
    assert_eq!(dispatched.len(), 1, "dispatched at once, 10 s apart");
}

/// Sends 10 of 20 calls at the start, tells a new quota at `changed` s, and counts what was sent until
/// 59 s.
fn sent_within_59_s(first: Quota, changed: f64, quota: Quota) -> usize {
    let (limiter, id) = limiter(exact("r", first));
    let mut play = Play::new(limiter, settings(1_000), always(0.1));
    for _ in 0..20 {
        play.schedule(&[units(id, 1)]);
    }
    play.run_until(at(changed));
    assert_eq!(play.sent.len(), 10);
    play.handle(Input::SetLimit {
        resource: id,
        quota,
    });
    play.run_until(at(59.0));
    play.sent.len()
}

#[test]
fn a_fixed_window_told_to_have_begun_before_keeps_its_count() {
    let first = fixed_window(60.0, Anchor::FirstCall);
    let told = fixed_window(60.0, Anchor::At(START));
    assert_eq!(sent_within_59_s(first, 30.0, told), 10);
}

#[test]
fn a_fixed_window_made_longer_keeps_its_count() {
    let anchor = Anchor::At(START);
    let (short, long) = (fixed_window(60.0, anchor), fixed_window(120.0, anchor));
    assert_eq!(sent_within_59_s(short, 30.0, long), 10);
}

#[test]
fn a_sliding_window_made_longer_keeps_its_count() {
    assert_eq!(sent_within_59_s(per(10, 1.0), 0.5, per(10, 60.0)), 10);
}

#[test]
fn windows_follow_each_other_before_an_anchor_in_the_future_too() {
    let quota = fixed_window(60.0, Anchor::At(at(3_600.0)));
    let (limiter, id) = limiter(exact("r", quota));
    let mut play = Play::new(limiter, settings(1_000), always(0.1));
    for _ in 0..30 {
        play.schedule(&[units(id, 1)]);
    }
    play.run_until(at(300.0));
    assert_eq!(play.sent.len(), 30, "after five windows");
}

#[test]
fn a_pause_that_the_server_named_is_no_stall() {
    let mut play = Play::new(Limiter::new(START), settings(10), |_, number, _| {
        let refused = refusal(secs(3_600.0));
        reply(0.1, if number == 1 { refused } else { Class::Success })
    });
    play.schedule(&[]);
    assert_eq!(play.run(), Over::Idle);
}

#[test]
fn idle_time_after_a_failure_is_no_stall() {
    let settings = Settings {
        max_retries: 0,
        ..settings(10)
    };
    let mut play = Play::new(Limiter::new(START), settings, |call, _, _| {
        let class = if call == 0 {
            Class::Failure
        } else {
            Class::Success
        };
        reply(0.1, class)
    });
    play.schedule(&[]);
    assert_eq!(play.run(), Over::Idle);
    play.now = at(3_600.0);
    play.schedule(&[]);
    assert_eq!(play.run(), Over::Idle, "the second call is tried");
}

#[test]
fn retries_do_not_overtake_a_big_call_for_ever() {
    let (limiter, id) = limiter(exact("r", per(10, 10.0)));
    let settings = Settings {
        max_retries: 5_000,
        overtakes_max: 20,
        ..settings(10)
    };
    let mut play = Play::new(limiter, settings, |call, _, _| {
        let class = if call == 0 {
            Class::Invalid
        } else {
            Class::Success
        };
        reply(0.5, class)
    });
    play.schedule(&[units(id, 1)]);
    play.run_until(at(0.1));
    play.schedule(&[units(id, 10)]);
    play.run_until(at(2_000.0));
    let place = play.sent.iter().position(|sent| sent.call == 1);
    assert!(
        place.is_some_and(|place| place < 100),
        "the big call is at {place:?} of {} attempts",
        play.sent.len()
    );
}

#[test]
fn a_head_that_turns_out_to_wait_long_lets_others_pass() {
    let (mut limiter, slow) = limiter(exact("slow", per(1, 60.0)));
    let quick = limiter
        .add(exact("quick", per(10, 1.0)))
        .expect("a sound quota");
    let mut scheduler = Scheduler::new(&mut limiter, in_order(100), START);
    for costs in [
        &[units(slow, 1)][..],
        &[units(slow, 1), units(quick, 10)],
        &[units(quick, 5)],
    ] {
        schedule(&mut scheduler, &mut limiter, costs);
    }
    assert_eq!(send_all(&mut scheduler, &mut limiter).len(), 1);
    // Now the head waits until 60 s, and what the third call takes is back after 1 s.
    let (dispatched, output) = poll_all(&mut scheduler, &mut limiter, at(0.001));
    assert_eq!(
        dispatched.len(),
        1,
        "the third call delays nobody, yet {output:?}"
    );
}

#[test]
fn a_request_that_leaves_wakes_who_waits_for_what_it_holds() {
    let (mut limiter, id) = limiter(exact("r", per(1, 10.0)));
    let mut first = Scheduler::new(&mut limiter, settings(10), START);
    let mut second = Scheduler::new(&mut limiter, settings(10), START);
    schedule(&mut first, &mut limiter, &[units(id, 1)]);
    schedule(&mut second, &mut limiter, &[units(id, 1)]);
    let (dispatched, _) = poll_all(&mut first, &mut limiter, START);
    let (_, output) = poll_all(&mut second, &mut limiter, START);
    limiter.take_wakes();
    let attempt = dispatched[0].1;
    first.handle(&mut limiter, Input::Sent { attempt }, START);
    poll_all(&mut first, &mut limiter, START);
    assert!(
        limiter.take_wakes().contains(&second.id()),
        "the second run waits for ever, {output:?}, while the first call takes 600 s"
    );
}

#[test]
fn the_claim_of_a_run_that_is_never_polled_again_ends() {
    for from in FROM {
        let (mut limiter, id) = limiter(exact("r", per(10, 10.0)));
        let mut gone = Scheduler::new(&mut limiter, in_order(2), START);
        let mut other = Scheduler::new(&mut limiter, settings(10), START);
        schedule(&mut gone, &mut limiter, &[units(id, 5)]);
        schedule(&mut gone, &mut limiter, &[units(id, 10)]); // the head: claims
        send_all(&mut gone, &mut limiter);
        poll_all(&mut gone, &mut limiter, START);
        schedule(&mut other, &mut limiter, &[units(id, 1)]);
        goes_within((from, 100.0), &mut other, &mut [], &mut limiter);
    }
}

#[test]
fn the_claim_of_a_run_at_its_bound_of_concurrency_ends() {
    for from in FROM {
        let (mut limiter, id) = limiter(exact("r", per(10, 10.0)));
        let another = limiter
            .add(exact("another", per(10, 10.0)))
            .expect("a sound quota");
        let mut full = Scheduler::new(&mut limiter, in_order(2), START);
        let mut other = Scheduler::new(&mut limiter, settings(10), START);
        schedule(&mut full, &mut limiter, &[units(id, 5)]);
        schedule(&mut full, &mut limiter, &[units(id, 10)]); // the head: claims
        schedule(&mut full, &mut limiter, &[units(another, 1)]); // takes the last place
        let sent = send_all(&mut full, &mut limiter);
        assert_eq!(sent.len(), 2);
        schedule(&mut other, &mut limiter, &[units(id, 1)]);
        // The two calls in flight take longer than that.
        goes_within((from, 100.0), &mut other, &mut [full], &mut limiter);
    }
}

#[test]
fn the_claim_of_a_run_in_an_outage_ends() {
    for from in FROM {
        let (mut limiter, id) = limiter(exact("r", per(20, 10.0)));
        let patient = Settings {
            backoff: Backoff {
                base: secs(600.0),
                cap: secs(600.0),
            },
            ..in_order(100)
        };
        let mut down = Scheduler::new(&mut limiter, patient, START);
        let mut other = Scheduler::new(&mut limiter, settings(10), START);
        for _ in 0..15 {
            schedule(&mut down, &mut limiter, &[units(id, 1)]);
        }
        schedule(&mut down, &mut limiter, &[units(id, 20)]);
        for (_, attempt) in send_all(&mut down, &mut limiter) {
            let outcome = Outcome::new(Class::Failure);
            down.handle(&mut limiter, Input::Finished { attempt, outcome }, START);
        }
        assert!(down.progress().outage);
        schedule(&mut other, &mut limiter, &[units(id, 1)]);
        goes_within((from, 200.0), &mut other, &mut [down], &mut limiter);
    }
}

#[test]
fn refusals_that_name_a_wait_of_nothing_are_not_answered_with_a_storm() {
    let (limiter, id) = limiter(exact("r", per(1_000, 60.0)));
    let mut play = Play::new(limiter, settings(100), |_, _, _| {
        reply(0.01, refusal(Duration::ZERO))
    });
    for _ in 0..10 {
        play.schedule(&[units(id, 1)]);
    }
    play.run_until(at(60.0));
    assert!(
        play.sent.len() < 500,
        "{} requests in a minute, all refused",
        play.sent.len()
    );
}

#[test]
fn the_longest_wait_that_a_server_can_name_is_kept() {
    let (limiter, id) = limiter(exact("r", per(10, 10.0)));
    let mut play = Play::new(limiter, settings(10), |_, number, _| {
        let refused = refusal(Duration::MAX);
        reply(0.1, if number == 1 { refused } else { Class::Success })
    });
    play.schedule(&[units(id, 1)]);
    play.run_until(at(1e9));
    assert_eq!(play.sent.len(), 1);
    let paused = WaitingOn::Paused {
        resource: id,
        told: true,
    };
    assert_eq!(play.waits.last().map(|(_, wait)| wait.on), Some(paused));
}

#[test]
fn a_late_success_ends_an_outage() {
    let (mut limiter, id) = limiter(exact("r", per(1_000, 60.0)));
    let settings = Settings {
        attempt_timeout: Some(secs(1.0)),
        ..settings(100)
    };
    let mut scheduler = Scheduler::new(&mut limiter, settings, START);
    for _ in 0..20 {
        schedule(&mut scheduler, &mut limiter, &[units(id, 1)]);
    }
    let (dispatched, _) = poll_all(&mut scheduler, &mut limiter, START);
    poll_all(&mut scheduler, &mut limiter, at(1.0));
    assert!(scheduler.progress().outage);
    let call = dispatched[0].0;
    scheduler.handle(&mut limiter, Input::Late { call }, at(1.001));
    assert!(
        !scheduler.progress().outage,
        "a call has succeeded, and the server is still taken to be down"
    );
}

#[test]
fn probes_that_are_refused_keep_their_distance() {
    let mut limiter = Limiter::new(START);
    let ids: Vec<ResourceId> = (0..200)
        .map(|index| {
            let resource = exact(&format!("r{index}"), per(1_000, 1.0));
            limiter.add(resource).expect("a sound quota")
        })
        .collect();
    // First an outage; then each probe is refused for a resource that no other call takes.
    let mut play = Play::new(limiter, settings(11), |call, _, now| {
        if now < at(1.0) && call < 11 {
            reply(0.5, Class::Failure)
        } else {
            reply(0.01, refusal(secs(1_000.0)))
        }
    });
    for id in ids {
        play.schedule(&[units(id, 1)]);
    }
    play.run_until(at(10.0));
    let probes = play.sent.iter().filter(|sent| sent.at > at(0.6));
    let probes: Vec<_> = probes.map(|sent| sent.at).collect();
    assert!(probes.len() > 1, "{probes:?}");
    let half = Backoff::default().base / 2;
    assert!(
        probes.windows(2).all(|pair| pair[1].since(pair[0]) >= half),
        "half of a back-off is certain: {probes:?}"
    );
}

#[test]
fn a_restored_window_that_has_no_end_begins_at_once() {
    let quota = fixed_window(60.0, Anchor::FirstCall);
    let (mut limiter, id) = limiter(exact("r", quota));
    let mut past = limiter.snapshot(START);
    past.resources[0].meter = MeterSnapshot::Fixed {
        used: Amount::units(10),
        late: Amount::ZERO,
        end: None,
    };
    limiter.restore(&past, START);
    let mut scheduler = Scheduler::new(&mut limiter, settings(10), START);
    schedule(&mut scheduler, &mut limiter, &[units(id, 1)]);
    let (dispatched, output) = poll_all(&mut scheduler, &mut limiter, START);
    assert_eq!(dispatched, [], "all is used");
    assert!(
        matches!(output, Output::Wait(wait) if wait.until == Some(at(60.0))),
        "{output:?}"
    );
}

#[test]
fn a_restored_charge_below_zero_counts_nothing() {
    let (mut limiter, id) = limiter(exact("r", per(10, 10.0)));
    let mut past = limiter.snapshot(START);
    past.resources[0].meter = MeterSnapshot::Sliding {
        charges: vec![(START, Amount::from_micros(i64::MIN))],
    };
    limiter.restore(&past, START);
    for now in [START, at(20.0)] {
        assert_eq!(limiter.view(id, now).charged, Amount::ZERO);
    }
}

#[test]
fn attempts_that_may_take_no_time_fail_their_call() {
    let (limiter, id) = limiter(exact("r", per(10, 10.0)));
    let settings = Settings {
        attempt_timeout: Some(Duration::ZERO),
        ..settings(10)
    };
    let mut play = Play::new(limiter, settings, always(1.0));
    play.schedule(&[units(id, 1)]);
    assert_eq!(play.run(), Over::Idle);
    assert_eq!(play.ends[&0].0, End::Failed(Failure::Attempts));
}

#[test]
fn a_refusal_that_names_the_base_pauses_the_partition_that_was_used() {
    let (mut limiter, base) = limiter(exact("r", per(10, 10.0)));
    let parts = ["a", "b"].map(|key| limiter.partition(base, key));
    let mut play = Play::new(limiter, settings(10), |call, number, _| {
        let refused = Class::Refused {
            resource: Some(base),
            retry_after: Some(secs(50.0)),
        };
        let first = (call, number) == (0, 1);
        reply(0.1, if first { refused } else { Class::Success })
    });
    play.schedule(&[units(parts[0], 1)]);
    play.run_until(at(1.0));
    play.schedule(&[units(parts[1], 1)]);
    play.run();
    let sent: Vec<_> = play.sent.iter().map(|sent| (sent.call, sent.at)).collect();
    assert_eq!(sent, [(0, START), (1, at(1.0)), (0, at(50.1))]);
}

#[test]
fn a_limit_of_a_resource_that_is_unknown_changes_nothing() {
    let mut limiter = Limiter::new(START);
    let mut scheduler = Scheduler::new(&mut limiter, settings(10), START);
    let input = Input::SetLimit {
        resource: ResourceId::default(),
        quota: per(1, 1.0),
    };
    scheduler.handle(&mut limiter, input, START);
    assert_eq!(limiter.resources().count(), 0);
    assert_eq!(scheduler.poll(&mut limiter, START), Output::Idle);
}

#[test]
fn a_bucket_of_one_keeps_its_guard() {
    let quota = Quota::bucket(Amount::units(1), secs(1.0), Amount::units(1));
    let (limiter, id) = limiter(Resource::new("r", quota).guard(secs(0.05)));
    let mut play = Play::new(limiter, settings(10), always(0.1));
    for _ in 0..3 {
        play.schedule(&[units(id, 1)]);
    }
    play.run();
    let sent: Vec<f64> = play
        .sent
        .iter()
        .map(|sent| sent.at.since(START).as_secs_f64())
        .collect();
    assert!(
        sent[1] - sent[0] >= 1.05,
        "{sent:?}: one that is 50 ms late and one that is not arrive 0.95 s apart"
    );
}

/// From 64 classes on, a further kind joins the line of another: only of calls that take the same.
#[test]
fn a_kind_of_calls_beyond_all_classes_waits_for_no_stranger() {
    let (mut limiter, slow) = limiter(exact("slow", per(1, 3_600.0)));
    let tenants: Vec<ResourceId> = (0..64)
        .map(|index| {
            let quota = per(if index == 63 { 1 } else { 1_000 }, 1.0);
            let tenant = exact(&format!("t{index}"), quota);
            limiter.add(tenant).expect("a sound quota")
        })
        .collect();
    let mut play = Play::new(limiter, settings(1_000), always(0.1));
    play.schedule(&[units(slow, 1)]);
    play.schedule(&[units(slow, 1)]);
    for tenant in tenants {
        play.schedule(&[units(tenant, 1)]);
    }
    play.run_until(at(1_000.0));
    assert_eq!(play.sent.len(), 65, "all but the second slow one");
}

#[test]
fn calls_cancelled_beyond_the_look_ahead_are_forgotten_and_the_others_done() {
    let (limiter, id) = limiter(exact("r", per(3, 10.0)));
    let settings = Settings {
        look_ahead: 1,
        ..in_order(10)
    };
    let mut play = Play::new(limiter, settings, |call, number, _| {
        let fails = number == 1 && call % 3 == 0;
        reply(
            0.1,
            if fails {
                Class::Failure
            } else {
                Class::Success
            },
        )
    });
    let calls: Vec<CallId> = (0..50)
        .map(|call| play.schedule(&[units(id, 1 + call % 3)]))
        .collect();
    for call in calls.into_iter().skip(2).step_by(4) {
        play.handle(Input::Cancel { call });
    }
    assert_eq!(play.run(), Over::Idle);
    let progress = play.scheduler.progress();
    assert_eq!(
        (progress.done, progress.cancelled, progress.waiting),
        (38, 12, 0)
    );
}

/// A call's time runs from its first dispatch on: what waited through the stops loses none of it.
#[test]
fn a_run_that_is_halted_and_stopped_under_a_claim_goes_on() {
    let (limiter, id) = limiter(exact("r", per(10, 10.0)));
    let settings = Settings {
        call_timeout: Some(secs(30.0)),
        ..in_order(10)
    };
    let mut play = Play::new(limiter, settings, always(1.0));
    for call in 0..30 {
        play.schedule(&[units(id, if call % 2 == 0 { 7 } else { 1 })]);
    }
    play.run_until(at(5.0));
    play.handle(Input::Halt);
    assert_eq!(play.run(), Over::Stopped(Stop::Asked));
    play.handle(Input::Resume);
    play.run_until(at(22.5));
    play.handle(Input::Stop);
    assert_eq!(play.run(), Over::Stopped(Stop::Asked));
    play.now = at(100.0);
    play.handle(Input::Resume);
    assert_eq!(play.run(), Over::Idle);
    assert!(play.ends.values().all(|(end, _)| *end == End::Done));
    assert_eq!((play.ends.len(), play.sent.len()), (30, 30));
}

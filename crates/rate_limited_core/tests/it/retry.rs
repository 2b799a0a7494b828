//! What follows from an outcome.

use crate::play::{End, Over, Play, Reply, START, at, secs};
use rate_limited_core::{
    Amount, Class, Cost, Failure, Input, Limiter, MaxConcurrent, Outcome, Quota, Resource,
    ResourceId, Settings, Stop, Time, WaitingOn,
};
use std::collections::BTreeSet;

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

fn reply(after: f64, class: Class) -> Reply {
    Reply {
        after: secs(after),
        outcome: Outcome::new(class),
    }
}

fn attempts(class: Class, max_retries: u16) -> (usize, End) {
    let (limiter, id) = limiter(1_000);
    let settings = Settings {
        max_retries,
        ..Settings::default()
    };
    let mut play = Play::new(limiter, settings, move |_, _, _| reply(0.1, class));
    play.schedule(&one(id));
    play.run();
    (play.sent.len(), play.ends[&0].0)
}

#[test]
fn a_call_has_one_attempt_and_its_retries() {
    let spent = End::Failed(Failure::Attempts);
    assert_eq!(attempts(Class::Failure, 5), (6, spent));
    assert_eq!(attempts(Class::NotSent, 2), (3, spent));
    assert_eq!(attempts(Class::Invalid, 5), (6, spent));
    assert_eq!(attempts(Class::Failure, 0), (1, spent));
    assert_eq!(
        attempts(Class::Permanent, 5),
        (1, End::Failed(Failure::Permanent))
    );
    assert_eq!(attempts(Class::Success, 5), (1, End::Done));
}

#[test]
fn an_invalid_answer_is_asked_for_again_at_once() {
    let (limiter, id) = limiter(1_000);
    let mut play = Play::new(limiter, Settings::default(), |_, number, _| {
        reply(
            1.0,
            if number < 4 {
                Class::Invalid
            } else {
                Class::Success
            },
        )
    });
    play.schedule(&one(id));
    play.run();
    assert_eq!(play.now, at(4.0));
    assert_eq!(play.scheduler.progress().invalid, 3);
}

#[test]
fn a_refusal_takes_no_retry_and_pauses_the_resource_for_everyone() {
    let (limiter, id) = limiter(1_000);
    let told = Some(secs(7.0));
    let mut play = Play::new(
        limiter,
        Settings {
            max_retries: 0,
            ..Settings::default()
        },
        |call, number, _| {
            let refused = call == 0 && number <= 20;
            let refusal = Class::Refused {
                resource: None,
                retry_after: told,
            };
            reply(0.5, if refused { refusal } else { Class::Success })
        },
    );
    play.schedule(&one(id));
    play.run_until(at(1.0));
    play.schedule(&one(id));
    assert_eq!(play.run(), Over::Idle);
    assert_eq!(play.ends[&0].0, End::Done);
    let other = play
        .sent
        .iter()
        .find(|sent| sent.call == 1)
        .expect("it ran");
    assert_eq!(
        other.at,
        at(7.5),
        "the other call waits for the moment that the server named"
    );
    assert!(play.waits.iter().any(|(_, wait)| {
        wait.on
            == WaitingOn::Paused {
                resource: id,
                told: true,
            }
            && wait.until == Some(at(7.5))
    }));
}

#[test]
fn refusals_leave_a_call_all_its_retries() {
    let (limiter, id) = limiter(1_000);
    let settings = Settings {
        max_retries: 2,
        ..Settings::default()
    };
    let mut play = Play::new(limiter, settings, |_, number, _| {
        let class = match number {
            1..=5 => Class::Refused {
                resource: None,
                retry_after: Some(secs(1.0)),
            },
            6 | 7 => Class::Failure,
            _ => Class::Success,
        };
        reply(0.1, class)
    });
    play.schedule(&one(id));
    play.run();
    assert_eq!((play.sent.len(), play.ends[&0].0), (8, End::Done));
}

#[test]
fn a_refusal_without_a_hint_pauses_longer_each_time() {
    let (limiter, id) = limiter(1_000);
    let mut play = Play::new(limiter, Settings::default(), |_, number, _| {
        let refusal = Class::Refused {
            resource: None,
            retry_after: None,
        };
        reply(0.0, if number <= 8 { refusal } else { Class::Success })
    });
    play.schedule(&one(id));
    play.run();
    let gaps: Vec<f64> = play
        .sent
        .windows(2)
        .map(|pair| pair[1].at.since(pair[0].at).as_secs_f64())
        .collect();
    for (episode, gap) in gaps.iter().enumerate() {
        let longest = (0.5 * f64::from(1 << episode)).min(60.0);
        assert!(
            (longest / 2.0..=longest).contains(gap),
            "episode {episode}: {gap} s of {longest} s"
        );
    }
}

#[test]
fn a_refusal_of_a_call_without_limits_pauses_the_run() {
    let mut play = Play::new(Limiter::new(START), Settings::default(), |_, number, _| {
        let refusal = Class::Refused {
            resource: None,
            retry_after: Some(secs(3.0)),
        };
        reply(0.1, if number == 1 { refusal } else { Class::Success })
    });
    play.schedule(&[]);
    play.run();
    assert_eq!(play.sent.len(), 2);
    assert_eq!(play.sent[1].at, at(3.1));
}

#[test]
fn a_fatal_answer_stops_the_run_and_a_resumed_one_goes_on() {
    let (limiter, id) = limiter(1_000);
    let settings = Settings {
        max_concurrent: MaxConcurrent::Fixed(2),
        ..Settings::default()
    };
    let mut play = Play::new(limiter, settings, |_, _, now: Time| {
        reply(
            1.0,
            if now < at(5.0) {
                Class::Fatal
            } else {
                Class::Success
            },
        )
    });
    for _ in 0..10 {
        play.schedule(&one(id));
    }
    assert_eq!(play.run(), Over::Stopped(Stop::Fatal));
    assert_eq!(
        play.sent.len(),
        2,
        "nothing is dispatched after the first such answer"
    );
    play.now = at(6.0);
    play.handle(Input::Resume);
    assert_eq!(play.run(), Over::Idle);
    assert_eq!(
        play.ends
            .values()
            .filter(|(end, _)| *end == End::Done)
            .count(),
        8
    );
    assert_eq!(play.sent.len(), 10, "what has failed is not sent again");
}

/// Ten thousand calls, and a server that is down for the first minute.
#[test]
fn an_outage_is_answered_with_probes_not_with_a_storm() {
    let (limiter, id) = limiter(100_000);
    let down = secs(60.0);
    let settings = Settings {
        max_concurrent: MaxConcurrent::Fixed(64),
        ..Settings::default()
    };
    let mut play = Play::new(limiter, settings, move |_, _, now: Time| {
        reply(
            0.05,
            if now < START + down {
                Class::Failure
            } else {
                Class::Success
            },
        )
    });
    for _ in 0..10_000 {
        play.schedule(&one(id));
    }
    assert_eq!(play.run(), Over::Idle);
    assert!(
        play.ends.values().all(|(end, _)| *end == End::Done),
        "an outage fails no call"
    );
    let during: Vec<_> = play
        .sent
        .iter()
        .filter(|sent| sent.at < START + down)
        .collect();
    let calls: BTreeSet<usize> = during.iter().map(|sent| sent.call).collect();
    let amplification = during.len() as f64 / calls.len() as f64;
    assert!(
        amplification <= 1.1,
        "{} attempts of {} calls",
        during.len(),
        calls.len()
    );
    let back = play
        .sent
        .iter()
        .find(|sent| sent.at >= START + down)
        .expect("it came back");
    let noticed = back.at.since(START + down);
    assert!(
        noticed <= secs(60.0),
        "noticed {noticed:?} after the server was back"
    );
}

#[test]
fn five_percent_of_failures_are_no_outage() {
    let (limiter, id) = limiter(100_000);
    let mut play = Play::new(limiter, Settings::default(), |call, number, _| {
        reply(
            0.1,
            if (call * 31 + number as usize).is_multiple_of(20) {
                Class::Failure
            } else {
                Class::Success
            },
        )
    });
    for _ in 0..5_000 {
        play.schedule(&one(id));
    }
    play.run();
    assert!(play.ends.values().all(|(end, _)| *end == End::Done));
    assert!(
        !play
            .waits
            .iter()
            .any(|(_, wait)| wait.on == WaitingOn::Probe)
    );
}

#[test]
fn a_run_of_nothing_but_trouble_stops_but_not_for_waiting() {
    let (limiter, id) = limiter(10);
    let refusal = Class::Refused {
        resource: None,
        retry_after: Some(secs(3_600.0)),
    };
    let settings = Settings {
        max_retries: u16::MAX,
        ..Settings::default()
    };
    let mut play = Play::new(limiter, settings, move |_, number, _| {
        // Two hours of waiting for a named moment count nothing; failures from then on do.
        reply(1.0, if number <= 2 { refusal } else { Class::Failure })
    });
    play.schedule(&one(id));
    assert_eq!(play.run(), Over::Stopped(Stop::Stalled));
    let after = play.now.since(at(7_202.0));
    assert!(
        after >= secs(29.0 * 60.0) && after <= secs(31.0 * 60.0),
        "stopped after {after:?}"
    );
}

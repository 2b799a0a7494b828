//! What was learnt outlives the process, and is believed as far as it could have been learnt.

use crate::play::{START, secs};
use proptest::prelude::*;
use rate_limited_core::{
    Amount, Class, Cost, Input, Limiter, Outcome, Output, Quota, Resource, ResourceId, Scheduler,
    Settings, Settlement, Time,
};

const BOUND: u32 = 100;

fn limiter() -> (Limiter, ResourceId) {
    let mut limiter = Limiter::new(START);
    let quota = Quota::per(Amount::units(1_000_000), secs(10.0));
    let tokens = Resource::new("tokens", quota)
        .settlement(Settlement::Usage)
        .learn(true);
    let id = limiter.add(tokens).expect("a sound quota");
    (limiter, id)
}

/// Runs one call after the other, and gives what the last one reserved.
fn run(limiter: &mut Limiter, id: ResourceId, outcomes: &[Outcome]) -> Amount {
    let mut scheduler = Scheduler::new(limiter, Settings::default(), START);
    let (mut now, mut held) = (START, Amount::ZERO);
    for outcome in outcomes {
        let costs = [Cost::new(id, Amount::units(BOUND))];
        let scheduled = scheduler.schedule(limiter, &costs, now);
        scheduled.expect("a call that fits");
        loop {
            match scheduler.poll(limiter, now) {
                Output::Dispatch { attempt, .. } => {
                    held = limiter.view(id, now).held;
                    let outcome = outcome.clone();
                    let input = Input::Finished { attempt, outcome };
                    scheduler.handle(limiter, input, now);
                }
                Output::Done { .. } | Output::Failed { .. } => break,
                _ => now = now + secs(1.0),
            }
            if matches!(outcome.class(), Class::Refused { .. }) {
                break;
            }
        }
    }
    held
}

fn used(id: ResourceId, units: u32) -> Outcome {
    Outcome::new(Class::Success).with_usage(&[Cost::new(id, Amount::units(units))])
}

#[test]
fn a_later_process_reserves_what_the_first_one_learnt() {
    let (mut first, id) = limiter();
    let uses: Vec<_> = (0..40).map(|_| used(id, 10)).collect();
    run(&mut first, id, &uses);
    let learnt = first.learnt(id);
    assert!(learnt.len() < 400, "{} bytes", learnt.len());

    let (mut second, id) = limiter();
    assert_eq!(run(&mut second, id, &uses[..1]), Amount::units(BOUND));
    let (mut third, id) = limiter();
    assert!(third.recall(id, &learnt));
    assert_eq!(third.learnt(id), learnt);
    let held = run(&mut third, id, &uses[..1]);
    assert!(held < Amount::units(12), "{held:?}");
}

#[test]
fn a_widened_guard_is_recalled_and_no_other_is_believed() {
    let (mut first, id) = limiter();
    let plain = first.learnt(id);
    let refused = Outcome::new(Class::Refused {
        resource: None,
        retry_after: None,
    });
    run(&mut first, id, &[refused]);
    let wide = first.learnt(id);
    assert_ne!(wide[..9], plain[..9], "a refusal widens the guard");
    let (mut second, id) = limiter();
    second.recall(id, &wide);
    assert_eq!(second.learnt(id)[..9], wide[..9]);
    // A guard of 500 years would be the end of all throughput.
    let mut absurd = wide.clone();
    absurd[1..9].fill(0xFF);
    let (mut third, id) = limiter();
    assert!(third.recall(id, &absurd));
    let guard = u64::from_le_bytes(third.learnt(id)[1..9].try_into().expect("eight bytes"));
    assert_eq!(guard, 100_000_000, "at most a hundredth of the window");
}

#[test]
fn a_limit_found_under_a_higher_one_does_not_raise_the_present_one() {
    let (mut first, id) = limiter();
    let told = first.view(id, START).limit.expect("a limit");
    let mut learnt = first.learnt(id);
    learnt[17..25].copy_from_slice(&(told + told).as_micros().to_le_bytes());
    assert!(first.recall(id, &learnt));
    assert_eq!(first.view(id, START).limit, Some(told));
}

#[test]
fn a_stranger_has_learnt_nothing() {
    let (mut first, _) = limiter();
    let (mut second, id) = limiter();
    let tokens = Resource::new("others", Quota::per_minute(Amount::units(1)));
    let unknown = second.add(tokens).expect("a sound quota");
    assert!(!first.recall(unknown, &second.learnt(id)));
}

proptest! {
    #[test]
    fn any_bytes_are_a_lesson_or_none(bytes in prop::collection::vec(any::<u8>(), 0..400), tail in any::<bool>()) {
        let (mut limiter, id) = limiter();
        let mut written = limiter.learnt(id);
        if tail {
            written.extend(&bytes);
        } else {
            written = bytes;
        }
        limiter.recall(id, &written);
        // Whatever it was, calls go on, and what they reserve is at most their bound.
        let held = run(&mut limiter, id, &[used(id, 10), used(id, 20)]);
        prop_assert!(held > Amount::ZERO && held <= Amount::units(BOUND));
        prop_assert!(limiter.view(id, Time::PROCESS_START + secs(3_600.0)).held == Amount::ZERO);
    }
}

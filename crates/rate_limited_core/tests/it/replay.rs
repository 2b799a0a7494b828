//! A limiter made again from entries and reservations lets no more through than the one that died.

use crate::play::{START, secs};
use proptest::prelude::*;
use rate_limited_core::{
    Amount, Anchor, AttemptId, Class, Cost, Counted, Input, Limiter, Outcome, Output, Quota,
    Resource, ResourceId, Scheduler, Settings, Settlement, Time,
};
use std::time::Duration;

/// What was written down of a run.
#[derive(Default)]
struct Record {
    charges: Vec<(Time, Amount)>,
    /// What is reserved for attempts in flight.
    leaving: Vec<(AttemptId, Time, Amount)>,
}

struct Run {
    limiter: Limiter,
    scheduler: Scheduler,
    id: ResourceId,
    record: Record,
    is_bucket: bool,
    now: Time,
}

fn resource(quota: Quota, counted: Counted) -> Resource {
    Resource::new("tokens", quota)
        .counted(counted)
        .settlement(Settlement::Usage)
}

impl Run {
    fn new(quota: Quota, counted: Counted) -> Run {
        let mut limiter = Limiter::new(START);
        let id = limiter
            .add(resource(quota, counted))
            .expect("a sound quota");
        let mut scheduler = Scheduler::new(&mut limiter, Settings::default(), START);
        scheduler.keep_entries();
        Run {
            limiter,
            scheduler,
            id,
            record: Record::default(),
            is_bucket: matches!(quota, Quota::TokenBucket { .. }),
            now: START,
        }
    }

    fn step(&mut self, cost: u32, wait: u64, ends: bool, used: u32, class: u8) {
        self.now = self.now + Duration::from_millis(wait);
        let costs = [Cost::new(self.id, Amount::units(cost))];
        let _ = self.scheduler.schedule(&mut self.limiter, &costs, self.now);
        if ends && !self.record.leaving.is_empty() {
            let (attempt, ..) = self.record.leaving.remove(0);
            let class = match class {
                0 => Class::Failure,
                // Refusals widen the guard. A bucket's refill is slower for as long as they show a lower limit, which
                // charges alone do not tell: a bucket is replayed as told.
                1 if !self.is_bucket => Class::Refused {
                    resource: None,
                    retry_after: None,
                },
                2 => Class::NotSent,
                _ => Class::Success,
            };
            let usage = [Cost::new(self.id, Amount::units(used))];
            let outcome = Outcome::new(class).with_usage(&usage);
            self.handle(Input::Finished { attempt, outcome });
        }
        while let Output::Dispatch { attempt, .. } | Output::Abandon { attempt, .. } =
            self.next_of_interest()
        {
            let entry = self.scheduler.reserved(&self.limiter, attempt).next();
            let Some(entry) = entry else { continue };
            self.record.leaving.push((attempt, entry.at, entry.amount));
            self.handle(Input::Sent { attempt });
        }
    }

    fn handle(&mut self, input: Input) {
        self.scheduler.handle(&mut self.limiter, input, self.now);
        let entries = self.scheduler.take_entries();
        let entries = entries.into_iter().map(|entry| (entry.at, entry.amount));
        self.record.charges.extend(entries);
    }

    fn next_of_interest(&mut self) -> Output {
        loop {
            let output = self.scheduler.poll(&mut self.limiter, self.now);
            if !matches!(output, Output::Done { .. } | Output::Failed { .. }) {
                return output;
            }
        }
    }

    /// What a restart finds: what was charged, and what was in flight.
    fn past(&self) -> Vec<(Time, Amount)> {
        let in_flight = self.record.leaving.iter();
        let in_flight = in_flight.map(|(_, at, amount)| (*at, *amount));
        let mut past: Vec<_> = self
            .record
            .charges
            .iter()
            .copied()
            .chain(in_flight)
            .collect();
        past.sort_by_key(|(at, _)| *at);
        past
    }
}

fn quotas() -> impl Strategy<Value = (Quota, Counted)> {
    let amount = Amount::units(20);
    let window = secs(2.0);
    let quota = prop_oneof![
        Just(Quota::per(amount, window)),
        Just(Quota::TokenBucket {
            amount,
            per: window,
            burst: Amount::units(10),
        }),
        Just(Quota::FixedWindow {
            amount,
            window,
            anchor: Anchor::FirstCall,
        }),
        Just(Quota::FixedWindow {
            amount,
            window,
            anchor: Anchor::At(START),
        }),
        Just(Quota::Budget {
            amount: Amount::units(60),
        }),
    ];
    let counted = prop_oneof![Just(Counted::AtDispatch), Just(Counted::AtCompletion)];
    (quota, counted)
}

/// What has room at a moment, in whole units.
fn room(limiter: &mut Limiter, id: ResourceId, quota: Quota, now: Time) -> f64 {
    let view = limiter.view(id, now);
    quota.capacity().as_units() - view.charged.as_units() - view.held.as_units()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn what_is_replayed_leaves_no_more_room_than_there_was(
        (quota, counted) in quotas(),
        steps in prop::collection::vec((1..10_u32, 0..400_u64, any::<bool>(), 0..12_u32, 0..12_u8), 1..60),
        away in 0..3_000_u64,
    ) {
        let mut run = Run::new(quota, counted);
        for (cost, wait, ends, used, class) in steps {
            run.step(cost, wait, ends, used, class);
        }
        let past = run.past();
        let now = run.now + Duration::from_millis(away);
        let mut again = Limiter::new(START);
        let id = again.add(resource(quota, counted)).expect("a sound quota");
        prop_assert!(again.recall(id, &run.limiter.learnt(run.id)));
        again.replay(id, &past, Time::default(), now);
        let before = match quota {
            // Which call began a window is not known any more: what was charged within one counts.
            Quota::FixedWindow { anchor: Anchor::FirstCall, window, .. } => {
                let counts = |charge: &&(Time, Amount)| charge.0 > now || charge.0 + window > now;
                let used = past.iter().filter(counts).map(|(_, amount)| amount.as_units());
                quota.capacity().as_units() - used.sum::<f64>()
            }
            _ => room(&mut run.limiter, run.id, quota, now),
        };
        let after = room(&mut again, id, quota, now);
        prop_assert!(after <= before + 1e-6, "{after} > {before}: {past:?}");
        if matches!(quota, Quota::SlidingWindow { .. }) && away == 0
            && counted == Counted::AtDispatch {
            prop_assert!((after - before).abs() < 1e-6, "{after} < {before}");
        }
    }

    #[test]
    fn books_that_are_in_use_are_charged_once_more(
        charges in prop::collection::vec((0..2_000_u64, 1..5_u32), 1..20),
    ) {
        let quota = Quota::per(Amount::units(100), secs(2.0));
        let mut limiter = Limiter::new(START);
        let id = limiter.add(resource(quota, Counted::AtDispatch)).expect("a sound quota");
        let now = START + secs(2.0);
        let first = [(now, Amount::units(1))];
        limiter.replay(id, &first, Time::default(), now);
        let past: Vec<_> = charges
            .iter()
            .map(|(at, amount)| (START + Duration::from_millis(*at), Amount::units(*amount)))
            .collect();
        limiter.replay(id, &past, Time::default(), now);
        let all: u32 = charges.iter().map(|(_, amount)| amount).sum();
        prop_assert_eq!(limiter.view(id, now).charged, Amount::units(all + 1));
    }
}

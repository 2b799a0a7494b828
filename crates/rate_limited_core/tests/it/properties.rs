//! For any quotas, costs, outcomes and durations: no quota is overspent, each reservation is settled
//! once, each call ends once, and the run ends.

use crate::play::{Over, Play, Reply, START, Sent};
use crate::reference::{Charge, check};
use proptest::prelude::*;
use rate_limited_core::{
    Amount, Anchor, Class, Cost, Counted, Limiter, MaxConcurrent, Order, Outcome, Quota, Resource,
    ResourceId, Settings, Settlement,
};
use std::time::Duration;

#[derive(Clone, Debug)]
struct Rule {
    quota: Quota,
    counted: Counted,
    settlement: Settlement,
    failures_count: bool,
    refusals_count: bool,
}

#[derive(Clone, Debug)]
struct World {
    rules: Vec<Rule>,
    order: Order,
    max_concurrent: u32,
    look_ahead: u32,
    overtakes_max: u64,
    /// Each call's costs, in thousandths of each quota.
    calls: Vec<Vec<u32>>,
    /// What becomes of attempts: duration in ms, class, usage in thousandths of the cost.
    fates: Vec<(u32, u8, u32)>,
}

fn quotas() -> impl Strategy<Value = Quota> {
    let amount = (1_u32..200).prop_map(Amount::units);
    let window = (1_u64..5_000).prop_map(Duration::from_millis);
    (0_u8..7, amount, window).prop_map(|(kind, amount, window)| match kind {
        0 => Quota::per(amount, window),
        1 => Quota::bucket(amount, window, amount),
        2 => Quota::bucket(
            amount,
            window,
            Amount::from_micros(amount.as_micros() / 2 + 1),
        ),
        3 => Quota::FixedWindow {
            amount,
            window,
            anchor: Anchor::FirstCall,
        },
        4 => Quota::FixedWindow {
            amount,
            window,
            anchor: Anchor::At(START),
        },
        5 => Quota::slots(amount),
        _ => Quota::Spacing {
            interval: window / 20 + Duration::from_micros(1),
        },
    })
}

fn rules() -> impl Strategy<Value = Rule> {
    let counted = prop_oneof![
        Just(Counted::AtDispatch),
        Just(Counted::AtCompletion),
        Just(Counted::Strict)
    ];
    let settlement = prop_oneof![Just(Settlement::Keep), Just(Settlement::Usage)];
    (quotas(), counted, settlement, any::<bool>(), any::<bool>()).prop_map(
        |(quota, counted, settlement, failures_count, refusals_count)| {
            let begun_by_calls = matches!(
                quota,
                Quota::FixedWindow {
                    anchor: Anchor::FirstCall,
                    ..
                }
            );
            Rule {
                quota,
                counted,
                settlement: if begun_by_calls {
                    Settlement::Keep
                } else {
                    settlement
                },
                failures_count: failures_count || begun_by_calls,
                refusals_count: refusals_count || begun_by_calls,
            }
        },
    )
}

prop_compose! {
    fn worlds()(rules in prop::collection::vec(rules(), 1..4))(
        calls in prop::collection::vec(prop::collection::vec(0_u32..=1_000, rules.len()), 1..40),
        fates in prop::collection::vec((0_u32..3_000, 0_u8..20, 0_u32..1_400), 1..40),
        order in prop_oneof![Just(Order::Packed), Just(Order::InOrder)],
        max_concurrent in 1_u32..40,
        look_ahead in 1_u32..40,
        overtakes_max in 1_u64..40,
        rules in Just(rules),
    ) -> World {
        World { rules, order, max_concurrent, look_ahead, overtakes_max, calls, fates }
    }
}

impl World {
    fn limiter(&self) -> (Limiter, Vec<ResourceId>) {
        let mut limiter = Limiter::new(START);
        let declared = self.rules.iter().enumerate().map(|(index, rule)| {
            Resource::new(format!("r{index}"), rule.quota)
                .counted(rule.counted)
                .settlement(rule.settlement)
                .failures_count(rule.failures_count)
                .refusals_count(rule.refusals_count)
        });
        let ids = declared
            .map(|resource| limiter.add(resource).expect("a sound quota"))
            .collect();
        (limiter, ids)
    }

    fn amount(&self, call: usize, rule: usize) -> i64 {
        let quota = self.rules[rule].quota.capacity().as_micros();
        quota / 1_000 * i64::from(self.calls[call][rule])
    }

    fn fate(&self, call: usize, number: u32) -> (u32, u8, u32) {
        self.fates[(call * 7 + number as usize * 13) % self.fates.len()]
    }

    /// Whether a call that did not count could have begun a window: while its answer is out, nobody
    /// can know, and the promise does not hold. What follows from its settlement has its own test.
    fn has_a_window_begun_by_calls(&self) -> bool {
        let begun = |rule: &Rule| {
            matches!(
                rule.quota,
                Quota::FixedWindow {
                    anchor: Anchor::FirstCall,
                    ..
                }
            )
        };
        self.rules.iter().any(begun)
    }

    fn reply(&self, ids: &[ResourceId], call: usize, number: u32) -> Reply {
        let (after, class, share) = self.fate(call, number);
        let usage = |rule| {
            let micros = self.amount(call, rule) / 1_000 * i64::from(share);
            Cost::new(ids[rule], Amount::from_micros(micros))
        };
        let usage: Vec<Cost> = (0..self.rules.len()).map(usage).collect();
        // Not at once: the judge knows no order within one moment.
        let wait = Duration::from_micros(u64::from(after) * 1_000 + 1);
        let outcome = match class {
            0 if number < 4 => Outcome::new(Class::Failure),
            1 if number < 4 && !self.has_a_window_begun_by_calls() => Outcome::new(Class::NotSent),
            2 => Outcome::new(Class::Invalid).with_usage(&usage),
            3 if number < 4 => Outcome::new(Class::Refused {
                resource: None,
                retry_after: Some(wait),
            }),
            4 if number < 4 => Outcome::new(Class::Refused {
                resource: Some(ids[0]),
                retry_after: None,
            }),
            5 => Outcome::new(Class::Permanent),
            _ => Outcome::new(Class::Success).with_usage(&usage),
        };
        Reply {
            after: wait,
            outcome,
        }
    }

    fn settings(&self) -> Settings {
        Settings {
            order: self.order,
            look_ahead: self.look_ahead,
            overtakes_max: self.overtakes_max,
            max_concurrent: MaxConcurrent::Fixed(self.max_concurrent),
            attempt_timeout: None,
            stall_limit: None,
            ..Settings::default()
        }
    }

    /// What an attempt took of a resource, by the rules of the resource.
    fn charge(&self, sent: &Sent, rule: usize) -> Charge {
        let Rule {
            counted,
            settlement,
            failures_count,
            refusals_count,
            ..
        } = self.rules[rule];
        let reserved = self.amount(sent.call, rule);
        let outcome = sent.outcome.as_ref().expect("it was answered");
        let told = outcome
            .usage()
            .get(rule)
            .map(|cost| cost.amount.as_micros());
        let used = match settlement {
            Settlement::Usage => told.unwrap_or(reserved),
            _ => reserved,
        };
        let counts = match outcome.class() {
            Class::NotSent => false,
            Class::Refused { .. } => refusals_count,
            Class::Failure | Class::Permanent => failures_count,
            _ => true,
        };
        let settled = sent.ended.expect("it ended");
        let at = if counted == Counted::AtDispatch {
            sent.at
        } else {
            settled
        };
        let used = if counts { used } else { 0 };
        Charge {
            at,
            settled,
            dispatched: sent.at,
            reserved,
            used,
        }
    }
}

fn holds(world: &World) {
    let (limiter, ids) = world.limiter();
    let mut play = Play::new(limiter, world.settings(), |call, number, _| {
        world.reply(&ids, call, number)
    });
    for call in 0..world.calls.len() {
        let costs: Vec<Cost> = (0..ids.len())
            .map(|rule| Cost::new(ids[rule], Amount::from_micros(world.amount(call, rule))))
            .collect();
        play.schedule(&costs);
    }
    assert_eq!(play.run(), Over::Idle);
    assert_eq!(play.ends.len(), world.calls.len(), "each call ends once");
    let progress = play.scheduler.progress();
    assert_eq!(progress.done + progress.failed, progress.scheduled);
    assert_eq!((progress.waiting, progress.in_flight), (0, 0));
    for (rule, id) in ids.iter().enumerate() {
        let view = play.limiter.view(*id, play.now);
        assert_eq!(view.held, Amount::ZERO, "each reservation is settled");
        let charges: Vec<Charge> = play
            .sent
            .iter()
            .map(|sent| world.charge(sent, rule))
            .collect();
        let at_dispatch = world.rules[rule].counted == Counted::AtDispatch;
        // A distance needs each dispatch alone; amounts do not matter to it.
        check(&world.rules[rule].quota, at_dispatch, &charges);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12_000, ..ProptestConfig::default() })]

    #[test]
    fn no_quota_is_overspent_and_each_call_ends_once(world in worlds()) {
        holds(&world);
    }
}

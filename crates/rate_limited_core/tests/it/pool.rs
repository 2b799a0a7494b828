//! Pools: several keys of several accounts, of which each attempt takes one.

use crate::play::{End, Over, Play, Reply, START, Sent, always, at, secs};
use crate::reference::{self, Charge};
use proptest::prelude::*;
use rate_limited_core::{
    Amount, Assumed, Class, Cost, Failure, Input, Limiter, Load, MaxConcurrent, MemberId, Order,
    Outcome, Quota, Resource, ResourceId, Settings, Stop, Time, WaitingOn,
};
use std::time::Duration;

/// A pool under test: of each account its resources and their quotas, of each member its account.
struct World {
    limiter: Limiter,
    accounts: Vec<(rate_limited_core::AccountId, Vec<ResourceId>)>,
}

fn per_minute(units: u32) -> Quota {
    Quota::per_minute(Amount::units(units))
}

impl World {
    /// Accounts with limits on requests and tokens a minute.
    fn new(limits: &[(u32, u32)]) -> World {
        let mut limiter = Limiter::new(START);
        let mut accounts = Vec::new();
        for (place, (requests, tokens)) in limits.iter().enumerate() {
            let account = limiter.account(&place.to_string());
            let mut add = |name: &str, units| {
                let resource = Resource::new(format!("{name}@{place}"), per_minute(units));
                limiter.add_to(account, resource).expect("sound")
            };
            let ids = vec![add("requests", *requests), add("tokens", *tokens)];
            accounts.push((account, ids));
        }
        World { limiter, accounts }
    }

    /// A run whose members are of these accounts, and what a call of so many tokens costs.
    fn play<'a>(
        self,
        members: &[usize],
        settings: Settings,
    ) -> (Play<'a>, impl Fn(u32) -> Vec<Cost> + use<'a>) {
        let mut play = Play::new(self.limiter, settings, always(1.0));
        for account in members {
            play.scheduler
                .add_member(self.accounts[*account].0)
                .expect("room");
        }
        let accounts = self.accounts;
        let costs = move |tokens| {
            let of = |ids: &Vec<ResourceId>| {
                [
                    Cost::new(ids[0], Amount::units(1)),
                    Cost::new(ids[1], Amount::units(tokens)),
                ]
            };
            accounts.iter().flat_map(|(_, ids)| of(ids)).collect()
        };
        (play, costs)
    }
}

fn settings(order: Order) -> Settings {
    Settings {
        order,
        max_concurrent: MaxConcurrent::Fixed(100_000),
        ..Settings::default()
    }
}

/// The moments at which a member's attempts went.
fn moments(play: &Play<'_>, members: &[usize]) -> Vec<Time> {
    let by = |member: Option<MemberId>| member.is_some_and(|it| members.contains(&it.index()));
    play.sent
        .iter()
        .filter(|sent| by(sent.member))
        .map(|sent| sent.at)
        .collect()
}

#[test]
fn three_members_of_two_accounts_fill_both_and_pass_neither() {
    for order in [Order::Packed, Order::InOrder] {
        let (mut play, costs) =
            World::new(&[(60, 1_000_000), (300, 1_000_000)]).play(&[0, 1, 1], settings(order));
        // Ten windows of both.
        for _ in 0..3_600 {
            play.schedule(&costs(10));
        }
        assert_eq!(play.run(), Over::Idle);
        let [small, large] = [moments(&play, &[0]), moments(&play, &[1, 2])];
        for (sent, quota) in [(&small, 60), (&large, 300)] {
            let charges = charges(sent);
            reference::check(&per_minute(quota), true, &charges);
            let windows = sent.len() as f64 / f64::from(quota);
            assert!(
                windows > 9.8,
                "{order:?}: {windows} windows of {quota} in ten"
            );
        }
        let ends = play.ends.values().map(|(_, at)| *at).max().expect("calls");
        assert!(ends < at(9.0 * 60.0 * 1.02 + 2.0), "{order:?}: {ends:?}");
        let [one, other] = [1, 2].map(|member| moments(&play, &[member]).len());
        assert!(
            one.abs_diff(other) <= 10,
            "members of one account share: {one}, {other}"
        );
    }
}

fn charges(sent: &[Time]) -> Vec<Charge> {
    let one = |at: &Time| Charge {
        at: *at,
        settled: *at,
        dispatched: *at,
        reserved: 1_000_000,
        used: 1_000_000,
    };
    sent.iter().map(one).collect()
}

#[test]
fn the_member_with_most_room_takes_the_next_call() {
    let (mut play, costs) =
        World::new(&[(10, 1_000), (100, 1_000)]).play(&[0, 1], settings(Order::Packed));
    for _ in 0..22 {
        play.schedule(&costs(1));
    }
    assert_eq!(play.run(), Over::Idle);
    let shares = [0, 1].map(|member| moments(&play, &[member]).len());
    assert_eq!(shares, [2, 20], "equal shares of the two limits");
}

#[test]
fn a_key_that_dies_costs_no_call_and_no_retry() {
    {
        let limits = [(60, 1_000_000), (60, 1_000_000)];
        let none = Settings {
            max_retries: 0,
            ..settings(Order::Packed)
        };
        let (mut play, costs) = World::new(&limits).play(&[0, 1, 1], none);
        let dies = at(65.0);
        play.reply_by = Some(Box::new(move |member, _, now| {
            let dead = member.index() == 1 && now >= dies;
            let class = if dead { Class::Fatal } else { Class::Success };
            Reply {
                after: secs(1.0),
                outcome: Outcome::new(class),
            }
        }));
        for _ in 0..600 {
            play.schedule(&costs(10));
        }
        assert_eq!(play.run(), Over::Idle);
        assert!(play.ends.values().all(|(end, _)| *end == End::Done));
        let fatal = |sent: &&Sent| {
            let outcome = sent.outcome.as_ref();
            outcome.is_some_and(|outcome| outcome.class() == Class::Fatal)
        };
        let found = play
            .sent
            .iter()
            .filter(fatal)
            .filter_map(|sent| sent.ended)
            .min();
        let found = found.expect("it was asked after it died");
        let late = moments(&play, &[1])
            .into_iter()
            .filter(|sent| *sent > found);
        assert_eq!(late.count(), 0, "nothing goes to a dead key");
        let dropped: Vec<_> = play.scheduler.members().map(|it| it.dropped).collect();
        assert_eq!(dropped, [false, true, false]);
    }
}

#[test]
fn the_run_stops_when_no_key_is_left() {
    let (mut play, costs) =
        World::new(&[(5, 1_000), (5, 1_000)]).play(&[0, 1], settings(Order::Packed));
    play.reply_by = Some(Box::new(|_, _, _| Reply {
        after: secs(1.0),
        outcome: Outcome::new(Class::Fatal),
    }));
    for _ in 0..30 {
        play.schedule(&costs(1));
    }
    assert_eq!(play.run(), Over::Stopped(Stop::Fatal));
    let fatal = play
        .ends
        .values()
        .filter(|(end, _)| *end == End::Failed(Failure::Fatal));
    assert_eq!(fatal.count(), 1, "the call that found the last key dead");
    assert_eq!(play.ends.len(), 1);
}

#[test]
fn members_can_be_dropped_from_outside() {
    let (mut play, costs) =
        World::new(&[(60, 1_000), (60, 1_000)]).play(&[0, 1], settings(Order::Packed));
    for _ in 0..90 {
        play.schedule(&costs(1));
    }
    play.run_until(at(0.5));
    let first = play.scheduler.members().next().expect("two").member;
    play.handle(Input::DropMember { member: first });
    for _ in 0..60 {
        play.schedule(&costs(1));
    }
    assert_eq!(play.run(), Over::Idle);
    let late = moments(&play, &[0])
        .into_iter()
        .filter(|sent| *sent > at(0.5));
    assert_eq!(late.count(), 0);
    assert_eq!(play.ends.len(), 150);
}

#[test]
fn a_call_that_fits_into_one_member_goes_there_and_fails_when_that_is_gone() {
    let (mut play, costs) =
        World::new(&[(60, 100), (60, 5_000)]).play(&[0, 1], settings(Order::Packed));
    let too_large = play
        .scheduler
        .schedule(&mut play.limiter, &costs(5_001), START);
    let error = too_large.expect_err("it fits into none").to_string();
    assert!(error.contains("5001") && error.contains("5000"), "{error}");
    play.schedule(&costs(2_000));
    play.run_until(at(2.0));
    assert_eq!(moments(&play, &[1]).len(), 1);
    play.schedule(&costs(2_000));
    play.schedule(&costs(50));
    let last = play.scheduler.members().last().expect("two").member;
    play.handle(Input::DropMember { member: last });
    assert_eq!(play.run(), Over::Idle);
    let ends: Vec<_> = play.ends.values().map(|(end, _)| *end).collect();
    assert_eq!(ends, [End::Done, End::Failed(Failure::Fatal), End::Done]);
}

#[test]
fn a_large_call_of_one_member_does_not_stop_the_small_ones_behind_it() {
    for (order, windows) in [(Order::Packed, 3.0), (Order::InOrder, 2.0)] {
        let (mut play, costs) =
            World::new(&[(1_000, 100), (1_000, 5_000)]).play(&[0, 1], settings(order));
        for _ in 0..3 {
            play.schedule(&costs(5_000));
        }
        for _ in 0..10 {
            play.schedule(&costs(10));
        }
        assert_eq!(play.run(), Over::Idle);
        let small = play.sent.iter().filter(|sent| sent.call >= 3);
        let last = small.map(|sent| sent.at).max().expect("ten");
        assert!(last < at(1.0), "{order:?}: the small ones went by {last:?}");
        let large = play.sent.iter().filter(|sent| sent.call < 3);
        let last = large.map(|sent| sent.at).max().expect("three");
        assert!(
            last < at(windows * 60.0 * 1.02),
            "{order:?}: nothing delays the large ones: {last:?}"
        );
    }
}

#[test]
fn a_member_that_is_down_does_not_eat_the_calls() {
    let down = Settings {
        max_retries: 3,
        ..settings(Order::Packed)
    };
    let (mut play, costs) = World::new(&[(6_000, 1_000_000), (600, 1_000_000)]).play(&[0, 1], down);
    play.reply_by = Some(Box::new(|member, _, _| {
        let (after, class) = if member.index() == 0 {
            (0.001, Class::NotSent)
        } else {
            (0.5, Class::Success)
        };
        Reply {
            after: secs(after),
            outcome: Outcome::new(class),
        }
    }));
    for _ in 0..600 {
        play.schedule(&costs(1));
        play.run_until(play.now + Duration::from_millis(100));
    }
    assert_eq!(play.run(), Over::Idle);
    assert!(play.ends.values().all(|(end, _)| *end == End::Done));
    let wasted = moments(&play, &[0]).len();
    assert!(wasted < 30, "{wasted} attempts at a member that is down");
}

#[test]
fn a_refusal_pauses_its_account_alone() {
    let (mut play, costs) =
        World::new(&[(600, 1_000_000), (600, 1_000_000)]).play(&[0, 1], settings(Order::Packed));
    play.reply_by = Some(Box::new(|member, _, now| {
        let refused = member.index() == 0 && now < at(30.0);
        let retry_after = Some(secs(30.0));
        let class = if refused {
            Class::Refused {
                resource: None,
                retry_after,
            }
        } else {
            Class::Success
        };
        Reply {
            after: secs(0.1),
            outcome: Outcome::new(class),
        }
    }));
    for _ in 0..100 {
        play.schedule(&costs(1));
    }
    play.run_until(at(5.0));
    assert_eq!(
        play.ends.len(),
        100,
        "the other account takes what the first refuses"
    );
}

#[test]
fn what_rests_is_named() {
    let (mut play, costs) = World::new(&[(600, 1_000)]).play(&[0], settings(Order::Packed));
    play.reply_by = Some(Box::new(|_, _, now| {
        let retry_after = Some(secs(20.0));
        let class = if now < at(1.0) {
            Class::Overloaded { retry_after }
        } else {
            Class::Success
        };
        Reply {
            after: secs(0.1),
            outcome: Outcome::new(class),
        }
    }));
    play.schedule(&costs(1));
    assert_eq!(play.run(), Over::Idle);
    let named = play
        .waits
        .iter()
        .any(|(_, wait)| matches!(wait.on, WaitingOn::Member { told: true, .. }));
    assert!(named, "{:?}", play.waits);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Whatever the limits, the members and the sizes: no account's limit is passed, and every call that fits
    /// somewhere is done, though keys die on the way.
    #[test]
    fn no_limit_is_passed_and_no_call_lost(
        limits in prop::collection::vec((1_u32..40, 50_u32..400), 1..4),
        members in prop::collection::vec(0_usize..4, 1..5),
        tokens in prop::collection::vec(1_u32..400, 1..120),
        in_order: bool,
        dies in 0_usize..60,
    ) {
        let members: Vec<_> = members.iter().map(|account| account % limits.len()).collect();
        let order = if in_order { Order::InOrder } else { Order::Packed };
        let (mut play, costs) = World::new(&limits).play(&members, settings(order));
        let mut left = dies;
        let many = members.len() > 1;
        play.reply_by = Some(Box::new(move |member, _, _| {
            let dead = many && member.index() == 0 && left == 0;
            left = left.saturating_sub(1);
            let class = if dead { Class::Fatal } else { Class::Success };
            Reply { after: secs(0.3), outcome: Outcome::new(class) }
        }));
        // What the living accounts can take.
        let lasting = members.iter().skip(usize::from(many)).map(|account| limits[*account].1).max();
        let lasting = lasting.expect("a member");
        let fitting: Vec<_> = tokens.iter().copied().filter(|tokens| *tokens <= lasting).collect();
        for tokens in &fitting {
            play.schedule(&costs(*tokens));
        }
        prop_assert_eq!(play.run(), Over::Idle);
        prop_assert_eq!(play.ends.len(), fitting.len());
        prop_assert!(play.ends.values().all(|(end, _)| *end == End::Done));
        for (account, (requests, most)) in limits.iter().enumerate() {
            let ours = |member: Option<MemberId>| members[member.expect("a pool").index()] == account;
            let taken = |units: &dyn Fn(usize) -> u32| -> Vec<Charge> {
                let sent = play.sent.iter().filter(|sent| ours(sent.member));
                let charge = |at: Time, units: u32| Charge {
                    at, settled: at, dispatched: at, reserved: i64::from(units) * 1_000_000, used: i64::from(units) * 1_000_000,
                };
                sent.map(|sent| charge(sent.at, units(sent.call))).collect()
            };
            reference::check(&per_minute(*requests), true, &taken(&|_| 1));
            reference::check(&per_minute(*most), true, &taken(&|call| fitting[call]));
        }
    }
}

/// What a pool will come to is what it then comes to: its end, and what each account takes.
#[test]
fn the_plan_of_a_pool_is_what_it_does() {
    let limits = [(60, 90_000), (300, 1_000_000), (120, 20_000)];
    for (calls, tokens) in [(1_000, 100), (2_400, 1_000), (300, 15_000), (7, 10)] {
        let (mut play, costs) = World::new(&limits).play(&[0, 1, 1, 2], settings(Order::Packed));
        let costs = costs(tokens);
        let amounts: Vec<_> = costs.iter().map(|cost| cost.amount).collect();
        let mut load = Load::new(&play.limiter, play.scheduler.settings(), 100_000);
        for _ in 0..calls {
            assert_eq!(load.add(&amounts), None);
        }
        let plan = play
            .scheduler
            .plan(&play.limiter, &load, &Assumed::default(), START);
        for _ in 0..calls {
            play.schedule(&costs);
        }
        assert_eq!(play.run(), Over::Idle);
        let ends = play.ends.values().map(|(_, at)| *at).max().expect("calls");
        let (planned, took) = (plan.finish.as_secs_f64(), ends.since(START).as_secs_f64());
        assert!(
            (planned - took).abs() <= 0.02 * took + 1.0,
            "{calls} calls of {tokens}: planned {planned} s, took {took} s"
        );
        assert_eq!((plan.calls, plan.unfinished), (calls, 0));
        // The first resource of each account is its requests: they are charged to nobody else.
        let requests = plan.resources.iter().step_by(2);
        let charged: Vec<_> = requests
            .map(|it| usize::try_from(it.charged.as_micros() / 1_000_000).expect("not below zero"))
            .collect();
        let made = [&[0][..], &[1, 2], &[3]].map(|members| moments(&play, members).len());
        assert_eq!(charged.iter().sum::<usize>(), calls as usize);
        for (charged, made) in charged.into_iter().zip(made) {
            assert!(charged.abs_diff(made) <= made / 50 + 2, "{charged}, {made}");
        }
    }
}

/// A list too long to be played is taken to go on as its first part did.
#[test]
fn the_plan_of_a_long_list_is_that_of_its_beginning_carried_on() {
    let (play, costs) =
        World::new(&[(60, 90_000), (300, 1_000_000)]).play(&[0, 1], settings(Order::Packed));
    let amounts: Vec<_> = costs(10).iter().map(|cost| cost.amount).collect();
    let mut load = Load::new(&play.limiter, play.scheduler.settings(), 100_000);
    for _ in 0..36_000 {
        load.add(&amounts);
    }
    let plan = |steps_max| {
        let assumed = Assumed {
            steps_max,
            ..Assumed::default()
        };
        let plan = play.scheduler.plan(&play.limiter, &load, &assumed, START);
        (plan.finish.as_secs_f64(), plan.is_extrapolated)
    };
    let (whole, begun) = (plan(1_000_000), plan(8_000));
    assert!(!whole.1 && begun.1);
    assert!(
        (begun.0 / whole.0 - 1.0).abs() < 0.05,
        "{whole:?} {begun:?}"
    );
}

#[test]
fn a_call_has_to_fit_into_one_account() {
    let (play, costs) =
        World::new(&[(60, 100), (60, 1_000)]).play(&[0, 1], settings(Order::Packed));
    let mut load = Load::new(&play.limiter, play.scheduler.settings(), 100);
    let mut add = |tokens| {
        let amounts: Vec<_> = costs(tokens).iter().map(|cost| cost.amount).collect();
        load.add(&amounts)
            .map(|id| play.limiter.name(id).to_owned())
    };
    assert_eq!((add(100), add(1_000)), (None, None));
    assert_eq!(add(1_001).as_deref(), Some("tokens@1"), "that with most");
    assert_eq!(load.calls(), 2);
}

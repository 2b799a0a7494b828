//! Parts of a resource: each has its quota for itself, and nothing of one is seen in another.

use crate::play::{Over, Play, Reply, START, at, secs};
use proptest::prelude::*;
use rate_limited_core::{
    Amount, Class, Cost, Feedback, Input, Limiter, MaxConcurrent, Order, Outcome, Quota, Resource,
    ResourceId, Settings, Settlement, Time,
};
use std::time::Duration;

const MODELS: [&str; 3] = ["gpt-4o", "o3", "sonar"];

/// Calls of several models, of different sizes, and what becomes of them.
#[derive(Clone, Debug)]
struct World {
    tokens: Quota,
    order: Order,
    /// The model, the tokens, the share of them that is used in hundredths, and how long it takes in ms.
    calls: Vec<(usize, u32, u32, u32)>,
}

fn tokens() -> impl Strategy<Value = Quota> {
    let window = (100_u64..5_000).prop_map(Duration::from_millis);
    (100_u32..400, window, any::<bool>()).prop_map(|(units, window, is_bucket)| {
        let amount = Amount::units(units);
        if is_bucket {
            Quota::bucket(amount, window, amount)
        } else {
            Quota::per(amount, window)
        }
    })
}

prop_compose! {
    /// All calls of a model are alike: which of its calls go first is then no difference.
    fn worlds()(
        tokens in tokens(),
        order in prop_oneof![Just(Order::Packed), Just(Order::InOrder)],
        models in prop::collection::vec((1_u32..=100, 0_u32..=100, 1_u32..2_000), MODELS.len()),
        calls in prop::collection::vec(0..MODELS.len(), 1..60),
    ) -> World {
        let call = |model: usize| {
            let (bound, share, millis) = models[model];
            (model, bound, share, millis)
        };
        World { tokens, order, calls: calls.into_iter().map(call).collect() }
    }
}

fn settings(order: Order) -> Settings {
    Settings {
        order,
        max_concurrent: MaxConcurrent::Fixed(1_000),
        attempt_timeout: None,
        stall_limit: None,
        ..Settings::default()
    }
}

fn limiter(tokens: Quota) -> (Limiter, [ResourceId; 2]) {
    let mut limiter = Limiter::new(START);
    let requests = Resource::new("requests", Quota::per(Amount::units(10), secs(1.0)));
    let tokens = Resource::new("tokens", tokens).settlement(Settlement::Usage);
    let ids = [requests, tokens].map(|resource| limiter.add(resource).expect("sound"));
    (limiter, ids)
}

impl World {
    /// When each call of these models goes, in the order of scheduling, and how the books of all parts end.
    fn play(&self, models: &[usize]) -> (Vec<Time>, Vec<(Amount, Amount)>) {
        let (mut limiter, whole) = limiter(self.tokens);
        let parts = MODELS.map(|model| whole.map(|id| limiter.partition(id, model)));
        let ours = self.calls.iter().filter(|call| models.contains(&call.0));
        let ours: Vec<_> = ours.copied().collect();
        let calls = ours.clone();
        let mut play = Play::new(limiter, settings(self.order), move |call, _, _| {
            let (_, bound, share, millis) = calls[call];
            // What an answer tells of the resource is of the part that the attempt took from.
            let used = Cost::new(whole[1], Amount::units(bound * share / 100));
            Reply {
                after: Duration::from_millis(millis.into()),
                outcome: Outcome::new(Class::Success).with_usage(&[used]),
            }
        });
        for (model, bound, ..) in &ours {
            let units = [1, *bound].map(Amount::units);
            let costs = parts[*model].iter().zip(units);
            let costs: Vec<_> = costs.map(|(id, units)| Cost::new(*id, units)).collect();
            play.schedule(&costs);
        }
        assert_eq!(play.run(), Over::Idle);
        let mut went = vec![START; ours.len()];
        for sent in &play.sent {
            went[sent.call] = sent.at;
        }
        let whole = whole.map(|id| play.limiter.view(id, play.now));
        assert!(
            whole
                .iter()
                .all(|view| view.charged + view.held == Amount::ZERO)
        );
        let later = play.now;
        let books = parts.as_flattened().iter();
        let books = books.map(|id| play.limiter.view(*id, later));
        (went, books.map(|view| (view.charged, view.held)).collect())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    /// A model's calls go as they would if the other models were not there.
    #[test]
    fn a_part_goes_as_if_it_were_alone(world in worlds()) {
        let (all, _) = world.play(&[0, 1, 2]);
        for model in 0..MODELS.len() {
            let of_model = world.calls.iter().zip(&all).filter(|(call, _)| call.0 == model);
            let mut among: Vec<_> = of_model.map(|(_, at)| *at).collect();
            let (mut alone, books) = world.play(&[model]);
            // Calls of one moment may change places.
            among.sort_unstable();
            alone.sort_unstable();
            prop_assert_eq!(among, alone);
            for (place, (charged, held)) in books.into_iter().enumerate() {
                prop_assert_eq!(held, Amount::ZERO);
                prop_assert!(place / 2 == model || charged == Amount::ZERO);
            }
        }
    }

    /// Whatever is told of a resource at an attempt of one part changes nothing in the others.
    #[test]
    fn what_is_told_of_one_part_is_not_seen_in_another(
        tokens in tokens(),
        told in prop::collection::vec((0_u8..5, 0_u32..300, 1_u64..90), 1..30),
    ) {
        let (mut limiter, whole) = limiter(tokens);
        let [ours, other] = ["gpt-4o", "o3"].map(|model| whole.map(|id| limiter.partition(id, model)));
        let others = [whole, other];
        let fresh: Vec<_> = others.as_flattened().iter().map(|id| limiter.view(*id, START)).collect();
        let kinds = told.clone();
        let mut play = Play::new(limiter, settings(Order::Packed), move |call, number, _| {
            let (kind, units, wait) = kinds[call];
            let wait = Some(Duration::from_secs(wait));
            let outcome = match kind {
                0 if number < 3 => Outcome::new(Class::Refused { resource: Some(whole[0]), retry_after: wait }),
                1 if number < 3 => Outcome::new(Class::Refused { resource: Some(whole[1]), retry_after: None }),
                2 if number < 3 => Outcome::new(Class::Refused { resource: None, retry_after: wait }),
                3 => Outcome::new(Class::Permanent),
                _ => {
                    let used = Cost::new(whole[1], Amount::units(units));
                    Outcome::new(Class::Success).with_usage(&[used])
                }
            };
            Reply { after: Duration::from_millis(1), outcome }
        });
        for (_, units, _) in &told {
            let bound = Amount::units(units % 100 + 1);
            play.schedule(&[Cost::new(ours[0], Amount::units(1)), Cost::new(ours[1], bound)]);
        }
        play.run();
        let now = play.now;
        for (id, before) in others.as_flattened().iter().zip(fresh) {
            prop_assert_eq!(play.limiter.view(*id, now), before);
        }
    }
}

#[test]
fn what_an_answer_tells_is_of_the_part_that_its_attempt_took_from() {
    let (mut limiter, [requests, _]) = limiter(Quota::per(Amount::units(100), secs(1.0)));
    let parts = ["a", "b"].map(|model| limiter.partition(requests, model));
    let mut play = Play::new(limiter, settings(Order::Packed), |_, _, _| Reply {
        after: secs(1.0),
        outcome: Outcome::new(Class::Success),
    });
    play.schedule(&[Cost::new(parts[0], Amount::units(1))]);
    play.run_until(at(0.5));
    let feedback = Feedback {
        limit: Some(Amount::units(4)),
        ..Feedback::default()
    };
    let attempt = play.attempt(0);
    play.handle(Input::Feedback {
        resource: requests,
        attempt,
        feedback,
    });
    let limit = |play: &mut Play<'_>, id| play.limiter.view(id, at(0.5)).limit;
    let limits = [requests, parts[0], parts[1]].map(|id| limit(&mut play, id));
    assert_eq!(limits, [10, 4, 10].map(|units| Some(Amount::units(units))));
}

#[test]
fn a_part_has_its_own_quota_where_one_was_told_and_keeps_it() {
    let quota = |units| Quota::per_minute(Amount::units(units));
    let declared = Resource::new("tokens", quota(900))
        .quota_for("gpt-4o", quota(300))
        .quota_for("gpt-4o*", quota(600));
    let mut limiter = Limiter::new(START);
    let tokens = limiter.add(declared).expect("sound");
    let keys = ["gpt-4o", "gpt-4o-mini", "o3"];
    let parts = keys.map(|key| limiter.partition(tokens, key));
    let limits = |limiter: &mut Limiter| parts.map(|id| limiter.view(id, START).limit);
    let told = |units: [u32; 3]| units.map(|units| Some(Amount::units(units)));
    assert_eq!(limits(&mut limiter), told([300, 600, 900]));
    limiter
        .set_quota(tokens, quota(1_000), START)
        .expect("sound");
    assert_eq!(limits(&mut limiter), told([300, 600, 1_000]));
    let none = Resource::new("r", quota(1)).quota_for("x", quota(0));
    let refused = limiter.add(none).expect_err("no quota");
    assert!(refused.to_string().contains("r[x]"), "{refused}");
}

#[test]
fn a_past_is_taken_over_by_the_keys_of_the_parts() {
    let (mut limiter, [requests, _]) = limiter(Quota::per(Amount::units(100), secs(1.0)));
    let part = limiter.partition(requests, "a");
    limiter.replay(part, &[(START, Amount::units(3))], Time::default(), START);
    let snapshot = limiter.snapshot(START);
    let (mut later, [requests, _]) = self::limiter(Quota::per(Amount::units(100), secs(1.0)));
    // Made in another order.
    let [b, a] = ["b", "a"].map(|key| later.partition(requests, key));
    assert_eq!(later.restore(&snapshot, START), Vec::<String>::new());
    let charged = [requests, a, b].map(|id| later.view(id, START).charged);
    assert_eq!(charged, [0, 3, 0].map(Amount::units));
    assert_eq!(later.find("requests[a]"), Some(a));
}

#[test]
fn keys_without_number_share_one_part_in_the_end() {
    let (mut limiter, [requests, _]) = limiter(Quota::per(Amount::units(100), secs(1.0)));
    let parts: Vec<_> = (0..2_000)
        .map(|key| limiter.partition(requests, &key.to_string()))
        .collect();
    assert_eq!(parts[1_998], parts[1_999]);
    assert_ne!(parts[0], parts[1]);
    assert_eq!(limiter.name(parts[1_999]), "requests[others]");
    assert!(limiter.resources().count() <= 1_030);
}

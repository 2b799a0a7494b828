//! The judge's two verbs: what is charged, when, and what is told.

use rate_limited_sim::{
    Answer, ApiModel, Arrival, Charged, Counted, Latency, Limit, Outcome, Request, SimulatedApi,
    Ticket,
};
use std::time::Duration;

const SECOND: u64 = 1_000_000_000;

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn request(call: u64, bound: u64, usage: u64) -> Request {
    Request {
        call,
        attempt: 1,
        prompt_tokens: 1,
        bound_tokens: bound,
        usage_tokens: usage,
        ..Request::default()
    }
}

fn accepted(arrival: Arrival) -> (Ticket, u64, Outcome) {
    match arrival {
        Arrival::Accepted {
            ticket,
            ends_at,
            outcome,
        } => (ticket, ends_at, outcome),
        Arrival::Refused { limit, .. } => panic!("refused by {limit}"),
    }
}

fn refused(arrival: Arrival) -> (Option<Duration>, String) {
    match arrival {
        Arrival::Refused { retry_after, limit } => (retry_after, limit),
        Arrival::Accepted { .. } => panic!("accepted"),
    }
}

fn remaining(api: &mut SimulatedApi, now: u64) -> Vec<u64> {
    api.limits_view(now)
        .iter()
        .map(|limit| limit.remaining)
        .collect()
}

fn api_of_tokens(charged: Charged, counted: Counted) -> SimulatedApi {
    let tokens = Limit::tokens(1_000, secs(60))
        .charged(charged)
        .counted(counted);
    SimulatedApi::new(ApiModel::new(0).limit(tokens))
}

#[test]
fn limits_are_taken_all_or_none() {
    let model = ApiModel::new(0)
        .limit(Limit::requests(2, secs(60)))
        .limit(Limit::tokens(1_000, secs(10)));
    let mut api = SimulatedApi::new(model);
    let _ = accepted(api.arrive(0, &request(1, 900, 1)));
    assert_eq!(
        refused(api.arrive(SECOND, &request(2, 200, 1))),
        (Some(secs(9)), "tokens".into())
    );
    assert_eq!(remaining(&mut api, SECOND), [1, 100]);
    let _ = accepted(api.arrive(SECOND, &request(3, 100, 1)));
    // Both are full now: the one that has room last is named.
    assert_eq!(
        refused(api.arrive(SECOND, &request(4, 1, 1))),
        (Some(secs(59)), "requests".into())
    );
    assert_eq!((api.stats().arrivals, api.stats().refusals), (4, 2));
}

#[test]
fn several_limits_on_one_unit_stand_side_by_side() {
    let model = ApiModel::new(0)
        .limit(Limit::requests(2, secs(1)))
        .limit(Limit::requests(3, secs(60)).named("per_minute"));
    let mut api = SimulatedApi::new(model);
    for call in 0..3 {
        let _ = accepted(api.arrive(call * SECOND, &request(call, 1, 1)));
    }
    assert_eq!(
        refused(api.arrive(3 * SECOND, &request(4, 1, 1))).1,
        "per_minute"
    );
}

#[test]
fn tokens_are_charged_by_bound_by_usage_or_by_both() {
    for (charged, before, after) in [
        (Charged::Bound, 400, 400),
        (Charged::Usage, 900, 900),
        (Charged::Reserve, 400, 900),
    ] {
        let mut api = api_of_tokens(charged, Counted::Arrival);
        let (ticket, ..) = accepted(api.arrive(0, &request(1, 600, 100)));
        assert_eq!(remaining(&mut api, 0), [before], "{charged:?}");
        let answer = api.complete(SECOND, ticket);
        assert_eq!(answer.usage_tokens, 100);
        assert_eq!(remaining(&mut api, SECOND), [after], "{charged:?}");
        assert_eq!(api.stats().limits[0].work, 1_000 - after);
    }
}

#[test]
fn a_correction_lies_where_its_charge_lies() {
    let mut api = api_of_tokens(Charged::Reserve, Counted::Arrival);
    let (ticket, ..) = accepted(api.arrive(0, &request(1, 600, 300)));
    api.complete(59 * SECOND, ticket);
    assert_eq!(remaining(&mut api, 60 * SECOND - 1), [700]);
    assert_eq!(remaining(&mut api, 60 * SECOND), [1_000]);

    let (ticket, ..) = accepted(api.arrive(100 * SECOND, &request(2, 600, 300)));
    api.complete(200 * SECOND, ticket);
    assert_eq!(remaining(&mut api, 200 * SECOND), [1_000]);
}

#[test]
fn usage_above_its_bound_is_a_debt() {
    let mut api = api_of_tokens(Charged::Reserve, Counted::Arrival);
    let (ticket, ..) = accepted(api.arrive(0, &request(1, 600, 1_500)));
    api.complete(SECOND, ticket);
    assert_eq!(
        refused(api.arrive(2 * SECOND, &request(2, 0, 0))).0,
        Some(secs(58))
    );
    assert!((api.stats().limits[0].worst_window - 1.5).abs() < 1e-9);
}

#[test]
fn counted_at_completion_calls_in_flight_are_not_seen() {
    let mut api = api_of_tokens(Charged::Usage, Counted::Completion);
    let (first, ..) = accepted(api.arrive(0, &request(1, 600, 600)));
    let (second, ..) = accepted(api.arrive(0, &request(2, 600, 600)));
    api.complete(SECOND, first);
    let (third, ..) = accepted(api.arrive(SECOND, &request(3, 600, 600)));
    api.complete(2 * SECOND, second);
    assert_eq!(
        refused(api.arrive(2 * SECOND, &request(4, 1, 1))).0,
        Some(secs(59))
    );
    api.complete(3 * SECOND, third);
    assert_eq!(api.stats().limits[0].largest, 1_800);
}

#[test]
fn refusals_count_where_the_model_says_so() {
    let model = ApiModel::new(0)
        .limit(Limit::requests(1, secs(60)))
        .refusals_count(true);
    let mut api = SimulatedApi::new(model);
    let _ = accepted(api.arrive(0, &request(1, 1, 1)));
    assert_eq!(
        refused(api.arrive(30 * SECOND, &request(2, 1, 1))).0,
        Some(secs(60))
    );
    assert_eq!(
        refused(api.arrive(60 * SECOND, &request(2, 1, 1))).0,
        Some(secs(60))
    );
    let _ = accepted(api.arrive(120 * SECOND, &request(2, 1, 1)));
    assert_eq!(api.stats().limits[0].work, 2);
}

#[test]
fn a_request_above_the_whole_quota_is_told_no_moment() {
    let mut api = api_of_tokens(Charged::Bound, Counted::Arrival);
    assert_eq!(
        refused(api.arrive(0, &request(1, 1_001, 1))),
        (None, "tokens".into())
    );
}

#[test]
fn retry_after_is_told_only_where_the_model_says_so() {
    let model = ApiModel::new(0)
        .limit(Limit::requests(1, secs(60)))
        .retry_after(false);
    let mut api = SimulatedApi::new(model);
    let _ = accepted(api.arrive(0, &request(1, 1, 1)));
    assert_eq!(refused(api.arrive(0, &request(2, 1, 1))).0, None);
}

#[test]
fn draws_do_not_depend_on_the_order() {
    let model = ApiModel::new(9)
        .latency(Latency::Lognormal {
            median: secs(1),
            sigma: 0.5,
        })
        .failure_rate(0.5);
    let run = |calls: &mut dyn Iterator<Item = u64>| {
        let mut api = SimulatedApi::new(model.clone());
        let mut seen: Vec<_> = calls
            .map(|call| {
                let (_, ends_at, outcome) = accepted(api.arrive(0, &request(call, 1, 1)));
                (call, ends_at, outcome == Outcome::Success)
            })
            .collect();
        seen.sort_unstable();
        seen
    };
    let seen = run(&mut (0..1_000));
    assert_eq!(seen, run(&mut (0..1_000).rev()));
    let successes = seen.iter().filter(|(.., success)| *success).count();
    assert!((400..600).contains(&successes), "{successes}");
    let slower = seen
        .iter()
        .filter(|(_, ends_at, _)| *ends_at > SECOND)
        .count();
    assert!((400..600).contains(&slower), "{slower}");
}

#[test]
fn failures_are_charged_unless_the_model_says_otherwise() {
    for (count, work) in [(true, [1, 600]), (false, [0, 0])] {
        let model = ApiModel::new(0)
            .limit(Limit::requests(10, secs(60)))
            .limit(Limit::tokens(1_000, secs(60)).charged(Charged::Reserve))
            .failure_rate(1.0)
            .failures_count(count);
        let mut api = SimulatedApi::new(model);
        let (ticket, ..) = accepted(api.arrive(0, &request(1, 600, 100)));
        let answer = api.complete(0, ticket);
        let failed = Answer {
            outcome: Outcome::Failure(503),
            prompt_tokens: 1,
            usage_tokens: 0,
        };
        assert_eq!(answer, failed);
        let stats = api.stats();
        assert_eq!((stats.failures, stats.in_flight), (1, 0));
        assert_eq!([stats.limits[0].work, stats.limits[1].work], work);
    }
}

#[test]
fn an_outage_fails_everything_at_once_and_charges_nothing() {
    let model = ApiModel::new(0)
        .limit(Limit::requests(1, secs(60)))
        .latency(Latency::Constant(secs(5)))
        .outage(secs(10)..secs(20));
    let mut api = SimulatedApi::new(model);
    for now in [10 * SECOND, 20 * SECOND - 1] {
        let (ticket, ends_at, outcome) = accepted(api.arrive(now, &request(1, 1, 1)));
        assert_eq!((ends_at, outcome), (now, Outcome::Failure(503)));
        api.complete(now, ticket);
    }
    let (_, ends_at, outcome) = accepted(api.arrive(20 * SECOND, &request(1, 1, 1)));
    assert_eq!((ends_at, outcome), (25 * SECOND, Outcome::Success));
    assert_eq!(api.stats().limits[0].work, 1);
}

#[test]
fn a_status_of_the_model_is_what_everyone_gets() {
    let mut api = SimulatedApi::new(ApiModel::new(0).status(401));
    assert_eq!(
        accepted(api.arrive(0, &request(1, 1, 1))).2,
        Outcome::Failure(401)
    );
}

#[test]
fn the_optimum_is_that_of_the_limit_that_binds() {
    let model = ApiModel::new(0)
        .limit(Limit::requests(2, secs(60)))
        .limit(Limit::tokens(100, secs(1)).bucket(1_000))
        .latency(Latency::Constant(secs(3)));
    let mut api = SimulatedApi::new(model);
    assert_eq!(api.optimum(), secs(3));
    for call in 0..5 {
        let _ = accepted(api.arrive(call * 60 * SECOND, &request(call, 100, 1)));
    }
    assert_eq!(api.optimum(), secs(2 * 60 + 3));
}

#[test]
fn time_does_not_run_backwards() {
    let mut api = SimulatedApi::new(ApiModel::new(0).limit(Limit::requests(1, secs(60))));
    let _ = accepted(api.arrive(10 * SECOND, &request(1, 1, 1)));
    assert_eq!(
        refused(api.arrive(SECOND, &request(2, 1, 1))).0,
        Some(secs(60))
    );
}

#[test]
fn a_million_arrivals_are_judged_in_a_blink() {
    let model = ApiModel::new(0)
        .limit(Limit::requests(300_000, secs(60)))
        .limit(Limit::tokens(30_000_000, secs(60)).charged(Charged::Reserve));
    let mut api = SimulatedApi::new(model);
    for call in 0..1_000_000 {
        if let Arrival::Accepted {
            ticket, ends_at, ..
        } = api.arrive(call * 150_000, &request(call, 120, 60))
        {
            api.complete(ends_at, ticket);
        }
    }
    let stats = api.stats();
    assert_eq!((stats.arrivals, stats.in_flight_peak), (1_000_000, 1));
    assert!(stats.refusals > 0 && stats.limits.iter().all(|limit| limit.worst_window <= 1.0));
}

//! Real schedulers in the virtual world.

use proptest::prelude::*;
use rate_limited_core::{
    Amount, Anchor as ToldAnchor, Failure, Input, MaxConcurrent, Order, Quota, Resource, Settings,
    Stop, Time,
};
use rate_limited_sim::world::{Call, End, Event, Report, RunEnd, What, World, WorldError};
use rate_limited_sim::{Anchor, ApiModel, Charged, Counted, Latency, Limit, Unit};
use std::time::Duration;

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn call(bound_tokens: u64, usage_tokens: u64) -> Call {
    Call {
        prompt_tokens: 1,
        bound_tokens,
        usage_tokens,
        ..Call::default()
    }
}

/// One run of these calls, all known at the start.
fn world(mut world: World, calls: impl IntoIterator<Item = Call>) -> World {
    let run = world.add_run(Settings::default());
    for planned in calls {
        world.call(run, planned);
    }
    world
}

fn all_done(report: &Report) -> bool {
    report.calls.iter().all(|call| call.end == End::Done)
        && report.completions.len() == report.calls.len()
}

fn slowness(report: &Report) -> f64 {
    report.makespan.as_secs_f64() / report.optimum.as_secs_f64()
}

fn half_a_second() -> Latency {
    Latency::Lognormal {
        median: Duration::from_millis(500),
        sigma: 0.4,
    }
}

#[test]
fn limits_told_right_are_filled_and_not_passed() {
    let minute = secs(60);
    let limits = [
        Limit::requests(100, minute),
        Limit::requests(100, minute).fixed(Anchor::FirstRequest),
        Limit::requests(100, minute).fixed(Anchor::Aligned),
        Limit::requests(100, minute).fixed(Anchor::At(secs(17))),
        Limit::requests(100, minute).bucket(20),
        Limit::tokens(10_000, minute).charged(Charged::Reserve),
        Limit::tokens(10_000, minute)
            .charged(Charged::Usage)
            .counted(Counted::Completion),
    ];
    for limit in limits {
        let model = ApiModel::new(3)
            .limit(limit.clone())
            .latency(half_a_second());
        let report = world(World::told_right(model), vec![call(100, 100); 500])
            .run()
            .unwrap();
        assert!(all_done(&report));
        assert_eq!(report.refusals, 0, "{limit:?}");
        assert!(report.stats.limits[0].worst_window <= 1.0, "{limit:?}");
        let slowness = slowness(&report);
        assert!(slowness <= 1.02, "{limit:?}: {slowness}");
    }
}

#[test]
fn the_same_plan_is_played_alike_and_another_seed_is_not() {
    let plan = |seed| {
        let model = ApiModel::new(seed)
            .limit(Limit::requests(50, secs(10)))
            .latency(Latency::Uniform {
                min: secs(1),
                max: secs(2),
            })
            .failure_rate(0.1);
        world(World::told_right(model), vec![call(1, 1); 300])
    };
    let (first, again) = (plan(1).run().unwrap(), plan(1).run().unwrap());
    assert_eq!(first.trace, again.trace);
    assert_eq!(first.trace_hash, again.trace_hash);
    assert_ne!(first.trace_hash, plan(2).run().unwrap().trace_hash);
    let hashed = plan(1).keeps_trace(false).run().unwrap();
    assert_eq!(
        (hashed.trace_hash, hashed.trace.len()),
        (first.trace_hash, 0)
    );
}

#[test]
fn two_runs_share_one_limiter() {
    let model = ApiModel::new(5)
        .limit(Limit::requests(100, secs(60)))
        .latency(half_a_second());
    let mut world = World::told_right(model);
    for _ in 0..2 {
        let run = world.add_run(Settings::default());
        for _ in 0..200 {
            world.call(run, call(1, 1));
        }
    }
    let report = world.run().unwrap();
    assert!(all_done(&report));
    assert_eq!(report.refusals, 0);
    assert!(slowness(&report) < 1.03, "{}", slowness(&report));
    for run in 0..2 {
        let early = |call: &&rate_limited_sim::world::CallReport| {
            call.run == run && call.started < Some(secs(100))
        };
        let share = report.calls.iter().filter(early).count();
        assert!(
            (75..=125).contains(&share),
            "run {run} got {share} of the first 200"
        );
    }
}

#[test]
fn calls_that_fail_are_tried_again_and_then_given_up() {
    let model = ApiModel::new(1)
        .failure_rate(1.0)
        .latency(Latency::Constant(secs(1)));
    let report = world(World::new(model), vec![call(1, 1)]).run().unwrap();
    assert_eq!(report.calls[0].end, End::Failed(Failure::Attempts));
    assert_eq!(
        (report.calls[0].attempts, report.runs[0]),
        (6, RunEnd::Idle)
    );
    assert!(report.completions.is_empty());
}

#[test]
fn an_outage_is_outlived() {
    let model = ApiModel::new(1)
        .limit(Limit::requests(100, secs(10)))
        .latency(Latency::Constant(secs(1)))
        .outage(secs(20)..secs(320));
    let report = world(World::told_right(model), vec![call(1, 1); 1_000])
        .run()
        .unwrap();
    assert!(
        all_done(&report),
        "{:?}",
        report.calls.iter().find(|call| call.end != End::Done)
    );
    assert!(
        report.makespan > secs(320) && report.makespan < secs(500),
        "{:?}",
        report.makespan
    );
}

#[test]
fn a_bad_key_stops_the_run() {
    let model = ApiModel::new(1).status(401);
    let report = world(World::new(model), vec![call(1, 1); 1_000])
        .run()
        .unwrap();
    assert_eq!(report.runs, [RunEnd::Stopped(Stop::Fatal)]);
    assert!(report.calls.iter().any(|call| call.end == End::Unfinished));
}

#[test]
fn clients_that_know_nothing_are_refused_and_still_come_through() {
    let model = ApiModel::new(1)
        .limit(Limit::requests(50, secs(10)))
        .latency(Latency::Constant(secs(1)));
    let mut world = world(World::new(model), vec![call(1, 1); 200]);
    world.resource(
        Resource::new("requests", Quota::per(Amount::units(500), secs(10))),
        Unit::Requests,
    );
    let report = world.run().unwrap();
    assert!(all_done(&report));
    assert!(report.refusals > 0);
    let refusals: u32 = report.calls.iter().map(|call| call.refusals).sum();
    assert_eq!(report.refusals, u64::from(refusals));
}

#[test]
fn calls_that_can_never_fit_are_told_at_once() {
    let model = ApiModel::new(1).limit(Limit::tokens(1_000, secs(60)));
    let report = world(World::told_right(model), [call(1_001, 1), call(1_000, 1)])
        .run()
        .unwrap();
    assert!(matches!(report.calls[0].end, End::Rejected(_)));
    assert_eq!(report.calls[1].end, End::Done);
    assert_eq!(report.trace[0].what, What::Rejected);
}

#[test]
fn a_run_can_be_stopped_and_resumed() {
    let model = ApiModel::new(1)
        .limit(Limit::requests(10, secs(60)))
        .latency(Latency::Constant(secs(1)));
    let mut world = world(World::told_right(model), vec![call(1, 1); 30]);
    world.input_at(0, secs(30), Input::Stop);
    let stopped = world.run().unwrap();
    assert_eq!(stopped.runs, [RunEnd::Stopped(Stop::Asked)]);
    assert_eq!(stopped.completions.len(), 10);
    world.input_at(0, secs(3_600), Input::Resume);
    let resumed = world.run().unwrap();
    assert!(all_done(&resumed) && resumed.makespan > secs(3_600));
}

#[test]
fn calls_may_come_while_others_run() {
    let model = ApiModel::new(1)
        .limit(Limit::requests(10, secs(10)))
        .latency(Latency::Constant(secs(1)));
    let mut world = world(World::told_right(model), []);
    for second in 0..60 {
        world.call_at(0, secs(second), call(1, 1));
    }
    let report = world.run().unwrap();
    assert!(all_done(&report));
    assert!(
        report
            .calls
            .iter()
            .zip(0..)
            .all(|(call, at)| call.started >= Some(secs(at)))
    );
    assert_eq!(report.overtakes_max, 0);
}

#[test]
fn a_late_answer_still_wins() {
    let model = ApiModel::new(1).latency(Latency::Constant(secs(30)));
    let mut world = World::new(model);
    let settings = Settings {
        attempt_timeout: Some(secs(20)),
        ..Settings::default()
    };
    let run = world.add_run(settings);
    world.call(run, call(1, 1));
    let report = world.run().unwrap();
    assert!(all_done(&report));
    assert!(report.makespan < secs(31), "{:?}", report.makespan);
    assert!(
        report
            .trace
            .iter()
            .any(|event| event.what == What::Abandoned)
    );
}

#[test]
fn a_run_that_nobody_can_wake_is_found_out() {
    let mut world = world(World::new(ApiModel::new(1)), vec![call(1, 1); 3]);
    let end = Time::PROCESS_START + secs(10);
    // A calendar of which nobody tells the further windows.
    let anchor = ToldAnchor::Calendar {
        start: Time::PROCESS_START,
        end,
        next: end,
    };
    let quota = Quota::FixedWindow {
        amount: Amount::units(1),
        window: secs(10),
        anchor,
    };
    world.resource(Resource::new("daily", quota), Unit::Requests);
    assert!(world.run().is_err());
}

#[test]
fn the_horizon_ends_what_has_no_end() {
    let model = ApiModel::new(1).limit(Limit::requests(1, secs(86_400)));
    let mut world = world(World::told_right(model), vec![call(1, 1); 30]);
    let error = world.horizon(secs(10 * 86_400)).run().unwrap_err();
    assert!(matches!(error, WorldError::Endless { .. }), "{error}");
}

fn limits() -> impl Strategy<Value = Vec<Limit>> {
    let requests = (5_u64..40, 1_u64..20, 0..5).prop_map(|(quota, window, kind)| {
        kind_of(Limit::requests(quota, secs(window)), kind, quota)
    });
    let tokens = (500_u64..4_000, 1_u64..20, 0..5, any::<bool>());
    let tokens = tokens.prop_map(|(quota, window, kind, reserve)| {
        // What is given back may be on its way to the client while another request is on its way to
        // the API. Only where each charge has a moment of its own does that never count twice.
        let charged = if reserve && kind < 2 {
            Charged::Reserve
        } else {
            Charged::Bound
        };
        kind_of(Limit::tokens(quota, secs(window)), kind, quota).charged(charged)
    });
    (requests, tokens).prop_map(|(requests, tokens)| vec![requests, tokens])
}

fn kind_of(limit: Limit, kind: i32, burst: u64) -> Limit {
    match kind {
        0 | 1 => limit,
        2 => limit.fixed(Anchor::FirstRequest),
        3 => limit.fixed(Anchor::Aligned),
        _ => limit.bucket(burst),
    }
}

fn settings() -> impl Strategy<Value = Settings> {
    (1_u32..100, any::<bool>(), any::<u64>()).prop_map(|(slots, in_order, seed)| Settings {
        order: if in_order {
            Order::InOrder
        } else {
            Order::Packed
        },
        max_concurrent: MaxConcurrent::Fixed(slots),
        seed,
        ..Settings::default()
    })
}

/// Plays these calls, dealt to these runs, with all limits told right: every call must end, once, and
/// none may be refused.
fn check_told_right(model: ApiModel, runs: Vec<Settings>, calls: &[(u64, u64, usize)]) {
    let mut world = World::told_right(model);
    let runs: Vec<usize> = runs
        .into_iter()
        .map(|settings| world.add_run(settings))
        .collect();
    for (bound, share, run) in calls {
        world.call(runs[run % runs.len()], call(*bound, bound * share / 100));
    }
    let report = world.run().unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(report.refusals, 0, "first at {:?}", first_refusal(&report));
    for call in &report.calls {
        assert!(
            matches!(call.end, End::Done | End::Failed(Failure::Attempts)),
            "{call:?}"
        );
    }
}

fn first_refusal(report: &Report) -> Option<&Event> {
    report
        .trace
        .iter()
        .find(|event| event.what == What::Refused)
}

fn models() -> impl Strategy<Value = ApiModel> {
    let failure_rate = prop_oneof![Just(0.0), 0.0..0.2];
    (limits(), any::<u64>(), failure_rate).prop_map(|(limits, seed, failure_rate)| {
        let model = limits
            .into_iter()
            .fold(ApiModel::new(seed), ApiModel::limit);
        model.latency(half_a_second()).failure_rate(failure_rate)
    })
}

/// Bound, usage in percent of it, and a number by which the run is chosen.
fn calls() -> impl Strategy<Value = Vec<(u64, u64, usize)>> {
    prop::collection::vec((1_u64..500, 0_u64..=100, 0_usize..4), 1..120)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: ProptestConfig::default().cases / 4,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn told_the_truth_a_run_is_never_refused(model in models(), run in settings(), calls in calls()) {
        check_told_right(model, vec![run], &calls);
    }

    #[test]
    fn told_the_truth_runs_that_share_are_never_refused(
        model in models(),
        runs in prop::collection::vec(settings(), 2..4),
        calls in calls(),
    ) {
        check_told_right(model, runs, &calls);
    }
}

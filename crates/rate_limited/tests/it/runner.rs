//! A runner over plain async functions, on tokio's paused clock where time matters.

use rate_limited::{
    AttemptError, Backoff, CallResult, Class, Order, Quota, Resource, RunError, Runner,
    ScheduleError,
};
use std::io::{Error, ErrorKind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::time::{Instant, sleep};

fn values<T: Clone>(results: &[CallResult<T>]) -> Vec<Option<T>> {
    results.iter().map(|result| result.value.clone()).collect()
}

async fn double(n: u32) -> Result<u32, Error> {
    Ok(n * 2)
}

#[tokio::test(start_paused = true)]
async fn results_come_in_the_order_of_scheduling() {
    let slow_first = |n: u32| async move {
        sleep(Duration::from_millis(u64::from(100 - n))).await;
        Ok::<_, Error>(n)
    };
    let mut runner = Runner::new(slow_first).tokio_clock();
    for n in 0..100 {
        assert_eq!(runner.schedule(n).expect("it fits"), u64::from(n));
    }
    let results = runner.run().await.expect("a sound runner");
    assert_eq!(values(&results), (0..100).map(Some).collect::<Vec<_>>());
    assert!(
        results
            .iter()
            .all(|result| result.finished && result.attempts == 1)
    );
}

#[tokio::test(start_paused = true)]
async fn a_limit_is_filled_and_never_passed() {
    let mut runner = Runner::new(double)
        .resource(Resource::per("requests", 10, Duration::from_secs(2)))
        .tokio_clock();
    for n in 0..40 {
        runner.schedule(n).expect("it fits");
    }
    let start = Instant::now();
    runner.run().await.expect("a sound runner");
    let took = start.elapsed();
    // Three more windows, each with its guard of 0.4 %; timers of tokio are a millisecond coarse.
    assert!(took >= Duration::from_millis(6_024), "{took:?}");
    assert!(took <= Duration::from_millis(6_030), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn usage_gives_back_what_was_not_used() {
    let mut runner = Runner::new(|n: u64| async move { Ok::<_, Error>(n) })
        .resource(
            Resource::per("tokens", 1_000, Duration::from_secs(60))
                .cost(|_| 500_u32)
                .usage(|_, used| *used),
        )
        .tokio_clock();
    for _ in 0..10 {
        runner.schedule(50).expect("it fits");
    }
    let start = Instant::now();
    runner.run().await.expect("a sound runner");
    assert!(
        start.elapsed() < Duration::from_secs(1),
        "10 × 50 fit into one window"
    );
}

#[tokio::test(start_paused = true)]
async fn every_error_of_a_call_is_kept() {
    let tries = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&tries);
    let flaky = move |(): ()| {
        let attempt = counted.fetch_add(1, Ordering::SeqCst);
        async move {
            match attempt {
                0 => Err(Error::new(ErrorKind::ConnectionReset, "reset")),
                1 => panic!("bad luck"),
                2 => std::future::pending().await,
                3 => Ok(-1),
                _ => Ok(7),
            }
        }
    };
    let mut runner = Runner::new(flaky)
        .validate(|answer| *answer > 0)
        .attempt_timeout(Some(Duration::from_secs(10)))
        .tokio_clock();
    runner.schedule(()).expect("it fits");
    let results = runner.run().await.expect("a sound runner");
    let CallResult {
        value,
        errors,
        attempts,
        ..
    } = &results[0];
    assert_eq!((*value, *attempts), (Some(7), 5));
    assert!(matches!(&errors[0], AttemptError::Failed(error) if error.to_string() == "reset"));
    assert!(matches!(&errors[1], AttemptError::Panicked(text) if text == "bad luck"));
    assert!(matches!(&errors[2], AttemptError::TimedOut(limit) if limit.as_secs() == 10));
    assert!(matches!(&errors[3], AttemptError::Invalid(-1)));
    assert_eq!(errors.len(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_uses_up_its_retries_fails_with_all_errors() {
    let mut runner = Runner::new(|(): ()| async { Err::<(), _>("no") })
        .max_retries(2)
        .tokio_clock();
    runner.schedule(()).expect("it fits");
    let results = runner.run().await.expect("a sound runner");
    assert_eq!(
        (
            results[0].value,
            results[0].errors.len(),
            results[0].finished
        ),
        (None, 3, true)
    );
}

#[tokio::test(start_paused = true)]
async fn validators_are_joined_by_and_and_the_first_refusal_ends_the_asking() {
    let asked = Arc::new(AtomicU32::new(0));
    let second = Arc::clone(&asked);
    let mut runner = Runner::new(double)
        .validate(|answer| *answer > 10)
        .validate(move |_| second.fetch_add(1, Ordering::SeqCst) > 100)
        .max_retries(1)
        .tokio_clock();
    runner.schedule(1).expect("it fits");
    runner.schedule(10).expect("it fits");
    let results = runner.run().await.expect("a sound runner");
    assert_eq!(values(&results), [None, None]);
    assert_eq!(
        asked.load(Ordering::SeqCst),
        2,
        "only answers that the first accepts"
    );
}

#[tokio::test(start_paused = true)]
async fn a_validator_that_panics_does_not_accept() {
    let mut runner = Runner::new(double)
        .validate(|_| panic!("oops"))
        .max_retries(0)
        .tokio_clock();
    runner.schedule(1).expect("it fits");
    let results = runner.run().await.expect("a sound runner");
    assert!(matches!(results[0].errors[..], [AttemptError::Invalid(2)]));
}

#[tokio::test(start_paused = true)]
async fn errors_mean_what_the_classifier_says() {
    #[derive(Debug)]
    struct Status(u16);
    impl std::fmt::Display for Status {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            write!(f, "status {}", self.0)
        }
    }
    impl std::error::Error for Status {}
    let calls = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&calls);
    let server = move |n: u32| {
        let number = counted.fetch_add(1, Ordering::SeqCst);
        async move {
            match n {
                0 => Err(Status(400)),
                1 if number < 3 => Err(Status(429)),
                _ => Ok(n),
            }
        }
    };
    let mut runner = Runner::new(server)
        .resource(Resource::per_minute("requests", 100))
        .classify(|error, resources| match error.downcast_ref::<Status>() {
            Some(Status(429)) => Class::Refused {
                resource: resources.find("requests"),
                retry_after: Some(Duration::from_secs(5)),
            },
            Some(Status(400)) => Class::Permanent,
            _ => Class::Failure,
        })
        .max_retries(0)
        .tokio_clock();
    runner.schedule(0).expect("it fits");
    runner.schedule(1).expect("it fits");
    let start = Instant::now();
    let results = runner.run().await.expect("a sound runner");
    assert_eq!(values(&results), [None, Some(1)]);
    assert_eq!(results[0].attempts, 1);
    assert!(matches!(results[1].errors[0], AttemptError::Refused(_)));
    assert!(start.elapsed() >= Duration::from_secs(5));
}

#[tokio::test(start_paused = true)]
async fn what_can_never_fit_is_refused_when_scheduled() {
    let mut runner = Runner::new(double)
        .resource(Resource::per_minute("tokens", 10).cost(|n: &u32| *n))
        .tokio_clock();
    let error = runner.schedule(11).expect_err("too much");
    assert!(
        error.to_string().contains("exceeds resource quota"),
        "{error}"
    );
    assert_eq!(runner.schedule(3).expect("it fits"), 0);
    assert_eq!(
        values(&runner.run().await.expect("a sound runner")),
        [Some(6)]
    );
}

#[test]
fn bad_numbers_are_refused_with_a_clear_sentence() {
    let schedule = |resource| {
        let mut runner = Runner::new(double).resource(resource);
        runner.schedule(1).expect_err("a bad resource").to_string()
    };
    let zero = schedule(Resource::per_minute("requests", 0));
    assert!(
        zero.contains("`requests`") && zero.contains("above 0"),
        "{zero}"
    );
    let nan = schedule(Resource::per_minute("requests", f64::NAN));
    assert!(nan.contains("`requests`") && nan.contains("NaN"), "{nan}");
    let negative = schedule(Resource::per_minute("requests", -1));
    assert!(negative.contains("negative"), "{negative}");
    let huge = schedule(Resource::per_minute("requests", u64::MAX));
    assert!(huge.contains("at most 9223372036854"), "{huge}");
    let window = schedule(Resource::per("requests", 1, Duration::ZERO));
    assert!(window.contains("400 days"), "{window}");
    let cost = schedule(Resource::per_minute("requests", 1).cost(|_| -0.5));
    assert!(cost.contains("bad cost of `requests`"), "{cost}");
    let mut twice = Runner::new(double)
        .resource(Resource::per_minute("requests", 1))
        .resource(Resource::per_minute("requests", 2));
    let error = twice.schedule(1).expect_err("one name for two");
    assert!(matches!(error, ScheduleError::Config(_)));
    assert!(
        error
            .to_string()
            .contains("two resources are named `requests`"),
        "{error}"
    );
    assert!(matches!(twice.run_blocking(), Err(RunError::Config(_))));
}

#[test]
fn a_blocking_run_needs_no_runtime_and_refuses_to_block_one() {
    let mut runner = Runner::new(double);
    runner.schedule(4).expect("it fits");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let inside = runtime.block_on(async { runner.run_blocking().map(|_| ()) });
    let error = inside.expect_err("it would block the runtime");
    assert!(error.to_string().contains("run().await"), "{error}");
    assert_eq!(values(&runner.run_blocking().expect("outside")), [Some(8)]);
}

#[tokio::test]
async fn no_calls_no_results() {
    let mut runner = Runner::new(double);
    assert!(runner.run().await.expect("a sound runner").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_runner_runs_again_with_what_was_scheduled_since() {
    let mut runner = Runner::new(double).tokio_clock();
    runner.schedule(1).expect("it fits");
    assert_eq!(
        values(&runner.run().await.expect("a sound runner")),
        [Some(2)]
    );
}

#[tokio::test(start_paused = true)]
async fn slots_spacing_buckets_and_budgets_work_through_the_runner() {
    const SECOND: Duration = Duration::from_secs(1);
    let took = async |quota: Quota| {
        let mut runner = Runner::new(async |n: u32| {
            sleep(SECOND).await;
            Ok::<_, Error>(n)
        })
        .resource(Resource::new("r", quota).guard(Duration::ZERO))
        .tokio_clock();
        for n in 0..4 {
            runner.schedule(n).expect("it fits");
        }
        let start = Instant::now();
        let results = runner.run().await.expect("a sound runner");
        let done = results
            .iter()
            .filter(|result| result.value.is_some())
            .count();
        (start.elapsed().as_millis() / 100, done)
    };
    let one = rate_limited::Amount::units(1);
    let two = rate_limited::Amount::units(2);
    assert_eq!(took(Quota::slots(two)).await, (20, 4));
    assert_eq!(
        took(Quota::Spacing {
            interval: 2 * SECOND
        })
        .await,
        (70, 4)
    );
    assert_eq!(took(Quota::bucket(one, 3 * SECOND, two)).await, (70, 4));
    assert_eq!(took(Quota::Budget { amount: two }).await, (10, 2));
}

#[tokio::test(start_paused = true)]
async fn a_deadline_ends_a_run_with_what_is_done() {
    let mut runner = Runner::new(double)
        .resource(Resource::per("requests", 1, Duration::from_secs(10)))
        .deadline(Some(Duration::from_secs(25)))
        .backoff(Backoff::default())
        .order(Order::InOrder)
        .tokio_clock();
    for n in 0..10 {
        runner.schedule(n).expect("it fits");
    }
    let results = runner.run().await.expect("a sound runner");
    assert_eq!(values(&results[..3]), [Some(0), Some(2), Some(4)]);
    assert!(results[3..].iter().all(|result| !result.finished));
    assert_eq!(runner.stopped(), Some(rate_limited::Stop::Deadline));
}

#[tokio::test(start_paused = true)]
async fn a_failed_attempt_takes_what_its_error_tells() {
    let sent = async |told: Option<u32>| {
        let attempts = Arc::new(AtomicU32::new(0));
        let counter = Arc::clone(&attempts);
        let mut runner = Runner::new(move |_: u32| {
            counter.fetch_add(1, Ordering::SeqCst);
            async { Err::<u32, _>(Error::other("rejected")) }
        })
        .classify(|_, _| Class::Permanent)
        .resource(
            Resource::new(
                "budget",
                Quota::Budget {
                    amount: rate_limited::Amount::units(10),
                },
            )
            .cost(|_: &u32| 5)
            .usage(|_: &u32, used: &u32| *used)
            .failed_usage(move |_: &u32, error| {
                assert_eq!(error.to_string(), "rejected");
                told
            }),
        )
        .tokio_clock();
        for n in 0..8 {
            runner.schedule(n).expect("it fits");
        }
        runner.run().await.expect("a sound runner");
        attempts.load(Ordering::SeqCst)
    };
    // What is not told is what was reserved; after six of 1 a reservation of 5 does not fit any more.
    assert_eq!(sent(None).await, 2);
    assert_eq!(sent(Some(0)).await, 8);
    assert_eq!(sent(Some(1)).await, 6);
}

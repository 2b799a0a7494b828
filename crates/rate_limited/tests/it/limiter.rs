//! Quota for code that is no run.

use rate_limited::{
    AcquireError, ConfigError, CostError, Inputs, Limiter, Quota, Reservation, Resource, Runner,
};
use std::error::Error as _;
use std::io::Error;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

const MINUTE: Duration = Duration::from_secs(60);

fn exact(name: &str, quota: u32) -> Resource<(), ()> {
    Resource::per_minute(name, quota).guard(Duration::ZERO)
}

fn requests(quota: u32) -> Limiter {
    Limiter::on_tokio_clock([exact("requests", quota)]).expect("a sound quota")
}

fn charged(limiter: &Limiter, resource: usize) -> String {
    limiter.view()[resource].charged.to_string()
}

fn nothing_is_held(limiter: &Limiter) {
    for view in limiter.view() {
        assert_eq!(view.held.to_string(), "0", "{view:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn waiters_go_in_order_as_quota_comes_back_and_no_sooner() {
    let limiter = requests(10);
    let start = Instant::now();
    let went = Arc::new(Mutex::new(Vec::new()));
    let mut tasks = Vec::new();
    for n in 0..35_u64 {
        let (limiter, went) = (limiter.clone(), Arc::clone(&went));
        tasks.push(tokio::spawn(async move {
            let mut reservation = limiter.acquire(()).await.expect("a sound cost");
            reservation.sent();
            went.lock().expect("sound").push((n, start.elapsed()));
            sleep(Duration::from_millis(1)).await;
            reservation.settle(()).expect("no usage is a sound one");
        }));
        tokio::task::yield_now().await;
    }
    for task in tasks {
        task.await.expect("no panic");
    }
    let went = went.lock().expect("sound").clone();
    let order: Vec<_> = went.iter().map(|(n, _)| *n).collect();
    assert_eq!(order, (0..35).collect::<Vec<_>>());
    for (n, at) in went {
        let due = MINUTE * u32::try_from(n / 10).expect("few");
        let slack = Duration::from_millis(5);
        assert!(
            at >= due && at < due + slack,
            "{n} went at {at:?}, not {due:?}"
        );
    }
    nothing_is_held(&limiter);
}

#[tokio::test(start_paused = true)]
async fn dropped_futures_and_reservations_leak_nothing() {
    let limiter = requests(2);
    for _ in 0..5_000 {
        let held = [limiter.try_acquire(()), limiter.try_acquire(())];
        let waiting = limiter.acquire(("requests", 2));
        let waited = timeout(Duration::from_micros(1), waiting).await;
        assert!(waited.is_err(), "there is none");
        drop(held);
    }
    nothing_is_held(&limiter);
    assert_eq!(charged(&limiter, 0), "0");
    // A grant that is not looked at goes to the next.
    let held = limiter.try_acquire(("requests", 2)).expect("it is free");
    let mut first = Box::pin(limiter.acquire(("requests", 2)));
    let mut second = Box::pin(limiter.acquire(("requests", 1)));
    for future in [&mut first, &mut second] {
        let ready = timeout(Duration::ZERO, future.as_mut()).await;
        assert!(ready.is_err());
    }
    drop(held);
    drop(first);
    let second = timeout(Duration::from_secs(1), second).await;
    drop(second.expect("it is its turn"));
    nothing_is_held(&limiter);
}

#[tokio::test(start_paused = true)]
async fn a_future_that_is_held_and_not_polled_stops_nobody() {
    let limiter = requests(1);
    limiter.try_acquire(()).expect("it is free").failed();
    let mut lazy = Box::pin(limiter.acquire(()));
    assert!(timeout(Duration::ZERO, lazy.as_mut()).await.is_err());
    let busy = tokio::spawn({
        let limiter = limiter.clone();
        async move { limiter.acquire(()).await.map(Reservation::failed) }
    });
    // The first in line has its grant after a minute and does not look; the second has its own after two.
    sleep(MINUTE * 3).await;
    assert!(!busy.is_finished(), "the grant of the first is held");
    drop(lazy);
    sleep(MINUTE * 2).await;
    assert!(busy.is_finished());
}

#[tokio::test(start_paused = true)]
async fn what_was_sent_counts_and_what_was_not_is_given_back() {
    let limiter = Limiter::on_tokio_clock([exact("requests", 9), exact("tokens", 1_000)]);
    let limiter = limiter.expect("sound quotas");
    drop(limiter.try_acquire(("tokens", 400)).expect("it is free"));
    assert_eq!(
        (charged(&limiter, 0), charged(&limiter, 1)),
        ("0".into(), "0".into())
    );
    let mut sent = limiter.try_acquire(("tokens", 400)).expect("it is free");
    sent.sent();
    sent.sent();
    drop(sent);
    assert_eq!(
        (charged(&limiter, 0), charged(&limiter, 1)),
        ("1".into(), "400".into())
    );
    let mut used = limiter.try_acquire(("tokens", 600)).expect("it fits");
    used.sent();
    used.settle(("tokens", 50.5)).expect("a sound usage");
    assert_eq!(
        (charged(&limiter, 0), charged(&limiter, 1)),
        ("2".into(), "450.5".into())
    );
    let misspelt = limiter.try_acquire(("tokens", 100)).expect("it fits");
    let error = misspelt.settle(("token", 5)).expect_err("it is not there");
    assert_eq!(
        error.to_string(),
        "no resource `token`: the limiter has [\"requests\", \"tokens\"]"
    );
    assert_eq!(charged(&limiter, 1), "550.5", "as reserved");
    nothing_is_held(&limiter);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_seen_by_one_pauses_all_and_names_the_moment() {
    let limiter = Limiter::on_tokio_clock([exact("a", 100), exact("b", 100).cost(|()| 0)]);
    let limiter = limiter.expect("sound quotas");
    let start = Instant::now();
    let mut waiting = Vec::new();
    let seen = limiter.try_acquire(()).expect("it is free");
    seen.refused(Some(Duration::from_secs(30)));
    for _ in 0..3 {
        let limiter = limiter.clone();
        waiting.push(tokio::spawn(async move {
            limiter.acquire(()).await.map(Reservation::failed)
        }));
    }
    let not_until = limiter.try_acquire(()).expect_err("it is paused");
    assert_eq!(not_until.retry_after(), Some(Duration::from_secs(30)));
    assert_eq!(
        (not_until.resource(), not_until.is_pause()),
        (Some("a"), true)
    );
    assert_eq!(not_until.to_string(), "`a` is paused: try again in 30.000s");
    let other = limiter.try_acquire([("a", 0), ("b", 1)]);
    let other = other.expect("the other resource is not paused");
    other.refused_by("b", Some(MINUTE)).expect("it is there");
    for task in waiting {
        task.await.expect("no panic").expect("its turn comes");
    }
    assert_eq!(start.elapsed().as_secs(), 30);
    let not_until = limiter.try_acquire(("b", 1)).expect_err("it is paused");
    assert_eq!(not_until.retry_after(), Some(Duration::from_secs(30)));
}

#[tokio::test]
async fn costs_that_can_never_go_are_told_at_once() {
    let limiter = requests(5);
    let error = limiter
        .acquire(("requests", 6))
        .await
        .expect_err("too much");
    assert!(matches!(error, AcquireError::Core(_)), "{error}");
    assert!(error.to_string().contains("quota"), "{error}");
    let error = limiter.acquire(("tokens", 1)).await.expect_err("unknown");
    assert!(matches!(
        error,
        AcquireError::Cost(CostError::Unknown { .. })
    ));
    let error = limiter
        .acquire(("requests", f64::NAN))
        .await
        .expect_err("no number");
    assert!(matches!(
        error,
        AcquireError::Cost(CostError::Amount { .. })
    ));
    let never = limiter.try_acquire(("requests", 6)).expect_err("too much");
    assert!(never.is_never() && never.retry_after().is_none());
    assert!(never.source().is_some(), "it says why");
    let total = rate_limited::Amount::units(1);
    let budget = Limiter::new([Resource::new("money", Quota::Budget { amount: total })]);
    let budget = budget.expect("a sound quota");
    budget.try_acquire(()).expect("it is there").failed();
    let error = budget.acquire(()).await.expect_err("it is spent");
    assert!(matches!(error, AcquireError::Spent { .. }), "{error}");
    assert!(budget.try_acquire(()).expect_err("it is spent").is_never());
}

#[test]
fn errors_cross_threads_and_limits_of_nothing_are_refused() {
    fn is_error<E: std::error::Error + Send + Sync + 'static>() {}
    fn is_shared<T: Clone + Send + Sync + 'static>() {}
    is_error::<AcquireError>();
    is_error::<CostError>();
    is_error::<rate_limited::NotUntil>();
    is_error::<ConfigError>();
    is_error::<rate_limited::RunError>();
    is_error::<rate_limited::ScheduleError>();
    is_shared::<Limiter>();
    assert!(Limiter::new([Resource::per_minute("r", 0)]).is_err());
    assert!(Limiter::new([Resource::per_minute("r", 1), Resource::per_minute("r", 1)]).is_err());
    assert!(
        Limiter::new([Resource::shared("r")]).is_err(),
        "nobody says how much"
    );
}

#[test]
fn waiting_outside_of_a_runtime_is_an_error_and_stops_nobody_else() {
    let limiter = Limiter::new([Resource::per("r", 1, Duration::from_millis(50))]);
    let limiter = limiter.expect("a sound quota");
    let mut taken = limiter.try_acquire(()).expect("it is free");
    taken.sent();
    let mut waiting = Box::pin(limiter.acquire(()));
    let context = &mut std::task::Context::from_waker(std::task::Waker::noop());
    let polled = waiting.as_mut().poll(context);
    assert!(
        matches!(polled, std::task::Poll::Ready(Err(AcquireError::NoRuntime))),
        "{polled:?}"
    );
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    let granted = runtime.expect("a runtime").block_on(limiter.acquire(()));
    granted.expect("its turn comes").failed();
}

#[test]
fn the_end_of_one_runtime_leaves_the_others_their_alarm() {
    let limiter = Limiter::new([Resource::per("r", 1, Duration::from_millis(300))]);
    let limiter = limiter.expect("a sound quota");
    let mut taken = limiter.try_acquire(()).expect("it is free");
    taken.sent();
    let build = || {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder
            .worker_threads(1)
            .enable_time()
            .build()
            .expect("a runtime")
    };
    let (first, second) = (build(), build());
    let wait = |limiter: Limiter| async move { limiter.acquire(()).await.map(Reservation::failed) };
    let lost = first.spawn(wait(limiter.clone()));
    std::thread::sleep(Duration::from_millis(50));
    let kept = second.spawn(wait(limiter));
    std::thread::sleep(Duration::from_millis(50));
    first.shutdown_background();
    let kept = second.block_on(async { timeout(Duration::from_secs(20), kept).await });
    let kept = kept
        .expect("somebody looks at the clock")
        .expect("no panic");
    kept.expect("its turn comes");
    drop(lost);
}

#[tokio::test(start_paused = true)]
async fn a_limit_raised_while_somebody_waits_lets_him_go() {
    let limiter = requests(1);
    limiter.try_acquire(()).expect("it is free").failed();
    let waiting = tokio::spawn({
        let limiter = limiter.clone();
        async move { limiter.acquire(()).await.map(Reservation::failed) }
    });
    sleep(Duration::from_secs(1)).await;
    let quota = Quota::per_minute(rate_limited::Amount::units(2));
    limiter.set_quota("requests", quota).expect("a sound quota");
    let waited = timeout(Duration::from_millis(10), waiting).await;
    waited
        .expect("at once")
        .expect("no panic")
        .expect("it goes");
}

#[tokio::test]
async fn a_runner_takes_what_the_limiter_has_or_says_why_not() {
    let limiter = requests(5);
    let runner = || Runner::new(|n: u32| async move { Ok::<_, Error>(n) }).limiter(&limiter);
    let mut differs = runner().resource(Resource::per_minute("requests", 6));
    let error = differs.schedule(1).expect_err("another quota");
    assert!(
        error.to_string().contains("Resource::shared(\"requests\")"),
        "{error}"
    );
    let mut unknown = runner().resource(Resource::shared("tokens"));
    let error = unknown.schedule(1).expect_err("it is not there");
    assert!(
        error.to_string().contains("no resource `tokens`"),
        "{error}"
    );
    let mut same = runner().resource(Resource::per_minute("requests", 5));
    same.schedule(1).expect("the same quota");
    let mut more = runner().resource(Resource::per_minute("images", 3));
    more.schedule(1).expect("a further resource");
    assert_eq!(limiter.view().len(), 2);
    let mut twice = runner()
        .resource(Resource::shared("requests"))
        .resource(Resource::shared("requests"));
    assert!(twice.schedule(1).is_err());
}

#[tokio::test(start_paused = true)]
async fn a_runner_that_is_gone_keeps_nothing_from_others() {
    let limiter = requests(4);
    let mut runner = Runner::new(|n: u32| async move {
        sleep(Duration::from_secs(3_600)).await;
        Ok::<_, Error>(n)
    })
    .limiter(&limiter)
    .resource(Resource::shared("requests"));
    let run = runner.run_each(Inputs::iterate(0..100), |_| ());
    assert!(timeout(Duration::from_secs(1), run).await.is_err());
    drop(runner);
    nothing_is_held(&limiter);
    assert_eq!(charged(&limiter, 0), "4", "what it sent counts");
    let start = Instant::now();
    limiter.acquire(()).await.expect("its turn comes").failed();
    assert!(start.elapsed() <= MINUTE, "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_refusal_seen_by_a_handler_pauses_a_run_and_the_other_way_round() {
    let limiter = requests(1_000);
    let start = Instant::now();
    let handler = limiter.try_acquire(()).expect("it is free");
    handler.refused(Some(Duration::from_secs(20)));
    let mut runner = Runner::new(move |n: u32| async move {
        assert!(start.elapsed() >= Duration::from_secs(20));
        if n == 0 && start.elapsed() < Duration::from_secs(25) {
            return Err(Error::other("too much"));
        }
        Ok(n)
    })
    .limiter(&limiter)
    .resource(Resource::shared("requests"))
    .classify(|_, _| rate_limited::Class::Refused {
        resource: None,
        retry_after: Some(Duration::from_secs(40)),
    });
    runner.schedule(0).expect("a sound cost");
    let waiting = async {
        sleep(Duration::from_secs(21)).await;
        limiter.acquire(()).await.expect("its turn comes").failed();
        assert!(start.elapsed() >= MINUTE, "{:?}", start.elapsed());
    };
    let (results, ()) = tokio::join!(runner.run(), waiting);
    assert_eq!(results.expect("a sound runner")[0].value, Some(0));
}

#[tokio::test(start_paused = true)]
async fn what_one_gives_back_another_has_at_once() {
    let limiter = requests(10);
    let start = Instant::now();
    let mut runner = Runner::new(|n: u32| async move {
        sleep(Duration::from_secs(1)).await;
        Ok::<_, Error>(n)
    })
    .limiter(&limiter)
    .resource(
        Resource::shared("requests")
            .cost(|_: &u32| 10)
            .usage(|_: &u32, _: &u32| 0),
    );
    runner.schedule(0).expect("a sound cost");
    runner.schedule(1).expect("a sound cost");
    let handler = async {
        sleep(Duration::from_millis(500)).await;
        let reservation = limiter.acquire(("requests", 10)).await;
        let reservation = reservation.expect("its turn comes");
        assert_eq!(
            start.elapsed().as_secs(),
            1,
            "when the first call gave it back"
        );
        sleep(Duration::from_secs(3)).await;
        drop(reservation);
    };
    let (results, ()) = tokio::join!(runner.run(), handler);
    assert!(
        results
            .expect("a sound runner")
            .iter()
            .all(|call| call.value.is_some())
    );
    // The first call, then the handler, then the second call.
    assert_eq!(start.elapsed().as_secs(), 5);
}

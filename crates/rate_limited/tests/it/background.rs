//! Runs in the background: results as a stream, calls that come one by one.

use rate_limited::{
    AttemptError, Class, Inputs, Limiter, Resource, RunError, Runner, Running, Stop,
};
use std::io::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};

fn counted(taken: &Arc<AtomicU64>, calls: u64) -> Inputs<u64> {
    let taken = Arc::clone(taken);
    Inputs::iterate((0..calls).inspect(move |_| {
        taken.fetch_add(1, Ordering::SeqCst);
    }))
}

#[tokio::test(start_paused = true)]
async fn results_come_in_order_while_the_run_goes_on() {
    let mut runner = Runner::new(|n: u64| async move {
        sleep(Duration::from_millis(n * 7_919 % 100)).await;
        Ok::<_, Error>(n)
    })
    .resource(Resource::per("requests", 100, Duration::from_secs(1)))
    .tokio_clock();
    runner.schedule(1_000_000).expect("a sound cost");
    let mut results = runner
        .stream(Inputs::iterate(0..500))
        .expect("a sound runner");
    let start = Instant::now();
    let mut indices = Vec::new();
    let mut first = None;
    while let Some(finished) = results.next().await {
        first.get_or_insert(start.elapsed());
        indices.push(finished.index);
        if finished.index > 0 {
            assert_eq!(finished.result.value, Some(finished.index - 1));
        }
    }
    assert_eq!(indices, (0..=500).collect::<Vec<_>>());
    assert!(
        first < Some(Duration::from_secs(1)),
        "not at the end: {first:?}"
    );
    assert!(start.elapsed() >= Duration::from_secs(5));
    let summary = results.summary().await.expect("a sound run");
    assert_eq!((summary.progress.done, summary.stop), (501, None));
}

#[tokio::test(start_paused = true)]
async fn no_more_requests_are_taken_than_the_buffer_has_room_for() {
    let taken = Arc::new(AtomicU64::new(0));
    let gate = Arc::new(Notify::new());
    let opens = Arc::clone(&gate);
    let runner = Runner::new(move |n: u64| {
        let gate = Arc::clone(&gate);
        async move {
            if n == 0 {
                gate.notified().await;
            }
            Ok::<_, Error>(n)
        }
    })
    .buffer(50)
    .attempt_timeout(None)
    .tokio_clock();
    let mut results = runner
        .stream(counted(&taken, 10_000))
        .expect("a sound runner");
    // The first call is not over: the others are kept back, and no more than fit.
    assert!(
        timeout(Duration::from_secs(60), results.next())
            .await
            .is_err()
    );
    assert_eq!(
        (taken.load(Ordering::SeqCst), results.kept_back()),
        (50, 49)
    );
    opens.notify_one();
    // Nobody takes results: nothing more is taken in than was before.
    sleep(Duration::from_secs(60)).await;
    assert_eq!(taken.load(Ordering::SeqCst), 50);
    for n in 0..10_000 {
        let finished = results.next().await.expect("one more");
        assert_eq!(finished.result.value, Some(n));
        assert!(taken.load(Ordering::SeqCst) <= n + 51);
    }
    assert!(results.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_dropped_stream_ends_its_run_and_gives_the_limits_back() {
    let limiter = Limiter::on_tokio_clock([Resource::per_minute("requests", 10)]);
    let limiter = limiter.expect("a sound quota");
    let (started, taken) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicU64::new(0)));
    let counter = Arc::clone(&started);
    let runner = Runner::new(move |n: u64| {
        let counter = Arc::clone(&counter);
        async move {
            counter.fetch_add(1, Ordering::SeqCst);
            sleep(Duration::from_secs(n)).await;
            Ok::<_, Error>(n)
        }
    })
    .limiter(&limiter)
    .resource(Resource::shared("requests"));
    let mut results = runner.stream(counted(&taken, 100)).expect("a sound runner");
    assert_eq!(results.next().await.map(|finished| finished.index), Some(0));
    drop(results);
    sleep(Duration::from_secs(600)).await;
    assert_eq!(
        started.load(Ordering::SeqCst),
        10,
        "those of the first minute"
    );
    let view = &limiter.view()[0];
    assert_eq!(
        (view.held.to_string(), view.charged.to_string()),
        ("0".into(), "0".into())
    );
    limiter
        .try_acquire(("requests", 10))
        .expect("all of it")
        .failed();
}

#[tokio::test(start_paused = true)]
async fn a_stream_of_a_run_that_stops_early_gives_what_is_done() {
    let runner = Runner::new(|n: u64| async move {
        sleep(Duration::from_secs(10)).await;
        Ok::<_, Error>(n)
    })
    .max_concurrent(2)
    .tokio_clock();
    let handle = runner.handle();
    let mut results = runner
        .stream(Inputs::iterate(0..10))
        .expect("a sound runner");
    let mut done = 0;
    while let Some(finished) = results.next().await {
        assert_eq!(finished.index, done);
        done += 1;
        handle.stop();
    }
    assert!((2..=4).contains(&done), "{done}");
    let summary = results.summary().await.expect("a sound run");
    assert_eq!(summary.stop, Some(Stop::Asked));
}

#[test]
fn runs_in_the_background_need_a_runtime() {
    let runner = || Runner::new(|n: u64| async move { Ok::<_, Error>(n) });
    let stream = runner().stream(Inputs::none());
    assert!(matches!(stream, Err(RunError::OutsideRuntime)));
    assert!(matches!(runner().start(), Err(RunError::OutsideRuntime)));
}

fn squares(limiter: &Limiter) -> Running<u64, u64> {
    let runner = Runner::new(|n: u64| async move {
        sleep(Duration::from_millis(100)).await;
        match n {
            13 => Err(Error::other("unlucky")),
            _ => Ok(n * n),
        }
    });
    let runner = runner
        .limiter(limiter)
        .resource(Resource::shared("requests").cost(|n: &u64| 1 + n / 1_000_000))
        .classify(|_, _| Class::Permanent);
    runner.start().expect("a sound runner")
}

fn limiter(quota: u32) -> Limiter {
    let requests = Resource::per("requests", quota, Duration::from_secs(1));
    Limiter::on_tokio_clock([requests]).expect("a sound quota")
}

#[tokio::test(start_paused = true)]
async fn calls_are_submitted_one_by_one_from_many_tasks() {
    let limiter = limiter(10);
    let running = squares(&limiter);
    let start = Instant::now();
    let tasks: Vec<_> = (0..100_u64)
        .map(|n| (n, tokio::spawn(running.submit(n))))
        .collect();
    for (n, task) in tasks {
        let result = task.await.expect("no panic");
        assert!(result.finished);
        if n == 13 {
            assert!(matches!(result.errors[..], [AttemptError::Failed(_)]));
        } else {
            assert_eq!(result.value, Some(n * n));
        }
    }
    let took = start.elapsed();
    assert!(
        took >= Duration::from_secs(9) && took < Duration::from_secs(11),
        "{took:?}"
    );
    let misfit = running.submit(1_000_000_000).await;
    assert!(matches!(misfit.errors[..], [AttemptError::NeverFits(_)]));
    let after = running.submit(7).await;
    assert_eq!(after.value, Some(49), "the run goes on");
    assert_eq!((running.stopped(), running.error().is_none()), (None, true));
}

#[tokio::test(start_paused = true)]
async fn a_dropped_submission_is_never_sent_and_one_in_flight_is_abandoned() {
    let limiter = limiter(1);
    let running = squares(&limiter);
    let mut first = Box::pin(running.submit(1));
    assert!(
        timeout(Duration::from_millis(10), first.as_mut())
            .await
            .is_err()
    );
    // In line behind it, and gone.
    for n in 0..200 {
        let waits = running.submit(n);
        assert!(timeout(Duration::from_millis(1), waits).await.is_err());
    }
    drop(first);
    sleep(Duration::from_millis(1)).await;
    let view = running.handle().view();
    assert_eq!(
        (view.progress.in_flight, view.progress.waiting),
        (0, 0),
        "{view:?}"
    );
    assert_eq!(view.progress.attempts, 1);
    assert_eq!(
        limiter.view()[0].charged.to_string(),
        "1",
        "what was sent counts"
    );
    let last = running.submit(5).await;
    assert_eq!(last.value, Some(25));
    assert_eq!(running.handle().view().progress.attempts, 2);
}

#[tokio::test(start_paused = true)]
async fn the_run_ends_when_its_hands_are_gone_and_its_calls_are_over() {
    let limiter = limiter(2);
    let running = squares(&limiter);
    let handle = running.handle();
    let tasks: Vec<_> = (0..5_u64)
        .map(|n| tokio::spawn(running.submit(n)))
        .collect();
    drop(running);
    for (n, task) in (0..).zip(tasks) {
        assert_eq!(task.await.expect("no panic").value, Some(n * n));
    }
    sleep(Duration::from_millis(1)).await;
    assert_eq!(handle.view().progress.done, 5);
    limiter
        .acquire(("requests", 2))
        .await
        .expect("all of it")
        .failed();
}

#[tokio::test(start_paused = true)]
async fn a_run_that_stops_leaves_nobody_waiting() {
    let limiter = limiter(1);
    let running = squares(&limiter);
    let tasks: Vec<_> = (0..5_u64)
        .map(|n| tokio::spawn(running.submit(n)))
        .collect();
    sleep(Duration::from_millis(50)).await;
    running.handle().halt();
    for task in tasks {
        let result = timeout(Duration::from_secs(1), task).await;
        let result = result.expect("at once").expect("no panic");
        assert!(!result.finished && result.value.is_none());
    }
    assert_eq!(running.stopped(), Some(Stop::Asked));
    assert!(!running.submit(1).await.finished);
}

#[test]
fn a_runtime_that_is_shut_down_leaves_nobody_waiting() {
    let build = || tokio::runtime::Runtime::new().expect("a runtime");
    let (first, second) = (build(), build());
    let running = first.block_on(async {
        let runner = Runner::new(|n: u64| async move {
            std::future::pending::<()>().await;
            Ok::<_, Error>(n)
        });
        runner.start().expect("a sound runner")
    });
    let waits = second.spawn(running.submit(1));
    std::thread::sleep(Duration::from_millis(50));
    first.shutdown_background();
    let result = second.block_on(async { timeout(Duration::from_secs(20), waits).await });
    let result = result.expect("it is told").expect("no panic");
    assert!(!result.finished);
}

#[cfg(feature = "stream")]
#[tokio::test(start_paused = true)]
async fn results_are_a_stream_whatever_they_hold() {
    use futures_core::Stream;
    let runner =
        Runner::new(|n: u64| async move { Ok::<_, Error>((n, std::marker::PhantomPinned)) });
    let mut results = runner
        .tokio_clock()
        .stream(Inputs::iterate(0..3))
        .expect("a sound runner");
    let mut seen = Vec::new();
    let mut next = |context: &mut std::task::Context<'_>| {
        Stream::poll_next(std::pin::Pin::new(&mut results), context)
    };
    while let Some(finished) = std::future::poll_fn(&mut next).await {
        seen.push(finished.result.value.map(|(n, _)| n));
    }
    assert_eq!(seen, [Some(0), Some(1), Some(2)]);
}

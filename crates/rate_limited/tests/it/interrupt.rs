//! Stopping, halting and going on.

use rate_limited::{AttemptError, Resource, Runner, Stop, WaitingOn};
use std::io::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::time::{Instant, sleep};

fn counting(sent: &Arc<AtomicU32>) -> Runner<u32, u32> {
    let sent = Arc::clone(sent);
    Runner::new(move |n: u32| {
        sent.fetch_add(1, Ordering::SeqCst);
        async move {
            sleep(Duration::from_secs(2)).await;
            Ok::<_, Error>(n)
        }
    })
    .max_concurrent(3)
    .tokio_clock()
}

#[tokio::test(start_paused = true)]
async fn a_stopped_run_drains_and_the_next_one_goes_on() {
    let sent = Arc::new(AtomicU32::new(0));
    let mut runner = counting(&sent);
    for n in 0..8 {
        runner.schedule(n).expect("it fits");
    }
    let handle = runner.handle();
    tokio::spawn(async move {
        sleep(Duration::from_secs(3)).await;
        handle.stop();
    });
    let start = Instant::now();
    let partial = runner.run().await.expect("a sound runner");
    assert_eq!(
        start.elapsed().as_secs(),
        4,
        "what was in flight has finished"
    );
    assert_eq!(runner.stopped(), Some(Stop::Asked));
    let values: Vec<_> = partial.iter().map(|result| result.value).collect();
    let done = (0..6).map(Some).chain([None, None]);
    assert_eq!(values, done.collect::<Vec<_>>());

    let all = runner.run().await.expect("a sound runner");
    assert!(
        all.iter()
            .enumerate()
            .all(|(index, result)| result.value == Some(index as u32))
    );
    assert_eq!(sent.load(Ordering::SeqCst), 8, "nothing is sent twice");
}

#[tokio::test(start_paused = true)]
async fn a_halted_run_ends_at_once() {
    let sent = Arc::new(AtomicU32::new(0));
    let mut runner = counting(&sent);
    for n in 0..3 {
        runner.schedule(n).expect("it fits");
    }
    let handle = runner.handle();
    tokio::spawn(async move {
        sleep(Duration::from_secs(1)).await;
        handle.halt();
    });
    let start = Instant::now();
    let partial = runner.run().await.expect("a sound runner");
    assert_eq!(start.elapsed().as_secs(), 1);
    assert!(
        partial
            .iter()
            .all(|result| matches!(result.errors[..], [AttemptError::Halted]))
    );
    let all = runner.run().await.expect("a sound runner");
    assert!(all.iter().all(|result| result.value.is_some()));
}

#[tokio::test(start_paused = true)]
async fn a_dropped_run_loses_nothing() {
    let sent = Arc::new(AtomicU32::new(0));
    let mut runner = counting(&sent);
    for n in 0..6 {
        runner.schedule(n).expect("it fits");
    }
    let cut = tokio::time::timeout(Duration::from_secs(3), runner.run()).await;
    assert!(cut.is_err());
    let all = runner.run().await.expect("a sound runner");
    assert!(
        all.iter()
            .enumerate()
            .all(|(index, result)| result.value == Some(index as u32))
    );
    assert_eq!(sent.load(Ordering::SeqCst), 6, "nothing is sent twice");
}

#[tokio::test(start_paused = true)]
async fn a_handle_tells_what_the_run_waits_for() {
    let mut runner = Runner::new(|n: u32| async move { Ok::<_, Error>(n) })
        .resource(Resource::per("requests", 2, Duration::from_secs(100)))
        .tokio_clock();
    for n in 0..4 {
        runner.schedule(n).expect("it fits");
    }
    let handle = runner.handle();
    let watch = tokio::spawn(async move {
        sleep(Duration::from_secs(40)).await;
        handle.view()
    });
    runner.run().await.expect("a sound runner");
    let view = watch.await.expect("a look");
    assert_eq!((view.progress.done, view.progress.waiting), (2, 2));
    let waiting = view.wait.map(|wait| wait.on);
    assert!(matches!(waiting, Some(WaitingOn::Quota(_))), "{waiting:?}");
    let left = view.wait_left.expect("it is known");
    assert!((60..=61).contains(&left.as_secs()), "{left:?}");
    assert_eq!(view.resources[0].charged, rate_limited::Amount::units(2));
}

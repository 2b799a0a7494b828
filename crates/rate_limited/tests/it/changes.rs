//! Limits, the bound on attempts in flight and pauses, changed while a run goes on.

use rate_limited::{Amount, ConfigError, Handle, Quota, Resource, Runner, WaitingOn};
use std::io::Error;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::{Instant, sleep};

type Times = Arc<Mutex<Vec<f64>>>;

/// A runner of calls that take a second each, and the moments at which they are sent.
fn runner(per_minute: u32, bound: u32, calls: u32) -> (Runner<u32, u32>, Times) {
    let (sent, start) = (Times::default(), Instant::now());
    let times = Arc::clone(&sent);
    let mut runner = Runner::new(move |n: u32| {
        let at = start.elapsed().as_secs_f64();
        times
            .lock()
            .expect("nobody panics")
            .push((10.0 * at).round() / 10.0);
        async move {
            sleep(Duration::from_secs(1)).await;
            Ok::<_, Error>(n)
        }
    })
    .resource(Resource::per_minute("requests", per_minute))
    .max_concurrent(bound)
    .tokio_clock();
    for n in 0..calls {
        runner.schedule(n).expect("it fits");
    }
    (runner, sent)
}

fn after(seconds: f64, handle: &Handle, action: impl FnOnce(&Handle) + Send + 'static) {
    let handle = handle.clone();
    tokio::spawn(async move {
        sleep(Duration::from_secs_f64(seconds)).await;
        action(&handle);
    });
}

fn taken(sent: &Times) -> Vec<f64> {
    sent.lock().expect("nobody panics").clone()
}

#[tokio::test(start_paused = true)]
async fn a_raised_quota_is_used_at_once() {
    let (mut runner, sent) = runner(1, 9, 3);
    after(10.0, &runner.handle(), |handle| {
        let quota = Quota::per_minute(Amount::units(3));
        handle.set_quota("requests", quota).expect("it is there");
    });
    runner.run().await.expect("a sound runner");
    assert_eq!(taken(&sent), [0.0, 10.0, 10.0]);
}

#[tokio::test(start_paused = true)]
async fn a_lowered_quota_holds_at_once() {
    let (mut runner, sent) = runner(4, 1, 4);
    after(1.0, &runner.handle(), |handle| {
        let quota = Quota::per_minute(Amount::units(2));
        handle.set_quota("requests", quota).expect("it is there");
    });
    runner.run().await.expect("a sound runner");
    // A little later than the windows end, for a request may arrive late.
    let floors: Vec<f64> = taken(&sent).into_iter().map(f64::floor).collect();
    assert_eq!(floors, [0.0, 1.0, 60.0, 61.0]);
}

#[tokio::test(start_paused = true)]
async fn more_and_fewer_attempts_in_flight() {
    let (mut runner, sent) = runner(600, 1, 10);
    let handle = runner.handle();
    after(1.5, &handle, |handle| handle.set_max_concurrent(3));
    after(3.2, &handle, |handle| handle.set_max_concurrent(0));
    runner.run().await.expect("a sound runner");
    let three = [1.5, 1.5, 2.0, 2.5, 2.5, 3.0];
    assert_eq!(taken(&sent)[2..8], three);
    // What was too much drains first; 0 is 1.
    assert_eq!(taken(&sent)[8..], [4.0, 5.0]);
    assert_eq!(handle.view().progress.max_concurrent, 1);
}

#[tokio::test(start_paused = true)]
async fn a_pause_lasts_until_it_is_ended_and_the_view_says_so() {
    let (mut runner, sent) = runner(600, 1, 3);
    let handle = runner.handle();
    handle.pause();
    after(5.0, &handle, |handle| {
        let view = handle.view();
        assert!(view.progress.paused);
        assert_eq!(view.wait.map(|wait| wait.on), Some(WaitingOn::Unpause));
        handle.resume();
    });
    after(5.5, &handle, Handle::pause);
    after(100.0, &handle, Handle::resume);
    let results = runner.run().await.expect("a sound runner");
    assert!(results.iter().all(|result| result.value.is_some()));
    assert_eq!(taken(&sent), [5.0, 100.0, 101.0]);
}

#[tokio::test(start_paused = true)]
async fn a_paused_run_can_be_stopped() {
    let (mut runner, sent) = runner(600, 1, 3);
    let handle = runner.handle();
    handle.pause();
    after(5.0, &handle, Handle::stop);
    runner.run().await.expect("a sound runner");
    assert!(taken(&sent).is_empty());
    handle.resume();
    runner.run().await.expect("a sound runner");
    assert_eq!(taken(&sent).len(), 3);
}

#[tokio::test]
async fn what_cannot_be_changed_is_refused() {
    let quota = Quota::per_minute(Amount::units(3));
    let unborn = Runner::new(|n: u32| async move { Ok::<_, Error>(n) }).handle();
    let told = unborn.set_quota("requests", quota);
    assert!(matches!(told, Err(ConfigError::NotBegun)));
    let (runner, _) = runner(1, 1, 1);
    let told = runner.handle().set_quota("tokens", quota);
    assert!(matches!(told, Err(ConfigError::NotShared { .. })));
    let spacing = Quota::Spacing {
        interval: Duration::from_secs(1),
    };
    let told = runner.handle().set_quota("requests", spacing);
    assert!(matches!(told, Err(ConfigError::Quota(_))));
}

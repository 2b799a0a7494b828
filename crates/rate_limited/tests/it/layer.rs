//! The limiter as a layer of tower.

use rate_limited::layer::LimitLayer;
use rate_limited::{AcquireError, Limiter, NotUntil, Reservation, Resource};
use std::future::Ready;
use std::io;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, sleep};
use tokio_test::task;
use tower::{Layer, Service, ServiceBuilder, ServiceExt};
use tower_test::assert_request_eq;
use tower_test::mock::{self, Mock};

const MINUTE: Duration = Duration::from_secs(60);

fn limiter(quota: u32) -> Limiter {
    let requests = Resource::per_minute("requests", quota).guard(Duration::ZERO);
    Limiter::on_tokio_clock([requests]).expect("a sound quota")
}

fn books(limiter: &Limiter) -> (String, String) {
    let view = &limiter.view()[0];
    (view.held.to_string(), view.charged.to_string())
}

fn held_and_charged(limiter: &Limiter, held: &str, charged: &str) {
    assert_eq!(books(limiter), (held.into(), charged.into()));
}

#[tokio::test(start_paused = true)]
async fn readiness_is_that_of_the_service_below_and_idle_clones_hold_nothing() {
    let limiter = limiter(2);
    let layer = LimitLayer::new(&limiter, |_: &&str| ());
    let (mut service, mut below) = mock::spawn_layer::<&str, &str, _>(layer);
    below.allow(0);
    assert!(service.poll_ready().is_pending());
    below.allow(1_000);
    assert!(service.is_woken());
    assert!(service.poll_ready().is_ready());
    let mut clones: Vec<_> = (0..100).map(|_| service.clone()).collect();
    for clone in &mut clones {
        assert!(clone.poll_ready().is_ready());
    }
    held_and_charged(&limiter, "0", "0");
    let both = limiter.try_acquire(("requests", 2));
    drop(both.expect("a hundred clones are ready, and none has taken anything"));

    let first = service.call("one");
    let answer = task::spawn(first);
    let mut answer = answer;
    assert!(answer.poll().is_pending());
    assert_request_eq!(below, "one").send_response("1");
    assert_eq!(answer.await.expect("an answer"), "1");
    held_and_charged(&limiter, "0", "1");
}

#[tokio::test(start_paused = true)]
async fn requests_wait_in_line_and_reach_the_service_when_quota_is_back() {
    let limiter = limiter(1);
    let layer = LimitLayer::new(&limiter, |_: &u32| ());
    let (service, mut below): (Mock<u32, u32>, _) = mock::pair();
    let service = ServiceBuilder::new().layer(layer).service(service);
    let start = Instant::now();
    let calls: Vec<_> = (0..3_u32)
        .map(|n| tokio::spawn(service.clone().oneshot(n)))
        .collect();
    for n in 0..3 {
        let (request, answer) = below.next_request().await.expect("it comes");
        assert_eq!((request, start.elapsed().as_secs()), (n, 60 * u64::from(n)));
        answer.send_response(n + 10);
    }
    for (n, call) in (10..).zip(calls) {
        assert_eq!(call.await.expect("no panic").expect("an answer"), n);
    }
    held_and_charged(&limiter, "0", "1");
}

#[tokio::test(start_paused = true)]
async fn a_response_future_that_is_dropped_leaks_nothing() {
    let limiter = limiter(1);
    let layer = LimitLayer::new(&limiter, |_: &u32| ());
    let (mut service, mut below) = mock::spawn_layer::<u32, u32, _>(layer);
    for _ in 0..1_000 {
        assert!(service.poll_ready().is_ready());
        drop(service.call(1));
    }
    held_and_charged(&limiter, "0", "0");
    // The first goes, the second waits in line; both go away.
    assert!(service.poll_ready().is_ready());
    let mut sent = task::spawn(service.call(2));
    assert!(sent.poll().is_pending());
    assert_request_eq!(below, 2);
    assert!(service.poll_ready().is_ready());
    let mut waiting = task::spawn(service.call(3));
    assert!(waiting.poll().is_pending());
    drop(waiting);
    drop(sent);
    held_and_charged(&limiter, "0", "1");
    assert!(
        below.poll_request().is_pending(),
        "the third was never sent"
    );
}

#[tokio::test(start_paused = true)]
async fn a_layer_that_sheds_says_when_to_come_again() {
    let limiter = limiter(1);
    let layer = LimitLayer::new(&limiter, |_: &u32| ()).shed();
    let (service, mut below): (Mock<u32, u32>, _) = mock::pair();
    let service = layer.layer(service);
    let first = tokio::spawn(service.clone().oneshot(1));
    assert_request_eq!(below, 1).send_response(1);
    first.await.expect("no panic").expect("an answer");
    let error = service.clone().oneshot(2).await.expect_err("it is used up");
    let not_until = error.downcast_ref::<NotUntil>().expect("its own error");
    assert_eq!(not_until.retry_after(), Some(MINUTE));
    sleep(MINUTE).await;
    let later = tokio::spawn(service.oneshot(3));
    assert_request_eq!(below, 3).send_response(3);
    later.await.expect("no panic").expect("an answer");
}

#[tokio::test(start_paused = true)]
async fn answers_settle_and_a_refusal_pauses_all() {
    let tokens = Resource::per_minute("tokens", 100).guard(Duration::ZERO);
    let limiter = Limiter::on_tokio_clock([tokens]).expect("a sound quota");
    let settle = |answer: Result<&u32, &tower::BoxError>, reservation: Reservation| match answer {
        Ok(429) => reservation.refused(Some(Duration::from_secs(7))),
        Ok(used) => reservation.settle(("tokens", *used)).expect("it is there"),
        Err(_) => reservation.failed(),
    };
    let layer = LimitLayer::new(&limiter, |n: &u32| ("tokens", *n)).settle(settle);
    let (service, mut below): (Mock<u32, u32>, _) = mock::pair();
    let service = layer.layer(service);
    let start = Instant::now();

    let call = tokio::spawn(service.clone().oneshot(60));
    assert_request_eq!(below, 60).send_response(20);
    assert_eq!(call.await.expect("no panic").expect("an answer"), 20);
    held_and_charged(&limiter, "0", "20");

    let call = tokio::spawn(service.clone().oneshot(30));
    assert_request_eq!(below, 30).send_error(io::Error::other("no"));
    let error = call.await.expect("no panic").expect_err("it failed");
    assert_eq!(error.to_string(), "no");
    held_and_charged(&limiter, "0", "50");

    let call = tokio::spawn(service.clone().oneshot(10));
    assert_request_eq!(below, 10).send_response(429);
    call.await.expect("no panic").expect("an answer");
    limiter.acquire(()).await.expect("its turn comes").failed();
    assert_eq!(start.elapsed().as_secs(), 7);

    let error = service.oneshot(101).await.expect_err("more than there is");
    assert!(error.downcast_ref::<AcquireError>().is_some(), "{error}");
}

/// A service that may be called only where it was found ready.
#[derive(Default)]
struct Strict {
    is_ready: bool,
}

impl Clone for Strict {
    fn clone(&self) -> Strict {
        Strict::default()
    }
}

impl Service<u32> for Strict {
    type Response = u32;
    type Error = io::Error;
    type Future = Ready<io::Result<u32>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.is_ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, n: u32) -> Self::Future {
        assert!(
            std::mem::take(&mut self.is_ready),
            "called before it was ready"
        );
        std::future::ready(Ok(n))
    }
}

#[tokio::test(start_paused = true)]
async fn the_service_that_was_ready_is_the_one_that_is_called() {
    let limiter = limiter(2);
    let mut service = LimitLayer::new(&limiter, |_: &u32| ()).layer(Strict::default());
    for n in 0..5 {
        let ready = service.ready().await.expect("it is always ready");
        assert_eq!(ready.call(n).await.expect("an answer"), n);
    }
    // Below other layers of tower, and with a bound on those who wait.
    let mut stack = ServiceBuilder::new()
        .concurrency_limit(1)
        .layer(LimitLayer::new(&limiter, |_: &u32| ()))
        .service(Strict::default());
    for n in 0..3 {
        let ready = stack.ready().await.expect("it becomes ready");
        assert_eq!(ready.call(n).await.expect("an answer"), n);
    }
}

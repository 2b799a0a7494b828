//! The example of a web service, over real HTTP.

#[expect(dead_code, reason = "the example has a main of its own")]
#[path = "../../examples/partner.rs"]
mod partner;

use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use partner::Partner;
use rate_limited::{Limiter, Resource};
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;

const QUOTA: u8 = 5;
const WINDOW: Duration = Duration::from_secs(1);

async fn serve(router: axum::Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

/// The service, and what its partner has seen.
async fn start() -> (SocketAddr, Partner, Limiter) {
    // A guard that makes up for a busy machine: requests may arrive in smaller gaps than they left in.
    let requests = Resource::per("requests", QUOTA, WINDOW).guard(Duration::from_millis(200));
    let limiter = Limiter::new([requests]).expect("a sound quota");
    let partner = Partner::new(QUOTA, WINDOW);
    let partner_address = serve(partner.clone().router()).await;
    (
        serve(partner::router(partner_address, &limiter)).await,
        partner,
        limiter,
    )
}

/// Asks so many times at once; gives the status, the header `Retry-After` and the body of each answer.
async fn ask(
    service: SocketAddr,
    path: &'static str,
    times: usize,
) -> Vec<(StatusCode, Option<u64>, String)> {
    let client = Client::builder(TokioExecutor::new()).build_http::<Body>();
    let asked = (0..times).map(|_| {
        let client = client.clone();
        let request = Request::get(format!("http://{service}{path}"));
        let request = request.body(Body::empty()).expect("a request");
        tokio::spawn(async move {
            let answer = client.request(request).await.expect("an answer");
            let status = answer.status();
            let after = answer.headers().get("retry-after");
            let after = after.map(|after| after.to_str().expect("text").parse().expect("seconds"));
            let body = to_bytes(Body::new(answer.into_body()), 1_000).await;
            let body = String::from_utf8(body.expect("a body").to_vec()).expect("text");
            (status, after, body)
        })
    });
    let mut answers = Vec::new();
    for asked in asked.collect::<Vec<_>>() {
        answers.push(asked.await.expect("no panic"));
    }
    answers
}

#[tokio::test]
async fn handlers_wait_for_their_turn_and_for_the_partners_retry_after() {
    let (service, partner, limiter) = start().await;
    let start = Instant::now();
    let answers = ask(service, "/quote", 12).await;
    for (status, _, body) in answers {
        assert_eq!((status, body.as_str()), (StatusCode::OK, "42"));
    }
    // Twelve at five a second, and the first of them is asked to come again after a second.
    assert!(start.elapsed() >= WINDOW * 2, "{:?}", start.elapsed());
    assert_eq!(partner.answered.load(Ordering::SeqCst), 12);
    let refused = partner.refused.load(Ordering::SeqCst);
    assert!((1..=3).contains(&refused), "{refused} were refused");
    assert_eq!(limiter.view()[0].held.to_string(), "0");
}

#[tokio::test]
async fn load_that_cannot_go_is_shed_and_never_reaches_the_partner() {
    let (service, partner, limiter) = start().await;
    let refused = ask(service, "/quote/now", 1).await;
    assert_eq!(refused[0].0, StatusCode::TOO_MANY_REQUESTS, "{refused:?}");
    // One saw the refusal; all are paused.
    let paused = ask(service, "/quote/now", 3).await;
    for (status, after, body) in paused {
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(after, Some(1));
        assert!(body.contains("`requests` is paused"), "{body}");
    }
    assert_eq!(
        partner.refused.load(Ordering::SeqCst),
        1,
        "nothing was sent"
    );
    limiter.acquire(()).await.expect("its turn comes").failed();
    let answers = ask(service, "/quote/now", 30).await;
    let went = answers
        .iter()
        .filter(|(status, ..)| *status == StatusCode::OK);
    let went = u32::try_from(went.count()).expect("few");
    assert!(went >= 4, "{went} of 5 a second, one of which is used");
    assert_eq!(partner.answered.load(Ordering::SeqCst), went);
    let shed = answers
        .iter()
        .filter(|(status, ..)| *status == StatusCode::SERVICE_UNAVAILABLE);
    for (_, after, body) in shed {
        assert!(matches!(after, Some(1 | 2)), "{after:?}");
        assert!(body.contains("`requests` is"), "{body}");
    }
}

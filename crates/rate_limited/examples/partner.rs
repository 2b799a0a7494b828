//! A web service whose handlers call a partner's API. The partner allows the whole company a few requests a
//! second and refuses the rest; all handlers share one limiter.
//!
//! - `GET /quote` waits for its turn, and asks again when the partner refuses.
//! - `GET /quote/now` does not wait: what cannot go at once is shed with 503 and `Retry-After`.
//!
//! ```sh
//! cargo run -p rate_limited --example partner --features tower
//! curl -i http://127.0.0.1:3000/quote
//! ```

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::RETRY_AFTER;
use axum::http::{Request, Response, StatusCode};
use axum::response::IntoResponse;
use axum::routing::get;
use hyper_util::client::legacy::{Client, Error};
use hyper_util::rt::TokioExecutor;
use rate_limited::layer::{BoxError, LimitLayer};
use rate_limited::{Limiter, NotUntil, Reservation, Resource};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tower::util::BoxCloneSyncService;
use tower::{ServiceBuilder, ServiceExt};

/// How long a client of `/quote` is kept waiting at most.
const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let (quota, second) = (5, Duration::from_secs(1));
    let limiter = Limiter::new([Resource::per("requests", quota, second)])?;
    let partner = TcpListener::bind("127.0.0.1:0").await?;
    let address = partner.local_addr()?;
    tokio::spawn(async move { axum::serve(partner, Partner::new(quota, second).router()).await });
    let gateway = TcpListener::bind("127.0.0.1:3000").await?;
    axum::serve(gateway, router(address, &limiter)).await?;
    Ok(())
}

/// Sends a request to the partner when the limiter lets it go.
type Quotes = BoxCloneSyncService<Request<Body>, Response<Body>, BoxError>;

/// The web service.
pub(crate) fn router(partner: SocketAddr, limiter: &Limiter) -> Router {
    let client = Client::builder(TokioExecutor::new()).build_http::<Body>();
    let client = client.map_response(|answer: Response<_>| answer.map(Body::new));
    let layer = LimitLayer::new(limiter, |_: &Request<Body>| ()).settle(settle);
    let waits = ServiceBuilder::new().layer(layer.clone());
    let waits = Quotes::new(waits.service(client.clone()));
    let sheds = Quotes::new(ServiceBuilder::new().layer(layer.shed()).service(client));
    Router::new()
        .route("/quote", get(quote).with_state((partner, waits)))
        .route("/quote/now", get(quote_now).with_state((partner, sheds)))
}

/// What each answer says of the partner's limits: a `Retry-After` seen by one handler pauses all.
fn settle(answer: Result<&Response<Body>, &Error>, reservation: Reservation) {
    match answer {
        Ok(answer) if answer.status() == StatusCode::TOO_MANY_REQUESTS => {
            let after = answer.headers().get(RETRY_AFTER);
            let after = after.and_then(|after| after.to_str().ok()?.parse().ok());
            reservation.refused(after.map(Duration::from_secs));
        }
        // Dropped: it counts as reserved.
        Ok(_) => drop(reservation),
        Err(_) => reservation.failed(),
    }
}

async fn quote(State((partner, quotes)): State<(SocketAddr, Quotes)>) -> Response<Body> {
    let patient = async {
        loop {
            let answer = quotes.clone().oneshot(ask(partner)).await;
            let refused = answer
                .as_ref()
                .is_ok_and(|answer| answer.status() == StatusCode::TOO_MANY_REQUESTS);
            // The limiter is paused now: asking again waits.
            if !refused {
                return answer;
            }
        }
    };
    match tokio::time::timeout(PATIENCE, patient).await {
        Ok(answer) => pass_on(answer),
        // The future is dropped, and with it its place in the line.
        Err(_) => StatusCode::GATEWAY_TIMEOUT.into_response(),
    }
}

async fn quote_now(State((partner, quotes)): State<(SocketAddr, Quotes)>) -> Response<Body> {
    pass_on(quotes.oneshot(ask(partner)).await)
}

fn ask(partner: SocketAddr) -> Request<Body> {
    let request = Request::get(format!("http://{partner}/price"));
    request.body(Body::empty()).expect("a sound address")
}

fn pass_on(answer: Result<Response<Body>, BoxError>) -> Response<Body> {
    let error = match answer {
        Ok(answer) => return answer,
        Err(error) => error,
    };
    let Some(not_until) = error.downcast_ref::<NotUntil>() else {
        return (StatusCode::BAD_GATEWAY, error.to_string()).into_response();
    };
    let after = not_until.retry_after().unwrap_or_default().as_secs() + 1;
    let headers = [(RETRY_AFTER, after.to_string())];
    (
        StatusCode::SERVICE_UNAVAILABLE,
        headers,
        not_until.to_string(),
    )
        .into_response()
}

/// The partner: counts what arrives in a sliding window, and refuses the very first request besides, as if
/// others had used up the quota.
#[derive(Clone, Debug)]
pub(crate) struct Partner {
    quota: usize,
    window: Duration,
    arrivals: Arc<Mutex<VecDeque<Instant>>>,
    pub(crate) answered: Arc<AtomicU32>,
    pub(crate) refused: Arc<AtomicU32>,
}

impl Partner {
    pub(crate) fn new(quota: u8, window: Duration) -> Partner {
        Partner {
            quota: quota.into(),
            window,
            arrivals: Arc::default(),
            answered: Arc::default(),
            refused: Arc::default(),
        }
    }

    pub(crate) fn router(self) -> Router {
        Router::new().route("/price", get(price)).with_state(self)
    }

    fn admits(&self) -> bool {
        let now = Instant::now();
        let mut arrivals = self.arrivals.lock().expect("no panic");
        while arrivals.front().is_some_and(|at| now - *at >= self.window) {
            arrivals.pop_front();
        }
        let is_first =
            self.answered.load(Ordering::SeqCst) + self.refused.load(Ordering::SeqCst) == 0;
        let admits = arrivals.len() < self.quota && !is_first;
        if admits {
            arrivals.push_back(now);
        }
        let counter = if admits {
            &self.answered
        } else {
            &self.refused
        };
        counter.fetch_add(1, Ordering::SeqCst);
        admits
    }
}

async fn price(State(partner): State<Partner>) -> Response<Body> {
    if partner.admits() {
        "42".into_response()
    } else {
        let headers = [(RETRY_AFTER, "1")];
        (StatusCode::TOO_MANY_REQUESTS, headers, "too many requests").into_response()
    }
}

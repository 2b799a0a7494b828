//! The routes, and one request's way through the server.

use super::answer;
use super::body::{Body, Endpoint};
use super::error::ApiError;
use super::headers;
use super::shared::Shared;
use crate::api::{Answer, Arrival, Outcome, Request};
use crate::draw::mix;
use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use serde_json::{Value, json};
use std::sync::Arc;

/// The largest body that is read.
const BODY_MAX: usize = 64 << 20;

pub(super) fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/v1/chat/completions", post(chat))
        .route("/v1/completions", post(completions))
        .route("/v1/embeddings", post(embeddings))
        .route("/stats", get(stats))
        .fallback(unknown)
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .with_state(shared)
}

async fn chat(State(shared): State<Arc<Shared>>, body: Bytes) -> Response {
    handle(&shared, Endpoint::Chat, &body).await
}

async fn completions(State(shared): State<Arc<Shared>>, body: Bytes) -> Response {
    handle(&shared, Endpoint::Completions, &body).await
}

async fn embeddings(State(shared): State<Arc<Shared>>, body: Bytes) -> Response {
    handle(&shared, Endpoint::Embeddings, &body).await
}

async fn stats(State(shared): State<Arc<Shared>>) -> Response {
    let mut stats = json!(shared.stats());
    stats["optimum_seconds"] = json!(shared.optimum().as_secs_f64());
    respond(StatusCode::OK, &stats)
}

async fn unknown(method: Method, uri: Uri) -> Response {
    refuse(&ApiError::unknown_url(&method, &uri))
}

async fn handle(shared: &Shared, endpoint: Endpoint, bytes: &[u8]) -> Response {
    let body = match Body::parse(endpoint, bytes) {
        Ok(body) => body,
        Err(complaint) => return refuse(&ApiError::invalid(complaint)),
    };
    let mut request = body.request(shared.seed);
    let mut response = match shared.arrive(&mut request) {
        Ok(flight) => match flight.answer().await {
            Some(answer) => answered(shared, &body, &request, &answer),
            None => refuse(&ApiError::of_status(503)),
        },
        Err(arrival) => refused(&body, &arrival),
    };
    tell(shared, &request, &mut response);
    response
}

fn answered(shared: &Shared, body: &Body, request: &Request, answer: &Answer) -> Response {
    match answer.outcome {
        Outcome::Success => respond(
            StatusCode::OK,
            &answer::json(shared.seed, body, request, answer),
        ),
        Outcome::Failure(status) => refuse(&ApiError::of_status(status)),
    }
}

fn refused(body: &Body, arrival: &Arrival) -> Response {
    let Arrival::Refused { retry_after, limit } = arrival else {
        unreachable!("an accepted request has a flight");
    };
    let mut response = refuse(&ApiError::rate_limit(&body.model, limit, *retry_after));
    if let Some(wait) = retry_after {
        // The header knows whole seconds only: rounded down, it would invite a second refusal.
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

/// Adds what every answer tells, good or bad.
fn tell(shared: &Shared, request: &Request, response: &mut Response) {
    let id = format!(
        "req_{:016x}",
        mix(request.call ^ u64::from(request.attempt))
    );
    let all = headers::of_limits(&shared.limits_view())
        .into_iter()
        .chain([("x-request-id".into(), id)]);
    for (name, value) in all {
        let name = HeaderName::try_from(name).expect("the names are ours");
        let value = HeaderValue::try_from(value).expect("digits and units only");
        response.headers_mut().insert(name, value);
    }
}

fn refuse(error: &ApiError) -> Response {
    respond(error.status(), &error.json())
}

fn respond(status: StatusCode, value: &Value) -> Response {
    let json = [(header::CONTENT_TYPE, "application/json")];
    (status, json, value.to_string()).into_response()
}

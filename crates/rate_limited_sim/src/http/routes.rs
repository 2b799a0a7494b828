//! One request's way through the server.

use super::accounts::Accounts;
use super::body::Body;
use super::shape::{Good, Headers, Refused, Reply, Shape, State as Standing};
use super::shared::Shared;
use crate::api::{Answer, Arrival, Outcome, Request};
use crate::draw::mix;
use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::SystemTime;

/// The largest body that is read.
const BODY_MAX: usize = 64 << 20;

pub(super) fn router(accounts: Arc<Accounts>) -> Router {
    Router::new()
        .route("/stats", get(stats))
        .fallback(handle)
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .with_state(accounts)
}

async fn stats(State(accounts): State<Arc<Accounts>>) -> Response {
    let shared = accounts.get(0);
    let mut stats = json!(shared.stats());
    stats["optimum_seconds"] = json!(shared.optimum().as_secs_f64());
    respond(StatusCode::OK, &stats)
}

async fn handle(
    State(accounts): State<Arc<Accounts>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    bytes: Bytes,
) -> Response {
    let Some(shared) = accounts.of(&headers) else {
        let shape = accounts.get(0).dialect.shape();
        return sent(shape.error(401, "Incorrect API key provided."));
    };
    let shape = shared.dialect.shape();
    let Some(target) = shape.target(&method, uri.path()) else {
        let message = format!("Unknown request URL: {method} {}", uri.path());
        return sent(shape.error(404, &message));
    };
    let path = uri.path_and_query().map_or("/", |it| it.as_str());
    let body = match Body::parse(&target, path, &bytes) {
        Ok(body) => body
            .priced(shared.dialect.price())
            .answering(shared.answers.clone()),
        Err(complaint) => return sent(shape.error(400, &complaint)),
    };
    let call = Call {
        shared,
        shape,
        path: uri.path(),
        body: &body,
    };
    call.handle().await
}

/// A request that was understood.
struct Call<'a> {
    shared: &'a Shared,
    shape: &'a dyn Shape,
    path: &'a str,
    body: &'a Body,
}

impl Call<'_> {
    async fn handle(&self) -> Response {
        let mut request = self.body.request(self.shared.seed);
        let arrived = match self.shared.arrive(&mut request) {
            Ok(flight) => Ok(flight.answer().await),
            Err(arrival) => Err(arrival),
        };
        let limits = self.shared.limits_view(&request);
        let success = |answer: &Answer| answer.outcome == Outcome::Success;
        let good = arrived.as_ref().ok().and_then(Option::as_ref);
        let state = Standing {
            limits: &limits,
            now: SystemTime::now(),
            tokens: good.filter(|it| success(it)).map(|it| it.usage_tokens),
            refused: arrived.is_err(),
        };
        let mut reply = match &arrived {
            Ok(Some(answer)) => self.answered(&request, answer, &state),
            // The server closes.
            Ok(None) => self.failed(503),
            Err(arrival) => self.refused(&request, arrival, &state),
        };
        // What a refusal says itself stands before what all answers say.
        let said = std::mem::take(&mut reply.headers);
        reply.headers = self.shape.headers(&state);
        reply
            .headers
            .retain(|(name, _)| said.iter().all(|it| it.0 != *name));
        reply.headers.extend(said);
        reply.headers.push(("x-request-id", request_id(&request)));
        sent(reply)
    }

    fn answered(&self, request: &Request, answer: &Answer, state: &Standing<'_>) -> Reply {
        match answer.outcome {
            Outcome::Success => {
                let good = Good {
                    seed: self.shared.seed,
                    path: self.path,
                    body: self.body,
                    request,
                    answer,
                    state,
                };
                Reply::new(200, self.shape.answer(&good))
            }
            Outcome::Failure(status) => self.failed(status),
        }
    }

    fn failed(&self, status: u16) -> Reply {
        let (status, message) = match status {
            401 => (status, "Incorrect API key provided."),
            403 => (status, "You are not allowed to do this."),
            429 => (status, "You exceeded your quota."),
            400..500 => (status, "The request is wrong."),
            503 => (self.shape.overloaded(), "The server is overloaded."),
            _ => (status, "The server had an error."),
        };
        self.shape.error(status, message)
    }

    fn refused(&self, request: &Request, arrival: &Arrival, state: &Standing<'_>) -> Reply {
        let Arrival::Refused { retry_after, limit } = arrival else {
            unreachable!("an accepted request has a flight");
        };
        self.shape.refusal(&Refused {
            request,
            model: &self.body.model,
            limit,
            wait: *retry_after,
            state,
        })
    }
}

fn request_id(request: &Request) -> String {
    let id = mix(request.call ^ u64::from(request.attempt));
    format!("req_{id:016x}")
}

fn sent(reply: Reply) -> Response {
    let Reply {
        status,
        headers,
        json,
    } = reply;
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = respond(status, &json);
    add(&mut response, headers);
    response
}

fn add(response: &mut Response, headers: Headers) {
    for (name, value) in headers {
        let value = HeaderValue::try_from(value).expect("digits, units and names of limits only");
        let name = HeaderName::from_static(name);
        response.headers_mut().insert(name, value);
    }
}

fn respond(status: StatusCode, value: &Value) -> Response {
    let json = [(header::CONTENT_TYPE, "application/json")];
    (status, json, value.to_string()).into_response()
}

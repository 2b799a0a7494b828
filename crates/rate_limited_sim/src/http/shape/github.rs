//! GitHub: a REST API whose 403 may mean "wait", and a `GraphQL` API that refuses with the status 200.

use super::{Good, Headers, Refused, Reply, Shape, State, any_path, posts};
use crate::http::body::{Endpoint, Target};
use crate::http::clock::{epoch_after, rfc3339_after};
use axum::http::Method;
use serde_json::{Value, json};

/// The REST API.
pub(in crate::http) struct Rest;

/// The `GraphQL` API.
pub(in crate::http) struct Graphql;

impl Shape for Rest {
    fn target(&self, method: &Method, path: &str) -> Option<Target> {
        Some(any_path(method, path))
    }

    fn answer(&self, good: &Good<'_>) -> Value {
        json!({
            "id": good.id() >> 32,
            "url": good.path,
            "title": good.words(0, 4),
            "body": good.words(1, 12),
        })
    }

    fn error(&self, status: u16, message: &str) -> Reply {
        let message = match status {
            401 => "Bad credentials",
            404 => "Not Found",
            _ => message,
        };
        Reply::new(status, told(status, message))
    }

    /// Past the quota of the hour the headers alone tell when it goes on; a secondary limit is in no
    /// header, and has a `Retry-After`.
    fn refusal(&self, refused: &Refused<'_>) -> Reply {
        if refused.is("primary") {
            return Reply::new(403, told(403, "API rate limit exceeded for user ID 1."));
        }
        let message = "You have exceeded a secondary rate limit. Please wait a few minutes before you \
                       try again.";
        Reply::new(403, told(403, message)).retry_after(refused.wait)
    }

    fn headers(&self, state: &State<'_>) -> Headers {
        primary(state, "core")
    }
}

impl Shape for Graphql {
    fn target(&self, method: &Method, path: &str) -> Option<Target> {
        posts(method, path, &[("/graphql", Endpoint::Graphql)])
    }

    fn answer(&self, good: &Good<'_>) -> Value {
        let mut data = json!({ "node": { "id": format!("{:016x}", good.id()) } });
        data["rateLimit"] = json!({ "cost": good.request.usage_points });
        if let Some(limit) = good.state.named("primary") {
            let reset_at = rfc3339_after(good.state.now, limit.reset);
            data["rateLimit"]["remaining"] = limit.remaining.into();
            data["rateLimit"]["resetAt"] = reset_at.into();
        }
        json!({ "data": data })
    }

    fn error(&self, status: u16, message: &str) -> Reply {
        Rest.error(status, message)
    }

    fn refusal(&self, refused: &Refused<'_>) -> Reply {
        let message = "API rate limit exceeded for user ID 1.";
        let json = json!({ "errors": [{ "type": "RATE_LIMITED", "message": message }] });
        let mut reply = Reply::new(200, json);
        if !refused.state.limits.is_empty() {
            // Whatever is left, it is too little.
            reply.headers.push(("x-ratelimit-remaining", "0".into()));
        }
        reply
    }

    fn headers(&self, state: &State<'_>) -> Headers {
        primary(state, "graphql")
    }
}

/// The headers of the quota of the hour.
fn primary(state: &State<'_>, resource: &str) -> Headers {
    let Some(limit) = state.named("primary") else {
        return Headers::new();
    };
    let used = limit.quota.saturating_sub(limit.remaining);
    let reset = epoch_after(state.now, limit.reset);
    vec![
        ("x-ratelimit-limit", limit.quota.to_string()),
        ("x-ratelimit-remaining", limit.remaining.to_string()),
        ("x-ratelimit-used", used.to_string()),
        ("x-ratelimit-reset", reset.to_string()),
        ("x-ratelimit-resource", resource.to_owned()),
    ]
}

fn told(status: u16, message: &str) -> Value {
    json!({
        "message": message,
        "documentation_url": "https://docs.github.com/rest",
        "status": status.to_string(),
    })
}

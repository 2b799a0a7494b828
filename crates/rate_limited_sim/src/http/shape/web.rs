//! Public APIs of the web: Crossref, which announces a rate, and any that follows the IETF's draft.

use super::{Good, Headers, Refused, Reply, Shape, State, any_path, base};
use crate::http::body::Target;
use crate::http::clock::seconds_up;
use axum::http::Method;
use serde_json::{Value, json};

pub(in crate::http) struct Crossref;

/// With `RateLimit`, `RateLimit-Policy`, and problem details.
pub(in crate::http) struct Generic;

impl Shape for Crossref {
    fn target(&self, method: &Method, path: &str) -> Option<Target> {
        Some(any_path(method, path))
    }

    fn answer(&self, good: &Good<'_>) -> Value {
        let title = good.words(0, 8);
        let work = json!({ "DOI": format!("10.5555/{:x}", good.id() >> 32), "title": [title] });
        json!({ "status": "ok", "message-type": "work", "message": work })
    }

    fn error(&self, status: u16, message: &str) -> Reply {
        let problem = json!([{ "type": "simulated", "message": message }]);
        Reply::new(status, json!({ "status": "failed", "message": problem }))
    }

    fn refusal(&self, refused: &Refused<'_>) -> Reply {
        let reply = self.error(429, "Too many requests.");
        reply.retry_after(refused.wait)
    }

    /// The rate alone: nothing tells what remains.
    fn headers(&self, state: &State<'_>) -> Headers {
        let Some(limit) = state.named("requests") else {
            return Headers::new();
        };
        let interval = seconds_up(limit.window);
        vec![
            ("x-rate-limit-limit", limit.quota.to_string()),
            ("x-rate-limit-interval", format!("{interval}s")),
            ("x-api-pool", "polite-single".into()),
        ]
    }
}

impl Shape for Generic {
    fn target(&self, method: &Method, path: &str) -> Option<Target> {
        Some(any_path(method, path))
    }

    fn answer(&self, good: &Good<'_>) -> Value {
        json!({ "id": format!("{:016x}", good.id()), "path": good.path, "text": good.words(0, 12) })
    }

    fn error(&self, status: u16, message: &str) -> Reply {
        let json = json!({ "type": "about:blank", "title": message, "status": status });
        Reply::new(status, json)
    }

    fn refusal(&self, refused: &Refused<'_>) -> Reply {
        let json = json!({
            "type": "https://iana.org/assignments/http-problem-types#quota-exceeded",
            "title": "Request cannot be satisfied as assigned quota has been exceeded",
            "status": 429,
            "violated-policies": [base(refused.limit)],
        });
        Reply::new(429, json).retry_after(refused.wait)
    }

    /// The draft knows whole seconds only.
    fn headers(&self, state: &State<'_>) -> Headers {
        let limits = state.limits.iter();
        let policy = |name: &str, quota, window| format!("\"{name}\";q={quota};w={window}");
        let policies: Vec<_> = limits
            .clone()
            .map(|it| policy(&it.name, it.quota, seconds_up(it.window)))
            .collect();
        let left = |name: &str, left, reset| format!("\"{name}\";r={left};t={reset}");
        let states: Vec<_> = limits
            .map(|it| left(&it.name, it.remaining, seconds_up(it.reset)))
            .collect();
        if policies.is_empty() {
            return Headers::new();
        }
        vec![
            ("ratelimit-policy", policies.join(", ")),
            ("ratelimit", states.join(", ")),
        ]
    }
}

//! Stripe: no header tells a limit.

use super::{Good, Refused, Reply, Shape, any_path};
use crate::http::body::{Endpoint, Target};
use axum::http::Method;
use serde_json::{Value, json};

pub(in crate::http) struct Stripe;

impl Shape for Stripe {
    fn target(&self, method: &Method, path: &str) -> Option<Target> {
        Some(any_path(method, path))
    }

    fn answer(&self, good: &Good<'_>) -> Value {
        let item = json!({ "id": format!("obj_{:016x}", good.id()), "object": "simulated" });
        match good.body.endpoint {
            Endpoint::Search => json!({
                "object": "search_result",
                "url": good.path,
                "has_more": false,
                "data": [item],
            }),
            _ => item,
        }
    }

    fn error(&self, status: u16, message: &str) -> Reply {
        let kind = match status {
            402 => "card_error",
            400..500 => "invalid_request_error",
            _ => "api_error",
        };
        Reply::new(
            status,
            json!({ "error": { "type": kind, "message": message } }),
        )
    }

    fn refusal(&self, _: &Refused<'_>) -> Reply {
        let error = json!({
            "message": "Request rate limit exceeded.",
            "type": "invalid_request_error",
            "code": "rate_limit",
        });
        Reply::new(429, json!({ "error": error }))
    }
}

//! Slack and Notion: no header tells what remains, a refusal tells when to come again.

use super::{Good, Refused, Reply, Shape, any_path};
use crate::http::body::Target;
use axum::http::Method;
use serde_json::{Value, json};

/// Failures come with the status 200.
pub(in crate::http) struct Slack;

/// An overload is a 529.
pub(in crate::http) struct Notion;

impl Shape for Slack {
    fn target(&self, method: &Method, path: &str) -> Option<Target> {
        Some(any_path(method, path))
    }

    fn answer(&self, good: &Good<'_>) -> Value {
        json!({ "ok": true, "ts": format!("{}.000100", good.id() >> 32), "text": good.words(0, 6) })
    }

    fn error(&self, status: u16, message: &str) -> Reply {
        let code = match status {
            401 => "invalid_auth",
            404 => "unknown_method",
            400..500 => "invalid_arguments",
            _ => "internal_error",
        };
        let json = json!({ "ok": false, "error": code, "warning": message });
        // Only what is in front of the methods has a status of its own.
        Reply::new(if status == 503 { 503 } else { 200 }, json)
    }

    fn refusal(&self, refused: &Refused<'_>) -> Reply {
        let json = json!({ "ok": false, "error": "ratelimited" });
        Reply::new(429, json).retry_after(refused.wait)
    }
}

impl Shape for Notion {
    fn target(&self, method: &Method, path: &str) -> Option<Target> {
        Some(any_path(method, path))
    }

    fn answer(&self, good: &Good<'_>) -> Value {
        let id = format!("{:016x}", good.id());
        json!({ "object": "page", "id": id, "url": good.path, "properties": {} })
    }

    fn error(&self, status: u16, message: &str) -> Reply {
        let code = match status {
            401 => "unauthorized",
            403 => "restricted_resource",
            404 => "object_not_found",
            409 => "conflict_error",
            429 => "rate_limited",
            400..500 => "validation_error",
            503 => "service_unavailable",
            529 => "service_overload",
            _ => "internal_server_error",
        };
        let json = json!({ "object": "error", "status": status, "code": code, "message": message });
        Reply::new(status, json)
    }

    fn refusal(&self, refused: &Refused<'_>) -> Reply {
        let reply = self.error(429, "You have been rate limited.");
        reply.retry_after(refused.wait)
    }

    fn overloaded(&self) -> u16 {
        529
    }
}

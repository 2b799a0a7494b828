//! Bad answers, as `OpenAI` shapes them.

use super::headers::go_duration;
use axum::http::{Method, StatusCode, Uri};
use serde_json::{Value, json};
use std::time::Duration;

pub(super) struct ApiError {
    status: StatusCode,
    kind: &'static str,
    code: Option<&'static str>,
    message: String,
}

impl ApiError {
    pub(super) fn invalid(message: String) -> ApiError {
        ApiError {
            status: StatusCode::BAD_REQUEST,
            kind: "invalid_request_error",
            code: None,
            message,
        }
    }

    pub(super) fn unknown_url(method: &Method, uri: &Uri) -> ApiError {
        ApiError {
            status: StatusCode::NOT_FOUND,
            kind: "invalid_request_error",
            code: Some("unknown_url"),
            message: format!("Unknown request URL: {method} {}", uri.path()),
        }
    }

    pub(super) fn rate_limit(model: &str, limit: &str, retry_after: Option<Duration>) -> ApiError {
        let advice = match retry_after {
            Some(wait) => format!(" Please try again in {}.", go_duration(wait)),
            None => String::new(),
        };
        ApiError {
            status: StatusCode::TOO_MANY_REQUESTS,
            kind: "rate_limit_error",
            code: Some("rate_limit_exceeded"),
            message: format!("Rate limit reached for {model} on {limit}.{advice}"),
        }
    }

    /// An error that the model of the API demands.
    pub(super) fn of_status(status: u16) -> ApiError {
        let request = "invalid_request_error";
        let (kind, code, message) = match status {
            401 => (request, "invalid_api_key", "Incorrect API key provided."),
            403 => (request, "forbidden", "You are not allowed to do this."),
            429 => (
                "insufficient_quota",
                "insufficient_quota",
                "You exceeded your quota.",
            ),
            400..500 => (request, "invalid_request", "The request is wrong."),
            503 => (
                "server_error",
                "service_unavailable",
                "The server is overloaded.",
            ),
            _ => ("server_error", "internal_error", "The server had an error."),
        };
        ApiError {
            status: StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            kind,
            code: Some(code),
            message: message.into(),
        }
    }

    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    pub(super) fn json(&self) -> Value {
        let ApiError {
            kind,
            code,
            message,
            ..
        } = self;
        json!({ "error": { "message": message, "type": kind, "param": null, "code": code } })
    }
}

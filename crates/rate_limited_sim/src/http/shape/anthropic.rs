//! Anthropic Messages.

use super::{Good, Headers, Refused, Reply, Shape, State, posts};
use crate::http::body::{Endpoint, Target};
use crate::http::clock::rfc3339_after;
use axum::http::Method;
use serde_json::{Value, json};

pub(in crate::http) struct Anthropic;

impl Shape for Anthropic {
    fn target(&self, method: &Method, path: &str) -> Option<Target> {
        let ends = [
            ("/messages", Endpoint::Chat),
            ("/messages/count_tokens", Endpoint::Count),
        ];
        posts(method, path, &ends)
    }

    fn answer(&self, good: &Good<'_>) -> Value {
        let input_tokens = good.prompt_tokens();
        if good.body.endpoint == Endpoint::Count {
            return json!({ "input_tokens": input_tokens });
        }
        let output_tokens = good.answer_tokens();
        let stop_reason = if output_tokens == good.body.max_tokens {
            "max_tokens"
        } else {
            "end_turn"
        };
        json!({
            "id": format!("msg_{:016x}", good.id()),
            "type": "message",
            "role": "assistant",
            "model": good.body.model,
            "content": [{ "type": "text", "text": good.words(0, output_tokens) }],
            "stop_reason": stop_reason,
            "stop_sequence": null,
            "usage": {
                "input_tokens": input_tokens,
                "cache_creation_input_tokens": 0,
                "cache_read_input_tokens": 0,
                "output_tokens": output_tokens,
            },
        })
    }

    fn error(&self, status: u16, message: &str) -> Reply {
        let kind = match status {
            401 => "authentication_error",
            402 => "billing_error",
            403 => "permission_error",
            404 => "not_found_error",
            413 => "request_too_large",
            429 => "rate_limit_error",
            504 => "timeout_error",
            529 => "overloaded_error",
            400..500 => "invalid_request_error",
            _ => "api_error",
        };
        Reply::new(status, error(kind, message))
    }

    fn refusal(&self, refused: &Refused<'_>) -> Reply {
        let message = format!(
            "This request would exceed the rate limit of your organization on {} for {}.",
            refused.limit, refused.model
        );
        Reply::new(429, error("rate_limit_error", &message)).retry_after(refused.wait)
    }

    /// What remains of tokens is rounded to thousands.
    fn headers(&self, state: &State<'_>) -> Headers {
        let mut headers = Headers::new();
        for (name, rounded_to, [limit, remaining, reset]) in [
            ("requests", 1, REQUESTS),
            ("input_tokens", 1_000, INPUT_TOKENS),
            ("output_tokens", 1_000, OUTPUT_TOKENS),
        ] {
            if let Some(view) = state.named(name) {
                let left = (view.remaining + rounded_to / 2) / rounded_to * rounded_to;
                headers.push((limit, view.quota.to_string()));
                headers.push((remaining, left.to_string()));
                headers.push((reset, rfc3339_after(state.now, view.reset)));
            }
        }
        headers
    }

    fn overloaded(&self) -> u16 {
        529
    }
}

const REQUESTS: [&str; 3] = [
    "anthropic-ratelimit-requests-limit",
    "anthropic-ratelimit-requests-remaining",
    "anthropic-ratelimit-requests-reset",
];

const INPUT_TOKENS: [&str; 3] = [
    "anthropic-ratelimit-input-tokens-limit",
    "anthropic-ratelimit-input-tokens-remaining",
    "anthropic-ratelimit-input-tokens-reset",
];

const OUTPUT_TOKENS: [&str; 3] = [
    "anthropic-ratelimit-output-tokens-limit",
    "anthropic-ratelimit-output-tokens-remaining",
    "anthropic-ratelimit-output-tokens-reset",
];

fn error(kind: &str, message: &str) -> Value {
    json!({ "type": "error", "error": { "type": kind, "message": message } })
}

//! `OpenAI`, and the many that speak like it: the same bodies, with headers of their own.

use super::{Good, Headers, Refused, Reply, Shape, State, posts};
use crate::http::body::{Endpoint, Target};
use crate::http::clock::{epoch_after, go_duration, seconds_up, since_1970};
use crate::limit::Unit;
use crate::stats::LimitView;
use axum::http::Method;
use serde_json::{Value, json};
use std::time::Duration;

/// A server with `OpenAI`'s paths and bodies.
pub(in crate::http) struct OpenAi(pub(in crate::http) Told);

/// What it tells of its limits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::http) enum Told {
    /// `x-ratelimit-{limit,remaining,reset}-{requests,tokens}`, spans as Go prints them.
    GoDurations,
    /// The same, with whole seconds, and `retry-after-ms`.
    Seconds,
    /// As `OpenAI`, but `-requests` is the day's.
    OfTheDay,
    /// Mistral's names: no resets, but what the call cost.
    Costs,
    /// Together's names, for a second.
    PerSecond,
    /// `X-RateLimit-*` with refusals only, in the body, too.
    WithRefusals,
    /// Nothing.
    Nothing,
}

impl Shape for OpenAi {
    fn target(&self, method: &Method, path: &str) -> Option<Target> {
        let ends = [
            ("/chat/completions", Endpoint::Chat),
            ("/completions", Endpoint::Completions),
            ("/responses", Endpoint::Responses),
            ("/embeddings", Endpoint::Embeddings),
        ];
        let target = posts(method, path, &ends)?;
        let deployment = path.split("/deployments/").nth(1);
        let model = deployment.and_then(|rest| rest.split('/').next());
        Some(Target {
            model: model.map(str::to_owned),
            ..target
        })
    }

    fn answer(&self, good: &Good<'_>) -> Value {
        match good.body.endpoint {
            Endpoint::Embeddings => embeddings(good),
            Endpoint::Responses => response(good),
            _ => completion(good),
        }
    }

    fn error(&self, status: u16, message: &str) -> Reply {
        let request = "invalid_request_error";
        let (kind, code) = match status {
            400 => (request, None),
            401 => (request, Some("invalid_api_key")),
            403 => (request, Some("forbidden")),
            404 => (request, Some("unknown_url")),
            429 => ("insufficient_quota", Some("insufficient_quota")),
            402..500 => (request, Some("invalid_request")),
            503 => ("server_error", Some("service_unavailable")),
            _ => ("server_error", Some("internal_error")),
        };
        Reply::new(status, error(kind, code, message))
    }

    fn refusal(&self, refused: &Refused<'_>) -> Reply {
        let Refused {
            model, limit, wait, ..
        } = refused;
        let advice = match wait {
            Some(wait) => format!(" Please try again in {}.", go_duration(*wait)),
            None => String::new(),
        };
        let message = format!("Rate limit reached for {model} on {limit}.{advice}");
        let mut json = error("rate_limit_error", Some("rate_limit_exceeded"), &message);
        if self.0 == Told::WithRefusals {
            json["error"]["code"] = 429.into();
            json["error"]["metadata"] = metadata(refused);
        }
        let mut reply = Reply::new(429, json).retry_after(*wait);
        if let (Told::Seconds, Some(wait)) = (self.0, wait) {
            let millis = wait.as_nanos().div_ceil(1_000_000);
            reply.headers.push(("retry-after-ms", millis.to_string()));
        }
        reply
    }

    fn headers(&self, state: &State<'_>) -> Headers {
        let requests = state.on(Unit::Requests);
        let tokens = state.on(Unit::Tokens);
        match self.0 {
            Told::GoDurations => six(requests, tokens, go_duration),
            Told::Seconds => six(requests, tokens, |span| seconds_up(span).to_string()),
            Told::OfTheDay => six(state.named("requests_per_day"), tokens, go_duration),
            Told::Costs => costs(requests, tokens, state.tokens),
            Told::PerSecond => per_second(requests, tokens),
            Told::WithRefusals if state.refused => told_late(state),
            Told::WithRefusals | Told::Nothing => Headers::new(),
        }
    }
}

fn error(kind: &str, code: Option<&str>, message: &str) -> Value {
    json!({ "error": { "message": message, "type": kind, "param": null, "code": code } })
}

fn six(
    requests: Option<&LimitView>,
    tokens: Option<&LimitView>,
    reset: impl Fn(Duration) -> String,
) -> Headers {
    let mut headers = Headers::new();
    let mut tell = |limit: &LimitView, names: [&'static str; 3]| {
        let values = [
            limit.quota.to_string(),
            limit.remaining.to_string(),
            reset(limit.reset),
        ];
        headers.extend(names.into_iter().zip(values));
    };
    if let Some(limit) = requests {
        tell(
            limit,
            [
                "x-ratelimit-limit-requests",
                "x-ratelimit-remaining-requests",
                "x-ratelimit-reset-requests",
            ],
        );
    }
    if let Some(limit) = tokens {
        tell(
            limit,
            [
                "x-ratelimit-limit-tokens",
                "x-ratelimit-remaining-tokens",
                "x-ratelimit-reset-tokens",
            ],
        );
    }
    headers
}

fn costs(requests: Option<&LimitView>, tokens: Option<&LimitView>, used: Option<u64>) -> Headers {
    let limit = |limit: Option<&LimitView>| limit.map(|limit| limit.quota);
    let left = |limit: Option<&LimitView>| limit.map(|limit| limit.remaining);
    let all = [
        ("x-ratelimit-limit-req-minute", limit(requests)),
        ("x-ratelimit-remaining-req-minute", left(requests)),
        ("x-ratelimit-limit-tokens-minute", limit(tokens)),
        ("x-ratelimit-remaining-tokens-minute", left(tokens)),
        ("x-ratelimit-tokens-query-cost", tokens.and(used)),
    ];
    let told = all
        .into_iter()
        .filter_map(|(name, number)| Some((name, number?.to_string())));
    told.collect()
}

fn per_second(requests: Option<&LimitView>, tokens: Option<&LimitView>) -> Headers {
    let mut headers = Headers::new();
    if let Some(limit) = requests {
        headers.push(("x-ratelimit-limit", limit.quota.to_string()));
        headers.push(("x-ratelimit-remaining", limit.remaining.to_string()));
        headers.push(("x-ratelimit-reset", seconds_up(limit.reset).to_string()));
    }
    if let Some(limit) = tokens {
        headers.push(("x-tokenlimit-limit", limit.quota.to_string()));
        headers.push(("x-tokenlimit-remaining", limit.remaining.to_string()));
    }
    headers
}

fn told_late(state: &State<'_>) -> Headers {
    let Some(limit) = state.on(Unit::Requests) else {
        return Headers::new();
    };
    let reset = epoch_after(state.now, limit.reset) * 1_000;
    vec![
        ("x-ratelimit-limit", limit.quota.to_string()),
        ("x-ratelimit-remaining", limit.remaining.to_string()),
        ("x-ratelimit-reset", reset.to_string()),
    ]
}

fn metadata(refused: &Refused<'_>) -> Value {
    let told = told_late(refused.state).into_iter();
    let headers: serde_json::Map<String, Value> = told
        .zip([
            "X-RateLimit-Limit",
            "X-RateLimit-Remaining",
            "X-RateLimit-Reset",
        ])
        .map(|((_, value), name)| (name.to_owned(), value.into()))
        .collect();
    json!({ "headers": headers, "provider_name": null })
}

fn completion(good: &Good<'_>) -> Value {
    let (prefix, object) = match good.body.endpoint {
        Endpoint::Chat => ("chatcmpl", "chat.completion"),
        _ => ("cmpl", "text_completion"),
    };
    let lengths = good.body.answers(good.seed);
    let choices: Vec<Value> = lengths
        .iter()
        .enumerate()
        .map(|(index, tokens)| choice(good, index, *tokens))
        .collect();
    json!({
        "id": format!("{prefix}-{:016x}", good.id()),
        "object": object,
        "created": since_1970(good.state.now).as_secs(),
        "model": good.body.model,
        "choices": choices,
        "usage": {
            "prompt_tokens": good.prompt_tokens(),
            "completion_tokens": good.answer_tokens(),
            "total_tokens": good.answer.usage_tokens,
        },
    })
}

fn choice(good: &Good<'_>, index: usize, tokens: u64) -> Value {
    let mut text = good.words(index, tokens);
    if good.body.json {
        text = json!({ "answer": text }).to_string();
    }
    let finish_reason = if tokens == good.body.max_tokens {
        "length"
    } else {
        "stop"
    };
    let mut choice = json!({ "index": index, "logprobs": null, "finish_reason": finish_reason });
    match good.body.endpoint {
        Endpoint::Chat => choice["message"] = json!({ "role": "assistant", "content": text }),
        _ => choice["text"] = text.into(),
    }
    choice
}

fn response(good: &Good<'_>) -> Value {
    let text = good.words(0, good.answer_tokens());
    let content = json!([{ "type": "output_text", "text": text, "annotations": [] }]);
    json!({
        "id": format!("resp_{:016x}", good.id()),
        "object": "response",
        "created_at": since_1970(good.state.now).as_secs(),
        "status": "completed",
        "model": good.body.model,
        "output": [{ "type": "message", "role": "assistant", "status": "completed", "content": content }],
        "usage": {
            "input_tokens": good.prompt_tokens(),
            "output_tokens": good.answer_tokens(),
            "total_tokens": good.answer.usage_tokens,
        },
    })
}

fn embeddings(good: &Good<'_>) -> Value {
    let item =
        |(index, vector)| json!({ "object": "embedding", "index": index, "embedding": vector });
    let data: Vec<Value> = good.vectors().enumerate().map(item).collect();
    json!({
        "object": "list",
        "data": data,
        "model": good.body.model,
        "usage": { "prompt_tokens": good.prompt_tokens(), "total_tokens": good.answer.usage_tokens },
    })
}

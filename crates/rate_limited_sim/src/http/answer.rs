//! Good answers, as `OpenAI` shapes them.

use super::body::{Body, Endpoint};
use super::text;
use crate::api::{Answer, Request};
use crate::draw::mix;
use serde_json::{Value, json};
use std::time::SystemTime;

pub(super) fn json(seed: u64, body: &Body, request: &Request, answer: &Answer) -> Value {
    match body.endpoint {
        Endpoint::Chat | Endpoint::Completions => completion(seed, body, request, answer),
        Endpoint::Embeddings => embeddings(seed, body, answer),
    }
}

fn completion(seed: u64, body: &Body, request: &Request, answer: &Answer) -> Value {
    let (prefix, object) = match body.endpoint {
        Endpoint::Chat => ("chatcmpl", "chat.completion"),
        _ => ("cmpl", "text_completion"),
    };
    let id = mix(request.call.wrapping_add(u64::from(request.attempt)));
    let lengths = body.answers(seed);
    let choices: Vec<Value> = lengths
        .iter()
        .enumerate()
        .map(|(index, tokens)| choice(seed, body, index, *tokens))
        .collect();
    json!({
        "id": format!("{prefix}-{id:016x}"),
        "object": object,
        "created": unix_seconds(),
        "model": body.model,
        "choices": choices,
        "usage": {
            "prompt_tokens": answer.prompt_tokens,
            "completion_tokens": answer.usage_tokens - answer.prompt_tokens,
            "total_tokens": answer.usage_tokens,
        },
    })
}

fn choice(seed: u64, body: &Body, index: usize, tokens: u64) -> Value {
    let text = text::words(seed, mix(body.call ^ index as u64), tokens);
    let finish_reason = if tokens == body.max_tokens {
        "length"
    } else {
        "stop"
    };
    let mut choice = json!({ "index": index, "logprobs": null, "finish_reason": finish_reason });
    match body.endpoint {
        Endpoint::Chat => choice["message"] = json!({ "role": "assistant", "content": text }),
        _ => choice["text"] = text.into(),
    }
    choice
}

fn embeddings(seed: u64, body: &Body, answer: &Answer) -> Value {
    let vector = |(index, input): (usize, &super::body::Input)| json!({ "object": "embedding", "index": index, "embedding": text::vector(seed, input.hash) });
    let data: Vec<Value> = body.inputs.iter().enumerate().map(vector).collect();
    json!({
        "object": "list",
        "data": data,
        "model": body.model,
        "usage": { "prompt_tokens": answer.prompt_tokens, "total_tokens": answer.usage_tokens },
    })
}

fn unix_seconds() -> u64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}

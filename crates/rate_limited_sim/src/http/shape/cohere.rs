//! Cohere: chat, embed and rerank, each with limits of its own.

use super::{Good, Refused, Reply, Shape, posts};
use crate::http::body::{Endpoint, Target};
use crate::http::clock::epoch_after;
use axum::http::Method;
use serde_json::{Value, json};

pub(in crate::http) struct Cohere;

impl Shape for Cohere {
    fn target(&self, method: &Method, path: &str) -> Option<Target> {
        let ends = [
            ("/chat", Endpoint::Chat),
            ("/embed", Endpoint::Embeddings),
            ("/rerank", Endpoint::Rerank),
        ];
        posts(method, path, &ends)
    }

    fn answer(&self, good: &Good<'_>) -> Value {
        let id = format!("{:016x}", good.id());
        let (input, output) = (good.prompt_tokens(), good.answer_tokens());
        match good.body.endpoint {
            Endpoint::Embeddings => {
                let vectors: Vec<Value> = good.vectors().collect();
                json!({
                    "id": id,
                    "embeddings": { "float": vectors },
                    "meta": { "api_version": { "version": "2" }, "billed_units": { "input_tokens": input } },
                })
            }
            Endpoint::Rerank => {
                let item = |(index, score)| json!({ "index": index, "relevance_score": score });
                let results: Vec<Value> = good.ranked().into_iter().map(item).collect();
                json!({
                    "id": id,
                    "results": results,
                    "meta": { "api_version": { "version": "2" }, "billed_units": { "search_units": 1 } },
                })
            }
            _ => json!({
                "id": id,
                "finish_reason": "COMPLETE",
                "message": {
                    "role": "assistant",
                    "content": [{ "type": "text", "text": good.words(0, output) }],
                },
                "usage": {
                    "billed_units": { "input_tokens": input, "output_tokens": output },
                    "tokens": { "input_tokens": input, "output_tokens": output },
                },
            }),
        }
    }

    fn error(&self, status: u16, message: &str) -> Reply {
        Reply::new(status, json!({ "message": message }))
    }

    fn refusal(&self, refused: &Refused<'_>) -> Reply {
        let message = format!("You are past the limit of your key on {}.", refused.limit);
        let mut reply = self.error(429, &message);
        if let Some(wait) = refused.wait {
            let reset = epoch_after(refused.state.now, wait);
            reply.headers.push(("x-ratelimit-reset", reset.to_string()));
        }
        reply
    }
}

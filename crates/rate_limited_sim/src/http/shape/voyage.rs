//! Voyage AI: embeddings and rerank.

use super::{Good, Refused, Reply, Shape, posts};
use crate::http::body::{Endpoint, Target};
use axum::http::Method;
use serde_json::{Value, json};

pub(in crate::http) struct Voyage;

impl Shape for Voyage {
    fn target(&self, method: &Method, path: &str) -> Option<Target> {
        let ends = [
            ("/embeddings", Endpoint::Embeddings),
            ("/multimodalembeddings", Endpoint::Embeddings),
            ("/rerank", Endpoint::Rerank),
        ];
        posts(method, path, &ends)
    }

    fn answer(&self, good: &Good<'_>) -> Value {
        let data: Vec<Value> = if good.body.endpoint == Endpoint::Rerank {
            let item = |(index, score)| json!({ "index": index, "relevance_score": score });
            good.ranked().into_iter().map(item).collect()
        } else {
            let item =
                |(index, it)| json!({ "object": "embedding", "index": index, "embedding": it });
            good.vectors().enumerate().map(item).collect()
        };
        json!({
            "object": "list",
            "data": data,
            "model": good.body.model,
            "usage": { "total_tokens": good.answer.usage_tokens },
        })
    }

    fn error(&self, status: u16, message: &str) -> Reply {
        Reply::new(status, json!({ "detail": message }))
    }

    fn refusal(&self, refused: &Refused<'_>) -> Reply {
        let message = format!("You have exceeded your rate limit on {}.", refused.limit);
        self.error(429, &message).retry_after(refused.wait)
    }
}

//! The Gemini API: no header tells a limit, a refusal names its quota in the body.

use super::{Good, Refused, Reply, Shape};
use crate::http::body::{Endpoint, Target};
use crate::http::clock::proto_duration;
use axum::http::Method;
use serde_json::{Value, json};

pub(in crate::http) struct Gemini;

impl Shape for Gemini {
    fn target(&self, method: &Method, path: &str) -> Option<Target> {
        let call = path.rsplit('/').next().filter(|_| method == Method::POST)?;
        let (model, verb) = call.split_once(':')?;
        let endpoint = match verb {
            "generateContent" => Endpoint::Chat,
            "embedContent" | "batchEmbedContents" => Endpoint::Embeddings,
            "countTokens" => Endpoint::Count,
            _ => return None,
        };
        Some(Target {
            endpoint,
            model: Some(model.to_owned()),
        })
    }

    fn answer(&self, good: &Good<'_>) -> Value {
        match good.body.endpoint {
            Endpoint::Embeddings => embeddings(good),
            Endpoint::Count => json!({ "totalTokens": good.prompt_tokens() }),
            _ => content(good),
        }
    }

    fn error(&self, status: u16, message: &str) -> Reply {
        let name = match status {
            401 => "UNAUTHENTICATED",
            403 => "PERMISSION_DENIED",
            404 => "NOT_FOUND",
            429 => "RESOURCE_EXHAUSTED",
            400..500 => "INVALID_ARGUMENT",
            503 => "UNAVAILABLE",
            _ => "INTERNAL",
        };
        let error = json!({ "code": status, "message": message, "status": name });
        Reply::new(status, json!({ "error": error }))
    }

    fn refusal(&self, refused: &Refused<'_>) -> Reply {
        let (metric, quota_id) = if refused.is("input_tokens") {
            (
                "generate_content_paid_tier_input_token_count",
                "GenerateContentPaidTierInputTokensPerModelPerMinute",
            )
        } else if refused.is("requests_per_day") {
            (
                "generate_requests_per_model_per_day",
                "GenerateRequestsPerDayPerProjectPerModel",
            )
        } else {
            (
                "generate_requests_per_model",
                "GenerateRequestsPerMinutePerProjectPerModel",
            )
        };
        let mut violation = json!({
            "quotaMetric": format!("generativelanguage.googleapis.com/{metric}"),
            "quotaId": quota_id,
            "quotaDimensions": { "location": "global", "model": refused.model },
        });
        let limits = refused.state.limits.iter();
        let quota = limits.clone().find(|limit| limit.name == refused.limit);
        if let Some(limit) = quota {
            violation["quotaValue"] = limit.quota.to_string().into();
        }
        let mut details = vec![json!({
            "@type": "type.googleapis.com/google.rpc.QuotaFailure",
            "violations": [violation],
        })];
        if let Some(wait) = refused.wait {
            details.push(json!({
                "@type": "type.googleapis.com/google.rpc.RetryInfo",
                "retryDelay": proto_duration(wait),
            }));
        }
        let mut reply = self.error(429, "You exceeded your current quota.");
        reply.json["error"]["details"] = details.into();
        reply
    }
}

fn content(good: &Good<'_>) -> Value {
    let lengths = good.body.answers(good.seed);
    let candidate = |(index, tokens): (usize, &u64)| {
        let finish_reason = if *tokens == good.body.max_tokens {
            "MAX_TOKENS"
        } else {
            "STOP"
        };
        let parts = json!([{ "text": good.words(index, *tokens) }]);
        json!({
            "content": { "parts": parts, "role": "model" },
            "finishReason": finish_reason,
            "index": index,
        })
    };
    let candidates: Vec<Value> = lengths.iter().enumerate().map(candidate).collect();
    json!({
        "candidates": candidates,
        "usageMetadata": {
            "promptTokenCount": good.prompt_tokens(),
            "candidatesTokenCount": good.answer_tokens(),
            "totalTokenCount": good.answer.usage_tokens,
        },
        "modelVersion": good.body.model,
        "responseId": format!("{:016x}", good.id()),
    })
}

fn embeddings(good: &Good<'_>) -> Value {
    let values: Vec<Value> = good.vectors().map(|it| json!({ "values": it })).collect();
    if good.path.ends_with(":batchEmbedContents") {
        json!({ "embeddings": values })
    } else {
        json!({ "embedding": values.first() })
    }
}

//! Shopify's `GraphQL` Admin API: the bucket shows in each body, a refusal comes with the status 200.

use super::{Good, Refused, Reply, Shape, State, posts};
use crate::http::body::{Endpoint, Target};
use axum::http::Method;
use serde_json::{Value, json};

pub(in crate::http) struct Shopify;

impl Shape for Shopify {
    fn target(&self, method: &Method, path: &str) -> Option<Target> {
        posts(method, path, &[("/graphql.json", Endpoint::Graphql)])
    }

    fn answer(&self, good: &Good<'_>) -> Value {
        let (requested, actual) = (good.request.bound_points, good.request.usage_points);
        json!({
            "data": { "node": { "id": format!("gid://simulated/Node/{}", good.id() >> 32) } },
            "extensions": { "cost": cost(requested, Some(actual), good.state) },
        })
    }

    fn error(&self, status: u16, message: &str) -> Reply {
        Reply::new(status, json!({ "errors": message }))
    }

    fn refusal(&self, refused: &Refused<'_>) -> Reply {
        let requested = refused.request.bound_points;
        let json = json!({
            "errors": [{ "message": "Throttled", "extensions": { "code": "THROTTLED" } }],
            "extensions": { "cost": cost(requested, None, refused.state) },
        });
        Reply::new(200, json)
    }
}

fn cost(requested: u64, actual: Option<u64>, state: &State<'_>) -> Value {
    let mut cost = json!({ "requestedQueryCost": requested, "actualQueryCost": actual });
    if let Some(limit) = state.named("points") {
        cost["throttleStatus"] = json!({
            "maximumAvailable": limit.capacity,
            "currentlyAvailable": limit.remaining,
            "restoreRate": per_second(limit.quota, limit.window.as_secs_f64()),
        });
    }
    cost
}

fn per_second(quota: u64, seconds: f64) -> f64 {
    quota as f64 / seconds
}

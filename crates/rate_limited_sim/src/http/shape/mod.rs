//! How requests and answers look: one file for each family of APIs.
//!
//! Written down from what the APIs do on the wire, and from nothing that this project reads answers
//! with: a mistake in the one must not hide a mistake in the other.

pub(super) mod anthropic;
pub(super) mod cohere;
pub(super) mod gemini;
pub(super) mod github;
pub(super) mod openai;
pub(super) mod shopify;
pub(super) mod stripe;
pub(super) mod voyage;
pub(super) mod web;
pub(super) mod workplace;

use super::body::{Body, Endpoint, Target};
use super::clock;
use crate::api::{Answer, Request};
use crate::limit::Unit;
use crate::stats::LimitView;
use axum::http::Method;
use serde_json::Value;
use std::time::{Duration, SystemTime};

/// Names and values.
pub(super) type Headers = Vec<(&'static str, String)>;

/// The words of one family of APIs.
pub(super) trait Shape: Sync {
    /// What a request to this path (without its query) asks for; `None`: there is no such path.
    fn target(&self, method: &Method, path: &str) -> Option<Target>;

    /// A good answer.
    fn answer(&self, good: &Good<'_>) -> Value;

    /// The answer to a call that no limit refuses and that fails all the same.
    fn error(&self, status: u16, message: &str) -> Reply;

    /// The refusal of a limit.
    fn refusal(&self, refused: &Refused<'_>) -> Reply;

    /// The headers of all answers that a limit had a say in. The limits are none where the API tells
    /// none.
    fn headers(&self, _: &State<'_>) -> Headers {
        Headers::new()
    }

    /// The status of a server that has too much to do.
    fn overloaded(&self) -> u16 {
        503
    }
}

/// What is answered.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: Headers,
    pub(super) json: Value,
}

impl Reply {
    pub(super) fn new(status: u16, json: Value) -> Reply {
        let headers = Headers::new();
        Reply {
            status,
            headers,
            json,
        }
    }

    /// With the time after which to come again, in whole seconds, where it is told.
    pub(super) fn retry_after(mut self, wait: Option<Duration>) -> Reply {
        let header = wait.map(|wait| ("retry-after", clock::seconds_up(wait).to_string()));
        self.headers.extend(header);
        self
    }
}

/// A request that was answered well.
#[derive(Debug)]
pub(super) struct Good<'a> {
    pub(super) seed: u64,
    pub(super) path: &'a str,
    pub(super) body: &'a Body,
    pub(super) request: &'a Request,
    pub(super) answer: &'a Answer,
    pub(super) state: &'a State<'a>,
}

impl Good<'_> {
    pub(super) fn id(&self) -> u64 {
        let Request { call, attempt, .. } = self.request;
        crate::draw::mix(call.wrapping_add(u64::from(*attempt)))
    }

    /// The words of the answer.
    pub(super) fn words(&self, index: usize, tokens: u64) -> String {
        let subject = crate::draw::mix(self.body.call ^ index as u64);
        super::text::words(self.seed, subject, tokens)
    }

    pub(super) fn prompt_tokens(&self) -> u64 {
        self.answer.prompt_tokens
    }

    pub(super) fn answer_tokens(&self) -> u64 {
        self.answer.usage_tokens - self.answer.prompt_tokens
    }

    /// A vector for each input.
    pub(super) fn vectors(&self) -> impl Iterator<Item = Value> {
        let inputs = self.body.inputs.iter();
        inputs.map(|input| super::text::vector(self.seed, input.hash)[..].into())
    }

    /// A relevance between 0 and 1 for each input, with its number, the largest first.
    pub(super) fn ranked(&self) -> Vec<(usize, f64)> {
        let inputs = self.body.inputs.iter().enumerate();
        let score = |hash: u64| f64::midpoint(super::text::vector(self.seed, hash)[0], 1.0);
        let mut ranked: Vec<_> = inputs.map(|(at, input)| (at, score(input.hash))).collect();
        ranked.sort_by(|a, b| b.1.total_cmp(&a.1));
        ranked
    }
}

/// A request that a limit has no room for.
#[derive(Debug)]
pub(super) struct Refused<'a> {
    pub(super) request: &'a Request,
    pub(super) model: &'a str,
    /// The name of the limit.
    pub(super) limit: &'a str,
    /// When to come again, where the API tells it.
    pub(super) wait: Option<Duration>,
    pub(super) state: &'a State<'a>,
}

impl Refused<'_> {
    /// Whether it is the limit of this name, over whatever window.
    pub(super) fn is(&self, name: &str) -> bool {
        base(self.limit) == name
    }
}

/// How the limits stand.
#[derive(Debug)]
pub(super) struct State<'a> {
    pub(super) limits: &'a [LimitView],
    pub(super) now: SystemTime,
    /// What the call took in tokens, if it was answered.
    pub(super) tokens: Option<u64>,
    pub(super) refused: bool,
}

impl State<'_> {
    /// The limit of this name with the least remaining, over whatever window.
    pub(super) fn named(&self, name: &str) -> Option<&LimitView> {
        let same = self.limits.iter().filter(|limit| base(&limit.name) == name);
        same.min_by_key(|limit| limit.remaining)
    }

    /// The limit on a unit with the least remaining.
    pub(super) fn on(&self, unit: Unit) -> Option<&LimitView> {
        let same = self.limits.iter().filter(|limit| limit.unit == unit);
        same.min_by_key(|limit| limit.remaining)
    }
}

/// The name of a limit without its window: `tokens` of `tokens/1m`.
fn base(name: &str) -> &str {
    name.split('/').next().unwrap_or_default()
}

/// A POST to a path that ends like this.
fn posts(method: &Method, path: &str, ends: &[(&str, Endpoint)]) -> Option<Target> {
    let mut ends = ends.iter().filter(|(end, _)| path.ends_with(end));
    let found = ends.find(|_| method == Method::POST)?;
    Some(found.1.into())
}

/// Any path, by what its method does with it.
fn any_path(method: &Method, path: &str) -> Target {
    let searches = path.split('/').any(|part| part == "search");
    let endpoint = match *method {
        Method::GET | Method::HEAD if searches => Endpoint::Search,
        Method::GET | Method::HEAD => Endpoint::Read,
        Method::POST => Endpoint::Create,
        _ => Endpoint::Write,
    };
    endpoint.into()
}

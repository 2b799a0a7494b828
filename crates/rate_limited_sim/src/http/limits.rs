//! The limits that each API has, as far as they are simulated.

use super::body::FREE;
use super::dialect::Dialect;
use crate::limit::{Anchor, Charged, Counted, Limit, Unit};
use std::time::Duration;

/// A limit that an API has, without its numbers.
#[derive(Clone, Copy)]
pub(super) struct Known {
    pub(super) name: &'static str,
    unit: Unit,
    back: Back,
    counted: Counted,
    charged: Charged,
    class: Option<&'static str>,
}

/// How it comes back.
#[derive(Clone, Copy)]
enum Back {
    Sliding,
    Fixed,
    /// A bucket of so many quotas.
    Bucket(u64),
}

impl Known {
    const fn new(name: &'static str, unit: Unit) -> Known {
        Known {
            name,
            unit,
            back: Back::Sliding,
            counted: Counted::Arrival,
            charged: Charged::Bound,
            class: None,
        }
    }

    const fn requests(name: &'static str) -> Known {
        Known::new(name, Unit::Requests)
    }

    const fn fixed(self) -> Known {
        let back = Back::Fixed;
        Known { back, ..self }
    }

    const fn bucket(self, quotas: u64) -> Known {
        let back = Back::Bucket(quotas);
        Known { back, ..self }
    }

    const fn charged(self, counted: Counted, charged: Charged) -> Known {
        Known {
            counted,
            charged,
            ..self
        }
    }

    const fn only(self, class: &'static str) -> Known {
        let class = Some(class);
        Known { class, ..self }
    }

    /// The limit with its numbers.
    pub(super) fn limit(&self, quota: u64, window: Duration) -> Limit {
        let limit = Limit::of(self.name, self.unit, quota, window)
            .counted(self.counted)
            .charged(self.charged);
        let limit = match self.class {
            Some(class) => limit.only(class),
            None => limit,
        };
        match self.back {
            Back::Sliding => limit,
            Back::Fixed => limit.fixed(Anchor::FirstRequest),
            Back::Bucket(quotas) => limit.bucket(quota.saturating_mul(quotas)),
        }
    }
}

const REQUESTS: Known = Known::requests("requests");
const TOKENS: Known = Known::new("tokens", Unit::Tokens);
const INPUT_TOKENS: Known = Known::new("input_tokens", Unit::InputTokens);
const OUTPUT_TOKENS: Known = Known::new("output_tokens", Unit::OutputTokens);
const POINTS: Known = Known::new("points", Unit::Points);
const A_DAY: Known = Known::requests("requests_per_day");

const COMPATIBLE: &[Known] = &[REQUESTS, TOKENS.charged(Counted::Arrival, Charged::Usage)];

const OPENAI: &[Known] = &[
    REQUESTS.bucket(1),
    TOKENS.bucket(1),
    A_DAY,
    Known::new("tokens_per_day", Unit::Tokens),
];

const AZURE_OPENAI: &[Known] = &[REQUESTS.bucket(1), TOKENS.fixed()];

const GROQ: &[Known] = &[REQUESTS, A_DAY.bucket(1), TOKENS.bucket(1)];

const MISTRAL: &[Known] = &[
    REQUESTS,
    TOKENS.charged(Counted::Completion, Charged::Usage),
];

const REQUESTS_AND_TOKENS: &[Known] = &[REQUESTS, TOKENS];

const OPENROUTER: &[Known] = &[
    Known::requests("free_requests").fixed().only(FREE),
    Known::requests("free_requests_per_day").fixed().only(FREE),
];

const ANTHROPIC: &[Known] = &[
    REQUESTS.bucket(1),
    INPUT_TOKENS.bucket(1),
    OUTPUT_TOKENS
        .bucket(1)
        .charged(Counted::Completion, Charged::Usage),
];

const GEMINI: &[Known] = &[REQUESTS, INPUT_TOKENS, A_DAY.fixed()];

const COHERE: &[Known] = &[
    Known::requests("chat_requests").only("chat"),
    Known::new("embed_inputs", Unit::Inputs).only("embed"),
    Known::requests("rerank_requests").only("rerank"),
];

const GITHUB: &[Known] = &[
    Known::requests("primary").fixed(),
    POINTS,
    Known::requests("content").only("create"),
];

const GITHUB_GRAPHQL: &[Known] = &[Known::new("primary", Unit::Points)
    .fixed()
    .charged(Counted::Arrival, Charged::Usage)];

/// How many seconds of refill the bucket holds is the simulation's own.
const SHOPIFY_GRAPHQL: &[Known] = &[POINTS
    .bucket(10)
    .charged(Counted::Arrival, Charged::Reserve)];

const STRIPE: &[Known] = &[REQUESTS, Known::requests("search_requests").only("search")];

const NOTION: &[Known] = &[REQUESTS.fixed()];

/// The limits of an API.
pub(super) fn of(dialect: Dialect) -> &'static [Known] {
    match dialect {
        Dialect::Compatible => COMPATIBLE,
        Dialect::OpenAi => OPENAI,
        Dialect::AzureOpenAi => AZURE_OPENAI,
        Dialect::Groq => GROQ,
        Dialect::Mistral => MISTRAL,
        Dialect::Together | Dialect::Xai | Dialect::Voyage => REQUESTS_AND_TOKENS,
        Dialect::OpenRouter => OPENROUTER,
        Dialect::DeepSeek | Dialect::Vllm | Dialect::LlamaCpp | Dialect::Ollama => &[],
        Dialect::Anthropic => ANTHROPIC,
        Dialect::Gemini => GEMINI,
        Dialect::Cohere => COHERE,
        Dialect::GitHub => GITHUB,
        Dialect::GitHubGraphql => GITHUB_GRAPHQL,
        Dialect::ShopifyGraphql => SHOPIFY_GRAPHQL,
        Dialect::Stripe => STRIPE,
        Dialect::Notion => NOTION,
        Dialect::Slack | Dialect::Crossref | Dialect::Generic => &[REQUESTS],
    }
}

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
    each_model: bool,
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
            each_model: false,
        }
    }

    /// Each model has it for itself.
    const fn each_model(self) -> Known {
        Known {
            each_model: true,
            ..self
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
        let limit = if self.each_model {
            limit.each_model()
        } else {
            limit
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
    REQUESTS.bucket(1).each_model(),
    TOKENS.bucket(1).each_model(),
    A_DAY.each_model(),
    Known::new("tokens_per_day", Unit::Tokens).each_model(),
];

const AZURE_OPENAI: &[Known] = &[REQUESTS.bucket(1).each_model(), TOKENS.fixed().each_model()];

const GROQ: &[Known] = &[
    REQUESTS.each_model(),
    A_DAY.bucket(1).each_model(),
    TOKENS.bucket(1).each_model(),
];

const MISTRAL: &[Known] = &[
    REQUESTS.each_model(),
    TOKENS
        .charged(Counted::Completion, Charged::Usage)
        .each_model(),
];

const REQUESTS_AND_TOKENS: &[Known] = &[REQUESTS.each_model(), TOKENS.each_model()];

const OPENROUTER: &[Known] = &[
    Known::requests("free_requests").fixed().only(FREE),
    Known::requests("free_requests_per_day").fixed().only(FREE),
];

const ANTHROPIC: &[Known] = &[
    REQUESTS.bucket(1).each_model(),
    INPUT_TOKENS.bucket(1).each_model(),
    OUTPUT_TOKENS
        .bucket(1)
        .charged(Counted::Completion, Charged::Usage)
        .each_model(),
];

const GEMINI: &[Known] = &[
    REQUESTS.each_model(),
    INPUT_TOKENS.each_model(),
    A_DAY.fixed().each_model(),
];

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

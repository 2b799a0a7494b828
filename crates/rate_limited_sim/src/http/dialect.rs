//! Which API the server speaks like: how its requests look, what it limits, what it tells.

use super::body::Price;
use super::limits;
use super::shape::{self, Shape};
use crate::limit::Limit;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// The API that a [`Server`](super::Server) speaks like: paths, bodies, headers of limits, refusals.
///
/// ```
/// use rate_limited_sim::{Unit, http::Dialect};
/// use std::time::Duration;
///
/// let anthropic: Dialect = "anthropic".parse()?;
/// let limit = anthropic.limit("output_tokens", 8_000, Duration::from_secs(60));
/// assert_eq!(limit.map(|limit| limit.unit()), Some(Unit::OutputTokens));
/// assert!(anthropic.limit("points", 1, Duration::from_secs(1)).is_none());
/// assert!("antropic".parse::<Dialect>().is_err());
/// # Ok::<(), rate_limited_sim::http::UnknownDialect>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Dialect {
    /// A server with `OpenAI`'s paths and headers that charges the tokens that were really used.
    #[default]
    Compatible,
    /// `OpenAI`: the larger of the prompt and `max_tokens` is charged for good.
    OpenAi,
    /// Azure `OpenAI`: the headers of `OpenAI`, with seconds for spans; `retry-after-ms`.
    AzureOpenAi,
    /// Groq: the headers named `-requests` speak of the day.
    Groq,
    /// Mistral: what a call cost in a header, no resets.
    Mistral,
    /// Together: limits of a second, in headers of their own.
    Together,
    /// xAI: no headers.
    Xai,
    /// `OpenRouter`: headers with refusals only.
    OpenRouter,
    /// `DeepSeek`: no headers.
    DeepSeek,
    /// vLLM, without limits and headers.
    Vllm,
    /// llama.cpp, without limits and headers.
    LlamaCpp,
    /// Ollama, without limits and headers.
    Ollama,
    /// Anthropic Messages: moments of RFC 3339, 529 for an overload.
    Anthropic,
    /// The Gemini API: no headers; refusals name a quota and a delay in their bodies.
    Gemini,
    /// Voyage: embeddings and rerank, no headers.
    Voyage,
    /// Cohere: chat, embed (counted in inputs), rerank; the moment of the reset with refusals.
    Cohere,
    /// GitHub's REST API: 403 that means wait, moments in seconds since 1970.
    GitHub,
    /// GitHub's GraphQL API: refusals with the status 200.
    GitHubGraphql,
    /// Shopify's GraphQL Admin API: refusals with the status 200, the state of the bucket in bodies.
    ShopifyGraphql,
    /// Stripe: forms, and no headers.
    Stripe,
    /// Slack: failures with the status 200, refusals with 429 and `Retry-After`.
    Slack,
    /// Notion: 429 with `Retry-After`, 529 for an overload.
    Notion,
    /// Crossref: a rate and its interval in headers, nothing of what remains.
    Crossref,
    /// Any web API with the `RateLimit` fields of the IETF's draft.
    Generic,
}

const ALL: [(&str, Dialect); 23] = [
    ("openai", Dialect::OpenAi),
    ("azure_openai", Dialect::AzureOpenAi),
    ("groq", Dialect::Groq),
    ("mistral", Dialect::Mistral),
    ("together", Dialect::Together),
    ("xai", Dialect::Xai),
    ("openrouter", Dialect::OpenRouter),
    ("deepseek", Dialect::DeepSeek),
    ("vllm", Dialect::Vllm),
    ("llama_cpp", Dialect::LlamaCpp),
    ("ollama", Dialect::Ollama),
    ("anthropic", Dialect::Anthropic),
    ("gemini", Dialect::Gemini),
    ("voyage", Dialect::Voyage),
    ("cohere", Dialect::Cohere),
    ("github", Dialect::GitHub),
    ("github_graphql", Dialect::GitHubGraphql),
    ("shopify_graphql", Dialect::ShopifyGraphql),
    ("stripe", Dialect::Stripe),
    ("slack", Dialect::Slack),
    ("notion", Dialect::Notion),
    ("crossref", Dialect::Crossref),
    ("generic", Dialect::Generic),
];

impl Dialect {
    /// All that have a name, by which they are parsed; the default has none.
    pub fn names() -> impl Iterator<Item = &'static str> {
        ALL.iter().map(|(name, _)| *name)
    }

    /// Its name; that of the default is `compatible`.
    pub fn name(self) -> &'static str {
        let named = ALL.iter().find(|(_, dialect)| *dialect == self);
        named.map_or("compatible", |(name, _)| name)
    }

    /// A limit of this API, which counts and comes back as the API does it; `None` where the API has
    /// no limit of the name.
    ///
    /// # Panics
    /// If `quota` or `window` is zero.
    pub fn limit(self, name: &str, quota: u64, window: Duration) -> Option<Limit> {
        let known = limits::of(self).iter().find(|known| known.name == name)?;
        Some(known.limit(quota, window))
    }

    /// The names of the limits that the API has.
    pub fn limit_names(self) -> impl Iterator<Item = &'static str> {
        limits::of(self).iter().map(|known| known.name)
    }

    /// The path under which the API has its calls, such as `/v1`. A server takes any other, too.
    pub fn base_path(self) -> &'static str {
        match self {
            Dialect::Gemini => "/v1beta",
            Dialect::Cohere => "/v2",
            Dialect::Groq => "/openai/v1",
            Dialect::OpenRouter => "/api/v1",
            Dialect::Slack => "/api",
            Dialect::ShopifyGraphql => "/admin/api/2026-10",
            Dialect::DeepSeek
            | Dialect::GitHub
            | Dialect::GitHubGraphql
            | Dialect::Stripe
            | Dialect::Crossref
            | Dialect::Generic => "",
            _ => "/v1",
        }
    }

    /// How requests and answers look.
    pub(super) fn shape(self) -> &'static dyn Shape {
        use shape::openai::{OpenAi, Told};
        match self {
            Dialect::Compatible | Dialect::OpenAi => &OpenAi(Told::GoDurations),
            Dialect::AzureOpenAi => &OpenAi(Told::Seconds),
            Dialect::Groq => &OpenAi(Told::OfTheDay),
            Dialect::Mistral => &OpenAi(Told::Costs),
            Dialect::Together => &OpenAi(Told::PerSecond),
            Dialect::OpenRouter => &OpenAi(Told::WithRefusals),
            Dialect::Xai
            | Dialect::DeepSeek
            | Dialect::Vllm
            | Dialect::LlamaCpp
            | Dialect::Ollama => &OpenAi(Told::Nothing),
            Dialect::Anthropic => &shape::anthropic::Anthropic,
            Dialect::Gemini => &shape::gemini::Gemini,
            Dialect::Voyage => &shape::voyage::Voyage,
            Dialect::Cohere => &shape::cohere::Cohere,
            Dialect::GitHub => &shape::github::Rest,
            Dialect::GitHubGraphql => &shape::github::Graphql,
            Dialect::ShopifyGraphql => &shape::shopify::Shopify,
            Dialect::Stripe => &shape::stripe::Stripe,
            Dialect::Slack => &shape::workplace::Slack,
            Dialect::Notion => &shape::workplace::Notion,
            Dialect::Crossref => &shape::web::Crossref,
            Dialect::Generic => &shape::web::Generic,
        }
    }

    /// How calls are priced.
    pub(super) fn price(self) -> Price {
        match self {
            Dialect::OpenAi => Price::Larger,
            Dialect::GitHubGraphql => Price::Hundredths,
            _ => Price::Sum,
        }
    }
}

/// A name that no dialect has; it displays those that there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownDialect(String);

impl fmt::Display for UnknownDialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known: Vec<_> = Dialect::names().collect();
        let known = known.join(", ");
        write!(
            f,
            "no API named {:?} is simulated: there are {known}",
            self.0
        )
    }
}

impl std::error::Error for UnknownDialect {}

impl FromStr for Dialect {
    type Err = UnknownDialect;

    fn from_str(name: &str) -> Result<Dialect, UnknownDialect> {
        let found = ALL.iter().find(|(known, _)| *known == name);
        let found = found.map(|(_, dialect)| *dialect);
        found.ok_or_else(|| UnknownDialect(name.to_owned()))
    }
}

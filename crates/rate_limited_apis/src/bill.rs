//! Money: what a request costs at most, and what its answer has cost.

use rate_limited_core::Amount;
use serde_json::{Map, Value};
use std::fmt;

use crate::api::Api;
use crate::unit::Unit;

/// Millionths of an amount in a dollar: money is counted in thousandths of a dollar, so that a token of the cheapest
/// model is no rounding error.
pub const MICROS_PER_DOLLAR: u32 = 1_000_000_000;

/// What a request has beside its own bytes: the frame around messages, a system prompt of the server's own.
const FRAME_TOKENS: u64 = 64;

/// What a server adds to explain tools to a model.
const TOOLS_TOKENS: u64 = 1_024;

/// By how much prompts cost more that are put into a cache.
const CACHED_FACTOR: f64 = 2.0;

/// What prompts consist of that is no text, by the kinds of parts.
const KINDS: [&str; 11] = [
    "image",
    "image_url",
    "input_image",
    "audio",
    "input_audio",
    "file",
    "input_file",
    "document",
    "video",
    "video_url",
    "item_reference",
];

/// Fields that bring in what is not in the request.
const FIELDS: [&str; 8] = [
    "inlineData",
    "inline_data",
    "fileData",
    "file_data",
    "cachedContent",
    "previous_response_id",
    "conversation",
    "mcp_servers",
];

/// What a million tokens cost, in dollars, and a request.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Prices {
    /// Of prompts.
    pub input: Option<f64>,
    /// Of answers.
    pub output: Option<f64>,
    /// Each request; none is no charge.
    pub request: Option<f64>,
}

/// What is known of a request whose cost is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Priced<'a> {
    /// Its body, as JSON.
    pub body: &'a [u8],
    /// The model that it names.
    pub model: Option<&'a str>,
    /// The class of its endpoint, if prices are by that.
    pub class: Option<&'a str>,
    /// Whether it asks for text.
    pub generates: bool,
    /// The most tokens of one answer, if it says.
    pub answer_max: Option<u64>,
    /// How many answers it asks for.
    pub answers: u64,
    /// Numbers in it that are tokens themselves.
    pub token_ids: u64,
}

/// What a request costs: at most, and by what.
///
/// ```
/// use rate_limited_apis::{Charge, Priced, Prices};
///
/// let prices = Prices { input: Some(1.0), output: Some(10.0), request: None };
/// let request = Priced {
///     body: br#"{"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 100}"#,
///     model: None,
///     class: None,
///     generates: true,
///     answer_max: Some(100),
///     answers: 1,
///     token_ids: 0,
/// };
/// let charge = Charge::of(&request, prices, None)?;
/// // In billionths of a dollar: a token for each byte, 64 for the frame, and an answer of 100 at ten times the price.
/// assert_eq!(charge.bound.as_micros(), (68 + 64 + 1_000) * 1_000);
/// assert_eq!(charge.cost(10.0, 5.0).as_micros(), 60_000);
/// # Ok::<(), rate_limited_apis::Unpriced>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Charge {
    /// At most.
    pub bound: Amount,
    prices: Prices,
    /// By how much its prompt may cost more than the price says.
    factor: f64,
}

/// Why it is not known what a request costs at most. Each face adds what is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unpriced {
    /// Nobody knows the price of its `input` or `output` tokens.
    Price {
        /// Of which tokens.
        of: &'static str,
        /// The model of the request.
        model: Option<String>,
    },
    /// It sets no limit on its answer.
    Endless,
    /// It has this in it, whose tokens are not in its text.
    Outside(String),
}

impl fmt::Display for Unpriced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unpriced::Price {
                of,
                model: Some(model),
            } => write!(f, "the price of {of} tokens of {model:?} is not known"),
            Unpriced::Price { of, model: None } => write!(
                f,
                "the price of {of} tokens of a request without a model is not known"
            ),
            Unpriced::Endless => f.write_str("it sets no limit on its answer"),
            Unpriced::Outside(what) => write!(
                f,
                "it has {what:?}, whose tokens are not in the text of the request"
            ),
        }
    }
}

impl std::error::Error for Unpriced {}

impl Charge {
    /// What a request costs: at these prices, and else at those of the API's description.
    ///
    /// # Errors
    /// It is not known what it costs at most.
    pub fn of(request: &Priced<'_>, told: Prices, api: Option<&Api>) -> Result<Charge, Unpriced> {
        let prices = known(request, told, api)?;
        let has_tools = outside(request.body)?;
        let output = match (request.answer_max, request.generates) {
            (_, false) => 0,
            (Some(most), true) => most.saturating_mul(request.answers.max(1)),
            (None, true) => return Err(Unpriced::Endless),
        };
        // No tokenizer makes more tokens of a text than it has bytes.
        let tools = if has_tools { TOOLS_TOKENS } else { 0 };
        let input = request.body.len() as u64 + request.token_ids + FRAME_TOKENS + tools;
        let is_cached = contains(request.body, b"\"cache_control\"");
        let mut charge = Charge {
            bound: Amount::ZERO,
            prices,
            factor: if is_cached { CACHED_FACTOR } else { 1.0 },
        };
        charge.bound = charge.cost(input as f64, output as f64);
        Ok(charge)
    }

    /// What so many tokens of it cost.
    pub fn cost(&self, input: f64, output: f64) -> Amount {
        let Prices {
            input: price_in,
            output: price_out,
            request,
        } = self.prices;
        let parts = [
            tokens_cost(input * self.factor, price_in.unwrap_or_default()),
            tokens_cost(output, price_out.unwrap_or_default()),
            dollars(request.unwrap_or_default()),
        ];
        let micros = parts.iter().map(|part| part.as_micros());
        Amount::from_micros(micros.fold(0, i64::saturating_add))
    }

    /// What an answer says that its call has cost, by what it `used` of a unit; `None`: it does not say.
    pub fn used(&self, used: impl Fn(Unit) -> Option<Amount>) -> Option<Amount> {
        let used = |unit| used(unit).map(Amount::as_units);
        let (input, output) = (used(Unit::InputTokens), used(Unit::OutputTokens));
        match (input, output, used(Unit::Tokens)) {
            (Some(input), Some(output), _) => Some(self.cost(input, output)),
            // Embeddings have no output.
            (Some(input), None, all) if all.is_none_or(|all| all <= input) => {
                Some(self.cost(input, 0.0))
            }
            (_, _, Some(all)) if self.prices.output.is_none_or(|price| price == 0.0) => {
                Some(self.cost(all, 0.0))
            }
            // Whichever is dearer.
            (_, _, Some(all)) => Some(self.cost(all, 0.0).max(self.cost(0.0, all))),
            _ => None,
        }
    }
}

/// What so many tokens cost, rounded up.
///
/// ```
/// assert_eq!(rate_limited_apis::tokens_cost(1.0, 0.0375).as_micros(), 38);
/// ```
pub fn tokens_cost(tokens: f64, dollars_per_million: f64) -> Amount {
    dollars(tokens * dollars_per_million / 1e6)
}

/// So many dollars, rounded up; what no amount can hold becomes the largest there is.
///
/// ```
/// assert_eq!(rate_limited_apis::dollars(0.005).as_micros(), 5_000_000);
/// ```
pub fn dollars(dollars: f64) -> Amount {
    let micros = (dollars * f64::from(MICROS_PER_DOLLAR)).ceil();
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the cast stops at the ends of the range, and costs are never below zero"
    )]
    Amount::from_micros(micros.max(0.0) as i64)
}

/// The prices of a request, as told or as the description of the API has them.
fn known(request: &Priced<'_>, told: Prices, api: Option<&Api>) -> Result<Prices, Unpriced> {
    let of = |unit| api?.price(unit, request.model, request.class);
    let million = |unit| {
        of(unit)
            .or_else(|| of(Unit::Tokens))
            .map(|price| price * 1e6)
    };
    let unknown = |of| Unpriced::Price {
        of,
        model: request.model.map(str::to_owned),
    };
    let input = told.input.or_else(|| million(Unit::InputTokens));
    let input = input.ok_or_else(|| unknown("input"))?;
    let output = told.output.or_else(|| million(Unit::OutputTokens));
    if request.generates && output.is_none() {
        return Err(unknown("output"));
    }
    Ok(Prices {
        input: Some(input),
        output: Some(output.unwrap_or_default()),
        request: told.request.or_else(|| of(Unit::Requests)),
    })
}

/// Whether a request has tools.
///
/// # Errors
/// It has something in it whose tokens are not in its bytes.
fn outside(body: &[u8]) -> Result<bool, Unpriced> {
    let Ok(Value::Object(body)) = serde_json::from_slice(body) else {
        return Ok(false);
    };
    let unknown = |what: &str| Unpriced::Outside(what.to_owned());
    let is_own = |tool: &Value| {
        let kind = tool.get("type").and_then(Value::as_str);
        matches!(kind, None | Some("function" | "custom"))
    };
    let tools = body.get("tools").and_then(Value::as_array);
    if tools.is_some_and(|tools| !tools.iter().all(is_own)) {
        return Err(unknown("tools of the server"));
    }
    match foreign(&body, 0) {
        Some(what) => Err(unknown(&what)),
        None => Ok(tools.is_some() || body.contains_key("functions")),
    }
}

/// The first part that is no text.
fn foreign(object: &Map<String, Value>, depth: usize) -> Option<String> {
    // What describes tools and answers may use any name.
    const DESCRIBED: [&str; 5] = [
        "tools",
        "functions",
        "response_format",
        "text",
        "generationConfig",
    ];
    let kind = object.get("type").and_then(Value::as_str);
    if let Some(kind) = kind.filter(|kind| KINDS.contains(kind)) {
        return Some(kind.to_owned());
    }
    if let Some(field) = FIELDS
        .iter()
        .find(|field| object.get(**field).is_some_and(|it| !it.is_null()))
    {
        return Some((*field).to_owned());
    }
    let inner = object
        .iter()
        .filter(|(name, _)| depth > 0 || !DESCRIBED.contains(&name.as_str()));
    inner
        .map(|(_, value)| value)
        .find_map(|value| within(value, depth + 1))
}

fn within(value: &Value, depth: usize) -> Option<String> {
    match value {
        Value::Object(object) => foreign(object, depth),
        Value::Array(values) => values.iter().find_map(|value| within(value, depth)),
        _ => None,
    }
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

//! What a request costs at most, and what an answer has cost: the books of `--max-cost`.

use rate_limited::http::Unit;
use rate_limited::{Amount, Counted, Quota, Resource};
use serde_json::{Map, Value};
use std::error::Error;
use std::sync::Arc;

use crate::call::{CallError, Reply};
use crate::job::Job;
use crate::preset::{Measured, Preset, Route};
use crate::price::{self, Prices};
use crate::refusal::Refusal;
use crate::request::Request;
use crate::text::quoted;

/// The name of the budget, in the journal too.
const NAME: &str = "max-cost";

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

/// The most that a run may cost, and what requests cost.
#[derive(Clone, Debug)]
pub(crate) struct Bill {
    pub(crate) most: Amount,
    told: Option<Prices>,
    preset: Option<Preset>,
}

/// What a request costs: at most, and by what.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Charge {
    pub(crate) bound: Amount,
    prices: Prices,
    /// By how much its prompt may cost more than the price says.
    factor: f64,
}

/// Why it is not known what a request costs at most; in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unpriced(String);

impl Unpriced {
    /// What is said of a line.
    pub(crate) fn told(&self, line: u64) -> String {
        format!(
            "what line {line} costs at most is not known, and --max-cost is told: {}",
            self.0
        )
    }
}

impl Bill {
    /// The bill of a run; none without `--max-cost`.
    ///
    /// # Errors
    /// Prices that nothing is done with, or none where nobody else knows them.
    pub(crate) fn of(
        most: Option<Amount>,
        told: Option<Prices>,
        preset: Option<Preset>,
    ) -> Result<Option<Bill>, Refusal> {
        let has_prices = preset.is_some_and(|preset| !preset.api().prices.is_empty());
        match (most, told) {
            (None, None) => Ok(None),
            (None, Some(_)) => Err(Refusal::Cost("--price is for --max-cost: pass both".to_owned())),
            (Some(_), None) if !has_prices => Err(Refusal::Cost(
                "the prices are not known, and --max-cost is told: pass --price input=0.15,output=0.60 (dollars \
                 for a million tokens), with the prices of your model"
                    .to_owned(),
            )),
            (Some(most), told) => Ok(Some(Bill { most, told, preset })),
        }
    }

    /// The prices alone, where they are known: for costs that nothing bounds.
    pub(crate) fn priced(told: Option<Prices>, preset: Option<Preset>) -> Option<Bill> {
        let has_prices = preset.is_some_and(|preset| !preset.api().prices.is_empty());
        (told.is_some() || has_prices).then_some(Bill {
            most: Amount::MAX,
            told,
            preset,
        })
    }

    /// What a request costs.
    ///
    /// # Errors
    /// It is not known what it costs at most.
    pub(crate) fn charge(&self, request: &Request, route: &Route) -> Result<Charge, Unpriced> {
        let measured = route.measured(request);
        let prices = self.prices(&measured)?;
        let has_tools = outside(&request.body)?;
        let output = match (measured.answer_max, measured.generates) {
            (_, false) => 0,
            (Some(most), true) => most.saturating_mul(measured.answers.max(1)),
            (None, true) => {
                return Err(Unpriced(
                    "it sets no limit on its answer: set max_tokens, or pass --max-tokens with --prompt".to_owned(),
                ));
            }
        };
        // No tokenizer makes more tokens of a text than it has bytes.
        let tools = if has_tools { TOOLS_TOKENS } else { 0 };
        let input = request.body.len() as u64 + measured.token_ids + FRAME_TOKENS + tools;
        let is_cached = contains(&request.body, b"\"cache_control\"");
        let mut charge = Charge {
            bound: Amount::ZERO,
            prices,
            factor: if is_cached { CACHED_FACTOR } else { 1.0 },
        };
        charge.bound = charge.cost(input as f64, output as f64);
        Ok(charge)
    }

    /// The prices of a request, as told or as the description of the API has them.
    fn prices(&self, measured: &Measured) -> Result<Prices, Unpriced> {
        let known = |unit| {
            let api = self.preset?.api();
            let of = |unit| api.price(unit, measured.model.as_deref(), measured.class);
            let price = of(unit).or_else(|| of(Unit::Tokens));
            price.map(|price| price * 1e6)
        };
        let told = self.told.unwrap_or_default();
        let model = measured.model.as_deref().map_or_else(
            || "of a request without a model".to_owned(),
            |model| format!("of {}", quoted(model)),
        );
        let unknown = |name: &str| {
            Unpriced(format!(
                "the price of {name} tokens {model} is not known: pass --price {name}=… (dollars for a million)"
            ))
        };
        let input = told.input.or_else(|| known(Unit::InputTokens));
        let input = input.ok_or_else(|| unknown("input"))?;
        let output = told.output.or_else(|| known(Unit::OutputTokens));
        if measured.generates && output.is_none() {
            return Err(unknown("output"));
        }
        let of_requests = || {
            let api = self.preset?.api();
            api.price(Unit::Requests, measured.model.as_deref(), measured.class)
        };
        Ok(Prices {
            input: Some(input),
            output: Some(output.unwrap_or_default()),
            request: told.request.or_else(of_requests),
        })
    }

    /// The budget.
    pub(crate) fn quota(&self) -> (String, Quota) {
        (NAME.to_owned(), Quota::Budget { amount: self.most })
    }

    /// The budget as the runner takes it. A failed attempt counts in full, unless the API has rejected it: nobody
    /// says what it has cost.
    pub(crate) fn resource(&self) -> Resource<Arc<Job>, Reply> {
        let (name, quota) = self.quota();
        let used = |job: &Arc<Job>, reply: &Reply| {
            let used = job.charge.and_then(|charge| charge.used(reply));
            // What the answer does not tell stays as reserved.
            used.or(job.charge.map(|charge| charge.bound))
                .unwrap_or(Amount::ZERO)
        };
        Resource::new(name, quota)
            .cost(|job: &Arc<Job>| job.charge.map_or(Amount::ZERO, |charge| charge.bound))
            .usage(used)
            .failed_usage(|_, error| is_rejected(error).then_some(Amount::ZERO))
            .counted(Counted::AtDispatch)
    }
}

impl Charge {
    /// What so many tokens of it cost.
    pub(crate) fn cost(&self, input: f64, output: f64) -> Amount {
        let Prices {
            input: price_in,
            output: price_out,
            request,
        } = self.prices;
        let parts = [
            price::cost(input * self.factor, price_in.unwrap_or_default()),
            price::cost(output, price_out.unwrap_or_default()),
            price::dollars(request.unwrap_or_default()),
        ];
        let micros = parts.iter().map(|part| part.as_micros());
        Amount::from_micros(micros.fold(0, i64::saturating_add))
    }

    /// What an answer says that its call has cost.
    fn used(&self, reply: &Reply) -> Option<Amount> {
        let used = |unit| {
            let used = reply.answer.used.iter().find(|(known, _)| *known == unit);
            used.map(|(_, amount)| amount.as_units())
        };
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

/// Whether the API has rejected a request without a look at what it asks: nothing was made that costs.
fn is_rejected(error: &(dyn Error + Send + Sync + 'static)) -> bool {
    const TIMEOUT: u16 = 408;
    let error = error.downcast_ref::<CallError>();
    let answer = error.and_then(|error| error.http()?.answer());
    answer.is_some_and(|answer| (400..500).contains(&answer.status) && answer.status != TIMEOUT)
}

/// Whether a request has tools.
///
/// # Errors
/// It has something in it whose tokens are not in its bytes.
fn outside(body: &[u8]) -> Result<bool, Unpriced> {
    let Ok(Value::Object(body)) = serde_json::from_slice(body) else {
        return Ok(false);
    };
    let unknown = |what: &str| {
        Unpriced(format!(
            "it has {}, whose tokens are not in the text of the request",
            quoted(what)
        ))
    };
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

#[cfg(test)]
mod tests {
    use super::Bill;
    use crate::input::{Item, Reader};
    use crate::preset::{Preset, Route};
    use crate::price;
    use crate::request::Request;

    fn request(line: &str) -> Request {
        match Reader::stream(line.as_bytes(), "-").next() {
            Some(Ok(Item::Request(request))) => request,
            other => panic!("{other:?}"),
        }
    }

    fn bound(line: &str) -> Result<String, String> {
        let prices = "input=1,output=10".parse().expect("prices");
        let bill = Bill::of(price::parse("5").ok(), Some(prices), None).expect("both are told");
        let charge = bill
            .expect("a bill")
            .charge(&request(line), &Route::default());
        charge
            .map(|charge| (charge.bound.as_micros() / 1_000).to_string())
            .map_err(|why| why.told(1))
    }

    #[test]
    fn a_bound_has_each_byte_and_the_longest_answers() {
        let chat = r#"{"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 100}"#;
        // Millionths of a dollar: 68 bytes, 64 tokens of frame, 100 tokens of answer at ten times the price.
        assert_eq!(chat.len(), 68);
        assert_eq!(bound(chat), Ok((68 + 64 + 1_000).to_string()));
        let two = chat.replace("100", "100, \"n\": 2");
        assert_eq!(bound(&two), Ok((two.len() + 64 + 2_000).to_string()));
        let tools = chat.replace("100", r#"100, "tools": [{"type": "function", "image": 1}]"#);
        assert_eq!(
            bound(&tools),
            Ok((tools.len() + 64 + 1_024 + 1_000).to_string())
        );
        let cached = chat.replace("\"Hi\"", r#"[{"text": "Hi", "cache_control": {}}]"#);
        assert_eq!(
            bound(&cached),
            Ok((2 * (cached.len() + 64) + 1_000).to_string())
        );
        assert_eq!(bound(r#"{"input": "cat"}"#), Ok((16 + 64).to_string()));
    }

    #[test]
    fn what_has_no_bound_is_told() {
        for (line, told) in [
            (
                r#"{"messages": []}"#,
                "it sets no limit on its answer: set max_tokens",
            ),
            (
                r#"{"max_tokens": 1, "messages": [{"content": [{"type": "image_url"}]}]}"#,
                "it has 'image_url'",
            ),
            (
                r#"{"max_tokens": 1, "messages": [], "tools": [{"type": "web_search"}]}"#,
                "it has 'tools of the server'",
            ),
        ] {
            let found = bound(line).expect_err(line);
            assert!(
                found.starts_with("what line 1 costs at most is not known") && found.contains(told),
                "{found}"
            );
        }
        let openai = Preset::named("openai").ok();
        assert!(Bill::of(price::parse("5").ok(), None, openai).is_err());
    }
}

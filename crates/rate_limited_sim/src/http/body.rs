//! Requests, read leniently: what is missing has a default, what is unknown is ignored.

use crate::api::Request;
use crate::draw::{About, Draw, mix};
use crate::limit::model_number;
use serde_json::Value;
use std::ops::RangeInclusive;

/// The longest answer where the request does not say.
const MAX_TOKENS: u64 = 256;

/// What the largest number in a request is taken for, so that sums of them stay numbers.
const NUMBER_MAX: u64 = 1_000_000_000;

/// The most choices that one request gets, as `OpenAI` has it.
const CHOICES_MAX: u64 = 128;

/// The part of the longest answer that answers have, unless the model says otherwise.
const SHARE: RangeInclusive<f64> = 0.1..=1.0;

/// The class of calls to models that cost nothing.
pub(super) const FREE: &str = "free";

/// What a request asks for, whatever the words that the API has for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Endpoint {
    /// One conversation, or one text to answer.
    Chat,
    /// Texts, each to be gone on with.
    Completions,
    /// As a chat, in the words of `OpenAI`'s newer call.
    Responses,
    /// Vectors of texts.
    Embeddings,
    /// Documents by how well they fit a query.
    Rerank,
    /// The tokens of a conversation.
    Count,
    /// To look at something.
    Read,
    /// To look for something.
    Search,
    /// To make something.
    Create,
    /// To change something, or remove it.
    Write,
    /// A query or a mutation in `GraphQL`.
    Graphql,
}

impl Endpoint {
    /// The class to which a limit may belong.
    fn class(self) -> &'static str {
        match self {
            Endpoint::Chat | Endpoint::Completions | Endpoint::Responses => "chat",
            Endpoint::Embeddings => "embed",
            Endpoint::Rerank => "rerank",
            Endpoint::Count => "count",
            Endpoint::Read => "read",
            Endpoint::Search => "search",
            Endpoint::Create => "create",
            Endpoint::Write => "write",
            Endpoint::Graphql => "graphql",
        }
    }

    fn writes_text(self) -> bool {
        matches!(
            self,
            Endpoint::Chat | Endpoint::Completions | Endpoint::Responses
        )
    }
}

/// Where a request goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) endpoint: Endpoint,
    /// The model that the path names.
    pub(super) model: Option<String>,
}

impl From<Endpoint> for Target {
    fn from(endpoint: Endpoint) -> Target {
        Target {
            endpoint,
            model: None,
        }
    }
}

/// What matters of a request.
#[derive(Clone, Debug)]
pub(super) struct Body {
    pub(super) endpoint: Endpoint,
    pub(super) model: String,
    /// The hash of the body, or of the path and its query where there is no body.
    pub(super) call: u64,
    /// The tokens and the hash of each prompt or input.
    pub(super) inputs: Vec<Input>,
    choices: u64,
    /// Whether answers are to be JSON.
    pub(super) json: bool,
    /// The longest that one answer may be.
    pub(super) max_tokens: u64,
    /// The most points that it may cost.
    points: u64,
    price: Price,
    /// The part of the longest answer that answers have.
    share: RangeInclusive<f64>,
}

/// How a call is priced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Price {
    /// Prompt and longest answers together; of a query what it has room for, less what it does not find.
    Sum,
    /// The larger of both.
    Larger,
    /// A hundredth of what a query has room for, and at least 1.
    Hundredths,
}

/// One prompt, one conversation or one text to embed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Input {
    pub(super) tokens: u64,
    pub(super) hash: u64,
}

impl Body {
    /// Reads a request; says what is wrong with its body.
    pub(super) fn parse(target: &Target, path: &str, bytes: &[u8]) -> Result<Body, String> {
        let Target { endpoint, model } = target;
        let value = object(*endpoint, bytes)?;
        if value["stream"] == true {
            return Err("The simulated API does not stream: leave out `stream`.".into());
        }
        let known = if bytes.is_empty() {
            path.as_bytes()
        } else {
            bytes
        };
        let named = value["model"].as_str().map(str::to_owned);
        Ok(Body {
            endpoint: *endpoint,
            model: model.clone().or(named).unwrap_or("simulated".into()),
            call: hash(known),
            json: value["response_format"]["type"] == "json_object",
            inputs: inputs(*endpoint, &value),
            choices: first_number(&value, &ANSWERS)
                .unwrap_or(1)
                .clamp(1, CHOICES_MAX),
            max_tokens: first_number(&value, &ANSWER_MAX).unwrap_or(MAX_TOKENS),
            points: points(*endpoint, &value),
            price: Price::Sum,
            share: SHARE,
        })
    }

    /// As an API prices it.
    pub(super) fn priced(self, price: Price) -> Body {
        Body { price, ..self }
    }

    /// With answers that are this part of the longest one allowed.
    pub(super) fn answering(self, share: RangeInclusive<f64>) -> Body {
        Body { share, ..self }
    }

    /// The tokens of the prompt: all inputs together.
    pub(super) fn prompt_tokens(&self) -> u64 {
        self.inputs.iter().map(|input| input.tokens).sum()
    }

    /// The length of each answer, in tokens; embeddings have none.
    pub(super) fn answers(&self, seed: u64) -> Vec<u64> {
        if !self.endpoint.writes_text() {
            return Vec::new();
        }
        let prompts = if self.endpoint == Endpoint::Completions {
            self.inputs.len() as u64
        } else {
            1
        };
        let mut draw = Draw::new(seed, self.call, 0, About::Length);
        (0..prompts * self.choices)
            .map(|_| share(self.max_tokens, &self.share, &mut draw))
            .collect()
    }

    pub(super) fn request(&self, seed: u64) -> Request {
        let (prompt_tokens, answers) = (self.prompt_tokens(), self.answers(seed));
        let longest = answers.len() as u64 * self.max_tokens;
        let (bound_points, usage_points) = self.points(seed);
        Request {
            call: self.call,
            attempt: 0,
            prompt_tokens,
            bound_tokens: match self.price {
                Price::Larger => prompt_tokens.max(longest),
                _ => prompt_tokens + longest,
            },
            usage_tokens: prompt_tokens + answers.iter().sum::<u64>(),
            class: if self.model.ends_with(":free") {
                FREE
            } else {
                self.endpoint.class()
            },
            model: model_number(&self.model),
            inputs: self.inputs.len() as u64,
            bound_points,
            usage_points,
        }
    }

    /// The most points that it may cost, and those that it costs.
    fn points(&self, seed: u64) -> (u64, u64) {
        match (self.endpoint, self.price) {
            (Endpoint::Graphql, Price::Hundredths) => {
                let points = (self.points / 100).max(1);
                (points, points)
            }
            // A query asks for more than there is.
            (Endpoint::Graphql, _) => {
                let mut draw = Draw::new(seed, self.call, 0, About::Length);
                (self.points, share(self.points, &SHARE, &mut draw).max(1))
            }
            _ => (self.points, self.points),
        }
    }
}

/// The JSON of a body; nothing of an empty one, where that is no mistake.
fn object(endpoint: Endpoint, bytes: &[u8]) -> Result<Value, String> {
    let may_be_empty = matches!(
        endpoint,
        Endpoint::Read | Endpoint::Search | Endpoint::Create | Endpoint::Write
    );
    if bytes.is_empty() && may_be_empty {
        return Ok(Value::Null);
    }
    let value: Value = serde_json::from_slice(bytes)
        .map_err(|error| format!("We could not parse the JSON body of your request: {error}"))?;
    if !value.is_object() {
        return Err("The JSON body of a request must be an object.".into());
    }
    Ok(value)
}

/// A part of `max_tokens`, drawn evenly.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the number is at most a milliard, and the share at most 1"
)]
fn share(max_tokens: u64, part: &RangeInclusive<f64>, draw: &mut Draw) -> u64 {
    let part = part.start() + (part.end() - part.start()) * draw.unit();
    ((max_tokens as f64 * part).ceil() as u64).min(max_tokens)
}

/// Where APIs say how long an answer may be.
const ANSWER_MAX: [&str; 4] = [
    "/max_completion_tokens",
    "/max_tokens",
    "/max_output_tokens",
    "/generationConfig/maxOutputTokens",
];

/// Where they say how many answers there are to be.
const ANSWERS: [&str; 2] = ["/n", "/generationConfig/candidateCount"];

fn first_number(value: &Value, places: &[&str]) -> Option<u64> {
    let mut numbers = places.iter().filter_map(|place| value.pointer(place));
    let number = numbers.find_map(Value::as_u64);
    number.map(|number| number.min(NUMBER_MAX))
}

fn inputs(endpoint: Endpoint, value: &Value) -> Vec<Input> {
    let one_of_all = |keys: &[&str]| {
        let texts: Vec<_> = keys.iter().map(|key| value[*key].clone()).collect();
        vec![Input::of(&Value::Array(texts))]
    };
    match endpoint {
        Endpoint::Chat | Endpoint::Responses | Endpoint::Count => one_of_all(&[
            "messages",
            "system",
            "input",
            "instructions",
            "contents",
            "systemInstruction",
        ]),
        Endpoint::Completions => several(&value["prompt"]),
        Endpoint::Embeddings => ["input", "inputs", "texts", "requests", "content"]
            .iter()
            .find(|key| !value[**key].is_null())
            .map_or(vec![Input::of(value)], |key| several(&value[*key])),
        Endpoint::Rerank => several(&value["documents"])
            .into_iter()
            .map(|document| Input {
                tokens: document.tokens + Input::of(&value["query"]).tokens,
                ..document
            })
            .collect(),
        _ => Vec::new(),
    }
}

/// What a request costs at most in points: what is written weighs five times as much as what is read,
/// a query as much as it has room for things.
fn points(endpoint: Endpoint, value: &Value) -> u64 {
    match endpoint {
        Endpoint::Graphql => 1 + room(value["query"].as_str().unwrap_or_default()),
        Endpoint::Create | Endpoint::Write => 5,
        _ => 1,
    }
}

/// The sum of the numbers behind `first:` and `last:`.
fn room(query: &str) -> u64 {
    let after = |word: &str| query.split(word).skip(1).map(leading).sum::<u64>();
    (after("first:") + after("last:")).min(NUMBER_MAX)
}

fn leading(text: &str) -> u64 {
    let digits = text.trim_start();
    let end = digits.find(|char: char| !char.is_ascii_digit());
    let number = digits[..end.unwrap_or(digits.len())].parse::<u64>();
    number.unwrap_or(0).min(NUMBER_MAX)
}

/// A text, a list of texts, the tokens of a text, or a list of such.
fn several(value: &Value) -> Vec<Input> {
    match value.as_array() {
        Some(list) if list.iter().any(|item| !item.is_number()) => {
            list.iter().map(Input::of).collect()
        }
        _ => vec![Input::of(value)],
    }
}

impl Input {
    fn of(value: &Value) -> Input {
        let (mut chars, mut tokens) = (0, 0);
        measure(value, &mut chars, &mut tokens);
        let tokens = (tokens + chars.div_ceil(4)).max(1);
        Input {
            tokens,
            hash: hash(value.to_string().as_bytes()),
        }
    }
}

/// Counts the characters of all texts in a value, and the numbers, which are tokens already.
fn measure(value: &Value, chars: &mut u64, tokens: &mut u64) {
    match value {
        Value::String(text) => *chars += text.chars().count() as u64,
        Value::Number(_) => *tokens += 1,
        Value::Array(list) => list.iter().for_each(|item| measure(item, chars, tokens)),
        // Of a message or of its parts only the words are read, not the names of the roles, and of
        // a picture nothing.
        Value::Object(part) => ["content", "text", "parts"]
            .iter()
            .filter_map(|key| part.get(*key))
            .for_each(|item| measure(item, chars, tokens)),
        Value::Null | Value::Bool(_) => {}
    }
}

/// FNV-1a, then mixed: the same on every machine and with every compiler.
fn hash(bytes: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    mix(bytes.iter().fold(0xcbf2_9ce4_8422_2325, step))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(endpoint: Endpoint, json: &str) -> Body {
        Body::parse(&endpoint.into(), "/", json.as_bytes()).unwrap()
    }

    #[test]
    fn a_prompt_has_a_token_for_four_characters() {
        let body = r#"{"messages":[{"role":"system","content":"12345678"},
            {"role":"user","content":[{"type":"text","text":"1234"}]}]}"#;
        assert_eq!(parse(Endpoint::Chat, body).prompt_tokens(), 3);
        assert_eq!(
            parse(Endpoint::Completions, r#"{"prompt":["12345","x"]}"#).prompt_tokens(),
            3
        );
        let tokens = parse(Endpoint::Embeddings, r#"{"input":[[1,2,3],[4]]}"#);
        assert_eq!((tokens.inputs.len(), tokens.prompt_tokens()), (2, 4));
        assert_eq!(
            parse(Endpoint::Embeddings, r#"{"input":[1,2,3]}"#)
                .inputs
                .len(),
            1
        );
    }

    #[test]
    fn an_answer_has_a_tenth_to_all_of_max_tokens() {
        for max in [0_u64, 1, 10, 1_000] {
            let body = parse(Endpoint::Chat, &format!(r#"{{"max_tokens":{max},"n":50}}"#));
            let answers = body.answers(3);
            assert_eq!(answers.len(), 50);
            assert!(
                answers
                    .iter()
                    .all(|tokens| (max.div_ceil(10)..=max).contains(tokens))
            );
        }
    }

    #[test]
    fn the_bound_is_the_prompt_and_the_longest_answers() {
        let bound = |json: &str| parse(Endpoint::Chat, json).request(0).bound_tokens;
        assert_eq!(bound("{}"), 1 + 256);
        assert_eq!(bound(r#"{"max_tokens":10,"n":3}"#), 1 + 30);
        assert_eq!(
            bound(r#"{"max_completion_tokens":10,"max_tokens":99}"#),
            1 + 10
        );
        assert_eq!(
            bound(r#"{"max_tokens":18446744073709551615}"#),
            1 + NUMBER_MAX
        );
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for json in ["", "[]", "{", "3", r#"{"stream":true}"#] {
            assert!(
                Body::parse(&Endpoint::Chat.into(), "/", json.as_bytes()).is_err(),
                "{json}"
            );
        }
    }

    #[test]
    fn each_api_has_its_own_words_for_the_same() {
        let gemini = r#"{"systemInstruction":{"parts":[{"text":"1234"}]},
            "contents":[{"role":"user","parts":[{"text":"12345678"}]}],
            "generationConfig":{"maxOutputTokens":9,"candidateCount":2}}"#;
        let gemini = parse(Endpoint::Chat, gemini).request(0);
        assert_eq!((gemini.prompt_tokens, gemini.bound_tokens), (3, 3 + 18));
        let anthropic = r#"{"system":"1234","messages":[{"role":"user","content":"1234"}]}"#;
        assert_eq!(parse(Endpoint::Chat, anthropic).prompt_tokens(), 2);
        for texts in [
            r#"{"texts":["1234","1234"]}"#,
            r#"{"requests":[{"content":{"parts":[{"text":"1"}]}},{"content":{"parts":[]}}]}"#,
        ] {
            assert_eq!(parse(Endpoint::Embeddings, texts).request(0).inputs, 2);
        }
        let rerank = r#"{"query":"1234","documents":["1234","12345678"]}"#;
        assert_eq!(parse(Endpoint::Rerank, rerank).prompt_tokens(), 2 + 3);
        let larger = parse(Endpoint::Chat, r#"{"max_tokens":10}"#).priced(Price::Larger);
        assert_eq!(larger.request(0).bound_tokens, 10);
    }

    #[test]
    fn a_query_costs_what_it_has_room_for_at_most() {
        let query = r#"{"query":"{ products(first: 20) { variants(last:5, after: $x) { id } } }"}"#;
        let request = parse(Endpoint::Graphql, query).request(1);
        assert_eq!(request.bound_points, 1 + 25);
        assert!((1..=26).contains(&request.usage_points));
        let hundredths = parse(Endpoint::Graphql, query).priced(Price::Hundredths);
        assert_eq!(hundredths.request(1).usage_points, 1);
        let points = |endpoint| parse(endpoint, "").request(0).usage_points;
        assert_eq!((points(Endpoint::Read), points(Endpoint::Create)), (1, 5));
    }

    #[test]
    fn what_has_no_body_is_known_by_its_path() {
        let call = |path, body: &str| {
            let body = Body::parse(&Endpoint::Read.into(), path, body.as_bytes());
            body.unwrap().call
        };
        assert_ne!(call("/a?b=1", ""), call("/a?b=2", ""));
        assert_eq!(call("/a", "{}"), call("/b", "{}"));
    }
}

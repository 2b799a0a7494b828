//! Request bodies, read leniently: what is missing has a default, what is unknown is ignored.

use crate::api::Request;
use crate::draw::{About, Draw, mix};
use serde_json::Value;

/// The longest answer where the request does not say.
const MAX_TOKENS: u64 = 256;

/// What the largest number in a request is taken for, so that sums of them stay numbers.
const NUMBER_MAX: u64 = 1_000_000_000;

/// The most choices that one request gets, as `OpenAI` has it.
const CHOICES_MAX: u64 = 128;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Endpoint {
    Chat,
    Completions,
    Embeddings,
}

/// What matters of a request's body.
#[derive(Clone, Debug)]
pub(super) struct Body {
    pub(super) endpoint: Endpoint,
    pub(super) model: String,
    /// The hash of all of it.
    pub(super) call: u64,
    /// The tokens and the hash of each prompt or input.
    pub(super) inputs: Vec<Input>,
    choices: u64,
    /// The longest that one answer may be.
    pub(super) max_tokens: u64,
}

/// One prompt, one conversation or one text to embed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Input {
    pub(super) tokens: u64,
    pub(super) hash: u64,
}

impl Body {
    pub(super) fn parse(endpoint: Endpoint, bytes: &[u8]) -> Result<Body, String> {
        let value: Value = serde_json::from_slice(bytes).map_err(|error| {
            format!("We could not parse the JSON body of your request: {error}")
        })?;
        if !value.is_object() {
            return Err("The JSON body of a request must be an object.".into());
        }
        if value["stream"] == true {
            return Err("The simulated API does not stream: leave out `stream`.".into());
        }
        let max_tokens = number(&value, "max_completion_tokens").or(number(&value, "max_tokens"));
        Ok(Body {
            endpoint,
            model: value["model"].as_str().unwrap_or("simulated").to_owned(),
            call: hash(bytes),
            inputs: inputs(endpoint, &value),
            choices: number(&value, "n").unwrap_or(1).clamp(1, CHOICES_MAX),
            max_tokens: max_tokens.unwrap_or(MAX_TOKENS),
        })
    }

    /// The tokens of the prompt: all inputs together.
    pub(super) fn prompt_tokens(&self) -> u64 {
        self.inputs.iter().map(|input| input.tokens).sum()
    }

    /// The length of each answer, in tokens; embeddings have none.
    pub(super) fn answers(&self, seed: u64) -> Vec<u64> {
        if self.endpoint == Endpoint::Embeddings {
            return Vec::new();
        }
        let prompts = if self.endpoint == Endpoint::Completions {
            self.inputs.len() as u64
        } else {
            1
        };
        let mut draw = Draw::new(seed, self.call, 0, About::Length);
        (0..prompts * self.choices)
            .map(|_| share(self.max_tokens, &mut draw))
            .collect()
    }

    pub(super) fn request(&self, seed: u64) -> Request {
        let (prompt_tokens, answers) = (self.prompt_tokens(), self.answers(seed));
        Request {
            call: self.call,
            attempt: 0,
            prompt_tokens,
            bound_tokens: prompt_tokens + answers.len() as u64 * self.max_tokens,
            usage_tokens: prompt_tokens + answers.iter().sum::<u64>(),
        }
    }
}

/// Between a tenth and all of `max_tokens`.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the number is at most a milliard, and the share at most 1"
)]
fn share(max_tokens: u64, draw: &mut Draw) -> u64 {
    ((max_tokens as f64 * (0.1 + 0.9 * draw.unit())).ceil() as u64).min(max_tokens)
}

fn number(value: &Value, key: &str) -> Option<u64> {
    let number = &value[key];
    let whole = number.as_u64();
    whole.map(|number| number.min(NUMBER_MAX))
}

fn inputs(endpoint: Endpoint, value: &Value) -> Vec<Input> {
    match endpoint {
        Endpoint::Chat => vec![Input::of(&value["messages"])],
        Endpoint::Completions => several(&value["prompt"]),
        Endpoint::Embeddings => several(&value["input"]),
    }
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
        Value::Object(part) => ["content", "text"]
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
        Body::parse(endpoint, json.as_bytes()).unwrap()
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
                Body::parse(Endpoint::Chat, json.as_bytes()).is_err(),
                "{json}"
            );
        }
    }
}

//! How much text a request sends, and how many tokens that may be: no tokenizer, no network.
//!
//! These are estimates, made to reserve quota before the real usage is known. English text has about
//! four characters a token; other scripts come close to one, so each character outside ASCII counts as
//! a token of its own. Text that splits badly (long numbers, random letters) may exceed the bound, and
//! images and sound are not counted at all; what the API then reports settles the account.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// The characters of ASCII text that are taken for one token.
pub const CHARS_PER_TOKEN: u64 = 4;

/// The tokens added for each message, for its role and its separators; an estimate.
pub const TOKENS_PER_MESSAGE: u64 = 4;

/// The tokens added for each request, for the beginning of the answer; an estimate.
pub const TOKENS_PER_REQUEST: u64 = 4;

/// The text of a prompt, counted.
///
/// ```
/// use rate_limited_apis::Prompt;
///
/// let mut prompt = Prompt::default();
/// prompt.text("Hello, cat!");
/// // 11 characters are 3 tokens; 4 for the request.
/// assert_eq!(prompt.tokens(), 3 + 4);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Prompt {
    /// Characters (Unicode scalar values) of all text: messages, input, tools as their JSON text.
    pub chars: u64,
    /// Those of them outside ASCII, which take more tokens each.
    pub wide_chars: u64,
    /// Tokens given as numbers, as embedding requests may do.
    pub token_ids: u64,
    /// Messages, each of which costs a few tokens beside its text.
    pub messages: u64,
}

impl Prompt {
    /// The most tokens that the prompt is expected to have.
    pub fn tokens(&self) -> u64 {
        let ascii = self.chars.saturating_sub(self.wide_chars);
        [
            ascii.div_ceil(CHARS_PER_TOKEN),
            self.wide_chars,
            self.token_ids,
            self.messages.saturating_mul(TOKENS_PER_MESSAGE),
            TOKENS_PER_REQUEST,
        ]
        .into_iter()
        .fold(0, u64::saturating_add)
    }

    /// Adds a piece of text.
    pub fn text(&mut self, text: &str) {
        let chars = text.chars().count() as u64;
        // Every character has exactly one byte that does not continue another, so ASCII bytes are
        // ASCII characters.
        let ascii = text.bytes().filter(u8::is_ascii).count() as u64;
        self.chars += chars;
        self.wide_chars += chars - ascii;
    }

    /// Adds what the model reads as JSON: tools, schemas, arguments.
    pub fn json(&mut self, value: &RawValue) {
        self.text(value.get());
    }

    /// Adds text that belongs to no message of its own: a string, or a list of parts.
    pub fn text_of(&mut self, value: &RawValue) {
        self.count(value, 1);
    }

    /// Adds messages or inputs: strings, lists of them, lists of messages, lists of token numbers.
    pub fn value(&mut self, value: &RawValue) {
        self.count(value, 0);
    }

    fn count(&mut self, value: &RawValue, depth: usize) {
        let before = *self;
        let mut json = serde_json::Deserializer::from_str(value.get());
        let counter = Counter {
            prompt: self,
            depth,
        };
        if counter.deserialize(&mut json).is_err() {
            // A lone surrogate, for example: then the JSON text itself is counted, never less.
            *self = before;
            self.json(value);
        }
    }
}

/// Walks through a value of any shape and counts what is text for the model.
struct Counter<'a> {
    prompt: &'a mut Prompt,
    /// Maps around this value: those at 0 are messages, those within are parts of one.
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for Counter<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Counter<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON")
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.prompt.text(text);
        Ok(())
    }

    fn visit_u64<E>(self, _token: u64) -> Result<(), E> {
        self.prompt.token_ids += 1;
        Ok(())
    }

    fn visit_i64<E>(self, _number: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _number: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _flag: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let Counter { prompt, depth } = self;
        while items
            .next_element_seed(Counter {
                prompt: &mut *prompt,
                depth,
            })?
            .is_some()
        {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        let Counter { prompt, depth } = self;
        prompt.messages += u64::from(depth == 0);
        while let Some(key) = fields.next_key::<Cow<'_, str>>()? {
            match key.as_ref() {
                "content" | "text" | "parts" => {
                    fields.next_value_seed(Counter {
                        prompt: &mut *prompt,
                        depth: depth + 1,
                    })?;
                }
                "name" | "tool_calls" | "function_call" | "arguments" | "input" | "output" => {
                    prompt.json(fields.next_value::<&RawValue>()?);
                }
                // Roles and types are part of what a message costs; images and sound are no text.
                _ => {
                    fields.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

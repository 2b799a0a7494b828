//! How much text a request sends: what an estimate of its tokens is made from.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// The text of a prompt, counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
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
    /// Adds a piece of text.
    pub(crate) fn text(&mut self, text: &str) {
        let chars = text.chars().count() as u64;
        // Every character has exactly one byte that does not continue another, so ASCII bytes are
        // ASCII characters.
        let ascii = text.bytes().filter(u8::is_ascii).count() as u64;
        self.chars += chars;
        self.wide_chars += chars - ascii;
    }

    /// Adds what the model reads as JSON: tools, schemas, arguments.
    pub(crate) fn json(&mut self, value: &RawValue) {
        self.text(value.get());
    }

    /// Adds text that belongs to no message of its own: a string, or a list of parts.
    pub(crate) fn text_of(&mut self, value: &RawValue) {
        self.count(value, 1);
    }

    /// Adds messages or inputs: strings, lists of them, lists of messages, lists of token numbers.
    pub(crate) fn value(&mut self, value: &RawValue) {
        self.count(value, 0);
    }

    fn count(&mut self, value: &RawValue, depth: usize) {
        let before = *self;
        let mut json = serde_json::Deserializer::from_str(value.get());
        let counted = Counter {
            prompt: self,
            depth,
        }
        .deserialize(&mut json);
        if counted.is_err() {
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

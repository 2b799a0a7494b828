//! How much text a request sends, and how many tokens that may be: no tokenizer, no network.
//!
//! These are estimates, made to reserve quota before the real usage is known. English text has about
//! four characters a token; other scripts come close to one, so each character outside ASCII counts as
//! a token of its own; an image, a piece of sound or a file counts as an image of 1024 x 1024 does. Text that
//! splits badly (long numbers, random letters) may exceed the bound; what the API then reports settles the
//! account.

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

/// The tokens of an image of 1024 x 1024 in full detail; a piece of sound or a file counts as much.
pub const IMAGE_TOKENS: u64 = 765;

/// The tokens of an image that is sent with `"detail": "low"`.
pub const IMAGE_TOKENS_LOW: u64 = 85;

/// Fields of a part without text that hold an image, sound or a file.
const MEDIA: [&str; 16] = [
    "image",
    "image_url",
    "image_base64",
    "input_audio",
    "audio",
    "video",
    "video_url",
    "video_base64",
    "file",
    "file_id",
    "file_url",
    "file_data",
    "fileData",
    "inline_data",
    "inlineData",
    "source",
];

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
    /// Tokens that images, sound and files are taken for.
    pub media_tokens: u64,
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
            self.media_tokens,
            self.messages.saturating_mul(TOKENS_PER_MESSAGE),
            TOKENS_PER_REQUEST,
        ]
        .into_iter()
        .fold(0, u64::saturating_add)
    }

    /// Adds a piece of text.
    pub fn text(&mut self, text: &str) {
        if text.is_ascii() {
            self.chars += text.len() as u64;
            return;
        }
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
        // A number among the parts of a message is no token.
        self.prompt.token_ids += u64::from(self.depth == 0);
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
        let mut media = Media::default();
        while let Some(key) = fields.next_key::<Cow<'_, str>>()? {
            match key.as_ref() {
                "content" | "text" | "parts" | "refusal" => {
                    media.beside_text = true;
                    fields.next_value_seed(Counter {
                        prompt: &mut *prompt,
                        depth: depth + 1,
                    })?;
                }
                "name" | "tool_calls" | "function_call" | "arguments" | "input" | "output" => {
                    prompt.json(fields.next_value::<&RawValue>()?);
                }
                "detail" => media.look_at_detail(fields.next_value()?),
                key if MEDIA.contains(&key) => media.look(fields.next_value()?),
                // Roles and types are part of what a message costs.
                _ => {
                    fields.next_value::<IgnoredAny>()?;
                }
            }
        }
        if depth > 0 {
            prompt.media_tokens += media.tokens();
        }
        Ok(())
    }
}

/// The image, sound or file of a part.
#[derive(Default)]
struct Media {
    is_there: bool,
    is_low: bool,
    /// What has text counts by it.
    beside_text: bool,
}

impl Media {
    fn look(&mut self, value: &RawValue) {
        #[derive(serde::Deserialize)]
        struct Image<'a> {
            #[serde(borrow)]
            detail: Option<Cow<'a, str>>,
        }
        self.is_there |= value.get() != "null";
        if let Ok(image) = serde_json::from_str::<Image<'_>>(value.get()) {
            self.is_low |= image.detail.as_deref() == Some("low");
        }
    }

    fn look_at_detail(&mut self, value: &RawValue) {
        self.is_low |= value.get() == r#""low""#;
    }

    fn tokens(&self) -> u64 {
        match self {
            Media {
                is_there: false, ..
            }
            | Media {
                beside_text: true, ..
            } => 0,
            Media { is_low: true, .. } => IMAGE_TOKENS_LOW,
            _ => IMAGE_TOKENS,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_sound_and_files_count_and_other_parts_do_not() {
        for (parts, tokens) in [
            (
                r#"[{"type":"image_url","image_url":{"url":"data:AAAA"}}]"#,
                765,
            ),
            (
                r#"[{"type":"image_url","image_url":{"url":"x","detail":"low"}}]"#,
                85,
            ),
            (
                r#"[{"type":"input_image","image_url":"x","detail":"low"}]"#,
                85,
            ),
            (
                r#"[{"type":"input_audio","input_audio":{"data":"AAAA"}}]"#,
                765,
            ),
            (
                r#"[{"type":"image","source":{"data":"AAAA"}},{"inlineData":{}}]"#,
                1530,
            ),
            (
                r#"[{"type":"search_result","source":"x","content":[{"text":"abcd"}]}]"#,
                1,
            ),
            (r#"[{"type":"refusal","refusal":"abcd"}, null, 5, {}]"#, 1),
            (r#"[{"image":null}]"#, 0),
        ] {
            let json = format!(r#"[{{"role":"user","content":{parts}}}]"#);
            let mut prompt = Prompt::default();
            prompt.value(serde_json::from_str(&json).unwrap());
            assert_eq!(
                prompt.tokens(),
                tokens + TOKENS_PER_MESSAGE + TOKENS_PER_REQUEST,
                "{parts}"
            );
        }
    }
}

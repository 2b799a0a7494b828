//! What the body of an answer says about an error.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

/// No honest error is longer than this; a longer body is judged by its status alone.
const BYTES_MAX: usize = 1 << 20;

/// What a body is, as far as it matters here.
pub(super) enum Shape {
    /// A JSON object or array that is no error.
    Good,
    /// An object with an `error` and without a result.
    Error,
    /// No JSON object or array, and why not.
    Bad(String),
}

/// What the API itself says about the error; all of it may be missing.
#[derive(Debug, Default)]
pub(super) struct ApiError {
    pub(super) code: Option<String>,
    pub(super) kind: Option<String>,
    pub(super) message: Option<String>,
    /// The input was flagged by a moderation, which is about this one call.
    pub(super) flagged: bool,
}

/// The shape of a whole body. All of it is read, nothing of it is kept.
pub(super) fn shape_of(body: &[u8]) -> Shape {
    let text = match str::from_utf8(body) {
        Ok(text) => text,
        Err(error) => return Shape::Bad(error.to_string()),
    };
    match text.trim_start().chars().next() {
        None => Shape::Bad("it is empty".into()),
        Some('{') => match serde_json::from_str::<Outline<'_>>(text) {
            Ok(outline) if outline.is_error() => Shape::Error,
            Ok(_) => Shape::Good,
            Err(error) => Shape::Bad(error.to_string()),
        },
        Some('[') => match serde_json::from_str::<IgnoredAny>(text) {
            Ok(_) => Shape::Good,
            Err(error) => Shape::Bad(error.to_string()),
        },
        Some('<') => Shape::Bad("it seems to be HTML".into()),
        Some(_) => Shape::Bad("it is no JSON object".into()),
    }
}

#[derive(Deserialize)]
struct Outline<'a> {
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    choices: Option<IgnoredAny>,
    data: Option<IgnoredAny>,
}

impl Outline<'_> {
    fn is_error(&self) -> bool {
        // Some APIs send `"error": false` or `""` beside every good answer.
        let error = self
            .error
            .is_some_and(|raw| !matches!(raw.get(), "false" | "\"\"" | "{}" | "[]"));
        error && self.choices.is_none() && self.data.is_none()
    }
}

impl ApiError {
    /// Reads the shapes in use: `{"error": {…}}`, `{"error": "text"}`, the same in an array, and the
    /// fields at the top.
    pub(super) fn parse(body: &[u8]) -> ApiError {
        let text = str::from_utf8(body)
            .ok()
            .filter(|text| text.len() <= BYTES_MAX);
        text.and_then(parse).unwrap_or_default()
    }

    /// Whether the code is one of these; the type counts only where it does.
    pub(super) fn has_code(&self, codes: &[&str]) -> bool {
        self.code
            .as_deref()
            .is_some_and(|code| codes.contains(&code))
    }

    pub(super) fn has_kind(&self, kinds: &[&str]) -> bool {
        self.kind
            .as_deref()
            .is_some_and(|kind| kinds.contains(&kind))
    }
}

#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    #[serde(borrow)]
    code: Option<&'a RawValue>,
    #[serde(borrow, rename = "type")]
    kind: Option<&'a RawValue>,
    #[serde(borrow)]
    message: Option<&'a RawValue>,
    #[serde(borrow)]
    detail: Option<&'a RawValue>,
    #[serde(borrow)]
    metadata: Option<&'a RawValue>,
}

fn parse(text: &str) -> Option<ApiError> {
    let top = if text.trim_start().starts_with('[') {
        serde_json::from_str::<Vec<Fields<'_>>>(text)
            .ok()?
            .into_iter()
            .next()?
    } else {
        serde_json::from_str::<Fields<'_>>(text).ok()?
    };
    let Some(error) = top.error else {
        return Some(from_fields(&top));
    };
    match serde_json::from_str::<Fields<'_>>(error.get()) {
        Ok(fields) => Some(from_fields(&fields)),
        Err(_) => Some(ApiError {
            message: scalar(Some(error)),
            ..from_fields(&top)
        }),
    }
}

fn from_fields(fields: &Fields<'_>) -> ApiError {
    ApiError {
        code: scalar(fields.code),
        kind: scalar(fields.kind),
        message: scalar(fields.message).or_else(|| scalar(fields.detail)),
        flagged: fields.metadata.is_some_and(|raw| is_flagged(raw.get())),
    }
}

/// The text of a string or a number that is not empty.
fn scalar(raw: Option<&RawValue>) -> Option<String> {
    let raw = raw?.get();
    let text = if raw.starts_with('"') {
        serde_json::from_str::<String>(raw).ok()?
    } else {
        raw.starts_with(|char: char| char.is_ascii_digit())
            .then(|| raw.to_owned())?
    };
    Some(text).filter(|text| !text.trim().is_empty())
}

fn is_flagged(metadata: &str) -> bool {
    #[derive(Deserialize)]
    struct Metadata {
        flagged_input: Option<IgnoredAny>,
    }
    serde_json::from_str::<Metadata>(metadata).is_ok_and(|found| found.flagged_input.is_some())
}

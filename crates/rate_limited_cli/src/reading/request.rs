//! One request of the input.

use std::borrow::Cow;

use bytes::Bytes;
use rate_limited_apis::Prompt;

use crate::writing::row::Row;

/// How a request is sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Method {
    /// With a body.
    #[default]
    Post,
    /// Without one; it only reads, and may be sent again whatever became of it.
    Get,
}

impl Method {
    /// The method as HTTP writes it.
    ///
    /// ```
    /// use rate_limited_cli::reading::request::Method;
    ///
    /// assert_eq!(Method::Get.as_str(), "GET");
    /// ```
    pub fn as_str(self) -> &'static str {
        match self {
            Method::Post => "POST",
            Method::Get => "GET",
        }
    }
}

/// A request as one line of the input has it.
///
/// The body is what is sent, byte for byte; the other fields are read from it to estimate its cost.
/// Those that are missing or of another type than expected are `None`: whether the body is right is
/// for the API to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The line, counted from 1, blank lines included.
    pub line: u64,
    /// The name that the line gives itself; without one its record says `line-N`.
    pub custom_id: Option<String>,
    /// How to send it.
    pub method: Method,
    /// Where to send it, without the host; `None`: where the command line says.
    pub url_path: Option<String>,
    /// The JSON to send; empty where nothing is sent.
    pub body: Bytes,
    /// The model.
    pub model: Option<String>,
    /// The most tokens that one answer may have, by whichever name the body gives it.
    pub max_tokens: Option<u64>,
    /// How many answers are asked for; 1 if the body does not say.
    pub n: u64,
    /// The text that is sent.
    pub prompt: Prompt,
    /// Whether the API writes text in return (chat, completion) or not (embedding, moderation).
    pub generates: bool,
    /// The cells of the row that it was made of, where the output is a table.
    pub row: Option<Row>,
}

impl Request {
    /// The name of the request's record: its `custom_id`, or `line-N`.
    pub fn record_id(&self) -> Cow<'_, str> {
        record_id(self.line, self.custom_id.as_deref())
    }
}

/// The name of a record: the line's own, or `line-N`.
///
/// ```
/// use rate_limited_cli::reading::request::record_id;
///
/// assert_eq!(record_id(7, Some("poem-7")), "poem-7");
/// assert_eq!(record_id(7, None), "line-7");
/// ```
pub fn record_id(line: u64, custom_id: Option<&str>) -> Cow<'_, str> {
    custom_id.map_or_else(|| Cow::Owned(format!("line-{line}")), Cow::Borrowed)
}

//! The output: one line of JSON for each request, in the batch output format.
//!
//! ```json
//! {"id":"request-7","custom_id":"poem-7","response":{"status_code":200,"request_id":"r1","body":{}},"error":null}
//! ```
//!
//! A request that failed has an `error`, and its last answer beside it if there was one.

use std::borrow::Cow;

use memchr::memchr2;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::asking::schema;
use crate::reading::bad_line::BadLine;
use crate::reading::request::record_id;
use crate::values::text::{cut, grouped};
use crate::writing::answer_text;
use crate::writing::row::{Added, Row};

/// The most bytes that are kept of an error's text, and of an answer that is no JSON and no success.
pub const TEXT_BYTES_MAX: usize = 2_048;

/// What a line has beside the body of an answer, as a rule.
const LINE_BYTES: usize = 192;

/// Codes of errors that are not the API's own.
pub mod code {
    /// The run ended before the request was sent, or could be tried again.
    pub const NOT_RUN: &str = "not_run";
    /// The request costs more than a whole quota: it could never be sent.
    pub const NEVER_FITS: &str = "never_fits";
    /// The last attempt outlived its time-out.
    pub const TIMEOUT: &str = "timeout";
    /// The line of the input is no request.
    pub const BAD_LINE: &str = "bad_line";
    /// The answer was rejected by the validation that was asked for.
    pub const VALIDATION: &str = "validation";
    /// No connection, or one that broke.
    pub const CONNECTION: &str = "connection";
    /// The answer was larger than is read.
    pub const TOO_LARGE: &str = "too_large";
    /// The run was stopped while the request was on its way: whether it was answered is not known.
    pub const INTERRUPTED: &str = "interrupted";
    /// The server refused with a status and told no code of its own.
    pub const HTTP_STATUS: &str = "http_status";
    /// It was in flight when an earlier run died, and is left alone: whether it was answered is not known.
    pub const UNKNOWN: &str = "unknown";
    /// It was in flight in so many crashes that it is not sent any more.
    pub const SUSPECT: &str = "suspect";
    /// A fault of this program.
    pub const INTERNAL: &str = "internal";
}

/// What became of one line of the input.
///
/// ```
/// use rate_limited_cli::writing::record::{Failure, Record, code};
///
/// let failure = Failure::before_sending(code::NOT_RUN, "the run was interrupted");
/// let record = Record { line: 3, custom_id: None, response: None, error: Some(failure) };
/// let line = String::from_utf8(record.to_line())?;
/// assert!(line.starts_with(r#"{"id":"request-3","custom_id":"line-3","response":null,"error":{"#));
/// assert!(line.ends_with("}\n"));
/// # Ok::<(), std::string::FromUtf8Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record<'a> {
    /// The line of the input, counted from 1.
    pub line: u64,
    /// The line's own name; without one the record says `line-N`.
    pub custom_id: Option<&'a str>,
    /// The last answer, if there was one.
    pub response: Option<Response<'a>>,
    /// What failed; `None` for a success.
    pub error: Option<Failure<'a>>,
}

/// An answer of the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response<'a> {
    /// The HTTP status.
    pub status_code: u16,
    /// The server's own name for the request, from its headers.
    pub request_id: Option<&'a str>,
    /// The body as received.
    pub body: &'a [u8],
}

/// An answer that did not succeed, cut to [`TEXT_BYTES_MAX`], for as long as its call is not over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kept {
    status_code: u16,
    request_id: Option<String>,
    body: Vec<u8>,
}

impl Kept {
    pub(crate) fn new(status_code: u16, request_id: Option<&str>, body: &[u8]) -> Kept {
        let body = if body.len() <= TEXT_BYTES_MAX {
            body.to_vec()
        } else {
            beginning(&String::from_utf8_lossy(body)).into_bytes()
        };
        Kept {
            status_code,
            request_id: request_id.map(str::to_owned),
            body,
        }
    }

    pub(crate) fn response(&self) -> Response<'_> {
        Response {
            status_code: self.status_code,
            request_id: self.request_id.as_deref(),
            body: &self.body,
        }
    }
}

/// Why a request has no good answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure<'a> {
    /// The API's own code, or one of [`code`].
    pub code: Cow<'a, str>,
    /// What happened, for people; at most [`TEXT_BYTES_MAX`] bytes of it are written.
    #[serde(serialize_with = "shortened")]
    pub message: Cow<'a, str>,
    /// How the outcome was taken: `permanent`, `failure`, `refused`, `fatal`, `not_sent`,
    /// `not_finished`, ….
    pub class: Cow<'a, str>,
    /// The attempts that were made.
    pub attempts: u32,
}

impl<'a> Failure<'a> {
    /// A failure of a request that was never sent.
    pub fn before_sending(code: &'a str, message: impl Into<Cow<'a, str>>) -> Failure<'a> {
        Failure {
            code: code.into(),
            message: message.into(),
            class: "not_sent".into(),
            attempts: 0,
        }
    }
}

impl<'a> Record<'a> {
    /// The record of a line that could not be read.
    pub fn of_bad_line(bad: &'a BadLine) -> Record<'a> {
        let error = Some(Failure::before_sending(code::BAD_LINE, bad.to_string()));
        Record {
            line: bad.line,
            custom_id: bad.custom_id.as_deref(),
            response: None,
            error,
        }
    }

    /// The line of a line of the input that could not be read.
    pub(crate) fn line_of_bad(bad: &BadLine) -> Vec<u8> {
        Record::of_bad_line(bad).line_in(bad.row.as_ref(), Spent::default())
    }

    /// The record as one line of the output, its end included: JSON, or of a row the line of a table.
    pub(crate) fn line_in(&self, row: Option<&Row>, spent: Spent) -> Vec<u8> {
        let Some(row) = row else {
            return self.to_line();
        };
        let response = self.response.as_ref();
        let good = response.filter(|response| (200..300).contains(&response.status_code));
        let answer = good.map(|response| answer_text::of(response.body));
        let answer = answer.as_deref();
        let answer = if spent.is_json {
            answer.map(schema::unfenced)
        } else {
            answer
        };
        let error = self.error.as_ref();
        let attempts = error.map_or(spent.attempts, |error| error.attempts);
        let error = error.map(|error| format!("{}: {}", error.code, kept(&error.message)));
        row.line(&Added {
            answer: answer.unwrap_or_default(),
            error: error.as_deref().unwrap_or_default(),
            attempts,
            tokens: spent.tokens,
        })
    }

    /// The record as one line of JSON, its end included.
    ///
    /// A body that is JSON stands in it as received, without line breaks; any other becomes a string.
    ///
    /// # Panics
    /// Never: all that a record can hold can be written as JSON.
    pub fn to_line(&self) -> Vec<u8> {
        let written = Written {
            id: format!("request-{}", self.line),
            custom_id: record_id(self.line, self.custom_id),
            response: self.response.as_ref().map(|response| WrittenResponse {
                status_code: response.status_code,
                request_id: response.request_id,
                body: Body::of(response),
            }),
            error: self.error.as_ref(),
        };
        let body = self.response.as_ref().map_or(0, |it| it.body.len());
        let mut line = Vec::with_capacity(body + LINE_BYTES);
        serde_json::to_writer(&mut line, &written)
            .expect("a record has nothing but text and numbers");
        line.push(b'\n');
        line
    }
}

/// What a call took.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Spent {
    pub(crate) attempts: u32,
    /// The tokens that its answer tells.
    pub(crate) tokens: Option<u64>,
    /// Whether its answer was to be JSON.
    pub(crate) is_json: bool,
}

/// The part of a record's line that does not depend on where the line of the input stands: all behind the
/// number, and behind the name where that is made from it. This is what a journal keeps of a call.
pub(crate) fn kept_part(line: &[u8], number: u64, is_named: bool) -> &[u8] {
    let whole = line.strip_suffix(b"\n").unwrap_or(line);
    let part = whole.strip_prefix(head(number).as_bytes());
    let part = part.unwrap_or(whole);
    if is_named {
        return part;
    }
    let name = made_name(number);
    part.strip_prefix(name.as_bytes()).unwrap_or(part)
}

/// The line of a record whose part was kept, its end included.
pub(crate) fn whole_line(number: u64, part: &[u8]) -> Vec<u8> {
    let mut line = head(number).into_bytes();
    if !part.starts_with(b"\"custom_id\":") {
        line.extend_from_slice(made_name(number).as_bytes());
    }
    line.extend_from_slice(part);
    line.push(b'\n');
    line
}

/// How the line of a record begins.
fn head(number: u64) -> String {
    format!("{{\"id\":\"request-{number}\",")
}

/// The name of a record whose request has none.
fn made_name(number: u64) -> String {
    format!("\"custom_id\":\"line-{number}\",")
}

#[derive(Serialize)]
struct Written<'a> {
    id: String,
    custom_id: Cow<'a, str>,
    response: Option<WrittenResponse<'a>>,
    error: Option<&'a Failure<'a>>,
}

#[derive(Serialize)]
struct WrittenResponse<'a> {
    status_code: u16,
    request_id: Option<&'a str>,
    body: Body<'a>,
}

/// A body as it is written.
#[derive(Serialize)]
#[serde(untagged)]
enum Body<'a> {
    Received(&'a RawValue),
    Joined(Box<RawValue>),
    Text(String),
}

impl<'a> Body<'a> {
    fn of(response: &Response<'a>) -> Body<'a> {
        let Ok(text) = std::str::from_utf8(response.body) else {
            return Body::Text(kept(&String::from_utf8_lossy(response.body)));
        };
        match serde_json::from_str::<&RawValue>(text) {
            Ok(json) if memchr2(b'\n', b'\r', json.get().as_bytes()).is_none() => {
                Body::Received(json)
            }
            Ok(json) => RawValue::from_string(on_one_line(json.get()))
                .map_or_else(|_| Body::Text(text.to_owned()), Body::Joined),
            // A good answer in plain text was paid for and is kept whole; an error page is not.
            Err(_) if (200..300).contains(&response.status_code) => Body::Text(text.to_owned()),
            Err(_) => Body::Text(kept(text)),
        }
    }
}

/// Valid JSON without the white space between its parts; strings and numbers stay as they are.
fn on_one_line(json: &str) -> String {
    let mut line = String::with_capacity(json.len());
    let (mut in_string, mut escaped) = (false, false);
    for character in json.chars() {
        if in_string || !character.is_ascii_whitespace() {
            line.push(character);
        }
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = in_string,
            '"' => in_string = !in_string,
            _ => {}
        }
    }
    line
}

/// The beginning of a text, with a word on what was cut.
fn kept(text: &str) -> String {
    kept_within(text, TEXT_BYTES_MAX)
}

/// The beginning of a text, so short that it is not cut again when it is written.
pub(crate) fn beginning(text: &str) -> String {
    const WORDS_BYTES: usize = 80;
    if text.len() <= TEXT_BYTES_MAX {
        return text.to_owned();
    }
    kept_within(text, TEXT_BYTES_MAX - WORDS_BYTES)
}

fn kept_within(text: &str, bytes_max: usize) -> String {
    let start = cut(text, bytes_max);
    if start.len() == text.len() {
        return text.to_owned();
    }
    let [kept, all] = [start.len(), text.len()].map(|bytes| grouped(bytes as u64));
    format!("{start}… (cut: the first {kept} of {all} bytes)")
}

fn shortened<S: serde::Serializer>(text: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&kept(text))
}

#[cfg(test)]
mod tests {
    use super::{Kept, Record, TEXT_BYTES_MAX, beginning, kept_part, whole_line};

    #[test]
    fn what_a_journal_keeps_makes_the_line_of_any_number() {
        for custom_id in [None, Some("a\"b"), Some("line-7")] {
            let record = |line| Record {
                line,
                custom_id,
                response: None,
                error: None,
            };
            let line = record(7).to_line();
            let part = kept_part(&line, 7, custom_id.is_some());
            assert_eq!(whole_line(7, part), line);
            assert_eq!(whole_line(123, part), record(123).to_line());
        }
    }

    #[test]
    fn what_is_kept_for_later_is_cut_once() {
        let long = "é".repeat(TEXT_BYTES_MAX);
        let kept = beginning(&long);
        assert!(kept.len() <= TEXT_BYTES_MAX, "{}", kept.len());
        assert!(kept.ends_with(" of 4,096 bytes)"), "{kept}");
        assert_eq!(beginning(&kept), kept);
        let answer = Kept::new(503, Some("r1"), long.as_bytes());
        assert_eq!(answer.response().body, kept.as_bytes());
    }
}

//! From one line of text to a request.
//!
//! A line is in the batch format (`custom_id`, `method`, `url`, `body`) or is a request body itself;
//! which one is decided line by line. It is a batch line if it has a `custom_id`, a `body`, or both a
//! `method` and a `url`, none of which a request body has. `method` may be left out and is POST then;
//! so may `url`. A GET has a `url` and no `body`.

use std::borrow::Cow;

use bytes::Bytes;
use rate_limited_apis::Prompt;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use crate::asking::rows::{Made, Rows};
use crate::reading::bad_line::{BadReason, Fault};
use crate::reading::request::{Method, Request};
use crate::reading::shape;
use crate::values::text::cut;
use crate::writing::row::Row;

/// A request together with where its name stands, for messages about the name.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Parsed {
    pub(crate) request: Request,
    pub(crate) id_at: usize,
}

/// What tells a request from others, without a look at what it asks for.
#[derive(Debug)]
pub(crate) struct Glance<'a> {
    pub(crate) line: u64,
    pub(crate) custom_id: Option<Cow<'a, str>>,
    pub(crate) url_path: Option<Cow<'a, str>>,
    /// Empty where nothing is sent.
    pub(crate) body: &'a str,
    /// The cells of the row that it is made of, where the output is a table.
    pub(crate) row: Option<&'a Row>,
}

/// What reading a line came to.
#[derive(Debug)]
pub(crate) enum Seen {
    Parsed(Box<Parsed>),
    /// It was known at a glance, and has this name of its own.
    Known(Option<String>),
}

/// Reads one line that is not blank; `number` is passed through. A line that `known` knows at a glance is
/// not read any closer.
pub(crate) fn parse(
    number: u64,
    bytes: &[u8],
    known: &mut dyn FnMut(&Glance<'_>) -> bool,
) -> Result<Seen, Fault> {
    let text = utf8(bytes)?;
    let fields = Fields::of(text)?;
    if let Some(glance) = fields.glance(number, text).filter(|glance| known(glance)) {
        return Ok(Seen::Known(glance.custom_id.map(Cow::into_owned)));
    }
    closely(number, text, &fields).map(|parsed| Seen::Parsed(Box::new(parsed)))
}

/// Reads a row that is an object, and makes its request.
pub(crate) fn parse_row(
    number: u64,
    bytes: &[u8],
    rows: &Rows,
    known: &mut dyn FnMut(&Glance<'_>) -> bool,
) -> Result<Seen, Fault> {
    let text = utf8(bytes)?;
    Fields::of(text)?;
    shape::check(text)?;
    let row = serde_json::from_str(text).map_err(|error| fault_of(text, &error))?;
    let made = rows.of_object(&row)?;
    of_row(number, made, rows.path(), None, known)
}

/// The request that was made of a row.
pub(crate) fn of_row(
    number: u64,
    made: Made,
    path: &str,
    row: Option<Row>,
    known: &mut dyn FnMut(&Glance<'_>) -> bool,
) -> Result<Seen, Fault> {
    let Made { custom_id, body } = made;
    let is_known = known(&Glance {
        line: number,
        custom_id: custom_id.as_deref().map(Cow::Borrowed),
        url_path: Some(path.into()),
        body: &body,
        row: row.as_ref(),
    });
    if is_known {
        return Ok(Seen::Known(custom_id));
    }
    let request = Fields::of(&body)?.request(number, Some(path.to_owned()), &body);
    Ok(Seen::Parsed(Box::new(Parsed {
        request: Request {
            custom_id,
            row,
            ..request
        },
        id_at: 0,
    })))
}

fn utf8(bytes: &[u8]) -> Result<&str, Fault> {
    std::str::from_utf8(bytes).map_err(|error| {
        let at = error.valid_up_to();
        Fault::new(at, BadReason::NotUtf8(bytes[at]))
    })
}

fn closely(number: u64, text: &str, fields: &Fields<'_>) -> Result<Parsed, Fault> {
    shape::check(text)?;
    if !fields.is_batch_line() {
        return bare(number, text, fields);
    }
    let custom_id = fields.custom_id(text)?;
    let id_at = fields.custom_id.map_or(0, |raw| place(text, raw));
    match batched(number, text, fields) {
        Ok(request) => Ok(Parsed {
            request: Request {
                custom_id,
                ..request
            },
            id_at,
        }),
        Err(fault) => Err(Fault { custom_id, ..fault }),
    }
}

/// Whether a line holds nothing but white space.
pub(crate) fn is_blank(bytes: &[u8]) -> bool {
    bytes.iter().all(u8::is_ascii_whitespace)
}

/// A line that is a request body itself.
fn bare(number: u64, text: &str, fields: &Fields<'_>) -> Result<Parsed, Fault> {
    let body = text.trim_ascii();
    if body[1..body.len() - 1].trim_ascii().is_empty() {
        return Err(Fault::new(0, BadReason::Empty));
    }
    Ok(Parsed {
        request: fields.request(number, None, body),
        id_at: 0,
    })
}

/// The request within a batch line.
fn batched(number: u64, text: &str, fields: &Fields<'_>) -> Result<Request, Fault> {
    let refuse = |raw, reason| Fault::new(place(text, raw), reason);
    let method = match fields.method {
        Some(raw) => method(raw).ok_or_else(|| refuse(raw, BadReason::Method(shown(raw))))?,
        None => Method::default(),
    };
    let url_path = match fields.url {
        Some(raw) => match string(raw).filter(|url| is_path(url)) {
            Some(path) => Some(path.into_owned()),
            None => return Err(refuse(raw, BadReason::Url(shown(raw)))),
        },
        None => None,
    };
    if method == Method::Get {
        return match (fields.body, url_path) {
            (Some(body), _) => Err(refuse(body, BadReason::BodyOfGet)),
            (None, None) => Err(Fault::new(0, BadReason::NoUrl)),
            (None, path) => Ok(Request::get(number, path)),
        };
    }
    let body = fields
        .body
        .ok_or_else(|| Fault::new(0, BadReason::NoBody))?;
    let inner = Fields::of(body.get()).map_err(|fault| match fault.reason {
        BadReason::NotAnObject(kind) => refuse(body, BadReason::BodyNotAnObject(kind)),
        _ => Fault {
            at: fault.at + place(text, body),
            ..fault
        },
    })?;
    Ok(inner.request(number, url_path, body.get()))
}

/// How a request is sent; `None` for a method that is not.
fn method(raw: &RawValue) -> Option<Method> {
    let named = string(raw)?;
    let known = [Method::Post, Method::Get];
    known.into_iter().find(|method| method.as_str() == named)
}

/// Whether a URL is a path on whatever host the command line names. `//host/…` and backslashes would
/// lead a request, and the key with it, to another host.
fn is_path(url: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'\\' | b'#');
    url.starts_with('/') && !url.starts_with("//") && url.bytes().all(plain)
}

/// The fields of a batch line and of a request body, each as its JSON text; `null` counts as absent.
#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow)]
    custom_id: Option<&'a RawValue>,
    method: Option<&'a RawValue>,
    url: Option<&'a RawValue>,
    body: Option<&'a RawValue>,
    model: Option<&'a RawValue>,
    messages: Option<&'a RawValue>,
    input: Option<&'a RawValue>,
    prompt: Option<&'a RawValue>,
    system: Option<&'a RawValue>,
    instructions: Option<&'a RawValue>,
    tools: Option<&'a RawValue>,
    functions: Option<&'a RawValue>,
    response_format: Option<&'a RawValue>,
    max_tokens: Option<&'a RawValue>,
    max_completion_tokens: Option<&'a RawValue>,
    max_output_tokens: Option<&'a RawValue>,
    n: Option<&'a RawValue>,
    best_of: Option<&'a RawValue>,
}

impl<'a> Fields<'a> {
    /// The fields of an object; anything else is a fault.
    fn of(text: &'a str) -> Result<Fields<'a>, Fault> {
        let start = text.len() - text.trim_ascii_start().len();
        // A derived reader would take a list for the fields in their order.
        if !text[start..].starts_with('{') {
            let valid = serde_json::from_str::<IgnoredAny>(text);
            let kind = BadReason::NotAnObject(kind(&text[start..]));
            return Err(
                valid.map_or_else(|error| fault_of(text, &error), |_| Fault::new(start, kind))
            );
        }
        serde_json::from_str(text).map_err(|error| fault_of(text, &error))
    }

    /// `None` where only a closer look can tell.
    fn glance(&self, line: u64, text: &'a str) -> Option<Glance<'a>> {
        if !self.is_batch_line() {
            return Some(Glance {
                line,
                custom_id: None,
                url_path: None,
                body: text.trim_ascii(),
                row: None,
            });
        }
        let method = self.method.map_or(Some(Method::default()), method)?;
        let custom_id = match self.custom_id {
            Some(raw) => Some(string(raw).filter(|id| !id.is_empty())?),
            None => None,
        };
        let url_path = match self.url {
            Some(raw) => Some(string(raw).filter(|url| is_path(url))?),
            None => None,
        };
        let body = match (method, self.body) {
            (Method::Post, Some(body)) => Some(body.get()).filter(|body| body.starts_with('{')),
            (Method::Get, None) if url_path.is_some() => Some(""),
            _ => None,
        }?;
        Some(Glance {
            line,
            custom_id,
            url_path,
            body,
            row: None,
        })
    }

    fn is_batch_line(&self) -> bool {
        let addressed = self.method.is_some() && self.url.is_some();
        self.custom_id.is_some() || self.body.is_some() || addressed
    }

    fn custom_id(&self, text: &str) -> Result<Option<String>, Fault> {
        let Some(raw) = self.custom_id else {
            return Ok(None);
        };
        match string(raw).filter(|id| !id.is_empty()) {
            Some(id) => Ok(Some(id.into_owned())),
            None => Err(Fault::new(
                place(text, raw),
                BadReason::CustomId(shown(raw)),
            )),
        }
    }

    /// The request whose body these are the fields of.
    fn request(&self, line: u64, url_path: Option<String>, body: &str) -> Request {
        let prompt = self.prompt();
        let max_tokens = [
            self.max_tokens,
            self.max_completion_tokens,
            self.max_output_tokens,
        ]
        .into_iter()
        .filter_map(count)
        .max();
        let path = url_path.as_deref().unwrap_or_default();
        let never_writes = path.ends_with("/embeddings") || path.ends_with("/moderations");
        // A bare body with nothing but an input is an embedding request.
        let asks_for_text = self.messages.is_some() || self.prompt.is_some() || prompt.messages > 0;
        Request {
            line,
            custom_id: None,
            method: Method::Post,
            body: Bytes::copy_from_slice(body.as_bytes()),
            model: self.model.and_then(string).map(Cow::into_owned),
            max_tokens,
            n: [self.n, self.best_of]
                .into_iter()
                .filter_map(count)
                .max()
                .unwrap_or(1),
            prompt,
            generates: !never_writes
                && (asks_for_text || max_tokens.is_some() || url_path.is_some()),
            url_path,
            row: None,
        }
    }

    fn prompt(&self) -> Prompt {
        let mut prompt = Prompt::default();
        for raw in [self.messages, self.input, self.prompt]
            .into_iter()
            .flatten()
        {
            prompt.value(raw);
        }
        for raw in [self.system, self.instructions].into_iter().flatten() {
            prompt.text_of(raw);
        }
        for raw in [self.tools, self.functions, self.response_format]
            .into_iter()
            .flatten()
        {
            prompt.json(raw);
        }
        prompt
    }
}

impl Request {
    /// A request that only reads.
    fn get(line: u64, url_path: Option<String>) -> Request {
        Request {
            line,
            custom_id: None,
            method: Method::Get,
            url_path,
            body: Bytes::new(),
            row: None,
            model: None,
            max_tokens: None,
            n: 1,
            prompt: Prompt::default(),
            generates: false,
        }
    }
}

/// A fault in the words of the JSON reader, without the place that it repeats at the end.
fn fault_of(text: &str, error: &serde_json::Error) -> Fault {
    let words = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    let words = words.strip_suffix(&place).unwrap_or(&words).to_owned();
    let at = if error.is_eof() {
        text.len()
    } else {
        error.column().saturating_sub(1)
    };
    Fault::new(cut(text, at).len(), BadReason::Json(words))
}

/// What kind of value a JSON text is, for messages.
fn kind(json: &str) -> &'static str {
    match json.as_bytes().first() {
        Some(b'{') => "an object",
        Some(b'[') => "a list",
        Some(b'"') => "a string",
        Some(b't' | b'f') => "true or false",
        Some(b'n') => "null",
        _ => "a number",
    }
}

/// The text of a JSON string; `None` for any other value.
fn string(raw: &RawValue) -> Option<Cow<'_, str>> {
    let text = raw.get();
    let plain = text.strip_prefix('"')?.strip_suffix('"')?;
    if !plain.contains('\\') {
        return Some(Cow::Borrowed(plain));
    }
    serde_json::from_str(text).ok().map(Cow::Owned)
}

/// A whole number, rounded up if it has a fraction; `None` for any other value.
fn count(raw: Option<&RawValue>) -> Option<u64> {
    let text = raw?.get();
    let whole = serde_json::from_str::<u64>(text).ok();
    whole.or_else(|| {
        let number = serde_json::from_str::<f64>(text)
            .ok()
            .filter(|number| *number >= 0.0)?;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the cast stops at the ends of the range, which is what a bound needs"
        )]
        let rounded = number.ceil() as u64;
        Some(rounded)
    })
}

/// A value as a message shows it: a string without its quotes, anything else as its JSON.
fn shown(raw: &RawValue) -> String {
    string(raw).map_or_else(|| raw.get().to_owned(), Cow::into_owned)
}

/// The byte of `text` at which a part of it starts.
fn place(text: &str, part: &RawValue) -> usize {
    part.get()
        .as_ptr()
        .addr()
        .saturating_sub(text.as_ptr().addr())
}

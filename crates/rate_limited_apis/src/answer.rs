//! An answer as this crate sees it: status, headers, body.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::body::{self, Body};
use crate::source::Source;

/// The headers of an answer, in whatever form a client has them.
///
/// ```
/// use rate_limited_apis::Headers;
///
/// let headers = [("Retry-After", "3"), ("retry-after", "5")];
/// let mut values = Vec::new();
/// headers.each("retry-after", &mut |value| values.push(value.to_owned()));
/// assert_eq!(values, ["3", "5"]);
/// ```
pub trait Headers {
    /// Shows each value of the header to `visit`. The name is in lower case, and compared without regard
    /// to case; values that are no text are left out.
    fn each(&self, name: &str, visit: &mut dyn FnMut(&str));
}

fn each_pair<K: AsRef<str>, V: AsRef<[u8]>>(
    pairs: &[(K, V)],
    name: &str,
    visit: &mut dyn FnMut(&str),
) {
    let found = pairs
        .iter()
        .filter(|(key, _)| key.as_ref().eq_ignore_ascii_case(name));
    let values = found.filter_map(|(_, value)| str::from_utf8(value.as_ref()).ok());
    values.for_each(visit);
}

impl<K: AsRef<str>, V: AsRef<[u8]>> Headers for Vec<(K, V)> {
    fn each(&self, name: &str, visit: &mut dyn FnMut(&str)) {
        each_pair(self, name, visit);
    }
}

impl<K: AsRef<str>, V: AsRef<[u8]>> Headers for &[(K, V)] {
    fn each(&self, name: &str, visit: &mut dyn FnMut(&str)) {
        each_pair(self, name, visit);
    }
}

impl<K: AsRef<str>, V: AsRef<[u8]>, const N: usize> Headers for [(K, V); N] {
    fn each(&self, name: &str, visit: &mut dyn FnMut(&str)) {
        each_pair(self, name, visit);
    }
}

/// An answer: what came back for one attempt.
///
/// A client that shows no HTTP status, as an exception of a library may do, gives 0. One that shows only a
/// code and a text writes them into a body of the shape `{"error": {"code": …, "message": …}}`.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct Answer<'a> {
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: &'a dyn Headers,
    /// The body; empty if there is none.
    pub body: &'a [u8],
    /// Whether the call may be sent again although it may have been carried out. Default: yes. If not,
    /// failures that leave that open are [`Class::DeliveryUnknown`](crate::Class::DeliveryUnknown).
    pub repeatable: bool,
}

impl<'a> Answer<'a> {
    /// An answer to a call that may be repeated.
    pub fn new(status: u16, headers: &'a dyn Headers, body: &'a [u8]) -> Answer<'a> {
        Answer {
            status,
            headers,
            body,
            repeatable: true,
        }
    }

    /// The same answer to a call that may, or may not, be sent again; see
    /// [`Endpoint::repeatable`](crate::Endpoint::repeatable).
    #[must_use]
    pub fn repeatable(mut self, repeatable: bool) -> Answer<'a> {
        self.repeatable = repeatable;
        self
    }
}

/// An answer with its body looked through once.
pub(crate) struct View<'a> {
    pub(crate) status: u16,
    pub(crate) headers: &'a dyn Headers,
    pub(crate) body: Body<'a>,
}

/// A value in an answer.
pub(crate) enum Found<'a> {
    Header(&'a str),
    Json(&'a RawValue),
    Count(u64),
}

impl View<'_> {
    /// Shows each value at the source to `visit`.
    pub(crate) fn each(&self, source: &Source, visit: &mut dyn FnMut(Found<'_>)) {
        match source {
            Source::Header(name) => {
                self.headers
                    .each(name, &mut |value| visit(Found::Header(value)));
            }
            Source::Body(path) => self.body.each(path, &mut |value| visit(Found::Json(value))),
            Source::Count(path) => {
                let mut count = None;
                self.body.each(path, &mut |value| {
                    let items = serde_json::from_str::<Vec<&RawValue>>(value.get());
                    count = count.or(items.ok().map(|items| items.len() as u64));
                });
                if let Some(count) = count {
                    visit(Found::Count(count));
                }
            }
        }
    }

    /// The first thing that `read` makes of the texts at the sources, in their order.
    pub(crate) fn find<'s, T>(
        &self,
        sources: impl IntoIterator<Item = &'s Source>,
        mut read: impl FnMut(&str) -> Option<T>,
    ) -> Option<T> {
        sources.into_iter().find_map(|source| {
            let mut first = None;
            self.each(source, &mut |found| {
                if first.is_none() {
                    first = found.text().and_then(|text| read(&text));
                }
            });
            first
        })
    }
}

impl Found<'_> {
    /// The value as text; objects, lists and `null` have none.
    pub(crate) fn text(&self) -> Option<Cow<'_, str>> {
        match self {
            Found::Header(value) => Some((*value).into()),
            Found::Json(value) => body::text(value),
            Found::Count(count) => Some(count.to_string().into()),
        }
    }

    /// Whether there is a value, though it may be an empty one.
    pub(crate) fn is_there(&self) -> bool {
        match self {
            Found::Json(value) => value.get().trim() != "null",
            Found::Header(_) | Found::Count(_) => true,
        }
    }

    pub(crate) fn is_something(&self) -> bool {
        match self {
            Found::Header(value) => !value.trim().is_empty(),
            Found::Json(value) => body::is_something(value),
            Found::Count(count) => *count > 0,
        }
    }
}

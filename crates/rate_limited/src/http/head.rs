//! What is needed of the head of an answer.

use std::time::{Duration, SystemTime};

use rate_limited_apis::{Headers, Moment, wait_in_headers};
use reqwest::header::{HeaderMap, HeaderValue, LOCATION};
use reqwest::{Response, Url};

use super::text::one_line;

/// The longest head, in bytes of names and values, with a few for each field. The layers below read a head of
/// HTTP/1.1 as a whole, and stop only at about 400 kB; those of HTTP/2 stop here by themselves.
pub(super) const HEAD_BYTES_MAX: u32 = 64 << 10;
/// What HTTP/1.1 has around a name and its value: `: ` and the end of the line.
const FIELD_BYTES: usize = 4;
const REQUEST_ID_CHARS: usize = 128;
const REQUEST_ID_NAMES: &[&str] = &["x-request-id", "request-id", "apim-request-id"];

/// The head of an answer, as far as it matters.
pub(super) struct Head {
    pub(super) status: u16,
    pub(super) request_id: Option<String>,
    pub(super) wait: Option<Duration>,
    pub(super) headers: Fields,
    /// When it came.
    pub(super) came: Moment,
    pub(super) location: Option<String>,
    /// The address that answered, the last one after redirects.
    pub(super) url: Url,
}

impl Head {
    /// The head, whose fields are taken out of the response.
    pub(super) fn of(response: &mut Response, now: SystemTime) -> Head {
        let headers = Fields::new(std::mem::take(response.headers_mut()));
        let came = Moment::from(now);
        let mut names = REQUEST_ID_NAMES.iter();
        Head {
            status: response.status().as_u16(),
            request_id: names.find_map(|name| headers.text(name, REQUEST_ID_CHARS)),
            wait: wait_in_headers(&headers, came),
            location: headers.text(LOCATION.as_str(), usize::MAX),
            headers,
            came,
            url: response.url().clone(),
        }
    }

    /// Whether it is larger than any honest one.
    pub(super) fn is_too_large(&self) -> bool {
        let fields = self.headers.map.iter();
        let bytes = fields.map(|(name, value)| name.as_str().len() + value.len() + FIELD_BYTES);
        bytes.sum::<usize>() > HEAD_BYTES_MAX as usize
    }

    pub(super) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    pub(super) fn is_redirect(&self) -> bool {
        (300..400).contains(&self.status)
    }
}

/// Header fields, for whoever reads them by name.
pub(super) struct Fields {
    map: HeaderMap,
    /// Which lengths the names have, one bit each: most names that are asked for are not there.
    lengths: u64,
}

impl Fields {
    fn new(map: HeaderMap) -> Fields {
        let lengths = map.keys().map(|name| length_bit(name.as_str()));
        Fields {
            lengths: lengths.fold(0, |all, bit| all | bit),
            map,
        }
    }

    /// The field as one line of at most so many characters, if there is one that is text.
    fn text(&self, name: &str, chars_max: usize) -> Option<String> {
        let text = self.values(name).next()?.to_str().ok()?;
        Some(one_line(text, chars_max)).filter(|text| !text.is_empty())
    }

    fn values<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a HeaderValue> {
        let may_be_there = self.lengths & length_bit(name) != 0;
        let values = may_be_there.then(|| self.map.get_all(name).into_iter());
        values.into_iter().flatten()
    }
}

fn length_bit(name: &str) -> u64 {
    1 << (name.len() % 64)
}

impl Headers for Fields {
    fn each(&self, name: &str, visit: &mut dyn FnMut(&str)) {
        let texts = self
            .values(name)
            .filter_map(|value| str::from_utf8(value.as_bytes()).ok());
        texts.for_each(visit);
    }
}

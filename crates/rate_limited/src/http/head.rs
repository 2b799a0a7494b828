//! What is needed of the head of an answer.

use std::time::{Duration, SystemTime};

use rate_limited_apis::{Headers, Moment, wait_in_headers};
use reqwest::header::{HeaderMap, LOCATION};
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
    pub(super) fn of(response: &Response, now: SystemTime) -> Head {
        let headers = response.headers();
        let (fields, came) = (Fields(headers.clone()), Moment::from(now));
        Head {
            status: response.status().as_u16(),
            request_id: REQUEST_ID_NAMES
                .iter()
                .find_map(|name| text_of(headers, name)),
            wait: wait_in_headers(&fields, came),
            headers: fields,
            came,
            location: text_of(headers, LOCATION.as_str()),
            url: response.url().clone(),
        }
    }

    /// Whether it is larger than any honest one.
    pub(super) fn is_too_large(&self) -> bool {
        let fields = self.headers.0.iter();
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
pub(super) struct Fields(HeaderMap);

impl Headers for Fields {
    fn each(&self, name: &str, visit: &mut dyn FnMut(&str)) {
        let values = self.0.get_all(name).iter();
        let texts = values.filter_map(|value| str::from_utf8(value.as_bytes()).ok());
        texts.for_each(visit);
    }
}

fn text_of(headers: &HeaderMap, name: &str) -> Option<String> {
    let text = headers.get(name)?.to_str().ok()?;
    let limit = if name == LOCATION.as_str() {
        usize::MAX
    } else {
        REQUEST_ID_CHARS
    };
    Some(one_line(text, limit)).filter(|text| !text.is_empty())
}

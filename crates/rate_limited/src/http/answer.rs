//! What a server answered.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;

use rate_limited_apis::{Reading, Unit};
use rate_limited_core::Amount;

/// This much is kept of a failed answer that is no JSON.
const EXCERPT_BYTES: usize = 2048;

/// What a server answered: a good answer, or the last one behind an [`HttpError`](super::HttpError).
///
/// `Debug` shows the length of the body, not the body.
#[derive(Clone)]
#[non_exhaustive]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The server's name for this exchange (`x-request-id` and kin), of at most 128 printable
    /// characters.
    pub request_id: Option<String>,
    /// The body, decompressed, at most as long as the cap. Keys of the client are masked in it.
    pub body: Bytes,
    /// How long the server asks to wait, from its headers or, in an error, from its text; at most 400
    /// days. A zero is kept here, but no class carries it.
    pub retry_after: Option<Duration>,
    /// How the API's resources stand, as far as the answer tells; `resource` is the name that the API's
    /// description has for it.
    pub readings: Vec<Reading<'static>>,
    /// What the answer says was used, by unit. Only good answers say.
    pub used: Vec<(Unit, Amount)>,
    /// What the answer was charged for, by the API's resources that are not charged by estimate. Only good
    /// answers say.
    pub charges: Vec<(&'static str, Amount)>,
    /// The model that the answer names. Only good answers name one; whether it is the one that was asked for,
    /// [`is_same_model`](super::is_same_model) tells.
    pub model: Option<String>,
    /// Fields about limits that are there and cannot be read, such as `header:x-ratelimit-reset-requests`: worth
    /// one warning.
    pub unreadable: Vec<String>,
}

impl Answer {
    /// The tokens that the answer says it used, rounded up; `None` where it says nothing, or nonsense.
    ///
    /// ```
    /// # async fn run(client: rate_limited::http::Client) -> Result<(), rate_limited::http::HttpError> {
    /// let answer = client.post("/v1/embeddings", r#"{"model": "m", "input": "hi"}"#.into()).await?;
    /// if let Some(tokens) = answer.usage() {
    ///     println!("{tokens} tokens");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn usage(&self) -> Option<u64> {
        let tokens = self.used.iter().find(|(unit, _)| *unit == Unit::Tokens);
        tokens.map(|(_, amount)| amount.as_micros().max(0).unsigned_abs().div_ceil(1_000_000))
    }

    /// The answer as an error keeps it: JSON whole, all else as an excerpt, so that a page of HTML
    /// behind each of many failures does not fill the memory.
    pub(super) fn kept(mut self) -> Answer {
        let is_json = serde_json::from_slice::<serde::de::IgnoredAny>(&self.body).is_ok();
        if !is_json && self.body.len() > EXCERPT_BYTES {
            // A slice would keep the whole body alive.
            self.body = Bytes::copy_from_slice(&self.body[..EXCERPT_BYTES]);
        }
        self
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer")
            .field("status", &self.status)
            .field("request_id", &self.request_id)
            .field("body", &format_args!("{} bytes", self.body.len()))
            .field("retry_after", &self.retry_after)
            .field("readings", &self.readings)
            .field("used", &self.used)
            .field("charges", &self.charges)
            .field("model", &self.model)
            .field("unreadable", &self.unreadable)
            .finish()
    }
}

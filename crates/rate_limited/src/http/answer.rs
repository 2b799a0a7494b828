//! What a server answered.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;

use super::api_error::{Shape, shape_of};
use super::usage;

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
}

impl Answer {
    /// The tokens that the answer says it used: `usage.total_tokens`, else the sum of its prompt or
    /// input and its completion or output tokens. `None` where it says nothing, or nonsense: a
    /// negative number, a string, more than 2⁵³.
    ///
    /// It reads the body at each call, without building a tree of it.
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
        usage::total_tokens(&self.body)
    }

    /// The answer as an error keeps it: JSON whole, all else as an excerpt, so that a page of HTML
    /// behind each of many failures does not fill the memory.
    pub(super) fn kept(mut self) -> Answer {
        let is_json = !matches!(shape_of(&self.body), Shape::Bad(_));
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
            .finish()
    }
}

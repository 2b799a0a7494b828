//! Why an attempt brought no good answer.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use rate_limited_core::{Class, ResourceId};

use super::{Answer, Unit};

type Source = Box<dyn Error + Send + Sync>;

/// Why an attempt brought no good answer, and what that means for the call and for the run.
///
/// `Display` is one line without secrets, such as
/// `HTTP 429 rate_limit_exceeded: Rate limit reached for … (request req_1)`.
///
/// ```
/// use rate_limited::http::Client;
/// use rate_limited_core::Class;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let client = Client::builder("http://127.0.0.1:1").proxy_from_env(false).build()?;
/// let error = client.post("/v1/embeddings", "{}".into()).await.unwrap_err();
/// assert_eq!((error.class(), error.code()), (Class::NotSent, "connection"));
/// assert!(error.to_string().starts_with("connection: failed to connect to http://127.0.0.1:1: "));
/// # Ok(())
/// # }
/// ```
pub struct HttpError(Box<Inner>);

struct Inner {
    class: Class,
    code: String,
    message: String,
    unit: Option<Unit>,
    resource: Option<&'static str>,
    out_of_files: bool,
    unknown: bool,
    answer: Option<Answer>,
    source: Option<Source>,
}

impl HttpError {
    pub(super) fn new(class: Class, code: impl Into<String>, message: impl Into<String>) -> Self {
        HttpError(Box::new(Inner {
            class,
            code: code.into(),
            message: message.into(),
            unit: None,
            resource: None,
            out_of_files: false,
            unknown: false,
            answer: None,
            source: None,
        }))
    }

    pub(super) fn with_resource(mut self, resource: Option<(&'static str, Unit)>) -> Self {
        self.0.resource = resource.map(|(name, _)| name);
        self.0.unit = resource.map(|(_, unit)| unit);
        self
    }

    pub(super) fn with_answer(mut self, answer: Answer) -> Self {
        self.0.answer = Some(answer.kept());
        self
    }

    pub(super) fn with_source(mut self, source: impl Into<Source>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// The request left, and no whole answer came.
    pub(super) fn unknown(mut self) -> Self {
        self.0.unknown = true;
        self
    }

    pub(super) fn with_out_of_files(mut self, out_of_files: bool) -> Self {
        self.0.out_of_files = out_of_files;
        self
    }

    /// What the failure means for the call and for the run. A refusal names no resource; see
    /// [`class_with`](HttpError::class_with).
    pub fn class(&self) -> Class {
        self.0.class
    }

    /// The class, with the resource of a refusal filled in from the unit that the answer names.
    ///
    /// ```
    /// use rate_limited::http::{HttpError, Unit};
    /// use rate_limited_core::{Class, ResourceId};
    ///
    /// fn class_of(error: &HttpError, requests: ResourceId, tokens: ResourceId) -> Class {
    ///     error.class_with(|unit| match unit {
    ///         Unit::Requests => Some(requests),
    ///         Unit::Tokens => Some(tokens),
    ///         _ => None,
    ///     })
    /// }
    /// ```
    pub fn class_with(&self, resource_of: impl FnOnce(Unit) -> Option<ResourceId>) -> Class {
        match self.0.class {
            Class::Refused {
                resource: None,
                retry_after,
            } => Class::Refused {
                resource: self.0.unit.and_then(resource_of),
                retry_after,
            },
            class => class,
        }
    }

    /// The API's own code (`error.code`, else `error.type`) where it sent one, else one of `timeout`,
    /// `connection`, `too_large`, `http_status`, `redirect`, `bad_answer` and `bad_path`.
    pub fn code(&self) -> &str {
        &self.0.code
    }

    /// What went wrong, in one line without secrets.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// What a refusal says there was too much of.
    pub fn unit(&self) -> Option<Unit> {
        self.0.unit
    }

    /// The resource that a refusal speaks of, by the name that the API's description has for it.
    pub fn resource(&self) -> Option<&'static str> {
        self.0.resource
    }

    /// The answer, if one came. Its body is whole where it is JSON, else its first 2048 bytes.
    pub fn answer(&self) -> Option<&Answer> {
        self.0.answer.as_ref()
    }

    /// The answer by value, for a driver that hands it on.
    pub fn into_answer(self) -> Option<Answer> {
        self.0.answer
    }

    /// How long the server asks to wait, whatever the class is.
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.answer.as_ref()?.retry_after
    }

    /// Whether the request left and no whole answer to it came, so that it cannot be known whether the server
    /// did what it asks: the connection broke or fell silent. A call that must not be done twice is not to be
    /// sent again then, unless the API recognises it ([`Client::post_once`](super::Client::post_once)).
    ///
    /// ```
    /// use rate_limited::http::Client;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let client = Client::builder("http://127.0.0.1:1").proxy_from_env(false).build()?;
    /// let error = client.post("/v1/charges", "{}".into()).await.unwrap_err();
    /// assert!(!error.is_unknown()); // Nobody listens at port 1.
    /// # Ok(())
    /// # }
    /// ```
    pub fn is_unknown(&self) -> bool {
        self.0.unknown
    }

    /// Whether this process, or this machine, has no file descriptor left for a connection: a sign to
    /// have fewer attempts in flight.
    pub fn is_out_of_files(&self) -> bool {
        self.0.out_of_files
    }
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner {
            code,
            message,
            answer,
            ..
        } = &*self.0;
        let Some(answer) = answer else {
            return write!(f, "{code}: {message}");
        };
        write!(f, "HTTP {} {code}: {message}", answer.status)?;
        match &answer.request_id {
            Some(id) => write!(f, " (request {id})"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The source is left out: layers below may print what this one hides.
        f.debug_struct("HttpError")
            .field("class", &self.0.class)
            .field("code", &self.0.code)
            .field("message", &self.0.message)
            .field("unit", &self.0.unit)
            .field("answer", &self.0.answer)
            .finish_non_exhaustive()
    }
}

impl Error for HttpError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source.as_ref().map(|source| &**source as _)
    }
}

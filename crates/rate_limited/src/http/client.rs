//! Makes one attempt after the other, many at a time.

use std::fmt;
use std::future::pending;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use rate_limited_core::Class;
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::{Method, Response, Url};

use super::body::Reading;
use super::connections::Connections;
use super::endpoint::Endpoint;
use super::head::Head;
use super::judge::Judge;
use super::outgoing::Departure;
use super::redirect::{self, REDIRECTS_MAX};
use super::secrets::Secrets;
use super::transport::Transport;
use super::{Answer, Api, ClientBuilder, HttpError, Key, body};

/// A client of one API, fit for thousands of attempts in flight. A clone is cheap and shares the
/// connections.
///
/// ```
/// use rate_limited::http::{Client, Key};
///
/// let client = Client::builder("https://api.example.com/v1")
///     .key(Key::new("sk-example-123456")?)
///     .build()?;
/// assert!(!format!("{client:?}").contains("sk-example"));
/// # Ok::<(), rate_limited::http::BuildError>(())
/// ```
#[derive(Clone)]
pub struct Client(Arc<Inner>);

pub(super) struct Inner {
    pub(super) http: reqwest::Client,
    pub(super) endpoint: Endpoint,
    pub(super) transport: Transport,
    pub(super) secrets: Secrets,
    pub(super) connections: Connections,
    pub(super) first_byte_timeout: Option<Duration>,
    pub(super) reading: Reading,
    pub(super) http2: bool,
    /// The parameter of the query that carries the key, if one does.
    pub(super) query_key: Option<(String, Key)>,
    /// The kind of the bodies that are sent.
    pub(super) content_type: HeaderValue,
    pub(super) api: &'static Api,
}

/// What is sent, beside the path.
struct Sending {
    method: Method,
    body: Bytes,
    idempotency_key: Option<HeaderValue>,
}

impl Client {
    /// A builder of a client for the API at `base_url`, such as `https://api.example.com/v1`. What is
    /// wrong with the URL is told by [`ClientBuilder::build`].
    pub fn builder(base_url: impl Into<String>) -> ClientBuilder {
        ClientBuilder::new(base_url.into())
    }

    pub(super) fn new(inner: Inner) -> Client {
        Client(Arc::new(inner))
    }

    /// Sends one POST with a JSON body, and reads its answer. It never tries twice, and has no limit on
    /// the total time: drop the future to give up, which closes the connection.
    ///
    /// The path is joined to the base URL; where both have a version, as in `https://host/v1` and
    /// `/v1/chat/completions`, that of the base counts, once. A query is kept.
    ///
    /// # Errors
    ///
    /// All but a good answer. [`HttpError::class`] says what to do:
    ///
    /// | what came | class |
    /// |---|---|
    /// | no connection: refused, DNS, TLS handshake, connect time-out, no file descriptor left | `NotSent` |
    /// | a stream of HTTP/2 that the server refused unread | `NotSent` |
    /// | a certificate that is not trusted | `Fatal` |
    /// | a connection that broke or fell silent later; a 2xx that is not what the API answers | `Failure` |
    /// | 3xx, a body above the cap, a bad path | `Permanent` |
    /// | everything else | what the API's description says: `rate-limited apis NAME` shows it |
    ///
    /// ```
    /// use rate_limited::http::Client;
    /// use rate_limited_core::Class;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let client = Client::builder("http://127.0.0.1:1").proxy_from_env(false).build()?;
    /// let error = client.post("https://elsewhere/", "{}".into()).await.unwrap_err();
    /// assert_eq!((error.class(), error.code()), (Class::Permanent, "bad_path"));
    /// # Ok(())
    /// # }
    /// ```
    pub async fn post(&self, path: &str, body: Bytes) -> Result<Answer, HttpError> {
        self.exchange(path, Sending::post(body, None)).await
    }

    /// As [`post`](Client::post), with a key by which the API recognises a call that is sent again, where
    /// its description names a header for that (`idempotency_header`); elsewhere it is not sent.
    ///
    /// Give the same key for each attempt of a call, and another one for each call.
    ///
    /// # Errors
    ///
    /// As [`post`](Client::post); a key that no header can carry is `Permanent`, as `bad_idempotency_key`.
    ///
    /// ```
    /// use rate_limited::http::{Api, Client};
    ///
    /// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
    /// let stripe = Client::builder("https://api.stripe.com").api(Api::named("stripe")?).build()?;
    /// let answer = stripe.post_once("/v1/charges", "{}".into(), "order-17").await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn post_once(
        &self,
        path: &str,
        body: Bytes,
        idempotency_key: &str,
    ) -> Result<Answer, HttpError> {
        let value = HeaderValue::from_str(idempotency_key).map_err(|_| {
            let message = "the idempotency key has a character that no header can carry";
            HttpError::new(Class::Permanent, "bad_idempotency_key", message.to_owned())
        })?;
        self.exchange(path, Sending::post(body, Some(value))).await
    }

    /// Sends one GET, and reads its answer. All else is as with [`post`](Client::post); of redirects to the
    /// same origin those are followed, too, that would change another method.
    ///
    /// A GET only reads, so that it may be sent again whatever became of it.
    ///
    /// # Errors
    ///
    /// As [`post`](Client::post).
    ///
    /// ```
    /// use rate_limited::http::{Api, Client};
    ///
    /// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
    /// let github = Client::builder("https://api.github.com").api(Api::named("github")?).build()?;
    /// let answer = github.get("/repos/rust-lang/rust/issues?per_page=100&page=2").await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn get(&self, path: &str) -> Result<Answer, HttpError> {
        self.exchange(path, Sending::get()).await
    }

    /// The most attempts that may have a connection at once, once this process or machine ran out of file
    /// descriptors; `None` as long as it did not.
    ///
    /// An attempt for whose connection there is no descriptor fails only if the client has no other one under
    /// way. Else it waits until one of those ends, and from then on so does any that would be one more than
    /// there is room for: fewer are in flight, and the run goes on. The bound rises again, little by little.
    ///
    /// ```
    /// use rate_limited::http::Client;
    ///
    /// let client = Client::builder("https://api.example.com").build()?;
    /// assert_eq!(client.connections_max(), None);
    /// # Ok::<(), rate_limited::http::BuildError>(())
    /// ```
    pub fn connections_max(&self) -> Option<usize> {
        self.0.connections.most()
    }

    /// Whether the API recognises a call of [`post_once`](Client::post_once) that is sent again, so that it is
    /// not done twice: whether its description names a header for that.
    ///
    /// ```
    /// use rate_limited::http::{Api, Client};
    ///
    /// let stripe = Client::builder("https://api.stripe.com").api(Api::named("stripe")?).build()?;
    /// assert!(stripe.recognises_calls());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn recognises_calls(&self) -> bool {
        self.0.api.idempotency_header.is_some()
    }

    async fn exchange(&self, path: &str, sending: Sending) -> Result<Answer, HttpError> {
        let inner = &*self.0;
        let mut url = inner.endpoint.join(path).map_err(|reason| {
            let message = format!("the path is not usable: {reason}");
            HttpError::new(Class::Permanent, "bad_path", message)
        })?;
        if let Some((name, key)) = &inner.query_key {
            url.query_pairs_mut().append_pair(name, key.reveal());
        }
        let departure = Departure::new(inner.http2);
        loop {
            let held = inner.connections.enter().await;
            let answer = inner.follow(url.clone(), &sending, &departure).await;
            match &answer {
                Err(error) if error.is_out_of_files() && held.has_to_wait() => {}
                _ => return answer,
            }
        }
    }
}

impl Sending {
    fn post(body: Bytes, idempotency_key: Option<HeaderValue>) -> Sending {
        Sending {
            method: Method::POST,
            body,
            idempotency_key,
        }
    }

    fn get() -> Sending {
        Sending {
            method: Method::GET,
            body: Bytes::new(),
            idempotency_key: None,
        }
    }
}

impl Inner {
    /// Sends, and goes after redirects, to the answer.
    async fn follow(
        &self,
        mut url: Url,
        sending: &Sending,
        departure: &Departure,
    ) -> Result<Answer, HttpError> {
        let mut redirects_left = REDIRECTS_MAX;
        loop {
            let mut response = self.send(url, sending, departure).await?;
            let head = Head::of(&mut response, SystemTime::now());
            if head.is_too_large() {
                return Err(self.transport.too_large_a_head(head.status));
            }
            match redirect::next(&head, &sending.method) {
                Some(next) if redirects_left > 0 => url = next,
                _ => {
                    let body = body::read(response, &self.reading).await;
                    return self.judge(&sending.method).judge(&head, body);
                }
            }
            redirects_left -= 1;
        }
    }

    async fn send(
        &self,
        url: Url,
        sending: &Sending,
        departure: &Departure,
    ) -> Result<Response, HttpError> {
        let Sending {
            method,
            body,
            idempotency_key,
        } = sending;
        let request = self.http.request(method.clone(), url);
        let mut request = request.body(departure.of(body.clone()));
        if !body.is_empty() {
            request = request.header(CONTENT_TYPE, self.content_type.clone());
        }
        let known_by = self.api.idempotency_header.as_deref();
        if let Some((name, value)) = known_by.zip(idempotency_key.as_ref()) {
            request = request.header(name, value.clone());
        }
        let late = async {
            let Some(limit) = self.first_byte_timeout else {
                return pending().await;
            };
            departure.left().await;
            tokio::time::sleep(limit).await;
            limit
        };
        tokio::select! {
            biased;
            response = request.send() => response
                .map_err(|error| self.transport.failed(error, departure, &self.secrets)),
            limit = late => Err(self.transport.late(limit)),
        }
    }

    fn judge<'a>(&'a self, method: &'a Method) -> Judge<'a> {
        let Inner {
            secrets,
            transport,
            reading,
            api,
            ..
        } = self;
        Judge {
            method,
            api,
            secrets,
            transport,
            body_bytes_max: reading.bytes_max,
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("origin", &self.0.transport.origin)
            .field("body_bytes_max", &self.0.reading.bytes_max)
            .finish_non_exhaustive()
    }
}

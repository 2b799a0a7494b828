//! Builds a client.

use std::fmt;
use std::time::Duration;

use reqwest::header::{
    ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, USER_AGENT,
};
use reqwest::redirect::Policy;

use super::body::Reading;
use super::client::Inner;
use super::connections::Connections;
use super::endpoint::Endpoint;
use super::head::HEAD_BYTES_MAX;
use super::secrets::Secrets;
use super::transport::{self, Transport};
use super::{Api, Client, Key, tls};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Above the 60 to 100 s after which common proxies cut a silent answer themselves.
const IDLE_TIMEOUT: Duration = Duration::from_secs(120);
/// A slow model on a small machine writes more; over the idle time-out it makes 1.2 kB.
const MIN_SPEED: u32 = 10;
const BODY_BYTES_MAX: usize = 64 << 20;
/// Below the 5 s after which common servers close an idle connection, so that a request is seldom
/// written into one that is just being closed.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(4);
const TCP_KEEPALIVE: Duration = Duration::from_secs(30);
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const PRODUCT: &str = concat!("rate-limited/", env!("CARGO_PKG_VERSION"));

/// Builds a [`Client`].
///
/// ```
/// use std::time::Duration;
/// use rate_limited::http::{Client, Key};
///
/// let client = Client::builder("https://api.example.com/v1")
///     .key(Key::new("sk-example-123456")?)
///     .header("x-project", "demo")
///     .connect_timeout(Duration::from_secs(5))
///     .body_bytes_max(1 << 20)
///     .build()?;
/// # Ok::<(), rate_limited::http::BuildError>(())
/// ```
#[must_use = "nothing happens before `build`"]
pub struct ClientBuilder {
    base_url: String,
    key: Option<Key>,
    headers: Vec<(String, String)>,
    secret_headers: Vec<(String, Key)>,
    roots_pem: Vec<u8>,
    connect_timeout: Duration,
    first_byte_timeout: Option<Duration>,
    idle_timeout: Duration,
    min_speed: u32,
    body_bytes_max: usize,
    http2: bool,
    proxy_from_env: bool,
    api: Option<&'static Api>,
    #[cfg(test)]
    resolver: Option<super::resolving::Resolver>,
}

/// Why no client could be built.
///
/// ```
/// use rate_limited::http::Client;
///
/// let error = Client::builder("localhost:8080").build().unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "the base URL is not usable: it must begin with http:// or https://, not with localhost:",
/// );
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The base URL is not usable.
    #[error("the base URL is not usable: {reason}")]
    BaseUrl {
        /// What is wrong, without the URL itself.
        reason: String,
    },
    /// The key is not usable.
    #[error("the key is not usable: {reason}")]
    Key {
        /// What is wrong, without the key itself.
        reason: &'static str,
    },
    /// An extra header is not usable.
    #[error("the header {name:?} is not usable: {reason}")]
    Header {
        /// The name of the header.
        name: String,
        /// What is wrong, without the value itself.
        reason: &'static str,
    },
    /// TLS cannot be set up.
    #[error("failed to set up TLS: {reason}")]
    Tls {
        /// What is wrong.
        reason: String,
    },
    /// A time-out is zero.
    #[error(
        "the {name} time-out is zero: every attempt would fail; give it some time, or leave it out"
    )]
    TimeOut {
        /// Which one: `connect`, `first-byte` or `idle`.
        name: &'static str,
    },
    /// The layers below cannot be set up.
    #[error("failed to set up HTTP")]
    Http(#[source] reqwest::Error),
}

impl ClientBuilder {
    pub(super) fn new(base_url: String) -> ClientBuilder {
        ClientBuilder {
            base_url,
            key: None,
            headers: Vec::new(),
            secret_headers: Vec::new(),
            roots_pem: Vec::new(),
            connect_timeout: CONNECT_TIMEOUT,
            first_byte_timeout: None,
            idle_timeout: IDLE_TIMEOUT,
            min_speed: MIN_SPEED,
            body_bytes_max: BODY_BYTES_MAX,
            http2: false,
            proxy_from_env: true,
            api: None,
            #[cfg(test)]
            resolver: None,
        }
    }

    /// The API, which says what answers mean, how the key is sent, and which headers it asks for. Default:
    /// that of `openai`, whose form many servers have.
    ///
    /// ```
    /// use rate_limited::http::{Api, Client};
    ///
    /// let api = Api::named("anthropic")?;
    /// let client = Client::builder("https://api.anthropic.com").api(api).build()?;
    /// # let _ = client;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn api(mut self, api: &'static Api) -> Self {
        self.api = Some(api);
        self
    }

    /// The key, sent as the API has it: `Authorization: Bearer …` for most. Default: none.
    pub fn key(mut self, key: Key) -> Self {
        self.key = Some(key);
        self
    }

    /// One more header of every request; one of the client's own is replaced. For secrets there is
    /// [`secret_header`](ClientBuilder::secret_header). Default: none.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// One more header whose value is a secret, such as the `api-key` of Azure. Default: none.
    pub fn secret_header(mut self, name: impl Into<String>, value: Key) -> Self {
        self.secret_headers.push((name.into(), value));
        self
    }

    /// Root certificates in PEM that are trusted besides those of the system, for a server of one's
    /// own. Default: none.
    ///
    /// Where a system has no roots at all, Mozilla's are taken, unless `SSL_CERT_FILE` or
    /// `SSL_CERT_DIR` is set.
    pub fn root_certificates(mut self, pem: impl AsRef<[u8]>) -> Self {
        self.roots_pem.extend_from_slice(pem.as_ref());
        self.roots_pem.push(b'\n');
        self
    }

    /// How long to wait for a connection, the look-up of its name and TLS included. Default: 10 s.
    pub fn connect_timeout(mut self, limit: Duration) -> Self {
        self.connect_timeout = limit;
        self
    }

    /// How long to wait from the moment the request leaves until the head of the answer is there, whole;
    /// interim answers (1xx) do not count. Default: none, for a model may think for minutes; the time-out of
    /// the attempt covers it.
    ///
    /// ```
    /// use std::time::Duration;
    /// use rate_limited::http::Client;
    ///
    /// let client = Client::builder("https://api.example.com/v1")
    ///     .connect_timeout(Duration::from_secs(5))
    ///     .first_byte_timeout(Duration::from_secs(60))
    ///     .idle_timeout(Duration::from_secs(30))
    ///     .build()?;
    /// # let _ = client;
    /// let error = Client::builder("https://api.example.com").idle_timeout(Duration::ZERO).build();
    /// assert_eq!(
    ///     error.unwrap_err().to_string(),
    ///     "the idle time-out is zero: every attempt would fail; give it some time, or leave it out",
    /// );
    /// # Ok::<(), rate_limited::http::BuildError>(())
    /// ```
    pub fn first_byte_timeout(mut self, limit: Duration) -> Self {
        self.first_byte_timeout = Some(limit);
        self
    }

    /// How long the server may be silent between two pieces of the body of its answer. Default: 120 s,
    /// which is more than common proxies let pass.
    ///
    /// A server that goes on to send a byte now and then is ended by
    /// [`min_speed`](ClientBuilder::min_speed).
    pub fn idle_timeout(mut self, limit: Duration) -> Self {
        self.idle_timeout = limit;
        self
    }

    /// The fewest bytes a second, after decompression, that the body of an answer has to bring on average over
    /// the idle time-out; a slower one is given up, and the attempt fails as by a time-out. 0: none. Default: 10,
    /// which is 1.2 kB in 120 s.
    ///
    /// It keeps a server that drips a byte a second from holding a connection, and a call, for the whole
    /// time-out of the attempt. Blanks before the first other byte do not count: some servers send them while a
    /// call waits for its turn. Neither does the head.
    ///
    /// ```
    /// use rate_limited::http::Client;
    ///
    /// let client = Client::builder("http://localhost:8080").min_speed(0).build()?;
    /// # Ok::<(), rate_limited::http::BuildError>(())
    /// ```
    pub fn min_speed(mut self, bytes_per_second: u32) -> Self {
        self.min_speed = bytes_per_second;
        self
    }

    /// The length of an answer, in bytes after decompression, beyond which it is cut off and the call
    /// fails. Default: 64 MiB.
    ///
    /// Of the body of an error no more than 1 MiB is read. A head of more than 100 headers or 64 kB is
    /// refused, too.
    pub fn body_bytes_max(mut self, bytes: usize) -> Self {
        self.body_bytes_max = bytes;
        self
    }

    /// Whether to offer HTTP/2 to servers with TLS. Default: no.
    ///
    /// All requests then share one connection, which many servers limit to about 100 at a time: over
    /// HTTP/1.1 each attempt has a connection of its own. A stream that the server refuses before it looked
    /// at it (`REFUSED_STREAM`, or a `GOAWAY` without an error) counts as not sent.
    pub fn http2(mut self, offered: bool) -> Self {
        self.http2 = offered;
        self
    }

    /// Whether the proxies named in the environment (`HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`,
    /// `NO_PROXY`) are used. Default: yes.
    pub fn proxy_from_env(mut self, used: bool) -> Self {
        self.proxy_from_env = used;
        self
    }

    /// Builds the client. Nothing is sent yet.
    ///
    /// # Errors
    ///
    /// A [`BuildError`] that says what is not usable.
    pub fn build(self) -> Result<Client, BuildError> {
        let endpoint = Endpoint::new(&self.base_url);
        let endpoint = endpoint.map_err(|reason| BuildError::BaseUrl { reason })?;
        self.check_timeouts()?;
        let mut headers = self.header_map()?;
        // What has no body has no kind of one.
        let content_type = headers.remove(CONTENT_TYPE);
        let of_proxies = if self.proxy_from_env {
            transport::proxy_secrets()
        } else {
            Vec::new()
        };
        let secret_values = self.secret_headers.iter().map(|(_, value)| value);
        Ok(Client::new(Inner {
            http: self.http(&endpoint, headers)?,
            transport: Transport::new(endpoint.origin(), self.proxy_from_env),
            endpoint,
            secrets: Secrets::new(self.key.iter().chain(secret_values).chain(&of_proxies)),
            connections: Connections::default(),
            first_byte_timeout: self.first_byte_timeout,
            reading: Reading {
                bytes_max: self.body_bytes_max,
                idle_timeout: self.idle_timeout,
                min_speed: self.min_speed,
            },
            http2: self.http2,
            query_key: self.query_key(),
            content_type: content_type.unwrap_or(JSON),
            api: self.api.unwrap_or_else(openai),
        }))
    }

    fn check_timeouts(&self) -> Result<(), BuildError> {
        let told = [
            ("connect", Some(self.connect_timeout)),
            ("first-byte", self.first_byte_timeout),
            ("idle", Some(self.idle_timeout)),
        ];
        match told.iter().find(|it| it.1 == Some(Duration::ZERO)) {
            Some(&(name, _)) => Err(BuildError::TimeOut { name }),
            None => Ok(()),
        }
    }

    fn http(&self, endpoint: &Endpoint, headers: HeaderMap) -> Result<reqwest::Client, BuildError> {
        let roots = match self.roots_pem.as_slice() {
            [] => Vec::new(),
            pem => tls::roots_of(pem)?,
        };
        let mut builder = reqwest::Client::builder()
            .tls_backend_preconfigured(tls::config(roots, self.http2, endpoint.needs_tls())?)
            .default_headers(headers)
            .redirect(Policy::none())
            .referer(false)
            .connect_timeout(self.connect_timeout)
            .pool_idle_timeout(POOL_IDLE_TIMEOUT)
            .pool_max_idle_per_host(usize::MAX)
            .http2_max_header_list_size(HEAD_BYTES_MAX)
            .tcp_nodelay(true)
            .tcp_keepalive(TCP_KEEPALIVE);
        if !self.http2 {
            builder = builder.http1_only();
        }
        if !self.proxy_from_env {
            builder = builder.no_proxy();
        }
        #[cfg(test)]
        if let Some(resolver) = self.resolver.clone() {
            builder = builder.dns_resolver(resolver);
        }
        builder
            .build()
            .map_err(|error| BuildError::Http(error.without_url()))
    }

    /// Looks up names in this way instead of the system's.
    #[cfg(test)]
    pub(super) fn resolver(mut self, resolver: super::resolving::Resolver) -> Self {
        self.resolver = Some(resolver);
        self
    }

    /// The header that carries the key, and what stands before it there.
    fn key_header(&self) -> Option<(&str, &str)> {
        match self.api.and_then(|api| api.auth.as_ref()) {
            Some(auth) => Some((auth.header.as_deref()?, &auth.prefix)),
            None => Some((AUTHORIZATION.as_str(), "Bearer ")),
        }
    }

    /// The parameter of the query that carries the key, and the key.
    fn query_key(&self) -> Option<(String, Key)> {
        let auth = self.api.and_then(|api| api.auth.as_ref())?;
        Some((auth.query.clone()?, self.key.clone()?))
    }

    fn header_map(&self) -> Result<HeaderMap, BuildError> {
        let mut map = HeaderMap::new();
        map.insert(USER_AGENT, HeaderValue::from_static(PRODUCT));
        map.insert(ACCEPT, JSON);
        map.insert(CONTENT_TYPE, JSON);
        let asked = self.api.iter().flat_map(|api| &api.headers);
        let asked = asked.filter_map(|header| Some((&header.name, header.value.as_ref()?)));
        for (name, value) in asked {
            let value = HeaderValue::from_str(value).map_err(|_| bad_value(name))?;
            map.insert(header_name(name)?, value);
        }
        if let (Some(key), Some((name, prefix))) = (&self.key, self.key_header()) {
            let value = key.header(prefix).ok_or_else(|| bad_value(name))?;
            map.insert(header_name(name)?, value);
        }
        for (name, value) in &self.headers {
            let value = HeaderValue::from_str(value).map_err(|_| bad_value(name))?;
            map.insert(header_name(name)?, value);
        }
        for (name, value) in &self.secret_headers {
            let value = value.header("").ok_or_else(|| bad_value(name))?;
            map.insert(header_name(name)?, value);
        }
        Ok(map)
    }
}

fn openai() -> &'static Api {
    Api::named("openai").expect("it is built in")
}

fn header_name(name: &str) -> Result<HeaderName, BuildError> {
    let name_of = |reason| BuildError::Header {
        name: name.to_owned(),
        reason,
    };
    let parsed = HeaderName::try_from(name);
    let parsed = parsed.map_err(|_| name_of("its name has a character that no name may have"))?;
    // The layers below set these themselves; a second value would break every request.
    match parsed.as_str() {
        "host" | "content-length" | "transfer-encoding" | "connection" | "accept-encoding" => {
            Err(name_of("it is set by the client itself"))
        }
        _ => Ok(parsed),
    }
}

fn bad_value(name: &str) -> BuildError {
    let reason = "its value has a character that no value may have";
    BuildError::Header {
        name: name.to_owned(),
        reason,
    }
}

impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The URL and the values of headers may hold secrets.
        f.debug_struct("ClientBuilder")
            .field("connect_timeout", &self.connect_timeout)
            .field("first_byte_timeout", &self.first_byte_timeout)
            .field("idle_timeout", &self.idle_timeout)
            .field("min_speed", &self.min_speed)
            .field("body_bytes_max", &self.body_bytes_max)
            .field("http2", &self.http2)
            .field("proxy_from_env", &self.proxy_from_env)
            .finish_non_exhaustive()
    }
}

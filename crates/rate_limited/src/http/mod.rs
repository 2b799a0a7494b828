//! An executor for JSON APIs over HTTP: one request out, one [`Answer`] or one classified
//! [`HttpError`] back.
//!
//! It makes exactly one attempt. It never retries or paces, and waits only where no file descriptor is left for
//! a connection ([`Client::connections_max`]); the [`Class`] in each error tells the machine what to do, and
//! [`HttpError::is_unknown`] whether the server may have done what was asked. What an answer means is told by the description of its [`Api`]; without one it
//! is taken for that of an OpenAI-compatible server.
//!
//! ```text
//! post(path, body), get(path) ─ endpoint ─ reqwest ─ body (capped) ─ secrets (masked) ─ judge ─ Answer
//!                                  │          │          │                                └──── HttpError { class, code, … }
//!                                  └──────────┴──────────┴─ what broke on the way ───────────── HttpError
//! ```
//!
//! Inside a runner it says when the request really leaves ([`sent`](crate::sent)): neither the wait for a
//! connection nor the handshake of TLS counts against the quota's window.
//!
//! What it promises, whatever the server does: it never panics, keeps no more than the cap of a body,
//! shows no key and no part of a URL that may hold one, never sends the key to another origin, and
//! stops at once when its future is dropped.
//!
//! ```
//! use rate_limited::http::{Client, Key};
//! use rate_limited_core::Class;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::builder("http://127.0.0.1:1/v1")
//!     .key(Key::new("sk-example-123456")?)
//!     .proxy_from_env(false)
//!     .build()?;
//! let error = client.post("/v1/chat/completions", "{}".into()).await.unwrap_err();
//! assert_eq!(error.class(), Class::NotSent); // Nobody listens at port 1.
//! # Ok(())
//! # }
//! ```
//!
//! [`Class`]: rate_limited_core::Class

mod answer;
mod body;
mod builder;
mod client;
mod connections;
mod endpoint;
mod error;
mod head;
mod judge;
mod key;
mod outgoing;
mod redirect;
mod secrets;
mod text;
mod tls;
mod transport;

pub use answer::Answer;
pub use builder::{BuildError, ClientBuilder};
pub use client::Client;
pub use error::HttpError;
pub use key::Key;
pub use rate_limited_apis::{
    Api, DescriptionError, Means, Reading, Unit, UnknownApi, is_same_model,
};

#[cfg(test)]
mod never_panics;
#[cfg(test)]
mod resolving;

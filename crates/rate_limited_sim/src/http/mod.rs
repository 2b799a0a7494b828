//! The judge behind an HTTP server, in real time and on loopback only.
//!
//! It speaks like `OpenAI`, or like the API that a [`Dialect`] names.
//!
//! | request | answer |
//! |---|---|
//! | `POST …/chat/completions`, `…/completions`, `…/responses` | words, and the tokens they used; with `response_format` `json_object` as `{"answer": words}` |
//! | `POST …/embeddings` | eight numbers for each input |
//! | what else the dialect knows: `…/messages`, any `GET`, … | the same in its words |
//! | `GET /stats` | what the server saw: [`Stats`] as JSON, and the optimum in seconds |
//!
//! A call is known by the hash of its body, or of its path where it has none: accepted again, it is
//! the next attempt of the same call, so latency, failures and answers do not depend on the order of sending. A prompt has
//! one token for each four characters. An answer has between a tenth and all of `max_tokens` (or
//! `max_completion_tokens`; 256 where both are missing), drawn from the seed.

mod accounts;
mod body;
mod clock;
mod dialect;
mod limits;
mod routes;
mod shape;
mod shared;
mod text;

pub use accounts::Account;
pub use dialect::{Dialect, UnknownDialect};

use crate::limit::{Anchor, Kind};
use crate::model::ApiModel;
use crate::stats::Stats;
use accounts::Accounts;
use axum::serve::ListenerExt;
use shared::Shared;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Connections that may wait to be accepted: a client may well open thousands at once.
const BACKLOG: u32 = 4_096;

/// How long a connection may keep a shutdown waiting.
const PATIENCE: Duration = Duration::from_secs(2);

/// A running server. Dropped, it stops as [`Server::shutdown`] does, without being waited for.
///
/// ```
/// use rate_limited_sim::{ApiModel, Limit, http::Server};
/// use std::time::Duration;
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let model = ApiModel::new(7).limit(Limit::requests(500, Duration::from_secs(60)));
/// let server = Server::start(model, ([127, 0, 0, 1], 0).into())?;
/// let base_url = format!("http://{}/v1", server.addr());
/// assert!(base_url.starts_with("http://127.0.0.1:"));
/// assert_eq!(server.stats().arrivals, 0);
/// server.shutdown().await;
/// # Ok::<(), std::io::Error>(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
pub struct Server {
    addr: SocketAddr,
    accounts: Arc<Accounts>,
    closing: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Server {
    /// Starts to listen on `addr`, whose port 0 is any free one, on the current tokio runtime.
    ///
    /// # Errors
    /// An address that is not loopback is refused: whoever reaches the server can use it. Outside
    /// of a runtime, and where the port is taken, it fails as well.
    pub fn start(model: ApiModel, addr: SocketAddr) -> io::Result<Server> {
        Server::start_as(Dialect::default(), model, addr)
    }

    /// As [`start`](Server::start), speaking like another API.
    ///
    /// # Errors
    /// As [`start`](Server::start).
    ///
    /// ```
    /// use rate_limited_sim::{ApiModel, http::{Dialect, Server}};
    /// use std::time::Duration;
    ///
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let github: Dialect = "github".parse().unwrap();
    /// let limit = github.limit("primary", 5_000, Duration::from_secs(3_600)).unwrap();
    /// let model = ApiModel::new(7).limit(limit);
    /// let server = Server::start_as(github, model, ([127, 0, 0, 1], 0).into())?;
    /// server.shutdown().await;
    /// # Ok::<(), std::io::Error>(())
    /// # }).unwrap();
    /// ```
    pub fn start_as(dialect: Dialect, model: ApiModel, addr: SocketAddr) -> io::Result<Server> {
        Server::start_fast(dialect, model, addr, 1.0)
    }

    /// As [`start_as`](Server::start_as), with a clock that runs `speed` times as fast as the world's:
    /// minutes of the model are over sooner, and `Retry-After` and the headers are in seconds of that
    /// clock. For clients whose own clock is as fast.
    ///
    /// # Errors
    /// As [`start`](Server::start); a speed that is not above 0 is refused as well.
    pub fn start_fast(
        dialect: Dialect,
        model: ApiModel,
        addr: SocketAddr,
        speed: f64,
    ) -> io::Result<Server> {
        if !(speed > 0.0 && speed.is_finite()) {
            let complaint = format!("the speed of the clock is {speed}: give a number above 0");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, complaint));
        }
        let keys = Vec::new();
        Server::start_with(dialect, vec![Account { keys, model }], addr, speed)
    }

    /// As [`start`](Server::start), for several accounts with limits of their own. Whoever sends no key of one of
    /// them is answered with 401.
    ///
    /// # Errors
    /// As [`start`](Server::start); and without any account.
    pub fn start_for(accounts: Vec<Account>, addr: SocketAddr) -> io::Result<Server> {
        if accounts.is_empty() {
            let complaint = "a simulated api of no account: give it one";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, complaint));
        }
        Server::start_with(Dialect::default(), accounts, addr, 1.0)
    }

    fn start_with(
        dialect: Dialect,
        accounts: Vec<Account>,
        addr: SocketAddr,
        speed: f64,
    ) -> io::Result<Server> {
        let runtime = tokio::runtime::Handle::try_current().map_err(io::Error::other)?;
        let listener = listen(addr)?;
        let addr = listener.local_addr()?;
        let (closing, closed) = watch::channel(false);
        let shared = |Account { keys, model }| {
            let shared = Shared::new(dialect, aligned_to_clock(model), speed, closed.clone());
            (keys, Arc::new(shared))
        };
        let accounts = Arc::new(Accounts::new(accounts.into_iter().map(shared).collect()));
        let task = runtime.spawn(serve(listener, Arc::clone(&accounts), closed));
        Ok(Server {
            addr,
            accounts,
            closing,
            task,
        })
    }

    /// From now on a key is answered with 401.
    pub fn revoke(&self, key: &str) {
        self.accounts.revoke(key);
    }

    /// What the server saw of each account so far, in their order.
    pub fn account_stats(&self) -> Vec<Stats> {
        let places = 0..self.accounts.len();
        places
            .map(|place| self.accounts.get(place).stats())
            .collect()
    }

    /// The address with the port that was taken.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// What the server saw so far; of several accounts, that of the first.
    pub fn stats(&self) -> Stats {
        self.accounts.get(0).stats()
    }

    /// The shortest time in which any client could have done the work that was charged so far: see
    /// [`optimum`](crate::optimum()).
    pub fn optimum(&self) -> Duration {
        self.accounts.get(0).optimum()
    }

    /// Changes the quota of a limit from now on; see [`SimulatedApi::set_quota`](crate::SimulatedApi::set_quota).
    pub fn set_quota(&self, limit: &str, quota: u64) {
        self.accounts.get(0).set_quota(limit, quota);
    }

    /// Stops: requests in flight are answered with 503 at once, and the port is free at the end.
    pub async fn shutdown(mut self) {
        self.closing.send_replace(true);
        if tokio::time::timeout(PATIENCE, &mut self.task)
            .await
            .is_err()
        {
            self.task.abort();
        }
    }
}

fn listen(addr: SocketAddr) -> io::Result<TcpListener> {
    if !addr.ip().is_loopback() {
        let complaint = format!(
            "the simulated api listens on loopback only, not on {}: give 127.0.0.1 or [::1]",
            addr.ip()
        );
        return Err(io::Error::new(io::ErrorKind::InvalidInput, complaint));
    }
    let socket = if addr.is_ipv4() {
        TcpSocket::new_v4()
    } else {
        TcpSocket::new_v6()
    }?;
    socket.set_reuseaddr(true)?;
    socket.bind(addr)?;
    socket.listen(BACKLOG)
}

async fn serve(listener: TcpListener, accounts: Arc<Accounts>, mut closed: watch::Receiver<bool>) {
    // Small answers must not wait for the acknowledgement of the one before. A socket that does
    // not know the option is slower and works.
    let listener = listener.tap_io(|stream| {
        let _ = stream.set_nodelay(true);
    });
    let closing = async move {
        // A server that was dropped is closed too.
        let _ = closed.wait_for(|closed| *closed).await;
    };
    // axum retries failed accepts by itself and never returns an error.
    let _ = axum::serve(listener, routes::router(accounts))
        .with_graceful_shutdown(closing)
        .await;
}

/// Puts aligned windows on the clock: the server's time begins now, its clock in 1970.
fn aligned_to_clock(mut model: ApiModel) -> ApiModel {
    let unix = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    for limit in &mut model.limits {
        if limit.kind == Kind::Fixed(Anchor::Aligned) {
            let window = limit.window.as_nanos();
            let first = window - unix.as_nanos() % window;
            let first = Duration::from_nanos(u64::try_from(first).unwrap_or(u64::MAX));
            limit.kind = Kind::Fixed(Anchor::At(first));
        }
    }
    model
}

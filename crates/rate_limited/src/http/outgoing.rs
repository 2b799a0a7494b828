//! The body of a request, which tells when it leaves.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::sync::Notify;

use crate::sent::{self, Signal};

/// Whether the request of this attempt has left.
///
/// Over HTTP/1.1 the body is asked for, and an empty one whether it has ended, only once there is a
/// connection, and before the first byte of the head is written to it. So a request whose body was never
/// asked has not left.
pub(super) struct Departure(Arc<State>);

struct State {
    may_have_left: AtomicBool,
    left: Notify,
    signal: Option<Signal>,
}

impl Departure {
    /// The departure of the attempt that this code runs in. Over HTTP/2 the head goes out before the
    /// body: such requests count as having left at once.
    pub(super) fn new(http2: bool) -> Departure {
        let signal = if http2 { None } else { sent::defer() };
        Departure(Arc::new(State {
            may_have_left: AtomicBool::new(http2),
            left: Notify::new(),
            signal,
        }))
    }

    pub(super) fn may_have_left(&self) -> bool {
        self.0.may_have_left.load(Ordering::Acquire)
    }

    /// Waits until the request leaves.
    pub(super) async fn left(&self) {
        while !self.may_have_left() {
            self.0.left.notified().await;
        }
    }

    /// A body to send, which tells of its departure.
    pub(super) fn of(&self, body: Bytes) -> reqwest::Body {
        reqwest::Body::wrap(Outgoing {
            body: Some(body).filter(|body| !body.is_empty()),
            state: Arc::clone(&self.0),
        })
    }
}

impl State {
    fn leaves(&self) {
        self.may_have_left.store(true, Ordering::Release);
        // One waits for it; if it does not yet, it will find this.
        self.left.notify_one();
        if let Some(signal) = &self.signal {
            signal.sent();
        }
    }
}

struct Outgoing {
    body: Option<Bytes>,
    state: Arc<State>,
}

impl http_body::Body for Outgoing {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.state.leaves();
        Poll::Ready(self.body.take().map(|body| Ok(Frame::data(body))))
    }

    fn is_end_stream(&self) -> bool {
        let ended = self.body.is_none();
        if ended {
            self.state.leaves();
        }
        ended
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.body.as_ref().map_or(0, |body| body.len() as u64))
    }
}

#[cfg(test)]
mod tests {
    use std::future::{Future, poll_fn};
    use std::pin::pin;
    use std::time::Duration;

    use tokio::net::TcpListener;

    use super::*;
    use crate::http::{Client, HttpError};

    /// Sends as a runner would, and says whether the request was said to have left.
    async fn send(url: String, has_body: bool) -> (bool, Option<HttpError>) {
        let told = Arc::new(AtomicBool::new(false));
        let tell = Arc::clone(&told);
        let signal = Signal::new(move || tell.store(true, Ordering::Release));
        let client = Client::builder(url).proxy_from_env(false).build().unwrap();
        let mut sending = pin!(async {
            if has_body {
                client.post("/", "{}".into()).await
            } else {
                client.get("/").await
            }
        });
        let patience = Duration::from_millis(200);
        let attempt = poll_fn(|cx| sent::during(&signal, || sending.as_mut().poll(cx)));
        let result = tokio::time::timeout(patience, attempt).await;
        (
            told.load(Ordering::Acquire),
            result.ok().and_then(Result::err),
        )
    }

    #[tokio::test]
    async fn it_leaves_once_there_is_a_connection() {
        for has_body in [true, false] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = format!("http://{}", listener.local_addr().unwrap());
            assert!(send(url.clone(), has_body).await.0);
            // This one speaks TLS, and gets no answer to its handshake.
            assert!(!send(url.replace("http:", "https:"), has_body).await.0);
            drop(listener);
            let (told, error) = send(url, has_body).await;
            assert!(!told && error.is_some());
        }
    }
}

//! The body of a request, which tells when it leaves.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use crate::sent::{self, Signal};

/// Whether the request of this attempt has left.
///
/// Over HTTP/1.1 the body is asked for only once there is a connection, and before the first byte of the
/// head is written to it. So a request whose body was never asked for has not left.
pub(super) struct Departure(Arc<State>);

struct State {
    may_have_left: AtomicBool,
    signal: Option<Signal>,
}

impl Departure {
    /// The departure of the attempt that this code runs in. Over HTTP/2 the head goes out before the
    /// body, and an empty body may never be asked for: such requests count as having left at once.
    pub(super) fn new(body: &Bytes, http2: bool) -> Departure {
        let at_once = http2 || body.is_empty();
        let signal = if at_once { None } else { sent::defer() };
        Departure(Arc::new(State {
            may_have_left: AtomicBool::new(at_once),
            signal,
        }))
    }

    pub(super) fn may_have_left(&self) -> bool {
        self.0.may_have_left.load(Ordering::Acquire)
    }

    /// A body to send, which tells of its departure.
    pub(super) fn of(&self, body: Bytes) -> reqwest::Body {
        reqwest::Body::wrap(Outgoing {
            body: Some(body),
            state: Arc::clone(&self.0),
        })
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
        self.state.may_have_left.store(true, Ordering::Release);
        if let Some(signal) = &self.state.signal {
            signal.sent();
        }
        Poll::Ready(self.body.take().map(|body| Ok(Frame::data(body))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_none()
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

    /// Posts as a runner would, and says whether the request was said to have left.
    async fn post(url: String) -> (bool, Option<HttpError>) {
        let told = Arc::new(AtomicBool::new(false));
        let tell = Arc::clone(&told);
        let signal = Signal::new(move || tell.store(true, Ordering::Release));
        let client = Client::builder(url).proxy_from_env(false).build().unwrap();
        let mut post = pin!(client.post("/", "{}".into()));
        let patience = Duration::from_millis(200);
        let attempt = poll_fn(|cx| sent::during(&signal, || post.as_mut().poll(cx)));
        let result = tokio::time::timeout(patience, attempt).await;
        (
            told.load(Ordering::Acquire),
            result.ok().and_then(Result::err),
        )
    }

    #[tokio::test]
    async fn it_leaves_once_there_is_a_connection() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        assert!(post(url.clone()).await.0);
        // This one speaks TLS, and gets no answer to its handshake.
        assert!(!post(url.replace("http:", "https:")).await.0);
        drop(listener);
        let (told, error) = post(url).await;
        assert!(!told && error.is_some());
    }
}

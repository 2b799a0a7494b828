//! A run in the background that takes calls one by one.

use crate::error::RunError;
use crate::handle::{Handle, lock};
use crate::inputs::{Inputs, Submission, Submitted};
use crate::result::{CallResult, SharedError};
use crate::runner::Summary;
use rate_limited_core::Stop;
use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, OnceLock};
use tokio::sync::mpsc::{Sender, UnboundedSender, channel, unbounded_channel};
use tokio::sync::oneshot;

/// How many requests may lie between callers and the run.
const BACKLOG: usize = 1_024;

/// A run in the background that takes calls one by one: [`Runner::start`](crate::Runner::start). Cheap to clone.
pub struct Running<Req, Resp> {
    requests: Sender<Submission<Req>>,
    replies: Replies<Resp>,
    handle: Handle,
}

/// Who waits for which call.
pub(crate) struct Replies<Resp>(Arc<Shared<Resp>>);

struct Shared<Resp> {
    waiting: Mutex<HashMap<u64, oneshot::Sender<CallResult<Resp>>>>,
    forgotten: UnboundedSender<u64>,
    end: OnceLock<Result<Option<Stop>, SharedError>>,
}

/// The run's side: tells the results, and dropped, that there will be no more.
pub(crate) struct Teller<Resp>(Replies<Resp>);

impl<Req, Resp> Running<Req, Resp>
where
    Req: Send + 'static,
    Resp: Send + 'static,
{
    pub(crate) fn new(handle: Handle) -> (Self, Inputs<Req>, Teller<Resp>) {
        let (requests, receiver) = channel(BACKLOG);
        let (forgotten, told) = unbounded_channel();
        let replies = Replies(Arc::new(Shared {
            waiting: Mutex::default(),
            forgotten,
            end: OnceLock::new(),
        }));
        let inputs = Inputs::submitted(Submitted {
            requests: receiver,
            forgotten: told,
            next: 0,
        });
        let running = Running {
            requests,
            replies: replies.clone(),
            handle,
        };
        (running, inputs, Teller(replies))
    }

    /// What a call comes to: retries, validation and limits are the runner's. Nothing is sent before the future
    /// is polled; it waits, too, while more requests are on their way than the run looks ahead.
    ///
    /// A call that can never fit has that error. Where the run has [stopped](Running::stopped), the result
    /// is not [`finished`](CallResult::finished).
    ///
    /// Dropping the future forgets the call: if it waits it is never sent, and if it is in flight its task is
    /// dropped and its quota counts as used. With a journal it goes on, and its result is recorded.
    pub fn submit(
        &self,
        request: Req,
    ) -> impl Future<Output = CallResult<Resp>> + Send + 'static + use<Req, Resp> {
        let (requests, handle) = (self.requests.clone(), self.handle.clone());
        let replies = self.replies.clone();
        async move {
            let (reply, receiver) = oneshot::channel();
            let number = Arc::new(OnceLock::new());
            let noted = Arc::clone(&number);
            let mut waiting = Waiting {
                receiver,
                number,
                replies: replies.clone(),
                handle,
                is_over: false,
            };
            let note = Box::new(move |index| replies.note(index, reply, &noted));
            let submission = Submission { request, note };
            let sent = requests.send(submission).await;
            // A future that waits for its result does not keep the run going.
            drop(requests);
            if sent.is_err() {
                return CallResult::unfinished();
            }
            let result = (&mut waiting.receiver).await;
            waiting.is_over = true;
            result.unwrap_or_else(|_| CallResult::unfinished())
        }
    }

    /// A hand on the run: to stop it, and to look at it.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Why the run has stopped; `None` while it goes on.
    pub fn stopped(&self) -> Option<Stop> {
        self.replies.0.end.get()?.as_ref().ok().copied().flatten()
    }

    /// The error that has ended the run, such as one of its journal; `None` while it goes on.
    pub fn error(&self) -> Option<SharedError> {
        self.replies.0.end.get()?.as_ref().err().cloned()
    }
}

impl<Req, Resp> Clone for Running<Req, Resp> {
    fn clone(&self) -> Self {
        Running {
            requests: self.requests.clone(),
            replies: self.replies.clone(),
            handle: self.handle.clone(),
        }
    }
}

impl<Req, Resp> fmt::Debug for Running<Req, Resp> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Running")
    }
}

impl<Resp> Replies<Resp> {
    /// Takes down who waits for the call of this number; false if nobody does.
    fn note(
        &self,
        index: u64,
        reply: oneshot::Sender<CallResult<Resp>>,
        number: &OnceLock<u64>,
    ) -> bool {
        if reply.is_closed() {
            return false;
        }
        lock(&self.0.waiting).insert(index, reply);
        let _ = number.set(index);
        // Whoever went away meanwhile did not know the number.
        let mut waiting = lock(&self.0.waiting);
        if waiting.get(&index).is_some_and(oneshot::Sender::is_closed) {
            waiting.remove(&index);
            let _ = self.0.forgotten.send(index);
        }
        true
    }
}

impl<Resp> Teller<Resp> {
    pub(crate) fn tell(&self, index: u64, result: CallResult<Resp>) {
        if let Some(reply) = lock(&self.0.0.waiting).remove(&index) {
            // Whoever went away does not want it.
            let _ = reply.send(result);
        }
    }

    /// The run is over.
    pub(crate) fn end(self, end: Result<Summary, RunError>) {
        let end = end.map(|summary| summary.stop);
        let end =
            end.map_err(|error| SharedError::from(Box::<dyn Error + Send + Sync>::from(error)));
        let _ = self.0.0.end.set(end);
    }
}

impl<Resp> Drop for Teller<Resp> {
    /// Nobody who still waits gets a result, also where the runtime of the run is shut down.
    fn drop(&mut self) {
        lock(&self.0.0.waiting).clear();
    }
}

impl<Resp> Clone for Replies<Resp> {
    fn clone(&self) -> Self {
        Replies(Arc::clone(&self.0))
    }
}

/// One who waits; dropped before his result is there, his call is forgotten.
struct Waiting<Resp> {
    receiver: oneshot::Receiver<CallResult<Resp>>,
    number: Arc<OnceLock<u64>>,
    replies: Replies<Resp>,
    handle: Handle,
    is_over: bool,
}

impl<Resp> Drop for Waiting<Resp> {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        self.receiver.close();
        if let Some(index) = self.number.get() {
            lock(&self.replies.0.waiting).remove(index);
            let _ = self.replies.0.forgotten.send(*index);
            self.handle.bell().wake();
        }
    }
}

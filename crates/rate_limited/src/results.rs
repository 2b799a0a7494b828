//! The results of a run, one by one, in the order of scheduling.

use crate::error::RunError;
use crate::runner::{Finished, Summary};
use std::collections::BTreeMap;
use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;

/// The results of a run in the background, in the order of scheduling: [`Runner::stream`](crate::Runner::stream).
///
/// With the feature `stream` it is a `futures_core::Stream`, too. Dropped, it ends the run.
pub struct Results<Req, Resp> {
    finished: UnboundedReceiver<Finished<Req, Resp>>,
    /// Results that came before an earlier one, by their numbers.
    early: BTreeMap<u64, Finished<Req, Resp>>,
    /// The number of the next result.
    next: u64,
    /// From this number on the requests were taken for this stream, each with a permit.
    fed: u64,
    room: Arc<Semaphore>,
    task: Option<JoinHandle<Result<Summary, RunError>>>,
}

type Sink<Req, Resp> = UnboundedSender<Finished<Req, Resp>>;

impl<Req, Resp> Results<Req, Resp> {
    /// The stream from this number on, the permits for its requests, and where results go.
    pub(crate) fn new(
        first: u64,
        fed: u64,
        buffer: usize,
    ) -> (Self, Arc<Semaphore>, Sink<Req, Resp>) {
        let room = buffer.clamp(1, Semaphore::MAX_PERMITS);
        let room = Arc::new(Semaphore::new(room));
        // The permits bound what lies in it.
        let (sink, finished) = unbounded_channel();
        let results = Results {
            finished,
            early: BTreeMap::new(),
            next: first,
            fed,
            room: Arc::clone(&room),
            task: None,
        };
        (results, room, sink)
    }

    pub(crate) fn of(self, task: JoinHandle<Result<Summary, RunError>>) -> Self {
        let mut results = self;
        results.task = Some(task);
        results
    }

    /// The next result; `None` when the run is over. After a run that stopped early, calls that are not over
    /// are left out: [`Finished::index`] tells which a result belongs to.
    pub async fn next(&mut self) -> Option<Finished<Req, Resp>> {
        poll_fn(|context| self.poll_next(context)).await
    }

    /// As [`Results::next`], for futures written by hand.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Finished<Req, Resp>>> {
        loop {
            if let Some(next) = self.early.remove(&self.next) {
                return Poll::Ready(Some(self.deliver(next)));
            }
            match self.finished.poll_recv(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(finished)) => {
                    self.early.insert(finished.index, finished);
                }
                Poll::Ready(None) => {
                    let first = self.early.pop_first();
                    return Poll::Ready(first.map(|(_, finished)| self.deliver(finished)));
                }
            }
        }
    }

    /// How many results wait for an earlier one, as far as they have come in.
    pub fn kept_back(&self) -> usize {
        self.early.len()
    }

    /// How the run ended; waits for it. Results that were not taken are gone.
    ///
    /// # Errors
    /// As [`Runner::run_each`](crate::Runner::run_each); [`RunError::Lost`].
    pub async fn summary(mut self) -> Result<Summary, RunError> {
        while self.next().await.is_some() {}
        let Some(task) = &mut self.task else {
            unreachable!("it is set before anyone sees the stream")
        };
        task.await
            .map_err(|error| RunError::Lost(Arc::new(error)))?
    }

    fn deliver(&mut self, finished: Finished<Req, Resp>) -> Finished<Req, Resp> {
        self.next = finished.index + 1;
        if finished.index >= self.fed {
            self.room.add_permits(1);
        }
        finished
    }
}

/// Nothing in it is ever pinned.
impl<Req, Resp> Unpin for Results<Req, Resp> {}

#[cfg(feature = "stream")]
impl<Req, Resp> futures_core::Stream for Results<Req, Resp> {
    type Item = Finished<Req, Resp>;

    fn poll_next(
        self: std::pin::Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Self::Item>> {
        Results::poll_next(self.get_mut(), context)
    }
}

impl<Req, Resp> Drop for Results<Req, Resp> {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

impl<Req, Resp> fmt::Debug for Results<Req, Resp> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Results")
            .field("next", &self.next)
            .field("kept_back", &self.kept_back())
            .finish_non_exhaustive()
    }
}

//! Where the requests of a run come from.

use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::mpsc::{Receiver, UnboundedReceiver};

/// The requests of a run: an iterator, or the receiving end of a channel.
///
/// They are taken a few thousand in advance, so that a list of any length needs bounded memory.
pub struct Inputs<Req> {
    source: Source<Req>,
    /// One permit for each request that may still be taken before a result is delivered.
    room: Option<Arc<Semaphore>>,
}

enum Source<Req> {
    Ended,
    Iterator(Box<dyn Iterator<Item = Req> + Send>),
    Channel(Receiver<Req>),
    Submitted(Submitted<Req>),
}

/// Requests whose callers wait for the results, one by one.
pub(crate) struct Submitted<Req> {
    pub(crate) requests: Receiver<Submission<Req>>,
    /// The numbers of calls that nobody waits for any more.
    pub(crate) forgotten: UnboundedReceiver<u64>,
    /// The number that the next request gets.
    pub(crate) next: u64,
}

pub(crate) struct Submission<Req> {
    pub(crate) request: Req,
    /// Takes down who waits for the call of this number; false if nobody does.
    pub(crate) note: Box<dyn FnOnce(u64) -> bool + Send>,
}

impl<Req> std::fmt::Debug for Inputs<Req> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Inputs")
    }
}

impl<Req> Inputs<Req> {
    fn of(source: Source<Req>) -> Inputs<Req> {
        Inputs { source, room: None }
    }

    /// No requests but those that were scheduled before.
    pub fn none() -> Inputs<Req> {
        Inputs::of(Source::Ended)
    }

    /// The items of an iterator, which must not block: one that does belongs on a thread that sends
    /// into a channel.
    pub fn iterate<I>(requests: I) -> Inputs<Req>
    where
        I: IntoIterator<Item = Req>,
        I::IntoIter: Send + 'static,
    {
        Inputs::of(Source::Iterator(Box::new(requests.into_iter())))
    }

    /// What comes through a channel, until all its senders are gone.
    pub fn channel(requests: Receiver<Req>) -> Inputs<Req> {
        Inputs::of(Source::Channel(requests))
    }

    pub(crate) fn submitted(requests: Submitted<Req>) -> Inputs<Req> {
        Inputs::of(Source::Submitted(requests))
    }

    /// Takes a permit for each request, and none without.
    pub(crate) fn within(self, room: &Arc<Semaphore>) -> Inputs<Req> {
        Inputs {
            room: Some(Arc::clone(room)),
            ..self
        }
    }

    pub(crate) fn ended(&self) -> bool {
        matches!(self.source, Source::Ended)
    }

    /// The next request, if one is there and may be taken.
    pub(crate) fn ready(&mut self) -> Option<Req> {
        let room = self.room.clone();
        let permit = match &room {
            Some(room) => Some(room.try_acquire().ok()?),
            None => None,
        };
        let request = self.source.ready()?;
        if let Some(permit) = permit {
            permit.forget();
        }
        Some(request)
    }

    /// Waits for a request; for ever where none can come but what [`Inputs::ready`] gives.
    pub(crate) async fn next(&mut self) -> Option<Req> {
        let Some(room) = self.room.clone() else {
            return self.source.next().await;
        };
        // It is never closed.
        let permit = room.acquire().await.ok()?;
        let request = match &mut self.source {
            Source::Iterator(_) => self.source.ready(),
            source => source.next().await,
        };
        if request.is_some() {
            permit.forget();
        }
        request
    }

    /// The number of a call that nobody waits for any more.
    pub(crate) fn forgotten(&mut self) -> Option<u64> {
        match &mut self.source {
            Source::Submitted(submitted) => submitted.forgotten.try_recv().ok(),
            _ => None,
        }
    }
}

impl<Req> Source<Req> {
    fn ready(&mut self) -> Option<Req> {
        let next = match self {
            Source::Ended => None,
            Source::Iterator(iterator) => iterator.next(),
            Source::Channel(channel) => match channel.try_recv() {
                Err(TryRecvError::Empty) => return None,
                received => received.ok(),
            },
            Source::Submitted(submitted) => loop {
                match submitted.requests.try_recv() {
                    Err(TryRecvError::Empty) => return None,
                    Err(TryRecvError::Disconnected) => break None,
                    Ok(submission) => {
                        if let Some(request) = submitted.note(submission) {
                            break Some(request);
                        }
                    }
                }
            },
        };
        if next.is_none() {
            *self = Source::Ended;
        }
        next
    }

    async fn next(&mut self) -> Option<Req> {
        let next = match self {
            Source::Ended | Source::Iterator(_) => return std::future::pending().await,
            Source::Channel(channel) => channel.recv().await,
            Source::Submitted(submitted) => loop {
                let Some(submission) = submitted.requests.recv().await else {
                    break None;
                };
                if let Some(request) = submitted.note(submission) {
                    break Some(request);
                }
            },
        };
        if next.is_none() {
            *self = Source::Ended;
        }
        next
    }
}

impl<Req> Submitted<Req> {
    /// The request, if somebody waits for it.
    fn note(&mut self, submission: Submission<Req>) -> Option<Req> {
        let is_wanted = (submission.note)(self.next);
        self.next += u64::from(is_wanted);
        is_wanted.then_some(submission.request)
    }
}

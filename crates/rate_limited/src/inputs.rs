//! Where the requests of a run come from.

use tokio::sync::mpsc::Receiver;
use tokio::sync::mpsc::error::TryRecvError;

/// The requests of a run: an iterator, or the receiving end of a channel.
///
/// They are taken a few thousand in advance, so that a list of any length needs bounded memory.
pub struct Inputs<Req>(Source<Req>);

enum Source<Req> {
    Ended,
    Iterator(Box<dyn Iterator<Item = Req> + Send>),
    Channel(Receiver<Req>),
}

impl<Req> std::fmt::Debug for Inputs<Req> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Inputs")
    }
}

impl<Req> Inputs<Req> {
    /// No requests but those that were scheduled before.
    pub fn none() -> Inputs<Req> {
        Inputs(Source::Ended)
    }

    /// The items of an iterator, which must not block: one that does belongs on a thread that sends
    /// into a channel.
    pub fn iterate<I>(requests: I) -> Inputs<Req>
    where
        I: IntoIterator<Item = Req>,
        I::IntoIter: Send + 'static,
    {
        Inputs(Source::Iterator(Box::new(requests.into_iter())))
    }

    /// What comes through a channel, until all its senders are gone.
    pub fn channel(requests: Receiver<Req>) -> Inputs<Req> {
        Inputs(Source::Channel(requests))
    }

    pub(crate) fn ended(&self) -> bool {
        matches!(self.0, Source::Ended)
    }

    /// The next request, if one is there.
    pub(crate) fn ready(&mut self) -> Option<Req> {
        let next = match &mut self.0 {
            Source::Ended => None,
            Source::Iterator(iterator) => iterator.next(),
            Source::Channel(channel) => match channel.try_recv() {
                Err(TryRecvError::Empty) => return None,
                received => received.ok(),
            },
        };
        if next.is_none() {
            self.0 = Source::Ended;
        }
        next
    }

    /// Waits for a request; for ever where none can come but what [`Inputs::ready`] gives.
    pub(crate) async fn next(&mut self) -> Option<Req> {
        let Source::Channel(channel) = &mut self.0 else {
            return std::future::pending().await;
        };
        let next = channel.recv().await;
        if next.is_none() {
            self.0 = Source::Ended;
        }
        next
    }
}

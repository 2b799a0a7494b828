//! One attempt: the user's function, run to its end as a task of its own.

use crate::blueprint::Blueprint;
use crate::result::SharedError;
use crate::sent::{self, Signal};
use rate_limited_core::{AttemptId, CallId, Class};
use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::sync::mpsc::UnboundedSender;

/// What an attempt tells the driver.
pub(crate) enum Event<Resp> {
    /// Its request has left.
    Sent(AttemptId),
    /// More of the record is written.
    Recorded,
    /// It is over.
    Finished {
        call: CallId,
        attempt: AttemptId,
        /// The place of the member that it took.
        member: usize,
        /// Whether it left in the same moment: one that never waits has no event of its own for that.
        sent: bool,
        end: End<Resp>,
    },
}

/// What an attempt ended with.
pub(crate) enum End<Resp> {
    Value(Resp),
    Invalid(Resp),
    Error(Class, SharedError),
    Panicked(String),
    /// Its task was dropped: whether it was answered is not known.
    Lost,
}

/// Starts an attempt; it reports by `events`.
pub(crate) fn start<Req, Resp>(
    blueprint: &Arc<Blueprint<Req, Resp>>,
    request: Req,
    ids: (CallId, AttemptId, usize),
    events: UnboundedSender<Event<Resp>>,
) -> tokio::task::AbortHandle
where
    Req: Send + 'static,
    Resp: Send + 'static,
{
    let blueprint = Arc::clone(blueprint);
    let (_, attempt, member) = ids;
    let work = async move {
        match blueprint.call(member, request).await {
            Ok(answer) if blueprint.is_valid(&answer) => End::Value(answer),
            Ok(answer) => End::Invalid(answer),
            Err(error) => End::Error(blueprint.class_of(member, &*error), error),
        }
    };
    let sent = events.clone();
    let signal = Signal::new(move || {
        // A driver that is gone does not need to know.
        let _ = sent.send(Event::Sent(attempt));
    });
    let mut report = Report {
        ids,
        events: Some(events),
    };
    let task = async move {
        // What the work holds is gone before its end is told.
        let (end, sent) = {
            let work = pin!(work);
            Guarded { work, signal }.await
        };
        report.send(end, sent);
    };
    // Whoever starts it is in its span.
    #[cfg(feature = "tracing")]
    let task = tracing::Instrument::in_current_span(task);
    tokio::spawn(task).abort_handle()
}

/// Tells the driver how an attempt ended, once; also if its task is dropped before, as by a runtime that
/// is shut down.
struct Report<Resp> {
    ids: (CallId, AttemptId, usize),
    events: Option<UnboundedSender<Event<Resp>>>,
}

impl<Resp> Report<Resp> {
    fn send(&mut self, end: End<Resp>, sent: bool) {
        let (call, attempt, member) = self.ids;
        if let Some(events) = self.events.take() {
            // A driver that is gone does not need to know.
            let _ = events.send(Event::Finished {
                call,
                attempt,
                member,
                sent,
                end,
            });
        }
    }
}

impl<Resp> Drop for Report<Resp> {
    fn drop(&mut self) {
        self.send(End::Lost, false);
    }
}

/// Turns a panic of the user's code into an end like any other, and tells when the request has left: at the first
/// poll that does not end it, or with the end.
struct Guarded<'a, Work> {
    work: Pin<&'a mut Work>,
    signal: Signal,
}

impl<Resp, Work: Future<Output = End<Resp>>> Future for Guarded<'_, Work> {
    type Output = (End<Resp>, bool);

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<(End<Resp>, bool)> {
        let Guarded { work, signal } = &mut *self;
        let poll = || sent::within(signal, || work.as_mut().poll(context));
        match catch_unwind(AssertUnwindSafe(poll)) {
            Ok(Poll::Pending) => {
                signal.polled();
                Poll::Pending
            }
            Ok(Poll::Ready(end)) => Poll::Ready((end, signal.ends())),
            Err(panic) => Poll::Ready((End::Panicked(message_of(&*panic)), false)),
        }
    }
}

fn message_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("no message").to_owned()
}

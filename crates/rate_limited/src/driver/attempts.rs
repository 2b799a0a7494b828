//! How attempts begin, and how they are given up.

use super::{Driver, call_of, put};
use crate::attempt;
use crate::result::AttemptError;
use rate_limited_core::{Abandoned, AttemptId, CallId, Class, Input, MemberId, Outcome};
use std::panic::{AssertUnwindSafe, catch_unwind};

impl<Req, Resp> Driver<Req, Resp>
where
    Req: Clone + Send + 'static,
    Resp: Send + 'static,
{
    pub(super) fn dispatch(
        &mut self,
        (id, attempt): (CallId, AttemptId),
        number: u32,
        member: Option<MemberId>,
    ) {
        let Some(call) = call_of(&mut self.calls, id) else {
            return;
        };
        call.attempts = number;
        call.member = member.map_or(0, MemberId::index);
        if self.record_dispatch(id, attempt, number) {
            self.start(id, attempt);
        }
    }

    /// Starts an attempt that may leave.
    pub(super) fn start(&mut self, id: CallId, attempt: AttemptId) {
        let Some(call) = call_of(&mut self.calls, id) else {
            return;
        };
        let Ok(request) = catch_unwind(AssertUnwindSafe(|| call.request.clone())) else {
            let message = "cloning the request panicked".to_owned();
            call.errors.push(AttemptError::Panicked(message));
            let outcome = Outcome::new(Class::Permanent);
            return self.input(Input::Finished { attempt, outcome });
        };
        let events = self.events.0.clone();
        let trip = (id, attempt, call.index);
        #[cfg(feature = "tracing")]
        let _span = crate::witness::attempt_span(call.index, call.attempts).entered();
        let before = call.place.as_ref().map_or(0, |place| place.attempts);
        let number = before + call.attempts;
        let ids = (id, attempt, call.member);
        let task = attempt::start(&self.blueprint, request, ids, events);
        self.witness_start(trip, number);
        put(&mut self.tasks, attempt.index(), (attempt, task));
    }

    pub(super) fn abandon(&mut self, id: CallId, attempt: AttemptId, why: Abandoned) {
        let task = self.tasks.get_mut(attempt.index());
        if let Some((_, task)) = task.and_then(|task| task.take_if(|(id, _)| *id == attempt)) {
            task.abort();
        }
        let had_left = !self.abandon_leaving(attempt);
        let Some(call) = call_of(&mut self.calls, id) else {
            return;
        };
        let index = call.index;
        match (why, self.attempt_timeout) {
            (Abandoned::TimedOut, Some(limit)) => call.errors.push(AttemptError::TimedOut(limit)),
            (Abandoned::Halted, _) => call.errors.push(AttemptError::Halted),
            _ => {}
        }
        self.witness_abandon((id, attempt, index), why);
        self.setback(id, "abandoned", had_left && why == Abandoned::Halted);
    }
}

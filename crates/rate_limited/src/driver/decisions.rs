//! The second phase of the loop: what the core says is done.

use super::{BATCH, Call, Driver, Turn, witnessed};
use crate::result::{AttemptError, CallResult};
use crate::runner::Finished;
use rate_limited_core::{CallId, Failure, Output, Time};
use std::sync::Arc;

/// How many decisions of the core are taken before others that share its limiter get at the books.
const DECISIONS: usize = 16;

impl<Req, Resp> Driver<Req, Resp>
where
    Req: Clone + Send + 'static,
    Resp: Send + 'static,
{
    /// Phase two: everything that the core says.
    pub(super) fn act(&mut self, each: &mut (dyn FnMut(Finished<Req, Resp>) + Send)) -> Turn {
        let now = self.clock.now();
        for _ in 0..BATCH / DECISIONS {
            let mut said = std::mem::take(&mut self.said);
            let turn = self.ask(&mut said, now);
            for output in said.drain(..) {
                self.obey(&output, each);
            }
            self.said = said;
            // What was done meanwhile may be a reason not to wait.
            if let Some(turn) = turn.filter(|_| !self.has_news) {
                return turn;
            }
        }
        Turn::More
    }

    /// Asks the core what to do, until there is nothing more or the books have been open for long enough.
    fn ask(&mut self, said: &mut Vec<Output>, now: Time) -> Option<Turn> {
        self.has_news = false;
        let mut limiter = self.account.open_by(self.scheduler.id());
        let mut turn = None;
        while turn.is_none() && said.len() < DECISIONS {
            match self.scheduler.poll(&mut limiter, now) {
                Output::Wait(wait) => turn = Some(Turn::Sleep(wait)),
                Output::Stopped(why) => turn = Some(Turn::Stopped(why)),
                output @ (Output::Dispatch { .. }
                | Output::MemberDropped { .. }
                | Output::Abandon { .. }
                | Output::Done { .. }
                | Output::Failed { .. }) => said.push(output),
                // Idle; or a newer core says what this driver does not know: it waits for an event.
                _ => turn = Some(Turn::Idle),
            }
        }
        drop(limiter);
        self.record_charges();
        turn
    }

    fn obey(&mut self, output: &Output, each: &mut (dyn FnMut(Finished<Req, Resp>) + Send)) {
        match *output {
            Output::Dispatch {
                call,
                attempt,
                number,
                member,
            } => self.dispatch((call, attempt), number, member),
            Output::MemberDropped { .. } => {
                self.handle.show_members(self.scheduler.members());
            }
            Output::Abandon { call, attempt, why } => self.abandon(call, attempt, why),
            Output::Done { call } => self.hand_out(call, None, each),
            Output::Failed { call, why } => self.hand_out(call, Some(why), each),
            // What is no order is no longer here.
            _ => {}
        }
    }

    fn hand_out(
        &mut self,
        id: CallId,
        why: Option<Failure>,
        each: &mut (dyn FnMut(Finished<Req, Resp>) + Send),
    ) {
        let place = self.calls.get_mut(id.index());
        let Some(call) = place.and_then(|place| place.take_if(|call| call.id == id)) else {
            return;
        };
        let Call {
            index,
            request,
            value,
            mut errors,
            attempts,
            place,
            ..
        } = call;
        match why {
            Some(Failure::TimedOut) => errors.push(AttemptError::CallTimedOut),
            Some(Failure::NeverFits(resource)) => {
                let name = self.account.open().name(resource).to_owned();
                let error = std::io::Error::other(format!(
                    "the call costs more of `{name}` than there is left or will ever be"
                ));
                errors.push(AttemptError::NeverFits(Arc::new(error)));
            }
            _ => {}
        }
        let value = value.filter(|_| why.is_none());
        let last = why.map(|_| witnessed::kind(errors.last()));
        let now = self.witness_time();
        self.witness.over((id, index), last, now);
        let result = CallResult {
            value,
            errors,
            attempts,
            finished: true,
        };
        let finished = Finished {
            index,
            request,
            result,
            why,
            restored: false,
        };
        self.tell(place, finished, each);
    }
}

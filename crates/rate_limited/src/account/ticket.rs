//! A place in the line.

use super::{Account, Answer};
use crate::sync::Arc;
use rate_limited_core::{CallId, Cost, ScheduleError};
use std::task::{Poll, Waker};

/// A place in the line; dropped without an answer, it is left, and what was granted meanwhile is given back.
pub(crate) struct Ticket {
    account: Arc<Account>,
    call: CallId,
    is_answered: bool,
}

impl Ticket {
    pub(crate) fn new(account: &Arc<Account>, costs: &[Cost]) -> Result<Ticket, ScheduleError> {
        let call = account.open().ask(costs)?;
        Ok(Ticket {
            account: Arc::clone(account),
            call,
            is_answered: false,
        })
    }

    pub(crate) fn call(&self) -> CallId {
        self.call
    }

    /// The answer, or who is told when there is one. Where nobody looks at the clock for those who wait,
    /// `set_alarm` has to make somebody do so.
    pub(crate) fn poll<E>(
        &mut self,
        waker: &Waker,
        set_alarm: impl FnOnce(&Arc<Account>) -> Result<(), E>,
    ) -> Poll<Result<Answer, E>> {
        let mut books = self.account.open();
        let answer = books.answer(self.call, waker);
        let wants_alarm = answer.is_pending() && books.wants_alarm();
        // Setting it may run foreign code, and end in a look at the books.
        drop(books);
        if let Poll::Ready(answer) = answer {
            self.is_answered = true;
            return Poll::Ready(Ok(answer));
        }
        if wants_alarm && let Err(error) = set_alarm(&self.account) {
            return Poll::Ready(Err(error));
        }
        Poll::Pending
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !self.is_answered {
            self.account.open().give_up(self.call);
        }
    }
}

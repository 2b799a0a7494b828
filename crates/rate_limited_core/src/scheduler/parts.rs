//! Calls whose part of a resource becomes known after they were scheduled: an answer names it.

use super::Scheduler;
use crate::call::State;
use crate::event::{CallId, ResourceId};
use crate::limiter::Limiter;
use crate::time::Time;

impl Scheduler {
    /// From now on a call takes from this part of a resource.
    pub(super) fn takes_part(
        &mut self,
        limiter: &mut Limiter,
        call: CallId,
        (whole, part): (ResourceId, ResourceId),
        now: Time,
    ) {
        let Some(index) = self.calls.find(call) else {
            return;
        };
        let call = self.calls.get_mut(index);
        if !limiter.moves(call.costs.as_mut_slice(), whole, part) {
            return;
        }
        limiter.notes_use(self.id, call.costs.as_slice());
        match call.state {
            State::Waiting => {
                self.queue.note_moved();
                // What was claimed for it is of the former part; it is protected again where it still has to be.
                self.unprotect(limiter, index);
            }
            State::InFlight => {
                let attempt = self.attempts.id(call.attempt);
                if let Some(attempt) = self.attempts.get_mut(attempt) {
                    let sent = attempt.dispatched;
                    limiter.carry_over(&mut attempt.reservation, (whole, part), sent, now);
                }
            }
            State::BackingOff | State::Gone | State::Free => {}
        }
    }
}

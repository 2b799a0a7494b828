//! The call that nothing may delay any more.

use super::Scheduler;
use crate::limiter::Limiter;
use crate::queue::Head;
use crate::settings::Order;
use crate::time::Time;

impl Scheduler {
    /// A call that too many others have overtaken is protected from now on.
    pub(super) fn protect_the_overtaken(&mut self, limiter: &mut Limiter, now: Time) {
        if self.settings.order != Order::Packed || self.protected.is_some() {
            return;
        }
        if let Some(head) = self
            .queue
            .overtaken(self.started, self.settings.overtakes_max)
        {
            self.protect(limiter, head.call, now);
        }
    }

    /// In order, the oldest call is protected as soon as it has to wait.
    pub(super) fn protect_in_order(&mut self, limiter: &mut Limiter, head: Head, now: Time) {
        let in_order = self.settings.order == Order::InOrder && self.protected != Some(head.call);
        if in_order
            && self
                .queue
                .oldest()
                .is_some_and(|oldest| oldest.call == head.call)
        {
            self.protect(limiter, head.call, now);
        }
    }

    pub(super) fn protect(&mut self, limiter: &mut Limiter, call: u32, now: Time) {
        let costs = self.calls.get(call).costs.as_slice();
        let costs = self.pool.claim(limiter, costs, now);
        limiter.claim(self.id, costs);
        (self.protected, self.claims) = (Some(call), true);
    }

    pub(super) fn unprotect(&mut self, limiter: &mut Limiter, call: u32) {
        if self.protected == Some(call) {
            self.protected = None;
            self.drop_claim(limiter);
        }
    }

    pub(super) fn drop_claim(&mut self, limiter: &mut Limiter) {
        if core::mem::take(&mut self.claims) {
            limiter.drop_claim(self.id);
        }
    }

    /// The protected call, if it is worth asking.
    pub(super) fn protected_head(&mut self, limiter: &Limiter, now: Time) -> Option<Head> {
        let protected = self.protected?;
        let head = self.queue.head_of(protected)?;
        (!self.queue.is_blocked(head, limiter, now)).then_some(head)
    }
}

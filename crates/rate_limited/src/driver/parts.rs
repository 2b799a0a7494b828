//! The driver's side of resources whose parts only answers name.

use super::{Driver, call_of};
use crate::attempt::End;
use rate_limited_core::{Amount, CallId, Cost, Input};

impl<Req, Resp> Driver<Req, Resp>
where
    Req: Clone + Send + 'static,
    Resp: Send + 'static,
{
    /// An answer may name the part that its call took from: then that call and those like it take from there.
    pub(super) fn hear_parts(&mut self, id: CallId, end: &End<Resp>) {
        let end = match end {
            End::Value(value) | End::Invalid(value) => Ok(value),
            End::Error(_, error) => Err(&**error),
            End::Panicked(_) | End::Lost => return,
        };
        let call = call_of(&mut self.calls, id);
        if call.is_some_and(|call| self.blueprint.hears_parts(&call.request, end)) {
            self.take_parts_anew();
        }
    }

    /// Lets every call that is not over take from the parts that it belongs to by now.
    fn take_parts_anew(&mut self) {
        let now = self.clock.now();
        let mut limiter = self.account.open_by(self.scheduler.id());
        for call in self.calls.iter().flatten() {
            for (whole, key) in self.blueprint.named_parts(&call.request) {
                let part = if key.is_empty() {
                    whole
                } else {
                    limiter.partition(whole, &key)
                };
                if let Some(records) = &mut self.records {
                    records.know(&limiter, &[Cost::new(part, Amount::ZERO)]);
                }
                let call = call.id;
                let input = Input::Part { call, whole, part };
                self.scheduler.handle(&mut limiter, input, now);
            }
        }
        drop(limiter);
        self.has_news = true;
    }
}

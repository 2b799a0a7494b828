//! What the user changes while a run goes on.

use super::Driver;
use rate_limited_core::Input;

impl<Req, Resp> Driver<Req, Resp>
where
    Req: Clone + Send + 'static,
    Resp: Send + 'static,
{
    /// Takes in what the user has changed.
    pub(super) fn take_wishes(&mut self) {
        let Some(wishes) = self.handle.wishes_since(&self.wishes) else {
            return;
        };
        let former = std::mem::replace(&mut self.wishes, wishes);
        if wishes.is_paused != former.is_paused {
            self.input(if wishes.is_paused {
                Input::Pause
            } else {
                Input::Unpause
            });
        }
        if let Some(max_concurrent) = wishes.max_concurrent
            && wishes.max_concurrent != former.max_concurrent
        {
            self.input(Input::SetMaxConcurrent { max_concurrent });
        }
    }
}

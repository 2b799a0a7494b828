//! What answers tell of the resources, and what is shown of the run.

use super::Driver;
use crate::attempt::End;
use rate_limited_core::{AttemptId, Input, Wait};

impl<Req, Resp> Driver<Req, Resp>
where
    Req: Clone + Send + 'static,
    Resp: Send + 'static,
{
    /// Takes in what an answer or an error tells of the resources; before it, that the request was sent, which
    /// otherwise is given back.
    pub(super) fn hear(
        &mut self,
        (attempt, member): (AttemptId, usize),
        sent: Option<Input>,
        end: &End<Resp>,
    ) -> Option<Input> {
        let told = match end {
            End::Value(value) | End::Invalid(value) => self.blueprint.feedback(member, Ok(value)),
            End::Error(_, error) => self.blueprint.feedback(member, Err(&**error)),
            End::Panicked(_) | End::Lost => Vec::new(),
        };
        if told.is_empty() {
            return sent;
        }
        let told = told
            .into_iter()
            .map(|(resource, feedback)| Input::Feedback {
                resource,
                attempt,
                feedback,
            });
        self.inputs(sent.into_iter().chain(told));
        None
    }

    /// Lets handles see how the run stands.
    pub(super) fn show(&self, wait: Option<Wait>) {
        self.handle.show(self.scheduler.progress(), wait);
        self.handle.show_members(self.scheduler.members());
    }
}

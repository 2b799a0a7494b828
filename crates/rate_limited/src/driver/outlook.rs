//! Copies of a run for those who want to know what it will come to.

use super::Driver;
use crate::outlook::Outlook;

impl<Req, Resp> Driver<Req, Resp> {
    /// The run as it stands.
    pub(crate) fn outlook(&self) -> Outlook {
        let now = self.clock.now();
        Outlook::new(&self.scheduler, &self.account.open(), now)
    }

    /// Hands a copy out if somebody waits for one.
    pub(super) fn show_outlook(&self) {
        if self.handle.wants_outlook() {
            self.handle.show_outlook(self.outlook());
        }
    }
}

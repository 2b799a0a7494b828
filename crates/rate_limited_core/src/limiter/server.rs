//! What the server says of its limits.

use super::Limiter;
use crate::amount::Amount;
use crate::event::ResourceId;
use crate::time::Time;

impl Limiter {
    /// The server names the limit of a resource. One below the user's quota holds at once; one above it never
    /// does, and neither does one of nothing. Less than a hundredth of the user's is taken for that: one
    /// absurd header neither floods nor stops a run.
    ///
    /// ```
    /// use rate_limited_core::{Amount, Limiter, Quota, Resource, Time};
    ///
    /// let now = Time::PROCESS_START;
    /// let mut limiter = Limiter::new(now);
    /// let quota = Quota::per_minute(Amount::units(60));
    /// let requests = limiter.add(Resource::new("requests", quota))?;
    /// limiter.server_limit(requests, Amount::units(20), now);
    /// assert_eq!(limiter.view(requests, now).limit, Some(Amount::units(20)));
    /// limiter.server_limit(requests, Amount::units(1_000), now);
    /// assert_eq!(limiter.view(requests, now).limit, Some(Amount::units(60)));
    /// # Ok::<(), rate_limited_core::QuotaError>(())
    /// ```
    pub fn server_limit(&mut self, resource: ResourceId, limit: Amount, now: Time) {
        let now = self.tick(now);
        if resource.index() < self.ledgers.len() {
            self.change(resource.index(), |ledger| ledger.believe(limit, now));
        }
    }
}

//! The windows that follow a calendar.

use super::Limiter;
use crate::event::ResourceId;
use crate::time::Time;

impl Limiter {
    /// Tells the ends of the current and the next calendar window of a resource: before the first of them comes,
    /// or at the latest before the second, and again when the clock was set. Ends that an answer corrected stay
    /// corrected. Nothing where the quota follows no calendar.
    ///
    /// ```
    /// use rate_limited_core::{Amount, Anchor, Limiter, Quota, Resource, Time};
    /// use std::time::Duration;
    ///
    /// let at = |hours: u64| Time::PROCESS_START + Duration::from_secs(hours * 3_600);
    /// let mut limiter = Limiter::new(at(20));
    /// let requests = limiter.add(Resource::new("requests", Quota::FixedWindow {
    ///     amount: Amount::units(1_000),
    ///     window: Duration::from_secs(86_400),
    ///     anchor: Anchor::Calendar { start: at(0), end: at(24), next: at(48) },
    /// }))?;
    /// limiter.boundary(requests, at(48), at(71), at(24));
    /// assert_eq!(limiter.view(requests, at(24)).resource.quota().boundary(), Some((at(48), at(71))));
    /// # Ok::<(), rate_limited_core::QuotaError>(())
    /// ```
    pub fn boundary(&mut self, resource: ResourceId, end: Time, next: Time, now: Time) {
        let now = self.tick(now);
        if resource.index() < self.ledgers.len() {
            for index in self.with_partitions(resource) {
                self.change(index, |ledger| ledger.boundary(end, next, now));
            }
        }
    }

    /// Tells the ends of further calendar windows as a driver would that takes each to be as long as the usual one:
    /// for a look ahead. Gives the moment at which that is to be done again.
    pub(crate) fn foretell(&mut self, now: Time) -> Time {
        let mut again = Time::MAX;
        for index in 0..self.ledgers.len() {
            let quota = *self.ledgers[index].resource.quota();
            let Some((mut end, mut next)) = quota.boundary() else {
                continue;
            };
            while end <= now && end < Time::MAX {
                let following = if next > end {
                    next
                } else {
                    end + quota.window()
                };
                (end, next) = (following, following + quota.window());
                self.change(index, |ledger| ledger.boundary(end, next, now));
            }
            again = again.min(end);
        }
        again
    }
}

//! A limiter's past: handed out as data, and taken over.

use super::Limiter;
use crate::amount::Amount;
use crate::event::ResourceId;
use crate::learnt::Learnt;
use crate::ledger::Ledger;
use crate::snapshot::{ResourceSnapshot, Snapshot};
use crate::time::Time;

impl Limiter {
    /// What was charged so far, as data. What is in flight is taken as charged at `now`.
    pub fn snapshot(&self, now: Time) -> Snapshot {
        let name = |ledger: &Ledger| match ledger.partition_of {
            Some(whole) => self.name(ResourceId(whole)).to_owned(),
            None => ledger.resource.name().to_owned(),
        };
        let past = |ledger: &Ledger| ResourceSnapshot {
            name: name(ledger),
            key: ledger.key.as_deref().map(str::to_owned),
            paused_until: ledger.paused_until,
            meter: ledger.snapshot(now),
        };
        Snapshot {
            resources: self.ledgers.iter().map(past).collect(),
        }
    }

    /// Takes over the past of resources that are declared already, by name and key, and returns the
    /// names of those whose past does not fit: unknown here, or of another kind of quota.
    /// A moment in the future is taken as `now`.
    pub fn restore(&mut self, snapshot: &Snapshot, now: Time) -> Vec<String> {
        let now = self.tick(now);
        let mut strangers = Vec::new();
        for past in &snapshot.resources {
            let known = self.find(&past.name).map(|id| match &past.key {
                Some(key) => self.partition(id, key),
                None => id,
            });
            let fits =
                known.is_some_and(|id| self.change(id.index(), |ledger| ledger.restore(past, now)));
            if !fits {
                strangers.push(past.name.clone());
            }
        }
        strangers
    }

    /// Takes over what was charged to a resource before, the oldest first, and until when it is paused.
    /// A moment in the future is taken as `now`. A resource that has charges already is charged once more
    /// all that may still count.
    ///
    /// ```
    /// use rate_limited_core::{Amount, Limiter, Quota, Resource, Time};
    ///
    /// let now = Time::PROCESS_START;
    /// let mut limiter = Limiter::new(now);
    /// let quota = Quota::per_minute(Amount::units(60));
    /// let requests = limiter.add(Resource::new("requests", quota))?;
    /// let charges = [(now, Amount::units(40)), (now, Amount::units(3))];
    /// limiter.replay(requests, &charges, Time::default(), now);
    /// assert_eq!(limiter.view(requests, now).charged, Amount::units(43));
    /// # Ok::<(), rate_limited_core::QuotaError>(())
    /// ```
    pub fn replay(
        &mut self,
        resource: ResourceId,
        charges: &[(Time, Amount)],
        paused_until: Time,
        now: Time,
    ) {
        let now = self.tick(now);
        if resource.index() < self.ledgers.len() {
            self.change(resource.index(), |ledger| {
                ledger.replay(charges, paused_until, now);
            });
        }
    }

    /// What was learnt of a resource so far, for a later process: the limit that the server names, how late
    /// requests arrive, and what calls use of their bounds. At most 17 kB; a few bytes where nothing is learnt.
    pub fn learnt(&self, resource: ResourceId) -> Vec<u8> {
        self.ledgers[resource.index()].learnt().to_bytes()
    }

    /// Takes over what [`Limiter::learnt`] gave in an earlier process; before [`Limiter::replay`]. Whether
    /// these bytes are of that form: others change nothing.
    ///
    /// ```
    /// use rate_limited_core::{Amount, Limiter, Quota, Resource, Time};
    ///
    /// let quota = Quota::per_minute(Amount::units(60));
    /// let mut limiter = Limiter::new(Time::PROCESS_START);
    /// let requests = limiter.add(Resource::new("requests", quota))?;
    /// let learnt = limiter.learnt(requests);
    /// assert!(limiter.recall(requests, &learnt));
    /// assert!(!limiter.recall(requests, b"something else"));
    /// # Ok::<(), rate_limited_core::QuotaError>(())
    /// ```
    pub fn recall(&mut self, resource: ResourceId, learnt: &[u8]) -> bool {
        let learnt = Learnt::of_bytes(learnt);
        let known = learnt.filter(|_| resource.index() < self.ledgers.len());
        known.is_some_and(|learnt| {
            let now = self.clock;
            self.change(resource.index(), |ledger| ledger.recall(&learnt, now));
            true
        })
    }
}

//! What the server says: how resources stand, and refusals.

use super::{Limiter, Reservation};
use crate::backoff::{Backoff, Chance};
use crate::entries::Entries;
use crate::event::{Cost, ResourceId};
use crate::feedback::Feedback;
use crate::outcome::Class;
use crate::time::Time;
use core::time::Duration;

/// Where a refusal names no resource, those at least this part as full as the fullest are suspects.
const SUSPECT: i64 = 4;

impl Limiter {
    /// An answer tells how a resource stands, outside of any attempt: its limit. One below the user's quota holds
    /// at once; one above it never does, and neither does one of nothing. Less than a hundredth of the user's
    /// is taken for that: one absurd header neither floods nor stops a run.
    ///
    /// ```
    /// use rate_limited_core::{Amount, Feedback, Limiter, Quota, Resource, Time};
    ///
    /// let now = Time::PROCESS_START;
    /// let mut limiter = Limiter::new(now);
    /// let quota = Quota::per_minute(Amount::units(60));
    /// let requests = limiter.add(Resource::new("requests", quota))?;
    /// let names = |limit| Feedback { limit: Some(Amount::units(limit)), ..Feedback::default() };
    /// limiter.feedback(requests, &names(20), now);
    /// assert_eq!(limiter.view(requests, now).limit, Some(Amount::units(20)));
    /// limiter.feedback(requests, &names(1_000), now);
    /// assert_eq!(limiter.view(requests, now).limit, Some(Amount::units(60)));
    /// # Ok::<(), rate_limited_core::QuotaError>(())
    /// ```
    pub fn feedback(&mut self, resource: ResourceId, feedback: &Feedback, now: Time) {
        self.hear(resource, feedback, None, now);
    }

    /// An answer tells how a resource stands; the reservation is that of its attempt.
    pub(crate) fn hear(
        &mut self,
        resource: ResourceId,
        feedback: &Feedback,
        reservation: Option<&Reservation>,
        now: Time,
    ) {
        let now = self.tick(now);
        if resource.index() >= self.ledgers.len() {
            return;
        }
        // What is told of a resource is meant of the part of it that the attempt took from.
        let mut holds = reservation.into_iter().flat_map(Reservation::holds);
        let hold = holds.find(|hold| self.is_or_has(resource, hold.resource));
        let index = hold.map_or(resource.index(), |hold| hold.resource as usize);
        self.change(index, |ledger| ledger.hear(feedback, hold, now));
    }

    /// A refusal pauses the resource that it names, or else all that the call takes.
    pub(crate) fn refused(
        &mut self,
        costs: &[Cost],
        refusal: (Option<ResourceId>, Option<Duration>),
        sent: Time,
        backoff: &Backoff,
        chance: &mut Chance,
        now: Time,
    ) {
        let (named, retry_after) = refusal;
        for cost in costs {
            let answers = self.answers_for(named, cost.resource);
            let ledger = &mut self.ledgers[cost.resource.index()];
            if answers {
                ledger.refused((cost.amount, sent), retry_after, backoff, chance, now);
            } else {
                ledger.ended(Class::Failure, sent, now);
            }
        }
    }

    /// After a refused attempt was settled: the limits that explain the refusal are lowered to what was let
    /// through. Where it names none, that is so for all that are about as full as the fullest: in a mix of calls that
    /// stays the same, a limit that is not to blame is then as wide as the one that is.
    pub(crate) fn cut(
        &mut self,
        costs: &[Cost],
        named: Option<ResourceId>,
        retry_after: Option<Duration>,
        entries: &mut Entries,
        now: Time,
    ) {
        let suspects = self.suspects(costs, named, retry_after, now);
        let alone = suspects.len() == 1;
        for Cost { resource, amount } in suspects {
            let drained = self.change(resource.index(), |ledger| {
                ledger.cut(amount, retry_after, alone, now)
            });
            if drained > 0 {
                entries.add(resource, now, drained);
            }
        }
    }

    /// What a refused call takes of resources that may be to blame.
    fn suspects(
        &mut self,
        costs: &[Cost],
        named: Option<ResourceId>,
        retry_after: Option<Duration>,
        now: Time,
    ) -> Vec<Cost> {
        let mut fullest = 0;
        let mut answering = Vec::new();
        for cost in costs {
            if self.answers_for(named, cost.resource) {
                let full = self.ledgers[cost.resource.index()].fullness(now);
                fullest = fullest.max(full);
                answering.push((*cost, full));
            }
        }
        answering.retain(|(cost, full)| {
            full.saturating_mul(SUSPECT) >= fullest
                && self.ledgers[cost.resource.index()].explains(retry_after)
        });
        answering.into_iter().map(|(cost, _)| cost).collect()
    }

    /// An attempt that was dispatched at `sent` ended otherwise than by a refusal.
    pub(crate) fn ended(&mut self, costs: &[Cost], class: Class, sent: Time, now: Time) {
        for cost in costs {
            self.change(cost.resource.index(), |ledger| {
                ledger.ended(class, sent, now);
            });
        }
    }
}

//! Accounts: resources of which a call takes those of one account, whichever has room.

use super::{Limiter, Obstacle, Stamp, Standing, patience};
use crate::error::{QuotaError, ScheduleError};
use crate::event::{AccountId, Cost, ResourceId, SchedulerId};
use crate::ledger::Blocked;
use crate::resource::Resource;
use crate::time::Time;

impl Limiter {
    /// The account of this name; it is made at its first use. A call of a scheduler with
    /// [members](crate::Scheduler::add_member) names what it would take of each account; an attempt takes that of one
    /// of them, and what is of no account.
    ///
    /// ```
    /// use rate_limited_core::{Amount, Limiter, Quota, Resource, Time};
    ///
    /// let mut limiter = Limiter::new(Time::PROCESS_START);
    /// let (small, large) = (limiter.account("small"), limiter.account("large"));
    /// let quota = |units| Quota::per_minute(Amount::units(units));
    /// limiter.add_to(small, Resource::new("requests@small", quota(60)))?;
    /// limiter.add_to(large, Resource::new("requests@large", quota(600)))?;
    /// assert_eq!(limiter.account("small"), small);
    /// # Ok::<(), rate_limited_core::QuotaError>(())
    /// ```
    ///
    /// # Panics
    /// With more than 65,535 accounts.
    pub fn account(&mut self, name: &str) -> AccountId {
        let known = self.accounts.iter().position(|known| known == name);
        let index = known.unwrap_or_else(|| {
            self.accounts.push(name.to_owned());
            self.accounts.len() - 1
        });
        AccountId(u16::try_from(index + 1).expect("too many accounts"))
    }

    /// Adds a resource of an account.
    ///
    /// # Errors
    /// As [`Limiter::add`]; names are unique among all resources, whatever their account.
    pub fn add_to(
        &mut self,
        account: AccountId,
        resource: Resource,
    ) -> Result<ResourceId, QuotaError> {
        let id = self.add(resource)?;
        self.ledgers[id.index()].account = account.0;
        Ok(id)
    }

    /// The account of a resource, by its number from 1 on; 0: of none.
    pub(crate) fn account_of(&self, resource: ResourceId) -> u16 {
        self.ledgers[resource.index()].account
    }

    /// How many accounts there are.
    pub(crate) fn accounts(&self) -> u16 {
        self.accounts.len() as u16
    }

    /// Puts what a call takes of an account, and of what is of none, into a list.
    pub(crate) fn select(&self, account: AccountId, costs: &[Cost], into: &mut Vec<Cost>) {
        into.clear();
        into.extend(costs.iter().filter(|cost| {
            let of = self.ledgers[cost.resource.index()].account;
            of == 0 || of == account.0
        }));
    }

    /// The first cost that is above its whole quota.
    pub(crate) fn too_much(&self, costs: &[Cost]) -> Option<Cost> {
        let capacity = |cost: &Cost| {
            self.ledgers[cost.resource.index()]
                .resource
                .quota()
                .capacity()
        };
        costs
            .iter()
            .copied()
            .find(|cost| cost.amount > capacity(cost))
    }

    /// Why a call can never go that fits into none of its accounts.
    pub(crate) fn never_fits(&self, cost: Cost) -> ScheduleError {
        let resource = &self.ledgers[cost.resource.index()].resource;
        ScheduleError::NeverFits {
            resource: cost.resource,
            name: resource.name().into(),
            cost: cost.amount,
            quota: resource.quota().capacity(),
        }
    }

    /// What stands in the way of these costs, claims included. What becomes of it is news.
    pub(crate) fn in_the_way(
        &mut self,
        who: SchedulerId,
        standing: Standing,
        costs: &[Cost],
        now: Time,
    ) -> Option<Obstacle> {
        let obstacle = self
            .obstacle(costs, now)
            .or_else(|| self.claim_in_the_way(who, standing, costs, now))?;
        Some(match obstacle {
            Obstacle::Resource { resource, why, .. } => Obstacle::Resource {
                resource,
                why,
                stamp: self.news_stamp(),
            },
            other => other,
        })
    }

    /// From when on these costs could go, as far as it is known, and whether they wait for a pause.
    pub(crate) fn could_go_at(&mut self, costs: &[Cost], now: Time) -> (Time, bool) {
        match self.obstacle(costs, now) {
            Some(Obstacle::Resource { why, .. }) => {
                (patience(why), matches!(why, Blocked::Paused { .. }))
            }
            _ => (now, false),
        }
    }

    /// How much of the scarcest resource stays free when these costs are taken, in millionths of its quota.
    pub(crate) fn room_after(&mut self, costs: &[Cost], now: Time) -> i64 {
        let mut room = 1_000_000;
        for cost in costs {
            let ledger = &mut self.ledgers[cost.resource.index()];
            let need = i128::from(ledger.reservation(cost.amount.as_micros(), now));
            let capacity = i128::from(ledger.quota().capacity().as_micros().max(1));
            let taken = i64::try_from(need * 1_000_000 / capacity).unwrap_or(i64::MAX);
            let free = 1_000_000_i64.saturating_sub(ledger.fullness(now).saturating_add(taken));
            room = room.min(free);
        }
        room
    }

    /// Something changed that keeps calls from going, and not in the books.
    pub(crate) fn note_news(&mut self) {
        self.news += 1;
    }

    pub(crate) fn news_stamp(&self) -> Stamp {
        Stamp::News(self.news)
    }
}

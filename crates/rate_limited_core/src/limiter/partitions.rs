//! Partitions: parts of a resource that each have its quota for themselves, such as those of models.

use super::{Limiter, Reservation, resource_id};
use crate::event::{Cost, ResourceId};
use crate::ledger::Ledger;
use crate::outcome::Class;
use crate::quota::Quota;
use crate::resource::Resource;
use crate::time::Time;
use std::collections::BTreeMap;

/// The most parts of one resource that are told apart.
pub(crate) const PARTS_MAX: usize = 1_024;

/// The key of what all further ones share.
pub(crate) const OTHERS: &str = "others";

/// The parts of each resource, by its index and their keys.
#[derive(Clone, Debug, Default)]
pub(super) struct Partitions(BTreeMap<u32, BTreeMap<Box<str>, u32>>);

impl Partitions {
    fn get(&self, resource: ResourceId, key: &str) -> Option<ResourceId> {
        let parts = self.0.get(&resource.0)?;
        parts.get(key).copied().map(ResourceId)
    }

    fn is_full(&self, resource: ResourceId) -> bool {
        let parts = self.0.get(&resource.0);
        parts.is_some_and(|parts| parts.len() >= PARTS_MAX)
    }
}

impl Limiter {
    /// The part of `resource` that belongs to `key` (a model, a tenant, …): each has the whole quota for
    /// itself, or the one that was [told for it](Resource::quota_for). It is made at its first use, and named
    /// `tokens[gpt-4o]`. The first 1,024 keys are told apart; all further ones share one quota, as `tokens[others]`.
    ///
    /// Whatever an attempt's end tells of the resource (a usage, what remains, a refusal) is taken for the part
    /// that the attempt takes from.
    ///
    /// ```
    /// use rate_limited_core::{Amount, Limiter, Quota, Resource, Time};
    ///
    /// let now = Time::PROCESS_START;
    /// let mut limiter = Limiter::new(now);
    /// let quota = |units| Quota::per_minute(Amount::units(units));
    /// let requests = Resource::new("requests", quota(60)).quota_for("gpt-4o*", quota(5));
    /// let requests = limiter.add(requests)?;
    /// let small = limiter.partition(requests, "gpt-4o-mini");
    /// assert_eq!(limiter.partition(requests, "gpt-4o-mini"), small);
    /// assert_eq!(limiter.name(small), "requests[gpt-4o-mini]");
    /// assert_eq!(limiter.view(small, now).limit, Some(Amount::units(5)));
    /// let other = limiter.partition(requests, "o3");
    /// assert_eq!(limiter.view(other, now).limit, Some(Amount::units(60)));
    /// # Ok::<(), rate_limited_core::QuotaError>(())
    /// ```
    pub fn partition(&mut self, resource: ResourceId, key: &str) -> ResourceId {
        if let Some(known) = self.partitions.get(resource, key) {
            return known;
        }
        if key != OTHERS && self.partitions.is_full(resource) {
            return self.partition(resource, OTHERS);
        }
        let whole = &self.ledgers[resource.index()];
        let mut part = Ledger::new(whole.resource.part(key), Some(key.into()), self.clock);
        (part.partition_of, part.account) = (Some(resource.0), whole.account);
        // Windows of a calendar go on from where they are, not from where they were declared.
        if let Some((end, next)) = whole.quota().boundary() {
            part.boundary(end, next, self.clock);
        }
        let id = self.push(part);
        let parts = self.partitions.0.entry(resource.0).or_default();
        parts.insert(key.into(), id.0);
        id
    }

    /// The part that has this name, as in `tokens[gpt-4o]`; it is made if it is not there. `None`: it names no part of
    /// a resource that is known.
    ///
    /// ```
    /// use rate_limited_core::{Amount, Limiter, Quota, Resource, Time};
    ///
    /// let mut limiter = Limiter::new(Time::PROCESS_START);
    /// let tokens = Resource::new("tokens", Quota::per_minute(Amount::units(60)));
    /// let tokens = limiter.add(tokens)?;
    /// let part = limiter.partition_named("tokens[gpt-4o]");
    /// assert_eq!(part, Some(limiter.partition(tokens, "gpt-4o")));
    /// assert_eq!(limiter.partition_named("images[gpt-4o]"), None);
    /// # Ok::<(), rate_limited_core::QuotaError>(())
    /// ```
    pub fn partition_named(&mut self, name: &str) -> Option<ResourceId> {
        let (whole, key) = name.strip_suffix(']')?.split_once('[')?;
        let whole = self.find(whole)?;
        Some(self.partition(whole, key))
    }

    /// The quotas in force of all resources and partitions.
    pub(crate) fn quotas(&self) -> impl Iterator<Item = (ResourceId, Quota)> {
        let all = self.ledgers.iter().enumerate();
        all.map(|(index, ledger)| (resource_id(index), ledger.quota()))
    }

    /// The resources that are no partitions, with their quotas in force.
    pub(crate) fn whole(&self) -> impl Iterator<Item = (ResourceId, &Resource, Quota)> {
        let all = self.ledgers.iter().enumerate();
        let whole = all.filter(|(_, ledger)| ledger.key.is_none());
        whole.map(|(index, ledger)| (resource_id(index), &ledger.resource, ledger.quota()))
    }

    /// The resource that this is a partition of, or itself.
    pub(crate) fn whole_of(&self, resource: ResourceId) -> ResourceId {
        let whole = self.ledgers[resource.index()].partition_of;
        whole.map_or(resource, ResourceId)
    }

    /// Whether a refusal that names `named`, or none, speaks of this resource.
    pub(crate) fn answers_for(&self, named: Option<ResourceId>, resource: ResourceId) -> bool {
        let known = named.filter(|id| id.index() < self.ledgers.len());
        known.is_none_or(|id| self.is_or_has(id, resource.0))
    }

    /// Whether both are the same resource, or the second a partition of the first.
    pub(super) fn is_or_has(&self, resource: ResourceId, part: u32) -> bool {
        resource.0 == part || self.ledgers[part as usize].partition_of == Some(resource.0)
    }

    /// Lets costs of a resource be of one part of it; whether that changes anything.
    pub(crate) fn moves(&self, costs: &mut [Cost], whole: ResourceId, part: ResourceId) -> bool {
        let known = whole.index().max(part.index()) < self.ledgers.len();
        if !known || !self.is_or_has(whole, part.0) {
            return false;
        }
        let theirs = |cost: &&mut Cost| self.is_or_has(whole, cost.resource.0);
        let mut cost = costs.iter_mut().filter(theirs);
        // One that takes from two parts says itself which of them is meant.
        match (cost.next(), cost.next()) {
            (Some(cost), None) if cost.resource != part => {
                cost.resource = part;
                true
            }
            _ => false,
        }
    }

    /// What an attempt that was dispatched at `sent` holds of a resource is held of one part of it: elsewhere it is as
    /// if it had never been.
    pub(crate) fn carry_over(
        &mut self,
        reservation: &mut Reservation,
        (whole, part): (ResourceId, ResourceId),
        sent: Time,
        now: Time,
    ) {
        for hold in reservation.holds.as_mut_slice() {
            if hold.resource == part.0 || !self.is_or_has(whole, hold.resource) {
                continue;
            }
            let former = *hold;
            self.change(former.resource as usize, |ledger| {
                ledger.ended(Class::NotSent, sent, now);
                ledger.settle(former, Class::NotSent, None, now);
            });
            *hold = self.change(part.index(), |ledger| {
                ledger.take_over(&former, part.0, now)
            });
        }
    }

    /// A resource and all its partitions.
    pub(super) fn with_partitions(&self, resource: ResourceId) -> Vec<usize> {
        let parts = self.partitions.0.get(&resource.0).into_iter().flatten();
        let parts = parts.map(|(_, index)| *index as usize);
        core::iter::once(resource.index()).chain(parts).collect()
    }

    /// A resource and its partitions that have no quota of their own.
    pub(super) fn alike(&self, resource: ResourceId) -> Vec<usize> {
        let whole = &self.ledgers[resource.index()].resource;
        let mut all = self.with_partitions(resource);
        all.retain(|index| {
            let key = self.ledgers[*index].key.as_deref();
            key.is_none_or(|key| whole.own_quota(key).is_none()) || *index == resource.index()
        });
        all
    }
}

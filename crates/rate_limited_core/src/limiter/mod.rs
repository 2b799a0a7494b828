//! All resources at once: what a call takes, it takes of all of them or of none.

mod accounts;
mod calendar;
mod class;
mod partitions;
mod past;
mod server;

use crate::amount::Amount;
use crate::entries::{Entries, Entry};
use crate::error::{QuotaError, ScheduleError};
use crate::event::{Cost, MemberId, ResourceId, SchedulerId};
use crate::ledger::{Blocked, Hold, Ledger};
use crate::outcome::Outcome;
use crate::quota::Quota;
use crate::resource::{Counted, Resource};
use crate::small::Short;
use crate::time::Time;
use crate::turns::{PATIENCE, Turns};
use core::time::Duration;
use partitions::Partitions;
pub(crate) use partitions::{OTHERS, PARTS_MAX};

/// The quotas of one account.
///
/// A quota belongs to an account, not to a run: one limiter may serve several
/// [schedulers](crate::Scheduler), which borrow it at each step. When one gives something back,
/// [`Limiter::take_wakes`] names the others that wait for it.
///
/// ```
/// use rate_limited_core::{Amount, Limiter, Quota, Resource, Time};
///
/// let mut limiter = Limiter::new(Time::PROCESS_START);
/// let requests = limiter.add(Resource::new("requests", Quota::per_minute(Amount::units(60))))?;
/// assert_eq!(limiter.view(requests, Time::PROCESS_START).charged, Amount::ZERO);
/// assert!(limiter.add(Resource::new("requests", Quota::per_minute(Amount::units(1)))).is_err());
/// # Ok::<(), rate_limited_core::QuotaError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Limiter {
    ledgers: Vec<Ledger>,
    partitions: Partitions,
    /// Calls that nobody may delay any more, oldest first; at most one a scheduler.
    claims: Vec<Claim>,
    /// Counts what comes back earlier than was foreseen, of any resource, and changes of claims.
    news: u64,
    turns: Turns,
    /// The names of the accounts, of which the first has the number 1: what is of account 0 is of none.
    accounts: Vec<String>,
    /// Time never runs backwards here, whatever a driver's clock does.
    clock: Time,
}

/// A snapshot of one resource's books, for people to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceView {
    /// The resource as declared, with its present quota; a partition has its key behind the name: `tokens[gpt-4o]`.
    pub resource: Resource,
    /// Whose part it is, if it is a partition: [`Limiter::partition`].
    pub key: Option<String>,
    /// The resource that it is a part of.
    pub part_of: Option<ResourceId>,
    /// How much a window in force: the user's limit, or a lower one that the server names or its refusals have
    /// shown. `None`: it has none, or none is known.
    pub limit: Option<Amount>,
    /// The window in force: the user's, or one that was found out.
    pub window: Duration,
    /// How much goes at once, where refusals have shown that the server spreads the limit over its window.
    pub burst: Option<Amount>,
    /// Charged and still counting.
    pub charged: Amount,
    /// Reserved by attempts in flight and not charged yet.
    pub held: Amount,
    /// Until when it is paused; a moment that has passed means that it is not.
    pub paused_until: Time,
}

/// Quota held for one attempt in flight; consumed by its settlement.
#[derive(Clone, Debug)]
#[must_use = "a reservation that is not settled holds its quota for ever"]
pub(crate) struct Reservation {
    holds: Short<Hold>,
}

impl Reservation {
    /// What is held, and of what.
    pub(crate) fn holds(&self) -> impl Iterator<Item = &Hold> {
        self.holds.as_slice().iter()
    }
}

#[derive(Clone, Debug)]
struct Claim {
    who: SchedulerId,
    costs: Short<Cost>,
    /// Since when it could go and has not.
    ready_since: Option<Time>,
}

/// What an obstacle depends on, besides time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stamp {
    /// The books of its resource.
    Ledger(u64),
    /// A claim, and with it all that the claim waits for.
    News(u64),
}

/// What keeps a call from being admitted now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Obstacle {
    /// One resource; as long as its stamp stands, the moment named stands too.
    Resource {
        resource: ResourceId,
        why: Blocked,
        stamp: Stamp,
    },
    /// Another scheduler has its turn until then at the latest.
    Turn(Time),
    /// A member of the pool is left alone until then, or until an attempt of it ends.
    Member {
        member: MemberId,
        until: Option<Time>,
        told: bool,
        stamp: Stamp,
    },
}

impl Obstacle {
    /// Until when it stands, as far as it is known: what no time removes stands longest.
    pub(crate) fn patience(&self) -> Time {
        match *self {
            Obstacle::Turn(until) => until,
            Obstacle::Resource { why, .. } => patience(why),
            Obstacle::Member { until, .. } => until.unwrap_or(Time::from_nanos(u64::MAX - 1)),
        }
    }
}

/// Whose call asks: the protected head of its scheduler, or any other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Head,
    Other,
}

impl Limiter {
    /// A limiter without resources, at the moment `now`.
    pub fn new(now: Time) -> Limiter {
        Limiter {
            ledgers: Vec::new(),
            partitions: Partitions::default(),
            claims: Vec::new(),
            news: 0,
            turns: Turns::default(),
            accounts: Vec::new(),
            clock: now,
        }
    }

    /// Adds a resource.
    ///
    /// # Errors
    /// An empty or known name, a quota that is not positive, a window outside 1 µs to 400 days.
    pub fn add(&mut self, resource: Resource) -> Result<ResourceId, QuotaError> {
        resource.check()?;
        if self.find(resource.name()).is_some() {
            return Err(QuotaError::Duplicate {
                resource: resource.name().into(),
            });
        }
        Ok(self.push(Ledger::new(resource, None, self.clock)))
    }

    /// The resource of this name, or the partition.
    pub fn find(&self, name: &str) -> Option<ResourceId> {
        let same = |ledger: &Ledger| ledger.resource.name() == name;
        self.ledgers.iter().position(same).map(resource_id)
    }

    /// All resources and partitions, in the order of their making.
    pub fn resources(&self) -> impl Iterator<Item = ResourceId> + use<> {
        (0..self.ledgers.len()).map(resource_id)
    }

    /// The books of one resource. A moment before one that the limiter has seen is looked at as it was, where nothing
    /// has happened to the resource since.
    pub fn view(&mut self, resource: ResourceId, now: Time) -> ResourceView {
        self.tick(now);
        let ledger = &mut self.ledgers[resource.index()];
        ResourceView {
            limit: ledger.quota().limit().filter(|limit| *limit < Amount::MAX),
            window: ledger.quota().window(),
            burst: ledger.burst(),
            charged: ledger.charged(now),
            held: ledger.held(),
            paused_until: ledger.paused_until,
            resource: ledger.resource.clone(),
            key: ledger.key.as_deref().map(str::to_owned),
            part_of: ledger.partition_of.map(ResourceId),
        }
    }

    /// Whether what an attempt really used is settled.
    pub(crate) fn settles_usage(&self, resource: ResourceId) -> bool {
        self.ledgers[resource.index()].resource.settles_usage()
    }

    /// The name of a resource.
    pub fn name(&self, resource: ResourceId) -> &str {
        self.ledgers[resource.index()].resource.name()
    }

    /// Replaces the quota of a resource and of its partitions that have none of [their
    /// own](Resource::quota_for); what is charged stays charged.
    ///
    /// # Errors
    /// As [`Limiter::add`]; a quota of another kind, whose books could not be carried over; and a
    /// resource that the limiter does not have.
    pub fn set_quota(
        &mut self,
        resource: ResourceId,
        quota: Quota,
        now: Time,
    ) -> Result<(), QuotaError> {
        let now = self.tick(now);
        if resource.index() >= self.ledgers.len() {
            return Err(QuotaError::UnknownResource { resource });
        }
        for index in self.alike(resource) {
            self.change(index, |ledger| ledger.set_quota(quota, now))?;
        }
        Ok(())
    }

    /// Pauses a resource and its partitions: no call that takes them is dispatched before `until`.
    pub fn pause(&mut self, resource: ResourceId, until: Time) {
        if resource.index() < self.ledgers.len() {
            for index in self.with_partitions(resource) {
                self.ledgers[index].pause(until, true);
            }
        }
    }

    /// The schedulers that wait and should be polled again; the list is emptied by this.
    pub fn take_wakes(&mut self) -> Vec<SchedulerId> {
        self.turns.take_wakes()
    }

    /// Whether [`Limiter::take_wakes`] would name anybody.
    pub fn has_wakes(&self) -> bool {
        self.turns.has_wakes()
    }

    pub(crate) fn join(&mut self) -> SchedulerId {
        self.turns.join()
    }

    pub(crate) fn leave(&mut self, who: SchedulerId) {
        self.drop_claim(who);
        self.turns.leave(who);
    }

    pub(crate) fn tick(&mut self, now: Time) -> Time {
        self.clock = self.clock.max(now);
        self.clock
    }

    /// Refuses costs that can never fit.
    pub(crate) fn check(&self, costs: &[Cost]) -> Result<(), ScheduleError> {
        self.check_known(costs)?;
        self.too_much(costs)
            .map_or(Ok(()), |cost| Err(self.never_fits(cost)))
    }

    /// Refuses costs of unknown resources, and those below zero.
    pub(crate) fn check_known(&self, costs: &[Cost]) -> Result<(), ScheduleError> {
        for cost in costs {
            let Some(ledger) = self.ledgers.get(cost.resource.index()) else {
                return Err(ScheduleError::UnknownResource {
                    resource: cost.resource,
                });
            };
            if cost.amount < Amount::ZERO {
                return Err(ScheduleError::Negative {
                    name: ledger.resource.name().into(),
                    cost: cost.amount,
                });
            }
        }
        Ok(())
    }

    /// Notes what a scheduler takes from.
    pub(crate) fn notes_use(&mut self, who: SchedulerId, costs: &[Cost]) {
        for cost in costs {
            self.turns.uses(who, cost.resource.0);
        }
    }

    /// Takes what the costs name of all resources, or says what stands in the way.
    pub(crate) fn reserve(
        &mut self,
        who: SchedulerId,
        standing: Standing,
        costs: &[Cost],
        now: Time,
    ) -> Result<Reservation, Obstacle> {
        if let Some(obstacle) = self.obstacle(costs, now) {
            return Err(obstacle);
        }
        if let Some(obstacle) = self.claim_in_the_way(who, standing, costs, now) {
            return Err(obstacle);
        }
        // A protected call has waited for its turn already.
        if standing == Standing::Other
            && let Some(until) = self.turns.yields(who, now)
        {
            return Err(Obstacle::Turn(until));
        }
        self.turns.admitted(who);
        let mut holds = Short::new(&[Hold::default(); 8][..costs.len().min(8)]);
        if costs.len() > 8 {
            holds = Short::Heap(vec![Hold::default(); costs.len()].into());
        }
        for (hold, cost) in holds.as_mut_slice().iter_mut().zip(costs) {
            let ledger = &mut self.ledgers[cost.resource.index()];
            *hold = ledger.hold(cost.resource.0, cost.amount.as_micros(), now);
        }
        Ok(Reservation { holds })
    }

    /// Whether the obstacle named by `stamp` still stands as it was told.
    pub(crate) fn stands(&self, resource: ResourceId, stamp: Stamp) -> bool {
        match stamp {
            Stamp::Ledger(version) => self.ledgers[resource.index()].version == version,
            Stamp::News(news) => self.news == news,
        }
    }

    /// Whether nothing is news since a stamp.
    pub(crate) fn is_old(&self, stamp: Stamp) -> bool {
        stamp == Stamp::News(self.news)
    }

    /// Changes one ledger, and tells whoever waits if something came back by that.
    fn change<T>(&mut self, index: usize, change: impl FnOnce(&mut Ledger) -> T) -> T {
        let before = self.ledgers[index].version;
        let result = change(&mut self.ledgers[index]);
        if self.ledgers[index].version != before {
            self.news += 1;
            self.turns.released(index as u32);
        }
        result
    }

    pub(crate) fn sent(&mut self, reservation: &mut Reservation, now: Time) {
        for hold in reservation.holds.as_mut_slice() {
            self.change(hold.resource as usize, |ledger| ledger.sent(hold, now));
        }
    }

    #[expect(
        clippy::needless_pass_by_value,
        reason = "what is settled is gone: it cannot be twice"
    )]
    pub(crate) fn settle(
        &mut self,
        reservation: Reservation,
        outcome: &Outcome,
        entries: &mut Entries,
        now: Time,
    ) {
        for hold in reservation.holds.as_slice() {
            let mut usage = outcome.usage().iter();
            let usage = usage.find(|usage| self.is_or_has(usage.resource, hold.resource));
            let usage = usage.map(|usage| usage.amount.as_micros().max(0));
            let (at, used) = self.change(hold.resource as usize, |ledger| {
                ledger.settle(*hold, outcome.class(), usage, now)
            });
            entries.add(ResourceId(hold.resource), at, used);
        }
    }

    /// What a reservation comes to if nothing more is heard of its attempt.
    pub(crate) fn entry_of(&self, hold: &Hold, dispatched: Time) -> Entry {
        let counted = self.ledgers[hold.resource as usize].resource.when();
        Entry {
            resource: ResourceId(hold.resource),
            at: if counted == Counted::AtDispatch {
                dispatched
            } else {
                Time::MAX
            },
            amount: Amount::from_micros(hold.amount),
        }
    }

    /// Protects a call: from now on nothing is admitted that would delay it.
    pub(crate) fn claim(&mut self, who: SchedulerId, costs: &[Cost]) {
        self.drop_claim(who);
        self.claims.push(Claim {
            who,
            costs: Short::new(costs),
            ready_since: None,
        });
        self.news += 1;
    }

    pub(crate) fn drop_claim(&mut self, who: SchedulerId) {
        let before = self.claims.len();
        self.claims.retain(|claim| claim.who != who);
        if self.claims.len() < before {
            self.news += 1;
            self.turns.all_released();
        }
    }

    pub(crate) fn waits(&mut self, who: SchedulerId, until: Option<Time>) {
        self.turns.waits(who, until);
    }

    pub(crate) fn idles(&mut self, who: SchedulerId) {
        self.turns.idles(who);
    }

    /// What stands in the way of these costs longest.
    fn obstacle(&mut self, costs: &[Cost], now: Time) -> Option<Obstacle> {
        let mut worst: Option<(ResourceId, Blocked)> = None;
        for cost in costs {
            let ledger = &mut self.ledgers[cost.resource.index()];
            let Some(why) = ledger.blocked(cost.amount.as_micros(), now) else {
                continue;
            };
            if worst.is_none_or(|(_, former)| patience(why) > patience(former)) {
                worst = Some((cost.resource, why));
            }
        }
        worst.map(|(resource, why)| self.obstacle_at(resource, why))
    }

    fn claim_in_the_way(
        &mut self,
        who: SchedulerId,
        standing: Standing,
        costs: &[Cost],
        now: Time,
    ) -> Option<Obstacle> {
        for index in 0..self.claims.len() {
            let claim = &mut self.claims[index];
            let ours = claim.who == who;
            if ours && standing == Standing::Head {
                claim.ready_since = None;
                break;
            }
            let costs_of_claim = claim.costs.clone();
            if let Some((resource, later)) = self.delays(costs_of_claim.as_slice(), costs, now) {
                let obstacle = self.behind_claim(index, resource, later, now);
                if obstacle.is_some() {
                    return obstacle;
                }
            }
            // Claims younger than our own do not bind us.
            if ours {
                break;
            }
        }
        None
    }

    /// What stands in the way of a call that would delay a claim; nothing where whoever has the claim
    /// could have used it and has not come.
    fn behind_claim(
        &mut self,
        index: usize,
        resource: ResourceId,
        later: Option<Time>,
        now: Time,
    ) -> Option<Obstacle> {
        let stamp = Stamp::News(self.news);
        let claim = &mut self.claims[index];
        let why = match later {
            Some(later) if later > now => Blocked::Until(later),
            Some(_) => {
                let patience_ends = claim.ready_since.get_or_insert(now).plus(PATIENCE);
                return (patience_ends > now).then_some(Obstacle::Turn(patience_ends));
            }
            None => Blocked::Held,
        };
        claim.ready_since = None;
        Some(Obstacle::Resource {
            resource,
            why,
            stamp,
        })
    }

    /// Whether these costs, taken now, would make the claim wait longer: of which resource, and
    /// until when the claim waits.
    fn delays(
        &mut self,
        claim: &[Cost],
        costs: &[Cost],
        now: Time,
    ) -> Option<(ResourceId, Option<Time>)> {
        let later = match self.obstacle(claim, now) {
            None => Some(now),
            Some(Obstacle::Resource { why, .. }) => known_end(why),
            Some(Obstacle::Turn(until)) => Some(until),
            Some(Obstacle::Member { until, .. }) => until,
        }
        .filter(|later| *later < Time::MAX);
        for need in claim {
            let Some(cost) = costs.iter().find(|cost| cost.resource == need.resource) else {
                continue;
            };
            let ledger = &mut self.ledgers[need.resource.index()];
            if !ledger.leaves(cost.amount.as_micros(), need.amount.as_micros(), now, later) {
                return Some((need.resource, later));
            }
        }
        None
    }

    fn obstacle_at(&self, resource: ResourceId, why: Blocked) -> Obstacle {
        Obstacle::Resource {
            resource,
            why,
            stamp: Stamp::Ledger(self.ledgers[resource.index()].version),
        }
    }

    fn push(&mut self, ledger: Ledger) -> ResourceId {
        self.ledgers.push(ledger);
        resource_id(self.ledgers.len() - 1)
    }
}

fn resource_id(index: usize) -> ResourceId {
    ResourceId(u32::try_from(index).expect("fewer resources than memory"))
}

/// When an obstacle goes away by itself, if that is known.
fn known_end(why: Blocked) -> Option<Time> {
    match why {
        Blocked::Until(t) | Blocked::Paused { until: t, .. } => Some(t),
        Blocked::Held | Blocked::Never => None,
    }
}

/// How long an obstacle stands, as far as it is known: `Time::MAX` for what no time removes, and just
/// before it for what is in flight.
fn patience(why: Blocked) -> Time {
    match why {
        Blocked::Until(t) | Blocked::Paused { until: t, .. } => t,
        Blocked::Held => Time::from_nanos(u64::MAX - 1),
        Blocked::Never => Time::MAX,
    }
}

//! A metered resource: its declaration, and the ledger that a limiter keeps of it.

use crate::amount::Amount;
use crate::backoff::{Backoff, Chance};
use crate::error::QuotaError;
use crate::learned::Learned;
use crate::learnt::Learnt;
use crate::outcome::Class;
use crate::quota::{Mark, Meter, Moment, Quota, check_replacement};
use crate::time::{Time, nanos};
use core::time::Duration;

/// A metered resource as its user declares it.
///
/// ```
/// use rate_limited_core::{Amount, Counted, Quota, Resource, Settlement};
///
/// let tokens = Resource::new("tokens", Quota::per_minute(Amount::units(90_000)))
///     .counted(Counted::AtCompletion)
///     .settlement(Settlement::Usage)
///     .learn(true);
/// assert_eq!(tokens.name(), "tokens");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    name: String,
    quota: Quota,
    counted: Counted,
    settlement: Settlement,
    guard: Option<Duration>,
    learn: bool,
    failures_count: bool,
    refusals_count: bool,
}

/// When the server counts a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Counted {
    /// When the request arrives, at most the guard after it was sent.
    #[default]
    AtDispatch,
    /// When the answer is complete.
    AtCompletion,
    /// At an unknown moment in between: held from the dispatch until the end, then charged for a
    /// whole window. Never too much, at the price of the calls' duration.
    Strict,
}

/// What becomes of a reservation when its call has ended well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Settlement {
    /// The server charges what was estimated: the reservation stays.
    #[default]
    Keep,
    /// The server charges what was used: the difference is given back, or owed.
    Usage,
}

impl Resource {
    /// A resource that is counted at dispatch and keeps its reservations.
    pub fn new(name: impl Into<String>, quota: Quota) -> Resource {
        Resource {
            name: name.into(),
            quota,
            counted: Counted::default(),
            settlement: Settlement::default(),
            guard: None,
            learn: false,
            failures_count: true,
            refusals_count: false,
        }
    }

    /// When the server counts a call. Default: [`Counted::AtDispatch`].
    #[must_use]
    pub fn counted(self, counted: Counted) -> Resource {
        Resource { counted, ..self }
    }

    /// What becomes of a reservation. Default: [`Settlement::Keep`].
    #[must_use]
    pub fn settlement(self, settlement: Settlement) -> Resource {
        Resource { settlement, ..self }
    }

    /// By how much a request may reach the server late. Default: 0.4 % of the window, of a bucket at most
    /// 2 % of the time in which its burst flows in, and at least 1 ms; refusals widen a guard above zero
    /// up to 1 % of the window. What is counted at completion needs none.
    #[must_use]
    pub fn guard(self, guard: Duration) -> Resource {
        Resource {
            guard: Some(guard),
            ..self
        }
    }

    /// Whether to reserve what such calls used so far instead of their upper bound. Default: no.
    /// Needs [`Settlement::Usage`].
    #[must_use]
    pub fn learn(self, learn: bool) -> Resource {
        Resource { learn, ..self }
    }

    /// Whether the server counts calls that failed. Default: yes.
    #[must_use]
    pub fn failures_count(self, failures_count: bool) -> Resource {
        Resource {
            failures_count,
            ..self
        }
    }

    /// Whether the server counts calls that it refused. Default: no.
    #[must_use]
    pub fn refusals_count(self, refusals_count: bool) -> Resource {
        Resource {
            refusals_count,
            ..self
        }
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The quota.
    pub fn quota(&self) -> &Quota {
        &self.quota
    }

    pub(crate) fn when(&self) -> Counted {
        self.counted
    }

    pub(crate) fn check(&self) -> Result<(), QuotaError> {
        if self.name.is_empty() {
            Err(QuotaError::Unnamed)
        } else {
            self.quota.check(&self.name)
        }
    }

    fn first_guard(&self) -> u64 {
        let window = nanos(self.quota.window());
        match (self.guard, self.counted) {
            (Some(guard), _) => nanos(guard).min(window),
            // What is held until the answer is here cannot be counted later than we think.
            (None, Counted::AtCompletion | Counted::Strict) => 0,
            (None, Counted::AtDispatch) => {
                let share = (window / 250).min(self.quota.burst_nanos() / 50);
                share.max(1_000_000).min(window)
            }
        }
    }
}

/// Why an amount is not to be had now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Blocked {
    /// Quota comes back at this moment.
    Until(Time),
    /// The resource is paused until then.
    Paused { until: Time, told: bool },
    /// Something in flight must end first.
    Held,
    /// The quota is smaller than the amount, or spent for good.
    Never,
}

/// A part of a reservation: what is held of one resource.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Hold {
    pub(crate) resource: u32,
    charged: bool,
    /// The upper bound that the caller named.
    bound: i64,
    /// What was taken for it.
    pub(crate) amount: i64,
    mark: Mark,
    /// When it was charged.
    at: Time,
}

/// The ledger of one resource, or of one partition of it.
#[derive(Clone, Debug)]
pub(crate) struct Ledger {
    pub(crate) resource: Resource,
    pub(crate) key: Option<u64>,
    /// The resource that this is a partition of.
    pub(crate) base: Option<u32>,
    meter: Meter,
    guard: u64,
    /// Reserved and not charged yet.
    held: i64,
    in_flight: u32,
    pub(crate) paused_until: Time,
    told: bool,
    /// Refusals in a row, one an episode.
    episodes: u32,
    episode_start: Time,
    learned: Option<Learned>,
    /// The limit that the server names, where it is lower than that of the user.
    server_limit: Option<Amount>,
    /// Whether someone was told to wait for what is held: its charge then is news to him.
    held_is_waited_for: bool,
    /// Counts what comes back earlier than was foreseen: as long as it stands, a moment that
    /// `blocked` named still holds.
    pub(crate) version: u64,
}

impl Ledger {
    pub(crate) fn new(resource: Resource, key: Option<u64>, now: Time) -> Ledger {
        let guard = resource.first_guard();
        let learns = resource.learn && resource.settlement == Settlement::Usage;
        Ledger {
            meter: Meter::new(&resource.quota, guard, now),
            resource,
            key,
            base: None,
            guard,
            held: 0,
            in_flight: 0,
            paused_until: Time::default(),
            told: false,
            episodes: 0,
            episode_start: Time::default(),
            learned: learns.then(Learned::new),
            server_limit: None,
            held_is_waited_for: false,
            version: 0,
        }
    }

    /// What to reserve for a call of this upper bound.
    pub(crate) fn reservation(&self, bound: i64, now: Time) -> i64 {
        if matches!(self.meter, Meter::Spacing(_)) {
            // Each dispatch is one, whatever it costs.
            return Amount::units(1).as_micros();
        }
        match &self.learned {
            Some(learned) => learned.reservation(bound, self.in_flight, now),
            None => bound,
        }
    }

    /// The room that a reservation waits for. What the user's limit allows is tried, if need be alone: the
    /// server may be wrong about its own.
    fn room_for(&self, reservation: i64) -> i64 {
        match self.server_limit {
            Some(_) => reservation.min(self.quota().capacity().as_micros()),
            None => reservation,
        }
    }

    /// The quota in force: that of the user, or a lower one that the server names.
    pub(crate) fn quota(&self) -> Quota {
        match self.server_limit {
            Some(limit) => self.resource.quota.with_limit(limit),
            None => self.resource.quota,
        }
    }

    /// The server names its limit. A lower one than the user's holds at once, a higher one never. One of
    /// nothing would let nothing run, and is not believed; nor is less than a hundredth of the user's.
    pub(crate) fn believe(&mut self, limit: Amount, now: Time) {
        let own = self.resource.quota.limit();
        let Some(own) = own.filter(|_| limit > Amount::ZERO) else {
            return;
        };
        let least = Amount::from_micros((own.as_micros() / 100).max(1));
        let lower = Some(limit.max(least)).filter(|limit| *limit < own);
        if lower != self.server_limit {
            self.server_limit = lower;
            self.meter.set(&self.quota(), now);
            self.version += 1;
        }
    }

    /// Why a call of this upper bound cannot go now; `None`: it can.
    pub(crate) fn blocked(&mut self, bound: i64, now: Time) -> Option<Blocked> {
        let paused = (self.paused_until > now).then_some(Blocked::Paused {
            until: self.paused_until,
            told: self.told,
        });
        let quota = self.blocked_by_quota(bound, now);
        match (paused, quota) {
            (Some(Blocked::Paused { until, .. }), Some(Blocked::Until(t))) if t > until => quota,
            (Some(_), Some(Blocked::Held | Blocked::Never)) | (None, _) => quota,
            (Some(_), _) => paused,
        }
    }

    fn blocked_by_quota(&mut self, bound: i64, now: Time) -> Option<Blocked> {
        // A call of no cost still must not go while the resource is in debt or exhausted.
        let need = self.room_for(self.reservation(bound, now)).max(1);
        match self.meter.when(need.saturating_add(self.held), now) {
            Moment::Now => None,
            Moment::At(t) => Some(Blocked::Until(t)),
            Moment::Unknown if need > self.quota().capacity().as_micros() => Some(Blocked::Never),
            Moment::Unknown if self.in_flight > 0 => {
                self.held_is_waited_for = true;
                Some(Blocked::Held)
            }
            Moment::Unknown => Some(Blocked::Never),
        }
    }

    /// Whether `first` can go now and still leave room for `second` at `later`; without a known
    /// moment, whether both fit together once what is in flight has ended.
    pub(crate) fn leaves(
        &mut self,
        first: i64,
        second: i64,
        now: Time,
        later: Option<Time>,
    ) -> bool {
        let first = self.reservation(first, now);
        let second = self.room_for(self.reservation(second, now)).max(1);
        if let (Meter::Slots(slots), None) = (&self.meter, later) {
            return first.saturating_add(second) <= *slots;
        }
        // What is charged now and has come back by then takes nothing from the second.
        let at_dispatch = self.resource.counted == Counted::AtDispatch;
        let back = later.is_some_and(|later| at_dispatch && self.meter.is_back_by(now, later));
        let first = self.held.saturating_add(if back { 0 } else { first });
        self.meter.leaves(first, second, now, later.unwrap_or(now))
    }

    pub(crate) fn hold(&mut self, index: u32, bound: i64, now: Time) -> Hold {
        let amount = self.reservation(bound, now);
        self.held = self.held.saturating_add(amount);
        self.in_flight += 1;
        Hold {
            resource: index,
            charged: false,
            bound,
            amount,
            mark: 0,
            at: now,
        }
    }

    /// The request has left: a server that counts at arrival counts it from now on.
    pub(crate) fn sent(&mut self, hold: &mut Hold, now: Time) {
        let counts = self.resource.counted == Counted::AtDispatch;
        if counts && !hold.charged && !matches!(self.meter, Meter::Slots(_)) {
            hold.mark = self.meter.charge(hold.amount, now);
            (hold.charged, hold.at) = (true, now);
            self.held -= hold.amount;
            self.tell_news();
        }
    }

    /// Replaces the reservation by what was used, and says when that counts, and how much it is.
    pub(crate) fn settle(
        &mut self,
        hold: Hold,
        class: Class,
        usage: Option<i64>,
        now: Time,
    ) -> (Time, i64) {
        self.in_flight -= 1;
        let used = self.used(&hold, class, usage);
        if hold.charged {
            self.meter.adjust(hold.mark, hold.amount, used, now);
        } else {
            self.held -= hold.amount;
            if used > 0 || matches!(self.meter, Meter::Spacing(_)) {
                self.meter.charge(used, now);
            }
        }
        if used < hold.amount || matches!(self.meter, Meter::Slots(_)) {
            self.version += 1;
        }
        self.tell_news();
        self.learn(&hold, class, usage, now);
        // A bucket takes a debt when it is settled: what flowed in before was not for it.
        let late = used > hold.amount && matches!(self.meter, Meter::Bucket(_));
        let at = if hold.charged && !late { hold.at } else { now };
        (at, used)
    }

    fn used(&self, hold: &Hold, class: Class, usage: Option<i64>) -> i64 {
        let known = usage.filter(|_| self.resource.settlement == Settlement::Usage);
        let counts = match class {
            Class::NotSent => return 0,
            Class::Refused { .. } => self.resource.refusals_count,
            Class::Success | Class::Invalid => true,
            Class::Failure | Class::Permanent | Class::Fatal => self.resource.failures_count,
        };
        if counts {
            known.unwrap_or(hold.amount)
        } else {
            0
        }
    }

    fn learn(&mut self, hold: &Hold, class: Class, usage: Option<i64>, now: Time) {
        let capacity = self.quota().capacity().as_micros();
        let (Some(learned), Some(used)) = (&mut self.learned, usage) else {
            return;
        };
        if !matches!(class, Class::Success | Class::Invalid) {
            return;
        }
        let debt = used.saturating_sub(hold.amount);
        if debt > capacity / 100 {
            learned.distrust(now + self.resource.quota.window());
        } else {
            learned.observe(hold.bound, used);
        }
    }

    /// The server refused an attempt that was dispatched at `sent`. Refusals of attempts that were
    /// under way when the episode began belong to it, and only a longer wait changes anything.
    pub(crate) fn refused(
        &mut self,
        sent: Time,
        retry_after: Option<Duration>,
        backoff: &Backoff,
        chance: &mut Chance,
        now: Time,
    ) {
        let same_episode = self.episodes > 0 && sent <= self.episode_start;
        if !same_episode {
            self.episodes += 1;
            self.episode_start = now;
            self.widen_guard();
        }
        match retry_after {
            // A moment that proved too early before is not believed again.
            Some(wait) if self.episodes > 1 => {
                let longest = backoff.longest(self.episodes - 1);
                let own = longest / 2 + chance.below(longest / 2 + 1);
                let told = nanos(wait);
                self.pause(now.plus(told.max(own)), told >= own);
            }
            Some(wait) => self.pause(now + wait, true),
            None if same_episode => {}
            None => {
                // Half of it is certain: a pause of nothing would ask for the next refusal.
                let longest = backoff.longest(self.episodes - 1);
                let wait = longest / 2 + chance.below(longest / 2 + 1);
                self.pause(now.plus(wait), false);
            }
        }
        if !same_episode {
            self.learn_from_refusal(now);
        }
    }

    fn learn_from_refusal(&mut self, now: Time) {
        let booked = self.meter.charged(now).saturating_add(self.held);
        let quota = self.quota().capacity().as_micros();
        if let Some(learned) = &mut self.learned {
            let window = nanos(self.resource.quota.window());
            learned.refused(booked, quota, window, self.paused_until.max(now));
        }
    }

    /// An attempt that was dispatched at `sent` was let through.
    pub(crate) fn accepted(&mut self, sent: Time) {
        if sent > self.episode_start {
            self.episodes = 0;
        }
    }

    pub(crate) fn pause(&mut self, until: Time, told: bool) {
        if until > self.paused_until {
            (self.paused_until, self.told) = (until, told);
        }
    }

    pub(crate) fn set_quota(&mut self, quota: Quota, now: Time) -> Result<(), QuotaError> {
        check_replacement(&self.resource.quota, &quota, &self.resource.name)?;
        self.resource.quota = quota;
        self.guard = self.resource.first_guard();
        let limit = self.server_limit.take();
        self.meter.set(&quota, now);
        if let Some(limit) = limit {
            self.believe(limit, now);
        }
        self.meter.set_guard(self.guard);
        self.version += 1;
        Ok(())
    }

    pub(crate) fn boundary(&mut self, end: Time, next: Time, now: Time) {
        self.meter.boundary(end, next, now);
        self.version += 1;
    }

    pub(crate) fn charged(&mut self, now: Time) -> Amount {
        Amount::from_micros(self.meter.charged(now))
    }

    pub(crate) fn held(&self) -> Amount {
        Amount::from_micros(self.held)
    }

    /// The books as if all that is in flight had been charged now.
    pub(crate) fn snapshot(&self, now: Time) -> crate::snapshot::MeterSnapshot {
        let mut meter = self.meter.clone();
        if self.held > 0 {
            meter.charge(self.held, now);
        }
        meter.snapshot()
    }

    pub(crate) fn restore(&mut self, past: &crate::snapshot::ResourceSnapshot, now: Time) -> bool {
        self.pause(past.paused_until, true);
        self.version += 1;
        self.meter.restore(&past.meter, now)
    }

    /// Takes over what was charged before, the oldest first.
    pub(crate) fn replay(&mut self, charges: &[(Time, Amount)], paused_until: Time, now: Time) {
        self.pause(paused_until, true);
        self.version += 1;
        if self.in_flight == 0 && self.meter.charged(now) <= 0 {
            self.meter
                .replay(&self.resource.quota, self.guard, charges, now);
            return;
        }
        // Its books are in use: what may still count is charged once more, at the safe moment.
        let reach = self.resource.quota.reach();
        let counts = |(at, _): &&(Time, Amount)| reach.is_none_or(|reach| *at + reach > now);
        let sum = |sum: Amount, (_, amount): &(Time, Amount)| sum + *amount;
        let all = charges.iter().filter(counts).fold(Amount::ZERO, sum);
        self.meter.charge(all.as_micros().max(0), now);
    }

    /// What was learnt of the server, beside its charges.
    pub(crate) fn learnt(&self) -> Learnt {
        Learnt {
            guard: self.guard,
            limit: self.server_limit.map_or(0, Amount::as_micros),
            shares: self.learned.as_ref().map(Learned::learnt),
        }
    }

    /// Takes over what was learnt before, as far as it could have been learnt here.
    pub(crate) fn recall(&mut self, learnt: &Learnt, now: Time) {
        self.believe(Amount::from_micros(learnt.limit), now);
        let widest = self.widest_guard().max(self.guard);
        if self.guard > 0 {
            self.guard = learnt.guard.clamp(self.guard, widest);
            self.meter.set_guard(self.guard);
        }
        if let (Some(learned), Some(shares)) = (&mut self.learned, &learnt.shares) {
            learned.recall(shares);
        }
        self.version += 1;
    }

    fn widest_guard(&self) -> u64 {
        nanos(self.resource.quota.window()) / 100
    }

    fn tell_news(&mut self) {
        self.version += u64::from(self.held_is_waited_for);
        self.held_is_waited_for = false;
    }

    fn widen_guard(&mut self) {
        let widest = self.widest_guard();
        if self.guard > 0 && self.guard < widest {
            self.guard = (self.guard * 2).min(widest);
            self.meter.set_guard(self.guard);
        }
    }
}

//! The ledger that a limiter keeps of one resource.

mod refusals;
mod server;
mod spread;

use crate::amount::Amount;
use crate::ceiling::Ceiling;
use crate::error::QuotaError;
use crate::feedback::{Foreign, Stand};
use crate::finder::Finder;
use crate::learned::Learned;
use crate::learnt::Learnt;
use crate::outcome::Class;
use crate::quota::{Mark, Meter, Moment, Quota, check_replacement};
use crate::ramp::Ramp;
use crate::resource::{Counted, Resource, Untold};
use crate::time::{Time, nanos};
use refusals::Refusals;
use spread::Spread;

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
    /// Which of the ledger's meters it was charged to.
    meter: u32,
    /// When it was dispatched.
    dispatched: Time,
    /// When it was charged.
    at: Time,
    /// The books when it was dispatched.
    pub(crate) stand: Stand,
}

/// The ledger of one resource, or of one partition of it.
#[derive(Clone, Debug)]
pub(crate) struct Ledger {
    pub(crate) resource: Resource,
    pub(crate) key: Option<Box<str>>,
    /// The resource that this is a partition of.
    pub(crate) partition_of: Option<u32>,
    /// The account that it belongs to; 0: none.
    pub(crate) account: u16,
    /// The kind of quota and the window in force: those of the resource, unless others were found out.
    base: Quota,
    meter: Meter,
    /// Counts meters: one of another kind takes the place of the one before.
    meters: u32,
    guard: u64,
    /// Reserved and not charged yet.
    held: i64,
    /// What the attempts in flight would take above their reservations at full bounds.
    slack: i64,
    /// The bounds of the attempts in flight.
    flying: i64,
    /// All bounds ever taken: only differences count.
    total: i64,
    tally: Tally,
    /// What the calendar window before this one let through, while a limit is looked for.
    full: Option<i64>,
    in_flight: u32,
    pub(crate) paused_until: Time,
    told: bool,
    refusals: Refusals,
    learned: Option<Learned>,
    /// The limit that the server names, where it is lower than that of the user.
    server_limit: Option<Amount>,
    /// A limit that refusals have shown.
    ceiling: Ceiling,
    /// Looks for a limit that nobody told.
    finder: Option<Finder>,
    /// What the server has counted beyond our own.
    foreign: Foreign,
    /// What was told last to remain, and whether the server has refused in spite of it.
    rest: Option<i64>,
    rest_misleads: bool,
    /// A slow start after refusals.
    ramp: Option<Ramp>,
    /// Where refusals have shown that the server spreads the limit over its window.
    spread: Option<Spread>,
    /// When a bucket was last seen to be spent, until something goes again.
    spent_at: Option<Time>,
    /// Whether someone was told to wait for what is held: its charge then is news to him.
    held_is_waited_for: bool,
    /// Counts what comes back earlier than was foreseen: as long as it stands, a moment that
    /// `blocked` named still holds.
    pub(crate) version: u64,
}

/// What the server let through since a moment that tells something.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    since: Option<Time>,
    passed: i64,
    /// Whether the quota was whole at that moment; else it was spent.
    whole: bool,
    /// The number of the calendar window in which that was.
    window: u64,
}

impl Tally {
    /// What passes in a calendar window of which nothing has passed so far.
    fn of_window(window: u64, now: Time) -> Tally {
        Tally {
            since: Some(now),
            passed: 0,
            whole: true,
            window,
        }
    }
}

impl Ledger {
    pub(crate) fn new(resource: Resource, key: Option<Box<str>>, now: Time) -> Ledger {
        let (base, finder) = match resource.untold {
            Untold::Nothing => (*resource.quota(), None),
            // Its windows are known, and what passes in each.
            Untold::Limit | Untold::LimitAndWindow if resource.quota().boundary().is_some() => {
                (*resource.quota(), Some(Finder::new()))
            }
            // Whatever its kind: what passes is remembered with its moments.
            Untold::Limit | Untold::LimitAndWindow => {
                let window = resource.quota().window();
                (Quota::per(Amount::MAX, window), Some(Finder::new()))
            }
        };
        let guard = resource.first_guard(&base);
        Ledger {
            meter: Meter::new(&base, guard, now),
            meters: 0,
            learned: resource.learns().then(Learned::new),
            resource,
            key,
            partition_of: None,
            account: 0,
            base,
            guard,
            held: 0,
            slack: 0,
            flying: 0,
            total: 0,
            tally: Tally::default(),
            full: None,
            in_flight: 0,
            paused_until: Time::default(),
            told: false,
            refusals: Refusals::default(),
            server_limit: None,
            ceiling: Ceiling::default(),
            finder,
            foreign: Foreign::default(),
            rest: None,
            rest_misleads: false,
            ramp: None,
            spread: None,
            spent_at: None,
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
    /// server may be wrong about its own, and refusals may have other causes.
    fn room_for(&self, reservation: i64) -> i64 {
        if self.is_lowered() {
            reservation.min(self.quota().capacity().as_micros())
        } else {
            reservation
        }
    }

    /// Whether another limit than the user's is in force.
    fn is_lowered(&self) -> bool {
        self.server_limit.is_some() || self.ceiling.limit().is_some()
    }

    /// The quota in force: that of the user, or a lower one that the server names or its refusals have shown.
    pub(crate) fn quota(&self) -> Quota {
        self.quota_under(&self.ceiling)
    }

    /// The quota that is in force with this ceiling.
    fn quota_under(&self, ceiling: &Ceiling) -> Quota {
        let found = ceiling.limit().map(Amount::from_micros);
        let Some(lower) = self.server_limit.into_iter().chain(found).min() else {
            return self.base;
        };
        // What was found may be of an earlier run, under a higher limit.
        let limit = self.base.limit().map_or(lower, |own| own.min(lower));
        self.base.with_limit(limit)
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
        if let Some(until) = self.held_back_until(now) {
            return Some(Blocked::Until(until));
        }
        // A call of no cost still must not go while the resource is in debt or exhausted.
        let reservation = self.reservation(bound, now);
        let mut need = self.room_for(reservation).max(1);
        let mut moment = self.room_at(need, now);
        if moment != Moment::Now && self.tries_more(need, now) {
            need = self.room_for(reservation).max(1);
            moment = self.room_at(need, now);
        }
        match moment {
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

    /// When there is room for `need`, as far as our own charges and those of others are known.
    fn room_at(&mut self, need: i64, now: Time) -> Moment {
        let books = self.room_in_books(need, now);
        match &mut self.spread {
            Some(spread) => spread.when(books, need, now),
            None => books,
        }
    }

    fn room_in_books(&mut self, need: i64, now: Time) -> Moment {
        let ours = need.saturating_add(self.held);
        let window = self.foreign_lasts();
        let foreign = self.foreign.at(now, window);
        if foreign == 0 {
            return self.meter.when(ours, now);
        }
        // Behind its moment it melts away: how far is looked at in steps.
        let until = self
            .foreign
            .until
            .max(now.plus(window / 64).min(self.foreign.until.plus(window)));
        match (
            self.meter.when(ours.saturating_add(foreign), now),
            self.meter.when(ours, now),
        ) {
            (Moment::Now, _) => Moment::Now,
            (_, Moment::Unknown) => Moment::Unknown,
            (Moment::At(t), _) if t < until => Moment::At(t),
            (_, Moment::At(t)) => Moment::At(t.max(until)),
            (_, Moment::Now) => Moment::At(until),
        }
    }

    /// For how long others are taken to go on as before, in nanoseconds: at the end of a calendar window all
    /// begin anew.
    fn foreign_lasts(&self) -> u64 {
        if self.meter.is_calendar() {
            0
        } else {
            nanos(self.base.window())
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
        let at_dispatch = self.resource.when() == Counted::AtDispatch;
        let after = later.unwrap_or(now);
        let spread = self.spread.as_mut();
        if spread.is_some_and(|spread| !spread.leaves(first, second, now, after)) {
            return false;
        }
        let back = later.is_some_and(|later| at_dispatch && self.meter.is_back_by(now, later));
        let first = self.held.saturating_add(if back { 0 } else { first });
        self.meter.leaves(first, second, now, after)
    }

    pub(crate) fn hold(&mut self, index: u32, bound: i64, now: Time) -> Hold {
        let amount = self.reservation(bound, now);
        self.goes(amount, now);
        if let Some(spread) = &mut self.spread {
            spread.goes(amount, now);
        }
        self.held = self.held.saturating_add(amount);
        self.slack = self.slack.saturating_add(bound.saturating_sub(amount));
        self.flying = self.flying.saturating_add(bound);
        self.total = self.total.wrapping_add(bound.max(amount));
        self.in_flight += 1;
        Hold {
            resource: index,
            charged: false,
            bound,
            amount,
            mark: 0,
            meter: self.meters,
            dispatched: now,
            at: now,
            stand: self.stand(now),
        }
    }

    /// Holds what was held of another part, by a request that may have left.
    pub(crate) fn take_over(&mut self, former: &Hold, index: u32, now: Time) -> Hold {
        let mut hold = self.hold(index, former.bound, now);
        if former.charged {
            self.sent(&mut hold, now);
        }
        hold
    }

    /// The request has left: a server that counts at arrival counts it from now on.
    pub(crate) fn sent(&mut self, hold: &mut Hold, now: Time) {
        let counts = self.resource.when() == Counted::AtDispatch;
        if counts && !hold.charged && !matches!(self.meter, Meter::Slots(_)) {
            hold.mark = self.meter.charge(hold.amount, now);
            (hold.charged, hold.at, hold.meter) = (true, now, self.meters);
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
        self.flying = self.flying.saturating_sub(hold.bound);
        self.slack = self
            .slack
            .saturating_sub(hold.bound.saturating_sub(hold.amount));
        let used = self.used(&hold, class, usage);
        if matches!(class, Class::Refused { .. }) {
            self.refusals.before = hold
                .stand
                .booked
                .saturating_sub(hold.bound.max(hold.amount));
        }
        self.passed(&hold, used);
        if let Some(spread) = &mut self.spread {
            spread.settle(&hold, used, now);
        }
        if hold.charged && hold.meter == self.meters {
            self.meter.adjust(hold.mark, hold.amount, used, now);
        } else if hold.charged {
            // Its meter is gone: only what it took above its reservation is new.
            self.meter
                .charge(used.saturating_sub(hold.amount).max(0), now);
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
        let known = usage.filter(|_| self.resource.settles_usage());
        let counts = match class {
            Class::NotSent => return 0,
            Class::Refused { .. } => self.resource.counts_refusals(),
            Class::Success | Class::Invalid => true,
            Class::Failure | Class::Overloaded { .. } | Class::Permanent | Class::Fatal => {
                self.resource.counts_failures()
            }
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
            learned.distrust(now + self.base.window());
        } else {
            learned.observe(hold.bound, used);
        }
    }

    pub(crate) fn pause(&mut self, until: Time, told: bool) {
        if until > self.paused_until {
            (self.paused_until, self.told) = (until, told);
        }
    }

    pub(crate) fn set_quota(&mut self, quota: Quota, now: Time) -> Result<(), QuotaError> {
        check_replacement(self.resource.quota(), &quota, self.resource.name())?;
        self.resource = self.resource.clone().with_quota(quota);
        // What refusals have shown was shown of the former limit.
        (self.ceiling, self.finder, self.spread) = (Ceiling::default(), None, None);
        let limit = self.server_limit.take();
        self.take_kind(quota, now);
        if let Some(limit) = limit {
            self.believe(limit, now);
        }
        Ok(())
    }

    /// Puts the quota in force into the meter.
    fn remeter(&mut self, now: Time) {
        let quota = self.quota();
        self.meter.set(&quota, now);
        if let (Some(spread), Some(limit)) = (&mut self.spread, quota.limit()) {
            spread.set_rate(limit, quota.window(), now);
        }
        self.version += 1;
    }

    /// Counts by this kind of quota and window from now on; what passed of late counts as charged now, where
    /// the kind is another one.
    fn take_kind(&mut self, base: Quota, now: Time) {
        let same = self.base.same_kind(&base);
        self.base = base;
        self.guard = self.resource.first_guard(&base);
        self.meter.set_guard(self.guard);
        if same {
            self.remeter(now);
            return;
        }
        let charged = self.meter.charged(now).max(0);
        self.meter = Meter::new(&self.quota(), self.guard, now);
        self.meters = self.meters.wrapping_add(1);
        self.meter.charge(charged, now);
        self.version += 1;
    }

    pub(crate) fn boundary(&mut self, end: Time, next: Time, now: Time) {
        self.base = self.base.with_boundary(end, next);
        // Whoever changes its limit later starts from what it says.
        self.resource = self.resource.clone().with_boundary(end, next);
        self.meter.boundary(end, next, now);
        self.version += 1;
    }

    pub(crate) fn charged(&mut self, now: Time) -> Amount {
        Amount::from_micros(self.meter.charged(now))
    }

    /// What is charged and still counts, and what is held, in millionths.
    fn booked(&mut self, now: Time) -> i64 {
        self.meter.charged(now).saturating_add(self.held)
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
            self.meter.replay(&self.quota(), self.guard, charges, now);
            return;
        }
        // Its books are in use: what may still count is charged once more, at the safe moment.
        let reach = self.base.reach();
        let since = self.meter.counts_since(now);
        let counts = |(at, _): &&(Time, Amount)| {
            since.is_none_or(|since| *at >= since) && reach.is_none_or(|reach| *at + reach > now)
        };
        let sum = |sum: Amount, (_, amount): &(Time, Amount)| sum + *amount;
        let all = charges.iter().filter(counts).fold(Amount::ZERO, sum);
        self.meter.charge(all.as_micros().max(0), now);
    }

    /// What was learnt of the server, beside its charges.
    pub(crate) fn learnt(&self) -> Learnt {
        Learnt {
            guard: self.guard,
            limit: self.server_limit.map_or(0, Amount::as_micros),
            ceiling: self.ceiling.limit().unwrap_or(0),
            window: self.window_found(),
            shares: self.learned.as_ref().map(Learned::learnt),
        }
    }

    /// Takes over what was learnt before, as far as it could have been learnt here.
    pub(crate) fn recall(&mut self, learnt: &Learnt, now: Time) {
        self.recall_limits(learnt, now);
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
        let widest = nanos(self.base.window()) / 100;
        if self.meter.is_calendar() {
            // Clocks that are set are not further apart, however long the window.
            widest.min(60_000_000_000)
        } else {
            widest
        }
    }

    fn tell_news(&mut self) {
        self.version += u64::from(self.held_is_waited_for);
        self.held_is_waited_for = false;
    }
}

//! Schedulers with a pool: each attempt takes one of several members.

use super::{Phase, Scheduler};
use crate::error::ScheduleError;
use crate::event::{AccountId, Cost, Failure, MemberId, Output, Stop};
use crate::limiter::{Limiter, Reservation, Standing};
use crate::outcome::Class;
use crate::pool::{Ask, Denied, MemberView};
use crate::retry::Verdict;
use crate::time::Time;

impl Scheduler {
    /// Adds a member to the pool: a key of an account. From the first one on each attempt takes one of the
    /// members, and with it what its call costs of that account and of what is of no account; costs are listed
    /// account by account. `None`: the pool has 255 members already.
    ///
    /// To be called before anything is scheduled.
    ///
    /// ```
    /// use rate_limited_core::{
    ///     Amount, Cost, Limiter, Output, Quota, Resource, Scheduler, Settings, Time,
    /// };
    ///
    /// let now = Time::PROCESS_START;
    /// let mut limiter = Limiter::new(now);
    /// let mut scheduler = Scheduler::new(&mut limiter, Settings::default(), now);
    /// let mut costs = Vec::new();
    /// for (name, units) in [("small", 1), ("large", 2)] {
    ///     let account = limiter.account(name);
    ///     let quota = Quota::per_minute(Amount::units(units));
    ///     let resource = Resource::new(format!("requests@{name}"), quota);
    ///     let requests = limiter.add_to(account, resource)?;
    ///     costs.push(Cost::new(requests, Amount::units(1)));
    ///     scheduler.add_member(account);
    /// }
    /// for _ in 0..3 {
    ///     scheduler.schedule(&mut limiter, &costs, now)?;
    /// }
    /// let mut taken = Vec::new();
    /// while let Output::Dispatch { member: Some(member), .. } = scheduler.poll(&mut limiter, now) {
    ///     taken.push(member.index());
    /// }
    /// taken.sort_unstable();
    /// assert_eq!(taken, [0, 1, 1]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn add_member(&mut self, account: AccountId) -> Option<MemberId> {
        self.pool.add(account)
    }

    /// How each member of the pool stands, in the order of their making; none without a pool.
    pub fn members(&self) -> impl Iterator<Item = MemberView> {
        self.pool.views()
    }

    /// Refuses costs that can never fit.
    pub(super) fn check(&mut self, limiter: &Limiter, costs: &[Cost]) -> Result<(), ScheduleError> {
        if self.pool.is_empty() {
            limiter.check(costs)
        } else {
            self.pool.check(limiter, costs)
        }
    }

    #[inline]
    pub(super) fn reserve(
        &mut self,
        limiter: &mut Limiter,
        standing: Standing,
        call: u32,
        now: Time,
    ) -> Result<(Option<MemberId>, Reservation), Denied> {
        let call = self.calls.get(call);
        let ask = Ask {
            who: self.id,
            standing,
            costs: call.costs.as_slice(),
            avoids: call.avoids,
        };
        self.pool.reserve(limiter, &ask, now)
    }

    pub(super) fn claims_in_vain(&mut self, limiter: &mut Limiter, call: u32, now: Time) -> bool {
        let costs = self.calls.get(call).costs.as_slice();
        self.pool.claims_in_vain(limiter, costs, now)
    }

    pub(super) fn drop_member(&mut self, limiter: &mut Limiter, member: MemberId) {
        let was_there = self.pool.drop_member(member, limiter);
        if was_there && !self.pool.is_alive() {
            self.stop(limiter, Stop::Fatal);
        }
    }

    /// A member proved to be of no use: its call goes to another one, if any is left.
    pub(super) fn without(&mut self, limiter: &mut Limiter, member: MemberId) -> Verdict {
        if self.pool.drop_member(member, limiter) {
            self.outbox.push_back(Output::MemberDropped { member });
        }
        if self.pool.is_alive() || self.phase != Phase::Running {
            Verdict::Again { counts: false }
        } else {
            Verdict::GiveUp(Failure::Fatal)
        }
    }

    /// The next attempt of a call that came to nothing prefers another member.
    pub(super) fn avoid(&mut self, call: u32, member: Option<MemberId>, class: Class) {
        if !matches!(class, Class::Success | Class::Invalid) {
            self.calls.get_mut(call).avoids = member;
        }
    }
}

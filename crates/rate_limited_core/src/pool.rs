//! The members of a pool, and which of them takes the next attempt.
//!
//! A member is a key, with the account whose limits hold for it; several members may be of one account. Of those
//! that can take a call now, the one goes that has most room: of whose scarcest resource the largest share stays
//! free. Where that is the same, as for members of one account, it is the one with the fewest attempts in flight.
//! One that failed the call before is taken last.
//!
//! A member is in trouble after [`TROUBLES`] failures in a row: it rests for a back-off, then one attempt at a time
//! asks whether it is well again. Without that a member that is down, whose attempts end at once and
//! cost nothing, would have most room of all.

use crate::backoff::{Backoff, Chance};
use crate::error::ScheduleError;
use crate::event::{AccountId, Cost, MemberId, SchedulerId};
use crate::limiter::{Limiter, Obstacle, Reservation, Standing};
use crate::outcome::Class;
use crate::time::Time;
use core::cmp::Reverse;

/// Failures in a row after which a member rests.
const TROUBLES: u32 = 3;

/// How a member of a pool stands; see [`Scheduler::members`](crate::Scheduler::members).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemberView {
    /// Which member.
    pub member: MemberId,
    /// Its account.
    pub account: AccountId,
    /// Attempts dispatched by it.
    pub attempts: u64,
    /// Of those, attempts in flight.
    pub in_flight: u32,
    /// Until when it is left alone; a moment that has passed means that it is not.
    pub paused_until: Time,
    /// Whether no further attempt takes it.
    pub dropped: bool,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Pool {
    members: Vec<Member>,
    /// The member whose account the protected call waits for.
    claimed: Option<MemberId>,
    /// What a call takes of one account: kept for its room in memory.
    part: Vec<Cost>,
}

#[derive(Clone, Debug)]
struct Member {
    view: MemberView,
    told: bool,
    /// Failures in a row.
    troubles: u32,
    /// The number of its latest dispatch.
    latest: u64,
}

/// What a call asks for.
pub(crate) struct Ask<'a> {
    pub(crate) who: SchedulerId,
    pub(crate) standing: Standing,
    pub(crate) costs: &'a [Cost],
    pub(crate) avoids: Option<MemberId>,
}

/// Why a call cannot go now.
pub(crate) enum Denied {
    Obstacle(Obstacle),
    /// It fits into no member that is left.
    NoMember,
}

impl Pool {
    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    pub(crate) fn add(&mut self, account: AccountId) -> Option<MemberId> {
        let member = MemberId::at(self.members.len())?;
        let view = MemberView {
            member,
            account,
            attempts: 0,
            in_flight: 0,
            paused_until: Time::default(),
            dropped: false,
        };
        self.members.push(Member {
            view,
            told: false,
            troubles: 0,
            latest: 0,
        });
        Some(member)
    }

    pub(crate) fn views(&self) -> impl Iterator<Item = MemberView> {
        self.members.iter().map(|member| member.view)
    }

    /// Whether any member is left.
    pub(crate) fn is_alive(&self) -> bool {
        self.members.iter().any(|member| !member.view.dropped)
    }

    /// Refuses costs that fit into no member.
    pub(crate) fn check(&mut self, limiter: &Limiter, costs: &[Cost]) -> Result<(), ScheduleError> {
        limiter.check_known(costs)?;
        let mut largest: Option<ScheduleError> = None;
        for member in &self.members {
            limiter.select(member.view.account, costs, &mut self.part);
            let Some(cost) = limiter.too_much(&self.part) else {
                return Ok(());
            };
            let error = limiter.never_fits(cost);
            if largest
                .as_ref()
                .is_none_or(|former| quota(former) < quota(&error))
            {
                largest = Some(error);
            }
        }
        largest.map_or(Ok(()), Err)
    }

    /// Takes what the call costs at the member that has most room for it, or says what stands in the way of
    /// the one that can take it first.
    #[inline]
    pub(crate) fn reserve(
        &mut self,
        limiter: &mut Limiter,
        ask: &Ask<'_>,
        now: Time,
    ) -> Result<(Option<MemberId>, Reservation), Denied> {
        if self.is_empty() {
            let reservation = limiter.reserve(ask.who, ask.standing, ask.costs, now);
            return reservation
                .map(|reservation| (None, reservation))
                .map_err(Denied::Obstacle);
        }
        let id = self.choose(limiter, ask, now)?;
        let account = self.members[id.index()].view.account;
        limiter.select(account, ask.costs, &mut self.part);
        let reservation = limiter.reserve(ask.who, ask.standing, &self.part, now);
        reservation
            .map(|reservation| (Some(id), reservation))
            .map_err(Denied::Obstacle)
    }

    fn choose(
        &mut self,
        limiter: &mut Limiter,
        ask: &Ask<'_>,
        now: Time,
    ) -> Result<MemberId, Denied> {
        let mut best = None;
        let mut first: Option<Obstacle> = None;
        for member in self.members.iter().filter(|member| !member.view.dropped) {
            limiter.select(member.view.account, ask.costs, &mut self.part);
            if limiter.too_much(&self.part).is_some() {
                continue;
            }
            let rests = member.rests(limiter, now);
            let obstacle =
                rests.or_else(|| limiter.in_the_way(ask.who, ask.standing, &self.part, now));
            if let Some(obstacle) = obstacle {
                if first.is_none_or(|first| obstacle.patience() < first.patience()) {
                    first = Some(obstacle);
                }
                continue;
            }
            let id = member.view.member;
            let merit = (
                ask.avoids != Some(id),
                limiter.room_after(&self.part, now),
                Reverse(member.view.in_flight),
                Reverse(member.latest),
            );
            if best.is_none_or(|(former, _)| merit > former) {
                best = Some((merit, id));
            }
        }
        match (best, first) {
            (Some((_, id)), _) => Ok(id),
            (None, Some(obstacle)) => Err(Denied::Obstacle(obstacle)),
            (None, None) => Err(Denied::NoMember),
        }
    }

    /// What a call takes at the member that it could take first: nothing may delay it there.
    pub(crate) fn claim<'a>(
        &'a mut self,
        limiter: &mut Limiter,
        costs: &'a [Cost],
        now: Time,
    ) -> &'a [Cost] {
        if self.is_empty() {
            return costs;
        }
        self.claimed = self.first_for(limiter, costs, now);
        self.part.clear();
        if let Some(id) = self.claimed {
            limiter.select(self.members[id.index()].view.account, costs, &mut self.part);
        }
        &self.part
    }

    /// Whether the protected call should wait for another member than it does: its own is dropped, or rests for
    /// longer than another one needs.
    pub(crate) fn claims_in_vain(
        &mut self,
        limiter: &mut Limiter,
        costs: &[Cost],
        now: Time,
    ) -> bool {
        if self.is_empty() {
            return false;
        }
        let useless = self.claimed.is_none_or(|id| {
            let member = &self.members[id.index()];
            limiter.select(member.view.account, costs, &mut self.part);
            member.view.dropped
                || member.rests(limiter, now).is_some()
                || limiter.could_go_at(&self.part, now).1
        });
        useless && self.first_for(limiter, costs, now) != self.claimed
    }

    fn first_for(&mut self, limiter: &mut Limiter, costs: &[Cost], now: Time) -> Option<MemberId> {
        let mut first = None;
        for member in self.members.iter().filter(|member| !member.view.dropped) {
            limiter.select(member.view.account, costs, &mut self.part);
            if limiter.too_much(&self.part).is_some() {
                continue;
            }
            let rests = member.rests(limiter, now).map_or(now, |it| it.patience());
            let at = limiter.could_go_at(&self.part, now).0.max(rests);
            if first.is_none_or(|(former, _)| at < former) {
                first = Some((at, member.view.member));
            }
        }
        first.map(|(_, id)| id)
    }

    /// The account of a member.
    pub(crate) fn account(&self, member: Option<MemberId>) -> Option<AccountId> {
        Some(self.members.get(member?.index())?.view.account)
    }

    /// Puts what an attempt took by its member into a list of its own; without a pool it is all.
    pub(crate) fn taken(
        &self,
        limiter: &Limiter,
        member: Option<MemberId>,
        costs: &[Cost],
    ) -> Option<Vec<Cost>> {
        let account = self.members[member?.index()].view.account;
        let mut taken = Vec::new();
        limiter.select(account, costs, &mut taken);
        Some(taken)
    }

    pub(crate) fn dispatched(&mut self, member: Option<MemberId>, dispatch: u64) {
        if let Some(member) = self.get_mut(member) {
            member.view.attempts += 1;
            member.view.in_flight += 1;
            member.latest = dispatch;
        }
    }

    /// An attempt by the member is no longer in flight.
    pub(crate) fn returned(&mut self, member: Option<MemberId>, limiter: &mut Limiter) {
        if let Some(member) = self.get_mut(member) {
            member.view.in_flight -= 1;
            if member.is_in_trouble() {
                limiter.note_news();
            }
        }
    }

    /// What an outcome says of the member.
    pub(crate) fn heard(
        &mut self,
        member: Option<MemberId>,
        class: Class,
        (backoff, chance): (&Backoff, &mut Chance),
        limiter: &mut Limiter,
        now: Time,
    ) {
        let Some(member) = self.get_mut(member) else {
            return;
        };
        match class {
            Class::Success | Class::Invalid | Class::Permanent => {
                if member.is_in_trouble() {
                    limiter.note_news();
                }
                member.troubles = 0;
            }
            Class::Failure | Class::NotSent | Class::Overloaded { retry_after: None } => {
                member.troubles = member.troubles.saturating_add(1);
                if member.is_in_trouble() {
                    let longest = backoff.longest(member.troubles - TROUBLES);
                    let wait = longest / 2 + chance.below(longest / 2 + 1);
                    member.pause(now.plus(wait), false);
                    limiter.note_news();
                }
            }
            // These pause what they name; a dropped member has no say.
            Class::Refused { .. } | Class::Overloaded { .. } | Class::Fatal => {}
        }
    }

    /// Leaves a member alone: the server refused without naming a resource, or has too much to do.
    pub(crate) fn pause(
        &mut self,
        member: MemberId,
        told: Option<u64>,
        (backoff, chance): (&Backoff, &mut Chance),
        limiter: &mut Limiter,
        now: Time,
    ) {
        let Some(member) = self.get_mut(Some(member)) else {
            return;
        };
        let longest = backoff.longest(member.troubles);
        let own = longest / 2 + chance.below(longest / 2 + 1);
        member.troubles = member.troubles.saturating_add(u32::from(told.is_none()));
        member.pause(now.plus(told.unwrap_or(own)), told.is_some());
        limiter.note_news();
    }

    /// Drops a member; whether it was there before.
    pub(crate) fn drop_member(&mut self, member: MemberId, limiter: &mut Limiter) -> bool {
        let Some(member) = self.get_mut(Some(member)) else {
            return false;
        };
        limiter.note_news();
        !core::mem::replace(&mut member.view.dropped, true)
    }

    fn get_mut(&mut self, member: Option<MemberId>) -> Option<&mut Member> {
        self.members.get_mut(member?.index())
    }
}

impl Member {
    fn is_in_trouble(&self) -> bool {
        self.troubles >= TROUBLES
    }

    fn pause(&mut self, until: Time, told: bool) {
        if until > self.view.paused_until {
            (self.view.paused_until, self.told) = (until, told);
        }
    }

    /// Why it takes no call now, whatever that costs.
    fn rests(&self, limiter: &Limiter, now: Time) -> Option<Obstacle> {
        let paused = self.view.paused_until > now;
        let asks = self.is_in_trouble() && self.view.in_flight > 0;
        (paused || asks).then(|| Obstacle::Member {
            member: self.view.member,
            until: paused.then_some(self.view.paused_until),
            told: self.told,
            stamp: limiter.news_stamp(),
        })
    }
}

fn quota(error: &ScheduleError) -> Option<crate::amount::Amount> {
    match error {
        ScheduleError::NeverFits { quota, .. } => Some(*quota),
        _ => None,
    }
}

//! Calls that go at once or not at all.

use super::{Scheduler, merged, wait_for};
use crate::error::ScheduleError;
use crate::event::{AtOnce, Cost, Output, Wait, WaitingOn};
use crate::ledger::Blocked;
use crate::limiter::{Limiter, Obstacle, Standing};
use crate::outcome::{Class, Outcome};
use crate::pool::{Ask, Denied};
use crate::time::Time;

/// Stopped, or without a member that could take the call.
const NOTHING_GOES: Wait = Wait {
    until: None,
    on: WaitingOn::InFlight,
};

impl Scheduler {
    /// Dispatches a call now, or says when asking again makes sense. A call that cannot go leaves nothing
    /// behind: it does not wait, and keeps nobody from anything. It passes no protected call, and other
    /// schedulers get their turn before it.
    ///
    /// # Errors
    /// As [`Scheduler::schedule`].
    ///
    /// ```
    /// use rate_limited_core::{
    ///     Amount, AtOnce, Cost, Limiter, Quota, Resource, Scheduler, Settings, Time,
    /// };
    ///
    /// let now = Time::PROCESS_START;
    /// let mut limiter = Limiter::new(now);
    /// let requests = limiter.add(Resource::new("requests", Quota::per_minute(Amount::units(1))))?;
    /// let mut scheduler = Scheduler::new(&mut limiter, Settings::default(), now);
    /// let cost = [Cost::new(requests, Amount::units(1))];
    ///
    /// let first = scheduler.dispatch_at_once(&mut limiter, &cost, now)?;
    /// assert!(matches!(first, AtOnce::Dispatched { .. }));
    /// let second = scheduler.dispatch_at_once(&mut limiter, &cost, now)?;
    /// assert!(matches!(second, AtOnce::NotUntil(_)));
    /// assert_eq!(scheduler.progress().waiting, 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn dispatch_at_once(
        &mut self,
        limiter: &mut Limiter,
        costs: &[Cost],
        now: Time,
    ) -> Result<AtOnce, ScheduleError> {
        let now = limiter.tick(now);
        let merged = merged(costs);
        let costs = merged.as_deref().unwrap_or(costs);
        self.check(limiter, costs)?;
        limiter.notes_use(self.id, costs);
        if self.is_stopping() {
            return Ok(AtOnce::NotUntil(NOTHING_GOES));
        }
        let probe = match self.gate(now) {
            Ok(probe) => probe,
            Err(wait) => return Ok(AtOnce::NotUntil(wait)),
        };
        let ask = Ask {
            who: self.id,
            standing: Standing::Other,
            costs,
            avoids: None,
        };
        let taken = match self.pool.reserve(limiter, &ask, now) {
            Ok(taken) => taken,
            Err(Denied::NoMember) => return Ok(AtOnce::NotUntil(NOTHING_GOES)),
            Err(Denied::Obstacle(Obstacle::Resource {
                resource,
                why: Blocked::Never,
                ..
            })) => return Ok(AtOnce::Never(resource)),
            Err(Denied::Obstacle(obstacle)) => return Ok(AtOnce::NotUntil(wait_for(obstacle))),
        };
        let rank = self.progress.scheduled;
        let Some(call) = self.calls.add(costs, rank) else {
            let outcome = Outcome::new(Class::NotSent);
            limiter.settle(taken.1, &outcome, &mut self.entries, now);
            return Err(ScheduleError::Full);
        };
        self.progress.scheduled += 1;
        let Output::Dispatch { call, attempt, .. } = self.dispatch(call, taken, probe, now) else {
            unreachable!("a dispatch is one")
        };
        Ok(AtOnce::Dispatched { call, attempt })
    }
}

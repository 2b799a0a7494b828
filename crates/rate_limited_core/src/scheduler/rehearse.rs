//! A look ahead: what the run will come to.

use super::Scheduler;
use crate::event::{AttemptId, Cost};
use crate::limiter::Limiter;
use crate::plan::{Assumed, Load, Plan, Rehearsal};
use crate::settings::Settings;
use crate::time::Time;

impl Scheduler {
    /// What the run comes to from `now` on, if attempts go as is `assumed`: the calls of this scheduler, and
    /// then those of `load`. Nothing is changed: copies are played to the end on virtual time, at about 2 µs a
    /// step. Other schedulers of the limiter are taken to be idle, and calendar windows not to end.
    ///
    /// ```
    /// use rate_limited_core::{
    ///     Amount, Assumed, Cost, Limiter, Load, Quota, Resource, Scheduler, Settings, Time,
    /// };
    ///
    /// let (now, settings) = (Time::PROCESS_START, Settings::default());
    /// let mut limiter = Limiter::new(now);
    /// let requests = limiter.add(Resource::new("requests", Quota::per_minute(Amount::units(60))))?;
    /// let mut scheduler = Scheduler::new(&mut limiter, settings.clone(), now);
    /// for _ in 0..61 {
    ///     scheduler.schedule(&mut limiter, &[Cost::new(requests, Amount::units(1))], now)?;
    /// }
    /// let none = Load::new(&limiter, &settings, 1);
    /// let plan = scheduler.plan(&limiter, &none, &Assumed::default(), now);
    /// assert_eq!(plan.finish.as_secs(), 61);
    /// assert_eq!(scheduler.progress().waiting, 61);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn plan(&self, limiter: &Limiter, load: &Load, assumed: &Assumed, now: Time) -> Plan {
        Rehearsal::new(self.clone(), limiter.clone(), assumed, now).play(load)
    }

    /// What this scheduler was told.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The attempts in flight, and when they were dispatched.
    pub(crate) fn in_flight(&self) -> impl Iterator<Item = (AttemptId, Time)> {
        let dispatched = |id| Some((id, self.attempts.get(id)?.dispatched));
        self.attempts.ids().into_iter().filter_map(dispatched)
    }

    /// What an attempt in flight costs at most; nothing if it is not in flight. Less may be reserved for it, where
    /// real usage has shown that less is enough.
    ///
    /// ```
    /// use rate_limited_core::{
    ///     Amount, Cost, Limiter, Output, Quota, Resource, Scheduler, Settings, Time,
    /// };
    ///
    /// let now = Time::PROCESS_START;
    /// let mut limiter = Limiter::new(now);
    /// let tokens = limiter.add(Resource::new("tokens", Quota::per_minute(Amount::units(90_000))))?;
    /// let mut scheduler = Scheduler::new(&mut limiter, Settings::default(), now);
    /// scheduler.schedule(&mut limiter, &[Cost::new(tokens, Amount::units(700))], now)?;
    /// let Output::Dispatch { attempt, .. } = scheduler.poll(&mut limiter, now) else {
    ///     panic!("there is room for it");
    /// };
    /// assert_eq!(scheduler.costs_of(attempt), [Cost::new(tokens, Amount::units(700))]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn costs_of(&self, attempt: AttemptId) -> &[Cost] {
        let attempt = self.attempts.get(attempt);
        attempt.map_or(&[], |it| self.calls.get(it.call).costs.as_slice())
    }

    pub(crate) fn look_ahead(&self) -> u64 {
        self.settings.look_ahead.into()
    }

    /// From now on each attempt stands for so many calls.
    pub(crate) fn divide_concurrency(&mut self, by: u32) {
        self.concurrency.divide(by);
    }
}

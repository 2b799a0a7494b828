//! What a run will come to: the same scheduler, played to its end on virtual time.
//!
//! A [`Scheduler`](crate::Scheduler) and its [`Limiter`](crate::Limiter) are plain values. So a plan is no
//! formula: [`Scheduler::plan`](crate::Scheduler::plan) copies both, gives every attempt the time and the
//! usage that are [`Assumed`], and reads off when the last call ends and what it waited for until then. What
//! is not in the scheduler yet is a [`Load`].

mod load;
mod rehearsal;

use crate::amount::Amount;
use crate::event::{CallId, ResourceId, Stop};
use core::time::Duration;
pub use load::Load;
pub(crate) use rehearsal::Rehearsal;

/// What is assumed of attempts that nobody has made yet.
///
/// ```
/// use rate_limited_core::Assumed;
/// use std::time::Duration;
///
/// let assumed = Assumed { latencies: vec![Duration::from_secs(2)], ..Assumed::default() };
/// assert_eq!(assumed.failure_rate, 0.0);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Assumed {
    /// How long attempts take: a sample, each of which is taken as often as any other. The longest decide
    /// when the last call ends. Default: 1 s each.
    pub latencies: Vec<Duration>,
    /// The share of attempts that fail, from 0 to below 1; they are spread evenly. Default 0.
    pub failure_rate: f64,
    /// What calls use of what they cost at most, as a share, where answers settle that. Default: all of it.
    pub used: Vec<(ResourceId, f64)>,
    /// After so many steps of a [`Load`] the rest is taken to go on as the second half of them went.
    /// Default 1,000,000, a few seconds.
    pub steps_max: u64,
}

impl Default for Assumed {
    fn default() -> Assumed {
        Assumed {
            latencies: vec![Duration::from_secs(1)],
            failure_rate: 0.0,
            used: Vec::new(),
            steps_max: 1_000_000,
        }
    }
}

impl Assumed {
    /// How long the `number`th attempt takes.
    #[expect(clippy::cast_sign_loss, reason = "a fraction is not below zero")]
    pub(crate) fn latency(&self, number: u64) -> Duration {
        // Steps of the golden ratio go round evenly, however many there are.
        let place = (number as f64 * 0.618_033_988_749_894_9).fract() * self.latencies.len() as f64;
        let latency = self.latencies.get(place as usize);
        latency.copied().unwrap_or_default()
    }

    /// How long an attempt goes on that has gone on for `age`.
    pub(crate) fn latency_left(&self, number: u64, age: Duration) -> Duration {
        let longer = self.latencies.iter().filter(|latency| **latency > age);
        let count = longer.clone().count().max(1);
        let longer = longer.map(|latency| latency.saturating_sub(age));
        let left = longer.cycle().nth(number as usize % count);
        // What is later than all others may come at any moment.
        left.unwrap_or(self.latency_mean() / 4)
    }

    pub(crate) fn latency_mean(&self) -> Duration {
        let sum: Duration = self.latencies.iter().sum();
        sum / (self.latencies.len() as u32).max(1)
    }

    pub(crate) fn share_of(&self, resource: ResourceId) -> f64 {
        let told = self.used.iter().find(|(id, _)| *id == resource);
        told.map_or(1.0, |(_, share)| share.max(0.0))
    }
}

/// What a run will come to; see [`Scheduler::plan`](crate::Scheduler::plan).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Plan {
    /// The calls that are planned, those in flight included.
    pub calls: u64,
    /// Those of them that will not be over at the end: a budget is spent, or the deadline has come.
    pub unfinished: u64,
    /// Calls of the scheduler that are above a quota which was lowered since they came in: they can never run,
    /// and are among the unfinished ones.
    pub never_fit: Vec<CallId>,
    /// From now until the last call is over.
    pub finish: Duration,
    /// Why it ends before all calls are done, if it does.
    pub stop: Option<Stop>,
    /// Each resource that has an unpartitioned quota, in the order of their making.
    pub resources: Vec<PlannedResource>,
    /// For how long the bound on attempts in flight keeps the next call waiting.
    pub concurrency_binds: Duration,
    /// The most attempts in flight at once.
    pub in_flight_max: u64,
    /// Whether the end of a very long list was not played but taken to go on as before.
    pub is_extrapolated: bool,
}

/// What a plan says of one resource.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct PlannedResource {
    /// Which one.
    pub resource: ResourceId,
    /// Its name.
    pub name: String,
    /// What all attempts cost at most: what a scheduler that learns nothing reserves.
    pub reserved: Amount,
    /// What is charged in the end.
    pub charged: Amount,
    /// For how long it keeps the next call waiting.
    pub binds: Duration,
    /// The share of what it lets through until the last dispatch that is charged; `None` where nothing comes
    /// back with time.
    pub utilisation: Option<f64>,
}

impl Plan {
    /// The resource that keeps calls waiting longest, if any does, and if the bound on attempts in flight
    /// does not bind longer.
    ///
    /// ```
    /// use rate_limited_core::{
    ///     Amount, Assumed, Limiter, Load, Quota, Resource, Scheduler, Settings, Time,
    /// };
    /// use std::time::Duration;
    ///
    /// let now = Time::PROCESS_START;
    /// let mut limiter = Limiter::new(now);
    /// limiter.add(Resource::new("requests", Quota::per_minute(Amount::units(60))))?;
    /// let scheduler = Scheduler::new(&mut limiter, Settings::default(), now);
    /// let mut load = Load::new(&limiter, &Settings::default(), 100_000);
    /// for _ in 0..150 {
    ///     load.add(&[Amount::units(1)]);
    /// }
    /// let plan = scheduler.plan(&limiter, &load, &Assumed::default(), now);
    /// // 60 at once, 60 after one minute, 30 after two, and an answer's time.
    /// assert_eq!(plan.finish.as_secs(), 121);
    /// assert_eq!(plan.binding().map(|resource| &*resource.name), Some("requests"));
    /// # Ok::<(), rate_limited_core::QuotaError>(())
    /// ```
    pub fn binding(&self) -> Option<&PlannedResource> {
        let longest = self
            .resources
            .iter()
            .max_by_key(|resource| resource.binds)?;
        let binds = longest.binds > self.concurrency_binds;
        binds.then_some(longest)
    }
}

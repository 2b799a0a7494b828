//! Calls that are not in a scheduler yet, in little memory.

use crate::amount::Amount;
use crate::event::ResourceId;
use crate::limiter::Limiter;
use crate::settings::{MaxConcurrent, Settings};

/// A bundle takes at most this share of a quota, so that it goes when its calls would have gone.
const BUNDLE_PER_QUOTA: i64 = 200;

/// At least so many bundles fit into the bound on attempts in flight.
const BUNDLES_IN_FLIGHT: u32 = 8;

/// Calls that are not in a scheduler yet, in their order, for [`Scheduler::plan`](crate::Scheduler::plan).
///
/// Where there are more than a bound, neighbours are planned as one call that costs what they cost together,
/// as long as that is at most 0.5 % of each quota and an eighth of the calls that may be in flight at first.
/// Larger ones stay alone, however many they are.
///
/// ```
/// use rate_limited_core::{Amount, Limiter, Load, Quota, Resource, Settings, Time};
///
/// let mut limiter = Limiter::new(Time::PROCESS_START);
/// let tokens = limiter.add(Resource::new("tokens", Quota::per_minute(Amount::units(90_000))))?;
/// let mut load = Load::new(&limiter, &Settings::default(), 100);
/// for _ in 0..1_000 {
///     assert_eq!(load.add(&[Amount::units(10)]), None);
/// }
/// // This one would never fit, and is left out.
/// assert_eq!(load.add(&[Amount::units(90_001)]), Some(tokens));
/// assert_eq!(load.calls(), 1_000);
/// assert!(load.steps() < 500);
/// # Ok::<(), rate_limited_core::QuotaError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Load {
    resources: Vec<Of>,
    accounts: u16,
    calls_max: u32,
    /// From so many bundles on neighbours are joined, and from how many on next.
    steps_max: usize,
    join_at: usize,
    calls: Vec<u32>,
    /// In millionths; so many a bundle as there are resources.
    costs: Vec<i64>,
    total: u64,
}

/// What a call may take of one resource.
#[derive(Clone, Copy, Debug)]
struct Of {
    resource: ResourceId,
    /// By its number from 1 on; 0: of none.
    account: u16,
    call_max: i64,
    bundle_max: i64,
}

/// Calls that are planned as one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bundle<'a> {
    costs: &'a [i64],
    resources: &'a [Of],
}

impl Bundle<'_> {
    pub(crate) fn costs(&self) -> impl Iterator<Item = (ResourceId, Amount)> {
        let costs = self.resources.iter().zip(self.costs);
        costs.map(|(of, micros)| (of.resource, Amount::from_micros(*micros)))
    }
}

impl Load {
    /// No calls so far, that take from the unpartitioned resources which `limiter` has now. Beyond
    /// `steps_max` steps neighbours are joined.
    pub fn new(limiter: &Limiter, settings: &Settings, steps_max: usize) -> Load {
        let of = |(resource, quota): (ResourceId, crate::Quota)| {
            let call_max = quota.capacity().as_micros();
            Of {
                resource,
                account: limiter.account_of(resource),
                call_max,
                bundle_max: call_max / BUNDLE_PER_QUOTA,
            }
        };
        let in_flight = match settings.max_concurrent {
            MaxConcurrent::Fixed(most) => most,
            MaxConcurrent::Auto { start, most } => start.min(most),
        };
        let steps_max = steps_max.max(1);
        Load {
            resources: limiter.quotas().map(of).collect(),
            accounts: limiter.accounts(),
            calls_max: (in_flight / BUNDLES_IN_FLIGHT).max(1),
            steps_max,
            join_at: 2 * steps_max,
            calls: Vec::new(),
            costs: Vec::new(),
            total: 0,
        }
    }

    /// Adds a call that costs this much of each resource, in their order. One that costs more than there
    /// will ever be of a resource is left out: that resource is returned. With
    /// [accounts](Limiter::account) it has to fit into one of them; if it does not, the resource is that with the
    /// largest quota. Costs that are missing are zero.
    pub fn add(&mut self, costs: &[Amount]) -> Option<ResourceId> {
        let micros = |place: usize| costs.get(place).map_or(0, |cost| cost.as_micros().max(0));
        if let Some(above) = self.too_small(micros) {
            return Some(above.resource);
        }
        self.costs.extend((0..self.resources.len()).map(micros));
        self.calls.push(1);
        self.total += 1;
        if self.calls.len() >= self.join_at {
            self.join();
        }
        None
    }

    /// The resource that keeps a call from ever going.
    fn too_small(&self, micros: impl Fn(usize) -> i64) -> Option<Of> {
        let of_account = |account: u16| {
            let mut all = self.resources.iter().enumerate();
            let above =
                all.find(|(place, of)| of.account == account && micros(*place) > of.call_max);
            above.map(|(_, of)| *of)
        };
        if let Some(of_all) = of_account(0) {
            return Some(of_all);
        }
        let mut largest: Option<Of> = None;
        for account in 1..=self.accounts {
            let above = of_account(account)?;
            largest = Some(largest.map_or(above, |former| {
                if former.call_max < above.call_max {
                    above
                } else {
                    former
                }
            }));
        }
        largest
    }

    /// The calls.
    pub fn calls(&self) -> u64 {
        self.total
    }

    /// The steps in which they are planned: calls, or neighbours that are planned as one.
    pub fn steps(&self) -> usize {
        self.calls.len()
    }

    /// Without the first `calls` of them.
    #[must_use]
    pub fn skip(&self, calls: u64) -> Load {
        let mut left = calls.min(self.total);
        let mut from = 0;
        while from < self.calls.len() && left >= u64::from(self.calls[from]) {
            left -= u64::from(self.calls[from]);
            from += 1;
        }
        let mut rest = Load {
            calls: self.calls[from..].to_vec(),
            costs: self.costs[from * self.resources.len()..].to_vec(),
            total: self.total - calls.min(self.total),
            ..self.empty()
        };
        if let Some(first) = rest.calls.first_mut().filter(|_| left > 0) {
            let before = i64::from(*first);
            *first -= left as u32;
            let after = i64::from(*first);
            for cost in rest.costs.iter_mut().take(self.resources.len()) {
                *cost = *cost / before * after;
            }
        }
        rest
    }

    pub(crate) fn bundles(&self) -> impl Iterator<Item = Bundle<'_>> {
        (0..self.calls.len()).map(|place| self.bundle(place))
    }

    /// How many calls a bundle has in the mean, rounded.
    pub(crate) fn calls_per_bundle(&self) -> u32 {
        let bundles = self.calls.len().max(1) as u64;
        ((self.total + bundles / 2) / bundles).max(1) as u32
    }

    fn bundle(&self, place: usize) -> Bundle<'_> {
        let width = self.resources.len();
        Bundle {
            costs: &self.costs[place * width..(place + 1) * width],
            resources: &self.resources,
        }
    }

    fn empty(&self) -> Load {
        Load {
            resources: self.resources.clone(),
            calls: Vec::new(),
            costs: Vec::new(),
            total: 0,
            ..*self
        }
    }

    /// Joins each bundle with its neighbour, where both together are small enough.
    fn join(&mut self) {
        let width = self.resources.len();
        let (mut kept, mut place) = (0, 0);
        while place < self.calls.len() {
            let joins = place + 1 < self.calls.len() && self.may_join(place);
            for of in 0..width {
                let mut cost = self.costs[place * width + of];
                if joins {
                    cost += self.costs[(place + 1) * width + of];
                }
                self.costs[kept * width + of] = cost;
            }
            let next = if joins { self.calls[place + 1] } else { 0 };
            self.calls[kept] = self.calls[place] + next;
            place += 1 + usize::from(joins);
            kept += 1;
        }
        self.calls.truncate(kept);
        self.costs.truncate(kept * width);
        // Where little could be joined it is not tried again before there is much more.
        self.join_at = 2 * kept.max(self.steps_max);
    }

    fn may_join(&self, place: usize) -> bool {
        let width = self.resources.len();
        let (one, other) = (place * width, (place + 1) * width);
        self.calls[place] + self.calls[place + 1] <= self.calls_max
            && self.resources.iter().enumerate().all(|(at, of)| {
                self.costs[one + at].saturating_add(self.costs[other + at]) <= of.bundle_max
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quota::Quota;
    use crate::resource::Resource;
    use crate::time::Time;

    fn load(steps_max: usize) -> Load {
        let mut limiter = Limiter::new(Time::PROCESS_START);
        for (name, quota) in [("requests", 10_000), ("tokens", 1_000_000)] {
            let quota = Quota::per_minute(Amount::units(quota));
            limiter.add(Resource::new(name, quota)).expect("a quota");
        }
        Load::new(&limiter, &Settings::default(), steps_max)
    }

    fn sums(load: &Load) -> (u64, Vec<i64>) {
        let calls = load.calls.iter().map(|calls| u64::from(*calls)).sum();
        let sum = |of| load.costs.iter().skip(of).step_by(2).sum();
        (calls, vec![sum(0), sum(1)])
    }

    #[test]
    fn neighbours_are_joined_and_nothing_is_lost() {
        let mut load = load(100);
        let mut tokens = 0;
        for call in 0..10_000_u32 {
            tokens += i64::from(call % 700);
            load.add(&[Amount::units(1), Amount::units(call % 700)]);
        }
        assert_eq!(
            sums(&load),
            (10_000, vec![10_000 * 1_000_000, tokens * 1_000_000])
        );
        assert!(load.calls.iter().all(|calls| *calls <= 8));
        assert!(load.steps() <= 2_600, "{}", load.steps());
    }

    #[test]
    fn large_calls_stay_alone() {
        let mut load = load(10);
        for _ in 0..1_000 {
            load.add(&[Amount::units(1), Amount::units(4_000)]);
        }
        assert_eq!(load.steps(), 1_000);
    }

    #[test]
    fn calls_are_skipped_also_within_a_bundle() {
        let mut load = load(10);
        for _ in 0..100 {
            load.add(&[Amount::units(1), Amount::units(10)]);
        }
        for skipped in [0, 1, 7, 8, 50, 99, 100, 1_000] {
            let rest = load.skip(skipped);
            let left = 100 - skipped.min(100);
            assert_eq!(rest.calls(), left);
            let micros = |units: u64| (units * 1_000_000) as i64;
            assert_eq!(sums(&rest), (left, vec![micros(left), micros(10 * left)]));
        }
    }
}

//! Calls that are not in a scheduler yet, in little memory.

use crate::amount::Amount;
use crate::event::{Cost, ResourceId};
use crate::limiter::{Limiter, OTHERS, PARTS_MAX};
use crate::quota::Quota;
use crate::resource::Resource;
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
    resources: Vec<Whole>,
    accounts: u16,
    /// Which parts of the resources calls take from; the first is that of no part.
    routes: Vec<Route>,
    calls_max: u32,
    /// From so many bundles on neighbours are joined, and from how many on next.
    steps_max: usize,
    join_at: usize,
    calls: Vec<u32>,
    /// The route of each bundle.
    takes: Vec<u32>,
    /// In millionths; so many a bundle as there are resources.
    costs: Vec<i64>,
    total: u64,
}

/// A resource that is no partition.
#[derive(Clone, Debug)]
struct Whole {
    resource: ResourceId,
    declared: Resource,
    /// By its number from 1 on; 0: of none.
    account: u16,
    call_max: i64,
}

/// The parts of the resources that a call takes from, in the order of the resources.
#[derive(Clone, Debug)]
struct Route {
    keys: Vec<Option<Box<str>>>,
    /// What a call may take of each.
    call_max: Vec<i64>,
}

/// Calls that are planned as one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bundle<'a> {
    pub(crate) route: usize,
    costs: &'a [i64],
}

impl Bundle<'_> {
    /// Its costs, of the parts that its route names.
    pub(crate) fn costs(&self, parts: &[Vec<ResourceId>]) -> impl Iterator<Item = Cost> {
        let costs = parts[self.route].iter().zip(self.costs);
        costs.map(|(id, micros)| Cost::new(*id, Amount::from_micros(*micros)))
    }
}

impl Load {
    /// No calls so far, that take from the resources which `limiter` has now. Beyond `steps_max` steps
    /// neighbours are joined.
    pub fn new(limiter: &Limiter, settings: &Settings, steps_max: usize) -> Load {
        let whole = |(resource, declared, quota): (ResourceId, &Resource, Quota)| Whole {
            resource,
            declared: declared.clone(),
            account: limiter.account_of(resource),
            call_max: quota.capacity().as_micros(),
        };
        let in_flight = match settings.max_concurrent {
            MaxConcurrent::Fixed(most) => most,
            MaxConcurrent::Auto { start, most } => start.min(most),
        };
        let steps_max = steps_max.max(1);
        let resources: Vec<_> = limiter.whole().map(whole).collect();
        let no_part = Route {
            keys: vec![None; resources.len()],
            call_max: resources.iter().map(|whole| whole.call_max).collect(),
        };
        Load {
            resources,
            accounts: limiter.accounts(),
            routes: vec![no_part],
            calls_max: (in_flight / BUNDLES_IN_FLIGHT).max(1),
            steps_max,
            join_at: 2 * steps_max,
            calls: Vec::new(),
            takes: Vec::new(),
            costs: Vec::new(),
            total: 0,
        }
    }

    /// Adds a call that costs this much of each resource, in their order. One that costs more than there
    /// will ever be of a resource is left out: that resource is returned. With
    /// [accounts](Limiter::account) it has to fit into one of them; if it does not, the resource is that with the
    /// largest quota. Costs that are missing are zero.
    pub fn add(&mut self, costs: &[Amount]) -> Option<ResourceId> {
        self.add_to_route(0, costs)
    }

    /// As [`add`](Load::add), of the [partitions](Limiter::partition) of these keys; what has none, or an empty one,
    /// is taken of the resource itself.
    ///
    /// ```
    /// use rate_limited_core::{
    ///     Amount, Assumed, Limiter, Load, Quota, Resource, Scheduler, Settings, Time,
    /// };
    ///
    /// let now = Time::PROCESS_START;
    /// let mut limiter = Limiter::new(now);
    /// limiter.add(Resource::new("requests", Quota::per_minute(Amount::units(60))))?;
    /// let scheduler = Scheduler::new(&mut limiter, Settings::default(), now);
    /// let mut load = Load::new(&limiter, &Settings::default(), 1_000);
    /// for call in 0..120 {
    ///     load.add_parts(&[Amount::units(1)], &[["gpt-4o", "o3"][call % 2]]);
    /// }
    /// // 60 of each at once.
    /// let plan = scheduler.plan(&limiter, &load, &Assumed::default(), now);
    /// assert!(plan.finish.as_secs() <= 3);
    /// # Ok::<(), rate_limited_core::QuotaError>(())
    /// ```
    pub fn add_parts(&mut self, costs: &[Amount], keys: &[&str]) -> Option<ResourceId> {
        let route = self.route(keys);
        self.add_to_route(route, costs)
    }

    fn add_to_route(&mut self, route: usize, costs: &[Amount]) -> Option<ResourceId> {
        let micros = |place: usize| costs.get(place).map_or(0, |cost| cost.as_micros().max(0));
        if let Some(above) = self.too_small(route, micros) {
            return Some(self.resources[above].resource);
        }
        self.costs.extend((0..self.resources.len()).map(micros));
        self.calls.push(1);
        self.takes.push(u32::try_from(route).unwrap_or_default());
        self.total += 1;
        if self.calls.len() >= self.join_at {
            self.join();
        }
        None
    }

    /// The place of the resource that keeps a call of this route from ever going.
    fn too_small(&self, route: usize, micros: impl Fn(usize) -> i64) -> Option<usize> {
        let call_max = &self.routes[route].call_max;
        let of_account = |account: u16| {
            let mut all = self.resources.iter().enumerate();
            let above = |(place, whole): &(usize, &Whole)| {
                whole.account == account && micros(*place) > call_max[*place]
            };
            all.find(above).map(|(place, _)| place)
        };
        if let Some(of_all) = of_account(0) {
            return Some(of_all);
        }
        let mut largest: Option<usize> = None;
        for account in 1..=self.accounts {
            let above = of_account(account)?;
            largest = Some(largest.map_or(above, |former| {
                if call_max[former] < call_max[above] {
                    above
                } else {
                    former
                }
            }));
        }
        largest
    }

    /// The route of these keys; one that is new is added, as far as parts are told apart.
    fn route(&mut self, keys: &[&str]) -> usize {
        let key = |place: usize| keys.get(place).copied().filter(|key| !key.is_empty());
        let places = 0..self.resources.len();
        let is_this = |route: &Route| {
            let mut known = route.keys.iter().enumerate();
            known.all(|(place, known)| known.as_deref() == key(place))
        };
        if let Some(known) = self.routes.iter().position(is_this) {
            return known;
        }
        if self.routes.len() > PARTS_MAX {
            // All further ones share what they take from.
            let others = vec![OTHERS; keys.len()];
            let is_last = keys == others;
            return if is_last {
                self.routes.len() - 1
            } else {
                self.route(&others)
            };
        }
        let call_max = |place: usize| {
            let whole = &self.resources[place];
            let own = key(place).and_then(|key| whole.declared.own_quota(key));
            own.map_or(whole.call_max, |quota| quota.capacity().as_micros())
        };
        self.routes.push(Route {
            keys: places
                .clone()
                .map(|place| key(place).map(Into::into))
                .collect(),
            call_max: places.map(call_max).collect(),
        });
        self.routes.len() - 1
    }

    /// The resources and partitions that each route takes from.
    pub(crate) fn parts(&self, limiter: &mut Limiter) -> Vec<Vec<ResourceId>> {
        let mut part = |(whole, key): (&Whole, &Option<Box<str>>)| match key {
            Some(key) => limiter.partition(whole.resource, key),
            None => whole.resource,
        };
        let mut parts = |route: &Route| {
            self.resources
                .iter()
                .zip(&route.keys)
                .map(&mut part)
                .collect()
        };
        self.routes.iter().map(&mut parts).collect()
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
            takes: self.takes[from..].to_vec(),
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
            route: self.takes[place] as usize,
            costs: &self.costs[place * width..(place + 1) * width],
        }
    }

    fn empty(&self) -> Load {
        Load {
            resources: self.resources.clone(),
            routes: self.routes.clone(),
            calls: Vec::new(),
            takes: Vec::new(),
            costs: Vec::new(),
            total: 0,
            ..*self
        }
    }

    /// Joins each bundle with the next one that takes from the same parts, where both together are small enough.
    fn join(&mut self) {
        let width = self.resources.len();
        // Of each route, where the bundle lies that the next one may join.
        let mut open: Vec<Option<usize>> = vec![None; self.routes.len()];
        let mut kept = 0;
        for place in 0..self.calls.len() {
            let route = self.takes[place] as usize;
            if let Some(into) = open[route].take_if(|into| self.may_join(*into, place)) {
                for of in 0..width {
                    self.costs[into * width + of] += self.costs[place * width + of];
                }
                self.calls[into] += self.calls[place];
                continue;
            }
            for of in 0..width {
                self.costs[kept * width + of] = self.costs[place * width + of];
            }
            (self.calls[kept], self.takes[kept]) = (self.calls[place], self.takes[place]);
            open[route] = Some(kept);
            kept += 1;
        }
        self.calls.truncate(kept);
        self.takes.truncate(kept);
        self.costs.truncate(kept * width);
        // Where little could be joined it is not tried again before there is much more.
        self.join_at = 2 * kept.max(self.steps_max);
    }

    fn may_join(&self, one: usize, other: usize) -> bool {
        let width = self.resources.len();
        let most = &self.routes[self.takes[other] as usize].call_max;
        self.calls[one] + self.calls[other] <= self.calls_max
            && most.iter().enumerate().all(|(at, most)| {
                let [one, other] = [one, other].map(|place| self.costs[place * width + at]);
                one.saturating_add(other) <= most / BUNDLE_PER_QUOTA
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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
    fn calls_of_one_part_are_joined_and_never_those_of_two() {
        let mut load = load(100);
        for call in 0..10_000_usize {
            let model = ["a", "b", ""][call % 3];
            load.add_parts(&[Amount::units(1), Amount::units(7)], &[model, model]);
        }
        let (calls, costs) = sums(&load);
        assert_eq!(
            (calls, costs),
            (10_000, vec![10_000_000_000, 70_000_000_000])
        );
        assert!(load.steps() <= 3_000, "{}", load.steps());
        for route in 0..3 {
            let ours = load.takes.iter().zip(&load.calls);
            let ours = ours.filter(|(takes, _)| **takes == route);
            let sum: u32 = ours.map(|(_, calls)| *calls).sum();
            assert!((3_333..=3_334).contains(&sum), "{route}: {sum}");
        }
    }

    #[test]
    fn however_many_parts_there_are_only_so_many_are_told_apart() {
        let mut load = load(100);
        for call in 0..3_000 {
            let model = format!("model-{call}");
            load.add_parts(&[Amount::units(1)], &[&model]);
        }
        assert_eq!(load.calls(), 3_000);
        assert!(load.routes.len() <= PARTS_MAX + 2);
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

//! The limits of a run: told or not, by their places among the resources of the runner.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use rate_limited::http::Unit;
use rate_limited::{Amount, Member, PlannedResource, Quota, ResourceId, Resources, Runner};
use rate_limited_apis as apis;

use crate::calling::call::{CallError, Reply};
use crate::calling::meter::Meter;
use crate::calling::parts::{Cost, Parts};
use crate::calling::preset::Preset;
use crate::calling::untold::Untold;
use crate::refusal::Refusal;
use crate::running::bill::Bill;
use crate::running::job::Job;
use crate::values::limit::Limit;

/// All limits of a run. Each knows its place among the resources of the runner: account by account.
#[derive(Clone, Debug, Default)]
pub(crate) struct Meters {
    told: Vec<Meter>,
    /// Limits that nobody told: of accounts of which no limit is told, and of models of which none is.
    untold: Vec<Untold>,
    /// The limit on what the run costs: the last one.
    bill: Option<Bill>,
    /// The members of a pool and their accounts, by name.
    members: Vec<(String, String)>,
}

/// A limit that was told, or one that was not.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Slot<'a> {
    Told(&'a Meter),
    Untold(&'a Untold),
}

impl<'a> Slot<'a> {
    fn place(&self) -> usize {
        match self {
            Slot::Told(meter) => meter.place,
            Slot::Untold(untold) => untold.place,
        }
    }

    /// Its parts.
    fn parts(self) -> &'a Parts {
        match self {
            Slot::Told(meter) => &meter.parts,
            Slot::Untold(untold) => &untold.parts,
        }
    }

    pub(crate) fn unit(self) -> Unit {
        match self {
            Slot::Told(meter) => meter.unit,
            Slot::Untold(untold) => untold.unit,
        }
    }
}

impl Meters {
    /// The meters of these limits: on requests and tokens, or on what the API meters.
    ///
    /// # Errors
    /// A limit on something else; two of one name for one window; less than one request.
    pub(crate) fn new(limits: &[Limit], preset: Option<Preset>) -> Result<Meters, Refusal> {
        let limits: Vec<Limit> = limits.iter().map(|it| adopted(it, preset)).collect();
        Limit::check_distinct(&limits)?;
        // Of those for one resource and window the one for all models stands for all, or else the first.
        let first = |limit: &Limit| {
            let group = limits.iter().filter(|it| are_of_one(it, limit, preset));
            group.min_by_key(|it| it.key.is_some())
        };
        let is_first =
            |limit: &&Limit| first(limit).is_some_and(|first| std::ptr::eq(first, *limit));
        let groups: Vec<&Limit> = limits.iter().filter(is_first).collect();
        let alone = |name: &str| groups.iter().filter(|limit| limit.name == name).count() == 1;
        let mut meters = Meters::default();
        for limit in &groups {
            let (spec, unit) = metered(limit, preset)?;
            let beside = limits.iter().filter(|it| are_of_one(it, limit, preset));
            let told: Vec<_> = beside.filter(|it| it.key.is_some()).cloned().collect();
            if unit == Unit::Requests {
                told.iter()
                    .chain([*limit])
                    .try_for_each(check_lets_one_pass)?;
            }
            if let (Some(spec), Some(single)) = (
                spec.filter(|it| !it.has_parts() && !it.names_parts()),
                told.first(),
            ) {
                return Err(Refusal::NoParts {
                    limit: single.clone(),
                    resource: spec.name.clone(),
                });
            }
            let window = limit.window_written();
            let name = if alone(&limit.name) {
                limit.name.clone()
            } else {
                format!("{}/{window}", limit.name)
            };
            let place = meters.bill_place();
            if limit.key.is_some() {
                let mut untold = Untold::beside((name, unit), spec, told);
                untold.place = place;
                meters.untold.push(untold);
                continue;
            }
            meters.told.push(Meter {
                name,
                unit,
                limit: (*limit).clone(),
                account: None,
                place,
                spec,
                parts: Parts::new(spec, told),
            });
        }
        if limits.is_empty() {
            meters.untold = Untold::of(preset);
        }
        Ok(meters)
    }

    /// The meters of a pool: those of each account, and its members with their accounts.
    ///
    /// # Errors
    /// As [`Meters::new`].
    pub(crate) fn of_pool(
        accounts: &[(String, Vec<Limit>)],
        members: Vec<(String, String)>,
        preset: Option<Preset>,
    ) -> Result<Meters, Refusal> {
        let (mut told, mut untold) = (Vec::new(), Vec::new());
        for (account, limits) in accounts {
            let before = told.len() + untold.len();
            let of_account = Meters::new(limits, preset)?;
            told.extend(of_account.told.into_iter().map(|meter| Meter {
                account: Some(account.clone()),
                place: before + meter.place,
                ..meter
            }));
            let of_account = of_account.untold.into_iter();
            untold.extend(of_account.map(|it| it.of_account(account, before)));
        }
        Ok(Meters {
            told,
            untold,
            members,
            bill: None,
        })
    }

    /// How many accounts there are; a run without a pool has none.
    pub(crate) fn accounts(&self) -> usize {
        let mut accounts: Vec<_> = self.members.iter().map(|(_, account)| account).collect();
        accounts.sort();
        accounts.dedup();
        accounts.len()
    }

    /// Whether calls go to several members.
    pub(crate) fn is_pool(&self) -> bool {
        !self.members.is_empty()
    }

    /// Beside the limits of the API, one on what the run costs.
    pub(crate) fn with_bill(self, bill: Option<Bill>) -> Meters {
        Meters { bill, ..self }
    }

    /// The limit on what the run costs.
    pub(crate) fn bill(&self) -> Option<&Bill> {
        self.bill.as_ref()
    }

    /// Whether a resource of the runner is the limit on what the run costs: it is the last one.
    pub(crate) fn is_bill(&self, place: usize) -> bool {
        self.bill.is_some() && place == self.bill_place()
    }

    pub(crate) fn iter(&self) -> std::slice::Iter<'_, Meter> {
        self.told.iter()
    }

    /// The limits that nobody told.
    #[cfg(feature = "simulate")]
    pub(crate) fn untold(&self) -> &[Untold] {
        &self.untold
    }

    /// The run's resource for one of the API, over the window that the API has: of those that the attempt takes from.
    pub(crate) fn of_api(&self, resource: &str, resources: &Resources) -> Option<ResourceId> {
        let told = self.iter().filter(|meter| meter.is_of(resource));
        let untold = self.untold.iter().filter(|it| it.is_of(resource));
        let told = told.map(|meter| &meter.name);
        let mut names = told.chain(untold.map(|it| &it.name));
        names.find_map(|name| resources.find(name))
    }

    /// The accounts of a pool of which no limit is told.
    pub(crate) fn found_out(&self) -> Vec<&str> {
        let accounts = self.untold.iter().filter_map(|it| it.account.as_deref());
        let mut accounts: Vec<_> = accounts.collect();
        accounts.dedup();
        accounts
    }

    /// All limits in the order of their places: those of the resources of the runner, but for that on costs.
    pub(crate) fn slots(&self) -> Vec<Slot<'_>> {
        let told = self.told.iter().map(Slot::Told);
        let mut slots: Vec<_> = told.chain(self.untold.iter().map(Slot::Untold)).collect();
        slots.sort_by_key(Slot::place);
        slots
    }

    /// A limit that was told, by its place.
    pub(crate) fn get(&self, place: usize) -> Option<&Meter> {
        self.told.iter().find(|meter| meter.place == place)
    }

    /// The limit that was told for a resource at a place, or for a part of one: its name has the key in brackets.
    pub(crate) fn limit_of(
        &self,
        place: usize,
        part_of: Option<ResourceId>,
        name: &str,
    ) -> Option<&Limit> {
        let Some(whole) = part_of else {
            return self.limit_at(place, None);
        };
        let key = name.strip_suffix(']').and_then(|name| name.split_once('['));
        self.limit_at(whole.index(), key.map(|(_, key)| key))
    }

    /// The same for a resource of a plan.
    pub(crate) fn limit_of_planned(&self, planned: &PlannedResource) -> Option<&Limit> {
        self.limit_of(planned.resource.index(), planned.part_of, &planned.name)
    }

    fn limit_at(&self, place: usize, key: Option<&str>) -> Option<&Limit> {
        let own = key.and_then(|key| self.parts().nth(place)?.limit_of(key));
        own.or_else(|| Some(&self.get(place)?.limit))
    }

    /// The name of a resource by its place.
    pub(crate) fn name(&self, place: usize) -> Option<String> {
        let told = self.get(place).map(Meter::full_name);
        let untold = || self.untold.iter().find(|it| it.place == place);
        told.or_else(|| untold().map(Untold::full_name))
    }

    /// The limits as they are written on the command line.
    pub(crate) fn written(&self) -> String {
        let parts = self.parts().flat_map(Parts::told);
        let limits = self.iter().map(Meter::written);
        let limits = limits.chain(parts.map(Limit::to_string));
        limits.collect::<Vec<_>>().join(", ")
    }

    /// The resources by name, with their quotas.
    pub(crate) fn quotas(&self) -> Vec<(String, Quota)> {
        let quota = |slot: Slot<'_>| match slot {
            Slot::Told(meter) => (meter.full_name(), meter.as_quota()),
            Slot::Untold(untold) => untold.as_quota(),
        };
        let slots = self.slots().into_iter().map(quota);
        slots.chain(self.bill.as_ref().map(Bill::quota)).collect()
    }

    /// A runner of attempts by the member at a place, under these limits.
    pub(crate) fn runner<F, Fut>(&self, attempt: F) -> Runner<Arc<Job>, Reply>
    where
        F: Fn(usize, Arc<Job>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Reply, CallError>> + Send + 'static,
    {
        let bill = self.bill.as_ref().map(Bill::resource);
        if !self.is_pool() {
            let runner = Runner::new(move |job| attempt(0, job));
            let told = self.iter().map(Meter::resource);
            let untold = self.untold.iter().map(Untold::resource);
            let resources = told.chain(untold).chain(bill);
            return resources.fold(runner, Runner::resource);
        }
        let mut known: Vec<&str> = Vec::new();
        let mut members = Vec::new();
        for (place, (name, account)) in self.members.iter().enumerate() {
            let mut member = Member::new(name, place).account(account);
            if !known.contains(&account.as_str()) {
                known.push(account);
                let told = self
                    .iter()
                    .filter(|it| it.account.as_ref() == Some(account));
                let untold = self.untold.iter();
                let untold = untold.filter(|it| it.account.as_ref() == Some(account));
                let ours = told.map(Meter::resource);
                let ours = ours.chain(untold.map(Untold::resource));
                member = ours.fold(member, Member::resource);
            }
            members.push(member);
        }
        bill.into_iter()
            .fold(Runner::pool(members, attempt), Runner::resource)
    }

    /// What a request takes of each resource, in the order of the resources.
    pub(crate) fn amounts(
        &self,
        tokens: u64,
        costs: &[Cost],
        charge: Option<Amount>,
    ) -> Vec<Amount> {
        let mut amounts = vec![Amount::ZERO; self.bill_place()];
        for meter in self.iter() {
            amounts[meter.place] = meter.amount(tokens, costs);
        }
        for untold in &self.untold {
            amounts[untold.place] = untold.amount(tokens, costs);
        }
        amounts.extend(self.bill.as_ref().map(|_| charge.unwrap_or_default()));
        amounts
    }

    /// The part that a request takes from of each resource, in the order of the resources; empty: none.
    pub(crate) fn keys<'a>(&self, model: Option<&'a str>, costs: &'a [Cost]) -> Vec<&'a str> {
        let parts = self.parts();
        parts.map(|parts| parts.key(model, costs)).collect()
    }

    /// The parts of each resource, in the order of the resources.
    pub(crate) fn parts(&self) -> impl Iterator<Item = &Parts> {
        self.slots().into_iter().map(Slot::parts)
    }

    /// The place of the limit on what the run costs.
    pub(crate) fn bill_place(&self) -> usize {
        self.told.len() + self.untold.len()
    }

    /// The same for a request whose answer may have so many tokens less.
    pub(crate) fn lean(&self, amounts: &[Amount], tokens_less: u64) -> Vec<Amount> {
        let less = Amount::count(tokens_less)
            .unwrap_or(Amount::MAX)
            .as_micros();
        let lean = |(place, amount): (usize, &Amount)| {
            let unit = self.get(place).map(|meter| meter.unit);
            match unit {
                Some(Unit::Tokens | Unit::OutputTokens) => {
                    Amount::from_micros((amount.as_micros() - less).max(0))
                }
                _ => *amount,
            }
        };
        amounts.iter().enumerate().map(lean).collect()
    }

    /// Whether a resource has this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        let untold = || self.untold.iter().any(|it| it.name == name);
        self.iter().any(|meter| meter.name == name) || untold()
    }

    /// The resource that a refusal speaks of, of those that the attempt takes from. Of several windows the shortest
    /// is meant most often, and a pause that the server names is right for any of them.
    pub(crate) fn named(&self, unit: Unit, resources: &Resources) -> Option<ResourceId> {
        let of_unit = self.iter().filter(|meter| meter.unit == unit);
        let known = of_unit.filter_map(|it| Some((it.limit.window, resources.find(&it.name)?)));
        let untold = || {
            let found = self.untold.iter().find(|it| it.unit == unit)?;
            resources.find(&found.name)
        };
        let shortest = known.min_by_key(|(window, _)| *window).map(|(_, id)| id);
        shortest.or_else(untold)
    }

    /// The limit on tokens that has the smallest quota, of a pool that of the account with the most: what is above it
    /// can never be sent.
    pub(crate) fn fewest_tokens(&self) -> Option<&Meter> {
        let fewest = |account: Option<&String>| {
            let of_tokens = self.iter().filter(|meter| meter.unit == Unit::Tokens);
            let ours = of_tokens.filter(|meter| meter.account.as_ref() == account);
            // A request of a model that has more is looked at when it is scheduled.
            let roomy = |meter: &&Meter| meter.parts.told().is_empty();
            ours.filter(roomy)
                .min_by_key(|meter| meter.limit.quota_micros)
        };
        if !self.is_pool() {
            return fewest(None);
        }
        let accounts = self
            .members
            .iter()
            .map(|(_, account)| fewest(Some(account)));
        let all = accounts.collect::<Option<Vec<_>>>()?;
        all.into_iter().max_by_key(|meter| meter.limit.quota_micros)
    }
}

/// The same limit as the API has it: over its own window it follows the calendar as the description says.
pub(crate) fn adopted(limit: &Limit, preset: Option<Preset>) -> Limit {
    let mut limit = pooled(limit, preset);
    let spec = preset.and_then(|preset| preset.resource(&limit.name));
    if let Some(spec) = spec.filter(|spec| spec.window == Some(limit.window)) {
        limit.calendar = limit.calendar.or_else(|| spec.calendar());
    }
    limit
}

/// The same limit, where it is for a model that shares its limits with others for all of these.
fn pooled(limit: &Limit, preset: Option<Preset>) -> Limit {
    let pool = |key: &String| preset.map_or(key.clone(), |it| it.api().pool(key).to_owned());
    Limit {
        key: limit.key.as_ref().map(pool),
        ..limit.clone()
    }
}

/// Whether two limits are of one resource of a run: for the same window, of whatever parts. Parts that answers name have
/// windows of their own.
fn are_of_one(one: &Limit, other: &Limit, preset: Option<Preset>) -> bool {
    let is_of_part = one.key.is_some() || other.key.is_some();
    let named = || preset?.resource(&one.name).filter(|it| it.names_parts());
    one.is_over(other) || (is_of_part && one.name == other.name && named().is_some())
}

/// What a limit is on.
fn metered(
    limit: &Limit,
    preset: Option<Preset>,
) -> Result<(Option<&'static apis::Resource>, Unit), Refusal> {
    let spec = preset.and_then(|preset| preset.resource(&limit.name));
    let unit = match (limit.name.as_str(), spec, preset) {
        (_, Some(spec), _) => spec.unit,
        ("requests", None, None) => Unit::Requests,
        ("tokens", None, None) => Unit::Tokens,
        _ => {
            let known = preset.map(Preset::resources);
            return Err(Refusal::UnknownResource {
                limit: limit.clone(),
                known: known.unwrap_or_else(|| "requests and tokens".to_owned()),
            });
        }
    };
    Ok((spec, unit))
}

/// Each call takes a whole request: a quota below that would never let one pass.
fn check_lets_one_pass(limit: &Limit) -> Result<(), Refusal> {
    let micros = limit.quota_micros.unsigned_abs();
    if micros >= 1_000_000 {
        return Ok(());
    }
    let nanos = limit.window.as_nanos() * 1_000_000 / u128::from(micros.max(1));
    let instead = Limit {
        quota_micros: 1_000_000,
        window: Duration::from_nanos(nanos.try_into().unwrap_or(u64::MAX)),
        ..limit.clone()
    };
    let [limit, instead] = [limit.clone(), instead].map(Box::new);
    Err(Refusal::BelowOne { limit, instead })
}

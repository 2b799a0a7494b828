//! The limits of a run: their resources, and how long work takes under them.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rate_limited::http::Unit;
use rate_limited::{
    Amount, AmountError, Anchor, Counted, Member, Quota, Resource, ResourceId, Resources, Runner,
    Time, Units,
};
use rate_limited_apis::{self as apis, Kind, Moment, Settlement};

use crate::bill::Bill;
use crate::call::{CallError, Reply};
use crate::job::Job;
use crate::limit::Limit;
use crate::preset::Preset;
use crate::refusal::Refusal;
use crate::untold::Untold;

/// How late a request may be counted by the server, as far as that costs at most 1 % of a window: it
/// has left when it is written to a connection, which the server may not even have accepted yet.
const LATENESS: Duration = Duration::from_millis(100);

/// How much the clocks of two machines usually differ at most.
const CLOCKS_DIFFER: Duration = Duration::from_secs(2);

/// What all calls take of each unit.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Work {
    pub(crate) requests: f64,
    pub(crate) tokens: f64,
}

impl Work {
    /// The work of so many calls, with so many tokens in all.
    #[expect(
        clippy::cast_precision_loss,
        reason = "a figure to show, never to count with"
    )]
    pub(crate) fn new(requests: u64, tokens: u64) -> Work {
        let (requests, tokens) = (requests as f64, tokens as f64);
        Work { requests, tokens }
    }

    pub(crate) fn of(&self, unit: Unit) -> f64 {
        match unit {
            Unit::Tokens => self.tokens,
            Unit::Requests => self.requests,
            // Of others it is not known before.
            _ => 0.0,
        }
    }
}

/// One limit as the runner meters it.
#[derive(Clone, Debug)]
pub(crate) struct Meter {
    /// The resource: the limit's name, with its window where the name alone is not enough.
    pub(crate) name: String,
    pub(crate) unit: Unit,
    pub(crate) limit: Limit,
    /// The account of a pool that has it.
    account: Option<String>,
    /// Its number among the resources of the runner.
    pub(crate) place: usize,
    /// What the description of the API says of it.
    spec: Option<&'static apis::Resource>,
}

impl Meter {
    /// The name by which it is known among those of all accounts.
    pub(crate) fn full_name(&self) -> String {
        match &self.account {
            Some(account) => format!("{}@{account}", self.name),
            None => self.name.clone(),
        }
    }

    /// The account of a pool that has it.
    pub(crate) fn account(&self) -> Option<&str> {
        self.account.as_deref()
    }

    /// The limit as it is written, and whose it is.
    pub(crate) fn written(&self) -> String {
        match &self.account {
            Some(account) => format!("{} of {account}", self.limit),
            None => self.limit.to_string(),
        }
    }

    /// The quota in units.
    pub(crate) fn quota(&self) -> f64 {
        Amount::from_micros(self.limit.quota_micros).as_units()
    }

    /// Whether it is the API's own resource of this name, over the window that the API has.
    pub(crate) fn is_of(&self, resource: &str) -> bool {
        let spec = self.spec.filter(|spec| spec.name == resource);
        spec.is_some_and(|spec| spec.window == Some(self.limit.window))
    }

    /// How much a second.
    pub(crate) fn rate(&self) -> f64 {
        self.quota() / self.limit.window.as_secs_f64()
    }

    /// The end of its present window of the calendar, if it follows one.
    pub(crate) fn window_end(&self) -> Option<SystemTime> {
        let window = self.limit.calendar.as_ref()?.window_at(SystemTime::now());
        window.map(|window| window.end)
    }

    fn as_quota(&self) -> Quota {
        let (quota, window) = (
            Amount::from_micros(self.limit.quota_micros),
            self.limit.window,
        );
        if self.limit.calendar.is_some() {
            // When it ends is of no matter here.
            return Quota::FixedWindow {
                amount: quota,
                window,
                anchor: Anchor::FirstCall,
            };
        }
        let spec = self.spec.filter(|spec| spec.window == Some(window));
        match spec.filter(|spec| spec.kind == Some(Kind::Bucket) || spec.slice.is_some()) {
            // It needs no calendar.
            Some(spec) => spec.quota(quota, Moment::from_seconds(0), &|_| Time::default()),
            // No window of another kind refuses what a sliding one lets through.
            None => None,
        }
        .unwrap_or(Quota::per(quota, window))
    }

    fn resource(&self) -> Resource<Arc<Job>, Reply> {
        let Some(spec) = self.spec else {
            return self.plain_resource();
        };
        let resource = described(self.bare_resource(), spec);
        match spec.counted {
            Some(apis::Counted::Completion) => resource,
            _ => self.guarded(resource),
        }
    }

    /// Its quota alone.
    fn bare_resource(&self) -> Resource<Arc<Job>, Reply> {
        match self.limit.calendar.clone() {
            Some(calendar) => {
                let quota = Amount::from_micros(self.limit.quota_micros);
                Resource::per_calendar(self.name.clone(), quota, calendar)
            }
            None => Resource::new(self.name.clone(), self.as_quota()),
        }
    }

    /// What a request takes, of so many tokens and with these costs: the same as the resource says.
    fn amount(&self, tokens: u64, costs: &[(&str, Amount)]) -> Amount {
        match self.spec {
            Some(spec) => {
                let cost = costs.iter().find(|(name, _)| *name == spec.name);
                cost.map_or(Amount::ZERO, |(_, amount)| *amount)
            }
            None if self.unit == Unit::Tokens => Amount::count(tokens).unwrap_or(Amount::MAX),
            None => Amount::units(1),
        }
    }

    fn guarded(&self, resource: Resource<Arc<Job>, Reply>) -> Resource<Arc<Job>, Reply> {
        let window = self.limit.window;
        let guard = (window / 250).max(LATENESS.min(window / 100));
        // Of a calendar it is for the difference of two clocks, too, which is no share of a day.
        let is_calendar = self.limit.calendar.is_some();
        resource.guard(if is_calendar {
            guard.min(CLOCKS_DIFFER)
        } else {
            guard
        })
    }

    fn plain_resource(&self) -> Resource<Arc<Job>, Reply> {
        let resource = self.guarded(self.bare_resource());
        match self.unit {
            Unit::Tokens => resource
                .cost(|job: &Arc<Job>| job.tokens)
                .usage(|_: &Arc<Job>, reply: &Reply| Told(reply.used("tokens", Unit::Tokens)))
                .learn(true),
            _ => resource,
        }
    }
}

/// A resource as the description of the API has it: what calls cost, and what is charged.
pub(crate) fn described(
    resource: Resource<Arc<Job>, Reply>,
    spec: &'static apis::Resource,
) -> Resource<Arc<Job>, Reply> {
    let (name, unit) = (spec.name.as_str(), spec.unit);
    let counted = match spec.counted {
        Some(apis::Counted::Completion) => Counted::AtCompletion,
        _ => Counted::AtDispatch,
    };
    let resource = resource
        .cost(move |job: &Arc<Job>| job.cost(name))
        .counted(counted)
        .failures_count(spec.failures_count.unwrap_or(true))
        .refusals_count(spec.refusals_count.unwrap_or(false));
    match spec.settlement {
        // What was estimated is charged, whatever is used.
        None | Some(Settlement::Keep) => resource,
        Some(_) => {
            let used = move |_: &Arc<Job>, reply: &Reply| Told(reply.used(name, unit));
            resource.usage(used).learn(true)
        }
    }
}

/// What an answer tells, or that it tells nothing.
struct Told(Option<Amount>);

impl Units for Told {
    fn units(self) -> Result<Amount, AmountError> {
        self.0.ok_or(AmountError::NotANumber)
    }
}

/// All limits of a run. Each knows its place among the resources of the runner: account by account.
#[derive(Clone, Debug, Default)]
pub(crate) struct Meters {
    told: Vec<Meter>,
    /// Limits that nobody told: of accounts of which no limit is told.
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

impl Slot<'_> {
    fn place(&self) -> usize {
        match self {
            Slot::Told(meter) => meter.place,
            Slot::Untold(untold) => untold.place,
        }
    }

    /// The name by which it is known among those of all accounts.
    pub(crate) fn full_name(&self) -> String {
        match self {
            Slot::Told(meter) => meter.full_name(),
            Slot::Untold(untold) => untold.full_name(),
        }
    }

    /// The limit that was told, in units.
    pub(crate) fn quota(&self) -> Option<f64> {
        match self {
            Slot::Told(meter) => Some(meter.quota()),
            Slot::Untold(_) => None,
        }
    }
}

/// A limit that several accounts have, each for its calls: together they let through what each does.
#[derive(Clone, Debug)]
pub(crate) struct Joint {
    pub(crate) name: String,
    pub(crate) unit: Unit,
    /// As it is written, account by account.
    pub(crate) limit: String,
    pub(crate) quota: f64,
    /// How much a second.
    pub(crate) rate: f64,
    /// When its window of the calendar ends, if it follows one, and how long others are.
    pub(crate) ends: Option<(SystemTime, Duration)>,
    /// The places of its meters.
    pub(crate) places: Vec<usize>,
}

impl Joint {
    /// How long the limit alone makes this work take, in seconds; below zero: it fits several times.
    fn seconds_for(&self, work: f64) -> f64 {
        let waits = (work - self.quota) / self.rate;
        let windows = (work / self.quota).ceil() - 1.0;
        match self.ends {
            Some((end, window)) if windows >= 1.0 => {
                let left = end.duration_since(SystemTime::now()).unwrap_or_default();
                left.as_secs_f64() + (windows - 1.0) * window.as_secs_f64()
            }
            _ => waits,
        }
    }
}

impl Meters {
    /// The meters of these limits: on requests and tokens, or on what the API meters.
    ///
    /// # Errors
    /// A limit on something else; two of one name for one window; less than one request.
    pub(crate) fn new(limits: &[Limit], preset: Option<Preset>) -> Result<Meters, Refusal> {
        Limit::check_distinct(limits)?;
        let alone = |name: &str| limits.iter().filter(|limit| limit.name == name).count() == 1;
        let meter = |(place, limit): (usize, &Limit)| {
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
            if unit == Unit::Requests {
                check_lets_one_pass(limit)?;
            }
            let mut limit = limit.clone();
            // What the API has over this window it has as the description says.
            if let Some(spec) = spec.filter(|spec| spec.window == Some(limit.window)) {
                limit.calendar = limit.calendar.or_else(|| spec.calendar());
            }
            let window = limit.window_written();
            let name = if alone(&limit.name) {
                limit.name.clone()
            } else {
                format!("{}/{window}", limit.name)
            };
            Ok(Meter {
                name,
                unit,
                limit,
                account: None,
                place,
                spec,
            })
        };
        let told = limits.iter().enumerate().map(meter);
        let told: Vec<_> = told.collect::<Result<_, _>>()?;
        let untold = if told.is_empty() {
            Untold::of(preset)
        } else {
            Vec::new()
        };
        Ok(Meters {
            told,
            untold,
            bill: None,
            members: Vec::new(),
        })
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
        self.bill.is_some() && place == self.told.len() + self.untold.len()
    }

    pub(crate) fn iter(&self) -> std::slice::Iter<'_, Meter> {
        self.told.iter()
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

    /// The name of a resource by its place.
    pub(crate) fn name(&self, place: usize) -> Option<String> {
        let told = self.get(place).map(Meter::full_name);
        let untold = || self.untold.iter().find(|it| it.place == place);
        told.or_else(|| untold().map(Untold::full_name))
    }

    /// The limits as they are written on the command line.
    pub(crate) fn written(&self) -> String {
        let limits: Vec<_> = self.iter().map(Meter::written).collect();
        limits.join(", ")
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
        costs: &[(&str, Amount)],
        charge: Option<Amount>,
    ) -> Vec<Amount> {
        let mut amounts = vec![Amount::ZERO; self.told.len() + self.untold.len()];
        for meter in self.iter() {
            amounts[meter.place] = meter.amount(tokens, costs);
        }
        for untold in &self.untold {
            amounts[untold.place] = untold.amount(costs);
        }
        amounts.extend(self.bill.as_ref().map(|_| charge.unwrap_or_default()));
        amounts
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

    /// The limits, those of one name of all accounts taken together. What one of them does not limit is not
    /// limited.
    pub(crate) fn joint(&self) -> Vec<Joint> {
        let mut accounts: Vec<_> = self.members.iter().map(|(_, account)| account).collect();
        accounts.sort();
        accounts.dedup();
        let mut joint: Vec<Joint> = Vec::new();
        for meter in self.iter() {
            let place = meter.place;
            if let Some(known) = joint.iter_mut().find(|it| it.name == meter.name) {
                known.quota += meter.quota();
                known.rate += meter.rate();
                known.limit = format!("{} + {}", known.limit, meter.limit);
                known.ends = known.ends.filter(|_| meter.limit.calendar.is_some());
                known.places.push(place);
                continue;
            }
            joint.push(Joint {
                name: meter.name.clone(),
                unit: meter.unit,
                limit: meter.limit.to_string(),
                quota: meter.quota(),
                rate: meter.rate(),
                ends: meter.window_end().map(|end| (end, meter.limit.window)),
                places: vec![place],
            });
        }
        joint.retain(|it| it.places.len() >= accounts.len());
        joint
    }

    /// The limit that takes longest for this work, and how long: what does not fit into the first
    /// window has to wait for quota to come back. `None`: all of it fits at once.
    pub(crate) fn binding(&self, work: Work) -> Option<(Joint, Duration)> {
        let waits = |limit: &Joint| limit.seconds_for(work.of(limit.unit));
        let joint = self.joint().into_iter();
        let longest = joint.max_by(|a, b| waits(a).total_cmp(&waits(b)))?;
        let wait = Some(waits(&longest)).filter(|wait| *wait > 0.0)?;
        Some((longest, seconds(wait)))
    }

    /// The limit on tokens that has the smallest quota, of a pool that of the account with the most: what is above it
    /// can never be sent.
    pub(crate) fn fewest_tokens(&self) -> Option<&Meter> {
        let fewest = |account: Option<&String>| {
            let of_tokens = self.iter().filter(|meter| meter.unit == Unit::Tokens);
            let ours = of_tokens.filter(|meter| meter.account.as_ref() == account);
            ours.min_by_key(|meter| meter.limit.quota_micros)
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

    /// How many calls a second the limits allow, for calls of this mean size.
    pub(crate) fn calls_per_second(&self, mean: Work) -> Option<f64> {
        let joint = self.joint().into_iter();
        let takes = joint.filter(|limit| mean.of(limit.unit) > 0.0);
        takes
            .map(|limit| limit.rate / mean.of(limit.unit))
            .min_by(f64::total_cmp)
    }
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
    let limit = limit.clone();
    Err(Refusal::BelowOne { limit, instead })
}

/// So many seconds; what is no duration becomes the longest there is.
pub(crate) fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX)
}

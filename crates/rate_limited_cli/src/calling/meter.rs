//! One limit of a run: its resource, and what calls take of it.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rate_limited::http::Unit;
use rate_limited::{Amount, AmountError, Anchor, Counted, Quota, Resource, Time, Units};
use rate_limited_apis::{self as apis, Kind, Moment, Settlement};

use crate::calling::call::Reply;
use crate::calling::parts::{Cost, Parts};
use crate::running::job::Job;
use crate::values::limit::Limit;

/// How late a request may be counted by the server, as far as that costs at most 1 % of a window: it
/// has left when it is written to a connection, which the server may not even have accepted yet.
const LATENESS: Duration = Duration::from_millis(100);

/// How much the clocks of two machines usually differ at most.
const CLOCKS_DIFFER: Duration = Duration::from_secs(2);

/// One limit as the runner meters it.
#[derive(Clone, Debug)]
pub(crate) struct Meter {
    /// The resource: the limit's name, with its window where the name alone is not enough.
    pub(crate) name: String,
    pub(crate) unit: Unit,
    pub(crate) limit: Limit,
    /// The account of a pool that has it.
    pub(crate) account: Option<String>,
    /// Its number among the resources of the runner.
    pub(crate) place: usize,
    /// What the description of the API says of it.
    pub(crate) spec: Option<&'static apis::Resource>,
    pub(crate) parts: Parts,
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
        self.limit.window_end()
    }

    pub(crate) fn as_quota(&self) -> Quota {
        quota_of(self.spec, &self.limit)
    }

    pub(crate) fn resource(&self) -> Resource<Arc<Job>, Reply> {
        let resource = self.bare_resource();
        let resource = match self.spec {
            Some(spec) => described(resource, spec),
            None => plain(resource, self.unit),
        };
        let counted = self.spec.and_then(|spec| spec.counted);
        let resource = match counted {
            Some(apis::Counted::Completion) => resource,
            _ => resource.guard(self.guard()),
        };
        self.parts.of(resource, |limit| quota_of(self.spec, limit))
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
    pub(crate) fn amount(&self, tokens: u64, costs: &[Cost]) -> Amount {
        amount(self.spec, self.unit, tokens, costs)
    }

    fn guard(&self) -> Duration {
        let window = self.limit.window;
        let guard = (window / 250).max(LATENESS.min(window / 100));
        // Of a calendar it is for the difference of two clocks, too, which is no share of a day.
        match self.limit.calendar {
            Some(_) => guard.min(CLOCKS_DIFFER),
            None => guard,
        }
    }
}

/// What a limit is to the scheduler, of a resource that the API's description may know.
pub(crate) fn quota_of(spec: Option<&apis::Resource>, limit: &Limit) -> Quota {
    let (quota, window) = (Amount::from_micros(limit.quota_micros), limit.window);
    if limit.calendar.is_some() {
        return in_calendar(quota, window);
    }
    let spec = spec.filter(|spec| spec.window == Some(window));
    // No window of another kind refuses what a sliding one lets through.
    let own = spec.and_then(|spec| kept_kind(spec, quota));
    own.unwrap_or(Quota::per(quota, window))
}

/// A quota in windows of a calendar: when they end is told by the resource.
pub(crate) fn in_calendar(amount: Amount, window: Duration) -> Quota {
    Quota::FixedWindow {
        amount,
        window,
        anchor: Anchor::FirstCall,
    }
}

/// The quota in the kind that the description says, where that is kept.
pub(crate) fn kept_kind(spec: &apis::Resource, quota: Amount) -> Option<Quota> {
    // Of parts that answers name they tell the end of the window, too.
    let keeps = spec.kind == Some(Kind::Bucket) || spec.slice.is_some() || spec.names_parts();
    // It needs no calendar.
    let quota = || spec.quota(quota, Moment::from_seconds(0), &|_| Time::default());
    keeps.then(quota).flatten()
}

/// What a request takes of a resource, of so many tokens and with these costs.
pub(crate) fn amount(
    spec: Option<&apis::Resource>,
    unit: Unit,
    tokens: u64,
    costs: &[Cost],
) -> Amount {
    match spec {
        Some(spec) => {
            let cost = costs.iter().find(|cost| cost.resource == spec.name);
            cost.map_or(Amount::ZERO, |cost| cost.amount)
        }
        None if unit == Unit::Tokens => Amount::count(tokens).unwrap_or(Amount::MAX),
        None => Amount::units(1),
    }
}

/// A resource of an API of which nothing else is known.
pub(crate) fn plain(resource: Resource<Arc<Job>, Reply>, unit: Unit) -> Resource<Arc<Job>, Reply> {
    match unit {
        Unit::Tokens => resource
            .cost(|job: &Arc<Job>| job.tokens)
            .usage(|_: &Arc<Job>, reply: &Reply| Told(reply.used("tokens", Unit::Tokens)))
            .learn(true),
        _ => resource,
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

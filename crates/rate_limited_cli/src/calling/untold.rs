//! Limits that nobody told: they are found out from what answers name, and from refusals.

use std::sync::Arc;
use std::time::Duration;

use rate_limited::http::Unit;
use rate_limited::{Amount, Calendar, Quota, Resource};
use rate_limited_apis::{self as apis, Kind};

use crate::calling::call::Reply;
use crate::calling::meter::{amount, described, in_calendar, kept_kind, plain, quota_of};
use crate::calling::parts::{Cost, Parts};
use crate::calling::preset::Preset;
use crate::running::job::Job;
use crate::values::limit::Limit;

/// A resource whose limit is found out.
#[derive(Clone, Debug)]
pub(crate) struct Untold {
    pub(crate) name: String,
    pub(crate) unit: Unit,
    /// The account of a pool that has it.
    pub(crate) account: Option<String>,
    /// Its number among the resources of the runner.
    pub(crate) place: usize,
    /// What the description of the API says of it.
    spec: Option<&'static apis::Resource>,
    /// The window, where limits for single parts told one.
    window: Option<Duration>,
    /// The calendar that the windows follow, if they follow one: that of the API, or that of the limits for single parts.
    calendar: Option<Calendar>,
    pub(crate) parts: Parts,
}

impl Untold {
    /// Those of a run for which no limit is known: what the answers of the API tell, or else its requests.
    pub(crate) fn of(preset: Option<Preset>) -> Vec<Untold> {
        let specs = preset.map(|preset| &*preset.api().resources);
        let metered = || {
            specs
                .into_iter()
                .flatten()
                .filter(|spec| is_of_a_window(spec))
        };
        let told: Vec<_> = metered()
            .filter(|spec| is_told(spec))
            .map(Untold::new)
            .collect();
        let mut all = told;
        if all.is_empty() {
            let of_requests = metered().find(|spec| spec.unit == Unit::Requests);
            all.push(of_requests.map_or_else(Untold::requests, Untold::new));
        }
        for (place, untold) in all.iter_mut().enumerate() {
            untold.place = place;
        }
        all
    }

    fn new(spec: &'static apis::Resource) -> Untold {
        Untold {
            name: spec.name.clone(),
            unit: spec.unit,
            account: None,
            place: 0,
            spec: Some(spec),
            window: None,
            calendar: spec.calendar(),
            parts: Parts::new(Some(spec), Vec::new()),
        }
    }

    /// What is told for some parts only: for the others it is found out.
    pub(crate) fn beside(
        (name, unit): (String, Unit),
        spec: Option<&'static apis::Resource>,
        told: Vec<Limit>,
    ) -> Untold {
        // The window of a part that answers name is that of no other.
        let first = told.first();
        let first = first.filter(|_| !spec.is_some_and(apis::Resource::names_parts));
        Untold {
            name,
            unit,
            account: None,
            place: 0,
            spec,
            window: first.map(|limit| limit.window),
            calendar: first.and_then(|limit| limit.calendar.clone()),
            parts: Parts::new(spec, told),
        }
    }

    fn requests() -> Untold {
        Untold {
            name: "requests".to_owned(),
            unit: Unit::Requests,
            account: None,
            place: 0,
            spec: None,
            window: None,
            calendar: None,
            parts: Parts::default(),
        }
    }

    /// The same in an account of a pool, of which so many resources come before it.
    pub(crate) fn of_account(self, account: &str, before: usize) -> Untold {
        Untold {
            account: Some(account.to_owned()),
            place: before + self.place,
            ..self
        }
    }

    /// The name by which it is known among those of all accounts.
    pub(crate) fn full_name(&self) -> String {
        match &self.account {
            Some(account) => format!("{}@{account}", self.name),
            None => self.name.clone(),
        }
    }

    /// Whether it is the API's resource of this name.
    pub(crate) fn is_of(&self, resource: &str) -> bool {
        let its_own = |spec: &apis::Resource| self.window.is_none_or(|it| spec.window == Some(it));
        let spec = self.spec.filter(|spec| its_own(spec));
        spec.is_some_and(|spec| spec.name == resource)
    }

    /// What a request takes, with these costs: the same as the resource says.
    pub(crate) fn amount(&self, tokens: u64, costs: &[Cost]) -> Amount {
        amount(self.spec, self.unit, tokens, costs)
    }

    pub(crate) fn resource(&self) -> Resource<Arc<Job>, Reply> {
        let named = |shape| match self.calendar.clone() {
            Some(calendar) => Resource::per_calendar(self.name.clone(), 1, calendar),
            None => Resource::new(self.name.clone(), shape),
        };
        let resource = match (self.spec, self.shape()) {
            (Some(spec), Some(shape)) => described(named(shape), spec).untold_limit(),
            (None, Some(shape)) => plain(named(shape), self.unit).untold_limit(),
            (_, None) => Resource::untold(self.name.clone()),
        };
        self.parts.of(resource, |limit| quota_of(self.spec, limit))
    }

    /// The kind of its quota, and its window.
    fn shape(&self) -> Option<Quota> {
        let one = Amount::units(1);
        if let Some(calendar) = &self.calendar {
            return Some(in_calendar(one, calendar.usual_length()));
        }
        let Some(spec) = self.spec else {
            return Some(Quota::per(one, self.window?));
        };
        let is_its_own = self.window.is_none_or(|window| spec.window == Some(window));
        match is_its_own.then(|| kept_kind(spec, one)).flatten() {
            Some(shape) => Some(shape),
            None => Some(Quota::per(one, self.window.or(spec.window)?)),
        }
    }

    /// What the journal is told of it.
    pub(crate) fn as_quota(&self) -> (String, Quota) {
        let unknown = || Quota::per(Amount::MAX, UNKNOWN_WINDOW);
        (self.full_name(), self.shape().unwrap_or_else(unknown))
    }
}

/// For how long charges are kept while no window is known.
const UNKNOWN_WINDOW: Duration = Duration::from_secs(600);

/// Whether it is a quota of a window: how many at once, and budgets, are none.
fn is_of_a_window(spec: &apis::Resource) -> bool {
    let kind = spec.kind;
    spec.window.is_some() && !matches!(kind, Some(Kind::Slots | Kind::Budget | Kind::Spacing))
}

/// Whether answers tell its limit.
fn is_told(spec: &apis::Resource) -> bool {
    let map = &spec.feedback;
    map.limit.is_some() || !map.used_of.is_empty() || !map.policy.is_empty()
}

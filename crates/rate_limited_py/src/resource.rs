//! Resources as Python declares them.

use crate::account::{self, limiter};
use crate::api::Api;
use crate::clock::now;
use pyo3::exceptions::{PyOverflowError, PyValueError};
use pyo3::prelude::*;
use rate_limited_apis as apis;
use rate_limited_calendar::{Calendar, CalendarError};
use rate_limited_core::{Amount, Counted, Quota, Resource, ResourceId, Settlement};
use std::time::Duration;

/// Adds a resource of `quota` units in every window of `window` seconds to the quotas of the process. A quota of
/// None is found out; so is a window of None, which goes with it. A quota without a window is a budget: nothing of it
/// comes back.
///
/// `at_completion`: counted when a call ends, else when it is sent. `learn`: reserve what such calls
/// used so far. `meter`: the resource of an API's description, which then says when it counts, and how its
/// quota comes back. `calendar`: its windows end when that says, and `window` is how long they usually are. `parts`:
/// the quotas and windows of keys that have their own, the first one that fits counts. Gives the number of the resource.
#[pyfunction]
#[pyo3(signature = (name, quota, window, at_completion, learn, meter=None, calendar=None, parts=Vec::new()))]
#[expect(clippy::too_many_arguments, reason = "each has a name in Python")]
pub(crate) fn add_resource(
    name: &str,
    quota: Option<f64>,
    window: Option<f64>,
    at_completion: bool,
    learn: bool,
    meter: Option<(PyRef<'_, Api>, String)>,
    calendar: Option<&str>,
    parts: Vec<(String, f64, f64)>,
) -> PyResult<usize> {
    let spec = spec_of(meter.as_ref());
    let calendar = calendar.map(calendar_of).transpose()?;
    let counted = if at_completion {
        Counted::AtCompletion
    } else {
        Counted::AtDispatch
    };
    let mut limiter = limiter();
    // Names are for people; two resources of one name in a process are two.
    let number = limiter.resources().count();
    let name = format!("{name}#{number}");
    let declare = |quota| match spec {
        Some(spec) => spec.declare_as(name.clone(), quota),
        None => Resource::new(name.clone(), quota)
            .counted(counted)
            .settlement(Settlement::Usage)
            .learn(learn),
    };
    let resource = match (quota, window) {
        (Some(quota), Some(_)) if calendar.is_some() => {
            let amount = amount_of(quota)?;
            let quota = calendar.as_ref().map(|calendar| calendar.quota(amount));
            declare(quota.unwrap_or(Quota::per_minute(amount)))
        }
        (Some(quota), Some(window)) => declare(quota_of(quota, window, spec)?),
        // Whatever it is for is spent when the request leaves.
        (Some(quota), None) => {
            declare(quota_of(quota, f64::INFINITY, spec)?).counted(Counted::AtDispatch)
        }
        (None, Some(window)) => declare(quota_of(1.0, window, spec)?).untold_limit(),
        (None, None) => declare(Quota::per_minute(Amount::units(1))).untold_limit_and_window(),
    };
    let resource = with_parts(resource, parts, calendar.as_ref(), spec)?;
    let id = limiter
        .add(resource)
        .map_err(|error| PyValueError::new_err(error.to_string()))?;
    if let Some(calendar) = calendar.filter(|_| quota.is_some()) {
        limiter.follow(id, calendar);
    }
    Ok(id.index())
}

/// The resource with the quotas of single parts. Where it follows a calendar, so do they.
fn with_parts(
    resource: Resource,
    parts: Vec<(String, f64, f64)>,
    calendar: Option<&Calendar>,
    spec: Option<&apis::Resource>,
) -> PyResult<Resource> {
    parts
        .into_iter()
        .try_fold(resource, |resource, (key, quota, window)| {
            let quota = match calendar {
                Some(calendar) => calendar.quota(amount_of(quota)?),
                None => quota_of(quota, window, spec)?,
            };
            Ok(resource.quota_for(key, quota))
        })
}

/// How long the windows of a calendar usually are, in seconds. Raises `ValueError` where the text names none.
#[pyfunction]
pub(crate) fn calendar_seconds(calendar: &str) -> PyResult<f64> {
    Ok(calendar_of(calendar)?.usual_length().as_secs_f64())
}

fn calendar_of(text: &str) -> PyResult<Calendar> {
    let calendar = text.parse();
    calendar.map_err(|error: CalendarError| PyValueError::new_err(error.to_string()))
}

/// Replaces the quota of a resource; what is charged stays charged.
#[pyfunction]
#[pyo3(signature = (resource, quota, window, meter=None))]
pub(crate) fn set_quota(
    resource: usize,
    quota: f64,
    window: f64,
    meter: Option<(PyRef<'_, Api>, String)>,
) -> PyResult<()> {
    let quota = quota_of(quota, window, spec_of(meter.as_ref()))?;
    let wakes = {
        let mut limiter = limiter();
        let id = find(&limiter, resource)?;
        let quota = comes_back_like(limiter.view(id, now()).resource.quota(), quota);
        let result = limiter.set_quota(id, quota, now());
        result.map_err(|error| PyValueError::new_err(error.to_string()))?;
        limiter.take_wakes()
    };
    account::wake(&wakes, None);
    Ok(())
}

/// The books of a resource: what is charged and still counts, what calls in flight hold, the limit in force (None:
/// none is known yet), and for how many seconds it is paused.
#[pyfunction]
pub(crate) fn resource_view(resource: usize) -> PyResult<(f64, f64, Option<f64>, f64)> {
    let mut limiter = limiter();
    let id = find(&limiter, resource)?;
    let now = now();
    let view = limiter.view(id, now);
    Ok((
        view.charged.as_units(),
        view.held.as_units(),
        view.limit.map(Amount::as_units),
        view.paused_until.since(now).as_secs_f64(),
    ))
}

/// A key, what is charged and held, the limit, and for how many seconds it is paused.
type Part = (String, f64, f64, Option<f64>, f64);

/// The books of the parts of a resource, in the order of their first use: the key, and what `resource_view` tells.
#[pyfunction]
pub(crate) fn resource_parts(resource: usize) -> PyResult<Vec<Part>> {
    let mut limiter = limiter();
    let whole = find(&limiter, resource)?;
    let now = now();
    let all: Vec<_> = limiter.resources().collect();
    let mut parts = Vec::new();
    for id in all {
        let view = limiter.view(id, now);
        let Some(key) = view.key.filter(|_| view.part_of == Some(whole)) else {
            continue;
        };
        parts.push((
            key,
            view.charged.as_units(),
            view.held.as_units(),
            view.limit.map(Amount::as_units),
            view.paused_until.since(now).as_secs_f64(),
        ));
    }
    Ok(parts)
}

pub(crate) fn find(limiter: &rate_limited_core::Limiter, index: usize) -> PyResult<ResourceId> {
    let found = limiter.resources().nth(index);
    found.ok_or_else(|| PyValueError::new_err(format!("there is no resource number {index}")))
}

/// The new quota in the kind of the old one, which a resource keeps: over another window than the
/// description's, what was a bucket stays one, with the same share of it as burst.
fn comes_back_like(old: &Quota, new: Quota) -> Quota {
    match (old, &new) {
        // It follows its calendar as before.
        (Quota::FixedWindow { .. }, _) => match new.limit() {
            Some(limit) => old.with_limit(limit),
            None => new,
        },
        (
            Quota::TokenBucket {
                amount: of, burst, ..
            },
            Quota::SlidingWindow { amount, window },
        ) => {
            let share = burst.as_units() / of.as_units();
            let burst = Amount::cost(amount.as_units() * share).unwrap_or(*amount);
            Quota::bucket(*amount, *window, burst)
        }
        (Quota::SlidingWindow { .. }, Quota::TokenBucket { amount, per, .. }) => {
            Quota::per(*amount, *per)
        }
        _ => new,
    }
}

fn spec_of<'a>(meter: Option<&'a (PyRef<'_, Api>, String)>) -> Option<&'a apis::Resource> {
    meter.and_then(|(api, name)| api.get().resource(name))
}

fn quota_of(quota: f64, window: f64, spec: Option<&apis::Resource>) -> PyResult<Quota> {
    let amount = amount_of(quota)?;
    if window.is_infinite() {
        return Ok(Quota::Budget { amount });
    }
    let window = Duration::try_from_secs_f64(window)
        .map_err(|_| PyOverflowError::new_err(format!("a window of {window} seconds is none")))?;
    let described = spec.and_then(|spec| crate::api::quota(spec, amount, window));
    Ok(described.unwrap_or(Quota::per(amount, window)))
}

fn amount_of(quota: f64) -> PyResult<Amount> {
    Amount::cost(quota).map_err(|error| PyValueError::new_err(error.to_string()))
}

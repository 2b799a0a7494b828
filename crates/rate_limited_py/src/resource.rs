//! Resources as Python declares them.

use crate::account::{self, limiter};
use crate::api::Api;
use crate::clock::now;
use pyo3::exceptions::{PyOverflowError, PyValueError};
use pyo3::prelude::*;
use rate_limited_core::{Amount, Counted, Feedback, Quota, Resource, ResourceId, Settlement};
use std::time::Duration;

/// Adds a resource of `quota` units in every window of `window` seconds to the quotas of the process.
///
/// `at_completion`: counted when a call ends, else when it is sent. `learn`: reserve what such calls
/// used so far. `meter`: the resource of an API's description, which then says when it counts, and how its
/// quota comes back. Gives the number of the resource.
#[pyfunction]
#[pyo3(signature = (name, quota, window, at_completion, learn, meter=None))]
pub(crate) fn add_resource(
    name: &str,
    quota: f64,
    window: f64,
    at_completion: bool,
    learn: bool,
    meter: Option<(PyRef<'_, Api>, String)>,
) -> PyResult<usize> {
    let spec = spec_of(meter.as_ref());
    let quota = quota_of(quota, window, spec)?;
    let counted = if at_completion {
        Counted::AtCompletion
    } else {
        Counted::AtDispatch
    };
    let mut limiter = limiter();
    // Names are for people; two resources of one name in a process are two.
    let number = limiter.resources().count();
    let name = format!("{name}#{number}");
    let resource = match spec {
        Some(spec) => spec.declare_as(name, quota),
        None => Resource::new(name, quota)
            .counted(counted)
            .settlement(Settlement::Usage)
            .learn(learn),
    };
    let id = limiter
        .add(resource)
        .map_err(|error| PyValueError::new_err(error.to_string()))?;
    Ok(id.index())
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

/// The server names the limit of a resource, over its window: one below the quota holds at once, one above it
/// never does.
#[pyfunction]
pub(crate) fn hear_limit(resource: usize, limit: f64) -> PyResult<()> {
    // What is no amount is no limit.
    let Ok(limit) = Amount::usage(limit) else {
        return Ok(());
    };
    let wakes = {
        let mut limiter = limiter();
        let id = find(&limiter, resource)?;
        let told = Feedback {
            limit: Some(limit),
            ..Feedback::default()
        };
        limiter.feedback(id, &told, now());
        limiter.take_wakes()
    };
    account::wake(&wakes, None);
    Ok(())
}

/// What is charged and still counts, what is held by calls in flight, and the quota.
#[pyfunction]
pub(crate) fn resource_view(resource: usize) -> PyResult<(f64, f64, f64)> {
    let mut limiter = limiter();
    let id = find(&limiter, resource)?;
    let view = limiter.view(id, now());
    let quota = view.resource.quota().capacity();
    Ok((
        view.charged.as_units(),
        view.held.as_units(),
        quota.as_units(),
    ))
}

pub(crate) fn find(limiter: &rate_limited_core::Limiter, index: usize) -> PyResult<ResourceId> {
    let found = limiter.resources().nth(index);
    found.ok_or_else(|| PyValueError::new_err(format!("there is no resource number {index}")))
}

/// The new quota in the kind of the old one, which a resource keeps: over another window than the
/// description's, what was a bucket stays one, with the same share of it as burst.
fn comes_back_like(old: &Quota, new: Quota) -> Quota {
    match (old, &new) {
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

fn spec_of<'a>(
    meter: Option<&'a (PyRef<'_, Api>, String)>,
) -> Option<&'a rate_limited_apis::Resource> {
    meter.and_then(|(api, name)| api.get().resource(name))
}

fn quota_of(
    quota: f64,
    window: f64,
    spec: Option<&rate_limited_apis::Resource>,
) -> PyResult<Quota> {
    let amount = Amount::cost(quota).map_err(|error| PyValueError::new_err(error.to_string()))?;
    let window = Duration::try_from_secs_f64(window)
        .map_err(|_| PyOverflowError::new_err(format!("a window of {window} seconds is none")))?;
    let described = spec.and_then(|spec| crate::api::quota(spec, amount, window));
    Ok(described.unwrap_or(Quota::per(amount, window)))
}

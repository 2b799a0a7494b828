//! What answers tell of the resources of a machine.

use crate::account;
use crate::api::Api;
use crate::clock::now;
use crate::resource::find;
use pyo3::PyResult;
use rate_limited_apis::{Answer, Moment, Reading};
use rate_limited_core::{Feedback, Limiter, ResourceId};
use std::time::SystemTime;

/// What an answer tells, by resource. `resources`: those of the machine that the API describes, by their names
/// there, with their numbers.
pub(crate) fn told(
    api: &Api,
    resources: &[(String, usize)],
    answer: &Answer<'_>,
) -> PyResult<Vec<(ResourceId, Feedback)>> {
    let api = api.get();
    let read = api.read(answer, Moment::from(SystemTime::now()));
    let mut told = Vec::new();
    if read.readings.is_empty() {
        return Ok(told);
    }
    let limiter = &mut account::limiter();
    for reading in &read.readings {
        let of_reading = resources
            .iter()
            .filter(|(name, _)| name == reading.resource);
        for (_, number) in of_reading {
            let resource = find(limiter, *number)?;
            let described = api.resource(reading.resource);
            let window = described.and_then(|described| described.window);
            if is_meant(limiter, resource, reading, window) {
                told.push((resource, reading.told()));
            }
        }
    }
    Ok(told)
}

/// Whether a reading speaks of the window that the user told, or of a limit that nobody told.
fn is_meant(
    limiter: &mut Limiter,
    resource: ResourceId,
    reading: &Reading<'_>,
    described: Option<std::time::Duration>,
) -> bool {
    let declared = limiter.view(resource, now()).resource;
    let window = reading.window.or(described);
    declared.is_untold() || window == Some(declared.quota().window())
}

//! Numbers and waits in words of people.

use crate::account;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use rate_limited_core::WaitingOn;
use rate_limited_report::Human;
use std::time::Duration;

/// A window of so many seconds as the command takes it: whole days as `7d`, whole hours as `3h`, all others in seconds.
#[pyfunction]
pub(crate) fn window_as_told(seconds: f64) -> String {
    let unit = |unit: f64| (seconds >= unit && seconds % unit == 0.0).then_some(seconds / unit);
    match (unit(86_400.0), unit(3_600.0)) {
        (Some(days), _) => format!("{days}d"),
        (None, Some(hours)) => format!("{hours}h"),
        (None, None) => format!("{seconds}s"),
    }
}

/// A duration with two units at most.
#[pyfunction]
pub(crate) fn duration_text(seconds: f64) -> PyResult<String> {
    let duration = Duration::try_from_secs_f64(seconds);
    let duration = duration.map_err(|error| PyValueError::new_err(error.to_string()))?;
    Ok(Human(duration).to_string())
}

/// What a run waits for.
pub(crate) fn waiting_on(on: WaitingOn) -> String {
    let name = |resource| {
        let limiter = account::limiter();
        let (name, rest) = limiter.name(resource).split_once('#').unwrap_or_default();
        // Behind the number may be whose part it is.
        let part = rest.find('[').map_or("", |at| &rest[at..]);
        format!("{name}{part}")
    };
    match on {
        WaitingOn::Quota(resource) if name(resource).is_empty() => {
            "the pacing of the first requests".into()
        }
        WaitingOn::Quota(resource) => format!("quota of {}", name(resource)),
        WaitingOn::Paused { resource, .. } => format!("the server's limit of {}", name(resource)),
        WaitingOn::Refused { .. } => "the server, which refuses".into(),
        WaitingOn::Concurrency => "calls in flight".into(),
        WaitingOn::Backoff => "the back-off of a retry".into(),
        WaitingOn::Probe => "the server to come back".into(),
        WaitingOn::Turn => "another run".into(),
        WaitingOn::Unpause => "resume()".into(),
        _ => "answers".into(),
    }
}

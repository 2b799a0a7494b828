//! Numbers in the words of people, as the command has them.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
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

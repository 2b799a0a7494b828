//! What answers of public APIs mean, for exceptions of Python's clients.

use pyo3::exceptions::{PyKeyError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use rate_limited_apis::{Answer, Api, Feedback, Moment};
use std::path::PathBuf;
use std::time::SystemTime;

/// The names of the APIs that are described here.
#[pyfunction]
pub(crate) fn api_names() -> Vec<&'static str> {
    Api::built_in().map(|api| api.name.as_str()).collect()
}

/// All that is known of an API, for people. Raises `KeyError` where there is none of that name.
#[pyfunction]
pub(crate) fn explain_api(name: &str) -> PyResult<String> {
    Ok(named(name)?.explain())
}

/// The name of the API at a URL, if one that is described here is there.
#[pyfunction]
pub(crate) fn api_at(url: &str) -> Option<&'static str> {
    Api::at(url).map(|api| api.name.as_str())
}

/// The limits of a tier of an API, by resource; None where they are not known.
#[pyfunction]
#[pyo3(signature = (name, tier, model=None))]
pub(crate) fn api_limits<'py>(
    py: Python<'py>,
    name: &str,
    tier: &str,
    model: Option<&str>,
) -> PyResult<Option<Bound<'py, PyDict>>> {
    let Some(limits) = named(name)?.limits(tier, model) else {
        return Ok(None);
    };
    let dict = PyDict::new(py);
    for (resource, limit) in limits {
        dict.set_item(resource, limit)?;
    }
    Ok(Some(dict))
}

/// Checks a description of an API in a file; returns its name.
#[pyfunction]
pub(crate) fn check_api(path: PathBuf) -> PyResult<String> {
    let api = Api::load(&path).map_err(|error| PyValueError::new_err(error.to_string()))?;
    Ok(api.name)
}

/// What an answer means: the class (as `Machine.turn` takes it), the seconds to wait, the resource that it
/// speaks of, and what to do, where the API's description says.
///
/// `status` 0: the client shows none. Headers may come several times.
#[pyfunction]
pub(crate) fn read_answer<'py>(
    py: Python<'py>,
    api: &str,
    status: u16,
    headers: Vec<(String, String)>,
    body: &[u8],
) -> PyResult<Bound<'py, PyDict>> {
    let now = Moment::from(SystemTime::now());
    let answer = Answer::new(status, &headers, body).repeatable(true);
    let feedback = named(api)?.read(&answer, now);
    let wait = feedback.wait.as_ref().map(|wait| wait.after);
    let dict = PyDict::new(py);
    dict.set_item("class", class_name(&feedback))?;
    dict.set_item("kind", feedback.class.shown())?;
    dict.set_item("wait", wait.map(|wait| wait.as_secs_f64()))?;
    dict.set_item("resource", feedback.resource)?;
    dict.set_item("why", feedback.why)?;
    dict.set_item("code", &feedback.code)?;
    Ok(dict)
}

fn named(name: &str) -> PyResult<&'static Api> {
    Api::named(name).map_err(|error| PyKeyError::new_err(error.to_string()))
}

/// The class in the words of [`Machine`](crate::machine::Machine).
fn class_name(feedback: &Feedback<'_>) -> &'static str {
    use rate_limited_core::Class;
    match feedback.kind(|_| None) {
        Class::Success => "success",
        Class::Refused { .. } => "refused",
        Class::Overloaded { .. } => "overloaded",
        Class::Fatal => "fatal",
        Class::Permanent => "permanent",
        _ => "failure",
    }
}

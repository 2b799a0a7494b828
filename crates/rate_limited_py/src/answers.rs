//! What answers of public APIs mean, for exceptions of Python's clients.

use pyo3::exceptions::PyKeyError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use rate_limited_apis::{Answer, Api, Feedback, Moment};
use std::time::SystemTime;

/// The name of the API at a URL, if one that is described here is there.
#[pyfunction]
pub(crate) fn api_at(url: &str) -> Option<&'static str> {
    Api::at(url).map(|api| api.name.as_str())
}

/// Whether two names are of one model, as far as names can tell.
#[pyfunction]
pub(crate) fn is_same_model(asked: &str, answered: &str) -> bool {
    rate_limited_apis::is_same_model(asked, answered)
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
    meaning(py, named(api)?, status, &headers, body)
}

/// As [`read_answer`], for any description.
pub(crate) fn meaning<'py>(
    py: Python<'py>,
    api: &Api,
    status: u16,
    headers: &[(String, String)],
    body: &[u8],
) -> PyResult<Bound<'py, PyDict>> {
    let now = Moment::from(SystemTime::now());
    let answer = Answer::new(status, &headers, body).repeatable(true);
    let feedback = api.read(&answer, now);
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

pub(crate) fn named(name: &str) -> PyResult<&'static Api> {
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

//! What a machine tells its driver to do next, as plain tuples; and the words in which it is answered.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use rate_limited_core::{Abandoned, Class, Failure, Stop};
use std::time::Duration;

/// `(DISPATCH, attempt, call, number, another)`: start this attempt; `another` says that one more
/// worker is wanted.
pub(crate) const DISPATCH: u8 = 0;
/// `(ABANDON, attempt, call, why, another)`: stop waiting for this attempt.
pub(crate) const ABANDON: u8 = 1;
/// `(ENDED, call, why, 0, another)`: the call is over; `why` is empty for a success.
pub(crate) const ENDED: u8 = 2;
/// `(OVER, why, 0, 0, False)`: the run is over; `why` is empty if nothing is left to do.
pub(crate) const OVER: u8 = 3;
/// `(WAIT, seconds or None, 0, 0, False)`: nothing to do before that.
pub(crate) const WAIT: u8 = 4;

/// What to do next.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    Dispatch {
        attempt: u64,
        call: u64,
        number: u32,
    },
    Abandon {
        attempt: u64,
        call: u64,
        why: &'static str,
    },
    Ended {
        call: u64,
        why: &'static str,
    },
    Over {
        why: &'static str,
    },
    Wait {
        seconds: Option<f64>,
    },
}

impl Step {
    pub(crate) fn to_python(self, py: Python<'_>, another: bool) -> PyResult<Bound<'_, PyTuple>> {
        match self {
            Step::Dispatch {
                attempt,
                call,
                number,
            } => (DISPATCH, attempt, call, number, another).into_pyobject(py),
            Step::Abandon { attempt, call, why } => {
                (ABANDON, attempt, call, why, another).into_pyobject(py)
            }
            Step::Ended { call, why } => (ENDED, call, why, 0, another).into_pyobject(py),
            Step::Over { why } => (OVER, why, 0, 0, false).into_pyobject(py),
            Step::Wait { seconds } => (WAIT, seconds, 0, 0, false).into_pyobject(py),
        }
    }
}

pub(crate) fn abandoned(why: Abandoned) -> &'static str {
    match why {
        Abandoned::TimedOut => "timeout",
        Abandoned::NotNeeded => "not_needed",
        _ => "halted",
    }
}

pub(crate) fn failure(why: Failure) -> &'static str {
    match why {
        Failure::Attempts => "attempts",
        Failure::Permanent => "permanent",
        Failure::Fatal => "fatal",
        Failure::TimedOut => "timeout",
        _ => "never_fits",
    }
}

pub(crate) fn stopped(why: Stop) -> &'static str {
    match why {
        Stop::Asked => "asked",
        Stop::Fatal => "fatal",
        Stop::Deadline => "deadline",
        _ => "stalled",
    }
}

/// How an attempt ended, in the words of the Python side.
pub(crate) fn class_of(class: &str, retry_after: Option<f64>) -> PyResult<Class> {
    let retry_after = retry_after.and_then(|wait| Duration::try_from_secs_f64(wait).ok());
    Ok(match class {
        "success" => Class::Success,
        "invalid" => Class::Invalid,
        "failure" => Class::Failure,
        "permanent" => Class::Permanent,
        "fatal" => Class::Fatal,
        "refused" => Class::Refused {
            resource: None,
            retry_after,
        },
        "overloaded" => Class::Overloaded { retry_after },
        other => {
            return Err(PyValueError::new_err(format!(
                "there is no class {other:?}"
            )));
        }
    })
}

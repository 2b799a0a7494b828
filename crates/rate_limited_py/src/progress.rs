//! How far a machine is, as Python shows it.

use crate::account::lock;
use crate::clock::now;
use crate::machine::Inner;
use crate::words::waiting_on;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use rate_limited_core::WaitingOn;

impl Inner {
    pub(crate) fn progress<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let state = lock(&self.state);
        let progress = state.scheduler.as_ref().expect("it is there").progress();
        let dict = PyDict::new(py);
        let numbers = [
            ("scheduled", progress.scheduled),
            ("waiting", progress.waiting),
            ("in_flight", progress.in_flight),
            ("done", progress.done),
            ("failed", progress.failed),
            ("attempts", progress.attempts),
            ("failures", progress.failures),
            ("invalid", progress.invalid),
            ("refusals", progress.refusals),
            ("timeouts", progress.timeouts),
            ("max_concurrent", progress.max_concurrent.into()),
        ];
        for (name, number) in numbers {
            dict.set_item(name, number)?;
        }
        dict.set_item("paused", progress.paused)?;
        let wait = state.wait;
        // Answers come when they come: what is known of those is only when an attempt is cut off.
        let is_known = |on| !matches!(on, WaitingOn::InFlight | WaitingOn::Concurrency);
        let left = wait
            .filter(|wait| is_known(wait.on))
            .and_then(|wait| wait.until)
            .map(|until| until.since(now()).as_secs_f64());
        dict.set_item("waiting_on", wait.map(|wait| waiting_on(wait.on)))?;
        dict.set_item("wait_seconds", left)?;
        Ok(dict)
    }
}

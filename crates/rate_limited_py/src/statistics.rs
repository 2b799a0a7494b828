//! What a runner's machines did, counted together, and the report made of it.

use crate::account::{self, lock};
use crate::clock::now;
use pyo3::prelude::*;
use rate_limited_core::{AttemptId, CallId, Class, Progress, ResourceId, Time};
use rate_limited_report::{self as report, Fate, Flights, Numbers, Over, Seen};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What all machines of a runner did so far; its size is bounded.
#[pyclass(frozen, module = "rate_limited._native")]
#[derive(Default)]
pub(crate) struct Statistics {
    shared: Arc<Shared>,
}

#[derive(Default)]
pub(crate) struct Shared {
    numbers: Mutex<Numbers>,
}

#[pymethods]
impl Statistics {
    /// Nothing was done yet.
    #[new]
    fn new() -> Statistics {
        Statistics::default()
    }

    /// The names of the calls that a report names: the slowest ones, and those with most attempts.
    fn named(&self) -> Vec<String> {
        let report = lock(&self.shared.numbers).report("");
        let all = report.slowest.into_iter().chain(report.most_retried);
        all.map(|call| call.call).collect()
    }

    /// What is told of all that. `names`: what calls are called instead; `unfinished`: calls that are not over;
    /// `cost`: dollars that were spent, and that may be.
    #[pyo3(signature = (title, names, notes, unfinished, cost=None))]
    fn report(
        &self,
        title: &str,
        names: HashMap<String, String>,
        notes: Vec<String>,
        unfinished: u64,
        cost: Option<(f64, f64)>,
    ) -> Report {
        let mut told = lock(&self.shared.numbers).report(title);
        for call in told.slowest.iter_mut().chain(&mut told.most_retried) {
            if let Some(name) = names.get(&call.call) {
                call.rename(name);
            }
        }
        told.notes = notes;
        told.calls.unfinished = unfinished;
        told.calls.requests = Some(told.calls.succeeded + told.calls.failed + unfinished);
        told.cost = cost.map(|(dollars, most_dollars)| report::Cost {
            dollars,
            most_dollars,
        });
        Report(told)
    }
}

impl Statistics {
    pub(crate) fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }
}

/// What a run did, as a page, as data and as lines of text.
#[pyclass(frozen, module = "rate_limited._native")]
pub(crate) struct Report(report::Report);

#[pymethods]
impl Report {
    /// One page that needs nothing else.
    fn html(&self, py: Python<'_>) -> String {
        py.detach(|| self.0.to_html())
    }

    /// All of it as JSON.
    fn json(&self) -> String {
        self.0.to_json()
    }

    /// A few lines.
    fn text(&self) -> String {
        self.0.to_text()
    }

    /// Whether a file that begins so is a report.
    #[staticmethod]
    fn is_one(beginning: &[u8]) -> bool {
        report::is_report(beginning)
    }
}

/// One machine's part in the statistics.
pub(crate) struct Witness {
    shared: Arc<Shared>,
    flights: Flights,
    /// What the numbers of its calls count.
    kind: &'static str,
}

impl Witness {
    pub(crate) fn new(shared: Arc<Shared>) -> Witness {
        Witness {
            shared,
            flights: Flights::default(),
            kind: "call",
        }
    }

    /// A run begins; calls of one that `stays` are rows.
    pub(crate) fn begins(&mut self, stays: bool) {
        self.kind = if stays { "row" } else { "call" };
        let unix = SystemTime::now().duration_since(UNIX_EPOCH);
        let unix = unix.unwrap_or_default().as_millis();
        let unix = u64::try_from(unix).unwrap_or(u64::MAX);
        lock(&self.shared.numbers).begins(now(), unix);
    }

    pub(crate) fn leaves(&mut self, ids: (CallId, AttemptId), number: u32, now: Time) {
        lock(&self.shared.numbers).leaves(&mut self.flights, ids, number, now);
    }

    /// An attempt has come back; whether it is time to look at the run.
    pub(crate) fn came(
        &mut self,
        ids: (CallId, AttemptId),
        class: Class,
        code: Option<&str>,
        now: Time,
    ) -> bool {
        let numbers = &mut *lock(&self.shared.numbers);
        numbers.ended(&mut self.flights, ids, Fate::Came(class, code), now);
        numbers.is_due(now)
    }

    pub(crate) fn abandoned(&mut self, ids: (CallId, AttemptId), why: &str) {
        let fate = if why == "timeout" {
            Fate::TimedOut
        } else {
            Fate::CutOff
        };
        lock(&self.shared.numbers).ended(&mut self.flights, ids, fate, now());
    }

    pub(crate) fn over(&mut self, id: CallId, number: u64, failed: Option<&str>, now: Time) {
        let over = Over {
            id,
            kind: self.kind,
            number,
            failed,
        };
        lock(&self.shared.numbers).over(&mut self.flights, over, now);
    }

    pub(crate) fn look(&self, progress: &Progress, resources: &[ResourceId]) {
        let now = now();
        let views: Vec<_> = {
            let limiter = &mut account::limiter();
            let all = resources.iter();
            all.map(|id| (limiter.view(*id, now), limiter.window_in_words(*id)))
                .collect()
        };
        let seen = views.iter().map(|(view, window)| Seen {
            view,
            window: window.as_deref(),
        });
        lock(&self.shared.numbers).look(progress, seen, now);
    }

    /// How long the latest good answers took.
    pub(crate) fn latencies(&self) -> Vec<Duration> {
        lock(&self.shared.numbers).latencies().to_vec()
    }
}

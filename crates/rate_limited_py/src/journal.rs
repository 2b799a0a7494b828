//! A journal as Python sees it.

use crate::account::{self, lock};
use crate::book::Shared;
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use rate_limited_core::ResourceId;
use rate_limited_store::{
    Counts, Decision, Digest, Durability, JournalError, OnChange, OnUnknown, OpenError, Options,
    Policy, State,
};
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// `look` says: run it.
pub(crate) const RUN: u8 = 0;
/// `look` says: run it when nothing else is left.
pub(crate) const LAST: u8 = 1;
/// `look` says: it has its result.
pub(crate) const DONE: u8 = 2;
/// `look` says: it failed for good.
pub(crate) const FAILED: u8 = 3;
/// `look` says: whether it was answered is not known, and it is to be left alone.
pub(crate) const UNKNOWN: u8 = 4;
/// `look` says: it may be what kills the process, and is not sent any more.
pub(crate) const POISON: u8 = 5;

/// The durable record of a runner's calls.
#[pyclass(frozen, module = "rate_limited._native")]
pub(crate) struct Journal {
    shared: Arc<Shared>,
    path: PathBuf,
    resources: Vec<ResourceId>,
    /// How many calls it had when it was opened.
    counts: Counts,
    lost: u64,
    rescued: u64,
}

/// Resources that know already what a journal says of them.
static REPLAYED: Mutex<Option<HashSet<(ResourceId, PathBuf)>>> = Mutex::new(None);

#[pymethods]
impl Journal {
    /// Opens the journal at `path`, or makes one. `names` are those of the resources, for later runs.
    #[new]
    #[pyo3(signature = (path, resources, names, max_concurrent, power, on_change, on_unknown, retry_failed, job))]
    #[expect(
        clippy::too_many_arguments,
        reason = "Python's side of it has names for them"
    )]
    fn new(
        py: Python<'_>,
        path: PathBuf,
        resources: Vec<usize>,
        names: Vec<String>,
        max_concurrent: u32,
        power: bool,
        on_change: &str,
        on_unknown: &str,
        retry_failed: bool,
        job: Vec<(String, String)>,
    ) -> PyResult<Journal> {
        let policy = Policy {
            on_change: on_change_of(on_change)?,
            on_unknown: on_unknown_of(on_unknown)?,
            retry_failed,
        };
        let (resources, windows) = limits(&resources, names.clone())?;
        let options = Options {
            durability: if power {
                Durability::Power
            } else {
                Durability::Process
            },
            max_concurrent,
            resources: windows,
            job,
        };
        let opened = py.detach(|| rate_limited_store::Journal::open(&path, &options));
        let opened = opened.map_err(|error| cannot_open(py, &error))?;
        let (counts, lost, rescued) = {
            let past = &opened.past;
            (past.counts, past.lost, past.rescued)
        };
        let shared = Shared::new(opened, policy, names).map_err(|error| refused(py, &error))?;
        let path = path.canonicalize().unwrap_or(path);
        Ok(Journal {
            shared: Arc::new(shared),
            path,
            resources,
            counts,
            lost,
            rescued,
        })
    }

    /// What becomes of a call: what to do, its position, and the number of its result. `again`: it is run again, and the
    /// journal has it there if it has anything of it.
    #[pyo3(signature = (key, request, again=None))]
    fn look(
        &self,
        py: Python<'_>,
        key: [u8; 16],
        request: [u8; 16],
        again: Option<u64>,
    ) -> PyResult<(u8, u64, u64)> {
        self.journal(py)?;
        let (key, request) = (Digest(key), Digest(request));
        let decision = {
            let calls = &mut *self.shared.calls();
            match again {
                Some(position) => calls.recall(position, key, request),
                None => calls.look(key, request),
            }
        };
        Ok(match decision.map_err(|error| refused(py, &error))? {
            Decision::Run(begun) => (RUN, begun.position, 0),
            Decision::Last(begun) => (LAST, begun.position, 0),
            Decision::Over(over) if over.state == State::Done => (DONE, over.position, over.number),
            Decision::Over(over) => (FAILED, over.position, over.number),
            Decision::Unknown(begun) => (UNKNOWN, begun.position, 0),
            Decision::Poison(begun) => (POISON, begun.position, 0),
        })
    }

    /// From now on another list of calls comes in. `busy`: the positions of calls that are under way yet.
    fn begin_list(&self, py: Python<'_>, busy: HashSet<u64>) -> PyResult<()> {
        let begun = py.detach(|| self.shared.calls().lookup.begin_list(&busy));
        begun.map_err(|error| refused(py, &error))
    }

    /// A call that was looked up is not scheduled after all.
    fn forget(&self, position: u64) {
        self.shared.calls().forget(position);
    }

    /// Why nothing must be sent, or None: the numbers of unchanged, changed, new and gone calls, and of
    /// those that are unknown. `so_far`: more calls may come.
    fn objection(&self, so_far: bool) -> Option<String> {
        let objection = self.shared.calls().lookup.objection(so_far);
        objection.map(|objection| objection.to_string())
    }

    /// The result of that number; None if it could not be kept.
    fn read<'py>(&self, py: Python<'py>, number: u64) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let journal = self.journal(py)?;
        let ended = py.detach(|| journal.read(number));
        let ended = ended.map_err(|error| refused(py, &error))?;
        Ok(ended.body.map(|body| PyBytes::new(py, &body)))
    }

    /// What went wrong with the attempts of the call at this position: kinds and texts.
    fn failures(&self, py: Python<'_>, position: u64) -> PyResult<Vec<(String, String)>> {
        let journal = self.journal(py)?;
        let failures = py.detach(|| journal.failures(position));
        let failures = failures.map_err(|error| refused(py, &error))?;
        Ok(failures
            .into_iter()
            .map(|failure| (failure.kind, failure.text))
            .collect())
    }

    /// What opening found, as numbers by name.
    fn past<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let dict = PyDict::new(py);
        let numbers = [
            ("done", self.counts.done),
            ("failed", self.counts.failed),
            ("unfinished", self.counts.unfinished),
            ("unknown", self.counts.unknown),
            ("lost", self.lost),
            ("rescued", self.rescued),
        ];
        for (name, number) in numbers {
            dict.set_item(name, number)?;
        }
        Ok(dict)
    }

    /// What keeps the journal from being written, if anything does.
    fn error(&self) -> Option<String> {
        self.shared.error().map(|error| error.to_string())
    }

    /// Closes it; the runner that had it cannot run any more.
    fn close(&self, py: Python<'_>) {
        let journal = self.shared.close();
        py.detach(|| drop(journal));
    }

    /// In a child that was forked off: lets go of the lock, which then ends with the parent.
    fn let_go_in_child(&self) {
        self.shared.let_go_in_child();
    }
}

impl Journal {
    pub(crate) fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }

    /// Where it lies.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether nothing was in it when it was opened.
    pub(crate) fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// Tells the limits what was taken of them before, once.
    pub(crate) fn replay(&self) {
        let (charges, learnt) = (self.shared.charges(), self.shared.learnt());
        let mut replayed = lock(&REPLAYED);
        let replayed = replayed.get_or_insert_default();
        let now = crate::clock::now();
        let past = charges.into_iter().zip(learnt);
        for (resource, ((charges, paused_until), learnt)) in self.resources.iter().zip(past) {
            if replayed.insert((*resource, self.path.clone())) {
                // Of a form that is not known here nothing is recalled.
                let _ = account::limiter().recall(*resource, &learnt);
                account::limiter().replay(*resource, &charges, paused_until, now);
            }
        }
    }

    fn journal(&self, py: Python<'_>) -> PyResult<Arc<rate_limited_store::Journal>> {
        let journal = self.shared.journal();
        journal.ok_or_else(|| journal_error(py, JournalError::Closed.to_string()))
    }
}

/// The digest of these parts: a key, or the hash of a request.
#[pyfunction]
pub(crate) fn digest(parts: Vec<Vec<u8>>) -> [u8; 16] {
    let parts: Vec<_> = parts.iter().map(Vec::as_slice).collect();
    Digest::of(&parts).0
}

type Windows = Vec<(String, Option<std::time::Duration>)>;

fn limits(resources: &[usize], names: Vec<String>) -> PyResult<(Vec<ResourceId>, Windows)> {
    let mut limiter = account::limiter();
    let now = crate::clock::now();
    let mut ids = Vec::new();
    let mut windows = Vec::new();
    for (index, name) in resources.iter().zip(names) {
        let id = crate::resource::find(&limiter, *index)?;
        windows.push((name, limiter.view(id, now).resource.quota().reach()));
        ids.push(id);
    }
    Ok((ids, windows))
}

fn on_change_of(text: &str) -> PyResult<OnChange> {
    match text {
        "refuse" => Ok(OnChange::Refuse),
        "rerun" => Ok(OnChange::Rerun),
        "keep" => Ok(OnChange::Keep),
        other => Err(PyValueError::new_err(format!(
            "on_change must be \"refuse\", \"rerun\" or \"keep\", got {other:?}"
        ))),
    }
}

fn on_unknown_of(text: &str) -> PyResult<OnUnknown> {
    match text {
        "retry" => Ok(OnUnknown::Retry),
        "skip" => Ok(OnUnknown::Skip),
        "report" => Ok(OnUnknown::Report),
        other => Err(PyValueError::new_err(format!(
            "on_unknown must be \"retry\", \"skip\" or \"report\", got {other:?}"
        ))),
    }
}

/// The error that Python users catch.
pub(crate) fn journal_error(py: Python<'_>, text: String) -> PyErr {
    let class = py
        .import("rate_limited.exceptions")
        .and_then(|module| module.getattr("JournalError"));
    match class.and_then(|class| class.call1((text.as_str(),))) {
        Ok(error) => PyErr::from_value(error),
        Err(_) => PyRuntimeError::new_err(text),
    }
}

fn cannot_open(py: Python<'_>, error: &OpenError) -> PyErr {
    journal_error(py, error.to_string())
}

fn refused(py: Python<'_>, error: &JournalError) -> PyErr {
    journal_error(py, error.to_string())
}

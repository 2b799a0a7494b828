//! What a runner's machines did, counted together, and the report made of it.

use crate::account::{self, lock};
use crate::book;
use crate::clock::now;
use crate::journal::Journal;
use pyo3::prelude::*;
use rate_limited_core::{
    AttemptId, CallId, Class, Progress, Quota, ResourceId, ResourceView, Scheduler, Time,
};
use rate_limited_report::{
    self as report, Ended, Fate, Flights, KINDS, Numbers, Over, Seen, is_number,
};
use rate_limited_store::Beside;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The name of the limit on what calls cost, and its units in a dollar.
const BUDGET: &str = "max_cost";
const PER_DOLLAR: f64 = 1_000.0;

/// What all machines of a runner did so far; its size is bounded.
#[pyclass(frozen, module = "rate_limited._native")]
#[derive(Default)]
pub(crate) struct Statistics {
    shared: Arc<Shared>,
}

#[derive(Default)]
pub(crate) struct Shared {
    numbers: Mutex<Numbers>,
    kept: OnceLock<Kept>,
}

/// Where the numbers of a runner with a journal outlive the process.
struct Kept {
    journal: Arc<book::Shared>,
    beside: Beside,
    saved: Mutex<Saved>,
}

/// When the numbers were written last while a run lasted, and by whom.
#[derive(Default)]
struct Saved {
    at: Time,
    by: Option<JoinHandle<()>>,
}

#[pymethods]
impl Statistics {
    /// Nothing was done yet.
    #[new]
    fn new() -> Statistics {
        Statistics::default()
    }

    /// Goes on with what earlier runs of this journal have counted, and keeps beside it what is counted from now on.
    fn recall(&self, journal: &Journal) {
        let kept = Kept::beside(journal);
        let read = || report::Statistics::from_json(&kept.beside.read()?);
        // With an empty journal all begins anew.
        let known = if journal.is_empty() { None } else { read() };
        *lock(&self.shared.numbers) = Numbers::going_on(known.unwrap_or_default());
        // A runner has one journal all its life.
        let _ = self.shared.kept.set(kept);
    }

    /// So many calls that had failed are run again.
    fn retries(&self, calls: u64) {
        let numbers = &mut *lock(&self.shared.numbers);
        for _ in 0..calls {
            numbers.reopens(true);
        }
    }

    /// The calls that a report names by their numbers: of the slowest ones, and of those with most attempts.
    fn named(&self) -> Vec<String> {
        let report = lock(&self.shared.numbers).report("");
        let all = report.slowest.into_iter().chain(report.most_retried);
        let all = all.map(|call| call.call);
        all.filter(|name| is_number(name)).collect()
    }

    /// Writes beside the journal what is known, if there is a journal. `names`: what calls are called from now on.
    fn save(&self, py: Python<'_>, names: HashMap<String, String>) {
        let name = |number: &str| Some(unlike_numbers(names.get(number)?));
        lock(&self.shared.numbers).rename(name);
        py.detach(|| self.shared.save_at_end());
    }

    /// What is told of all that. `names`: what calls are called instead; `unfinished`: calls that are not over;
    /// `cost`: dollars that were spent, and that may be.
    #[pyo3(signature = (title, names, unfinished, cost=None))]
    fn report(
        &self,
        title: &str,
        names: HashMap<String, String>,
        unfinished: u64,
        cost: Option<(f64, f64)>,
    ) -> Report {
        let mut told = self.shared.told(title);
        for call in told.slowest.iter_mut().chain(&mut told.most_retried) {
            if let Some(name) = names.get(&call.call) {
                call.rename(&unlike_numbers(name));
            }
        }
        told.calls.unfinished = unfinished;
        told.calls.requests = Some(told.calls.succeeded + told.calls.failed + unfinished);
        if let Some((dollars, most_dollars)) = cost {
            told.cost = Some(report::Cost {
                dollars,
                most_dollars,
            });
        }
        Report(told)
    }
}

impl Statistics {
    pub(crate) fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }
}

impl Shared {
    fn told(&self, title: &str) -> report::Report {
        let over = self.kept.get().map(Kept::over);
        let numbers = lock(&self.numbers);
        match over {
            Some(over) => numbers.report_beside(title, over),
            None => numbers.report(title),
        }
    }

    /// Writes what is known, unless the journal is closed: then it may belong to another runner.
    fn save(&self) {
        let Some(kept) = self.kept.get() else { return };
        if kept.journal.journal().is_some() {
            let json = || lock(&self.numbers).statistics().to_json();
            // Without it a report knows less of earlier runs; no result depends on it.
            let _ = kept.beside.write(json);
        }
    }

    /// Writes what is known as `save` does, and nothing comes after it: whoever removes the file then is rid of it.
    fn save_at_end(&self) {
        let Some(kept) = self.kept.get() else { return };
        // A forked child has no journal, and none of its parent's threads.
        if kept.journal.journal().is_some() {
            let under_way = lock(&kept.saved).by.take();
            if let Some(thread) = under_way {
                let _ = thread.join();
            }
            self.save();
        }
    }

    /// Writes now and then what is known. A disk that is full or slow keeps nobody waiting.
    fn save_if_due(self: &Arc<Shared>, now: Time) {
        let Some(kept) = self.kept.get() else { return };
        let saved = &mut *lock(&kept.saved);
        let is_busy = saved.by.as_ref().is_some_and(|by| !by.is_finished());
        if is_busy || now.since(saved.at) < Beside::SAVE_EVERY {
            return;
        }
        saved.at = now;
        let shared = Arc::clone(self);
        let thread = thread::Builder::new().name("rate-limited-report".to_owned());
        // Where there is no thread to be had, the end of the run writes it.
        saved.by = thread.spawn(move || shared.save()).ok();
    }
}

impl Kept {
    fn beside(journal: &Journal) -> Kept {
        Kept {
            journal: journal.shared(),
            beside: Beside::of(journal.path()),
            // The first look at a run writes: one that is killed at once was a run.
            saved: Mutex::default(),
        }
    }

    /// The calls that were over when they were looked up, and are not run again.
    fn over(&self) -> Ended {
        let over = self.journal.calls().lookup.over();
        Ended {
            succeeded: over.done,
            failed: over.failed,
        }
    }
}

/// Whether it is the limit on what calls cost.
fn is_money(view: &ResourceView) -> bool {
    let name = view.resource.name().split('#').next();
    name == Some(BUDGET) && matches!(view.resource.quota(), Quota::Budget { .. })
}

/// What a user calls a call; in quotes where that looks like a number of ours.
fn unlike_numbers(name: &String) -> String {
    if is_number(name) {
        format!("'{name}'")
    } else {
        name.clone()
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
            kind: KINDS[0],
        }
    }

    /// A run begins; calls of one that `stays` are rows.
    pub(crate) fn begins(&mut self, stays: bool) {
        self.kind = KINDS[usize::from(stays)];
        let unix = SystemTime::now().duration_since(UNIX_EPOCH);
        let unix = unix.unwrap_or_default().as_millis();
        let unix = u64::try_from(unix).unwrap_or(u64::MAX);
        lock(&self.shared.numbers).begins(now(), unix);
    }

    pub(crate) fn leaves(&mut self, ids: (CallId, AttemptId), number: u32, now: Time) {
        lock(&self.shared.numbers).leaves(&mut self.flights, ids, number, now);
    }

    /// An attempt has come back.
    pub(crate) fn came(
        &mut self,
        ids: (CallId, AttemptId),
        class: Class,
        code: Option<&str>,
        now: Time,
    ) {
        let numbers = &mut *lock(&self.shared.numbers);
        numbers.ended(&mut self.flights, ids, Fate::Came(class, code), now);
    }

    pub(crate) fn abandoned(&mut self, ids: (CallId, AttemptId), why: &str) {
        let fate = if why == "timeout" {
            Fate::TimedOut
        } else {
            Fate::CutOff
        };
        lock(&self.shared.numbers).ended(&mut self.flights, ids, fate, now());
    }

    /// An attempt that was taken to leave was not made after all, and nobody wants its call any more.
    pub(crate) fn stays(&mut self, ids: (CallId, AttemptId)) {
        lock(&self.shared.numbers).stays(&mut self.flights, ids);
    }

    /// A call that was over is run again; `failed`: it had failed.
    pub(crate) fn reopens(&mut self, failed: bool) {
        lock(&self.shared.numbers).reopens(failed);
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

    /// Looks at a run as it was until now, if it is time to: before anything that happens is taken in.
    pub(crate) fn look_if_due(&self, scheduler: &Scheduler, resources: &[ResourceId], now: Time) {
        let moments = lock(&self.shared.numbers).due(now);
        if !moments.is_empty() {
            self.look(&scheduler.progress(), resources, &moments);
            self.shared.save_if_due(now);
        }
    }

    /// Looks at a run in which nothing happened since the first of these moments.
    pub(crate) fn look(&self, progress: &Progress, resources: &[ResourceId], moments: &[Time]) {
        let limiter = &mut account::limiter();
        let look = |moment: &Time| -> Vec<_> {
            let all = resources.iter();
            all.map(|id| limiter.view(*id, *moment)).collect()
        };
        let looks: Vec<_> = moments.iter().map(look).collect();
        // Later than the looks: it is about now, and what is over by now is forgotten then.
        let windows = resources.iter().map(|id| limiter.window_in_words(*id));
        let windows: Vec<_> = windows.collect();
        for (moment, views) in moments.iter().zip(&looks) {
            let seen = views.iter().zip(&windows).map(|(view, window)| Seen {
                view,
                window: window.as_deref(),
                per_dollar: is_money(view).then_some(PER_DOLLAR),
            });
            lock(&self.shared.numbers).look(progress, seen, *moment);
        }
    }

    /// How long the latest good answers took.
    pub(crate) fn latencies(&self) -> Vec<Duration> {
        lock(&self.shared.numbers).latencies().to_vec()
    }
}

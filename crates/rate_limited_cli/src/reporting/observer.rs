//! What is counted of a run for its report.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rate_limited::http::HttpError;
use rate_limited::{Amount, Class, View};
use rate_limited_report::{Attempt, Call, Cost, Meter, Outcome, Report, Sample, Statistics};
use rate_limited_store::Beside;

use crate::calling::call;
use crate::calling::meters::Meters;
use crate::running::price::MICROS_PER_DOLLAR;
use crate::running::state::State;
use crate::telling::standing::{self, Standing};
use crate::telling::status;
use crate::writing::record::code;

/// The most models whose limits have a picture in a report.
const PARTS_REPORTED: usize = 12;

/// Counts what happens in a run, and goes on with what was counted before.
#[derive(Debug)]
pub(crate) struct Observer {
    started: Instant,
    statistics: Mutex<Statistics>,
    /// Where they outlive the process, if there is a journal.
    file: Option<Beside>,
}

impl Default for Observer {
    fn default() -> Observer {
        Observer::new(Statistics::default(), None)
    }
}

impl Observer {
    /// Goes on with what lies beside a journal; with an empty one all begins anew.
    pub(crate) fn beside(journal: &Path, is_empty: bool) -> Observer {
        let known = if is_empty { None } else { recalled(journal) };
        let mut known = known.unwrap_or_default();
        known.goes_on();
        Observer::new(known, Some(Beside::of(journal)))
    }

    fn new(mut statistics: Statistics, file: Option<Beside>) -> Observer {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.unwrap_or_default().as_millis();
        statistics.begins(u64::try_from(now).unwrap_or(u64::MAX));
        Observer {
            started: Instant::now(),
            statistics: Mutex::new(statistics),
            file,
        }
    }

    /// An attempt leaves: what comes back is told what became of it. If that is dropped before, the attempt was cut
    /// off, or outlived this time-out.
    pub(crate) fn leaves(&self, is_retry: bool, timeout: Duration) -> Watched<'_> {
        let at = self.started.elapsed();
        self.lock().leaves(at, is_retry);
        Watched {
            observer: self,
            started: Instant::now(),
            timeout,
            is_over: false,
        }
    }

    /// A call is over.
    pub(crate) fn call(&self, call: &Call<'_>, tokens: Option<u64>) {
        let statistics = &mut *self.lock();
        statistics.call(call);
        statistics.uses(tokens.unwrap_or_default());
    }

    /// Looks at a run now and then, and keeps what is known, until its task is dropped.
    pub(crate) async fn watch(state: Arc<State>) {
        // The first look writes: a run that is killed at once was a run.
        let mut saved: Option<Instant> = None;
        loop {
            state.observer.look(&state);
            if saved.is_none_or(|saved| saved.elapsed() >= Beside::SAVE_EVERY) {
                saved = Some(Instant::now());
                let state = Arc::clone(&state);
                // A disk that is full or slow keeps nobody waiting, and a report is no result.
                tokio::task::spawn_blocking(move || state.observer.save());
            }
            let every = state.observer.lock().sample_every();
            tokio::time::sleep(every).await;
        }
    }

    fn look(&self, state: &State) {
        let view = state.view();
        let cost = cost(state);
        let sample = Sample {
            in_flight: view.progress.in_flight,
            waiting: view.progress.waiting,
            meters: meters(&state.meters, &view),
        };
        let statistics = &mut *self.lock();
        statistics.sample(self.started.elapsed(), &sample);
        if let Some(cost) = cost {
            statistics.costs(cost);
        }
    }

    /// The run is over.
    pub(crate) fn ends(&self, state: &State) {
        self.look(state);
        self.save();
    }

    /// What is told of the run so far.
    pub(crate) fn report(&self, title: &str) -> Report {
        self.lock().report(title)
    }

    fn save(&self) {
        let Some(file) = &self.file else { return };
        // Without it a report has no pictures; no result depends on it.
        let _ = file.write(|| self.lock().to_json());
    }

    fn lock(&self) -> MutexGuard<'_, Statistics> {
        self.statistics
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// An attempt on its way.
pub(crate) struct Watched<'a> {
    observer: &'a Observer,
    started: Instant,
    timeout: Duration,
    is_over: bool,
}

impl Watched<'_> {
    /// It came back.
    pub(crate) fn came(mut self, error: Option<&HttpError>, is_valid: bool) {
        match error {
            Some(error) => self.over(outcome(error), Some(error.code())),
            None if is_valid => self.over(Outcome::Succeeded, None),
            None => self.over(Outcome::Invalid, Some(code::VALIDATION)),
        }
    }

    fn over(&mut self, outcome: Outcome, code: Option<&str>) {
        self.is_over = true;
        let took = self.started.elapsed();
        let at = self.observer.started.elapsed();
        let attempt = Attempt {
            outcome,
            code,
            took,
        };
        self.observer.lock().attempt(at, &attempt);
    }
}

impl Drop for Watched<'_> {
    /// The runner drops an attempt that it gives up.
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        if call::is_too_long(self.started, self.timeout) {
            self.over(Outcome::TimedOut, Some(code::TIMEOUT));
        } else {
            self.over(Outcome::CutOff, None);
        }
    }
}

fn outcome(error: &HttpError) -> Outcome {
    match error.class() {
        Class::Refused { .. } => Outcome::Refused,
        Class::Permanent | Class::Fatal => Outcome::Rejected,
        Class::Invalid => Outcome::Invalid,
        _ if error.code() == code::TIMEOUT => Outcome::TimedOut,
        _ => Outcome::Failed,
    }
}

/// How full the limits are: against what was told, or else against what was found out; of many models those that came
/// first.
fn meters<'a>(meters: &'a Meters, view: &'a View) -> Vec<Meter<'a>> {
    let mut room = PARTS_REPORTED;
    let meter = |it: &Standing<'a>| {
        let quota = it.told.or_else(|| it.in_force())?;
        let found = if it.told.is_some() { "" } else { ", found out" };
        if it.is_part() {
            room = room.checked_sub(1)?;
        }
        let window = it.window_in_words();
        Some(Meter {
            name: it.name(),
            quota: format!("{} per {window}{found}", status::whole(quota)),
            share: it.used() / quota.max(f64::MIN_POSITIVE),
        })
    };
    standing::all(view, meters)
        .iter()
        .filter_map(meter)
        .collect()
}

fn cost(state: &State) -> Option<Cost> {
    let dollars = |amount: Amount| amount.as_micros() as f64 / f64::from(MICROS_PER_DOLLAR);
    let (spent, most) = state.spent()?;
    Some(Cost {
        dollars: dollars(spent),
        most_dollars: dollars(most),
    })
}

/// The statistics that lie beside a journal.
pub(crate) fn recalled(journal: &Path) -> Option<Statistics> {
    Statistics::from_json(&Beside::of(journal).read()?)
}

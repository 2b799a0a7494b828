//! What is counted while a run goes on.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::histogram::Histogram;
use crate::numbers::Ended;
use crate::report::{Attempts, Calls, Cost, Earlier, Limit, Report};
use crate::timeline::Timeline;
use crate::top::Top;
use crate::words;

/// The form of the JSON: a file of another one is not gone on with.
const FORM: u32 = 1;

/// Different codes that are counted apart: servers may make up any number of them.
const CODES_MAX: usize = 32;

/// Limits that are kept.
const LIMITS_MAX: usize = 24;

/// Calls with more attempts than this are counted together.
const ATTEMPTS_MAX: u32 = 16;

/// Beginnings of runs that are kept: the first ones.
const RUNS_MAX: usize = 64;

/// The numbers of a run and of those that it goes on with. Their size is bounded: below 150 kB as JSON, whatever is
/// counted.
///
/// The time between two runs is left out: moments are times of running.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Statistics {
    #[serde(default = "u32::default")]
    form: u32,
    /// Runs that have begun.
    runs: u64,
    /// When the first ones began, as times of running.
    begun_ms: Vec<u64>,
    /// When the first run began, in milliseconds since 1970.
    first_unix_ms: u64,
    /// How long earlier runs took.
    before_ms: u64,
    /// How long all of them took so far.
    elapsed_ms: u64,
    attempts: u64,
    retries: u64,
    outcomes: BTreeMap<Outcome, u64>,
    refusals: BTreeMap<String, u64>,
    failures: BTreeMap<String, u64>,
    succeeded: u64,
    failed: u64,
    failed_calls: BTreeMap<String, u64>,
    per_call: BTreeMap<u32, u64>,
    tokens: u64,
    cost: Option<Cost>,
    latency: Histogram,
    timeline: Timeline,
    limits: Vec<Metered>,
    slowest: Top,
    most_retried: Top,
    /// What of it is of earlier runs.
    #[serde(skip)]
    earlier: Option<Earlier>,
    /// Attempts that have left and not ended.
    #[serde(skip)]
    in_flight: u64,
}

impl Default for Statistics {
    fn default() -> Statistics {
        Statistics {
            form: FORM,
            runs: 0,
            begun_ms: Vec::new(),
            first_unix_ms: 0,
            before_ms: 0,
            elapsed_ms: 0,
            attempts: 0,
            retries: 0,
            outcomes: BTreeMap::new(),
            refusals: BTreeMap::new(),
            failures: BTreeMap::new(),
            succeeded: 0,
            failed: 0,
            failed_calls: BTreeMap::new(),
            per_call: BTreeMap::new(),
            tokens: 0,
            cost: None,
            latency: Histogram::default(),
            timeline: Timeline::default(),
            limits: Vec::new(),
            slowest: Top::default(),
            most_retried: Top::default(),
            earlier: None,
            in_flight: 0,
        }
    }
}

/// A limit, and how full it was.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Metered {
    name: String,
    quota: String,
    sum: f64,
    samples: u64,
    peak: f64,
}

/// What an attempt came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Outcome {
    /// A good answer.
    Succeeded,
    /// An answer that the validation rejected.
    Invalid,
    /// The server said that it was too much.
    Refused,
    /// Something passing: it may be tried again.
    Failed,
    /// It outlived its time-out.
    TimedOut,
    /// The call itself is wrong, or no call can succeed.
    Rejected,
    /// It was cut off, as by the end of the run.
    CutOff,
}

impl Outcome {
    /// What it is called in a report.
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Succeeded => "succeeded",
            Outcome::Invalid => "invalid",
            Outcome::Refused => "refused",
            Outcome::Failed => "failed",
            Outcome::TimedOut => "timed out",
            Outcome::Rejected => "rejected",
            Outcome::CutOff => "cut off",
        }
    }
}

/// An attempt that has ended.
#[derive(Clone, Copy, Debug)]
pub struct Attempt<'a> {
    /// What it came to.
    pub outcome: Outcome,
    /// The code of its error. What does not look like a code is not kept.
    pub code: Option<&'a str>,
    /// How long it took.
    pub took: Duration,
}

/// A call that is over.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// By which its user knows it.
    pub name: &'a str,
    /// Attempts that were made.
    pub attempts: u32,
    /// From its first attempt to its end, what lay between attempts included.
    pub took: Duration,
    /// The code of its error; `None`: it succeeded.
    pub code: Option<&'a str>,
}

/// A look at a run.
#[derive(Clone, Debug, Default)]
pub struct Sample<'a> {
    /// Calls in flight.
    pub in_flight: u64,
    /// Calls that wait for an attempt.
    pub waiting: u64,
    /// The limits.
    pub meters: Vec<Meter<'a>>,
}

/// How full a limit is.
#[derive(Clone, Debug)]
pub struct Meter<'a> {
    /// Its name; two limits of one name are one.
    pub name: &'a str,
    /// How much it is, for people, such as `3,500 per 1m`.
    pub quota: String,
    /// What is used or reserved of the quota now; 1 is all of it.
    pub share: f64,
}

impl Statistics {
    /// What was written by [`to_json`](Statistics::to_json); `None`: it is something else.
    pub fn from_json(json: &[u8]) -> Option<Statistics> {
        let read: Statistics = serde_json::from_slice(json).ok()?;
        (read.form == FORM && read.timeline.is_sound()).then_some(read)
    }

    /// All of it, for a later run to go on with.
    ///
    /// # Panics
    /// Never: it has nothing but numbers and names.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("numbers and names")
    }

    /// What was counted so far is of earlier runs from now on: reports tell it apart.
    ///
    /// ```
    /// use rate_limited_report::Statistics;
    ///
    /// let mut statistics = Statistics::default();
    /// statistics.begins(1_700_000_000_000);
    /// let mut later = Statistics::from_json(&statistics.to_json()).expect("it was written so");
    /// later.goes_on();
    /// later.begins(1_700_000_060_000);
    /// let report = later.report("poems");
    /// assert_eq!((report.runs, report.earlier.map(|it| it.runs)), (2, Some(1)));
    /// ```
    pub fn goes_on(&mut self) {
        self.earlier = (self.runs > 0).then_some(Earlier {
            runs: self.runs,
            calls: self.succeeded + self.failed,
            attempts: self.attempts,
        });
    }

    /// The calls that are over.
    pub(crate) fn ended(&self) -> Ended {
        Ended {
            succeeded: self.succeeded,
            failed: self.failed,
        }
    }

    /// Calls those that a report names by other names, where this gives one.
    pub fn rename(&mut self, mut name: impl FnMut(&str) -> Option<String>) {
        for call in self
            .slowest
            .calls_mut()
            .chain(self.most_retried.calls_mut())
        {
            if let Some(name) = name(&call.call) {
                call.rename(&name);
            }
        }
    }

    /// A run begins, at so many milliseconds since 1970: what happens from now on is its.
    pub fn begins(&mut self, unix_ms: u64) {
        if self.runs == 0 {
            self.first_unix_ms = unix_ms;
        }
        self.runs += 1;
        self.before_ms = self.elapsed_ms;
        if self.begun_ms.len() < RUNS_MAX {
            self.begun_ms.push(self.before_ms);
        }
    }

    /// The run has ended, or still goes on, so long after its beginning.
    pub fn ends(&mut self, at: Duration) {
        self.moment(at);
    }

    /// How often it is worth while to [`sample`](Statistics::sample).
    pub fn sample_every(&self) -> Duration {
        let often = self.timeline.width() / 2;
        often.clamp(Duration::from_millis(50), Duration::from_secs(1))
    }

    /// A look at the run, so long after its beginning.
    pub fn sample(&mut self, at: Duration, sample: &Sample<'_>) {
        let places: Vec<_> = sample
            .meters
            .iter()
            .map(|meter| self.place(meter))
            .collect();
        let at = self.moment(at);
        let slice = self.timeline.at(at);
        slice.in_flight.see(sample.in_flight as f64);
        slice.waiting.see(sample.waiting as f64);
        for (meter, place) in sample.meters.iter().zip(places) {
            let Some(place) = place else { continue };
            slice.share(place).see(meter.share);
            let limit = &mut self.limits[place];
            limit.sum += meter.share;
            limit.samples += 1;
            limit.peak = limit.peak.max(meter.share);
        }
    }

    /// An attempt leaves, so long after the beginning of the run; `is_retry`: it is not the first one of its call.
    pub fn leaves(&mut self, at: Duration, is_retry: bool) {
        self.attempts += 1;
        self.retries += u64::from(is_retry);
        self.in_flight += 1;
        let at = self.moment(at);
        let in_flight = self.in_flight as f64;
        self.timeline.at(at).in_flight.reach(in_flight);
    }

    /// An attempt that was taken to leave was not made after all.
    pub(crate) fn stays(&mut self, is_retry: bool) {
        self.attempts = self.attempts.saturating_sub(1);
        self.retries = self.retries.saturating_sub(u64::from(is_retry));
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// An attempt has ended, so long after the beginning of the run.
    pub fn attempt(&mut self, at: Duration, attempt: &Attempt<'_>) {
        self.in_flight = self.in_flight.saturating_sub(1);
        let at = self.moment(at);
        *self.outcomes.entry(attempt.outcome).or_default() += 1;
        let slice = self.timeline.at(at);
        match attempt.outcome {
            Outcome::Succeeded => slice.succeeded += 1,
            Outcome::Refused => slice.refused += 1,
            _ => slice.failed += 1,
        }
        match attempt.outcome {
            Outcome::Succeeded => self.latency.add(attempt.took),
            Outcome::Refused => count(&mut self.refusals, attempt.code),
            Outcome::CutOff => {}
            _ => count(&mut self.failures, attempt.code),
        }
    }

    /// A call is over.
    pub fn call(&mut self, call: &Call<'_>) {
        match call.code {
            None => self.succeeded += 1,
            Some(code) => {
                self.failed += 1;
                count(&mut self.failed_calls, Some(code));
            }
        }
        *self
            .per_call
            .entry(call.attempts.min(ATTEMPTS_MAX))
            .or_default() += 1;
        let micros = u64::try_from(call.took.as_micros()).unwrap_or(u64::MAX);
        if call.attempts > 0 {
            self.slowest.add(micros, call);
        }
        if call.attempts > 1 {
            self.most_retried.add(call.attempts.into(), call);
        }
    }

    /// A call that was over is run again, and counts as none that is; `failed`: it had failed. What is told of its attempts
    /// stays.
    ///
    /// ```
    /// use rate_limited_report::{Call, Statistics};
    /// use std::time::Duration;
    ///
    /// let mut statistics = Statistics::default();
    /// let failed = Call { name: "call 0", attempts: 2, took: Duration::from_secs(1), code: Some("timeout") };
    /// statistics.call(&failed);
    /// statistics.reopens(true);
    /// statistics.call(&Call { code: None, ..failed });
    /// let calls = statistics.report("poems").calls;
    /// assert_eq!((calls.succeeded, calls.failed), (1, 0));
    /// assert!(calls.failed_by_code.is_empty());
    /// ```
    pub fn reopens(&mut self, failed: bool) {
        let count = if failed {
            &mut self.failed
        } else {
            &mut self.succeeded
        };
        *count = count.saturating_sub(1);
    }

    /// Whether a call that took so long, in so many attempts, is one of those whose names are kept.
    pub(crate) fn names(&self, took: Duration, attempts: u32) -> bool {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let is_retried = attempts > 1 && self.most_retried.takes(attempts.into());
        attempts > 0 && self.slowest.takes(micros) || is_retried
    }

    /// So many tokens more were used.
    pub fn uses(&mut self, tokens: u64) {
        self.tokens = self.tokens.saturating_add(tokens);
    }

    /// What all of it has cost so far.
    pub fn costs(&mut self, cost: Cost) {
        self.cost = Some(cost);
    }

    /// What is told of all that.
    pub fn report(&self, title: &str) -> Report {
        let limits = self.limits.iter().map(|limit| Limit {
            name: limit.name.clone(),
            quota: limit.quota.clone(),
            mean_share: words::short(limit.sum / (limit.samples.max(1) as f64)),
            peak_share: words::short(limit.peak),
        });
        let outcomes = self
            .outcomes
            .iter()
            .map(|(outcome, count)| (*outcome, *count));
        let named = outcomes.map(|(outcome, count)| (outcome.name().to_owned(), count));
        let mut calls = Calls {
            requests: None,
            succeeded: self.succeeded,
            failed: self.failed,
            unfinished: 0,
            failed_by_code: self.failed_calls.clone(),
        };
        calls.settle();
        Report {
            rate_limited_report: Report::FORM,
            title: words::name(title, 200),
            began_unix_ms: (self.runs > 0).then_some(self.first_unix_ms),
            runs: self.runs,
            runs_began_ms: self.begun_ms.clone(),
            elapsed_ms: self.elapsed_ms,
            earlier: self.earlier,
            calls,
            attempts: Attempts {
                total: self.attempts,
                retries: self.retries,
                by_outcome: named.collect(),
                refused_by_code: self.refusals.clone(),
                failed_by_code: self.failures.clone(),
                per_call: self
                    .per_call
                    .iter()
                    .map(|(&of, &calls)| (of, calls))
                    .collect(),
            },
            latency: self.latency.told(),
            limits: limits.collect(),
            timeline: self.timeline.told(self.limits.len()),
            tokens: self.tokens,
            cost: self.cost,
            slowest: self.slowest.told(),
            most_retried: self.most_retried.told(),
            notes: Vec::new(),
            examples: Vec::new(),
        }
    }

    /// A moment of this run as a time of running.
    fn moment(&mut self, at: Duration) -> u64 {
        let at = u64::try_from(at.as_millis()).unwrap_or(u64::MAX);
        let at = self.before_ms.saturating_add(at);
        self.elapsed_ms = self.elapsed_ms.max(at);
        at
    }

    /// The place of a limit; `None` where there are too many.
    fn place(&mut self, meter: &Meter<'_>) -> Option<usize> {
        let known = self
            .limits
            .iter()
            .position(|limit| limit.name == meter.name);
        let place = match known {
            Some(place) => place,
            None if self.limits.len() < LIMITS_MAX => {
                let name = meter.name.to_owned();
                self.limits.push(Metered {
                    name,
                    ..Metered::default()
                });
                self.limits.len() - 1
            }
            None => return None,
        };
        self.limits[place].quota.clone_from(&meter.quota);
        Some(place)
    }
}

fn count(codes: &mut BTreeMap<String, u64>, code: Option<&str>) {
    let code = words::code(code.unwrap_or("no_code"));
    let is_known = codes.contains_key(&code) || codes.len() < CODES_MAX;
    let code = if is_known { code } else { "other".to_owned() };
    *codes.entry(code).or_default() += 1;
}

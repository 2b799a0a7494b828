//! What is told of a run, as data.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::words;

/// What is told of a run and of those that it went on with. Times are milliseconds.
///
/// It is what [`to_json`](Report::to_json) writes, so that a report made elsewhere can be shown here.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Report {
    /// The form of this data: 1.
    pub rate_limited_report: u32,
    /// What it is of, such as the name of an output.
    pub title: String,
    /// When the first run began, since 1970.
    pub began_unix_ms: Option<u64>,
    /// How many runs there were.
    pub runs: u64,
    /// When the first ones of them began, as times of running.
    pub runs_began_ms: Vec<u64>,
    /// How long they ran; what lies between two runs is left out.
    pub elapsed_ms: u64,
    /// What of all this is of runs before those of the one who tells it; `None`: nothing.
    pub earlier: Option<Earlier>,
    /// The calls.
    pub calls: Calls,
    /// Their attempts.
    pub attempts: Attempts,
    /// How long good answers took.
    pub latency: Latency,
    /// The limits.
    pub limits: Vec<Limit>,
    /// What happened when, in slices of equal width.
    pub timeline: Vec<Slice>,
    /// The tokens that answers told.
    pub tokens: u64,
    /// What it cost, where there was a bound on that.
    pub cost: Option<Cost>,
    /// The calls that took longest, the longest first.
    pub slowest: Vec<Named>,
    /// The calls with most attempts, if there were several.
    pub most_retried: Vec<Named>,
    /// What one has to know to read the numbers.
    pub notes: Vec<String>,
    /// Texts of errors: empty unless they were asked for.
    pub examples: Vec<Example>,
}

/// Runs that were over when the one who tells of all of them went on with their journal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Earlier {
    /// How many.
    pub runs: u64,
    /// Their calls that are over.
    pub calls: u64,
    /// Their attempts.
    pub attempts: u64,
}

/// The calls of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Calls {
    /// All of them, where that is known.
    pub requests: Option<u64>,
    /// Those with an answer.
    pub succeeded: u64,
    /// Those that failed for good.
    pub failed: u64,
    /// Those that have begun and are not over.
    pub unfinished: u64,
    /// With which codes calls failed for good, also those that were run again and did so once more; empty where none
    /// has failed in the end.
    pub failed_by_code: BTreeMap<String, u64>,
}

/// The attempts of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Attempts {
    /// All of them.
    pub total: u64,
    /// Those that were not the first one of their call.
    pub retries: u64,
    /// What they came to, by name.
    pub by_outcome: BTreeMap<String, u64>,
    /// The codes of refusals.
    pub refused_by_code: BTreeMap<String, u64>,
    /// The codes of other failures.
    pub failed_by_code: BTreeMap<String, u64>,
    /// How many calls took so many attempts; 16 stands for 16 and more.
    pub per_call: Vec<(u32, u64)>,
}

/// How long good answers took, in milliseconds. Quantiles are within 1.6 %.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Latency {
    /// How many there were.
    pub answers: u64,
    /// The mean.
    pub mean_ms: f64,
    /// Half took no longer.
    pub p50_ms: f64,
    /// 95 of 100 took no longer.
    pub p95_ms: f64,
    /// 99 of 100 took no longer.
    pub p99_ms: f64,
    /// None took longer.
    pub longest_ms: f64,
    /// How many took how long, on a logarithmic axis.
    pub histogram: Vec<Bar>,
}

/// How many answers took from this to that long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Bar {
    /// From this.
    pub from_ms: f64,
    /// To that.
    pub to_ms: f64,
    /// How many.
    pub count: u64,
}

/// A limit; how full it was when is in the [`shares`](Slice::shares) of the timeline.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Limit {
    /// Its name.
    pub name: String,
    /// How much it is; and a lower limit that was in force in the end, where the server named one or refused.
    pub quota: String,
    /// How full it was on average; 1 is all of it.
    pub mean_share: f64,
    /// The fullest that it was.
    pub peak_share: f64,
}

/// A slice of the time of running.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Slice {
    /// When it begins.
    pub from_ms: u64,
    /// Calls in flight on average.
    pub in_flight: f64,
    /// The most calls in flight.
    pub in_flight_most: f64,
    /// Calls that waited, on average.
    pub waiting: f64,
    /// Attempts that ended with a good answer.
    pub succeeded: u64,
    /// Attempts that failed otherwise than by a refusal.
    pub failed: u64,
    /// Attempts that were refused.
    pub refused: u64,
    /// Of each limit how full it was, on average and at most.
    pub shares: Vec<(f64, f64)>,
}

/// What a run cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// In dollars.
    pub dollars: f64,
    /// The most that it might cost.
    pub most_dollars: f64,
}

/// A call, by the name that its user knows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Named {
    /// Its name.
    pub call: String,
    /// Attempts that were made.
    pub attempts: u32,
    /// From its first attempt to its end.
    pub took_ms: f64,
    /// The code of its error, if it failed.
    pub code: Option<String>,
}

impl Named {
    /// Calls it by another name, of which 80 characters are kept.
    ///
    /// ```
    /// use rate_limited_report::Named;
    ///
    /// let mut call = Named { call: "call 17".into(), ..Named::default() };
    /// call.rename("poem\t17");
    /// assert_eq!(call.call, "poem\u{fffd}17");
    /// ```
    pub fn rename(&mut self, name: &str) {
        self.call = words::name(name, words::NAME_CHARS_MAX);
    }
}

/// What an error said.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Example {
    /// The name of the call.
    pub call: String,
    /// The code of the error.
    pub code: String,
    /// What it said.
    pub text: String,
}

impl Calls {
    /// Forgets the codes of calls that failed, and have succeeded since.
    pub(crate) fn settle(&mut self) {
        if self.failed == 0 {
            self.failed_by_code.clear();
        }
    }
}

impl Report {
    pub(crate) const FORM: u32 = 1;

    /// How the JSON begins.
    const JSON_BEGINS: &str = "{\n  \"rate_limited_report\": ";

    /// Takes the numbers of calls that are over from a journal, which misses none, and notes how many of them are in no
    /// other number.
    ///
    /// ```
    /// use rate_limited_report::Statistics;
    ///
    /// let mut report = Statistics::default().report("poems");
    /// report.take_counts(41, 1);
    /// assert_eq!((report.calls.succeeded, report.calls.failed), (41, 1));
    /// assert!(report.notes[0].starts_with("42 calls are over and not in the statistics"));
    /// ```
    pub fn take_counts(&mut self, succeeded: u64, failed: u64) {
        let seen = self.calls.succeeded + self.calls.failed;
        let missing = (succeeded + failed).saturating_sub(seen);
        if missing > 0 {
            self.notes.push(format!(
                "{} over and not in the statistics: a run was killed or goes on, or its statistics are gone",
                words::counted(missing, "call is", "calls are")
            ));
        }
        (self.calls.succeeded, self.calls.failed) = (succeeded, failed);
        self.calls.settle();
    }

    /// The report as JSON: these fields.
    ///
    /// # Panics
    /// Never: it has nothing but numbers and text.
    pub fn to_json(&self) -> String {
        let mut json = serde_json::to_string_pretty(self).expect("numbers and text");
        json.push('\n');
        json
    }

    /// A report that was written as JSON.
    ///
    /// ```
    /// use rate_limited_report::Report;
    ///
    /// let report = Report { rate_limited_report: 1, title: "poems".into(), ..Report::default() };
    /// assert_eq!(Report::from_json(&report.to_json())?, report);
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    ///
    /// # Errors
    /// It is no such JSON.
    pub fn from_json(json: &str) -> Result<Report, serde_json::Error> {
        serde_json::from_str(json)
    }

    /// A few lines that say the most important things.
    pub fn to_text(&self) -> String {
        crate::text::of(self)
    }

    /// One page with pictures, which needs nothing else: no script, no network.
    pub fn to_html(&self) -> String {
        crate::html::of(self)
    }
}

/// Whether a file that begins like this is a report, in any form: it may be replaced by another one.
///
/// ```
/// use rate_limited_report::{Report, is_report};
///
/// let report = Report { rate_limited_report: 1, ..Report::default() };
/// assert!([report.to_html(), report.to_json(), report.to_text()].iter().all(|it| is_report(it.as_bytes())));
/// assert!(!is_report(b"{\"custom_id\":\"poem-1\"}"));
/// ```
pub fn is_report(beginning: &[u8]) -> bool {
    let marks = [
        crate::html::BEGINS,
        Report::JSON_BEGINS,
        crate::text::BEGINS,
    ];
    marks
        .iter()
        .any(|mark| beginning.starts_with(mark.as_bytes()))
}

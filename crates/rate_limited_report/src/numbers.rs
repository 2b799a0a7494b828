//! Statistics of runs of the core's schedulers: what is known of what is not over.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use rate_limited_core::{Amount, AttemptId, CallId, Class, Progress, Quota, ResourceView, Time};

use crate::report::Report;
use crate::statistics::{Attempt, Call, Meter, Outcome, Sample, Statistics};
use crate::text::money;
use crate::timeline::SLICES_MAX;
use crate::words;

/// The latencies of good answers that are kept: the latest.
const LATENCIES_KEPT: usize = 256;

/// The most looks at a time in which nothing happened: more than there are slices is of no use.
const LOOKS_MAX: u32 = SLICES_MAX as u32;

/// What the numbers of calls count: calls of a run, and rows.
pub const KINDS: [&str; 2] = ["call", "row"];

/// The numbers of runs; their [`Flights`] are apart, so that several schedulers may share them.
///
/// ```
/// use std::time::Duration;
/// use rate_limited_core::Time;
/// use rate_limited_report::Numbers;
///
/// let mut numbers = Numbers::default();
/// numbers.begins(Time::PROCESS_START, 1_700_000_000_000);
/// assert!(numbers.is_due(Time::PROCESS_START));
/// assert_eq!(numbers.report("poems").runs, 1);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Numbers {
    statistics: Statistics,
    began: Time,
    looked: Option<Time>,
    latencies: Vec<Duration>,
    /// Which of them the next one replaces.
    oldest: usize,
    /// The calls that were over in the statistics that it went on with.
    seen: Ended,
}

/// How many calls are over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    /// Those with an answer.
    pub succeeded: u64,
    /// Those that failed for good.
    pub failed: u64,
}

/// The attempts in flight of one scheduler, and its unfinished calls.
#[derive(Clone, Debug, Default)]
pub struct Flights {
    /// When the attempts in flight left, by the index of their ids.
    attempts: Vec<Option<(AttemptId, Time)>>,
    /// When the first attempt of unfinished calls left, by the index of their ids; the default: none has.
    began: Vec<Time>,
    /// Those of them that did not succeed at once, by the same: few, while there may be millions of calls.
    troubled: BTreeMap<usize, Trouble>,
}

/// What is known of a call whose first attempt has failed.
#[derive(Clone, Debug)]
struct Trouble {
    attempts: u32,
    /// The code of its last error.
    code: Option<Box<str>>,
}

impl Default for Trouble {
    fn default() -> Trouble {
        Trouble {
            attempts: 1,
            code: None,
        }
    }
}

/// What became of an attempt.
#[derive(Clone, Copy, Debug)]
pub enum Fate<'a> {
    /// It came back; with the code of its error, if that is known.
    Came(Class, Option<&'a str>),
    /// It outlived its time-out.
    TimedOut,
    /// It was cut off.
    CutOff,
}

/// A call that is over.
#[derive(Clone, Copy, Debug)]
pub struct Over<'a> {
    /// Which one.
    pub id: CallId,
    /// What its number counts: one of [`KINDS`].
    pub kind: &'static str,
    /// Its number.
    pub number: u64,
    /// Why it failed, where no attempt has told a code; `None`: it succeeded.
    pub failed: Option<&'a str>,
}

/// A resource as it is at a moment.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// Its books.
    pub view: &'a ResourceView,
    /// Its window in words, such as `day UTC, back at 01:00`. Default `None`: its length.
    pub window: Option<&'a str>,
    /// Its units in a dollar, where it is money. Default `None`: it is not.
    pub per_dollar: Option<f64>,
}

impl<'a> From<&'a ResourceView> for Seen<'a> {
    fn from(view: &'a ResourceView) -> Seen<'a> {
        Seen {
            view,
            window: None,
            per_dollar: None,
        }
    }
}

impl Numbers {
    /// Goes on with what earlier runs have counted. The numbers of their calls were given by another runner: reports say
    /// so.
    ///
    /// ```
    /// use rate_limited_report::{Ended, Numbers, Statistics};
    ///
    /// let mut first = Numbers::default();
    /// first.begins(rate_limited_core::Time::PROCESS_START, 1_700_000_000_000);
    /// let known = Statistics::from_json(&first.statistics().to_json());
    /// let later = Numbers::going_on(known.unwrap_or_default());
    /// // By the journal there are two answers: a kill has lost the statistics of them.
    /// let report = later.report_beside("poems", Ended { succeeded: 2, failed: 0 });
    /// assert_eq!((report.calls.succeeded, report.earlier.map(|it| it.calls)), (2, Some(2)));
    /// ```
    pub fn going_on(mut statistics: Statistics) -> Numbers {
        statistics.rename(|name| is_number(name).then(|| format!("{name} of an earlier run")));
        statistics.goes_on();
        Numbers {
            seen: statistics.ended(),
            statistics,
            ..Numbers::default()
        }
    }

    /// What was counted: a later process can [go on](Numbers::going_on) with it.
    pub fn statistics(&self) -> &Statistics {
        &self.statistics
    }

    /// As [`Statistics::rename`].
    pub fn rename(&mut self, name: impl FnMut(&str) -> Option<String>) {
        self.statistics.rename(name);
    }

    /// A run begins, at so many milliseconds since 1970.
    pub fn begins(&mut self, now: Time, unix_ms: u64) {
        self.statistics.begins(unix_ms);
        self.began = now;
        self.looked = None;
    }

    /// An attempt leaves, the how-manieth of its call.
    pub fn leaves(
        &mut self,
        flights: &mut Flights,
        (id, attempt): (CallId, AttemptId),
        number: u32,
        now: Time,
    ) {
        self.statistics.leaves(now.since(self.began), number > 1);
        *place(&mut flights.attempts, attempt.index()) = Some((attempt, now));
        let index = id.index();
        if flights.began.len() <= index {
            flights.began.resize(index + 1, Time::default());
        }
        let began = &mut flights.began[index];
        if *began == Time::default() {
            *began = now;
        } else {
            flights.troubled.entry(index).or_default().attempts += 1;
        }
    }

    /// An attempt has ended; one that is not in flight is not counted.
    pub fn ended(
        &mut self,
        flights: &mut Flights,
        (id, attempt): (CallId, AttemptId),
        fate: Fate<'_>,
        now: Time,
    ) {
        let flight = place(&mut flights.attempts, attempt.index());
        let Some((_, left)) = flight.take_if(|(known, _)| *known == attempt) else {
            return;
        };
        let (outcome, code) = match fate {
            Fate::Came(class, code) => (outcome(class), code),
            Fate::TimedOut => (Outcome::TimedOut, Some("timeout")),
            Fate::CutOff => (Outcome::CutOff, None),
        };
        let took = now.since(left);
        if outcome == Outcome::Succeeded {
            self.keep(took);
        } else {
            let trouble = flights.troubled.entry(id.index()).or_default();
            trouble.code = code.map(Into::into);
        }
        let attempt = Attempt {
            outcome,
            code,
            took,
        };
        self.statistics.attempt(now.since(self.began), &attempt);
    }

    /// An attempt that was taken to leave was not made after all, and nobody wants its call any more: it is not counted.
    ///
    /// ```
    /// use rate_limited_core::{Limiter, Output, Scheduler, Settings, Time};
    /// use rate_limited_report::{Flights, Numbers};
    ///
    /// let now = Time::PROCESS_START;
    /// let mut limiter = Limiter::new(now);
    /// let mut scheduler = Scheduler::new(&mut limiter, Settings::default(), now);
    /// scheduler.schedule(&mut limiter, &[], now)?;
    /// let Output::Dispatch { call, attempt, .. } = scheduler.poll(&mut limiter, now) else { unreachable!() };
    /// let (mut numbers, mut flights) = (Numbers::default(), Flights::default());
    /// numbers.leaves(&mut flights, (call, attempt), 1, now);
    /// assert_eq!(numbers.report("").attempts.total, 1);
    /// numbers.stays(&mut flights, (call, attempt));
    /// assert_eq!(numbers.report("").attempts.total, 0);
    /// # Ok::<(), rate_limited_core::ScheduleError>(())
    /// ```
    pub fn stays(&mut self, flights: &mut Flights, (id, attempt): (CallId, AttemptId)) {
        let flight = place(&mut flights.attempts, attempt.index());
        if flight.take_if(|(known, _)| *known == attempt).is_none() {
            return;
        }
        let trouble = flights.troubled.remove(&id.index());
        let is_retry = trouble.is_some_and(|trouble| trouble.attempts > 1);
        if let Some(began) = flights.began.get_mut(id.index()) {
            *began = Time::default();
        }
        self.statistics.stays(is_retry);
    }

    /// A call is over.
    pub fn over(&mut self, flights: &mut Flights, over: Over<'_>, now: Time) {
        let (index, none) = (over.id.index(), Time::default());
        let began = flights.began.get_mut(index).map(std::mem::take);
        let began = began.filter(|began| *began != none);
        // Of most calls there is none.
        let trouble = if flights.troubled.is_empty() {
            None
        } else {
            flights.troubled.remove(&index)
        };
        let tries = trouble.as_ref().map_or(1, |trouble| trouble.attempts);
        let attempts = began.map_or(0, |_| tries);
        let took = began.map_or(Duration::ZERO, |began| now.since(began));
        let mut name = Name::default();
        // The names of most calls are not kept, and not made.
        if self.statistics.names(took, attempts) {
            // A number fits.
            let _ = write!(name, "{} {}", over.kind, over.number);
        }
        let told = trouble.as_ref().and_then(|it| it.code.as_deref());
        self.statistics.call(&Call {
            name: name.as_str(),
            attempts,
            took,
            code: over.failed.map(|why| told.unwrap_or(why)),
        });
    }

    /// As [`Statistics::reopens`].
    pub fn reopens(&mut self, failed: bool) {
        self.statistics.reopens(failed);
    }

    /// Whether it is time to [`look`](Numbers::look).
    pub fn is_due(&self, now: Time) -> bool {
        let every = self.statistics.sample_every();
        self.looked.is_none_or(|last| now.since(last) >= every)
    }

    /// The moments at which to [`look`](Numbers::look), up to now. Where nothing happened for long there are several: whoever looks
    /// before he takes in what happens sees the run as it was at each of them, and needs no timer.
    ///
    /// ```
    /// use std::time::Duration;
    /// use rate_limited_core::{Progress, ResourceView, Time};
    /// use rate_limited_report::Numbers;
    ///
    /// let (mut numbers, start) = (Numbers::default(), Time::PROCESS_START);
    /// numbers.begins(start, 1_700_000_000_000);
    /// assert_eq!(numbers.due(start), [start]);
    /// numbers.look(&Progress::default(), [] as [&ResourceView; 0], start);
    /// assert!(numbers.due(start).is_empty());
    /// let later = start + Duration::from_secs(10);
    /// assert_eq!(numbers.due(later).last(), Some(&later));
    /// assert!(numbers.due(later).len() > 100);
    /// ```
    pub fn due(&self, now: Time) -> Vec<Time> {
        if !self.is_due(now) {
            return Vec::new();
        }
        let last = self.looked.unwrap_or(now);
        let gap = now.since(last);
        let every = self.statistics.sample_every().max(gap / LOOKS_MAX);
        let moments = (1..LOOKS_MAX).map(|step| last + every * step);
        moments.take_while(|at| *at < now).chain([now]).collect()
    }

    /// A look at a run and at the resources that it takes from.
    pub fn look<'a, S: Into<Seen<'a>>>(
        &mut self,
        progress: &Progress,
        resources: impl IntoIterator<Item = S>,
        now: Time,
    ) {
        self.looked = Some(now);
        let sample = Sample {
            in_flight: progress.in_flight,
            waiting: progress.waiting,
            meters: resources
                .into_iter()
                .filter_map(|seen| meter(&seen.into()))
                .collect(),
        };
        self.statistics.sample(now.since(self.began), &sample);
    }

    /// How long the latest good answers took, 256 at most, in no order.
    pub fn latencies(&self) -> &[Duration] {
        &self.latencies
    }

    /// What is told of all that.
    pub fn report(&self, title: &str) -> Report {
        self.statistics.report(title)
    }

    /// The same beside a journal, by which so many calls were over before: it misses none, and a kill loses the latest
    /// statistics.
    pub fn report_beside(&self, title: &str, over: Ended) -> Report {
        let mut told = self.report(title);
        let succeeded = told.calls.succeeded.saturating_sub(self.seen.succeeded);
        let failed = told.calls.failed.saturating_sub(self.seen.failed);
        told.take_counts(over.succeeded + succeeded, over.failed + failed);
        if let Some(earlier) = &mut told.earlier {
            earlier.calls = over.succeeded + over.failed;
        }
        told
    }

    fn keep(&mut self, latency: Duration) {
        if self.latencies.len() < LATENCIES_KEPT {
            self.latencies.push(latency);
            return;
        }
        self.latencies[self.oldest] = latency;
        self.oldest = (self.oldest + 1) % LATENCIES_KEPT;
    }
}

/// Whether a call has the name that its number gives it.
///
/// ```
/// use rate_limited_report::is_number;
///
/// assert!(is_number("call 17"));
/// assert!(!is_number("call me"));
/// ```
pub fn is_number(name: &str) -> bool {
    let number = |kind| name.strip_prefix(kind)?.strip_prefix(' ');
    let number = KINDS.into_iter().find_map(number);
    number.is_some_and(|number| number.parse::<u64>().is_ok())
}

fn place<T>(list: &mut Vec<Option<T>>, index: usize) -> &mut Option<T> {
    if list.len() <= index {
        list.resize_with(index + 1, || None);
    }
    &mut list[index]
}

fn outcome(class: Class) -> Outcome {
    match class {
        Class::Success => Outcome::Succeeded,
        Class::Invalid => Outcome::Invalid,
        Class::Refused { .. } => Outcome::Refused,
        Class::Permanent | Class::Fatal => Outcome::Rejected,
        _ => Outcome::Failed,
    }
}

/// How full a resource is, against what was told of it, or else against what was found; `None`: nothing is known.
fn meter<'a>(seen: &Seen<'a>) -> Option<Meter<'a>> {
    let view = seen.view;
    let (told, per) = match *view.resource.quota() {
        Quota::SlidingWindow { amount, window } | Quota::FixedWindow { amount, window, .. } => {
            (Some(amount), Some(window))
        }
        Quota::TokenBucket { burst, per, .. } => (Some(burst), Some(per)),
        Quota::Slots { amount } | Quota::Budget { amount } => (Some(amount), None),
        Quota::Spacing { .. } => (None, None),
        _ => (view.limit, None),
    };
    let told = if view.resource.is_untold() {
        view.limit
    } else {
        told
    };
    let limit = told?.as_units();
    let in_force = view.limit.filter(|_| Some(view.window) == per);
    let lower = in_force
        .map(Amount::as_units)
        .filter(|in_force| *in_force < limit)
        .map_or_else(String::new, |in_force| {
            format!(", {} in force at last", words::amount(in_force))
        });
    let per = match (seen.window, per) {
        (Some(window), _) => format!(" per {window}"),
        (None, Some(per)) => format!(" per {per:?}"),
        (None, None) => String::new(),
    };
    let quota = match seen.per_dollar {
        Some(units) => money(limit / units),
        None => format!("{}{per}{lower}", words::amount(limit)),
    };
    // In a process there may be several resources of one name, which their owner then numbers.
    let name = view.resource.name().split('#').next().unwrap_or_default();
    Some(Meter {
        name,
        quota,
        share: (view.charged + view.held).as_units() / limit.max(f64::MIN_POSITIVE),
    })
}

/// A short name that is made without memory of its own: most calls are not among those that are kept.
#[derive(Default)]
struct Name {
    bytes: [u8; 32],
    length: usize,
}

impl Name {
    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.length]).unwrap_or_default()
    }
}

impl std::fmt::Write for Name {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        let end = self.length + text.len();
        let room = self.bytes.get_mut(self.length..end);
        room.ok_or(std::fmt::Error)?
            .copy_from_slice(text.as_bytes());
        self.length = end;
        Ok(())
    }
}

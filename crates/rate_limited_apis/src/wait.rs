//! How long an answer asks to wait.

use std::sync::LazyLock;
use std::time::Duration;

use serde::Deserialize;

use crate::answer::{Headers, View};
use crate::condition::{Condition, all_hold};
use crate::lenient::{duration, one_or_many};
use crate::moment::{Moment, WAIT_MAX};
use crate::parse;
use crate::source::Source;

/// How a time is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TimeFormat {
    /// [`parse::seconds`].
    Seconds,
    /// [`parse::milliseconds`].
    Milliseconds,
    /// [`parse::go_duration`].
    GoDuration,
    /// [`parse::proto_duration`].
    ProtoDuration,
    /// [`parse::epoch`].
    Epoch,
    /// [`parse::rfc3339`].
    Rfc3339,
    /// [`parse::retry_after`]: seconds or an HTTP date.
    RetryAfter,
    /// [`parse::wait_in_message`]: somewhere in a text.
    Message,
    /// [`parse::any_time`]: nobody knows.
    Any,
}

impl TimeFormat {
    /// The time that a text tells, from `now` on.
    pub(crate) fn read(self, text: &str, now: Moment) -> Option<Duration> {
        let until = |moment: Option<Moment>| moment.map(|moment| now.until(moment));
        match self {
            TimeFormat::Seconds => parse::seconds(text),
            TimeFormat::Milliseconds => parse::milliseconds(text),
            TimeFormat::GoDuration => parse::go_duration(text),
            TimeFormat::ProtoDuration => parse::proto_duration(text),
            TimeFormat::Epoch => until(parse::epoch(text)),
            TimeFormat::Rfc3339 => until(parse::rfc3339(text)),
            TimeFormat::RetryAfter => parse::retry_after(text, now),
            TimeFormat::Message => parse::wait_in_message(text),
            TimeFormat::Any => parse::any_time(text, now),
        }
    }
}

/// A place where a refusal tells how long to wait. The first place that tells something decides; for an
/// exhausted quota, the longest of all.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Hint {
    /// The place.
    pub from: Source,
    /// How the time is written there.
    pub format: TimeFormat,
    /// The longest wait that a call may sit out; a longer one parks the resource. Default 10 min.
    #[serde(default = "cap", deserialize_with = "duration")]
    pub cap: Duration,
    /// What to add, as a second where times have whole seconds only. Default 0.
    #[serde(default, deserialize_with = "duration")]
    pub plus: Duration,
    /// When the place counts at all. Default: always.
    #[serde(default, deserialize_with = "one_or_many")]
    pub when: Vec<Condition>,
}

const fn cap() -> Duration {
    Duration::from_secs(600)
}

/// How long an answer asks to wait.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Wait {
    /// The time from now on; at most [`WAIT_MAX`].
    pub after: Duration,
    /// Whether it is longer than anyone should sit out: the resource is parked, and that is told.
    pub parks: bool,
}

impl Hint {
    /// `retry-after-ms`, then `Retry-After`: what most APIs have.
    pub(crate) fn standard() -> Vec<Hint> {
        let hint = |header: &str, format| Hint {
            from: Source::Header(header.to_owned()),
            format,
            cap: cap(),
            plus: Duration::ZERO,
            when: Vec::new(),
        };
        vec![
            hint("retry-after-ms", TimeFormat::Milliseconds),
            hint("retry-after", TimeFormat::RetryAfter),
        ]
    }

    /// The wait that this place tells; of several values the longest.
    pub(crate) fn wait(&self, view: &View<'_>, now: Moment) -> Option<Wait> {
        let mut longest = None;
        view.each(&self.from, &mut |found| {
            let wait = found.text().and_then(|text| self.read(&text, now));
            longest = longest.max(wait);
        });
        let after = longest.filter(|_| all_hold(&self.when, view))?;
        let after = after.saturating_add(self.plus).min(WAIT_MAX);
        Some(Wait {
            after,
            parks: after > self.cap,
        })
    }

    fn read(&self, text: &str, now: Moment) -> Option<Duration> {
        // Some servers send lists of numbers here, too; dates are split by their own reader.
        let whole = self.format.read(text, now);
        whole.or_else(|| {
            text.split(',')
                .filter_map(|part| self.format.read(part, now))
                .max()
        })
    }
}

/// The wait that the headers of an answer ask for: `retry-after-ms`, then `Retry-After`.
///
/// Of several values, in one header or in many, the longest counts; garbage is skipped. An HTTP date is
/// measured from the answer's own `Date` where there is one, so that a skewed clock does no harm, else
/// from `now`; a past one is a wait of zero.
///
/// ```
/// use std::time::Duration;
/// use rate_limited_apis::{Moment, wait_in_headers};
///
/// let now = Moment::from_seconds(1_795_000_000);
/// let headers = [("Retry-After", "3, 5"), ("retry-after", "abc")];
/// assert_eq!(wait_in_headers(&headers, now), Some(Duration::from_secs(5)));
/// ```
pub fn wait_in_headers(headers: &dyn Headers, now: Moment) -> Option<Duration> {
    static HINTS: LazyLock<Vec<Hint>> = LazyLock::new(Hint::standard);
    let view = View {
        status: 0,
        headers,
        body: crate::body::Body::default(),
    };
    let mut is_told = false;
    for hint in HINTS.iter() {
        view.each(&hint.from, &mut |_| is_told = true);
    }
    if !is_told {
        return None;
    }
    let now = origin(headers, now);
    HINTS
        .iter()
        .find_map(|hint| hint.wait(&view, now))
        .map(|wait| wait.after)
}

/// The moment from which an answer counts: its own `Date`, else `now`.
pub(crate) fn origin(headers: &dyn Headers, now: Moment) -> Moment {
    let mut date = None;
    headers.each("date", &mut |value| {
        date = date.or(parse::http_date(value, now));
    });
    date.unwrap_or(now)
}

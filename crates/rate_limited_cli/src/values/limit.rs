//! Limits as the command line has them: `NAME=QUOTA/WINDOW`, or `NAME[MODEL]=QUOTA/WINDOW`.
//!
//! `requests[gpt-4o]=500/1m` is for one model; in its name one `*` stands for any text, and each model that fits has
//! the limit for itself.
//!
//! `requests=3500/1m`, `tokens=1_000_000/1d`, `requests=500/m`, `tokens=90k/1m`, `images=5/250ms`.
//! The quota takes `_` between digits, a fraction down to a millionth, and the endings `k` (thousand),
//! `M` (million) and `G` (thousand million), small or large: minutes stand behind the slash alone. The window is a duration (see [`crate::values::duration`]), or a unit alone for one of it (`m` or `minute`): it slides.
//!
//! With `@` and a time zone behind it the window follows the calendar: `requests=1000/day@America/Los_Angeles`,
//! `requests=1000/day@09:00 Europe/Berlin`, `tokens=5M/month@UTC`, `requests=60/minute@UTC`, `requests=5/10s@UTC`.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use rate_limited::{Calendar, CalendarError};

use crate::values::decimal::{Decimal, DecimalFault};
use crate::values::duration::{self, DurationError};
use crate::values::text::{grouped, quoted};

/// The largest quota, in units: 9,200,000,000,000.
pub const QUOTA_MAX: u64 = 9_200_000_000_000;

/// The shortest window: 1 µs. The longest is [`crate::values::duration::DURATION_MAX`].
pub const WINDOW_MIN: Duration = Duration::from_micros(1);

const NAME_BYTES_MAX: usize = 64;
const KEY_BYTES_MAX: usize = 256;
const MICROS: u128 = 1_000_000;

/// How much of a resource may be used within a window.
///
/// `Display` writes it back in the form that it is read from.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use rate_limited_cli::values::limit::Limit;
///
/// let limit: Limit = "tokens=90k/1m".parse()?;
/// assert_eq!(limit.name, "tokens");
/// assert_eq!(limit.quota_micros, 90_000_000_000);
/// assert_eq!(limit.window, Duration::from_secs(60));
/// assert_eq!(limit.to_string(), "tokens=90000/1m");
/// # Ok::<(), rate_limited_cli::values::limit::LimitError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    /// The resource: letters, digits, `_`, `-` and `.`, at most 64 of them.
    pub name: String,
    /// The model that it is for, or what else the API has limits for; one `*` in it stands for any text. `None`: all.
    pub key: Option<String>,
    /// The quota in millionths of the resource's unit; above 0, at most [`QUOTA_MAX`] units.
    pub quota_micros: i64,
    /// The window, from [`WINDOW_MIN`] to [`crate::values::duration::DURATION_MAX`].
    ///
    /// Of a calendar the usual length: a day, or 30 days.
    pub window: Duration,
    /// The calendar that ends its windows; `None`: they slide.
    pub calendar: Option<Calendar>,
}

/// Why a limit was refused; the message names the value and what is allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LimitError {
    /// No `=` or no `/` after it.
    #[error("limit {} has not the form NAME=QUOTA/WINDOW, such as requests=500/1m", quoted(.0))]
    Form(String),
    /// An empty name, or one with other characters than the allowed ones.
    #[error(
        "limit {} has a bad name: use 1 to 64 letters, digits, '_', '-' or '.', as in requests=500/1m",
        quoted(.0)
    )]
    Name(String),
    /// A bad key in brackets.
    #[error(
        "limit {} has a bad model in its brackets: write its name, with at most one * for any text, as in \
         requests[gpt-4o*]=500/1m",
        quoted(.0)
    )]
    Key(String),
    /// The quota is no number; NaN, infinity and signs are none.
    #[error(
        "quota {} is not a number above 0: write for example 500, 1_000_000, 90k or 1.5M; \
         leave the limit out where there is none",
        quoted(.0)
    )]
    NotANumber(String),
    /// A number in a form that is not read, such as `1e30`.
    #[error(
        "quota {} is too large or wrongly written: write for example 500, 1_000_000, 90k or 1.5M",
        quoted(.0)
    )]
    Written(String),
    /// A quota of nothing would let nothing run.
    #[error("quota {} lets nothing run: it must be above 0", quoted(.0))]
    Zero(String),
    /// More than [`QUOTA_MAX`].
    #[error("quota {} is too large: the largest is {}", quoted(.0), grouped(QUOTA_MAX))]
    TooLarge(String),
    /// Less than a millionth of a unit remains.
    #[error("quota {} is finer than a millionth: use at most 6 places", quoted(.0))]
    TooFine(String),
    /// The window cannot be read or is too long.
    #[error("the window of limit {} is refused: {reason}", quoted(limit))]
    Window {
        /// The whole limit as it was written.
        limit: String,
        /// What is wrong with the window.
        reason: DurationError,
    },
    /// What stands before and behind the `@` is no window of the calendar.
    #[error("the window of limit {} is refused: {reason}", quoted(limit))]
    Calendar {
        /// The whole limit as it was written.
        limit: String,
        /// What is wrong with the window.
        reason: CalendarError,
    },
    /// Less than [`WINDOW_MIN`], zero included.
    #[error("the window of limit {} is too short: the shortest is 1us", quoted(.0))]
    WindowTooShort(String),
    /// One resource has two quotas for one window.
    #[error("limit {first} and limit {second} are for one window: keep one of them")]
    Twice {
        /// The one given first.
        first: Box<Limit>,
        /// The one given later.
        second: Box<Limit>,
    },
}

impl Limit {
    /// The limit that `--rpm` stands for: so many `requests` a minute.
    ///
    /// # Errors
    /// As for the quota of a limit written in full.
    pub fn requests_per_minute(quota: &str) -> Result<Limit, LimitError> {
        Self::per_minute("requests", quota)
    }

    /// The limit that `--tpm` stands for: so many `tokens` a minute.
    ///
    /// # Errors
    /// As for the quota of a limit written in full.
    pub fn tokens_per_minute(quota: &str) -> Result<Limit, LimitError> {
        Self::per_minute("tokens", quota)
    }

    fn per_minute(name: &str, quota: &str) -> Result<Limit, LimitError> {
        let window = Duration::from_secs(60);
        Ok(Limit {
            name: name.to_owned(),
            key: None,
            quota_micros: quota_micros(quota.trim())?,
            window,
            calendar: None,
        })
    }

    /// Whether both are for one resource, one model and one window.
    pub(crate) fn is_beside(&self, other: &Limit) -> bool {
        self.is_over(other) && self.key == other.key
    }

    /// Whether both are for one resource and one window, of whatever models.
    pub(crate) fn is_over(&self, other: &Limit) -> bool {
        self.name == other.name && self.window == other.window && self.calendar == other.calendar
    }

    /// The end of its present window of the calendar, if it follows one.
    pub(crate) fn window_end(&self) -> Option<SystemTime> {
        let window = self.calendar.as_ref()?.window_at(SystemTime::now());
        window.map(|window| window.end)
    }

    /// The window as it may be written.
    pub(crate) fn window_written(&self) -> String {
        let Some(calendar) = &self.calendar else {
            return duration::written(self.window);
        };
        let written = calendar.to_string();
        match written.split_once(' ') {
            Some(("clock", _)) => format!("{}@UTC", duration::written(self.window)),
            Some((every, zone)) => format!("{every}@{zone}"),
            None => format!("{written}@UTC"),
        }
    }

    /// Whether it is for this key alone, or fits it.
    pub(crate) fn is_for(&self, key: &str) -> bool {
        self.key
            .as_deref()
            .is_some_and(|name| match name.split_once('*') {
                Some((start, end)) => {
                    let rest = key.strip_prefix(start);
                    rest.is_some_and(|rest| rest.ends_with(end))
                }
                None => name == key,
            })
    }

    /// The quota as it may be written.
    pub(crate) fn quota_written(&self) -> String {
        let micros = self.quota_micros.unsigned_abs();
        let (units, part) = (micros / 1_000_000, micros % 1_000_000);
        if part == 0 {
            return units.to_string();
        }
        let part = format!("{part:06}");
        format!("{units}.{}", part.trim_end_matches('0'))
    }

    /// Refuses two quotas of one resource for one window; different windows stand side by side.
    ///
    /// # Errors
    /// [`LimitError::Twice`] names the first such pair.
    pub fn check_distinct(limits: &[Limit]) -> Result<(), LimitError> {
        for (place, second) in limits.iter().enumerate() {
            if let Some(first) = limits[..place].iter().find(|first| first.is_beside(second)) {
                return Err(LimitError::Twice {
                    first: Box::new(first.clone()),
                    second: Box::new(second.clone()),
                });
            }
        }
        Ok(())
    }
}

impl FromStr for Limit {
    type Err = LimitError;

    fn from_str(text: &str) -> Result<Limit, LimitError> {
        let form = || LimitError::Form(text.to_owned());
        // The name of a model may have any of the other signs.
        let keyed = text.split_once('[');
        let keyed = keyed.filter(|(name, _)| !name.contains('='));
        let (name, key, rest) = if let Some((name, rest)) = keyed {
            let (key, rest) = rest.split_once(']').ok_or_else(form)?;
            let rest = rest.trim_start().strip_prefix('=').ok_or_else(form)?;
            (name, Some(key_of(text, key)?), rest)
        } else {
            let (name, rest) = text.split_once('=').ok_or_else(form)?;
            (name, None, rest)
        };
        let (quota, window) = rest.split_once('/').ok_or_else(form)?;
        let name = name.trim();
        if !is_name(name) {
            return Err(LimitError::Name(text.to_owned()));
        }
        let quota_micros = quota_micros(quota.trim())?;
        let (window, calendar) = match window.split_once('@') {
            None => (window_of(text, window.trim())?, None),
            Some((every, zone)) => {
                let calendar = calendar_of(text, every.trim(), zone.trim())?;
                (calendar.usual_length(), Some(calendar))
            }
        };
        Ok(Limit {
            name: name.to_owned(),
            key,
            quota_micros,
            window,
            calendar,
        })
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (quota, window) = (self.quota_written(), self.window_written());
        match &self.key {
            Some(key) => write!(f, "{}[{key}]={quota}/{window}", self.name),
            None => write!(f, "{}={quota}/{window}", self.name),
        }
    }
}

/// The key in the brackets of a limit.
fn key_of(limit: &str, key: &str) -> Result<String, LimitError> {
    let key = key.trim();
    let is_sound = (1..=KEY_BYTES_MAX).contains(&key.len())
        && key.matches('*').count() <= 1
        && !key.contains(|sign: char| sign == '[' || sign.is_control());
    if is_sound {
        Ok(key.to_owned())
    } else {
        Err(LimitError::Key(limit.to_owned()))
    }
}

fn is_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(allowed)
}

/// A quota in millionths of a unit.
fn quota_micros(text: &str) -> Result<i64, LimitError> {
    // Before the slash there is no time, so that a small m is no minute.
    let (number, unit) = match text.as_bytes().last() {
        Some(b'k' | b'K') => (&text[..text.len() - 1], 1_000 * MICROS),
        Some(b'm' | b'M') => (&text[..text.len() - 1], MICROS * MICROS),
        Some(b'g' | b'G') => (&text[..text.len() - 1], 1_000 * MICROS * MICROS),
        _ => (text, MICROS),
    };
    let micros = Decimal::parse(number).and_then(|number| number.times(unit));
    let micros = micros.map_err(|reason| match reason {
        DecimalFault::NotANumber if is_number(number) => LimitError::Written(text.to_owned()),
        DecimalFault::NotANumber => LimitError::NotANumber(text.to_owned()),
        DecimalFault::TooFine => LimitError::TooFine(text.to_owned()),
        DecimalFault::TooLarge => LimitError::TooLarge(text.to_owned()),
    })?;
    if micros == 0 {
        return Err(LimitError::Zero(text.to_owned()));
    }
    let in_range = (micros <= u128::from(QUOTA_MAX) * MICROS).then_some(micros);
    in_range
        .and_then(|micros| i64::try_from(micros).ok())
        .ok_or_else(|| LimitError::TooLarge(text.to_owned()))
}

/// Whether other programs would read a number above 0 here.
fn is_number(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_digit()) && text.parse::<f64>().is_ok()
}

/// A window: a duration, or a unit alone for one of it.
fn window_of(limit: &str, text: &str) -> Result<Duration, LimitError> {
    let unit = match text {
        "second" => "s",
        "minute" => "m",
        "hour" => "h",
        "day" => "d",
        other => other,
    };
    let window = match duration::unit_nanos(unit).and_then(duration::from_nanos) {
        Some(unit) => unit,
        None => duration::parse(text).map_err(|reason| LimitError::Window {
            limit: limit.to_owned(),
            reason,
        })?,
    };
    if window < WINDOW_MIN {
        return Err(LimitError::WindowTooShort(limit.to_owned()));
    }
    Ok(window)
}

/// A window of the calendar: `day` and `month` with a zone, and multiples of any duration in UTC.
fn calendar_of(limit: &str, every: &str, zone: &str) -> Result<Calendar, LimitError> {
    let refused = |reason| LimitError::Calendar {
        limit: limit.to_owned(),
        reason,
    };
    let word = match every {
        "day" | "d" | "1d" => "day",
        "month" => "month",
        "minute" | "hour" => every,
        _ if zone.eq_ignore_ascii_case("UTC") => {
            return Calendar::clock(window_of(limit, every)?).map_err(refused);
        }
        _ if window_of(limit, every).is_ok() => "hour",
        _ => every,
    };
    if zone.is_empty() {
        return Err(refused(CalendarError::Zone(String::new())));
    }
    format!("{word} {zone}").parse().map_err(refused)
}

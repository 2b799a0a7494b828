//! Durations as people write them on a command line and read them in a message.
//!
//! Written: a number and a unit, several of them from large to small: `90s`, `1h30m`, `250ms`,
//! `1.5s`. The units are `us` (or `µs`), `ms`, `s`, `m` (or `min`), `h`, `d`. Read: two units at most,
//! rounded: `3 m 20 s`, `420 ms`.

use std::time::Duration;

use crate::values::decimal::{Decimal, DecimalFault};
use crate::values::text::quoted;

pub use rate_limited_report::Human;

/// The longest duration that is accepted: 400 days.
pub const DURATION_MAX: Duration = Duration::from_secs(400 * 86_400);

/// Why a duration was refused; the message names the value and what is allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DurationError {
    /// Nothing was written.
    #[error("the duration is empty: write a number and a unit, such as 90s, 1h30m or 250ms")]
    Empty,
    /// A number was expected and something else stands there (a sign, a word, an exponent).
    #[error(
        "duration {} is not a number and a unit: write for example 90s, 1h30m or 250ms",
        quoted(.0)
    )]
    NotANumber(String),
    /// A number stands alone.
    #[error("duration {} has no unit: write one of us, ms, s, m, h, d after it", quoted(.0))]
    NoUnit(String),
    /// The letters after a number are no unit.
    #[error(
        "duration {} has the unknown unit {}: known are us, ms, s, m, h, d",
        quoted(text),
        quoted(unit)
    )]
    UnknownUnit {
        /// What was written.
        text: String,
        /// The letters in question.
        unit: String,
    },
    /// A unit comes twice or after a smaller one.
    #[error(
        "duration {} has its units out of order: write each once, from large to small, as in 1h30m",
        quoted(.0)
    )]
    OutOfOrder(String),
    /// More than [`DURATION_MAX`].
    #[error("duration {} is too long: the longest is 400d", quoted(.0))]
    TooLong(String),
    /// A fraction of a nanosecond.
    #[error("duration {} is finer than a nanosecond: use fewer places", quoted(.0))]
    TooFine(String),
}

/// The units with their length in nanoseconds, large to small; the first name is the one written.
const UNITS: [(&[&str], u128); 6] = [
    (&["d"], 86_400_000_000_000),
    (&["h"], 3_600_000_000_000),
    (&["m", "min"], 60_000_000_000),
    (&["s"], 1_000_000_000),
    (&["ms"], 1_000_000),
    (&["us", "µs", "μs"], 1_000),
];

/// Reads a duration such as `90s`, `1h30m`, `1.5s` or `250ms`.
///
/// Zero is a duration (`0s`); what needs more refuses it itself.
///
/// # Errors
/// A missing or unknown unit, anything that is no number, units out of order, more than
/// [`DURATION_MAX`], fractions of a nanosecond.
///
/// ```
/// use std::time::Duration;
/// use rate_limited_cli::values::duration::parse;
///
/// assert_eq!(parse("1h30m")?, Duration::from_secs(5_400));
/// assert_eq!(parse("1.5s")?, Duration::from_millis(1_500));
/// assert!(parse("90").is_err());
/// # Ok::<(), rate_limited_cli::values::duration::DurationError>(())
/// ```
pub fn parse(text: &str) -> Result<Duration, DurationError> {
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(DurationError::Empty);
    }
    let mut nanos = 0_u128;
    let mut smallest = u128::MAX;
    while !rest.is_empty() {
        let (part, unit, after) = part(text, rest)?;
        if unit >= smallest {
            return Err(DurationError::OutOfOrder(text.to_owned()));
        }
        smallest = unit;
        nanos = nanos.saturating_add(part);
        rest = after.trim_start();
    }
    from_nanos(nanos).ok_or_else(|| DurationError::TooLong(text.to_owned()))
}

/// One number with its unit: its nanoseconds, those of the unit, and what follows.
fn part<'a>(text: &str, rest: &'a str) -> Result<(u128, u128, &'a str), DurationError> {
    let fault = |kind: fn(String) -> DurationError| kind(text.to_owned());
    let (number, after) = split_where(rest, |c| !(c.is_ascii_digit() || c == '.' || c == '_'));
    let number = Decimal::parse(number).map_err(|reason| match reason {
        DecimalFault::NotANumber => fault(DurationError::NotANumber),
        DecimalFault::TooFine => fault(DurationError::TooFine),
        DecimalFault::TooLarge => fault(DurationError::TooLong),
    })?;
    let (name, after) = split_where(after.trim_start(), |c| !c.is_alphabetic());
    if name.is_empty() {
        return Err(fault(DurationError::NoUnit));
    }
    let unit = unit_nanos(name).ok_or_else(|| DurationError::UnknownUnit {
        text: text.to_owned(),
        unit: name.to_owned(),
    })?;
    let nanos = number.times(unit).map_err(|reason| match reason {
        DecimalFault::TooFine => fault(DurationError::TooFine),
        _ => fault(DurationError::TooLong),
    })?;
    Ok((nanos, unit, after))
}

fn split_where(text: &str, ends: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(ends).unwrap_or(text.len()))
}

/// The length of a unit in nanoseconds.
pub(crate) fn unit_nanos(name: &str) -> Option<u128> {
    UNITS
        .iter()
        .find(|(names, _)| names.contains(&name))
        .map(|&(_, nanos)| nanos)
}

/// A duration of so many nanoseconds, if it is at most [`DURATION_MAX`].
pub(crate) fn from_nanos(nanos: u128) -> Option<Duration> {
    let duration = Duration::from_nanos(u64::try_from(nanos).ok()?);
    (duration <= DURATION_MAX).then_some(duration)
}

/// A duration exactly as [`parse`] reads it, in the shortest units: `1h30m`, `1m500ms`, `0s`.
///
/// What lies below a microsecond is written as a fraction of one: `1.5us`.
///
/// ```
/// use std::time::Duration;
/// use rate_limited_cli::values::duration::written;
///
/// assert_eq!(written(Duration::from_secs(5_400)), "1h30m");
/// ```
pub fn written(duration: Duration) -> String {
    let mut rest = duration.as_nanos();
    let mut parts = Vec::new();
    for (names, unit) in UNITS {
        let (count, part) = (rest / unit, rest % unit);
        // Only the smallest unit takes a fraction; before it the rest goes on to the next one.
        let fraction = if unit == 1_000 && part > 0 {
            format!(".{part:03}")
        } else {
            String::new()
        };
        if count > 0 || !fraction.is_empty() {
            parts.push(format!(
                "{count}{}{}",
                fraction.trim_end_matches('0'),
                names[0]
            ));
        }
        rest = part;
    }
    if parts.is_empty() {
        "0s".to_owned()
    } else {
        parts.concat()
    }
}

//! Durations as Go writes them, and the same inside the text of an error.

use std::time::Duration;

use super::number::{cut, scaled};

/// A duration of numbers with units, as Go writes it: `6m0s`, `12ms`, `1h2m3.5s`. Days (`d`) are taken, too.
///
/// ```
/// use std::time::Duration;
/// use rate_limited_apis::parse::go_duration;
///
/// assert_eq!(go_duration("1h2m3.5s"), Some(Duration::from_millis(3_723_500)));
/// assert_eq!(go_duration("0"), Some(Duration::ZERO));
/// assert_eq!(go_duration("10"), None);
/// assert_eq!(go_duration("6 m"), None);
/// ```
pub fn go_duration(text: &str) -> Option<Duration> {
    go_nanos(text).map(cut)
}

/// The same in nanoseconds, however long.
pub(crate) fn go_nanos(text: &str) -> Option<u128> {
    let text = text.trim();
    if text == "0" {
        return Some(0);
    }
    let (nanos, rest) = sum(text, go_unit, false)?;
    rest.is_empty().then_some(nanos)
}

/// The wait that the text of an error asks for, such as `Please try again in 1m30s.`
///
/// It looks for `try again in`, `retry in`, `retry after` and `wait`, followed by a duration with units
/// (`1.2s`, `20ms`, `6m0s`, `24 seconds`); the longest counts.
///
/// ```
/// use std::time::Duration;
/// use rate_limited_apis::parse::wait_in_message;
///
/// let text = "Limit 10000, Used 9000, Requested 1200. Please try again in 1.2s. Visit …";
/// assert_eq!(wait_in_message(text), Some(Duration::from_millis(1_200)));
/// assert_eq!(wait_in_message("try again later"), None);
/// ```
pub fn wait_in_message(message: &str) -> Option<Duration> {
    let text = message.to_ascii_lowercase();
    let phrases = ["try again in ", "retry in ", "retry after ", "wait "];
    let places = phrases.iter().flat_map(|phrase| {
        text.match_indices(phrase)
            .map(|(at, found)| at + found.len())
    });
    places
        .filter_map(|at| sum(&text[at..], unit_in_words, true))
        .map(|(nanos, _)| cut(nanos))
        .max()
}

/// The sum of the `number unit` pairs that the text begins with, in nanoseconds, and what follows.
fn sum(text: &str, unit_of: fn(&str) -> Option<u128>, spaced: bool) -> Option<(u128, &str)> {
    let skip = |text| if spaced { str::trim_start(text) } else { text };
    let part = |text| {
        let (number, rest) = split(skip(text), |c| c.is_ascii_digit() || c == '.');
        let (unit, rest) = split(skip(rest), char::is_alphabetic);
        Some((scaled(number, unit_of(unit)?)?, rest))
    };
    let (mut nanos, mut rest) = part(text)?;
    while let Some((more, after)) = part(rest) {
        (nanos, rest) = (nanos.saturating_add(more), after);
    }
    Some((nanos, rest))
}

fn split(text: &str, keep: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !keep(c)).unwrap_or(text.len()))
}

fn go_unit(unit: &str) -> Option<u128> {
    Some(match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        "d" => 86_400_000_000_000,
        _ => return None,
    })
}

fn unit_in_words(unit: &str) -> Option<u128> {
    go_unit(match unit {
        "millisecond" | "milliseconds" => "ms",
        "sec" | "secs" | "second" | "seconds" => "s",
        "min" | "mins" | "minute" | "minutes" => "m",
        "hr" | "hrs" | "hour" | "hours" => "h",
        "day" | "days" => "d",
        _ => unit,
    })
}

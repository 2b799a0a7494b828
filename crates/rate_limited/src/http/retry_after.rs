//! How long a server asks to wait.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;

use super::http_date;

/// No wait is taken for longer than this: 400 days.
const WAIT_MAX: Duration = Duration::from_secs(400 * 24 * 3600);

/// The wait that the headers of an answer ask for.
///
/// `retry-after-ms` counts before `Retry-After`. Of several values, in one header or in many, the
/// longest counts. Negative ones, NaN and garbage are skipped; longer ones than 400 days are cut to
/// that. An HTTP date, in any of the three forms, is measured from the answer's own `Date` where there
/// is one, so that a skewed clock does no harm, else from `now`; a past one is a wait of zero.
///
/// Names are compared without regard to case. It never panics.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use rate_limited::http::wait_in_headers;
///
/// let headers = [("Retry-After", &b"3, 5"[..]), ("retry-after", b"abc")];
/// assert_eq!(wait_in_headers(headers, SystemTime::now()), Some(Duration::from_secs(5)));
///
/// let headers = [
///     ("date", &b"Sun, 06 Nov 1994 08:49:37 GMT"[..]),
///     ("retry-after", b"Sunday, 06-Nov-94 08:50:00 GMT"),
/// ];
/// assert_eq!(wait_in_headers(headers, SystemTime::now()), Some(Duration::from_secs(23)));
/// ```
pub fn wait_in_headers<'a>(
    headers: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    now: SystemTime,
) -> Option<Duration> {
    let now = Timestamp::try_from(now).unwrap_or(Timestamp::UNIX_EPOCH);
    let (mut millis, mut plain, mut date) = (None, Vec::new(), None);
    for (name, value) in headers {
        let Ok(value) = str::from_utf8(value) else {
            continue;
        };
        if name.eq_ignore_ascii_case("retry-after-ms") {
            millis = millis.max(value.split(',').filter_map(|ms| decimal(ms, 1e-3)).max());
        } else if name.eq_ignore_ascii_case("retry-after") {
            plain.push(value);
        } else if name.eq_ignore_ascii_case("date") {
            date = http_date::parse(value, now);
        }
    }
    let origin = date.unwrap_or(now);
    millis.or_else(|| {
        plain
            .into_iter()
            .filter_map(|value| longest(value, origin))
            .max()
    })
}

/// The longest wait in a list of seconds and dates.
fn longest(value: &str, origin: Timestamp) -> Option<Duration> {
    let (mut best, mut previous, mut start) = (None, 0, 0);
    for piece in value.split(',') {
        let end = start + piece.len();
        // Most dates have a comma inside, so that a piece may be the second half of one.
        let wait = decimal(piece, 1.0)
            .or_else(|| until(piece, origin))
            .or_else(|| until(&value[previous..end], origin));
        best = best.max(wait);
        (previous, start) = (start, end + 1);
    }
    best
}

fn until(date: &str, origin: Timestamp) -> Option<Duration> {
    let moment = http_date::parse(date, origin)?;
    let wait = moment
        .duration_since(origin)
        .max(jiff::SignedDuration::ZERO);
    Some(wait.unsigned_abs().min(WAIT_MAX))
}

/// A count of units of `unit` seconds; no sign, no word such as `inf`.
fn decimal(text: &str, unit: f64) -> Option<Duration> {
    let text = text.trim();
    if !text.starts_with(|char: char| char.is_ascii_digit() || char == '.') {
        return None;
    }
    let seconds = text.parse::<f64>().ok()? * unit;
    Some(
        Duration::try_from_secs_f64(seconds)
            .unwrap_or(WAIT_MAX)
            .min(WAIT_MAX),
    )
}

/// The wait that the text of an error asks for, such as `Please try again in 1m30s.`
///
/// It looks for `try again in`, `retry in`, `retry after` and `wait`, followed by a duration with units
/// (`1.2s`, `20ms`, `6m0s`, `24 seconds`); the longest counts, cut at 400 days. It never panics.
///
/// ```
/// use std::time::Duration;
/// use rate_limited::http::wait_in_message;
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
            .map(|(at, phrase)| &text[at + phrase.len()..])
    });
    places.filter_map(span).max()
}

/// The sum of `number unit` pairs at the start of the text.
fn span(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut sum: Option<Duration> = None;
    while let Some((part, after)) = part(rest) {
        sum = Some(sum.unwrap_or_default().saturating_add(part).min(WAIT_MAX));
        rest = after;
    }
    sum
}

fn part(text: &str) -> Option<(Duration, &str)> {
    let text = text.trim_start_matches(' ');
    let (number, rest) = split_while(text, |char| char.is_ascii_digit() || char == '.');
    let (unit, rest) = split_while(rest.trim_start_matches(' '), |char| {
        char.is_ascii_alphabetic()
    });
    let unit = match unit {
        "ms" | "millisecond" | "milliseconds" => 1e-3,
        "s" | "sec" | "secs" | "second" | "seconds" => 1.0,
        "m" | "min" | "mins" | "minute" | "minutes" => 60.0,
        "h" | "hr" | "hrs" | "hour" | "hours" => 3600.0,
        "d" | "day" | "days" => 86_400.0,
        _ => return None,
    };
    Some((decimal(number, unit)?, rest))
}

fn split_while(text: &str, keep: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|char| !keep(char)).unwrap_or(text.len()))
}

//! HTTP dates in their three forms (RFC 9110, section 5.6.7).

use jiff::civil::DateTime;
use jiff::tz::Offset;

use crate::moment::Moment;

const MONTHS: [&str; 12] = [
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
];

/// The moment of an HTTP date, in any of the three forms.
///
/// The name of the day is not compared with the date: servers err in it, and nothing hangs on it. `now`
/// tells the century of a two-digit year.
///
/// ```
/// use rate_limited_apis::{Moment, parse::http_date};
///
/// let now = Moment::from_seconds(1_795_000_000);
/// for text in [
///     "Sun, 06 Nov 1994 08:49:37 GMT",
///     "Sunday, 06-Nov-94 08:49:37 GMT",
///     "Sun Nov  6 08:49:37 1994",
/// ] {
///     assert_eq!(http_date(text, now), Some(Moment::from_seconds(784_111_777)));
/// }
/// assert_eq!(http_date("tomorrow", now), None);
/// ```
pub fn http_date(text: &str, now: Moment) -> Option<Moment> {
    let mut parts = text
        .split([' ', ',', '-', ':', '\t'])
        .filter(|part| !part.is_empty());
    let mut next = || parts.next();
    let _day_name = next().filter(|name| name.bytes().all(|byte| byte.is_ascii_alphabetic()))?;
    let first = next()?;
    let date = if let Some(month) = month_of(first) {
        // Sun Nov  6 08:49:37 1994
        let (day, time) = (digits(next()?, 2)?, [next()?, next()?, next()?]);
        civil(digits(next()?, 4)?, month, day, time)?
    } else {
        // Sun, 06 Nov 1994 08:49:37 GMT  or  Sunday, 06-Nov-94 08:49:37 GMT
        let (day, month, year) = (digits(first, 2)?, month_of(next()?)?, next()?);
        civil(year_of(year, now)?, month, day, [next()?, next()?, next()?])?
    };
    let zone_is_utc = next().is_none_or(|zone| matches!(zone, "GMT" | "UTC" | "Z"));
    if !zone_is_utc || next().is_some() {
        return None;
    }
    Offset::UTC.to_timestamp(date).ok().map(Moment::from)
}

pub(super) fn civil(
    year: i16,
    month: i8,
    day: i16,
    [hour, minute, second]: [&str; 3],
) -> Option<DateTime> {
    let two = |text| digits(text, 2).and_then(|number| i8::try_from(number).ok());
    let day = i8::try_from(day).ok()?;
    // A leap second is legal in an HTTP date.
    let second = two(second)?.min(59);
    DateTime::new(year, month, day, two(hour)?, two(minute)?, second, 0).ok()
}

pub(super) fn month_of(text: &str) -> Option<i8> {
    let at = MONTHS
        .iter()
        .position(|month| text.eq_ignore_ascii_case(month))?;
    i8::try_from(at + 1).ok()
}

pub(super) fn digits(text: &str, most: usize) -> Option<i16> {
    let plain = text.len() <= most && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| plain)
}

fn year_of(text: &str, now: Moment) -> Option<i16> {
    let year = digits(text, 4)?;
    if text.len() != 2 {
        return (text.len() == 4).then_some(year);
    }
    // A year that seems more than 50 years ahead is the last one with the same digits.
    let this_year = Offset::UTC.to_datetime(now.timestamp()).year();
    let candidate = this_year - this_year % 100 + year;
    Some(if candidate > this_year + 50 {
        candidate - 100
    } else {
        candidate
    })
}

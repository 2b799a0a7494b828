//! HTTP dates in their three forms (RFC 9110, section 5.6.7).

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;

const MONTHS: [&str; 12] = [
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
];

/// The moment of an HTTP date; `None` for all else. The name of the day is not compared with the date: servers
/// err in it, and nothing hangs on it. `now` tells the century of a two-digit year.
pub(super) fn parse(text: &str, now: Timestamp) -> Option<Timestamp> {
    let mut parts = text
        .split([' ', ',', '-', ':', '\t'])
        .filter(|part| !part.is_empty());
    let mut next = || parts.next();
    let _day_name = next().filter(|name| name.bytes().all(|byte| byte.is_ascii_alphabetic()))?;
    let first = next()?;
    let date = if let Some(month) = month_of(first) {
        // Sun Nov  6 08:49:37 1994
        let (day, time) = (number(next()?, 2)?, [next()?, next()?, next()?]);
        civil(number(next()?, 4)?, month, day, time)?
    } else {
        // Sun, 06 Nov 1994 08:49:37 GMT  or  Sunday, 06-Nov-94 08:49:37 GMT
        let (day, month, year) = (number(first, 2)?, month_of(next()?)?, next()?);
        civil(year_of(year, now)?, month, day, [next()?, next()?, next()?])?
    };
    let zone_is_utc = next().is_none_or(|zone| matches!(zone, "GMT" | "UTC" | "Z"));
    if !zone_is_utc || next().is_some() {
        return None;
    }
    Offset::UTC.to_timestamp(date).ok()
}

fn civil(year: i16, month: i8, day: i16, [hour, minute, second]: [&str; 3]) -> Option<DateTime> {
    let day = i8::try_from(day).ok()?;
    let hour = i8::try_from(number(hour, 2)?).ok()?;
    let minute = i8::try_from(number(minute, 2)?).ok()?;
    // A leap second is legal in an HTTP date.
    let second = i8::try_from(number(second, 2)?.min(59)).ok()?;
    DateTime::new(year, month, day, hour, minute, second, 0).ok()
}

fn month_of(text: &str) -> Option<i8> {
    let at = MONTHS
        .iter()
        .position(|month| text.eq_ignore_ascii_case(month))?;
    i8::try_from(at + 1).ok()
}

fn number(text: &str, digits_max: usize) -> Option<i16> {
    let plain = text.len() <= digits_max && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| plain)
}

fn year_of(text: &str, now: Timestamp) -> Option<i16> {
    let year = number(text, 4)?;
    if text.len() != 2 {
        return (text.len() == 4).then_some(year);
    }
    // A year that seems more than 50 years ahead is the last one with the same digits.
    let this_year = Offset::UTC.to_datetime(now).year();
    let candidate = this_year - this_year % 100 + year;
    Some(if candidate > this_year + 50 {
        candidate - 100
    } else {
        candidate
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(text: &str) -> Option<i64> {
        let now = Timestamp::from_second(1_795_000_000).unwrap(); // November 2026
        parse(text, now).map(Timestamp::as_second)
    }

    #[test]
    fn the_three_forms() {
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            "Tue, 06 Nov 1994 08:49:37 GMT",
        ] {
            assert_eq!(seconds(text), Some(784_111_777), "{text}");
        }
    }

    #[test]
    fn centuries_and_edges() {
        assert_eq!(
            seconds("Sunday, 01-Jan-70 00:00:00 GMT"),
            Some(3_155_760_000)
        );
        assert_eq!(seconds("Sunday, 01-Jan-77 00:00:00 GMT"), Some(220_924_800));
        // Beyond what the clock type can hold, or just within: either way no panic.
        let _ = seconds("Fri, 31 Dec 9999 23:59:59 GMT");
        assert_eq!(
            seconds("Sat, 31 Dec 2016 23:59:60 GMT"),
            Some(1_483_228_799)
        );
    }

    #[test]
    fn no_dates() {
        for text in [
            "",
            "abc",
            "Sun, 06 Nov",
            "Sun, 31 Feb 2026 00:00:00 GMT",
            "Sun, 06 Nov 1994 08:49:37 PST",
            "Sun, 06 Nov 1994 08:49:37 GMT x",
            "Sun, 06 Nov 1994 25:49:37 GMT",
            "Sun, +6 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 19944 08:49:37 GMT",
        ] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }
}

//! Dates as JavaScript shows them.

use jiff::tz::Offset;

use super::http_date::{civil, digits, month_of};
use crate::moment::Moment;

/// A date as JavaScript's `Date` shows it: `Tue Feb 16 2021 08:49:37 GMT+0100 (CET)`.
///
/// ```
/// use rate_limited_apis::{Moment, parse::js_date};
///
/// let text = "Thu Jan 01 1970 01:00:05 GMT+0100 (Central European Standard Time)";
/// assert_eq!(js_date(text), Some(Moment::from_seconds(5)));
/// assert_eq!(js_date("Invalid Date"), None);
/// ```
pub fn js_date(text: &str) -> Option<Moment> {
    let text = text.split('(').next().unwrap_or_default();
    let mut words = text.split_ascii_whitespace();
    let _day_name = words.next()?;
    let month = month_of(words.next()?)?;
    let (day, year) = (digits(words.next()?, 2)?, digits(words.next()?, 4)?);
    let mut time = words.next()?.split(':');
    let time = [time.next()?, time.next()?, time.next()?];
    let offset = offset(words.next()?.strip_prefix("GMT")?)?;
    if words.next().is_some() {
        return None;
    }
    let moment = offset.to_timestamp(civil(year, month, day, time)?).ok()?;
    Some(moment.into())
}

/// `+0130`, or nothing for UTC.
fn offset(text: &str) -> Option<Offset> {
    if text.is_empty() {
        return Some(Offset::UTC);
    }
    let sign = if text.starts_with('-') { -1 } else { 1 };
    let number = text
        .strip_prefix(['+', '-'])
        .filter(|rest| rest.len() == 4)?;
    let number = i32::from(digits(number, 4)?);
    Offset::from_seconds(sign * (number / 100 * 3_600 + number % 100 * 60)).ok()
}

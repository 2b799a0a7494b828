//! Moments as numbers since 1970, and as RFC 3339 writes them.

use jiff::Timestamp;

use super::number::scaled;
use crate::moment::Moment;

/// A number since the beginning of 1970, with or without a fraction. Its size tells whether it counts
/// seconds, milliseconds, microseconds or nanoseconds: no limit of today resets before 1973 or after 5138.
///
/// Zero is unknown, as some servers have it.
///
/// ```
/// use rate_limited_apis::{Moment, parse::epoch};
///
/// let moment = Moment::from_seconds(1_705_420_800);
/// assert_eq!(epoch("1705420800"), Some(moment));
/// assert_eq!(epoch("1705420800000"), Some(moment));
/// assert_eq!(epoch("1705420800.000"), Some(moment));
/// assert_eq!(epoch("0"), None);
/// ```
pub fn epoch(text: &str) -> Option<Moment> {
    let text = text.trim();
    let (unit, per) = match scaled(text, 1)? {
        0 => return None,
        1..100_000_000_000 => (1_000_000, 1),
        100_000_000_000..100_000_000_000_000 => (1_000, 1),
        100_000_000_000_000..100_000_000_000_000_000 => (1, 1),
        _ => (1, 1_000),
    };
    let micros = scaled(text, unit)? / per;
    i64::try_from(micros).ok().map(Moment::from_micros)
}

/// A moment as RFC 3339 writes it, such as `2026-04-01T12:00:00Z`; its offset is required.
///
/// ```
/// use rate_limited_apis::{Moment, parse::rfc3339};
///
/// assert_eq!(rfc3339("1970-01-01T01:00:10.5+01:00"), Some(Moment::from_micros(10_500_000)));
/// assert_eq!(rfc3339("1970-01-01T00:00:10"), None);
/// ```
pub fn rfc3339(text: &str) -> Option<Moment> {
    let moment = text.trim().parse::<Timestamp>().ok()?;
    Some(moment.into())
}

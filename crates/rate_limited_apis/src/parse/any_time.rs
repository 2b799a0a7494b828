//! Times of an API that does not say how it writes them.

use std::time::Duration;

use super::number::{scaled, seconds};
use super::{epoch, go_duration, http_date, js_date, rfc3339};
use crate::moment::Moment;

/// A time in whichever form it is written, as the wait from `now`.
///
/// A bare number below a thousand million counts seconds from now, a larger one is a moment (see
/// [`epoch`]). That is for servers of which nothing is known: a described API declares its form.
///
/// ```
/// use std::time::Duration;
/// use rate_limited_apis::{Moment, parse::any_time};
///
/// let now = Moment::from_seconds(1_705_420_800);
/// let minute = Some(Duration::from_secs(60));
/// for text in ["60", "1m0s", "60s", "1705420860", "1705420860000", "2024-01-16T16:01:00Z"] {
///     assert_eq!(any_time(text, now), minute, "{text}");
/// }
/// assert_eq!(any_time("soon", now), None);
/// ```
pub fn any_time(text: &str, now: Moment) -> Option<Duration> {
    match scaled(text.trim(), 1) {
        Some(0..1_000_000_000) => return seconds(text),
        Some(_) => return epoch(text).map(|moment| now.until(moment)),
        None => {}
    }
    go_duration(text).or_else(|| {
        let moment = rfc3339(text)
            .or_else(|| http_date(text, now))
            .or_else(|| js_date(text))?;
        Some(now.until(moment))
    })
}

//! The value of `Retry-After`.

use std::time::Duration;

use super::{http_date, seconds};
use crate::moment::{Moment, WAIT_MAX};

/// The wait that a `Retry-After` asks for: seconds, or an HTTP date in any of its forms; of several, in
/// one value, the longest. A past date is a wait of zero; one that is
/// [`WAIT_MAX`] or more ahead is none: one of the two clocks is wrong.
///
/// ```
/// use std::time::Duration;
/// use rate_limited_apis::{Moment, parse::retry_after};
///
/// let now = Moment::from_seconds(784_111_777);
/// assert_eq!(retry_after("3, 5", now), Some(Duration::from_secs(5)));
/// let date = "Sunday, 06-Nov-94 08:50:00 GMT";
/// assert_eq!(retry_after(date, now), Some(Duration::from_secs(23)));
/// assert_eq!(retry_after("-5", now), None);
/// ```
pub fn retry_after(value: &str, now: Moment) -> Option<Duration> {
    // One of more than a year ahead says that a clock is wrong, not when to come again.
    let until = |date| {
        let wait = http_date(date, now).map(|moment| now.until(moment));
        wait.filter(|wait| *wait < WAIT_MAX)
    };
    let (mut longest, mut previous, mut start) = (None, 0, 0);
    for piece in value.split(',') {
        let end = start + piece.len();
        // Most dates have a comma inside, so that a piece may be the second half of one.
        let wait = seconds(piece)
            .or_else(|| until(piece))
            .or_else(|| until(&value[previous..end]));
        longest = longest.max(wait);
        (previous, start) = (start, end + 1);
    }
    longest
}

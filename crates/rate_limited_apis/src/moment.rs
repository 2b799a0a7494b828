//! Moments of the wall clock.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;

/// No wait and no reset is taken for longer than this: 400 days.
pub const WAIT_MAX: Duration = Duration::from_secs(400 * 86_400);

/// A moment of the wall clock: microseconds since the beginning of 1970 in UTC.
///
/// This crate never reads a clock: whoever reads an answer says when it came.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use rate_limited_apis::Moment;
///
/// let noon = Moment::from_seconds(43_200);
/// assert_eq!(noon.until(Moment::from_seconds(43_260)), Duration::from_secs(60));
/// assert_eq!(noon.until(Moment::from_seconds(0)), Duration::ZERO);
/// assert!(Moment::from(SystemTime::now()) > noon);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Moment(i64);

impl Moment {
    /// A moment so many microseconds after the beginning of 1970 in UTC.
    pub const fn from_micros(micros: i64) -> Moment {
        Moment(micros)
    }

    /// A moment so many seconds after the beginning of 1970 in UTC; stops at the ends of the range,
    /// 292,000 years away.
    pub const fn from_seconds(seconds: i64) -> Moment {
        Moment(seconds.saturating_mul(1_000_000))
    }

    /// The microseconds since the beginning of 1970 in UTC.
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// The time from here to `later`: zero if that is past, at most [`WAIT_MAX`].
    pub fn until(self, later: Moment) -> Duration {
        let micros = later.0.saturating_sub(self.0).max(0);
        Duration::from_micros(micros.unsigned_abs()).min(WAIT_MAX)
    }

    /// The same moment as the system has it; `None` where it has no such time.
    pub(crate) fn system(self) -> Option<SystemTime> {
        let since = Duration::from_micros(self.0.unsigned_abs());
        if self.0 < 0 {
            UNIX_EPOCH.checked_sub(since)
        } else {
            UNIX_EPOCH.checked_add(since)
        }
    }

    /// The same moment as jiff has it; beyond its years, the last one that it has.
    pub(crate) fn timestamp(self) -> Timestamp {
        let edge = if self.0 < 0 {
            Timestamp::MIN
        } else {
            Timestamp::MAX
        };
        Timestamp::from_microsecond(self.0).unwrap_or(edge)
    }
}

impl From<Timestamp> for Moment {
    fn from(timestamp: Timestamp) -> Moment {
        Moment(timestamp.as_microsecond())
    }
}

impl From<SystemTime> for Moment {
    fn from(time: SystemTime) -> Moment {
        let micros = |span: Duration| i64::try_from(span.as_micros()).unwrap_or(i64::MAX);
        Moment(match time.duration_since(UNIX_EPOCH) {
            Ok(after) => micros(after),
            Err(before) => -micros(before.duration()),
        })
    }
}

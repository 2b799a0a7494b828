//! Moments on the one time line of a process.

use core::time::Duration;

/// A moment: nanoseconds since an origin that the driver chose.
///
/// The core never asks for the time; a driver passes it in. Drivers put the origin [`Time::PAST`]
/// before the start of the process, so that history restored from a journal has ordinary moments.
///
/// ```
/// use rate_limited_core::Time;
/// use std::time::Duration;
///
/// let start = Time::PROCESS_START;
/// let later = start + Duration::from_millis(250);
/// assert_eq!(later.since(start), Duration::from_millis(250));
/// assert_eq!(start.since(later), Duration::ZERO);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Time(u64);

impl Time {
    /// How much past fits before the start of the process: 400 days, more than the longest window.
    pub const PAST: Duration = Duration::from_secs(400 * 24 * 3_600);

    /// The moment that a driver calls the start of its process.
    pub const PROCESS_START: Time = Time(Self::PAST.as_secs() * 1_000_000_000);

    /// The latest moment there is, about 584 years after the origin.
    pub const MAX: Time = Time(u64::MAX);

    /// The moment `nanos` nanoseconds after the origin.
    pub const fn from_nanos(nanos: u64) -> Time {
        Time(nanos)
    }

    /// Nanoseconds since the origin.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// The time from `earlier` to `self`; zero where `earlier` is later.
    pub const fn since(self, earlier: Time) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    pub(crate) const fn plus(self, nanos: u64) -> Time {
        Time(self.0.saturating_add(nanos))
    }

    pub(crate) const fn before(self, nanos: u64) -> Time {
        Time(self.0.saturating_sub(nanos))
    }
}

impl core::ops::Add<Duration> for Time {
    type Output = Time;

    /// Stops at [`Time::MAX`] instead of wrapping.
    fn add(self, span: Duration) -> Time {
        self.plus(nanos(span))
    }
}

impl core::fmt::Debug for Time {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(
            f,
            "{}.{:09}s",
            self.0 / 1_000_000_000,
            self.0 % 1_000_000_000
        )
    }
}

/// A span in nanoseconds, at most `u64::MAX`.
pub(crate) fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

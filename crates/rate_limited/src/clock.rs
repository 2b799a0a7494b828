//! The one time line of the process.

use rate_limited_core::Time;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

/// Where the driver reads the time.
///
/// The real clock goes on while the machine sleeps where the system has such a clock: a window that
/// passed while a laptop was closed has passed at the server too.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Clock {
    Real,
    /// The clock of tokio, which tests can pause, and the time of day when it began.
    Tokio(tokio::time::Instant, SystemTime),
}

impl Clock {
    /// The clock of tokio from now on.
    pub(crate) fn tokio() -> Clock {
        Clock::Tokio(tokio::time::Instant::now(), SystemTime::now())
    }

    pub(crate) fn now(self) -> Time {
        match self {
            Clock::Real => Time::PROCESS_START + real(),
            Clock::Tokio(origin, _) => Time::PROCESS_START + origin.elapsed(),
        }
    }

    /// The time of day, which jumps when it is set.
    pub(crate) fn wall(self) -> SystemTime {
        match self {
            Clock::Real => SystemTime::now(),
            Clock::Tokio(origin, wall) => wall + origin.elapsed(),
        }
    }
}

/// The time since it was asked for the first time.
fn real() -> Duration {
    static ORIGIN: OnceLock<Duration> = OnceLock::new();
    let now = since_boot();
    now.saturating_sub(*ORIGIN.get_or_init(|| now))
}

/// The clock that goes on while the machine sleeps.
#[cfg(any(target_os = "linux", target_os = "android"))]
const CLOCK: rustix::time::ClockId = rustix::time::ClockId::Boottime;
#[cfg(target_vendor = "apple")]
const CLOCK: rustix::time::ClockId = rustix::time::ClockId::Monotonic;

#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
fn since_boot() -> Duration {
    let now = rustix::time::clock_gettime(CLOCK);
    let nanos = u32::try_from(now.tv_nsec).unwrap_or(0);
    Duration::new(u64::try_from(now.tv_sec).unwrap_or(0), nanos)
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
fn since_boot() -> Duration {
    static START: OnceLock<std::time::Instant> = OnceLock::new();
    START.get_or_init(std::time::Instant::now).elapsed()
}

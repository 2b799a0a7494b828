//! The one time line of the process; it goes on while the machine sleeps, where the system has such.

use rate_limited_core::Time;
use std::sync::OnceLock;
use std::time::Duration;

/// The time since it was asked for the first time.
pub(crate) fn now() -> Time {
    static ORIGIN: OnceLock<Duration> = OnceLock::new();
    let now = since_boot();
    Time::PROCESS_START + now.saturating_sub(*ORIGIN.get_or_init(|| now))
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

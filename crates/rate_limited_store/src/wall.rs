//! Moments that outlive a process.

use std::time::{SystemTime, UNIX_EPOCH};

/// A moment of the wall clock, in nanoseconds since 1970; moments before it count as 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Wall(pub i64);

impl Wall {
    /// The time now.
    ///
    /// ```
    /// use rate_limited_store::Wall;
    ///
    /// assert!(Wall::now() > Wall(0));
    /// ```
    pub fn now() -> Wall {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let nanos = since.map_or(0, |since| since.as_nanos());
        Wall(i64::try_from(nanos).unwrap_or(i64::MAX))
    }

    /// A moment of another clock, whose `now` is this one's; both in nanoseconds.
    ///
    /// ```
    /// use rate_limited_store::Wall;
    ///
    /// let ahead = Wall::of(5_000_000_000, 2_000_000_000);
    /// let seconds = (ahead.0 - Wall::now().0) as f64 / 1e9;
    /// assert!((2.9..3.1).contains(&seconds), "{seconds}");
    /// ```
    pub fn of(moment_nanos: u64, now_nanos: u64) -> Wall {
        let wall = i128::from(Wall::now().0) + i128::from(moment_nanos) - i128::from(now_nanos);
        Wall(i64::try_from(wall.max(0)).unwrap_or(i64::MAX))
    }

    /// This moment on another clock, whose `now` is this one's; what lies before its beginning is 0.
    pub fn nanos_on(self, now_nanos: u64) -> u64 {
        let nanos = i128::from(now_nanos) + i128::from(self.0) - i128::from(Wall::now().0);
        u64::try_from(nanos.max(0)).unwrap_or(u64::MAX)
    }
}

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
}

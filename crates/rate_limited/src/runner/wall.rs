//! The time of day, for windows that follow a calendar.

use super::Runner;
use std::sync::Arc;
use std::time::SystemTime;

impl<Req, Resp> Runner<Req, Resp>
where
    Req: Clone + Send + 'static,
    Resp: Send + 'static,
{
    /// Reads the time of day from this function, for [windows that follow a
    /// calendar](crate::Resource::per_calendar). Default: the system's clock.
    ///
    /// ```
    /// use rate_limited::{Calendar, Resource, Runner};
    /// use std::time::{Duration, UNIX_EPOCH};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let mut runner = Runner::new(|n: u32| async move { Ok::<_, std::io::Error>(n) })
    ///     .wall_clock(|| UNIX_EPOCH + Duration::from_secs(23 * 3_600))
    ///     .resource(Resource::per_calendar("requests", 2, Calendar::day("UTC")?));
    /// for n in 0..3 {
    ///     runner.schedule(n)?;
    /// }
    /// // Two before midnight, and one after it.
    /// let plan = runner.plan(&Default::default())?;
    /// assert!((3_600..3_610).contains(&plan.finish.as_secs()));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn wall_clock(
        mut self,
        wall: impl Fn() -> SystemTime + Send + Sync + 'static,
    ) -> Runner<Req, Resp> {
        self.wall = Some(Arc::new(wall));
        self.declare(|_| ())
    }
}

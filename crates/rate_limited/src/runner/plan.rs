//! What a run will come to, before it begins.

use super::Runner;
use crate::error::ConfigError;
use crate::outlook::Outlook;
use rate_limited_core::{Assumed, Plan};

impl<Req, Resp> Runner<Req, Resp>
where
    Req: Clone + Send + 'static,
    Resp: Send + 'static,
{
    /// What a run of the calls scheduled so far will come to, if attempts go as is `assumed`: when it ends,
    /// which limit binds and for how long, what it takes of each. Nothing is sent.
    ///
    /// It is no formula: the same scheduler runs on virtual time, at about 2 µs a call, with what its limits
    /// and a journal know of the past. A call that could never fit was refused when it was scheduled.
    ///
    /// # Errors
    /// Resources that cannot be metered as declared.
    ///
    /// ```
    /// use rate_limited::{Assumed, Resource, Runner};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let mut runner = Runner::new(|n: u32| async move { Ok::<_, std::io::Error>(n) })
    ///     .resource(Resource::per_minute("requests", 500))
    ///     .resource(Resource::per_minute("tokens", 90_000).cost(|_: &u32| 600));
    /// for n in 0..600 {
    ///     runner.schedule(n)?;
    /// }
    /// let plan = runner.plan(&Assumed::default())?;
    /// // 150 calls a minute by their tokens.
    /// assert!((181..=184).contains(&plan.finish.as_secs()));
    /// assert_eq!(plan.binding().map(|resource| &*resource.name), Some("tokens"));
    /// assert!(plan.resources[1].utilisation > Some(0.99));
    /// # Ok(())
    /// # }
    /// ```
    pub fn plan(&mut self, assumed: &Assumed) -> Result<Plan, ConfigError> {
        let outlook = self.outlook()?;
        let none = outlook.load(1);
        Ok(outlook.plan(&none, assumed))
    }

    /// A copy of the run as it stands, to plan calls that are not scheduled.
    ///
    /// # Errors
    /// Resources that cannot be metered as declared.
    pub fn outlook(&mut self) -> Result<Outlook, ConfigError> {
        Ok(self.driver()?.outlook())
    }
}

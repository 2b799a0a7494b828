//! A run as it stood at a moment: to see what it will come to.

use rate_limited_core::{Assumed, Limiter, Load, Plan, ResourceId, Scheduler, Time};

/// A copy of a run as it stood at a moment, to plan with: [`Runner::outlook`](crate::Runner::outlook) before it
/// begins, [`Handle::outlook`](crate::Handle::outlook) while it goes on.
///
/// ```
/// use rate_limited::{Amount, Assumed, Resource, Runner};
/// use std::time::Duration;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut runner = Runner::new(|n: u32| async move { Ok::<_, std::io::Error>(n) })
///     .resource(Resource::per_minute("requests", 500));
/// let outlook = runner.outlook()?;
/// let mut load = outlook.load(100_000);
/// for _ in 0..1_200 {
///     load.add(&[Amount::units(1)]);
/// }
/// let plan = outlook.plan(&load, &Assumed::default());
/// // 500 at once, 500 after one minute, 200 after two, each batch as more and more are let fly.
/// assert!((121..=124).contains(&plan.finish.as_secs()));
/// assert_eq!(plan.binding().map(|resource| &*resource.name), Some("requests"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Outlook {
    scheduler: Scheduler,
    limiter: Limiter,
    now: Time,
}

impl Outlook {
    pub(crate) fn new(scheduler: &Scheduler, limiter: &Limiter, now: Time) -> Outlook {
        Outlook {
            scheduler: scheduler.clone(),
            limiter: limiter.clone(),
            now,
        }
    }

    /// The calls that the run had taken in until then, those that are over included.
    pub fn scheduled(&self) -> u64 {
        self.scheduler.progress().scheduled
    }

    /// The resources, in the order in which the runner has them.
    pub fn resources(&self) -> Vec<ResourceId> {
        self.limiter.resources().collect()
    }

    /// A load without calls, for those that the run has not taken in: each [costs](Load::add) so much of each
    /// resource, in the order in which the runner has them. Beyond `steps_max` steps neighbours are joined.
    pub fn load(&self, steps_max: usize) -> Load {
        Load::new(&self.limiter, self.scheduler.settings(), steps_max)
    }

    /// What the run comes to from that moment on: the calls that it had, and then those of `load`. It is played
    /// on virtual time, at about 2 µs a step.
    pub fn plan(&self, load: &Load, assumed: &Assumed) -> Plan {
        self.scheduler.plan(&self.limiter, load, assumed, self.now)
    }

    /// The same after what earlier runs took of the resources, in the order in which the runner has them, and of their
    /// parts: what a journal [knows](rate_limited_store::Onlooker) of them.
    #[cfg(feature = "journal")]
    #[must_use]
    pub fn after(mut self, past: &rate_limited_store::Past) -> Outlook {
        for (id, meter) in self.resources().into_iter().zip(&past.meters) {
            self.takes_over(id, meter);
        }
        for (name, meter) in &past.parts {
            if let Some(part) = self.limiter.partition_named(name) {
                self.takes_over(part, meter);
            }
        }
        self
    }

    #[cfg(feature = "journal")]
    fn takes_over(&mut self, id: ResourceId, meter: &rate_limited_store::Meter) {
        let past = crate::journal::past_of(meter, self.now);
        // Of a form that is not known here nothing is recalled.
        let _ = self.limiter.recall(id, &past.learnt);
        self.limiter
            .replay(id, &past.charges, past.paused_until, self.now);
    }
}

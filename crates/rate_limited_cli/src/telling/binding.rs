//! What held a run back: looked at now and then while it goes on.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use rate_limited::{View, WaitingOn};

use crate::calling::meters::Meters;
use crate::calling::work::Work;
use crate::running::tally::Counts;
use crate::telling::status::whole;

/// How often a run was seen waiting, and for what.
#[derive(Debug, Default)]
pub(crate) struct Sightings(Mutex<Seen>);

#[derive(Debug, Default)]
struct Seen {
    quota: u64,
    slots: u64,
    /// How often it waited for each resource, by its place.
    by: BTreeMap<usize, u64>,
    /// The bound on calls in flight when it was last seen to bind.
    max_concurrent: u32,
}

impl Sightings {
    /// Looks at what the run waits for.
    pub(crate) fn look(&self, view: &View) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match view.wait.map(|wait| wait.on) {
            Some(WaitingOn::Concurrency) => {
                seen.slots += 1;
                seen.max_concurrent = view.progress.max_concurrent;
            }
            Some(WaitingOn::Quota(resource) | WaitingOn::Paused { resource, .. }) => {
                seen.quota += 1;
                *seen.by.entry(resource.index()).or_default() += 1;
            }
            _ => {}
        }
    }

    /// The bound on calls in flight, if the run waited for it more than for any quota.
    fn slots_bound(&self) -> Option<u32> {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (seen.slots > seen.quota).then_some(seen.max_concurrent)
    }

    /// The place of the resource that the run waited for most, if it waited for any.
    fn most(&self) -> Option<usize> {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let most = seen.by.iter().max_by_key(|(_, times)| **times);
        most.map(|(place, _)| *place)
    }
}

/// Which limit the run ran into, in words; `None` if into none.
pub(crate) fn told(
    sightings: &Sightings,
    counts: &Counts,
    meters: &Meters,
    latency: Option<Duration>,
    view: &View,
) -> Option<String> {
    // Without a success the run was held back by something else.
    if counts.succeeded == 0 {
        return None;
    }
    if let Some(bound) = sightings.slots_bound() {
        return Some(slots_told(bound, counts, meters, latency));
    }
    if view
        .resources
        .iter()
        .filter(|it| it.part_of.is_some())
        .count()
        > meters.parts().count()
    {
        // What was used is known of all models together only.
        let bound = view.resources.get(sightings.most()?)?;
        let limit = whole(bound.limit?.as_units());
        let window = crate::values::duration::written(bound.window);
        let name = bound.resource.name();
        return Some(format!("{name} bound the run ({limit} in {window})"));
    }
    let work = Work::new(counts.calls_over(), counts.tokens_used);
    let (meter, _) = meters.binding(work)?;
    Some(format!("{} bound the run ({})", meter.name, meter.limit))
}

/// How many calls in flight the limits would allow: as many as are answered in the time of one.
fn slots_told(bound: u32, counts: &Counts, meters: &Meters, latency: Option<Duration>) -> String {
    let binds = format!("{bound} in flight binds");
    let allowed = latency
        .zip(mean(counts))
        .and_then(|(latency, mean)| Some(meters.calls_per_second(mean)? * latency.as_secs_f64()));
    match allowed.filter(|allowed| *allowed > f64::from(bound)) {
        Some(allowed) => format!(
            "{binds}; the limits would allow about {}: raise --max-concurrent",
            whole(allowed)
        ),
        None => binds,
    }
}

/// The mean work of a call that succeeded.
fn mean(counts: &Counts) -> Option<Work> {
    let calls = Work::new(counts.succeeded, counts.tokens_used);
    (counts.succeeded > 0).then(|| Work {
        requests: 1.0,
        tokens: calls.tokens / calls.requests,
    })
}

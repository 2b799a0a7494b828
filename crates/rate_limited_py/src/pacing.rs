//! Pacing: the first dispatches of a run keep a distance, instead of going as one burst.

use crate::account::limiter;
use crate::clock::now;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use rate_limited_core::{Amount, Cost, Quota, Resource, ResourceId};
use std::time::Duration;

/// The shortest distance that a quota can have: what is left of pacing once it is over.
const NONE: Duration = Duration::from_micros(1);

/// A distance that the first dispatches of each run keep.
///
/// It is a resource of which each call takes; when so many were dispatched, its distance shrinks to
/// nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pacing {
    resource: ResourceId,
    distance: Duration,
    /// How many dispatches of a run are paced, and how many of them are left.
    paced: u32,
    left: u32,
}

impl Pacing {
    /// Spreads the first `paced` dispatches of a run over `seconds`.
    pub(crate) fn new(seconds: f64, paced: u32) -> PyResult<Pacing> {
        let whole = Duration::try_from_secs_f64(seconds)
            .map_err(|_| PyValueError::new_err("the pacing is no time"))?;
        let distance = (whole / paced.max(1)).max(NONE);
        let mut limiter = limiter();
        let number = limiter.resources().count();
        let quota = Quota::Spacing { interval: distance };
        // No user's resource has a name that is empty before its number.
        let resource = Resource::new(format!("#{number}"), quota).guard(Duration::ZERO);
        let resource = limiter
            .add(resource)
            .map_err(|error| PyValueError::new_err(error.to_string()))?;
        Ok(Pacing {
            resource,
            distance,
            paced,
            left: paced,
        })
    }

    /// The resource that keeps the distance.
    pub(crate) fn resource(&self) -> ResourceId {
        self.resource
    }

    /// The distance of a plan for so many calls, which knows no other one later; and by how many seconds at most
    /// the run is longer than that.
    pub(crate) fn foreseen(&self, calls: u64) -> (Quota, f64) {
        let all_paced = calls <= self.left.into();
        let interval = if all_paced { self.distance } else { NONE };
        let longer = if all_paced {
            Duration::ZERO
        } else {
            self.distance * self.left
        };
        (Quota::Spacing { interval }, longer.as_secs_f64())
    }

    /// What each call takes. An amount of nothing waits like any other, and says nothing of the
    /// call's size.
    pub(crate) fn cost(&self) -> Cost {
        Cost::new(self.resource, Amount::ZERO)
    }

    /// A run begins.
    pub(crate) fn begin(&mut self) {
        self.left = self.paced;
        self.set(self.distance);
    }

    /// A call was dispatched.
    pub(crate) fn dispatched(&mut self) {
        if self.left > 0 {
            self.left -= 1;
            if self.left == 0 {
                self.set(NONE);
            }
        }
    }

    fn set(&self, interval: Duration) {
        let quota = Quota::Spacing { interval };
        let done = limiter().set_quota(self.resource, quota, now());
        debug_assert!(done.is_ok(), "the resource and its kind are known");
    }
}

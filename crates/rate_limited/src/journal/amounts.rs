//! What was taken of the limits, between the clock of the machine and that on the wall.

use super::Meters;
use crate::recorder::PastMeter;
use rate_limited_core::{Amount, Time};
use rate_limited_store::{Charged, Meter, Past, Wall};

/// What was taken of a resource, on the clock of the machine.
pub(crate) fn past_of(meter: &Meter, now: Time) -> PastMeter {
    let now = now.as_nanos();
    let charge = |(at, micros)| (Time::from_nanos(at), Amount::from_micros(micros));
    PastMeter {
        charges: meter.charges_on(now).map(charge).collect(),
        paused_until: Time::from_nanos(meter.paused_until.nanos_on(now)),
        learnt: meter.learnt.clone(),
    }
}

/// What was taken of the resources, and of their parts.
pub(super) fn meters_of(past: &Past) -> Meters {
    (past.meters.clone(), past.parts.clone())
}

/// A moment of the machine on the wall.
pub(super) fn wall(moment: Time, now: Time) -> Wall {
    Wall::of(moment.as_nanos(), now.as_nanos())
}

/// An amount, as the journal takes it down at a place.
pub(super) fn charged(resource: u32, at: Wall, amount: Amount) -> Charged {
    Charged {
        resource,
        at,
        micros: amount.as_micros(),
    }
}

//! The kinds of limits: siblings with the same few verbs.
//!
//! Time is nanoseconds since an arbitrary origin and never runs backwards here; the caller sees to
//! that. A meter charges whatever it is told to: whether a charge is allowed is asked before, by
//! [`Meter::wait`].

mod bucket;
mod fixed;
mod sliding;

use crate::limit::{Kind, Limit};
use crate::span::nanos;
use bucket::Bucket;
use fixed::Fixed;
use sliding::Sliding;

/// The books of one limit.
#[derive(Clone, Debug)]
pub(crate) enum Meter {
    Sliding(Sliding),
    Fixed(Fixed),
    Bucket(Bucket),
}

/// Where a charge lies, and how much it is now, so that it can be corrected.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark {
    place: u64,
    pub(crate) amount: u64,
}

impl Meter {
    pub(crate) fn new(limit: &Limit) -> Meter {
        let (quota, window) = (limit.quota, nanos(limit.window));
        match limit.kind {
            Kind::Sliding => Meter::Sliding(Sliding::new(quota, window)),
            Kind::Fixed(anchor) => Meter::Fixed(Fixed::new(quota, window, anchor)),
            Kind::Bucket { burst } => Meter::Bucket(Bucket::new(quota, window, burst)),
        }
    }

    /// In how many nanoseconds `amount` has room if nothing else is charged; `None`: never.
    pub(crate) fn wait(&mut self, amount: u64, now: u64) -> Option<u64> {
        match self {
            Meter::Sliding(meter) => meter.wait(amount, now),
            Meter::Fixed(meter) => meter.wait(amount, now),
            Meter::Bucket(meter) => meter.wait(amount, now),
        }
    }

    /// In how many nanoseconds the quota is no longer full.
    pub(crate) fn wait_for_any(&mut self, now: u64) -> Option<u64> {
        match self {
            // Whole units: not full means that one more has room.
            Meter::Sliding(meter) => meter.wait(1, now),
            Meter::Fixed(meter) => meter.wait(1, now),
            Meter::Bucket(meter) => Some(meter.wait_for_any(now)),
        }
    }

    pub(crate) fn set_quota(&mut self, quota: u64, capacity: u64, now: u64) {
        match self {
            Meter::Sliding(meter) => meter.quota = quota,
            Meter::Fixed(meter) => meter.quota = quota,
            Meter::Bucket(meter) => meter.set_quota(quota, capacity, now),
        }
    }

    pub(crate) fn charge(&mut self, amount: u64, now: u64) -> Mark {
        let place = match self {
            Meter::Sliding(meter) => meter.charge(amount, now),
            Meter::Fixed(meter) => meter.charge(amount, now),
            Meter::Bucket(meter) => meter.charge(amount, now),
        };
        Mark { place, amount }
    }

    /// Makes `amount` of a former charge, where that still counts.
    pub(crate) fn correct(&mut self, mark: Mark, amount: u64, now: u64) {
        match self {
            Meter::Sliding(meter) => meter.correct(mark, amount, now),
            Meter::Fixed(meter) => meter.correct(mark, amount, now),
            Meter::Bucket(meter) => meter.correct(mark, amount, now),
        }
    }

    /// What counts now; of a bucket, what is missing to the burst, rounded up.
    pub(crate) fn counted(&mut self, now: u64) -> u64 {
        match self {
            Meter::Sliding(meter) => meter.counted(now),
            Meter::Fixed(meter) => meter.counted(now),
            Meter::Bucket(meter) => meter.counted(now),
        }
    }

    /// In how many nanoseconds nothing counts any more.
    pub(crate) fn reset(&mut self, now: u64) -> u64 {
        match self {
            Meter::Sliding(meter) => meter.reset(now),
            Meter::Fixed(meter) => meter.reset(now),
            Meter::Bucket(meter) => meter.reset(now),
        }
    }
}

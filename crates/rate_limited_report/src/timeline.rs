//! What happened when, in slices that become wider as a run becomes longer.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::report;
use crate::words::short;

/// The most slices that are kept: a picture has no room for more.
pub(crate) const SLICES_MAX: usize = 240;

/// How wide a slice is at first, in milliseconds.
const WIDTH_MS_FIRST: u64 = 100;

/// Slices of equal width, from the beginning of the first run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Timeline {
    width_ms: u64,
    slices: Vec<Slice>,
}

impl Default for Timeline {
    fn default() -> Timeline {
        Timeline {
            width_ms: WIDTH_MS_FIRST,
            slices: Vec::new(),
        }
    }
}

/// What happened in one slice.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Slice {
    pub(crate) in_flight: Gauge,
    pub(crate) waiting: Gauge,
    pub(crate) succeeded: u64,
    pub(crate) failed: u64,
    pub(crate) refused: u64,
    /// How full each limit was, 1 for all of its quota, by its place.
    pub(crate) shares: Vec<Gauge>,
}

/// Something that was looked at now and then: the sum of what was seen, how often, and the most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Gauge(f32, u32, f32);

impl Gauge {
    pub(crate) fn see(&mut self, value: f64) {
        self.add(Gauge(value as f32, 1, value as f32));
    }

    fn add(&mut self, other: Gauge) {
        self.0 += other.0;
        self.1 = self.1.saturating_add(other.1);
        self.2 = self.2.max(other.2);
    }

    /// It was so much for a moment, between two looks.
    pub(crate) fn reach(&mut self, value: f64) {
        self.2 = self.2.max(value as f32);
    }

    /// The mean and the most; where nobody looked, the mean seen last still holds.
    fn told(self, last: f64) -> (f64, f64) {
        let mean = f64::from(self.0) / f64::from(self.1.max(1));
        let mean = if self.1 > 0 { short(mean) } else { last };
        (mean, short(f64::from(self.2)).max(mean))
    }
}

impl Slice {
    fn add(&mut self, other: &Slice) {
        self.in_flight.add(other.in_flight);
        self.waiting.add(other.waiting);
        self.succeeded += other.succeeded;
        self.failed += other.failed;
        self.refused += other.refused;
        for (place, share) in other.shares.iter().enumerate() {
            self.share(place).add(*share);
        }
    }

    pub(crate) fn share(&mut self, place: usize) -> &mut Gauge {
        if self.shares.len() <= place {
            self.shares.resize(place + 1, Gauge::default());
        }
        &mut self.shares[place]
    }
}

impl Timeline {
    /// The slice of a moment, in milliseconds from the beginning; an earlier one where the axis is not long enough.
    pub(crate) fn at(&mut self, at_ms: u64) -> &mut Slice {
        while at_ms / self.width_ms >= SLICES_MAX as u64 {
            self.halve();
        }
        let place = (at_ms / self.width_ms) as usize;
        if self.slices.len() <= place {
            self.slices.resize_with(place + 1, Slice::default);
        }
        &mut self.slices[place]
    }

    /// How wide a slice is now.
    pub(crate) fn width(&self) -> Duration {
        Duration::from_millis(self.width_ms)
    }

    /// Whether it can be gone on with: what comes from a file may be anything.
    pub(crate) fn is_sound(&self) -> bool {
        self.width_ms > 0 && self.slices.len() <= SLICES_MAX
    }

    /// Makes each two slices one.
    fn halve(&mut self) {
        self.width_ms = self.width_ms.saturating_mul(2);
        let pairs = self.slices.chunks(2).map(|pair| {
            let mut both = pair[0].clone();
            pair.iter().skip(1).for_each(|second| both.add(second));
            both
        });
        self.slices = pairs.collect();
    }

    /// The slices for people; where nobody looked, what was seen last still holds.
    pub(crate) fn told(&self, limits: usize) -> Vec<report::Slice> {
        let mut last = vec![(0.0, 0.0); limits + 2];
        let tell = |(place, slice): (usize, &Slice)| {
            let seen = [slice.in_flight, slice.waiting];
            let shares =
                (0..limits).map(|place| slice.shares.get(place).copied().unwrap_or_default());
            for (last, seen) in last.iter_mut().zip(seen.into_iter().chain(shares)) {
                *last = seen.told(last.0);
            }
            report::Slice {
                from_ms: place as u64 * self.width_ms,
                in_flight: last[0].0,
                in_flight_most: last[0].1,
                waiting: last[1].0,
                succeeded: slice.succeeded,
                failed: slice.failed,
                refused: slice.refused,
                shares: last[2..].to_vec(),
            }
        };
        self.slices.iter().enumerate().map(tell).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{SLICES_MAX, Timeline};

    proptest! {
        #[test]
        fn nothing_is_lost_when_slices_become_wider(moments in prop::collection::vec(0_u64..10_000_000_000, 1..300)) {
            let mut timeline = Timeline::default();
            for moment in &moments {
                let slice = timeline.at(*moment);
                slice.succeeded += 1;
                slice.share(1).see(0.5);
                prop_assert!(timeline.is_sound());
            }
            let told = timeline.told(2);
            prop_assert!(told.len() <= SLICES_MAX);
            prop_assert_eq!(told.iter().map(|slice| slice.succeeded).sum::<u64>(), moments.len() as u64);
            let most = told.iter().map(|slice| slice.shares[1].1).fold(0.0, f64::max);
            prop_assert!((most - 0.5).abs() < 1e-6);
            // No moment lies outside of its slice by more than the axis allows.
            let last = moments.iter().max().expect("some");
            prop_assert!(told.last().is_some_and(|slice| slice.from_ms <= *last));
        }
    }
}

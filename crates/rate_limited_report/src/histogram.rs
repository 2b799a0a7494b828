//! How long things took, in counters whose number does not grow with them.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::report::{Bar, Latency};
use crate::words::short;

/// Counters for each doubling of the time: a quantile is wrong by 1.6 % at most.
const STEPS: u64 = 32;
const STEP_BITS: u32 = STEPS.trailing_zeros();

/// The most bars that a picture has.
const BARS_MAX: usize = 32;

/// Times, counted in steps of 3 %.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Histogram {
    /// How many lie in each step, by its number.
    counts: BTreeMap<u16, u64>,
    total: u64,
    sum_micros: u64,
    least: u64,
    most: u64,
}

impl Histogram {
    pub(crate) fn add(&mut self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        *self.counts.entry(step(micros)).or_default() += 1;
        self.least = if self.total == 0 {
            micros
        } else {
            self.least.min(micros)
        };
        self.most = self.most.max(micros);
        self.total += 1;
        self.sum_micros = self.sum_micros.saturating_add(micros);
    }

    /// The time within which the share `q` of all lies.
    pub(crate) fn quantile(&self, q: f64) -> Option<Duration> {
        let rank = (q * self.total as f64).ceil().max(1.0);
        let mut so_far = 0;
        for (step, count) in &self.counts {
            so_far += count;
            if so_far as f64 >= rank {
                let middle = u64::midpoint(lower(*step), lower(step + 1));
                let micros = middle.clamp(self.least, self.most);
                return Some(Duration::from_micros(micros));
            }
        }
        None
    }

    pub(crate) fn told(&self) -> Latency {
        let at = |q| {
            self.quantile(q)
                .map_or(0.0, |it| millis(it.as_micros() as f64))
        };
        Latency {
            answers: self.total,
            mean_ms: millis(self.sum_micros as f64 / (self.total.max(1) as f64)),
            p50_ms: at(0.5),
            p95_ms: at(0.95),
            p99_ms: at(0.99),
            longest_ms: millis(self.most as f64),
            histogram: self.bars(),
        }
    }

    /// Bars of equal width on a logarithmic axis, the empty ones between them included.
    fn bars(&self) -> Vec<Bar> {
        let ends = self
            .counts
            .keys()
            .next()
            .zip(self.counts.keys().next_back());
        let Some((first, last)) = ends else {
            return Vec::new();
        };
        let span = usize::from(last - first) + 1;
        // Powers of two, so that a doubling of the time is a whole number of bars as long as that is possible.
        let mut width: u16 = 4;
        while span.div_ceil(usize::from(width)) >= BARS_MAX {
            width *= 2;
        }
        let mut bars: Vec<Bar> = (first / width..=last / width)
            .map(|bar| Bar {
                from_ms: millis(lower(bar * width) as f64),
                to_ms: millis(lower((bar + 1) * width) as f64),
                count: 0,
            })
            .collect();
        for (step, count) in &self.counts {
            bars[usize::from(step / width - first / width)].count += count;
        }
        bars
    }
}

/// The step of a time.
fn step(micros: u64) -> u16 {
    if micros < STEPS {
        return micros as u16;
    }
    let shift = micros.ilog2() - STEP_BITS;
    ((u64::from(shift) + 1) * STEPS + ((micros >> shift) - STEPS)) as u16
}

/// Where a step begins, in microseconds.
fn lower(step: u16) -> u64 {
    let step = u64::from(step);
    if step < STEPS {
        return step;
    }
    let shift = u32::try_from(step / STEPS - 1).unwrap_or(u32::MAX);
    let beyond = u64::MAX;
    (STEPS + step % STEPS)
        .checked_mul(1_u64.checked_shl(shift).unwrap_or(beyond))
        .unwrap_or(beyond)
}

fn millis(micros: f64) -> f64 {
    short(micros / 1e3)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::{BARS_MAX, Histogram, lower, step};
    use crate::words::rounded;

    #[test]
    fn steps_follow_one_another() {
        for micros in (0..100_000).chain([u64::MAX - 1, u64::MAX, 1 << 40]) {
            let step = step(micros);
            assert!(lower(step) <= micros, "{micros}");
            assert!(
                lower(step + 1) > micros || lower(step + 1) == u64::MAX,
                "{micros}"
            );
        }
    }

    proptest! {
            #[test]
            fn quantiles_are_near_the_true_ones(mut times in prop::collection::vec(1_u64..100_000_000, 1..400)) {
                let mut histogram = Histogram::default();
                for time in &times {
     histogram.add(Duration::from_micros(*time));
    }
                times.sort_unstable();
                for q in [0.01, 0.5, 0.95, 0.99, 1.0] {
                    let rank = usize::try_from(rounded((q * times.len() as f64).ceil())).expect("few").max(1);
                    let (real, told) = (times[rank - 1] as f64, histogram.quantile(q).expect("some"));
                    let told = told.as_micros() as f64;
                    prop_assert!((told - real).abs() <= real * 0.016 + 1.0, "{q}: {told} for {real}");
                }
                let bars = histogram.told().histogram;
                prop_assert!(bars.len() <= BARS_MAX);
                prop_assert_eq!(bars.iter().map(|bar| bar.count).sum::<u64>(), times.len() as u64);
            }
        }
}

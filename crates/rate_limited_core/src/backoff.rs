//! Exponential back-off with full jitter.
//!
//! The wait before the n-th retry is drawn uniformly from zero to `base × 2ⁿ`, at most `cap`: of the
//! usual variants the one that spreads a crowd best for the least total work (Marc Brooker,
//! "Exponential Backoff And Jitter", AWS Architecture Blog, 2015).

use crate::time::nanos;
use core::time::Duration;

/// How long to wait before a retry.
///
/// ```
/// use rate_limited_core::Backoff;
/// use std::time::Duration;
///
/// let patient = Backoff { base: Duration::from_secs(2), ..Backoff::default() };
/// assert_eq!(patient.cap, Duration::from_secs(60));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The longest wait before the first retry. Default 500 ms.
    pub base: Duration,
    /// The longest wait before any retry. Default 60 s.
    pub cap: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Backoff {
            base: Duration::from_millis(500),
            cap: Duration::from_secs(60),
        }
    }
}

impl Backoff {
    /// The wait before retry number `retry` (from 0), in nanoseconds.
    pub(crate) fn draw(&self, retry: u32, chance: &mut Chance) -> u64 {
        chance.below(self.longest(retry).saturating_add(1))
    }

    /// The longest wait before retry number `retry` (from 0), in nanoseconds.
    pub(crate) fn longest(&self, retry: u32) -> u64 {
        let doubled = u128::from(nanos(self.base)) << retry.min(63);
        u64::try_from(doubled)
            .unwrap_or(u64::MAX)
            .min(nanos(self.cap))
    }
}

/// Seeded pseudo-random draws: same seed, same draws.
///
/// The generator is `SplitMix64` (Steele, Lea, Flood, "Fast Splittable Pseudorandom Number
/// Generators", OOPSLA 2014): ample for jitter, never for secrets.
#[derive(Clone, Debug)]
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Chance(seed)
    }

    /// A draw from 0 to `bound` - 1; 0 where `bound` is 0.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

//! Chance without a stream: each number depends on its subject alone, not on what was drawn before.
//!
//! Two clients that send the same calls in different orders must meet the same latencies and the
//! same failures, or a comparison of them measures luck. So every draw starts from the seed and the
//! call's own numbers. The generator is `SplitMix64` (Steele, Lea, Flood: "Fast splittable
//! pseudorandom number generators", 2014).

use std::f64::consts::TAU;

/// What is drawn: one call's latency says nothing about whether it fails.
#[derive(Clone, Copy, Debug)]
pub(crate) enum About {
    Latency = 1,
    Failure = 2,
    /// How long the answer is.
    #[cfg(feature = "http")]
    Length = 3,
    /// The words of the answer, or the numbers of an embedding.
    #[cfg(feature = "http")]
    Text = 4,
    /// The time from the dispatch until the request leaves.
    Leaving = 5,
    /// The time on the way to the API.
    WayThere = 6,
    /// The time on the way back.
    WayBack = 7,
    /// What a call of a scenario takes.
    Call = 8,
}

/// A short sequence of numbers that belongs to one subject.
#[derive(Clone, Debug)]
pub(crate) struct Draw(u64);

impl Draw {
    /// The sequence about one attempt of one call.
    pub(crate) fn new(seed: u64, call: u64, attempt: u32, about: About) -> Draw {
        let subject = u64::from(attempt) << 8 | about as u64;
        Draw(mix(mix(mix(seed).wrapping_add(call)).wrapping_add(subject)))
    }

    /// 64 even bits.
    pub(crate) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A number from 0 to below 1.
    #[expect(
        clippy::cast_precision_loss,
        reason = "53 bits are kept, as many as fit"
    )]
    pub(crate) fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A number of the standard normal distribution (Box and Muller, 1958).
    pub(crate) fn normal(&mut self) -> f64 {
        // The logarithm needs a number above 0.
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (TAU * self.unit()).cos()
    }
}

/// Spreads every bit of `word` over all 64.
pub(crate) fn mix(mut word: u64) -> u64 {
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_depend_on_their_subject_alone() {
        let first = |seed, call, attempt, about| Draw::new(seed, call, attempt, about).bits();
        let one = first(1, 2, 3, About::Latency);
        assert_eq!(one, first(1, 2, 3, About::Latency));
        assert_ne!(one, first(1, 2, 3, About::Failure));
        assert_ne!(one, first(1, 2, 4, About::Latency));
        assert_ne!(one, first(1, 3, 3, About::Latency));
        assert_ne!(one, first(2, 2, 3, About::Latency));
    }

    #[test]
    fn units_are_even_and_normals_are_normal() {
        let count = 20_000;
        let (mut units, mut normals, mut squares) = (0.0, 0.0, 0.0);
        for call in 0..count {
            let mut draw = Draw::new(5, call, 1, About::Latency);
            units += draw.unit();
            let normal = draw.normal();
            normals += normal;
            squares += normal * normal;
        }
        let mean = |sum: f64| sum / f64::from(u32::try_from(count).unwrap());
        assert!((mean(units) - 0.5).abs() < 0.01);
        assert!(mean(normals).abs() < 0.03);
        assert!((mean(squares) - 1.0).abs() < 0.05);
    }
}

//! How long the API takes to answer.

use crate::draw::Draw;
use std::time::Duration;

/// How long the API takes to answer an accepted request.
///
/// Drawn from the seed, the call and the attempt: the order of sending does not change it.
///
/// ```
/// use rate_limited_sim::Latency;
/// use std::time::Duration;
///
/// let ms = Duration::from_millis;
/// assert_eq!(Latency::Constant(ms(250)).median(), ms(250));
/// assert_eq!(Latency::Uniform { min: ms(100), max: ms(300) }.median(), ms(200));
/// assert_eq!(Latency::Lognormal { median: ms(800), sigma: 0.5 }.median(), ms(800));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Latency {
    /// Always the same. In TOML: `latency = "250ms"`.
    Constant(Duration),
    /// Anything between two bounds. In TOML: `latency = { min = "100ms", max = "300ms" }`.
    Uniform {
        /// The shortest.
        min: Duration,
        /// The longest.
        max: Duration,
    },
    /// As real services answer: mostly near the median, sometimes many times longer.
    /// In TOML: `latency = { median = "800ms", sigma = 0.5 }`.
    Lognormal {
        /// Half of the answers take longer.
        median: Duration,
        /// The standard deviation of the logarithm; 0.5 puts one answer in 40 above 2.7 medians.
        sigma: f64,
    },
}

impl Default for Latency {
    /// An answer at once.
    fn default() -> Latency {
        Latency::Constant(Duration::ZERO)
    }
}

impl Latency {
    /// The median of the distribution.
    pub fn median(&self) -> Duration {
        match *self {
            Latency::Constant(latency) => latency,
            Latency::Uniform { min, max } => min + max.saturating_sub(min) / 2,
            Latency::Lognormal { median, .. } => median,
        }
    }

    pub(crate) fn draw(&self, draw: &mut Draw) -> Duration {
        match *self {
            Latency::Constant(latency) => latency,
            Latency::Uniform { min, max } => min + max.saturating_sub(min).mul_f64(draw.unit()),
            Latency::Lognormal { median, sigma } => {
                let seconds = median.as_secs_f64() * (sigma * draw.normal()).exp();
                Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
            }
        }
    }
}

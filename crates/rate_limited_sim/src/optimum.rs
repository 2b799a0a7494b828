//! The shortest time in which any client could have done the same work.

use crate::limit::{Anchor, Kind, Limit};
use crate::span::nanos;
use std::time::Duration;

/// The shortest time in which any client could have done the same work.
///
/// `work` is what each limit was charged, in the order of `limits`. A window-limit lets one quota
/// through at the start and another at the end of each window: `(ceil(work / quota) - 1) * window`.
/// A bucket lets its burst through and then its rate: `(work - burst) / rate`. The slowest limit
/// binds, and the last call still has to be answered: `latency` is the median. The work is taken to begin at
/// the origin of time: what is left of an anchored window then is the first one.
///
/// ```
/// use rate_limited_sim::{Anchor, Limit, optimum};
/// use std::time::Duration;
///
/// let secs = Duration::from_secs;
/// let limits = [
///     Limit::requests(60, secs(60)),
///     Limit::tokens(1_000, secs(1)).bucket(500),
/// ];
/// assert_eq!(optimum(&limits, &[61, 0], secs(1)), secs(61));
/// assert_eq!(optimum(&limits, &[60, 90_500], secs(1)), secs(91));
/// // The first window has 20 seconds left.
/// let anchored = [Limit::requests(60, secs(60)).fixed(Anchor::At(secs(20)))];
/// assert_eq!(optimum(&anchored, &[121], secs(1)), secs(81));
/// ```
pub fn optimum(limits: &[Limit], work: &[u64], latency: Duration) -> Duration {
    let shortest = limits
        .iter()
        .zip(work)
        .map(|(limit, work)| shortest(limit, *work));
    shortest.max().unwrap_or_default().saturating_add(latency)
}

/// The shortest time for the work of one window-limit whose quota changes: `changes` are moments and
/// quotas, the earliest first.
pub(crate) fn changing(limit: &Limit, changes: &[(Duration, u64)], work: u64) -> Duration {
    let quota_at = |at: Duration| {
        let last = changes.iter().rev().find(|(from, _)| *from <= at);
        last.map_or(limit.quota, |(_, quota)| *quota)
    };
    let (mut at, mut left) = (
        Duration::ZERO,
        work.saturating_sub(quota_at(Duration::ZERO)),
    );
    while left > 0 {
        at += limit.window;
        left = left.saturating_sub(quota_at(at));
    }
    at
}

fn shortest(limit: &Limit, work: u64) -> Duration {
    let window = u128::from(nanos(limit.window));
    let nanos = match limit.kind {
        Kind::Bucket { burst } => {
            let flows_in = u128::from(work.saturating_sub(burst));
            (flows_in * window).div_ceil(u128::from(limit.quota))
        }
        Kind::Sliding | Kind::Fixed(_) => {
            let windows = u128::from(work.div_ceil(limit.quota).saturating_sub(1));
            let passed = match limit.kind {
                Kind::Fixed(Anchor::At(moment)) if windows > 0 => {
                    window - 1 - (u128::from(nanos(moment)) + window - 1) % window
                }
                _ => 0,
            };
            windows * window - passed
        }
    };
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

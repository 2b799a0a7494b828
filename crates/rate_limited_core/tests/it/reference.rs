//! The judge: counts what was sent by the plainest rules, in exact integers, sharing nothing with the
//! core but the declaration of the quota.

use rate_limited_core::{Anchor, Quota, Time};

/// What one attempt took of the resource, as the server sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Charge {
    /// When it began to count.
    pub(crate) at: Time,
    /// When the real amount became known, and the reservation ended.
    pub(crate) settled: Time,
    pub(crate) dispatched: Time,
    pub(crate) reserved: i64,
    pub(crate) used: i64,
}

impl Charge {
    fn amount(&self, now: Time) -> i64 {
        if now < self.settled {
            self.reserved
        } else {
            self.used
        }
    }
}

/// Panics if, at the moment of any dispatch, more was charged and reserved than the quota allows.
pub(crate) fn check(quota: &Quota, at_dispatch: bool, charges: &[Charge]) {
    for charge in charges {
        let now = charge.dispatched;
        let known: Vec<_> = charges
            .iter()
            .filter(|other| other.dispatched <= now)
            .copied()
            .collect();
        // A settlement may exceed its reservation; only a dispatch may not add to that.
        let level = used_at(quota, at_dispatch, &known, now);
        let limit = limit_of(quota);
        assert!(
            level <= limit,
            "{quota:?}: {level} of {limit} at {now:?}, after {charge:?}"
        );
    }
}

fn limit_of(quota: &Quota) -> i128 {
    match *quota {
        Quota::Spacing { .. } => 1,
        Quota::TokenBucket { burst, per, .. } => {
            i128::from(burst.as_micros()) * per.as_nanos() as i128
        }
        _ => quota.capacity().as_micros().into(),
    }
}

fn used_at(quota: &Quota, at_dispatch: bool, charges: &[Charge], now: Time) -> i128 {
    let held = |charge: &&Charge| !at_dispatch && charge.settled > now;
    let reserved: i128 = charges
        .iter()
        .filter(held)
        .map(|c| i128::from(c.reserved))
        .sum();
    let counted = charges.iter().filter(|charge| charge.at <= now);
    let counted: Vec<(Time, i64)> = counted.map(|c| (c.at, c.amount(now))).collect();
    match *quota {
        Quota::SlidingWindow { window, .. } => {
            let inside = counted.iter().filter(|(at, _)| now.since(*at) < window);
            reserved + inside.map(|(_, amount)| i128::from(*amount)).sum::<i128>()
        }
        Quota::FixedWindow { window, anchor, .. } => {
            reserved + in_fixed_window(window.as_nanos() as u64, anchor, counted, now)
        }
        Quota::TokenBucket { amount, per, burst } => {
            let per = per.as_nanos() as i128;
            let numbers = (
                i128::from(amount.as_micros()),
                per,
                i128::from(burst.as_micros()) * per,
            );
            reserved * per + out_of_bucket(numbers, charges, at_dispatch, now)
        }
        Quota::Budget { .. } => {
            reserved
                + counted
                    .iter()
                    .map(|(_, amount)| i128::from(*amount))
                    .sum::<i128>()
        }
        Quota::Slots { .. } => {
            let held = charges.iter().filter(|charge| charge.settled > now);
            held.map(|charge| i128::from(charge.reserved)).sum()
        }
        Quota::Spacing { interval } => {
            let near = counted.iter().filter(|(at, _)| now.since(*at) < interval);
            near.count() as i128
        }
        _ => unreachable!("a new kind of quota needs a rule here"),
    }
}

fn in_fixed_window(window: u64, anchor: Anchor, mut counted: Vec<(Time, i64)>, now: Time) -> i128 {
    counted.retain(|(_, amount)| *amount > 0);
    counted.sort_by_key(|(at, _)| *at);
    let mut start = match anchor {
        Anchor::At(start) => start.as_nanos(),
        _ => counted.first().map_or(0, |(at, _)| at.as_nanos()),
    };
    let mut sum = 0;
    for (at, amount) in counted {
        let at = at.as_nanos();
        if at >= start + window {
            start = match anchor {
                Anchor::At(_) => at - (at - start) % window,
                _ => at,
            };
            sum = 0;
        }
        sum += i128::from(amount);
    }
    if now.as_nanos() >= start + window {
        0
    } else {
        sum
    }
}

/// What is missing in a bucket, in millionths × nanoseconds, by replaying all that was charged,
/// given back or owed.
fn out_of_bucket(
    (refill, per, burst): (i128, i128, i128),
    charges: &[Charge],
    at_dispatch: bool,
    now: Time,
) -> i128 {
    let mut changes = Vec::new();
    for charge in charges {
        let first = if at_dispatch {
            charge.reserved
        } else {
            charge.used
        };
        changes.push((charge.at, first));
        if at_dispatch {
            changes.push((charge.settled, charge.used - charge.reserved));
        }
    }
    changes.retain(|(at, _)| *at <= now);
    changes.sort_by_key(|(at, _)| *at);
    let (mut level, mut last) = (burst, Time::default());
    for (at, amount) in changes {
        let elapsed = i128::from(at.as_nanos() - last.as_nanos());
        level = (level + refill * elapsed).min(burst);
        level = (level - i128::from(amount) * per).min(burst);
        last = at;
    }
    let elapsed = i128::from(now.as_nanos() - last.as_nanos());
    burst - (level + refill * elapsed).min(burst)
}

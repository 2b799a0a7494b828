//! The limits once more, by definition instead of by running sums: slow and obvious.

use rate_limited_sim::{Anchor, Kind, Limit};
use std::time::Duration;

/// Whether a charge of `amount` at `now` keeps the limit, given all charges before.
pub(crate) fn allows(limit: &Limit, charges: &[(u64, u64)], amount: u64, now: u64) -> bool {
    match limit.kind() {
        Kind::Sliding => sliding(limit, charges, now) + amount <= limit.quota(),
        Kind::Fixed(anchor) => fixed(limit, anchor, charges, now) + amount <= limit.quota(),
        Kind::Bucket { burst } => bucket(limit, burst, charges, amount, now),
        other => panic!("no definition of {other:?} here"),
    }
}

fn sliding(limit: &Limit, charges: &[(u64, u64)], now: u64) -> u64 {
    let window = nanos(limit.window());
    charges
        .iter()
        .filter(|(at, _)| now - at < window)
        .map(|(_, amount)| amount)
        .sum()
}

fn fixed(limit: &Limit, anchor: Anchor, charges: &[(u64, u64)], now: u64) -> u64 {
    let window = nanos(limit.window());
    let number = |at: u64| match anchor {
        Anchor::At(moment) => {
            (i128::from(at) - i128::from(nanos(moment))).div_euclid(window.into())
        }
        _ => i128::from(at / window),
    };
    if anchor != Anchor::FirstRequest {
        return charges
            .iter()
            .filter(|(at, _)| number(*at) == number(now))
            .map(|(_, a)| a)
            .sum();
    }
    let mut opened = None;
    let mut used = 0;
    for (at, amount) in charges {
        if opened.is_none_or(|opened| at - opened >= window) {
            (opened, used) = (Some(*at), 0);
        }
        used += amount;
    }
    if opened.is_some_and(|opened| now - opened < window) {
        used
    } else {
        0
    }
}

/// A bucket that starts full is the same as: in no interval that ends now, more than the burst and
/// what flows in during the interval.
fn bucket(limit: &Limit, burst: u64, charges: &[(u64, u64)], amount: u64, now: u64) -> bool {
    let window = u128::from(nanos(limit.window()));
    let from = |start: u64| {
        let since: u64 = charges
            .iter()
            .filter(|(at, _)| *at >= start)
            .map(|(_, a)| a)
            .sum();
        let flows_in = u128::from(limit.quota()) * u128::from(now - start);
        u128::from(since + amount) * window <= u128::from(burst) * window + flows_in
    };
    from(now) && charges.iter().all(|(at, _)| from(*at))
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap()
}

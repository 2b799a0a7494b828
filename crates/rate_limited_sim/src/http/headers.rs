//! The headers in which `OpenAI` tells its limits.

use crate::limit::Unit;
use crate::stats::LimitView;
use std::time::Duration;

/// `x-ratelimit-{limit,remaining,reset}-{requests,tokens}`; of several limits on one unit, the one
/// with the least remaining.
pub(super) fn of_limits(limits: &[LimitView]) -> Vec<(String, String)> {
    let mut headers = Vec::new();
    for (unit, name) in [(Unit::Requests, "requests"), (Unit::Tokens, "tokens")] {
        let tightest = limits
            .iter()
            .filter(|limit| limit.unit == unit)
            .min_by_key(|limit| limit.remaining);
        if let Some(limit) = tightest {
            let mut tell =
                |what: &str, value| headers.push((format!("x-ratelimit-{what}-{name}"), value));
            tell("limit", limit.quota.to_string());
            tell("remaining", limit.remaining.to_string());
            tell("reset", go_duration(limit.reset));
        }
    }
    headers
}

/// A span as Go prints it, rounded up to milliseconds: `6m0s`, `1.25s`, `40ms`, `0s`.
pub(super) fn go_duration(span: Duration) -> String {
    let millis = span.as_nanos().div_ceil(1_000_000);
    if (1..1_000).contains(&millis) {
        return format!("{millis}ms");
    }
    let (hours, minutes) = (millis / 3_600_000, millis / 60_000 % 60);
    let seconds = seconds(millis % 60_000);
    match (hours, minutes) {
        (0, 0) => format!("{seconds}s"),
        (0, _) => format!("{minutes}m{seconds}s"),
        _ => format!("{hours}h{minutes}m{seconds}s"),
    }
}

fn seconds(millis: u128) -> String {
    let text = format!("{}.{:03}", millis / 1_000, millis % 1_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_look_as_go_prints_them() {
        let go = |millis| go_duration(Duration::from_millis(millis));
        let pairs = [
            (0, "0s"),
            (40, "40ms"),
            (999, "999ms"),
            (1_000, "1s"),
            (10_000, "10s"),
            (1_250, "1.25s"),
            (86_400, "1m26.4s"),
            (360_000, "6m0s"),
            (3_600_000, "1h0m0s"),
            (86_400_001, "24h0m0.001s"),
        ];
        for (millis, text) in pairs {
            assert_eq!(go(millis), text);
        }
        assert_eq!(go_duration(Duration::from_nanos(1)), "1ms");
    }
}

//! Spans and moments as APIs write them.

use std::time::{Duration, SystemTime};

/// A span as Go prints it, rounded up to milliseconds: `6m0s`, `1.25s`, `40ms`, `0s`.
pub(super) fn go_duration(span: Duration) -> String {
    let millis = span.as_nanos().div_ceil(1_000_000);
    if (1..1_000).contains(&millis) {
        return format!("{millis}ms");
    }
    let (hours, minutes) = (millis / 3_600_000, millis / 60_000 % 60);
    let seconds = fraction(millis % 60_000);
    match (hours, minutes) {
        (0, 0) => format!("{seconds}s"),
        (0, _) => format!("{minutes}m{seconds}s"),
        _ => format!("{hours}h{minutes}m{seconds}s"),
    }
}

/// Seconds with up to three decimals, rounded up, as protocol buffers write spans: `38.2s`.
pub(super) fn proto_duration(span: Duration) -> String {
    format!("{}s", fraction(span.as_nanos().div_ceil(1_000_000)))
}

fn fraction(millis: u128) -> String {
    let text = format!("{}.{:03}", millis / 1_000, millis % 1_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Whole seconds: rounded down, they would invite a second refusal.
pub(super) fn seconds_up(span: Duration) -> u64 {
    span.as_secs() + u64::from(span.subsec_nanos() > 0)
}

/// The second since 1970 at which a span is over.
pub(super) fn epoch_after(now: SystemTime, span: Duration) -> u64 {
    seconds_up(since_1970(now) + span)
}

/// The moment at which a span is over, to the second and by RFC 3339: `2026-04-01T12:00:00Z`.
pub(super) fn rfc3339_after(now: SystemTime, span: Duration) -> String {
    let seconds = epoch_after(now, span);
    let (year, month, day) = date(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

pub(super) fn since_1970(now: SystemTime) -> Duration {
    now.duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
}

/// Year, month and day of so many days after 1970-01-01.
fn date(mut days: u64) -> (u64, u64, u64) {
    let is_leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    let mut year = 1970;
    while days >= 365 + u64::from(is_leap(year)) {
        days -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let february = 28 + u64::from(is_leap(year));
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    (year, month, days + 1)
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
            (1_000, "1s"),
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
        assert_eq!(proto_duration(Duration::from_millis(38_200)), "38.2s");
    }

    #[test]
    fn moments_are_those_of_the_calendar() {
        let after = |seconds| rfc3339_after(SystemTime::UNIX_EPOCH, Duration::from_secs(seconds));
        for (seconds, moment) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_799, "2000-02-29T23:59:59Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_795_521_600, "2026-11-24T12:00:00Z"),
            (1_798_761_599, "2026-12-31T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(after(seconds), moment);
        }
        let late = SystemTime::UNIX_EPOCH + Duration::from_millis(1_001);
        assert_eq!(epoch_after(late, Duration::ZERO), 2);
    }
}

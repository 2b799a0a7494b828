//! How long something takes, for people.

use std::fmt;
use std::time::Duration;

/// A duration for people: two units at most, rounded to nearest; `Display` writes it.
///
/// ```
/// use std::time::Duration;
/// use rate_limited_report::Human;
///
/// assert_eq!(Human(Duration::from_secs(200)).to_string(), "3 m 20 s");
/// assert_eq!(Human(Duration::from_millis(420)).to_string(), "420 ms");
/// assert_eq!(Human(Duration::from_millis(4_250)).to_string(), "4.3 s");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Human(pub Duration);

impl fmt::Display for Human {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Each case rounds first and then asks whether the value still belongs to it, so that
        // 59.97 s is shown as 1 m and never as 60.0 s.
        let nanos = self.0.as_nanos();
        let rounded = |unit: u128| (nanos + unit / 2) / unit;
        let (micros, millis, tenths) = (rounded(1_000), rounded(1_000_000), rounded(100_000_000));
        let (seconds, minutes, hours) = (
            rounded(1_000_000_000),
            rounded(60_000_000_000),
            rounded(3_600_000_000_000),
        );
        if nanos == 0 {
            f.write_str("0 s")
        } else if micros < 1_000 {
            write!(f, "{micros} µs")
        } else if millis < 1_000 {
            write!(f, "{millis} ms")
        } else if tenths < 100 {
            two(f, tenths, 10, ".", " s")
        } else if seconds < 60 {
            write!(f, "{seconds} s")
        } else if seconds < 3_600 {
            two(f, seconds, 60, " m ", " s")
        } else if minutes < 24 * 60 {
            two(f, minutes, 60, " h ", " m")
        } else {
            two(f, hours, 24, " d ", " h")
        }
    }
}

/// `value` split by `base`; an empty lower part is left out, be it the tenths or the lower unit.
fn two(f: &mut fmt::Formatter<'_>, value: u128, base: u128, joint: &str, end: &str) -> fmt::Result {
    let (high, low) = (value / base, value % base);
    match (low, joint) {
        (0, ".") => write!(f, "{high}{end}"),
        (0, _) => write!(f, "{high}{}", joint.trim_end()),
        _ => write!(f, "{high}{joint}{low}{end}"),
    }
}

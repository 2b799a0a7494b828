//! Spans of time as scenario files write them: `250ms`, `2s`, `1.5h`.

use serde::Deserialize;
use std::time::Duration;

/// A span read from text.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Span(pub(crate) Duration);

impl TryFrom<String> for Span {
    type Error = String;

    fn try_from(text: String) -> Result<Span, String> {
        parse(&text).map(Span).ok_or_else(|| {
            format!("`{text}` is no span of time: write a number and ns, us, ms, s, m, h or d, such as 250ms")
        })
    }
}

fn parse(text: &str) -> Option<Duration> {
    let text = text.trim();
    let unit_at = text.find(|c: char| !(c.is_ascii_digit() || c == '.'))?;
    let (number, unit) = text.split_at(unit_at);
    let number: f64 = number.parse().ok()?;
    Duration::try_from_secs_f64(number * seconds(unit.trim())?).ok()
}

fn seconds(unit: &str) -> Option<f64> {
    Some(match unit {
        "ns" => 1e-9,
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3_600.0,
        "d" => 86_400.0,
        _ => return None,
    })
}

/// A span in whole nanoseconds; more than 584 years become 584 years.
pub(crate) fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_a_number_and_a_unit() {
        assert_eq!(parse("250ms"), Some(Duration::from_millis(250)));
        assert_eq!(parse(" 1.5 h "), Some(Duration::from_secs(5_400)));
        assert_eq!(parse("2m"), parse("2min"));
        assert_eq!(parse("0s"), Some(Duration::ZERO));
        assert_eq!(parse("1d"), Some(Duration::from_secs(86_400)));
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", "60", "s", "-1s", "1.2.3s", "1 fortnight", "1e400s"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}

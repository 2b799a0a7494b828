//! Numbers and times for people, and text that is safe wherever it stands.

/// The most characters of the name of a call that are kept.
pub(crate) const NAME_CHARS_MAX: usize = 80;

/// The most characters of a code that are kept.
const CODE_CHARS_MAX: usize = 48;

/// A code of an error: what is none, such as a sentence that a server put there, is not shown.
pub(crate) fn code(text: &str) -> String {
    let is_code = |c: char| c.is_ascii_alphanumeric() || "_-.:/".contains(c);
    if !text.is_empty() && text.len() <= CODE_CHARS_MAX && text.chars().all(is_code) {
        text.to_owned()
    } else {
        "other".to_owned()
    }
}

/// The name of a call: so many characters at most, none of which moves a cursor or turns the text round.
pub(crate) fn name(text: &str, chars_max: usize) -> String {
    let turns = |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let visible = text.chars().map(|c| {
        if c.is_control() || turns(c) {
            '\u{fffd}'
        } else {
            c
        }
    });
    let short: String = visible.take(chars_max).collect();
    if text.chars().nth(chars_max).is_none() {
        return short;
    }
    let kept: String = short.chars().take(chars_max - 1).collect();
    format!("{kept}…")
}

/// Text as it stands in a page.
pub(crate) fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c if c.is_control() && c != '\n' => safe.push('\u{fffd}'),
            c => safe.push(c),
        }
    }
    safe
}

/// A number with its thousands apart.
///
/// ```
/// assert_eq!(rate_limited_report::grouped(12_345), "12,345");
/// ```
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() * 4 / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// A number that is not below zero, without its fraction.
#[expect(clippy::cast_sign_loss, reason = "the cast stops at zero")]
pub(crate) fn rounded(number: f64) -> u64 {
    number.round() as u64
}

pub(crate) fn whole(number: f64) -> String {
    grouped(rounded(number))
}

/// An amount in units, which may be fractions.
///
/// ```
/// use rate_limited_report::amount;
///
/// assert_eq!([30_000.0, 0.5].map(amount), ["30,000", "0.5"]);
/// ```
pub fn amount(units: f64) -> String {
    if units.fract() == 0.0 {
        whole(units)
    } else {
        units.to_string()
    }
}

/// A number with its noun.
///
/// ```
/// assert_eq!(rate_limited_report::counted(1, "call", "calls"), "1 call");
/// ```
pub fn counted(number: u64, one: &str, many: &str) -> String {
    format!(
        "{} {}",
        grouped(number),
        if number == 1 { one } else { many }
    )
}

/// A time in milliseconds, in two units at most.
pub(crate) fn time(ms: f64) -> String {
    let seconds = rounded(ms / 1e3);
    let two = |large: u64, small: u64, units: [&str; 2]| match small {
        0 => format!("{large} {}", units[0]),
        small => format!("{large} {} {small} {}", units[0], units[1]),
    };
    match ms {
        ms if ms < 1.0 => format!("{:.0} µs", ms * 1e3),
        ms if ms < 999.5 => format!("{ms:.0} ms"),
        ms if ms < 9_995.0 => format!("{} s", trimmed(&format!("{:.2}", ms / 1e3))),
        ms if ms < 59_950.0 => format!("{} s", trimmed(&format!("{:.1}", ms / 1e3))),
        _ if seconds < 3_600 => two(seconds / 60, seconds % 60, ["m", "s"]),
        _ if seconds < 86_400 => two(seconds / 3_600, seconds % 3_600 / 60, ["h", "m"]),
        _ => two(seconds / 86_400, seconds % 86_400 / 3_600, ["d", "h"]),
    }
}

/// A number without the zeros that say nothing.
fn trimmed(number: &str) -> String {
    let short = number.trim_end_matches('0').trim_end_matches('.');
    short.to_owned()
}

/// A number with as many places as are worth while: what is more is noise, and room in a file.
pub(crate) fn short(number: f64) -> f64 {
    (number * 1e4).round() / 1e4
}

/// A share in percent.
pub(crate) fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if percent > 0.0 && percent < 9.95 {
        format!("{percent:.1} %")
    } else {
        format!("{percent:.0} %")
    }
}

/// A moment, in UTC: `2026-03-01 12:30`.
pub(crate) fn moment(unix_ms: u64) -> String {
    let minutes = unix_ms / 60_000;
    let (days, minute) = (minutes / 1_440, minutes % 1_440);
    let (year, month, day) = date(days);
    format!(
        "{year}-{month:02}-{day:02} {:02}:{:02} UTC",
        minute / 60,
        minute % 60
    )
}

/// The date of a day, counted from 1970-01-01.
fn date(mut day: u64) -> (u64, usize, u64) {
    let is_leap = |year: u64| {
        (year.is_multiple_of(4) && !year.is_multiple_of(100)) || year.is_multiple_of(400)
    };
    // Whole 400 years first, so that no moment takes long.
    let mut year = 1970 + day / 146_097 * 400;
    day %= 146_097;
    while day >= 365 + u64::from(is_leap(year)) {
        day -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let february = 28 + u64::from(is_leap(year));
    let lengths = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while day >= lengths[month] {
        day -= lengths[month];
        month += 1;
    }
    (year, month + 1, day + 1)
}

#[cfg(test)]
mod tests {
    use super::{code, escaped, grouped, moment, name, percent, time};

    #[test]
    fn times_have_two_units_at_most() {
        for (ms, told) in [
            (0.0, "0 µs"),
            (0.25, "250 µs"),
            (850.0, "850 ms"),
            (1_234.0, "1.23 s"),
            (8_000.0, "8 s"),
            (1_500.0, "1.5 s"),
            (12_340.0, "12.3 s"),
            (30_000.0, "30 s"),
            (60_000.0, "1 m"),
            (130_000.0, "2 m 10 s"),
            (7_500_000.0, "2 h 5 m"),
            (90_000_000.0, "1 d 1 h"),
        ] {
            assert_eq!(time(ms), told);
        }
    }

    #[test]
    fn moments_are_those_of_the_calendar() {
        for (ms, told) in [
            (0, "1970-01-01 00:00 UTC"),
            (951_782_400_000, "2000-02-29 00:00 UTC"),
            (1_700_000_000_000, "2023-11-14 22:13 UTC"),
            (1_798_761_599_000, "2026-12-31 23:59 UTC"),
        ] {
            assert_eq!(moment(ms), told);
        }
        assert!(moment(u64::MAX).ends_with("UTC"));
    }

    #[test]
    fn sentences_are_no_codes() {
        assert_eq!(code("rate_limit_exceeded"), "rate_limit_exceeded");
        for text in ["", "your prompt 'x' is bad", "é", &"a".repeat(49)] {
            assert_eq!(code(text), "other");
        }
    }

    #[test]
    fn names_are_tamed() {
        assert_eq!(name("a\nb\u{202e}c", 80), "a\u{fffd}b\u{fffd}c");
        assert_eq!(name("abcdef", 4), "abc…");
        assert_eq!(
            escaped("<a b='1'>&\"\u{1b}"),
            "&lt;a b=&#39;1&#39;&gt;&amp;&quot;\u{fffd}"
        );
    }

    #[test]
    fn numbers_are_for_people() {
        assert_eq!(
            (grouped(7), grouped(1_234_567)),
            ("7".into(), "1,234,567".into())
        );
        assert_eq!(
            [0.0, 0.034, 0.5, 1.0].map(percent),
            ["0 %", "3.4 %", "50 %", "100 %"]
        );
    }
}

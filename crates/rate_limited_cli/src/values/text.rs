//! Small helpers for text that people read: quoting, cutting, grouping of digits.

/// The most characters of a user's value that a message repeats.
const QUOTED_CHARS_MAX: usize = 80;

/// A value as a message shows it: in quotes, without control characters, cut when long.
pub(crate) fn quoted(value: &str) -> String {
    format!("'{}'", shortened(value, QUOTED_CHARS_MAX))
}

/// Text of any origin on one line of at most `chars_max` characters.
pub(crate) fn shortened(text: &str, chars_max: usize) -> String {
    let mut shown: String = text.chars().take(chars_max).flat_map(visible).collect();
    if text.chars().nth(chars_max).is_some() {
        shown.push('…');
    }
    shown
}

/// A number with its noun: `1 request`, `12,345 requests`.
pub(crate) fn counted(number: u64, one: &str, many: &str) -> String {
    let noun = if number == 1 { one } else { many };
    format!("{} {noun}", grouped(number))
}

/// Control characters as their escape, everything else as it is: a value must not steer the terminal.
fn visible(character: char) -> Vec<char> {
    if character.is_control() {
        character.escape_default().collect()
    } else {
        vec![character]
    }
}

/// A number with its thousands apart: `12,345`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut shown = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

/// The longest beginning of `text` that has at most `bytes_max` bytes and ends between characters.
pub(crate) fn cut(text: &str, bytes_max: usize) -> &str {
    let mut end = bytes_max.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::{counted, cut, grouped, quoted, shortened};

    #[test]
    fn digits_are_grouped_by_three() {
        let shown = [0, 999, 1_000, 12_345, 1_234_567].map(grouped);
        assert_eq!(shown, ["0", "999", "1,000", "12,345", "1,234,567"]);
    }

    #[test]
    fn one_has_another_noun_than_many() {
        let shown = [0, 1, 1_000].map(|number| counted(number, "retry", "retries"));
        assert_eq!(shown, ["0 retries", "1 retry", "1,000 retries"]);
    }

    #[test]
    fn errors_are_one_short_line() {
        assert_eq!(shortened("no\nroute", 100), "no\\nroute");
        assert_eq!(shortened("no route", 2), "no…");
    }

    #[test]
    fn a_cut_never_splits_a_character() {
        assert_eq!(cut("naïve", 3), "na");
        assert_eq!(cut("naïve", 4), "naï");
        assert_eq!(cut("naïve", 400), "naïve");
    }

    #[test]
    fn long_and_controlling_values_are_tamed() {
        assert_eq!(quoted("a\x1b[31m"), r"'a\u{1b}[31m'");
        assert_eq!(quoted(&"é".repeat(100)), format!("'{}…'", "é".repeat(80)));
    }
}

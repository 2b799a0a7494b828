//! Lines that are broken between words where a terminal is narrow.

use console::measure_text_width;

/// What the further lines of a broken one begin with.
const INDENT: &str = "  ";

/// A text whose lines take at most so many columns, where their words let them. A line that begins with a space is
/// left as it is: it is a command, to be copied.
pub(crate) fn wrapped(text: &str, columns: usize) -> String {
    let lines = text.split('\n').map(|line| {
        if line.starts_with(' ') || measure_text_width(line) <= columns {
            return line.to_owned();
        }
        broken(line, columns)
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn broken(line: &str, columns: usize) -> String {
    let (mut text, mut taken) = (String::new(), 0);
    for word in line.split(' ') {
        let width = measure_text_width(word);
        if taken > 0 && taken + 1 + width > columns {
            text.push('\n');
            text.push_str(INDENT);
            taken = INDENT.len();
        } else if taken > 0 {
            text.push(' ');
            taken += 1;
        }
        text.push_str(word);
        taken += width;
    }
    text
}

#[cfg(test)]
mod tests {
    use console::measure_text_width;
    use proptest::prelude::*;

    use super::wrapped;

    #[test]
    fn lines_are_broken_between_words() {
        for (text, columns, expected) in [
            ("31 attempts, 0 retries", 22, "31 attempts, 0 retries"),
            ("31 attempts, 0 retries", 21, "31 attempts, 0\n  retries"),
            ("31 attempts, 0 retries", 11, "31\n  attempts,\n  0 retries"),
            // What is longer than the terminal is wide is left to it.
            ("in a/long/path here", 6, "in\n  a/long/path\n  here"),
            // Letters that take two columns.
            ("結果 結果", 8, "結果\n  結果"),
            // Commands are copied.
            ("next: this\n  jq -n input", 10, "next: this\n  jq -n input"),
            (
                "next: do this\n  jq -n input",
                10,
                "next: do\n  this\n  jq -n input",
            ),
            ("", 10, ""),
            ("a b", 0, "a\n  b"),
        ] {
            assert_eq!(wrapped(text, columns), expected, "{text} in {columns}");
        }
    }

    proptest! {
        #[test]
        fn no_word_is_lost_and_none_too_far(
            words in prop::collection::vec("[a-z0-9:,.]{1,12}", 1..30),
            columns in 14_usize..80,
        ) {
            let text = wrapped(&words.join(" "), columns);
            prop_assert_eq!(text.split_whitespace().collect::<Vec<_>>(), words);
            for line in text.lines() {
                prop_assert!(measure_text_width(line) <= columns, "{}", line);
            }
        }
    }
}

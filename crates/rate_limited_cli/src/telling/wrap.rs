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
        broken(line, columns, INDENT.len())
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// As [`wrapped`], but lines that begin with a space are broken, too. What is moved to a further line stands below what
/// it belongs to: where a line has a first column, right of it.
pub(crate) fn wrapped_all(text: &str, columns: usize) -> String {
    let lines = text.split('\n').map(|line| {
        if measure_text_width(line) <= columns {
            return line.to_owned();
        }
        let begins = line.len() - line.trim_start().len();
        // Where that leaves no room for words, it is no help.
        let mut indents = second_column(line)
            .into_iter()
            .chain([begins + INDENT.len()]);
        let indent = indents.find(|indent| indent * 2 <= columns);
        let indent = indent.unwrap_or(INDENT.len());
        broken(line, columns, indent)
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Where what follows the first column of a table begins.
fn second_column(line: &str) -> Option<usize> {
    let begins = line.len() - line.trim_start().len();
    let ends = begins + line[begins..].find("  ")?;
    let rest = line[ends..].trim_start();
    Some(measure_text_width(&line[..line.len() - rest.len()]))
}

fn broken(line: &str, columns: usize, indent: usize) -> String {
    let (mut text, mut taken, mut spaces) = (String::new(), 0, 0);
    for (place, word) in line.split(' ').enumerate() {
        spaces += usize::from(place > 0);
        if word.is_empty() {
            continue;
        }
        let width = measure_text_width(word);
        if !text.is_empty() && taken + spaces + width > columns {
            text.push('\n');
            (taken, spaces) = (0, indent);
        }
        text.push_str(&" ".repeat(spaces));
        text.push_str(word);
        taken += spaces + width;
        spaces = 0;
    }
    text
}

#[cfg(test)]
mod tests {
    use console::measure_text_width;
    use proptest::prelude::*;

    use super::{wrapped, wrapped_all};

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

    #[test]
    fn further_lines_stand_below_what_they_belong_to() {
        for (text, columns, expected) in [
            ("finish    after 6 s", 19, "finish    after 6 s"),
            (
                "calls     36 requests; none",
                20,
                "calls     36\n          requests;\n          none",
            ),
            (
                "          36 requests of mine",
                25,
                "          36 requests of\n            mine",
            ),
            (
                "  - token remainders are rounded",
                20,
                "  - token remainders\n    are rounded",
            ),
            (
                "limits    tokens=9/1m     all",
                24,
                "limits    tokens=9/1m\n          all",
            ),
            // The first column alone takes more than half of the terminal.
            (
                "a_long_name  and what it is",
                20,
                "a_long_name  and\n  what it is",
            ),
            (
                "    word  and what it is",
                12,
                "    word\n      and\n      what\n      it is",
            ),
            ("one\n\ntwo three\n", 5, "one\n\ntwo\n  three\n"),
        ] {
            assert_eq!(wrapped_all(text, columns), expected, "{text} in {columns}");
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

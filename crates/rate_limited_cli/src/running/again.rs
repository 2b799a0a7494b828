//! How what has no result is run again.

use std::path::Path;

/// The command that picks the requests without a result out of the input.
///
/// Records name the line of the input that they belong to, so that it works for any order of the
/// output. What it makes has a name of its own, so that a second round does not destroy its input.
pub(crate) fn command(input: &Path, output: &Path) -> String {
    let again = quoted(&input.with_extension("again.jsonl"));
    let [input, output] = [input, output].map(quoted);
    format!(
        "grep -v '\"error\":null}}$' {output} | sed 's/^{{\"id\":\"request-\\([0-9]*\\).*/\\1/' | \
         awk 'NR==FNR{{n[$1];next}} FNR in n' - {input} > {again}"
    )
}

/// A path as shells take it.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    // What begins with a dash would be an option.
    let text = if text.starts_with('-') {
        format!("./{text}")
    } else {
        text
    };
    let plain = |c: char| c.is_alphanumeric() || "/._-+,:@".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text;
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{command, quoted};

    #[test]
    fn paths_are_quoted_for_shells() {
        let shown = ["a/b.jsonl", "-x", "it's"].map(|path| quoted(Path::new(path)));
        assert_eq!(shown, ["a/b.jsonl", "./-x", r"'it'\''s'"]);
    }

    #[test]
    fn the_command_is_one_line() {
        assert_eq!(
            command(Path::new("in.jsonl"), Path::new("out.jsonl")),
            r#"grep -v '"error":null}$' out.jsonl | sed 's/^{"id":"request-\([0-9]*\).*/\1/' | awk 'NR==FNR{n[$1];next} FNR in n' - in.jsonl > in.again.jsonl"#
        );
    }
}

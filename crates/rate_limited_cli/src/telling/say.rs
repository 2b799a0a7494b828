//! Words to standard error and to standard output, which may be closed, and are never waited for.

use std::fmt::Display;
use std::io::{self, Write};

use console::Term;

use crate::telling::wrap::wrapped;

/// Writes a line to standard error. If nobody can read it, nothing is lost but the line.
pub(crate) fn say(line: impl Display) {
    let text = format!("{line}\n");
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// Writes a line for people to standard error, as [`say`] does; on a terminal it is broken between words.
pub(crate) fn tell(line: impl Display) {
    let text = line.to_string();
    match Term::stderr().size_checked() {
        Some((_, columns @ 1..)) => say(wrapped(&text, columns.into())),
        _ => say(text),
    }
}

/// Writes a text to standard output. Whoever closed that does not want to know.
pub(crate) fn print(text: impl AsRef<[u8]>) {
    let _ = io::stdout().lock().write_all(text.as_ref());
}

/// Writes an error to standard error.
pub(crate) fn complain(error: impl Display) {
    say(format_args!("error: {error}"));
}

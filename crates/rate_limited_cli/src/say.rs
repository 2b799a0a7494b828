//! Words to standard error, which may be closed, and is never waited for.

use std::fmt::Display;
use std::io::{self, Write};

/// Writes a line to standard error. If nobody can read it, nothing is lost but the line.
pub(crate) fn say(line: impl Display) {
    let text = format!("{line}\n");
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// Writes an error to standard error.
pub(crate) fn complain(error: impl Display) {
    say(format_args!("error: {error}"));
}

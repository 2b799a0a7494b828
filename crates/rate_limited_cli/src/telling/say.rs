//! Words to standard error and to standard output, which may be closed, and are never waited for.

use std::fmt::Display;
use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};

use console::Term;
use indicatif::MultiProgress;

use crate::telling::wrap::{wrapped, wrapped_all};

/// The bars that the terminal shows at its end, while a run goes on.
static BARS: Mutex<Option<MultiProgress>> = Mutex::new(None);

/// From now on lines are written above these bars, or there are none any more.
pub(crate) fn above(bars: Option<MultiProgress>) {
    *BARS.lock().unwrap_or_else(PoisonError::into_inner) = bars;
}

/// Writes a line to standard error as it is. If nobody can read it, nothing is lost but the line.
pub(crate) fn say(line: impl Display) {
    let text = format!("{line}\n");
    let write = || io::stderr().lock().write_all(text.as_bytes());
    let bars = BARS.lock().unwrap_or_else(PoisonError::into_inner).clone();
    // Otherwise the next time that the bars are drawn, they would be drawn over the line.
    let _ = match bars {
        Some(bars) => bars.suspend(write),
        None => write(),
    };
}

/// Writes a line for people to standard error, as [`say`] does; on a terminal it is broken between words.
pub(crate) fn tell(line: impl Display) {
    let text = line.to_string();
    match columns(&Term::stderr()) {
        Some(columns) => say(wrapped(&text, columns)),
        None => say(text),
    }
}

/// A text for people that goes to standard output: on a terminal its lines are broken between words.
pub(crate) fn fitted(text: String) -> String {
    match columns(&Term::stdout()) {
        Some(columns) => wrapped_all(&text, columns),
        None => text,
    }
}

/// How wide a terminal is; `None` where there is none.
fn columns(term: &Term) -> Option<usize> {
    let (_, columns) = term.size_checked()?;
    (columns > 0).then_some(columns.into())
}

/// Writes a text to standard output. Whoever closed that does not want to know.
pub(crate) fn print(text: impl AsRef<[u8]>) {
    let _ = io::stdout().lock().write_all(text.as_ref());
}

/// Writes an error to standard error.
pub(crate) fn complain(error: impl Display) {
    tell(format_args!("error: {error}"));
}

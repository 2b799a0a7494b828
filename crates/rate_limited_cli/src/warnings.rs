//! What people are warned of, once a run.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use rate_limited::http::Answer;

use crate::say::say;
use crate::text::shortened;

/// The most fields that are warned of.
const FIELDS_MAX: usize = 20;

/// The most characters of a field's name that are shown.
const FIELD_CHARS_MAX: usize = 100;

/// What was warned of so far; nothing is, where nobody wants to hear it.
#[derive(Debug, Default)]
pub(crate) struct Warnings(Option<Mutex<Said>>);

#[derive(Debug, Default)]
struct Said {
    fields: BTreeSet<String>,
    few_files: bool,
}

impl Warnings {
    /// Warnings for people who listen.
    pub(crate) fn aloud() -> Warnings {
        Warnings(Some(Mutex::default()))
    }

    /// Warns of fields of an answer that cannot be read.
    pub(crate) fn of(&self, answer: &Answer) {
        let Some(known) = self.0.as_ref().filter(|_| !answer.unreadable.is_empty()) else {
            return;
        };
        let known = &mut known.lock().unwrap_or_else(PoisonError::into_inner).fields;
        for field in &answer.unreadable {
            if known.len() < FIELDS_MAX && known.insert(field.clone()) {
                say(format_args!(
                    "warning: the API's {} cannot be read and is left alone",
                    shortened(field, FIELD_CHARS_MAX)
                ));
            }
        }
    }

    /// Warns that there are file descriptors for so many connections only.
    pub(crate) fn of_few_files(&self, most: usize) {
        let Some(said) = &self.0 else { return };
        let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
        if !std::mem::replace(&mut said.few_files, true) {
            say(format_args!(
                "warning: no file descriptor is left for more than about {most} connections at once: the \
                 other calls wait for one of them; raise `ulimit -n`, or lower --max-concurrent"
            ));
        }
    }
}

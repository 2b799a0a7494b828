//! What people are warned of, once a run.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use rate_limited::http::{Answer, is_same_model};

use crate::telling::say::tell;
use crate::values::text::shortened;

/// The most fields that are warned of.
const FIELDS_MAX: usize = 20;

/// The most characters of a field's name that are shown.
const FIELD_CHARS_MAX: usize = 100;

/// The most pairs of models that are warned of.
const MODELS_MAX: usize = 20;

/// The most characters of a model's name that are shown.
const MODEL_CHARS_MAX: usize = 80;

/// What was warned of so far; nothing is, where nobody wants to hear it.
#[derive(Debug, Default)]
pub(crate) struct Warnings(Option<Mutex<Said>>);

#[derive(Debug, Default)]
struct Said {
    fields: BTreeSet<String>,
    /// The model that was asked for, and the one that answered, as they are shown.
    models: BTreeSet<(String, String)>,
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
                tell(format_args!(
                    "warning: the API's {} cannot be read and is left alone",
                    shortened(field, FIELD_CHARS_MAX)
                ));
            }
        }
    }

    /// Warns of an answer that names another model than was asked for; once for each pair.
    pub(crate) fn of_model(&self, asked: Option<&str>, answer: &Answer) {
        let Some(said) = &self.0 else { return };
        let both = asked.zip(answer.model.as_deref());
        let Some((asked, answered)) = both.filter(|(asked, other)| !is_same_model(asked, other))
        else {
            return;
        };
        let pair = [asked, answered].map(|name| shortened(name, MODEL_CHARS_MAX));
        let known = &mut said.lock().unwrap_or_else(PoisonError::into_inner).models;
        if known.len() < MODELS_MAX && known.insert(pair.clone().into()) {
            let [asked, answered] = pair;
            tell(format_args!(
                "warning: {asked} was asked for, and answers name the model {answered}: they are kept and counted as \
                 they come"
            ));
        }
    }

    /// Warns that there are file descriptors for so many connections only.
    pub(crate) fn of_few_files(&self, most: usize) {
        let Some(said) = &self.0 else { return };
        let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
        if !std::mem::replace(&mut said.few_files, true) {
            tell(format_args!(
                "warning: no file descriptor is left for more than about {most} connections at once: the \
                 other calls wait for one of them; raise `ulimit -n`, or lower --max-concurrent"
            ));
        }
    }
}

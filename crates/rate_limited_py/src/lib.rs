//! The native half of the Python package `rate_limited`: the scheduler, shown to Python, and the command.
//!
//! Python owns the threads, the loop and the user's objects; it *pulls* work from a `Machine`, which
//! waits without the interpreter's lock. No thread made here ever calls into Python, so none can be
//! caught there when the interpreter ends.

mod account;
mod answers;
mod api;
mod bill;
mod book;
mod clock;
#[cfg(feature = "cli")]
mod command;
mod feedback;
mod journal;
mod lookup;
mod machine;
mod outlook;
mod pacing;
mod progress;
mod resource;
mod state;
mod statistics;
mod step;
mod words;

#[pyo3::pymodule]
mod _native {
    #[pymodule_export]
    use super::answers::{api_at, is_same_model, read_answer};
    #[pymodule_export]
    use super::api::{Api, api_names};
    #[pymodule_export]
    use super::bill::Bill;
    #[cfg(feature = "cli")]
    #[pymodule_export]
    use super::command::cli_main;
    use super::journal::{DONE, FAILED, LAST, POISON, RUN, UNKNOWN};
    #[pymodule_export]
    use super::journal::{Journal, digest};
    #[pymodule_export]
    use super::machine::Machine;
    #[pymodule_export]
    use super::outlook::Outlook;
    #[pymodule_export]
    use super::resource::{
        add_resource, calendar_seconds, resource_parts, resource_view, set_quota,
    };
    #[pymodule_export]
    use super::statistics::{Report, Statistics};
    use super::step::{ABANDON, DISPATCH, ENDED, OVER, WAIT};
    #[pymodule_export]
    use super::words::{duration_text, window_as_told};
    use pyo3::prelude::*;
    use rate_limited_apis::{
        CHARS_PER_TOKEN, IMAGE_TOKENS, IMAGE_TOKENS_LOW, TOKENS_PER_MESSAGE, TOKENS_PER_REQUEST,
    };

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("CHARS_PER_TOKEN", CHARS_PER_TOKEN)?;
        module.add("TOKENS_PER_MESSAGE", TOKENS_PER_MESSAGE)?;
        module.add("TOKENS_PER_REQUEST", TOKENS_PER_REQUEST)?;
        module.add("IMAGE_TOKENS", IMAGE_TOKENS)?;
        module.add("IMAGE_TOKENS_LOW", IMAGE_TOKENS_LOW)?;
        module.add("DISPATCH", DISPATCH)?;
        module.add("ABANDON", ABANDON)?;
        module.add("ENDED", ENDED)?;
        module.add("OVER", OVER)?;
        module.add("WAIT", WAIT)?;
        module.add("RUN", RUN)?;
        module.add("LAST", LAST)?;
        module.add("DONE", DONE)?;
        module.add("FAILED", FAILED)?;
        module.add("UNKNOWN", UNKNOWN)?;
        module.add("POISON", POISON)
    }
}

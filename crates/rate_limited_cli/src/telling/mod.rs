//! What people and machines are told while a run goes on, and of one that has ended.

pub(crate) mod binding;
pub(crate) mod forecast;
pub(crate) mod found;
pub(crate) mod latencies;
pub(crate) mod members;
pub(crate) mod opening;
pub(crate) mod progress;
pub(crate) mod progress_json;
pub(crate) mod say;
pub(crate) mod standing;
pub(crate) mod status;
pub(crate) mod warnings;
pub(crate) mod when;
pub(crate) mod wrap;

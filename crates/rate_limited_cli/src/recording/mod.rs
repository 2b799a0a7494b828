//! The journal: where a run is recorded, what requests are known by there, and what earlier runs left.

pub(crate) mod census;
pub(crate) mod earlier;
pub(crate) mod identity;
pub(crate) mod journal;
pub(crate) mod journal_args;
pub(crate) mod plan;
pub(crate) mod prepare;
pub(crate) mod recall;

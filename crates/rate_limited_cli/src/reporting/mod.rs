//! What is counted of a run, and the commands `report`, `status` and `clean`.

pub(crate) mod clean;
pub(crate) mod examples;
pub(crate) mod observer;
pub(crate) mod report;
pub(crate) mod reports;

//! What options are given: limits, durations, sizes, decimals, texts.

pub(crate) mod decimal;
pub mod duration;
pub mod limit;
pub(crate) mod size;
pub(crate) mod text;

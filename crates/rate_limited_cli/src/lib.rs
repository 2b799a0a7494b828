//! The parts of the command `rate-limited`: what it reads, what it writes, what it estimates.
//!
//! The crate exists for the command; as a library it promises nothing from one version to the next.
//!
//! | module | what it holds |
//! |---|---|
//! | [`limit`], [`duration`] | the values of options |
//! | [`input`], [`scan`], [`request`], [`bad_line`], [`prompt`] | from lines to requests |
//! | [`record`], [`output`], [`sink`], [`reorder`] | from results to lines, in order |
//! | [`estimate`] | the tokens that a request may take |

pub mod bad_line;
mod decimal;
pub mod duration;
pub mod estimate;
pub mod input;
mod judge;
pub mod limit;
mod line;
mod offsets;
pub mod output;
pub mod prompt;
mod raw_lines;
pub mod record;
pub mod reorder;
pub mod request;
pub mod scan;
mod shape;
pub mod sink;
mod spill;
mod stamp;
mod text;

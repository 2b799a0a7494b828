//! From results to lines of the output, in the order of the input.

pub(crate) mod answer_text;
pub(crate) mod outlet;
pub mod output;
pub(crate) mod prefix;
pub mod record;
pub(crate) mod recorded;
pub mod reorder;
pub mod row;
pub mod sink;
pub(crate) mod so_far;

//! From rows of a table and a prompt to requests, and whether an answer is what was asked for.

pub(crate) mod body;
pub(crate) mod maker;
pub(crate) mod row_args;
pub(crate) mod rows;
pub(crate) mod schema;
pub(crate) mod template;

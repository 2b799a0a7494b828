//! The parts of the command, from outside.

mod duration;
mod estimate;
mod examples;
mod limit;
mod lines;
mod output;
mod record;
mod reorder;
mod scan;

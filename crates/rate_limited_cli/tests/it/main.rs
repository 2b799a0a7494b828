//! The parts of the command, from outside.

mod duration;
mod estimate;
mod examples;
mod limit;
mod lines;
mod output;
mod record;
mod refused;
mod reorder;
mod rescue;
mod run;
mod scan;
mod signals;
#[cfg(feature = "simulate")]
mod simulate;
mod world;

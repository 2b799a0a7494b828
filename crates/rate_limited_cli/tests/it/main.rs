//! The parts of the command, from outside.

mod apis;
mod dice;
mod duration;
mod edits;
mod environment;
mod estimate;
mod examples;
mod hostile;
mod journal;
mod kills;
mod limit;
mod lines;
mod logged;
mod output;
mod record;
mod refused;
mod reorder;
mod rescue;
mod resume;
mod run;
mod scan;
mod signals;
#[cfg(feature = "simulate")]
mod simulate;
mod world;

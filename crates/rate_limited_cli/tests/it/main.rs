//! The parts of the command, from outside.

mod apis;
mod bounds;
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
mod pool;
mod record;
mod refused;
mod reorder;
mod rescue;
mod resume;
mod rows;
mod run;
mod scan;
mod schema;
mod signals;
#[cfg(feature = "simulate")]
mod simulate;
mod world;

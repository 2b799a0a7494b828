//! The parts of the command, from outside.

mod apis;
mod bounds;
mod calendar;
mod clock;
mod dice;
#[cfg(target_os = "linux")]
mod disk;
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
mod manual;
mod models;
mod named;
mod named_parts;
mod nginx;
mod output;
mod plan;
mod pool;
mod progress;
mod record;
mod refused;
mod reorder;
mod reports;
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

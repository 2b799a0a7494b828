//! The tests of the core, on virtual time.

mod at_once;
mod attacks;
mod calendar;
mod chance;
mod changes;
mod feedback;
mod found;
mod found_calendar;
mod jitter;
mod learnt;
mod limits;
mod named_parts;
mod order;
mod partitions;
mod play;
mod pool;
mod pool_found;
mod properties;
mod reference;
mod replay;
mod retry;
mod sharing;
mod spread;
mod state;
mod worlds;

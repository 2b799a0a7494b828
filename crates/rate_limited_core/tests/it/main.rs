//! The tests of the core, on virtual time.

mod limits;
mod order;
mod play;
mod properties;
mod reference;
mod retry;
mod sharing;
mod state;

//! The tests of the crate, in one binary.

mod attacks;
mod feedback;
#[cfg(feature = "http")]
mod http;
mod interrupt;
#[cfg(feature = "journal")]
mod journal;
mod runner;
mod streams;
mod tidy;

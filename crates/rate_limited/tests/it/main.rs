//! The tests of the crate, in one binary.

mod attacks;
#[cfg(feature = "http")]
mod http;
mod interrupt;
mod runner;
mod streams;
mod tidy;

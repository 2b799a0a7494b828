//! The tests of the crate, in one binary.

#[cfg(feature = "http")]
mod http;
mod interrupt;
mod runner;
mod streams;
mod tidy;

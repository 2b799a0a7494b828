//! The tests of the crate, in one binary.

mod attacks;
mod background;
mod feedback;
#[cfg(feature = "http")]
mod http;
mod interrupt;
#[cfg(feature = "journal")]
mod journal;
#[cfg(feature = "tower")]
mod layer;
mod limiter;
mod pool;
mod runner;
#[cfg(feature = "tower")]
mod service;
mod sharing;
mod streams;
mod tidy;

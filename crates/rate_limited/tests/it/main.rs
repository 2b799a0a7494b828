//! The tests of the crate, in one binary.

mod attacks;
mod background;
#[cfg(feature = "calendar")]
mod calendar;
mod changes;
mod feedback;
#[cfg(feature = "http")]
mod http;
mod interrupt;
#[cfg(feature = "journal")]
mod journal;
#[cfg(feature = "tower")]
mod layer;
mod limiter;
#[cfg(feature = "journal")]
mod lists;
#[cfg(feature = "tracing")]
mod logs;
mod named_parts;
mod partitions;
mod pool;
#[cfg(feature = "report")]
mod reports;
#[cfg(all(feature = "report", feature = "journal"))]
mod reports_resumed;
mod runner;
#[cfg(feature = "tower")]
mod service;
mod sharing;
mod streams;
mod tidy;

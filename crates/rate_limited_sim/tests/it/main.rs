//! All integration tests of the simulated API, one binary.

mod api;
mod brute;
#[cfg(feature = "http")]
mod dialects;
#[cfg(feature = "http")]
mod http;
mod judge;
mod model;
mod plan;
mod scenarios;
mod world;

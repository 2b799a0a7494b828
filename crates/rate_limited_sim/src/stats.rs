//! What came of it all, and what the headers tell.

use crate::limit::Unit;
use serde::Serialize;
use std::time::Duration;

/// What the API saw since its start.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Stats {
    /// Requests that arrived, refused ones included.
    pub arrivals: u64,
    /// Requests that a limit refused.
    pub refusals: u64,
    /// Requests that were accepted and failed, outages included.
    pub failures: u64,
    /// Accepted requests that have not ended yet.
    pub in_flight: u64,
    /// The most accepted requests that were in flight at once.
    pub in_flight_peak: u64,
    /// When the first request arrived, refused or not, in nanoseconds since the origin.
    pub first_arrival: Option<u64>,
    /// When the last accepted request ended, in nanoseconds since the origin.
    pub last_end: Option<u64>,
    /// Each limit, in the order of the model.
    pub limits: Vec<LimitStats>,
}

/// What one limit saw.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct LimitStats {
    /// Its name.
    pub name: String,
    /// How much may count in one window.
    pub quota: u64,
    /// What accepted requests were charged in all, failed ones and corrections included, refused
    /// ones not.
    pub work: u64,
    /// Of a limit for [each model](crate::Limit::each_model) what the model with the most was charged, else as `work`.
    pub busiest: u64,
    /// The most that ever counted in one window; of a bucket, the most that was ever missing to its
    /// burst. Refusals are in it where the API counts them.
    pub largest: u64,
    /// `largest` as a share of the quota; of a bucket, of its burst. Above 1 where calls counted at
    /// completion, corrections or counted refusals went past the quota.
    pub worst_window: f64,
}

/// One limit as response headers tell it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LimitView {
    /// Its name.
    pub name: String,
    /// What it counts.
    pub unit: Unit,
    /// How much may count in one window.
    pub quota: u64,
    /// The length of the window.
    pub window: Duration,
    /// The most that may count at one moment: see [`Limit::capacity`](crate::Limit::capacity).
    pub capacity: u64,
    /// How much has room now; of a bucket, its level.
    pub remaining: u64,
    /// The time until nothing counts any more, if nothing else is charged.
    pub reset: Duration,
}

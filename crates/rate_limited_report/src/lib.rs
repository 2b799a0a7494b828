//! What a run did: statistics that stay small however long it is, and a report made of them.
//!
//! ```text
//!  attempts, calls, samples ──► Statistics ──► Report ──► a page, JSON, lines of text
//!                               (a file)       (data)
//! ```
//!
//! Nothing here reads a clock or a file, and nothing knows a prompt or an answer: calls have names, failures have
//! codes.
//!
//! ```
//! use std::time::Duration;
//! use rate_limited_report::{Attempt, Call, Outcome, Statistics};
//!
//! let mut statistics = Statistics::default();
//! statistics.begins(1_700_000_000_000);
//! let took = Duration::from_millis(800);
//! statistics.leaves(Duration::ZERO, false);
//! statistics.attempt(took, &Attempt { outcome: Outcome::Succeeded, code: None, took });
//! statistics.call(&Call { name: "poem-1", attempts: 1, took, code: None });
//! statistics.ends(took);
//!
//! let report = statistics.report("poems.jsonl");
//! assert_eq!((report.calls.succeeded, report.attempts.total), (1, 1));
//! assert!(report.to_text().contains("1 call: 1 succeeded, 0 failed in 800 ms"));
//! assert!(report.to_html().starts_with("<!doctype html>"));
//! ```
//!
//! | module | noun |
//! |---|---|
//! | [`Statistics`] | what is counted while a run goes on; it outlives the process as JSON |
//! | `histogram`, `timeline`, `top` | its parts, each of bounded size: latencies, what happened when, the worst calls |
//! | [`Report`] | what is told, as data: also its JSON |
//! | `text` | a few lines |
//! | `html`, `svg` | one page that needs nothing else, and its pictures |
//! | [`Numbers`], [`Flights`] | statistics of runs of the core's schedulers |
//! | [`Foretold`], [`Advice`] | what a run will come to, in words |
//! | `words`, [`Human`] | numbers and times for people, and text that is safe in a page |

mod histogram;
mod html;
mod human;
mod numbers;
mod plan;
mod report;
mod statistics;
mod svg;
mod text;
mod timeline;
mod top;
mod words;

pub use human::Human;
pub use numbers::{Ended, Fate, Flights, KINDS, Numbers, Over, Seen, is_number};
pub use plan::{Advice, Foretold, LIMIT_WIDTH, assumed_told, limit_told, never_told, plan_lines};
pub use report::{
    Attempts, Bar, Calls, Cost, Earlier, Example, Latency, Limit, Named, Report, Slice, is_report,
};
pub use statistics::{Attempt, Call, Meter, Outcome, Sample, Statistics};
pub use words::{amount, counted, grouped};

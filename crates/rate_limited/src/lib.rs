//! Runs a long list of calls to a slow, rate-limited API as fast as its limits allow, and never
//! faster: retries, validates, and gives the results in the order of scheduling.
//!
//! ```
//! use rate_limited::{Resource, Runner};
//!
//! #[derive(Clone)]
//! struct Ask { prompt: String, max_tokens: u32 }
//! #[derive(Clone, Debug, PartialEq)]
//! struct Answer { text: String, tokens: u32 }
//!
//! async fn ask(ask: Ask) -> Result<Answer, std::io::Error> {
//!     // … your client …
//!     Ok(Answer { text: ask.prompt.to_uppercase(), tokens: 12 })
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut runner = Runner::new(ask)
//!     .resource(Resource::per_minute("requests", 3_500))
//!     .resource(
//!         Resource::per_minute("tokens", 90_000)
//!             .cost(|ask: &Ask| ask.max_tokens)
//!             .usage(|_: &Ask, answer: &Answer| answer.tokens),
//!     )
//!     .validate(|answer| !answer.text.is_empty());
//! runner.schedule(Ask { prompt: "a poem".into(), max_tokens: 256 })?;
//! let results = runner.run_blocking()?; // or: runner.run().await?
//! assert_eq!(results[0].value.as_ref().map(|answer| answer.text.as_str()), Some("A POEM"));
//! # Ok(())
//! # }
//! ```
//!
//! Without features it depends on tokio's tasks and timers alone; `journal`, `http`, `tower`, `stream`, `tracing` and
//! `report` bring what they need. It needs Rust 1.89.
//!
//! What runs when is decided by [`rate_limited_core`], which this crate drives with tokio.
//!
//! | module | noun |
//! |---|---|
//! | `runner`, `resource`, `result`, `error`, `units` | what users build, get and read |
//! | `pool` | several keys of several accounts behind one list of calls |
//! | `limiter`, `layer` (feature `tower`) | the same limits for code that is no run: handlers, layers |
//! | `outlook` | what a run will come to: a copy of it, to plan with |
//! | `results`, `running` | runs in the background: a stream of results, calls one by one |
//! | `inputs`, `handle`, `sent` | where requests come from, how a run is stopped, when a request leaves |
//! | `driver`, `attempt`, `blueprint`, `clock` | the loop, one try, what was told, the time |
//! | `witness` (features `tracing`, `report`) | logs and reports of a run |
//! | `account`, `sync` | the limits that all share, and those who wait for them; its locks |
//! | `journal` (feature `journal`), `recorder` | a run that survives a kill, and what the driver wants of it |
//! | `http` (feature `http`) | an executor for JSON APIs over HTTP |

mod account;
mod attempt;
mod blueprint;
mod clock;
mod driver;
mod error;
mod handle;
#[cfg(feature = "http")]
pub mod http;
mod inputs;
#[cfg(feature = "journal")]
pub mod journal;
#[cfg(feature = "tower")]
pub mod layer;
mod limiter;
mod outlook;
#[cfg(doctest)]
mod pages;
mod pool;
#[cfg_attr(
    not(feature = "journal"),
    expect(dead_code, reason = "only the journal records")
)]
mod recorder;
mod resource;
mod result;
mod results;
mod runner;
mod running;
pub mod sent;
mod sync;
mod units;
mod witness;

pub use blueprint::Resources;
pub use error::{ConfigError, RunError, ScheduleError};
pub use handle::{Handle, MemberState, View};
pub use inputs::Inputs;
pub use limiter::{AcquireError, CostError, Costs, Limiter, NotUntil, Reservation};
pub use outlook::Outlook;
pub use pool::Member;
pub use rate_limited_core::{
    Amount, AmountError, Anchor, Assumed, Backoff, Class, Counted, Failure, Feedback, Load,
    MaxConcurrent, MemberId, Order, Plan, PlannedResource, Progress, Quota, QuotaError, Reset,
    ResourceId, ResourceView, Settlement, Stop, Time, Wait, WaitingOn,
};
pub use resource::Resource;
pub use result::{AttemptError, CallResult, SharedError};
pub use results::Results;
pub use runner::{Finished, Runner, Summary};
pub use running::Running;
pub use units::Units;

#[cfg(feature = "report")]
pub use rate_limited_report::Report;

/// The README's examples are compiled with the tests.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;

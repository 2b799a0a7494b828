//! A pretend API with limits and faults of its own: the judge of everything that sends calls.
//!
//! It counts by its own rules and shares no code with what it judges. The same [`ApiModel`] serves
//! three purposes: [`SimulatedApi`] is the bare judge without clock or socket, for tests and
//! benches that bring their own time; [`World`](world::World) joins it with real schedulers on
//! virtual time, where a day passes in a blink and a seed replays every event; and, with the
//! feature `http`, `http::Server` puts it behind an HTTP server on loopback, in the words of
//! `OpenAI` or of another API, for demos and for tests of real clients.
//!
//! It is not a model of any one product: its texts are nonsense and its token counts are guesses.
//! What is real is the counting.
//!
//! ```text
//!   arrive(now, request) --> judge: sliding | fixed | bucket --> Refused { limit, retry_after }
//!                                                           \--> Accepted { ticket, ends_at }
//!   complete(now, ticket) --> Answer { outcome, usage }
//! ```
//!
//! ```
//! use rate_limited_sim::{ApiModel, Arrival, Limit, Request, SimulatedApi};
//! use std::time::Duration;
//!
//! let model = ApiModel::new(7).limit(Limit::requests(1, Duration::from_secs(60)));
//! let mut api = SimulatedApi::new(model);
//! let call = |call| Request { call, attempt: 1, ..Request::default() };
//! assert!(matches!(api.arrive(0, &call(1)), Arrival::Accepted { .. }));
//!
//! let Arrival::Refused { limit, retry_after } = api.arrive(1_000_000_000, &call(2)) else {
//!     panic!("the second call of this minute is one too many");
//! };
//! assert_eq!(limit, "requests");
//! assert_eq!(retry_after, Some(Duration::from_secs(59)));
//! ```
//!
//! # Layout
//! `model`, `limit`, `latency`: what the API is like, in Rust or in TOML. `judge`: one file for each
//! kind of limit. `ledger`: one limit's books. `api`: the judge's two verbs. `stats`, `optimum`: what
//! came of it, and the shortest time it could have taken. `world` and `http`: the two ways to run it.

mod api;
mod draw;
#[cfg(feature = "http")]
pub mod http;
mod judge;
mod latency;
mod ledger;
mod limit;
mod model;
mod optimum;
mod scenario;
mod shelf;
mod span;
mod stats;
mod toml_form;
pub mod world;

pub use api::{Answer, Arrival, Outcome, Request, SimulatedApi, Ticket};
pub use latency::Latency;
pub use limit::{Anchor, Charged, Counted, Kind, Limit, Unit, model_number};
pub use model::{ApiModel, ModelError};
pub use optimum::optimum;
pub use scenario::{Outcome as ScenarioOutcome, Scenario};
pub use stats::{LimitStats, LimitView, Stats};

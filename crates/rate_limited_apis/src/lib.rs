//! Public APIs as data: what they limit, what they charge, and what they say in their headers and errors.
//!
//! Pure: no clock, no network, no runtime. It reads TOML (the descriptions), JSON (requests and answers) and
//! headers, and gives values. [`Api::load`] is all that touches a file.
//!
//! ```text
//!   apis/openai.toml ──► Api ──┬── costs(request)    what to reserve, by resource
//!   your_own.toml    ──►       ├── read(answer, now) what it means, how long to wait,
//!                              │                     how the resources stand, what was used
//!                              └── explain()         all of it for people
//! ```
//!
//! ```
//! use rate_limited_apis::{Answer, Api, Class, Moment};
//! use std::time::Duration;
//!
//! let api = Api::named("anthropic")?;
//! let headers = [("retry-after", "12"), ("anthropic-ratelimit-requests-remaining", "0")];
//! let body = br#"{"type": "error", "error": {"type": "rate_limit_error", "message": "too many"}}"#;
//! let feedback = api.read(&Answer::new(429, &headers, body), Moment::from_seconds(1_795_000_000));
//!
//! assert_eq!(feedback.class, Class::Throttled);
//! assert_eq!(feedback.wait.map(|wait| wait.after), Some(Duration::from_secs(12)));
//! # Ok::<(), rate_limited_apis::UnknownApi>(())
//! ```
//!
//! | module | noun |
//! |---|---|
//! | `api`, `built_in`, `address`, `check`, `error` | a description, those compiled in, where they are, what must hold, what may be wrong |
//! | `resource`, `unit`, `anchor`, `endpoint`, `tier` | what a description consists of |
//! | `request`, `prompt`, `cost`, `hold` | a request measured, its tokens estimated, what it takes, what is held back for it |
//! | `answer`, `body`, `source` | an answer, its JSON, where in it a value is |
//! | `rule`, `condition`, `class` | the classifier |
//! | `wait`, `feedback`, `usage`, `model`, `reading` | what an answer says, part by part and as a whole |
//! | `parse` | everything that is written into headers |
//! | `explain`, `moment`, `lenient` | text for people, wall time, short forms in TOML |

mod address;
mod anchor;
mod answer;
mod api;
mod bill;
mod body;
mod built_in;
mod check;
mod class;
mod condition;
mod cost;
mod endpoint;
mod error;
mod explain;
mod feedback;
mod hold;
mod lenient;
mod model;
mod moment;
mod named;
pub mod parse;
mod prompt;
mod reading;
mod request;
mod resource;
mod rule;
mod source;
mod tier;
mod unit;
mod usage;
mod wait;

pub use anchor::Anchor;
pub use answer::{Answer, Headers};
pub use api::{Answers, Api, Auth, Courtesy};
pub use bill::{Charge, MICROS_PER_DOLLAR, Priced, Prices, Unpriced, dollars, tokens_cost};
pub use class::Class;
pub use condition::Condition;
pub use cost::Cost;
pub use endpoint::{Endpoint, Pattern};
pub use error::{DescriptionError, UnknownApi};
pub use feedback::{FeedbackMap, Means, Place, Reading, Reset, ResetPlace};
pub use hold::Unbounded;
pub use model::is_same_model;
pub use moment::{Moment, WAIT_MAX};
pub use named::{Likeness, NamedParts};
pub use prompt::{
    CHARS_PER_TOKEN, IMAGE_TOKENS, IMAGE_TOKENS_LOW, Prompt, TOKENS_PER_MESSAGE, TOKENS_PER_REQUEST,
};
pub use reading::Feedback;
pub use request::{Measure, Request, RequestMap, Sizes, Weights};
pub use resource::{Counted, Join, Key, Kind, Resource, Settlement};
pub use rule::{Disguise, Rule, Statuses};
pub use source::{Path, Source};
pub use tier::{Pool, Price, Tier, TierLimit};
pub use unit::Unit;
pub use usage::Formula;
pub use wait::{Hint, TimeFormat, Wait, wait_in_headers};

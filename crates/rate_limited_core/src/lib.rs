//! The scheduler of `rate_limited`: decides which call runs when, and nothing else.
//!
//! It never waits, never reads a clock, never sees a payload and starts no thread: time comes in as an
//! argument, and what is to be done goes out as a value. So the same machine serves tokio, asyncio,
//! plain threads and a simulation in virtual time, and the same inputs always give the same outputs.
//!
//! ```text
//!            schedule(costs)          handle(Input, now)
//!                  │                          │
//!   driver ────────▼──────────────────────────▼───────────┐
//!          │  Scheduler: queue, retries, time-outs        │
//!          │     │ reserve        ▲ settle                │
//!          │     ▼                │                       │
//!          │  Limiter: one ledger a resource, each with   │
//!          │  its quota (sliding window, bucket, …)       │
//!          └──────────────────┬───────────────────────────┘
//!                             ▼
//!          poll(now) → Dispatch · Done · Failed · Wait(until) · …
//! ```
//!
//! | module | noun |
//! |---|---|
//! | `event` | all that crosses the boundary |
//! | `scheduler` | the state machine; the only folder that knows the others |
//! | `call`, `attempt`, `queue` | what waits, what is in flight, what goes next |
//! | `limiter`, `ledger`, `resource`, `turns` | all resources at once, the books of one, its declaration, fairness among runs |
//! | `pool` | several keys of several accounts, and which of them takes the next attempt |
//! | `quota` | six kinds of quota and their books |
//! | `learned` | what calls really use, as a share of their bound |
//! | `feedback`, `ceiling`, `finder`, `ramp` | what answers tell, what refusals show, limits that nobody told, slow starts |
//! | `outcome`, `retry`, `backoff`, `stall` | what an attempt ended with and what follows |
//! | `concurrency`, `timers` | how many at once, and until when |
//! | `settings`, `progress` | what is told, what is shown |
//! | `plan` | what a run will come to: copies of both machines played to the end |
//! | `snapshot`, `entries` | what outlives the process |
//! | `time`, `amount`, `error`, `small` | the words |
//!
//! An example that runs is at [`Scheduler`].

mod amount;
mod attempt;
mod backoff;
mod call;
mod ceiling;
mod concurrency;
mod entries;
mod error;
mod event;
mod feedback;
mod finder;
mod learned;
mod learnt;
mod ledger;
mod limiter;
mod outcome;
mod plan;
mod pool;
mod progress;
mod queue;
mod quota;
mod ramp;
mod resource;
mod retry;
mod scheduler;
mod settings;
mod small;
mod snapshot;
mod stall;
mod time;
mod timers;
mod turns;

pub use amount::Amount;
pub use backoff::Backoff;
pub use entries::Entry;
pub use error::{AmountError, QuotaError, ScheduleError};
pub use event::{
    Abandoned, AccountId, AtOnce, AttemptId, CallId, Cost, Failure, Input, MemberId, Output,
    ResourceId, SchedulerId, Stop, Wait, WaitingOn,
};
pub use feedback::{Feedback, Reset};
pub use limiter::{Limiter, ResourceView};
pub use outcome::{Class, Outcome};
pub use plan::{Assumed, Load, Plan, PlannedResource};
pub use pool::MemberView;
pub use progress::Progress;
pub use quota::{Anchor, Quota};
pub use resource::{Counted, Resource, Settlement};
pub use scheduler::Scheduler;
pub use settings::{MaxConcurrent, Order, Settings};
pub use snapshot::{MeterSnapshot, ResourceSnapshot, Snapshot};
pub use time::Time;

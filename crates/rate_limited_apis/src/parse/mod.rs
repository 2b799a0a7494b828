//! Readers of everything that APIs write into headers and errors: one small file for each form.
//!
//! All of them are total: whatever text comes, they return, and what they do not know is `None`. No
//! number is guessed: which form a field has is declared by its API. Durations are cut at
//! [`WAIT_MAX`](crate::WAIT_MAX).

mod any_time;
mod epoch;
mod go_duration;
mod http_date;
mod js_date;
mod number;
mod policies;
mod retry_after;
mod structured;

pub use any_time::any_time;
pub use epoch::{epoch, rfc3339};
pub(crate) use go_duration::go_nanos;
pub use go_duration::{go_duration, wait_in_message};
pub use http_date::http_date;
pub use js_date::js_date;
pub use number::{is_unknown, milliseconds, number, proto_duration, seconds, used_of};
pub use policies::{Policies, policies};
pub use retry_after::retry_after;
pub use structured::{Member, structured};

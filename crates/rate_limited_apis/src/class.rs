//! What an answer means for its call and for the run.

use std::time::Duration;

use rate_limited_core::ResourceId;
use serde::Deserialize;

/// The longest that a run waits for a quota that is gone: quotas of a day come back within one.
const EXHAUSTED_WAIT_MAX: Duration = Duration::from_secs(86_400);

/// What an answer means for its call and for the run.
///
/// ```
/// use rate_limited_apis::Class;
///
/// assert_eq!(Class::of_status(429), Class::Throttled);
/// assert_eq!(Class::of_status(529), Class::Overloaded);
/// assert_eq!(Class::of_status(404), Class::BadCall);
/// assert_eq!(Class::of_status(600), Class::Transient);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Class {
    /// A good answer.
    Success,
    /// Too much for a limit of one's own: the resource pauses for everyone, the call goes back to the
    /// queue without losing a try.
    Throttled,
    /// The rate grew too fast, though it may lie within the limits: shrink, then grow slowly.
    RampTooSteep,
    /// The provider has too much to do: back off; no evidence against one's own limits.
    Overloaded,
    /// Something passing: try again, within a budget.
    Transient,
    /// The quota of a long window is gone: nothing goes before the moment that the answer or the API's
    /// calendar names.
    Exhausted,
    /// No call of this run can succeed (a bad key, an empty account): the run stops.
    Fatal,
    /// The call itself is wrong: it fails alone, at once.
    BadCall,
    /// It may have been carried out, and must not be twice: whoever made the call decides.
    DeliveryUnknown,
}

impl Class {
    /// The class of a status of which nothing else is known.
    pub const fn of_status(status: u16) -> Class {
        match status {
            200..=299 => Class::Success,
            401 | 402 | 403 | 407 => Class::Fatal,
            408 | 409 | 425 => Class::Transient,
            429 => Class::Throttled,
            503 | 529 => Class::Overloaded,
            300..=499 => Class::BadCall,
            _ => Class::Transient,
        }
    }

    /// The class as the scheduler has it. `resource`: the one that the answer speaks of; `wait`: how long
    /// to wait.
    ///
    /// A failed delivery is a failure; a quota that is gone for nobody
    /// knows how long stops the run. A wait of zero would be a storm of requests: it counts as none.
    ///
    /// ```
    /// use std::time::Duration;
    /// use rate_limited_apis::Class;
    /// use rate_limited_core as core;
    ///
    /// let wait = Some(Duration::from_secs(3));
    /// let refused = core::Class::Refused { resource: None, retry_after: wait };
    /// assert_eq!(Class::Throttled.kind(None, wait), refused);
    /// let overloaded = core::Class::Overloaded { retry_after: wait };
    /// assert_eq!(Class::Overloaded.kind(None, wait), overloaded);
    /// // What comes back within a day is waited for; with what takes longer the run ends, and goes on later.
    /// assert_eq!(Class::Exhausted.kind(None, wait), refused);
    /// assert_eq!(Class::Exhausted.kind(None, None), core::Class::Fatal);
    /// let next_month = Some(Duration::from_secs(20 * 86_400));
    /// assert_eq!(Class::Exhausted.kind(None, next_month), core::Class::Fatal);
    /// ```
    pub fn kind(
        self,
        resource: Option<ResourceId>,
        wait: Option<Duration>,
    ) -> rate_limited_core::Class {
        use rate_limited_core::Class as Kind;
        let retry_after = wait.filter(|wait| !wait.is_zero());
        let refused = Kind::Refused {
            resource,
            retry_after,
        };
        match self {
            Class::Success => Kind::Success,
            Class::Throttled | Class::RampTooSteep => refused,
            Class::Overloaded => Kind::Overloaded { retry_after },
            Class::Exhausted if retry_after.is_some_and(is_waited_for) => refused,
            Class::Transient | Class::DeliveryUnknown => Kind::Failure,
            Class::Exhausted | Class::Fatal => Kind::Fatal,
            Class::BadCall => Kind::Permanent,
        }
    }

    /// The class in words, for people.
    pub const fn shown(self) -> &'static str {
        match self {
            Class::Success => "success",
            Class::Throttled => "throttled",
            Class::RampTooSteep => "ramp too steep",
            Class::Overloaded => "overloaded",
            Class::Transient => "transient",
            Class::Exhausted => "exhausted",
            Class::Fatal => "fatal for the run",
            Class::BadCall => "bad call",
            Class::DeliveryUnknown => "delivery unknown",
        }
    }
}

/// Whether a run waits so long for a quota that is gone.
fn is_waited_for(wait: Duration) -> bool {
    wait <= EXHAUSTED_WAIT_MAX
}

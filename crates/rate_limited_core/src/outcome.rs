//! What an attempt ended with.

use crate::event::{Cost, ResourceId};
use crate::small::Short;
use core::time::Duration;

/// What one attempt ended with: its class, and what it used where that is known.
///
/// ```
/// use rate_limited_core::{Class, Outcome};
///
/// let outcome = Outcome::new(Class::Success);
/// assert!(outcome.usage().is_empty());
/// ```
#[derive(Clone, Debug)]
pub struct Outcome {
    pub(crate) class: Class,
    usage: Short<Cost>,
}

impl Outcome {
    /// An outcome of unknown usage: each resource follows its settlement policy.
    pub fn new(class: Class) -> Outcome {
        Outcome {
            class,
            usage: Short::new(&[]),
        }
    }

    /// The real usage, resource by resource; those left out are unknown.
    #[must_use]
    pub fn with_usage(mut self, usage: &[Cost]) -> Outcome {
        self.usage = Short::new(usage);
        self
    }

    /// The class of the outcome.
    pub fn class(&self) -> Class {
        self.class
    }

    /// The real usage, as far as it is known.
    pub fn usage(&self) -> &[Cost] {
        self.usage.as_slice()
    }
}

/// What an outcome means for the call and for the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Class {
    /// A good answer.
    Success,
    /// An answer that the user's validation rejected: tried again as soon as quota allows.
    Invalid,
    /// Something passing: tried again after a back-off, within the call's and the run's budget.
    Failure,
    /// The request never left: tried again like a failure, its reservation given back.
    NotSent,
    /// The server said "too much" (429 and kin): the resource pauses for everyone, and the call is
    /// queued again without losing an attempt.
    Refused {
        /// The resource that the answer names; `None`: all that the call takes.
        resource: Option<ResourceId>,
        /// How long the answer asks to wait; `None`: a back-off of our own.
        retry_after: Option<Duration>,
    },
    /// The server is up and has too much to do (529, 503 with a moment): half as many attempts in flight may go on,
    /// and more again bit by bit. With a moment the whole run waits for it, and the call loses nothing;
    /// without one this is a failure like others.
    Overloaded {
        /// How long the answer asks to wait.
        retry_after: Option<Duration>,
    },
    /// The call itself is wrong (400 and kin): it fails alone, at once.
    Permanent,
    /// No call of this run can succeed (a bad key, an empty account): the run stops. In a pool none can by this
    /// member: it is dropped, its call goes to another one and loses nothing, and the run stops when none is left.
    Fatal,
}

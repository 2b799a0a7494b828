//! What a call came to.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Any error, shared: results can be handed out more than once.
pub type SharedError = Arc<dyn Error + Send + Sync>;

/// What a call came to: a value, or none yet, and the errors of all its attempts.
#[derive(Clone, Debug)]
pub struct CallResult<Resp> {
    /// The answer; `None` if the call failed or was not finished.
    pub value: Option<Resp>,
    /// What went wrong with each attempt that did not succeed, in order.
    pub errors: Vec<AttemptError<Resp>>,
    /// Attempts made.
    pub attempts: u32,
    /// Whether the call is over; a call that is not goes on with the next `run`.
    pub finished: bool,
}

impl<Resp> CallResult<Resp> {
    pub(crate) fn unfinished() -> CallResult<Resp> {
        CallResult {
            value: None,
            errors: Vec::new(),
            attempts: 0,
            finished: false,
        }
    }
}

/// Why an attempt did not succeed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum AttemptError<Resp> {
    /// The function returned this error.
    Failed(SharedError),
    /// The function returned this error, and it means "too much, wait" (429 and kin).
    Refused(SharedError),
    /// The validation rejected this answer.
    Invalid(Resp),
    /// The attempt took longer than it may.
    TimedOut(Duration),
    /// The call took longer than it may, all attempts together.
    CallTimedOut,
    /// The function panicked with this message.
    Panicked(String),
    /// The call costs more than there can ever be; nothing was sent.
    NeverFits(SharedError),
    /// The run was halted while the attempt was in flight: whether it was answered is not known.
    Halted,
    /// The runtime was shut down while the attempt was in flight: whether it was answered is not known.
    Lost,
    /// What went wrong in an earlier run, as its journal has it.
    Earlier(String),
}

impl<Resp> fmt::Display for AttemptError<Resp> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AttemptError::Failed(error)
            | AttemptError::Refused(error)
            | AttemptError::NeverFits(error) => write!(f, "{error}"),
            AttemptError::Invalid(_) => f.write_str("the validation rejected the answer"),
            AttemptError::TimedOut(limit) => {
                write!(
                    f,
                    "no answer within the time-out of {limit:?} for an attempt"
                )
            }
            AttemptError::CallTimedOut => f.write_str("no good answer within the call's time-out"),
            AttemptError::Earlier(text) => f.write_str(text),
            AttemptError::Panicked(message) => write!(f, "the function panicked: {message}"),
            AttemptError::Lost => {
                f.write_str("the runtime was shut down while the attempt was in flight")
            }
            AttemptError::Halted => {
                f.write_str("the run was halted while the attempt was in flight")
            }
        }
    }
}

impl<Resp: fmt::Debug> Error for AttemptError<Resp> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            AttemptError::Failed(error) | AttemptError::Refused(error) => error.source(),
            _ => None,
        }
    }
}

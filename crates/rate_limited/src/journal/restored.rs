//! What becomes of a call that a journal knows.

use super::{Begun, Decode, Keyed, shared};
use crate::recorder::Place;
use crate::result::{AttemptError, CallResult, SharedError};
use rate_limited_store::{Digest, Ended, Failure, Journal, State, Unfinished};

pub(super) fn place(keyed: Keyed, begun: Begun) -> Place {
    Place {
        position: begun.position,
        key: keyed.key.0,
        request: keyed.request.0,
        attempts: begun.attempts,
        crashes: begun.crashes,
        had_failed: None,
    }
}

/// A call as a journal has it once it has begun.
pub(super) fn unfinished(place: &Place, attempts: u32, unknown: bool) -> Unfinished {
    Unfinished {
        key: Digest(place.key),
        request: Digest(place.request),
        attempts,
        crashes: place.crashes,
        unknown,
    }
}

/// The errors of a call in earlier runs.
pub(super) fn earlier<Resp>(
    journal: &Journal,
    position: u64,
) -> Result<Vec<AttemptError<Resp>>, SharedError> {
    let failures = journal.failures(position).map_err(shared)?;
    let earlier = |failure: Failure| AttemptError::Earlier(failure.text);
    Ok(failures.into_iter().map(earlier).collect())
}

pub(super) fn restored<Resp>(
    ended: Ended,
    mut errors: Vec<AttemptError<Resp>>,
    decode: &Decode<Resp>,
) -> CallResult<Resp> {
    let value = match (ended.state, ended.body) {
        (State::Done, Some(body)) => decode(&body),
        (State::Done, None) => Err("it could not be put into the journal".to_owned()),
        (State::Failed, _) => Err(String::new()),
    };
    let value = value
        .map_err(|why| {
            if !why.is_empty() {
                let why = format!("the call was answered, and the answer is not there: {why}");
                errors.push(AttemptError::Earlier(why));
            }
        })
        .ok();
    CallResult {
        value,
        errors,
        attempts: ended.attempts,
        finished: true,
    }
}

pub(super) fn left<Resp>(begun: Begun, why: &str) -> CallResult<Resp> {
    let why = format!("{why}: it was in flight when an earlier run died");
    CallResult {
        value: None,
        errors: vec![AttemptError::Earlier(why)],
        attempts: begun.attempts,
        finished: false,
    }
}

pub(super) fn poisoned<Resp>(begun: Begun) -> CallResult<Resp> {
    let why = format!(
        "it was in flight in {} crashes and may be what causes them: it is not sent any more",
        begun.crashes
    );
    CallResult {
        value: None,
        errors: vec![AttemptError::Earlier(why)],
        attempts: begun.attempts,
        finished: true,
    }
}

//! What is recorded.

use crate::digest::Digest;
use crate::wall::Wall;

/// The place of a call in its journal, from 0: it stays whatever becomes of the input.
pub type Position = u64;

/// One entry of the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Record {
    /// An attempt is about to leave.
    Dispatch(Dispatch),
    /// An attempt has ended and its call has not.
    Back(Back),
    /// A call is over.
    End(End),
    /// The server asked everyone to leave a resource alone.
    Pause {
        /// The resource, by its place among those of the [`Options`](crate::Options).
        resource: u32,
        /// Until when.
        until: Wall,
    },
    /// What was learnt of a resource beside that, in place of what was before.
    Learnt {
        /// The resource, by its place among those of the [`Options`](crate::Options).
        resource: u32,
        /// In whatever form the caller has it.
        learnt: Vec<u8>,
    },
    /// One more resource: its place is behind all that there are. It is known by its name, as all are.
    Resource {
        /// The name.
        name: String,
    },
    /// What an attempt took of a limit. It goes in before the attempt's end: of a crash in between, the
    /// quota is counted twice rather than not at all.
    Charge(Charged),
}

/// An attempt on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dispatch {
    /// Which call.
    pub position: Position,
    /// The key of the call.
    pub key: Digest,
    /// The hash of its request.
    pub request: Digest,
    /// The how-manieth attempt of the call it is, from 1.
    pub attempt: u32,
    /// In how many crashes the call was in flight.
    pub crashes: u32,
    /// What is reserved for it: if the process dies now, it counts as used, at its moment or, if that lies
    /// in the future, when the journal is opened again.
    pub reserved: Vec<Charged>,
}

/// An attempt that has ended while its call goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Back {
    /// Which call.
    pub position: Position,
    /// The key of the call.
    pub key: Digest,
    /// The hash of its request.
    pub request: Digest,
    /// Attempts made so far.
    pub attempts: u32,
    /// In how many crashes the call was in flight.
    pub crashes: u32,
    /// Whether it may have been answered: it was given up, not ended.
    pub unknown: bool,
    /// What went wrong.
    pub failure: Option<Failure>,
}

/// A call that is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// Which call.
    pub position: Position,
    /// The key of the call.
    pub key: Digest,
    /// The hash of its request.
    pub request: Digest,
    /// What it came to.
    pub state: State,
    /// Attempts made.
    pub attempts: u32,
    /// What went wrong with its last attempt.
    pub failure: Option<Failure>,
    /// The result, in whatever form the caller encodes it; `None`: there is none, or it could not be
    /// encoded.
    pub body: Option<Vec<u8>>,
}

impl End {
    /// A call that succeeded.
    pub fn done(
        position: Position,
        key: Digest,
        request: Digest,
        attempts: u32,
        body: Option<Vec<u8>>,
    ) -> End {
        End {
            position,
            key,
            request,
            state: State::Done,
            attempts,
            failure: None,
            body,
        }
    }
}

impl From<Ended> for End {
    fn from(ended: Ended) -> End {
        End {
            position: ended.position,
            key: ended.key,
            request: ended.request,
            state: ended.state,
            attempts: ended.attempts,
            failure: None,
            body: ended.body,
        }
    }
}

/// What a call that is over came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// It has its answer.
    Done,
    /// It failed for good.
    Failed,
}

impl State {
    pub(crate) fn number(self) -> i64 {
        match self {
            State::Done => 1,
            State::Failed => 2,
        }
    }

    pub(crate) fn of(number: i64) -> Option<State> {
        match number {
            1 => Some(State::Done),
            2 => Some(State::Failed),
            _ => None,
        }
    }
}

/// What went wrong with an attempt: text, never frames or objects.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Failure {
    /// When it was known.
    pub at: Wall,
    /// The kind of error, such as the name of its type.
    pub kind: String,
    /// What it says.
    pub text: String,
}

/// An amount of a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Charged {
    /// The resource, by its place among those of the [`Options`](crate::Options).
    pub resource: u32,
    /// When the server counts it.
    pub at: Wall,
    /// How much, in millionths of its unit.
    pub micros: i64,
}

/// A call that is over, as the journal has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Which call.
    pub position: Position,
    /// The key of the call.
    pub key: Digest,
    /// The hash of the request that was answered.
    pub request: Digest,
    /// What it came to.
    pub state: State,
    /// Attempts made.
    pub attempts: u32,
    /// The result.
    pub body: Option<Vec<u8>>,
}

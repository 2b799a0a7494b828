//! Calls on their way from Python's question what the journal knows of them to the machine that runs them.

use rate_limited_store::{Begun, Decision, Digest, JournalError, Lookup, Position, Unfinished};
use std::collections::HashMap;

/// The calls that were looked up.
pub(crate) struct Calls {
    pub(crate) lookup: Lookup,
    /// Those that are to be run, until they are scheduled.
    asked: HashMap<Position, Call>,
}

/// A call that is not over.
pub(crate) struct Call {
    pub(crate) key: Digest,
    pub(crate) request: Digest,
    pub(crate) begun: Begun,
    /// Attempts by now, in earlier runs, too.
    pub(crate) attempts: u32,
    /// Whether any of them was about to leave here.
    pub(crate) has_left: bool,
}

impl Calls {
    pub(crate) fn new(lookup: Lookup) -> Calls {
        Calls {
            lookup,
            asked: HashMap::new(),
        }
    }

    /// What becomes of a call with this key and this request.
    pub(crate) fn look(&mut self, key: Digest, request: Digest) -> Result<Decision, JournalError> {
        let decision = self.lookup.look(key, request)?;
        if let Decision::Run(begun) | Decision::Last(begun) = decision {
            self.ask(key, request, begun);
        }
        Ok(decision)
    }

    /// A call with this key and this request is to be run again, at its position; a new one where the journal has nothing
    /// of it.
    pub(crate) fn recall(
        &mut self,
        position: Position,
        key: Digest,
        request: Digest,
    ) -> Result<Decision, JournalError> {
        let begun = match self.lookup.recall(position)? {
            Some(begun) => begun,
            None => self.lookup.add(key),
        };
        self.ask(key, request, begun);
        Ok(Decision::Run(begun))
    }

    /// A call that was asked for is not scheduled after all.
    pub(crate) fn forget(&mut self, position: Position) {
        self.asked.remove(&position);
    }

    /// A call that was asked for is scheduled.
    pub(crate) fn take(&mut self, position: Position) -> Option<Call> {
        self.asked.remove(&position)
    }

    fn ask(&mut self, key: Digest, request: Digest, begun: Begun) {
        let call = Call {
            key,
            request,
            begun,
            attempts: begun.attempts,
            has_left: false,
        };
        self.asked.insert(begun.position, call);
    }
}

impl Call {
    /// As the journal has it once it has begun; `unknown`: it may have been answered.
    pub(crate) fn unfinished(&self, unknown: bool) -> Unfinished {
        Unfinished {
            key: self.key,
            request: self.request,
            attempts: self.attempts,
            crashes: self.begun.crashes,
            unknown,
        }
    }
}

//! Calls on their way from Python's question what the journal knows of them to the machine that runs them.

use rate_limited_store::{
    Begun, Decision, Digest, JournalError, Lookup, Position, Recalled, Unfinished,
};
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

    /// A call of which the journal has nothing is to be run again.
    pub(crate) fn add(&mut self, key: Digest, request: Digest) -> Decision {
        let begun = self.lookup.add();
        self.ask(key, request, begun);
        Decision::Run(begun)
    }

    /// A call is to be run again; whether the journal knows it.
    pub(crate) fn recall(&mut self, position: Position) -> Result<bool, JournalError> {
        let recalled = self.lookup.recall(position)?;
        if let Some(Recalled {
            key,
            request,
            begun,
        }) = recalled
        {
            self.ask(key, request, begun);
        }
        Ok(recalled.is_some())
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

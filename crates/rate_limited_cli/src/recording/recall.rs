//! What the journal knows of the requests that come in.

use std::sync::Arc;

use rate_limited::journal::{Begun, Keyed, OnChange};
use rate_limited_store::{Decision, Found, JournalError, Over, Position, Walk};

use crate::reading::request::Request;
use crate::recording::identity::Identity;
use crate::recording::journal::Known;
use crate::recording::plan::{Fate, Follower};
use crate::running::job::Entry;

/// Where it is known what becomes of requests.
pub(crate) enum Recall {
    /// All of them are sent, and nothing is kept of them.
    Nothing,
    /// It was decided for each line before.
    Planned(Follower, Arc<Known>),
    /// They are looked up as they come.
    Walked(Box<Walk>, Arc<Known>),
}

/// What becomes of a request.
#[derive(Debug)]
pub(crate) enum Recalled {
    Run(Option<Entry>),
    /// Its call is over, and was counted before: its result is at this position.
    Counted(Position),
    /// Its call is over; whether another request was answered than the present one.
    Over(Over),
    /// Its call was in flight when an earlier run died, and is left alone.
    Unknown(Begun),
    /// Its call was in flight in too many crashes.
    Suspect(Begun),
}

/// Why a request cannot be looked up, or must not be sent.
#[derive(Debug)]
pub(crate) enum RecallError {
    Journal(JournalError),
    /// It is another one than the one that was answered.
    Changed,
}

impl Recall {
    /// What becomes of a request. One of a stream that was in flight when an earlier run died is told to
    /// `unknown`; of a file they are known before.
    pub(crate) fn look(
        &mut self,
        request: &Request,
        unknown: impl FnOnce(),
    ) -> Result<Recalled, RecallError> {
        match self {
            Recall::Nothing => Ok(Recalled::Run(None)),
            Recall::Planned(plan, known) => {
                let keyed = keyed(&known.identity, request);
                let fate = plan.fate(request.line);
                Ok(fate.map_or(Recalled::Run(None), |(fate, position)| {
                    planned(known, keyed, fate, position)
                }))
            }
            Recall::Walked(walk, known) => {
                let keyed = keyed(&known.identity, request);
                let found = walk.look(keyed.key, keyed.request);
                let found = found.map_err(RecallError::Journal)?;
                if known.policy.on_change == OnChange::Refuse && is_changed(&found) {
                    return Err(RecallError::Changed);
                }
                let decision = known.policy.decide(found);
                if is_unknown(&found, &decision) {
                    unknown();
                }
                Ok(walked(keyed, decision))
            }
        }
    }
}

fn keyed(identity: &Identity, request: &Request) -> Keyed {
    let (id, path) = (request.custom_id.as_deref(), request.url_path.as_deref());
    identity.keyed(id, path, &request.body)
}

/// Whether a call was in flight when an earlier run died, and that is told of it.
pub(crate) fn is_unknown(found: &Found, decision: &Decision) -> bool {
    let is_suspect = matches!(decision, Decision::Poison(_));
    matches!(found, Found::Unfinished { call, .. } if call.unknown) && !is_suspect
}

fn is_changed(found: &Found) -> bool {
    match found {
        Found::New { .. } => false,
        Found::Over(over) => over.changed,
        Found::Unfinished { changed, .. } => *changed,
    }
}

fn walked(keyed: Keyed, decision: Decision) -> Recalled {
    let run = |begun, is_last| {
        Recalled::Run(Some(Entry {
            keyed,
            begun,
            is_last,
        }))
    };
    match decision {
        Decision::Run(begun) => run(begun, false),
        Decision::Last(begun) => run(begun, true),
        Decision::Over(over) => Recalled::Over(over),
        Decision::Unknown(begun) => Recalled::Unknown(begun),
        Decision::Poison(begun) => Recalled::Suspect(begun),
    }
}

fn planned(known: &Known, keyed: Keyed, fate: Fate, position: Position) -> Recalled {
    let call = known.past.unfinished.get(&position);
    // Of a request that is another one than before, nothing is known.
    let call = call.filter(|call| call.request == keyed.request);
    let begun = Begun {
        position,
        attempts: call.map_or(0, |call| call.attempts),
        crashes: call.map_or(0, |call| call.crashes),
    };
    match fate {
        Fate::Unknown => Recalled::Unknown(begun),
        Fate::Suspect => Recalled::Suspect(begun),
        Fate::Over => Recalled::Counted(position),
        Fate::Run | Fate::Last => Recalled::Run(Some(Entry {
            keyed,
            begun,
            is_last: fate == Fate::Last,
        })),
    }
}

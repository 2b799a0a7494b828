//! What becomes of the inputs of a run, given what its journal knows of them.

use crate::record::{Position, State};
use crate::walk::{Census, Found, Over};

/// Crashes after which a call is run when nothing else is left: it may be what kills the process.
const CRASHES_SUSPECT: u32 = 3;

/// Crashes after which a call is taken for failed.
const CRASHES_MAX: u32 = 10;

/// What to do with inputs whose requests are other ones than before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum OnChange {
    /// Nothing is sent, and the numbers are told.
    #[default]
    Refuse,
    /// Changed and new calls are sent; the old answers stay in the journal.
    Rerun,
    /// The old answers are kept; only new calls are sent.
    Keep,
}

/// What to do with calls that were in flight when the process died.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum OnUnknown {
    /// They are sent again.
    #[default]
    Retry,
    /// They are left alone.
    Skip,
    /// Nothing is sent, and they are told.
    Report,
}

/// How a run goes on with a journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Policy {
    /// For inputs whose requests are other ones than before. Default: refuse.
    pub on_change: OnChange,
    /// For calls that were in flight when the process died. Default: retry.
    pub on_unknown: OnUnknown,
    /// Whether calls that failed for good are run again. Default: no.
    pub retry_failed: bool,
}

/// What becomes of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It is run.
    Run(Begun),
    /// It is run when nothing else is left.
    Last(Begun),
    /// It has its result.
    Over(Over),
    /// It is left alone: whether it was answered is not known.
    Unknown(Begun),
    /// It was in flight in so many crashes that it is not sent any more.
    Poison(Begun),
}

/// A call that is to be run, or was begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Begun {
    /// Its position.
    pub position: Position,
    /// Attempts made so far.
    pub attempts: u32,
    /// In how many crashes it was in flight.
    pub crashes: u32,
}

impl Policy {
    /// What becomes of an input. One that is changed is taken as if the change were allowed; ask
    /// [`Policy::objection`] before anything is sent.
    pub fn decide(&self, found: Found) -> Decision {
        match found {
            Found::New { position } => Decision::Run(Begun {
                position,
                attempts: 0,
                crashes: 0,
            }),
            Found::Over(over) if self.runs_again(&over) => Decision::Run(Begun {
                position: over.position,
                attempts: 0,
                crashes: 0,
            }),
            Found::Over(over) => Decision::Over(over),
            Found::Unfinished {
                position,
                call,
                changed,
            } => {
                let begun = call.begun(position);
                if changed {
                    // Another request is another call: what the old one did says nothing of it.
                    return Decision::Run(Begun {
                        attempts: 0,
                        crashes: 0,
                        ..begun
                    });
                }
                match call.crashes {
                    _ if call.unknown && self.on_unknown == OnUnknown::Skip => {
                        Decision::Unknown(begun)
                    }
                    CRASHES_MAX.. if !self.retry_failed => Decision::Poison(begun),
                    CRASHES_SUSPECT.. => Decision::Last(begun),
                    _ => Decision::Run(begun),
                }
            }
        }
    }

    /// Whether a call that is over is run again: its request is another one, or it failed for good and is tried anew.
    pub fn runs_again(&self, over: &Over) -> bool {
        let changed = over.changed && self.on_change != OnChange::Keep;
        changed || over.state == State::Failed && self.retry_failed
    }

    /// Why a run must not go on with inputs that come as it runs: what is gone, or belongs to another job,
    /// cannot be known before the last of them. `unknown`: as for [`Policy::objection`].
    pub fn objection_so_far(&self, census: Census, unknown: u64) -> Option<Objection> {
        if self.on_change == OnChange::Refuse && census.changed > 0 {
            return Some(Objection::Changed(census));
        }
        self.objection_to_unknown(unknown)
    }

    /// Why the inputs must not be run as they are, if that is so. `unknown`: how many calls were in flight when the
    /// process died.
    pub fn objection(&self, census: Census, unknown: u64) -> Option<Objection> {
        if self.on_change == OnChange::Refuse && (census.changed > 0 || census.is_another_job()) {
            return Some(Objection::Changed(census));
        }
        self.objection_to_unknown(unknown)
    }

    fn objection_to_unknown(self, unknown: u64) -> Option<Objection> {
        let refused = self.on_unknown == OnUnknown::Report && unknown > 0;
        refused.then_some(Objection::Unknown(unknown))
    }
}

/// Why the inputs of a run must not be run as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Objection {
    /// They are not those of the journal.
    #[error(
        "the journal has other calls: {} unchanged, {} changed, {} new and {} gone",
        .0.unchanged, .0.changed, .0.new, .0.gone
    )]
    Changed(Census),
    /// Some calls were in flight when the process died.
    #[error(
        "{} in flight when an earlier run died: it is not known whether {} answered",
        if *.0 == 1 { "1 call was".to_owned() } else { format!("{} calls were", .0) },
        if *.0 == 1 { "it was" } else { "they were" },
    )]
    Unknown(u64),
}

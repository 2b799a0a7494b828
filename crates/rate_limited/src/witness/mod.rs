//! What is told of a run beside its results: logs (feature `tracing`) and numbers for a report (feature `report`).
//!
//! Without these features it does nothing. No request, no answer and no text of an error comes here.

#[cfg(all(feature = "report", feature = "journal"))]
mod kept;
#[cfg(feature = "tracing")]
mod logs;
#[cfg(feature = "report")]
mod numbers;

use rate_limited_core::{AttemptId, CallId, Class, Progress, Time};

use crate::account::Account;

/// Sees what happens in a run.
#[derive(Debug, Default)]
pub(crate) struct Witness {
    #[cfg(feature = "tracing")]
    logs: logs::Logs,
    #[cfg(feature = "report")]
    numbers: numbers::Numbers,
}

/// An attempt, as it is told of.
#[cfg_attr(
    not(all(feature = "tracing", feature = "report")),
    allow(dead_code, reason = "each feature reads its part")
)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trip {
    pub(crate) id: CallId,
    pub(crate) attempt: AttemptId,
    /// The number of its call in the order of scheduling.
    pub(crate) index: u64,
}

/// What became of an attempt.
#[cfg_attr(
    not(all(feature = "tracing", feature = "report")),
    allow(dead_code, reason = "each feature reads its part")
)]
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fate<'a> {
    /// It came back; with the code of its error, if that is known.
    Came(Class, Option<&'a str>),
    TimedOut,
    /// It was cut off.
    CutOff,
}

#[cfg_attr(
    not(all(feature = "tracing", feature = "report")),
    allow(
        unused_variables,
        clippy::unused_self,
        clippy::needless_pass_by_ref_mut,
        reason = "each feature takes its part"
    )
)]
impl Witness {
    /// Goes on with what earlier runs have counted, and keeps what is counted.
    #[cfg(all(feature = "report", feature = "journal"))]
    pub(crate) fn goes_on(&mut self, kept: Kept) {
        self.numbers.goes_on(kept);
    }

    /// A run begins.
    pub(crate) fn begins(&mut self, now: Time) {
        #[cfg(feature = "report")]
        self.numbers.begins(now);
    }

    /// An attempt leaves, the how-manieth of its call.
    pub(crate) fn leaves(&mut self, trip: Trip, number: u32, now: Time) {
        #[cfg(feature = "report")]
        self.numbers.leaves(trip, number, now);
    }

    /// An attempt has ended.
    pub(crate) fn ended(&mut self, trip: Trip, fate: Fate<'_>, now: Time) {
        #[cfg(feature = "tracing")]
        self.logs.ended(trip, fate, now);
        #[cfg(feature = "report")]
        self.numbers.ended(trip, fate, now);
    }

    /// A call that was over is run again; `failed`: it had failed.
    pub(crate) fn reopens(&mut self, failed: bool) {
        #[cfg(feature = "report")]
        self.numbers.reopens(failed);
    }

    /// A call is over, with the kind of its last error if it failed.
    pub(crate) fn over(
        &mut self,
        (id, index): (CallId, u64),
        kind: Option<&'static str>,
        now: Time,
    ) {
        #[cfg(feature = "report")]
        self.numbers.over((id, index), kind, now);
    }

    /// Looks at a run, as often as that is worth while.
    pub(crate) fn look(&mut self, progress: &Progress, account: &Account, now: Time) {
        #[cfg(feature = "tracing")]
        self.logs.look(progress);
        #[cfg(feature = "report")]
        self.numbers.look(progress, account, now);
    }

    /// A run has ended, or stopped.
    pub(crate) fn ends(&mut self, progress: &Progress, account: &Account, now: Time) {
        #[cfg(feature = "tracing")]
        self.logs.ends(progress);
        #[cfg(feature = "report")]
        self.numbers.ends(progress, account, now);
    }

    /// Keeps what is known at the end of a run.
    #[cfg(all(feature = "report", feature = "journal"))]
    pub(crate) async fn keep(&mut self) {
        self.numbers.keep().await;
    }

    /// What is told of it; `over`: calls that were over before, by a journal.
    #[cfg(feature = "report")]
    pub(crate) fn report(
        &self,
        title: &str,
        over: Option<rate_limited_report::Ended>,
    ) -> rate_limited_report::Report {
        self.numbers.report(title, over)
    }
}

#[cfg(all(feature = "report", feature = "journal"))]
pub(crate) use kept::Kept;
/// The span of a run, and the one of an attempt inside it.
#[cfg(feature = "tracing")]
pub(crate) use logs::{attempt_span, run_span};

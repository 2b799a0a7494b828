//! The driver's side of a witness: what is told of a run beside its results.

use super::Driver;
use crate::attempt::End;
use crate::inputs::Inputs;
use crate::result::{AttemptError, SharedError};
use crate::runner::Finished;
use crate::witness::{Fate, Trip};
use rate_limited_core::{Abandoned, AttemptId, CallId, Class, Stop, Time};
use std::borrow::Cow;

impl<Req, Resp> Driver<Req, Resp>
where
    Req: Clone + Send + 'static,
    Resp: Send + 'static,
{
    /// Runs until all is done or stopped, and hands each call out as it ends.
    pub(crate) async fn run(
        &mut self,
        inputs: Inputs<Req>,
        each: &mut (dyn FnMut(Finished<Req, Resp>) + Send),
    ) -> Result<Option<Stop>, SharedError> {
        let work = async {
            let stop = self.go(inputs, each).await;
            let (progress, now) = (self.scheduler.progress(), self.clock.now());
            self.witness.ends(&progress, &self.account, now);
            #[cfg(all(feature = "report", feature = "journal"))]
            self.witness.keep().await;
            stop
        };
        #[cfg(feature = "tracing")]
        let work = tracing::Instrument::instrument(work, crate::witness::run_span());
        work.await
    }

    pub(super) fn witness_start(
        &mut self,
        (id, attempt, index): (CallId, AttemptId, u64),
        number: u32,
    ) {
        let trip = Trip { id, attempt, index };
        let now = self.witness_time();
        self.witness.leaves(trip, number, now);
    }

    pub(super) fn witness_end(
        &mut self,
        (id, attempt, index): (CallId, AttemptId, u64),
        class: Class,
        code: Option<&str>,
    ) {
        let trip = Trip { id, attempt, index };
        let fate = Fate::Came(class, code);
        let now = self.witness_time();
        self.witness.ended(trip, fate, now);
    }

    pub(super) fn witness_abandon(
        &mut self,
        (id, attempt, index): (CallId, AttemptId, u64),
        why: Abandoned,
    ) {
        let fate = match why {
            Abandoned::TimedOut => Fate::TimedOut,
            _ => Fate::CutOff,
        };
        let trip = Trip { id, attempt, index };
        let now = self.witness_time();
        self.witness.ended(trip, fate, now);
    }

    /// The time, if there is somebody to tell it.
    pub(super) fn witness_time(&self) -> Time {
        if cfg!(any(feature = "report", feature = "tracing")) {
            self.clock.now()
        } else {
            Time::default()
        }
    }

    /// Looks at the run as it was until now: before anything that happened is taken in.
    pub(super) fn witness_look(&mut self) {
        if cfg!(not(any(feature = "report", feature = "tracing"))) {
            return;
        }
        let (progress, now) = (self.scheduler.progress(), self.witness_time());
        self.witness.look(&progress, &self.account, now);
    }

    #[cfg(feature = "report")]
    pub(crate) fn report(&self, title: &str) -> crate::Report {
        #[cfg(feature = "journal")]
        let over = self.over_before();
        #[cfg(not(feature = "journal"))]
        let over = None;
        self.witness.report(title, over)
    }
}

/// The code of an end that is an error, for a report: that of the API, where it has one.
pub(super) fn code<Resp>(end: &End<Resp>) -> Option<Cow<'static, str>> {
    if cfg!(not(feature = "report")) {
        return None;
    }
    Some(match end {
        End::Value(_) => return None,
        End::Invalid(_) => "invalid".into(),
        End::Panicked(_) => "panicked".into(),
        End::Lost => "lost".into(),
        #[cfg(feature = "http")]
        End::Error(_, error) if error.is::<crate::http::HttpError>() => {
            let error = error.downcast_ref::<crate::http::HttpError>()?;
            error.code().to_owned().into()
        }
        End::Error(Class::Refused { .. }, _) => "refused".into(),
        End::Error(..) => "failed".into(),
    })
}

/// The kind of a call's last error.
pub(super) fn kind<Resp>(error: Option<&AttemptError<Resp>>) -> &'static str {
    match error {
        Some(AttemptError::Refused(_)) => "refused",
        Some(AttemptError::Invalid(_)) => "invalid",
        Some(AttemptError::TimedOut(_) | AttemptError::CallTimedOut) => "timeout",
        Some(AttemptError::Panicked(_)) => "panicked",
        Some(AttemptError::NeverFits(_)) => "never_fits",
        Some(AttemptError::Halted | AttemptError::Lost) => "cut_off",
        _ => "failed",
    }
}

//! What a plan knows of earlier runs: which calls are over, and what was taken of the limits.
//!
//! The journal is only looked at, whoever has it: a plan may be made while the run goes on.

use std::path::PathBuf;

use rate_limited::Outlook;
use rate_limited::journal::{Policy, windows};
use rate_limited_store::{Decision, JournalError, Onlooker, Walk};

use crate::args::RunArgs;
use crate::calling::meters::Meters;
use crate::reading::request::record_id;
use crate::reading::source::{self, Target};
use crate::recording::identity::Identity;
use crate::recording::journal::{self, UnknownCalls};
use crate::recording::recall;
use crate::refusal::Refusal;
use crate::running::tally::Before;
use crate::values::text::{counted, grouped, shortened};

/// The most characters of who has a journal that are shown.
const HOLDER_CHARS_MAX: usize = 100;

/// The earlier runs of a job.
pub(crate) struct Earlier {
    path: PathBuf,
    onlooker: Onlooker,
    walk: Walk,
    identity: Identity,
    policy: Policy,
    pub(crate) before: Before,
    /// Calls that are not sent again, for nobody knows what became of them.
    pub(crate) left_alone: u64,
    unknown: UnknownCalls,
    error: Option<JournalError>,
}

/// A request, as far as a journal knows it.
pub(crate) struct Asked<'a> {
    pub(crate) line: u64,
    pub(crate) custom_id: Option<&'a str>,
    pub(crate) url_path: Option<&'a str>,
    pub(crate) body: &'a [u8],
}

impl Earlier {
    /// Those of the run that the command line tells, which sends to this API; `None` if there were none.
    ///
    /// # Errors
    /// Its journal cannot be read.
    pub(crate) fn of(
        args: &RunArgs,
        meters: &Meters,
        api: impl FnOnce() -> Result<String, Refusal>,
    ) -> Result<Option<Earlier>, Refusal> {
        // Without an output a run does not begin; a plan does.
        let Ok(Target {
            output,
            is_worthless,
        }) = source::target(args)
        else {
            return Ok(None);
        };
        let path = journal::place(args, &output, is_worthless)?;
        let Some(path) = path.filter(|path| path.symlink_metadata().is_ok()) else {
            return Ok(None);
        };
        if args.journal.fresh {
            return Ok(None);
        }
        let onlooker = Onlooker::new(&path, &windows(&meters.quotas()))?;
        let counts = onlooker.past.counts;
        if counts.done + counts.failed + counts.unfinished == 0 {
            return Ok(None);
        }
        Ok(Some(Earlier {
            walk: Walk::beside(&onlooker)?,
            identity: Identity::new(&api()?, args.api.endpoint.as_deref()),
            policy: args.journal.policy(),
            path,
            onlooker,
            before: Before::default(),
            left_alone: 0,
            unknown: UnknownCalls::default(),
            error: None,
        }))
    }

    /// Whether a request is still to be sent.
    pub(crate) fn leaves(&mut self, asked: &Asked<'_>) -> bool {
        let keyed = self
            .identity
            .keyed(asked.custom_id, asked.url_path, asked.body);
        let found = match self.walk.look(keyed.key, keyed.request) {
            Ok(found) => found,
            Err(error) => {
                self.error.get_or_insert(error);
                return true;
            }
        };
        let decision = self.policy.decide(found);
        if recall::is_unknown(&found, &decision) {
            self.unknown.add(&record_id(asked.line, asked.custom_id));
        }
        match decision {
            Decision::Over(over) => self.before.add(over.state),
            Decision::Unknown(_) | Decision::Poison(_) => self.left_alone += 1,
            Decision::Run(_) | Decision::Last(_) => return true,
        }
        false
    }

    /// Whether a run may go on with these requests.
    ///
    /// # Errors
    /// It would be refused, as it says; or the journal could not be read.
    pub(crate) fn check(&mut self) -> Result<(), Refusal> {
        if let Some(error) = self.error.take() {
            return Err(error.into());
        }
        let unknown = self.onlooker.past.counts.unknown;
        match self.policy.objection(self.walk.census(), unknown) {
            Some(objection) => Err(Refusal::objection(objection, &self.unknown)),
            None => Ok(()),
        }
    }

    /// A run that has not begun, after what was taken of its limits.
    pub(crate) fn outlook(&self, outlook: Outlook) -> Outlook {
        outlook.after(&self.onlooker.past)
    }

    /// The requests that are over or left alone.
    pub(crate) fn total(&self) -> u64 {
        self.before.total() + self.left_alone
    }

    /// What of earlier runs goes into the plan.
    pub(crate) fn told(&self) -> String {
        let Before { succeeded, failed } = self.before;
        let some = |count: u64, words: &str| match count {
            0 => String::new(),
            count => format!(", {} {words}", grouped(count)),
        };
        let in_flight = match self.unknown.total {
            0 => String::new(),
            calls => {
                let calls = counted(calls, "call was", "calls were");
                format!("; {calls} in flight when a run died")
            }
        };
        format!(
            "{} done before{}{}{in_flight}; what they took of the limits counts ({})",
            grouped(succeeded),
            some(failed, "failed for good"),
            some(self.left_alone, "left alone"),
            self.path.display()
        )
    }

    /// Who is making the calls, if somebody is.
    pub(crate) fn goes_on(&self) -> Option<String> {
        let holder = self.onlooker.holder.as_ref()?;
        let holder = shortened(holder, HOLDER_CHARS_MAX);
        Some(format!(
            "the run goes on ({holder}): this is what is not over, planned from now on"
        ))
    }
}

//! What came of the calls so far, in numbers.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rate_limited::Finished;
use rate_limited_store::State;

use crate::calling::call::Reply;
use crate::running::job::Job;
use crate::running::verdict::Verdict;
use crate::writing::record::code;

/// Different error codes that are counted apart: servers may make up any number of them.
const CODES_MAX: usize = 64;

/// The numbers of a run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counts {
    /// Calls that were over before this run; they are among no others.
    pub(crate) before: Before,
    pub(crate) succeeded: u64,
    pub(crate) failed: u64,
    /// Lines that are no requests and were written as errors; they are among the failed.
    pub(crate) bad_lines: u64,
    /// Lines that are no requests and were left out.
    pub(crate) skipped: u64,
    pub(crate) not_run: u64,
    /// Those of them that may cost more than is left.
    pub(crate) too_dear: u64,
    /// In flight when the run was halted: what became of them is not known.
    pub(crate) interrupted: u64,
    /// In flight when an earlier run died, and left alone.
    pub(crate) left_alone: u64,
    /// The tokens that answers told.
    pub(crate) tokens_used: u64,
    /// The tokens that were expected, at most, for the calls of those answers.
    pub(crate) tokens_expected: u64,
    /// The tokens that were expected for all calls that are over.
    pub(crate) tokens_over: u64,
    /// The codes of failed calls, with how often they came.
    pub(crate) codes: BTreeMap<String, u64>,
    /// What the first fatal answer said.
    pub(crate) fatal: Option<String>,
}

/// Calls that were over before a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Before {
    pub(crate) succeeded: u64,
    pub(crate) failed: u64,
}

impl Before {
    pub(crate) fn total(&self) -> u64 {
        self.succeeded + self.failed
    }

    pub(crate) fn add(&mut self, state: State) {
        match state {
            State::Done => self.succeeded += 1,
            State::Failed => self.failed += 1,
        }
    }
}

impl Counts {
    /// Calls that this run has brought to their end, and lines that never became one.
    pub(crate) fn over(&self) -> u64 {
        self.succeeded + self.failed
    }

    /// Calls that this run has brought to their end.
    pub(crate) fn calls_over(&self) -> u64 {
        self.over() - self.bad_lines
    }

    /// All that have no good answer though they are over.
    pub(crate) fn failed_in_all(&self) -> u64 {
        self.failed + self.before.failed
    }

    /// Lines of the output that say nothing of a call that is over.
    pub(crate) fn unfinished(&self) -> u64 {
        self.not_run + self.interrupted
    }

    /// By which factor answers use less than was expected of them at most; 1 until some are known.
    #[expect(
        clippy::cast_precision_loss,
        reason = "a figure to show, never to count with"
    )]
    pub(crate) fn usage_share(&self) -> f64 {
        if self.tokens_expected == 0 || self.succeeded < 16 {
            return 1.0;
        }
        self.tokens_used as f64 / self.tokens_expected as f64
    }

    fn count_code(&mut self, code: &str, times: u64) {
        if times == 0 {
            return;
        }
        let known = self.codes.contains_key(code) || self.codes.len() < CODES_MAX;
        let code = if known { code } else { "others" };
        *self.codes.entry(code.to_owned()).or_default() += times;
    }
}

/// The numbers of a run, counted from several threads.
#[derive(Debug, Default)]
pub(crate) struct Tally(Mutex<Counts>);

impl Tally {
    /// A look at the numbers.
    pub(crate) fn counts(&self) -> Counts {
        self.lock().clone()
    }

    /// Counts a call that is over.
    pub(crate) fn finished(&self, finished: &Finished<Arc<Job>, Reply>, verdict: &Verdict) {
        let counts = &mut *self.lock();
        let (job, result) = (&finished.request, &finished.result);
        counts.tokens_over = counts.tokens_over.saturating_add(job.tokens);
        if let Some(tokens) = result.value.as_ref().and_then(|reply| reply.tokens) {
            counts.tokens_used = counts.tokens_used.saturating_add(tokens);
            counts.tokens_expected = counts.tokens_expected.saturating_add(job.tokens);
        }
        match &verdict.code {
            None => counts.succeeded += 1,
            Some(code) => {
                counts.failed += 1;
                counts.count_code(code, 1);
            }
        }
        if counts.fatal.is_none() {
            counts.fatal.clone_from(&verdict.fatal);
        }
    }

    /// Counts a call that was not over when the run ended.
    pub(crate) fn open(&self, verdict: &Verdict) {
        let counts = &mut *self.lock();
        if verdict.code.as_deref() == Some(code::INTERRUPTED) {
            counts.interrupted += 1;
        } else {
            counts.not_run += 1;
        }
    }

    /// Counts a call that may cost more than is left.
    pub(crate) fn too_dear(&self, verdict: &Verdict) {
        self.open(verdict);
        self.lock().too_dear += 1;
    }

    /// Counts bad lines that were written as errors.
    pub(crate) fn bad_lines(&self, lines: u64) {
        let counts = &mut *self.lock();
        counts.bad_lines += lines;
        counts.failed += lines;
        counts.count_code(code::BAD_LINE, lines);
    }

    /// Counts bad lines that were left out.
    pub(crate) fn skipped(&self, lines: u64) {
        self.lock().skipped += lines;
    }

    /// Counts calls that were over before the run.
    pub(crate) fn restored(&self, before: Before) {
        let known = &mut self.lock().before;
        known.succeeded += before.succeeded;
        known.failed += before.failed;
    }

    /// Counts a call that is not sent because of what happened to it before.
    pub(crate) fn kept_back(&self, code: &str) {
        let counts = &mut *self.lock();
        if code == code::UNKNOWN {
            counts.left_alone += 1;
        } else {
            counts.failed += 1;
            counts.count_code(code, 1);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

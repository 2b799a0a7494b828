//! What the parts of a run share.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rate_limited::{Amount, Failure, Finished, Handle, Load, Outlook, View};
use rate_limited_report::Call;
use rate_limited_store::Over;

use crate::calling::call::{Caller, Reply};
use crate::calling::meters::Meters;
use crate::reading::bad_line::BadLinePolicy;
use crate::reading::request::Request;
use crate::reading::source::Totals;
use crate::recording::census::Surveyed;
use crate::recording::journal::UnknownCalls;
use crate::reporting::observer::Observer;
use crate::running::job::{Job, OpenJobs};
use crate::running::stop::Stopper;
use crate::running::tally::{Counts, Tally};
use crate::running::verdict;
use crate::telling::binding::Sightings;
use crate::telling::status;
use crate::writing::outlet::Outlet;
use crate::writing::output::OutputError;
use crate::writing::reorder::OrderedWriter;
use crate::writing::so_far::SoFar;

/// A run at work.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) meters: Arc<Meters>,
    pub(crate) totals: Option<Totals>,
    /// All that is to be sent, for a look ahead.
    pub(crate) load: Option<Load>,
    pub(crate) caller: Arc<Caller>,
    pub(crate) stopper: Arc<Stopper>,
    pub(crate) outlet: Outlet,
    pub(crate) tally: Tally,
    pub(crate) open: OpenJobs,
    pub(crate) sightings: Sightings,
    pub(crate) observer: Arc<Observer>,
    handle: Handle,
    /// The lines of the output that have a number so far.
    numbered: AtomicU64,
    /// The output that is there, until it is known how much of it can stay.
    so_far: Mutex<Option<SoFar>>,
    /// Calls that were in flight when an earlier run died.
    unknown: Mutex<UnknownCalls>,
}

impl State {
    pub(crate) fn new(
        (meters, totals): (Arc<Meters>, Option<Totals>),
        caller: Arc<Caller>,
        (handle, stopper): (Handle, Stopper),
        writer: OrderedWriter,
    ) -> State {
        let stopper = Arc::new(stopper);
        State {
            meters,
            totals,
            load: None,
            caller,
            outlet: Outlet::new(writer, Arc::clone(&stopper)),
            stopper,
            tally: Tally::default(),
            open: OpenJobs::default(),
            sightings: Sightings::default(),
            observer: Arc::default(),
            handle,
            numbered: AtomicU64::new(0),
            so_far: Mutex::new(None),
            unknown: Mutex::default(),
        }
    }

    /// A run that goes on: calls of it are over, and its output has its first lines.
    pub(crate) fn behind(self, surveyed: &Surveyed, policy: BadLinePolicy) -> State {
        let covered = surveyed.covered;
        self.tally.restored(surveyed.before);
        *lock(&self.unknown) = surveyed.unknown.clone();
        self.numbered.store(covered.lines, Ordering::Relaxed);
        match policy {
            BadLinePolicy::Record => self.tally.bad_lines(covered.input.bad),
            _ => self.tally.skipped(covered.input.bad),
        }
        self
    }

    /// A run of which it is known what is to be sent.
    pub(crate) fn with_load(self, load: Option<Load>) -> State {
        State { load, ..self }
    }

    /// A copy of the run as it stood when this was asked last.
    pub(crate) fn outlook(&self) -> Option<Outlook> {
        self.handle.outlook()
    }

    /// A run whose input shows how much of its output can stay.
    pub(crate) fn with_output(self, so_far: Option<SoFar>) -> State {
        State {
            so_far: Mutex::new(so_far),
            ..self
        }
    }

    /// A run that is told of in a report.
    pub(crate) fn observed_by(self, observer: Arc<Observer>) -> State {
        State { observer, ..self }
    }

    /// Notes a call that was in flight when an earlier run died.
    pub(crate) fn unknown(&self, request: &Request) {
        lock(&self.unknown).add(&request.record_id());
    }

    /// The calls that were in flight when an earlier run died.
    pub(crate) fn unknown_calls(&self) -> UnknownCalls {
        lock(&self.unknown).clone()
    }

    /// From now on lines are written: the output is cut behind those that can stay.
    ///
    /// # Errors
    /// It has results that are not in the journal.
    pub(crate) fn settle(&self) -> Result<(), OutputError> {
        match lock(&self.so_far).take() {
            Some(so_far) => {
                let settled = so_far.settle(&self.outlet);
                settled.inspect_err(|_| self.outlet.leave())
            }
            None => Ok(()),
        }
    }

    /// Takes in a call that was over before the run.
    ///
    /// # Errors
    /// The output has results that are not in the journal.
    pub(crate) fn restored(
        &self,
        index: u64,
        request: &Request,
        over: &Over,
    ) -> Result<(), OutputError> {
        let is_there = |there: &mut SoFar| there.result(request, over);
        if lock(&self.so_far).as_mut().is_some_and(is_there) {
            return Ok(());
        }
        self.settle()?;
        self.outlet.put_over(index, request, over.position);
        Ok(())
    }

    /// Takes in a line that is made anew by each run.
    ///
    /// # Errors
    /// The output has results that are not in the journal.
    pub(crate) fn made(&self, index: u64, line: Vec<u8>) -> Result<(), OutputError> {
        let is_there = |there: &mut SoFar| there.exact(&line);
        if lock(&self.so_far).as_mut().is_some_and(is_there) {
            return Ok(());
        }
        self.settle()?;
        self.outlet.put(index, line, None);
        Ok(())
    }

    /// The requests of the run, those that were over before included, where that is known.
    pub(crate) fn total(&self) -> Option<u64> {
        let before = self.tally.counts().before.total();
        self.totals.map(|totals| totals.requests + before)
    }

    /// The number of the next line of the output, from 0.
    pub(crate) fn number(&self) -> u64 {
        self.numbered.fetch_add(1, Ordering::Relaxed)
    }

    /// The lines of the output that have a number so far.
    pub(crate) fn numbered(&self) -> u64 {
        self.numbered.load(Ordering::Relaxed)
    }

    /// Takes in a call that is over.
    pub(crate) fn finished(&self, finished: &Finished<Arc<Job>, Reply>) {
        let (verdict, place) = match finished.request.recorded() {
            // The journal has no cells of rows.
            Some((verdict, _)) if finished.request.request.row.is_some() => (verdict, None),
            Some((verdict, place)) => (verdict, Some(place)),
            None => (verdict::of_finished(finished), None),
        };
        if let (Some(bill), true) = (self.meters.bill(), self.is_too_dear(finished)) {
            let job = &finished.request;
            let verdict = verdict::of_too_dear(job, bill, finished.result.attempts);
            self.tally.too_dear(&verdict);
            self.outlet.put(job.index, verdict.line, None);
            self.open.remove(job);
            return;
        }
        self.tally.finished(finished, &verdict);
        self.observe(finished, verdict.code.as_deref());
        if verdict.fatal.is_some() && !self.has_a_member_left() {
            self.stopper.drain();
        }
        self.outlet.put(finished.request.index, verdict.line, place);
        self.open.remove(&finished.request);
    }

    fn observe(&self, finished: &Finished<Arc<Job>, Reply>, code: Option<&str>) {
        let (job, result) = (&finished.request, &finished.result);
        let call = Call {
            name: &job.request.record_id(),
            attempts: result.attempts,
            took: job.took(),
            code,
        };
        let tokens = result.value.as_ref().and_then(|reply| reply.tokens);
        self.observer.call(&call, tokens);
    }

    /// Whether a pool has a member that may still be asked.
    fn has_a_member_left(&self) -> bool {
        let members = self.handle.view().members;
        members.iter().any(|member| !member.dropped)
    }

    /// Whether nothing but the bound on costs keeps a call from being sent.
    fn is_too_dear(&self, finished: &Finished<Arc<Job>, Reply>) -> bool {
        let Some((bill, charge)) = self.meters.bill().zip(finished.request.charge) else {
            return false;
        };
        match finished.why {
            Some(Failure::NeverFits(resource)) => self.meters.is_bill(resource.index()),
            None => finished.result.value.is_none() && charge.bound > bill.most,
            Some(_) => false,
        }
    }

    /// What the run and those before it have cost, where there is a bound on that.
    pub(crate) fn spent(&self) -> Option<(Amount, Amount)> {
        let bill = self.meters.bill()?;
        let view = self.view();
        let seen = view.resources.get(self.meters.bill_place())?;
        Some((seen.charged, bill.most))
    }

    /// Takes in a call that was not over when the run ended for the reason `why`.
    pub(crate) fn unfinished(&self, job: &Job, why: &str) {
        let verdict = verdict::of_open(job, why);
        self.tally.open(&verdict);
        self.outlet.put(job.index, verdict.line, None);
    }

    /// The error of the latest attempt that did not succeed, in words.
    pub(crate) fn last_error(&self) -> Option<String> {
        status::error_text(&self.handle.view())
    }

    /// A look at the run.
    pub(crate) fn view(&self) -> View {
        self.handle.view()
    }

    /// A look at the run, which also notes what it waits for.
    pub(crate) fn look(&self) -> (View, Counts) {
        let view = self.handle.view();
        self.sightings.look(&view);
        (view, self.tally.counts())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

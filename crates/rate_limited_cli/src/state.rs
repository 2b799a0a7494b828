//! What the parts of a run share.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rate_limited::{Finished, Handle, View};

use crate::binding::Sightings;
use crate::call::{Caller, Reply};
use crate::job::{Job, OpenJobs};
use crate::meters::Meters;
use crate::outlet::Outlet;
use crate::reorder::OrderedWriter;
use crate::source::Totals;
use crate::status;
use crate::stop::Stopper;
use crate::tally::{Counts, Tally};
use crate::verdict;

/// A run at work.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) meters: Arc<Meters>,
    pub(crate) totals: Option<Totals>,
    pub(crate) caller: Arc<Caller>,
    pub(crate) stopper: Arc<Stopper>,
    pub(crate) outlet: Outlet,
    pub(crate) tally: Tally,
    pub(crate) open: OpenJobs,
    pub(crate) sightings: Sightings,
    handle: Handle,
    /// The lines of the output that have a number so far.
    numbered: AtomicU64,
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
            caller,
            outlet: Outlet::new(writer, Arc::clone(&stopper)),
            stopper,
            tally: Tally::default(),
            open: OpenJobs::default(),
            sightings: Sightings::default(),
            handle,
            numbered: AtomicU64::new(0),
        }
    }

    /// The requests that will be sent, where that is known.
    pub(crate) fn total(&self) -> Option<u64> {
        self.totals.map(|totals| totals.requests)
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
        let verdict = verdict::of_finished(finished);
        self.tally.finished(finished, &verdict);
        if verdict.fatal.is_some() {
            self.stopper.drain();
        }
        self.outlet.put(finished.request.index, verdict.line);
        self.open.remove(&finished.request);
    }

    /// Takes in a call that was not over when the run ended for the reason `why`.
    pub(crate) fn unfinished(&self, job: &Job, why: &str) {
        let verdict = verdict::of_open(job, why);
        self.tally.open(&verdict);
        self.outlet.put(job.index, verdict.line);
    }

    /// The error of the latest attempt that did not succeed, in words.
    pub(crate) fn last_error(&self) -> Option<String> {
        status::last_error(&self.handle.view())
    }

    /// A look at the run, which also notes what it waits for.
    pub(crate) fn look(&self) -> (View, Counts) {
        let view = self.handle.view();
        self.sightings.look(&view);
        (view, self.tally.counts())
    }
}

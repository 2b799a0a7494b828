//! Reads the input while the run goes on.

use std::sync::Arc;

use rate_limited_store::Over;
use tokio::runtime::Handle;
use tokio::sync::mpsc::{Permit, Sender};

use crate::asking::rows::Form;
use crate::calling::parts::Cost;
use crate::calling::preset::Route;
use crate::reading::bad_line::{BadLine, BadLinePolicy};
use crate::reading::input::{InputError, Item};
use crate::reading::request::Request;
use crate::recording::recall::{Recall, RecallError, Recalled};
use crate::running::bill::{Bill, Unpriced, unpriced_told};
use crate::running::job::Job;
use crate::running::state::State;
use crate::running::stop::Cause;
use crate::running::tally::Before;
use crate::running::verdict;
use crate::values::text::quoted;
use crate::writing::record::{Record, code};
use crate::writing::recorded::Place;

/// The lines of an input.
pub(crate) type Items = Box<dyn Iterator<Item = Result<Item, InputError>> + Send>;

/// So many jobs are handed over at a time: to wait for room takes a wake-up of the thread.
const BATCH: usize = 64;

/// What a feed needs to know.
#[derive(Clone, Debug)]
pub(crate) struct FeedOptions {
    pub(crate) policy: BadLinePolicy,
    /// The answer tokens of a request without a limit of its own.
    pub(crate) answer_default: u64,
    /// Where requests go, and what they cost there.
    pub(crate) route: Route,
    /// How many requests are taken.
    pub(crate) first: Option<u64>,
    /// What calls cost, where there is a bound on that.
    pub(crate) bill: Option<Bill>,
    /// What lines are.
    pub(crate) form: Form,
}

impl FeedOptions {
    /// What a request takes at most of each resource of the API, and how many tokens.
    pub(crate) fn measured(&self, request: &Request) -> (Vec<Cost>, u64) {
        let costs = self.route.costs(request, self.answer_default);
        let tokens = self.route.tokens(request, &costs, self.answer_default);
        (costs, tokens)
    }
}

/// Turns lines into jobs, and gives every line of the output its number.
pub(crate) struct Feed {
    items: Items,
    options: FeedOptions,
    recall: Recall,
    /// Requests that may still be taken.
    left: u64,
    ended: bool,
    state: Arc<State>,
}

impl Feed {
    /// A feed of lines, of which `taken` requests were taken before.
    pub(crate) fn new(
        items: Items,
        options: FeedOptions,
        taken: u64,
        recall: Recall,
        state: Arc<State>,
    ) -> Feed {
        let left = options.first.unwrap_or(u64::MAX);
        Feed {
            items,
            options,
            recall,
            left: left.saturating_sub(taken),
            ended: false,
            state,
        }
    }

    /// Whether all was read that is to be read.
    pub(crate) fn is_ended(&self) -> bool {
        self.ended
    }

    /// Sends jobs until the input or the run is over, and gives itself back for what is left.
    pub(crate) fn pump(mut self, jobs: &Sender<Arc<Job>>, runtime: &Handle) -> Feed {
        let mut goes_on = true;
        while goes_on {
            let room = runtime.block_on(jobs.reserve_many(BATCH));
            goes_on = room.is_ok_and(|mut room| room.all(|place| self.put(place)));
        }
        self.state.outlet.nudge();
        self
    }

    /// Sends the next job, if there is one.
    fn put(&mut self, place: Permit<'_, Arc<Job>>) -> bool {
        match self.next() {
            Some(Ok(job)) => {
                let job = Arc::new(job);
                self.state.open.add(&job);
                place.send(job);
                true
            }
            Some(Err(cause)) => {
                self.state.stopper.stop(cause);
                false
            }
            None => false,
        }
    }

    /// The next request that is to be sent; what else comes before it is dealt with on the way. What keeps
    /// it from going on ends it.
    pub(crate) fn next(&mut self) -> Option<Result<Job, Cause>> {
        while self.left > 0 {
            let taken = match self.items.next() {
                Some(Ok(item)) => self.take(item),
                Some(Err(error)) => Err(Cause::Input(error.to_string())),
                None => break,
            };
            match taken {
                Ok(Some(job)) => {
                    self.state.outlet.nudge();
                    return Some(Ok(job));
                }
                Ok(None) => {}
                Err(cause) => return Some(Err(cause)),
            }
        }
        self.ended = true;
        self.state
            .settle()
            .err()
            .map(|error| Err(Cause::Output(error)))
    }

    fn take(&mut self, item: Item) -> Result<Option<Job>, Cause> {
        match item {
            Item::Request(request) => {
                self.left -= 1;
                let index = self.state.number();
                self.request(index, request)
            }
            Item::Over { line, position } => {
                self.left -= 1;
                let index = self.state.number();
                let place = Place { line, position };
                self.state.outlet.put_recorded(index, place);
                Ok(None)
            }
            Item::Bad(bad) => self.bad(&bad).map(|()| None),
        }
    }

    fn request(&mut self, index: u64, request: Request) -> Result<Option<Job>, Cause> {
        let unknown = || self.state.unknown(&request);
        let recalled = self.recall.look(&request, unknown);
        let recalled = recalled.map_err(|error| match error {
            RecallError::Journal(error) => Cause::Journal(error),
            RecallError::Changed => Cause::Input(changed(&request)),
        })?;
        let (code, begun) = match recalled {
            Recalled::Run(entry) => {
                self.state.settle().map_err(Cause::Output)?;
                let (route, default) = (&self.options.route, self.options.answer_default);
                let mut job = Job::new(index, request, route, default);
                job.entry = entry;
                if let Some(bill) = &self.options.bill {
                    let charge = bill.charge(&job.request, route);
                    let told = |why: Unpriced| Cause::Input(unpriced_told(&why, job.request.line));
                    job.charge = Some(charge.map_err(told)?);
                }
                return Ok(Some(job));
            }
            Recalled::Counted(position) => {
                self.state.outlet.put_over(index, &request, position);
                return Ok(None);
            }
            Recalled::Over(over) => return self.over(index, &request, &over).map(|()| None),
            Recalled::Unknown(begun) => (code::UNKNOWN, begun),
            Recalled::Suspect(begun) => (code::SUSPECT, begun),
        };
        self.state.settle().map_err(Cause::Output)?;
        let line = verdict::line_of_kept_back(&request, code, &begun);
        self.state.tally.kept_back(code);
        self.state.outlet.put(index, line, None);
        Ok(None)
    }

    /// A call of a stream that was over before.
    fn over(&mut self, index: u64, request: &Request, over: &Over) -> Result<(), Cause> {
        let mut before = Before::default();
        before.add(over.state);
        self.state.tally.restored(before);
        self.state
            .restored(index, request, over)
            .map_err(Cause::Output)
    }

    fn bad(&mut self, bad: &BadLine) -> Result<(), Cause> {
        match self.options.policy {
            BadLinePolicy::Fail => {
                let advice = "mend it, or pass --on-bad-line skip or --on-bad-line record";
                return Err(Cause::Input(format!("{bad}; {advice}")));
            }
            BadLinePolicy::Skip => self.state.tally.skipped(1),
            BadLinePolicy::Record => {
                let index = self.state.number();
                self.state.tally.bad_lines(1);
                let line = Record::line_of_bad(bad);
                self.state.made(index, line).map_err(Cause::Output)?;
            }
        }
        Ok(())
    }
}

fn changed(request: &Request) -> String {
    format!(
        "line {}: the request {} is another one than the one that was answered: pass --on-change rerun to \
         send it, --on-change keep to keep the old answer, or --fresh to start over",
        request.line,
        quoted(&request.record_id())
    )
}

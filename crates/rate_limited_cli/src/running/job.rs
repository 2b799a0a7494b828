//! One request of the input on its way to a line of the output.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use rate_limited::Amount;
use rate_limited::http::{Answer, HttpError};
use rate_limited::journal::{Begun, Keyed};
use rate_limited_apis::Likeness;

use crate::calling::parts::{Cost, Parts};
use crate::calling::preset::Route;
use crate::reading::request::Request;
use crate::running::bill::Charge;
use crate::running::verdict::Verdict;
use crate::writing::record::{self, Kept};
use crate::writing::recorded::Place;
use crate::writing::row::Row;

/// A request with its place in the output.
#[derive(Debug)]
pub(crate) struct Job {
    /// The line of the output, from 0.
    pub(crate) index: u64,
    pub(crate) request: Request,
    /// The most tokens that it is expected to take.
    pub(crate) tokens: u64,
    /// What it is expected to take of each resource of the API, where one is named.
    costs: Vec<Cost>,
    /// What makes it like others, where only answers name the part of a resource that it takes from.
    likeness: Option<Box<Likeness>>,
    /// What it costs in money, where there is a bound on that.
    pub(crate) charge: Option<Charge>,
    /// What the journal knows of its call, where there is one.
    pub(crate) entry: Option<Entry>,
    /// The verdict that was put into the journal and is not told yet.
    verdict: Mutex<Option<Verdict>>,
    sent: AtomicU32,
    /// When its first attempt of this run left.
    first_left: OnceLock<Instant>,
    in_flight: AtomicBool,
    last: Mutex<Option<Box<Setback>>>,
}

/// A call that is to be run, as the journal knows it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub(crate) keyed: Keyed,
    pub(crate) begun: Begun,
    /// Whether it is to be run when nothing else is left.
    pub(crate) is_last: bool,
}

/// What the last attempt that did not succeed left behind, cut to a few kilobytes.
#[derive(Debug)]
pub(crate) struct Setback {
    pub(crate) message: String,
    pub(crate) answer: Option<Kept>,
}

impl Setback {
    fn of(error: &HttpError) -> Setback {
        let answer = error
            .answer()
            .map(|answer| Kept::new(answer.status, answer.request_id.as_deref(), &answer.body));
        let message = record::beginning(&error.to_string());
        Setback { message, answer }
    }
}

/// What is said of an attempt that was given up after so long.
pub(crate) fn too_long(limit: Duration) -> String {
    format!("no answer within the time-out of {limit:?} for an attempt")
}

impl Job {
    pub(crate) fn new(index: u64, request: Request, route: &Route, answer_default: u64) -> Job {
        let costs = route.costs(&request, answer_default);
        Job {
            index,
            tokens: route.tokens(&request, &costs, answer_default),
            costs,
            likeness: route.likeness(&request).map(Box::new),
            charge: None,
            request,
            entry: None,
            verdict: Mutex::new(None),
            sent: AtomicU32::new(0),
            first_left: OnceLock::new(),
            in_flight: AtomicBool::new(false),
            last: Mutex::new(None),
        }
    }

    /// What it is expected to take of a resource of the API.
    pub(crate) fn cost(&self, resource: &str) -> Amount {
        let found = self.costs.iter().find(|cost| cost.resource == resource);
        found.map_or(Amount::ZERO, |cost| cost.amount)
    }

    /// The part of a resource that it takes from; empty: of none.
    pub(crate) fn key(&self, parts: &Parts) -> &str {
        parts.key(self.request.model.as_deref(), &self.costs)
    }

    /// What makes it like others, where only answers name the part of a resource that it takes from.
    pub(crate) fn likeness(&self) -> Option<&Likeness> {
        self.likeness.as_deref()
    }

    /// Keeps a verdict that is in the journal until it is told.
    pub(crate) fn keep(&self, verdict: Verdict) {
        *self.verdict.lock().unwrap_or_else(PoisonError::into_inner) = Some(verdict);
    }

    /// The verdict that was put into the journal, and where it is there.
    pub(crate) fn recorded(&self) -> Option<(Verdict, Place)> {
        let mut verdict = self.verdict.lock().unwrap_or_else(PoisonError::into_inner);
        let place = Place {
            line: self.request.line,
            position: self.entry?.begun.position,
        };
        verdict.take().map(|verdict| (verdict, place))
    }

    /// Notes that its request leaves. Whether it is the first time.
    pub(crate) fn leaves(&self) -> bool {
        self.in_flight.store(true, Ordering::Relaxed);
        self.first_left.get_or_init(Instant::now);
        self.sent.fetch_add(1, Ordering::Relaxed) == 0
    }

    /// How long ago its first attempt left; nothing if none has.
    pub(crate) fn took(&self) -> Duration {
        self.first_left
            .get()
            .map_or(Duration::ZERO, Instant::elapsed)
    }

    /// Notes that an answer or an error came back.
    pub(crate) fn is_back(&self, error: Option<&HttpError>) {
        if let Some(error) = error {
            self.note(Setback::of(error));
        }
        self.in_flight.store(false, Ordering::Relaxed);
    }

    /// Notes that an answer is not what it has to be.
    pub(crate) fn is_invalid(&self, fault: &str, answer: &Answer) {
        let kept = Kept::new(answer.status, answer.request_id.as_deref(), &answer.body);
        self.note(Setback {
            message: record::beginning(fault),
            answer: Some(kept),
        });
    }

    /// Notes that an attempt was given up after so long.
    pub(crate) fn timed_out(&self, limit: Duration) {
        self.note(Setback {
            message: too_long(limit),
            answer: None,
        });
        self.in_flight.store(false, Ordering::Relaxed);
    }

    /// The error of the last attempt, and the last answer that there was.
    pub(crate) fn last(&self) -> MutexGuard<'_, Option<Box<Setback>>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, mut setback: Setback) {
        let last = &mut *self.last();
        let before = last.take().and_then(|before| before.answer);
        setback.answer = setback.answer.or(before);
        *last = Some(Box::new(setback));
    }

    fn is_last(&self) -> bool {
        self.entry.is_some_and(|entry| entry.is_last)
    }

    fn bytes_waited_for(&self) -> usize {
        if self.is_last() {
            0
        } else {
            let path = self.request.url_path.as_ref().map_or(0, String::len);
            let row = self.request.row.as_ref().map_or(0, Row::bytes);
            self.request.body.len() + path + row
        }
    }

    /// How often it was really sent.
    pub(crate) fn sent(&self) -> u32 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Whether it was sent and nothing came back.
    pub(crate) fn is_in_flight(&self) -> bool {
        self.in_flight.load(Ordering::Relaxed)
    }
}

/// The memory for requests that were read and are not over, in bytes of their bodies and paths: 32 MiB.
const BODY_BYTES_MAX: usize = 32 << 20;

/// The jobs that were read and are not over: after an early stop each of them gets its line.
#[derive(Debug, Default)]
pub(crate) struct OpenJobs {
    state: Mutex<State>,
    room: Condvar,
}

#[derive(Debug, Default)]
struct State {
    jobs: BTreeMap<u64, Arc<Job>>,
    body_bytes: usize,
    closed: bool,
}

impl OpenJobs {
    /// Takes in a job, and waits while those that are open fill the memory for them. One that is to be run
    /// last must not be waited for: it is run when all are read.
    pub(crate) fn add(&self, job: &Arc<Job>) {
        let mut state = self.lock();
        while state.body_bytes > BODY_BYTES_MAX && !state.closed && !job.is_last() {
            state = self
                .room
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        state.body_bytes += job.bytes_waited_for();
        state.jobs.insert(job.index, Arc::clone(job));
    }

    /// Takes out a job that is over.
    pub(crate) fn remove(&self, job: &Job) {
        let mut state = self.lock();
        if state.jobs.remove(&job.index).is_some() {
            state.body_bytes -= job.bytes_waited_for();
            self.room.notify_one();
        }
    }

    /// Ends all waiting for room, now and later: the run is over.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.room.notify_all();
    }

    /// Takes out all that are left, in the order of the output.
    pub(crate) fn take(&self) -> Vec<Arc<Job>> {
        let mut state = self.lock();
        state.body_bytes = 0;
        std::mem::take(&mut state.jobs).into_values().collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

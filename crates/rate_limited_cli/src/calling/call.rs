//! One attempt: a request out, an answer back.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rate_limited::http::{Answer, HttpError, Unit};
use rate_limited::{Amount, Class, Resources, sent};
use rate_limited_store::Digest;
use tokio::time::timeout;

use crate::asking::schema::Schema;
use crate::calling::backend::Backend;
use crate::calling::meters::Meters;
use crate::calling::names::Names;
use crate::calling::preset::Route;
use crate::reading::request::Method;
use crate::reporting::observer::Observer;
use crate::running::job::{self, Job};
use crate::telling::latencies::Latencies;
use crate::telling::warnings::Warnings;
use crate::values::size;
use crate::writing::record::code;

/// A good answer.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) answer: Answer,
    /// The tokens that it says were used.
    pub(crate) tokens: Option<u64>,
    /// What is wrong with it, where it has to fit a schema.
    pub(crate) fault: Option<String>,
    /// Whether it had to.
    pub(crate) is_json: bool,
}

impl Reply {
    /// What it says was charged to a resource of the API, or was used of its unit.
    pub(crate) fn used(&self, resource: &str, unit: Unit) -> Option<Amount> {
        let charged = self.answer.charges.iter();
        let charged = charged.filter(|(known, _)| *known == resource);
        let used = self.answer.used.iter().filter(|(known, _)| *known == unit);
        let mut both = charged.map(|it| it.1).chain(used.map(|it| it.1));
        both.next()
    }
}

/// Why there is no good answer.
#[derive(Debug)]
pub(crate) enum CallError {
    Http(HttpError),
    /// The answer was longer than so many bytes.
    TooLarge(HttpError, u64),
    /// It broke off after it had left: it may have been done, and must not be done twice.
    MaybeDone(HttpError),
    /// It took longer than an attempt may.
    TooLong {
        limit: Duration,
        maybe_done: bool,
    },
    /// It was held back, since the first answers said that no call can succeed.
    HeldBack,
}

/// What is said of a call that may have been done.
const MAYBE_DONE: &str = "it may have been done, and is not sent again (--on-unknown)";

impl CallError {
    /// Whether the call may have been done, and must not be done twice.
    pub(crate) fn is_maybe_done(&self) -> bool {
        matches!(
            self,
            CallError::MaybeDone(_)
                | CallError::TooLong {
                    maybe_done: true,
                    ..
                }
        )
    }

    /// The error of the client.
    pub(crate) fn http(&self) -> Option<&HttpError> {
        match self {
            CallError::Http(error)
            | CallError::TooLarge(error, _)
            | CallError::MaybeDone(error) => Some(error),
            CallError::TooLong { .. } | CallError::HeldBack => None,
        }
    }

    /// What happened, without the code.
    pub(crate) fn message(&self) -> Cow<'_, str> {
        match self {
            CallError::Http(error) => error.message().into(),
            _ => self.to_string().into(),
        }
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CallError::Http(error) => error.fmt(f),
            CallError::TooLarge(_, max_answer) => write!(
                f,
                "the answer is longer than {}: raise --max-answer",
                size::shown(*max_answer)
            ),
            CallError::MaybeDone(error) => write!(f, "{}: {MAYBE_DONE}", error.message()),
            CallError::TooLong { limit, maybe_done } => {
                f.write_str(&job::too_long(*limit))?;
                match maybe_done {
                    true => write!(f, ": {MAYBE_DONE}"),
                    false => Ok(()),
                }
            }
            CallError::HeldBack => f.write_str("the request was held back"),
        }
    }
}

impl std::error::Error for CallError {}

/// Makes attempts; shared by all of them.
#[derive(Debug)]
pub(crate) struct Caller {
    /// Those who are asked: the members of a pool, or one.
    backends: Vec<Backend>,
    route: Route,
    names: Names,
    warnings: Warnings,
    /// What good answers must fit.
    schema: Option<Schema>,
    observer: Arc<Observer>,
    /// How long an attempt may take before the runner drops it.
    timeout: Duration,
    /// The longest answer that is read, in bytes.
    max_answer: u64,
    /// Whether nothing that may have been done is sent again.
    once: bool,
    attempts: AtomicU64,
    retries: AtomicU64,
    latencies: Latencies,
}

impl Caller {
    /// A caller of the members of a pool, or of one.
    pub(crate) fn new(backends: Vec<Backend>, route: Route) -> Caller {
        Caller {
            backends,
            route,
            names: Names::of(None),
            warnings: Warnings::default(),
            schema: None,
            observer: Arc::default(),
            timeout: Duration::MAX,
            max_answer: u64::MAX,
            once: false,
            attempts: AtomicU64::new(0),
            retries: AtomicU64::new(0),
            latencies: Latencies::default(),
        }
    }

    /// Tells the time that the runner gives to an attempt, and the longest answer that is read.
    pub(crate) fn bounds(self, timeout: Duration, max_answer: u64) -> Caller {
        Caller {
            timeout,
            max_answer,
            ..self
        }
    }

    /// Sends nothing again that may have been done, but what does not change anything and what the API
    /// recognises. Then the time of an attempt is watched here: only here it is known which is which.
    pub(crate) fn once(self, once: bool) -> Caller {
        Caller { once, ..self }
    }

    /// Whether a call may be sent again whatever became of it.
    fn may_repeat(&self, job: &Job) -> bool {
        // What one account of a pool has done another one does not recognise.
        let recognised = matches!(&*self.backends, [only] if only.client.recognises_calls());
        !self.once || job.request.method == Method::Get || recognised
    }

    /// Tells the journal, by which calls are known to the API for good.
    pub(crate) fn known_by(self, journal: Option<Digest>) -> Caller {
        let names = Names::of(journal);
        Caller { names, ..self }
    }

    /// Warns people of what they should know.
    pub(crate) fn warning(self, warnings: Warnings) -> Caller {
        Caller { warnings, ..self }
    }

    /// Tells what becomes of attempts.
    pub(crate) fn observed_by(self, observer: &Arc<Observer>) -> Caller {
        let observer = Arc::clone(observer);
        Caller { observer, ..self }
    }

    /// Looks whether good answers fit a schema.
    pub(crate) fn checking(self, schema: Option<Schema>) -> Caller {
        Caller { schema, ..self }
    }

    /// Makes one attempt by the member at this place.
    pub(crate) async fn call(
        self: Arc<Self>,
        member: usize,
        job: Arc<Job>,
    ) -> Result<Reply, CallError> {
        let backend = &self.backends[member];
        let trip = Trip::new(&job, self.timeout);
        let pass = match &backend.gate {
            Some(gate) => {
                // What waits at the gate has not left; the client tells when it does.
                sent::defer();
                Some(gate.pass().await.map_err(|_| CallError::HeldBack)?)
            }
            None => None,
        };
        self.attempts.fetch_add(1, Ordering::Relaxed);
        let is_retry = !job.leaves();
        if is_retry {
            self.retries.fetch_add(1, Ordering::Relaxed);
        }
        let was_tried = job.entry.is_some_and(|entry| entry.begun.attempts > 0);
        let watched = self.observer.leaves(is_retry || was_tried, self.timeout);
        let started = Instant::now();
        let Some(answer) = self.in_time(self.send(backend, &job)).await else {
            let (limit, maybe_done) = (self.timeout, !self.may_repeat(&job));
            return Err(CallError::TooLong { limit, maybe_done });
        };
        trip.ends(answer.as_ref().err());
        self.note(backend, &job, &answer, started.elapsed());
        drop(pass);
        let fault = self.schema.as_ref().zip(answer.as_ref().ok());
        let fault = fault.and_then(|(schema, answer)| schema.fault(&answer.body));
        watched.came(answer.as_ref().err(), fault.is_none());
        let answer = answer.map_err(|error| self.failed(&job, error))?;
        if let Some(fault) = &fault {
            job.is_invalid(fault, &answer);
        }
        Ok(Reply {
            tokens: answer.usage(),
            answer,
            fault,
            is_json: self.schema.is_some(),
        })
    }

    /// What it comes to; `None` if it takes too long, where that is watched here.
    async fn in_time<T>(&self, sending: impl Future<Output = T>) -> Option<T> {
        if self.once {
            timeout(self.timeout, sending).await.ok()
        } else {
            Some(sending.await)
        }
    }

    async fn send(&self, backend: &Backend, job: &Job) -> Result<Answer, HttpError> {
        let (client, path) = (&backend.client, self.route.path(&job.request));
        match job.request.method {
            Method::Get => client.get(path).await,
            Method::Post if client.recognises_calls() => {
                let (body, name) = (backend.body(&job.request.body), self.names.name(job));
                client.post_once(path, body, &name).await
            }
            Method::Post => client.post(path, backend.body(&job.request.body)).await,
        }
    }

    /// Why the member at this place is of no use, if it is.
    pub(crate) fn fatal(&self, member: usize) -> Option<&str> {
        let backend = self.backends.get(member)?;
        backend.fatal.get().map(String::as_str)
    }

    /// The attempts that were made.
    pub(crate) fn attempts(&self) -> u64 {
        self.attempts.load(Ordering::Relaxed)
    }

    /// Those of them that were not the first one of their call.
    pub(crate) fn retries(&self) -> u64 {
        self.retries.load(Ordering::Relaxed)
    }

    /// How long good answers take on average.
    pub(crate) fn mean_latency(&self) -> Option<Duration> {
        self.latencies.mean()
    }

    /// How long the latest good answers took.
    pub(crate) fn latest_latencies(&self) -> Vec<Duration> {
        self.latencies.latest()
    }

    fn failed(&self, job: &Job, error: HttpError) -> CallError {
        if error.is_unknown() && !self.may_repeat(job) {
            return CallError::MaybeDone(error);
        }
        // A server may have a code of this name, too, but not in an answer that is a success.
        let is_success = |answer: &Answer| (200..300).contains(&answer.status);
        if error.code() == code::TOO_LARGE && error.answer().is_some_and(is_success) {
            return CallError::TooLarge(error, self.max_answer);
        }
        CallError::Http(error)
    }

    fn note(
        &self,
        backend: &Backend,
        job: &Job,
        answer: &Result<Answer, HttpError>,
        took: Duration,
    ) {
        let heard = answer.as_ref().map_or_else(HttpError::answer, Some);
        if let Some(heard) = heard {
            self.warnings.of(heard);
        }
        if let Some(most) = backend.client.connections_max() {
            self.warnings.of_few_files(most);
        }
        if let Ok(answer) = answer {
            let asked = backend.model.as_ref().or(job.request.model.as_ref());
            self.warnings.of_model(asked.map(String::as_str), answer);
            self.latencies.note(took);
        }
        if let Err(error) = answer
            && error.class() == Class::Fatal
        {
            backend.fatal.get_or_init(|| error.to_string());
        }
        let Some(gate) = &backend.gate else { return };
        match answer {
            Err(error) if error.class() == Class::Fatal => gate.shut(),
            // Without an answer nothing is known of the key.
            Err(error) if error.answer().is_none() => {}
            _ => gate.open(),
        }
    }
}

/// An attempt under way. Dropped before it ends it was given up: for its time-out, or with the run,
/// and only then it is not known what became of it.
struct Trip<'a> {
    job: &'a Job,
    timeout: Duration,
    started: Instant,
    ended: bool,
}

/// How much earlier than this clock says the runner may find an attempt too long.
const TIMER_SLACK: Duration = Duration::from_millis(10);

impl Trip<'_> {
    fn new(job: &Job, timeout: Duration) -> Trip<'_> {
        Trip {
            job,
            timeout,
            started: Instant::now(),
            ended: false,
        }
    }

    fn ends(mut self, error: Option<&HttpError>) {
        self.ended = true;
        self.job.is_back(error);
    }
}

impl Drop for Trip<'_> {
    fn drop(&mut self) {
        if !self.ended && is_too_long(self.started, self.timeout) {
            self.job.timed_out(self.timeout);
        }
    }
}

/// Whether what began then, and is dropped now, outlived a time-out.
pub(crate) fn is_too_long(started: Instant, timeout: Duration) -> bool {
    started.elapsed().saturating_add(TIMER_SLACK) >= timeout
}

/// What an error means, with the resource that a refusal names.
pub(crate) fn class_of(
    error: &(dyn std::error::Error + Send + Sync + 'static),
    meters: &Meters,
    resources: &Resources,
) -> Class {
    match error.downcast_ref() {
        Some(CallError::Http(error) | CallError::TooLarge(error, _)) => {
            let spoken_of = error.resource().filter(|name| meters.has(name));
            let spoken_of = spoken_of.and_then(|name| resources.find(name));
            error.class_with(|unit| spoken_of.or_else(|| meters.named(unit, resources)))
        }
        Some(
            CallError::MaybeDone(_)
            | CallError::TooLong {
                maybe_done: true, ..
            },
        ) => Class::Permanent,
        // Of a pool it goes to another member, as what found the key to be bad does.
        Some(CallError::HeldBack) if meters.is_pool() => Class::Fatal,
        Some(CallError::HeldBack) => Class::NotSent,
        Some(CallError::TooLong { .. }) | None => Class::Failure,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Trip;
    use crate::calling::preset::Route;
    use crate::reading::input::{Item, Reader};
    use crate::running::job::Job;

    fn job() -> Job {
        let mut lines = Reader::stream(&b"{\"input\":\"cat\"}"[..], "-");
        let Some(Ok(Item::Request(request))) = lines.next() else {
            panic!("a request")
        };
        Job::new(0, request, &Route::default(), 0)
    }

    #[test]
    fn what_a_dropped_attempt_means_depends_on_its_age() {
        let job = job();
        for (timeout, in_flight) in [(Duration::from_secs(9), true), (Duration::ZERO, false)] {
            let trip = Trip::new(&job, timeout);
            job.leaves();
            drop(trip);
            assert_eq!(job.is_in_flight(), in_flight);
        }
        let last = job.last();
        let message = last.as_deref().map(|last| last.message.as_str());
        let told = "no answer within the time-out of 0ns for an attempt";
        assert_eq!((job.sent(), message), (2, Some(told)));
    }
}

//! The runner: a function, the limits of its API, and a list of calls.

mod background;
mod plan;
mod pooled;
#[cfg(feature = "calendar")]
mod wall;

use crate::account::Account;
use crate::blueprint::{Blueprint, Resources};
use crate::clock::Clock;
use crate::driver::Driver;
use crate::error::{ConfigError, RunError, ScheduleError};
use crate::handle::Handle;
use crate::inputs::Inputs;
use crate::limiter::Limiter;
use crate::recorder::Recorder;
use crate::resource::Resource;
use crate::result::{CallResult, SharedError};
use pooled::answering;
use rate_limited_core::{
    Backoff, Class, Failure, Feedback, MaxConcurrent, Order, Progress, QuotaError, ResourceId,
    Settings, Stop,
};
use std::error::Error;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

/// The largest bound that `max_concurrent` finds out by itself.
const MAX_CONCURRENT: u32 = 4_096;

/// Runs calls to a rate-limited API as fast as its limits allow, and never faster.
///
/// Build it, [`schedule`](Runner::schedule) calls, [`run`](Runner::run). What is interrupted goes on
/// with the next `run`.
///
/// ```
/// use rate_limited::{Resource, Runner};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut runner = Runner::new(|n: u32| async move { Ok::<_, std::io::Error>(n * n) })
///     .resource(Resource::per_minute("requests", 3_500))
///     .max_retries(3);
/// for n in 0..3 {
///     runner.schedule(n)?;
/// }
/// let squares: Vec<_> = runner.run_blocking()?.into_iter().map(|call| call.value).collect();
/// assert_eq!(squares, [Some(0), Some(1), Some(4)]);
/// # Ok(())
/// # }
/// ```
pub struct Runner<Req, Resp> {
    state: State<Req, Resp>,
    settings: Settings,
    deadline: Option<Duration>,
    buffer: Option<usize>,
    clock: Clock,
    #[cfg(feature = "calendar")]
    wall: Option<Arc<dyn Fn() -> std::time::SystemTime + Send + Sync>>,
    limiter: Option<Limiter>,
    handle: Handle,
    /// Results of the calls so far, in the order of scheduling, until they are handed out for good.
    results: Vec<CallResult<Resp>>,
    /// The number of the call that the first of them belongs to.
    base: u64,
    stopped: Option<Stop>,
    recorder: Option<Box<dyn Recorder<Req, Resp>>>,
}

enum State<Req, Resp> {
    Declared(Blueprint<Req, Resp>),
    Ready(Box<Driver<Req, Resp>>),
    /// The declaration was refused.
    Broken(ConfigError),
}

/// A call that is over.
#[derive(Debug)]
#[non_exhaustive]
pub struct Finished<Req, Resp> {
    /// Its number in the order of scheduling, from 0.
    pub index: u64,
    /// The request.
    pub request: Req,
    /// What it came to.
    pub result: CallResult<Resp>,
    /// Why it failed; `None` for a success, and for a call that could not be scheduled.
    pub why: Option<Failure>,
    /// Whether it was over before this run: its result comes from the journal.
    pub restored: bool,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Summary {
    /// Why it stopped early; `None`: every call is over.
    pub stop: Option<Stop>,
    /// The numbers.
    pub progress: Progress,
    /// The calls that were over before: their results come from the journal.
    pub restored: u64,
}

impl<Req, Resp> std::fmt::Debug for Runner<Req, Resp> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runner")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl<Req, Resp> Runner<Req, Resp>
where
    Req: Clone + Send + 'static,
    Resp: Send + 'static,
{
    /// A runner of `function`, without limits. The function is called once an attempt, with a clone
    /// of the request; a large request is best an `Arc`.
    pub fn new<F, Fut, E>(function: F) -> Runner<Req, Resp>
    where
        F: Fn(Req) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Resp, E>> + Send + 'static,
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        Runner::of(Blueprint::new(answering(move |_, request| {
            function(request)
        })))
    }

    fn of(blueprint: Blueprint<Req, Resp>) -> Runner<Req, Resp> {
        Runner {
            state: State::Declared(blueprint),
            settings: Settings {
                max_concurrent: MaxConcurrent::Auto {
                    start: 64,
                    most: most_concurrent(),
                },
                ..Settings::default()
            },
            deadline: None,
            buffer: None,
            clock: Clock::Real,
            #[cfg(feature = "calendar")]
            wall: None,
            limiter: None,
            handle: Handle::default(),
            results: Vec::new(),
            base: 0,
            stopped: None,
            recorder: None,
        }
    }

    /// Adds a resource that the calls take from.
    #[must_use]
    pub fn resource(self, resource: Resource<Req, Resp>) -> Self {
        self.declare(|blueprint| blueprint.resources.push(resource))
    }

    /// Takes from this limiter, beside others: its resources count what all of them do, and a refusal of one
    /// pauses all. A [`Resource`] of a name that the limiter has is the limiter's and must have its quota, or
    /// be [told by name alone](Resource::shared); others are added to it. Default: a limiter of its own.
    ///
    /// The runner follows the limiter's clock.
    ///
    /// ```
    /// use rate_limited::{Limiter, Resource, Runner};
    ///
    /// # async fn ask(n: u32) -> Result<u32, std::io::Error> { Ok(n) }
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let limiter = Limiter::new([Resource::per_minute("requests", 60)])?;
    /// let nightly = Runner::new(ask).limiter(&limiter).resource(Resource::shared("requests"));
    /// let urgent = Runner::new(ask).limiter(&limiter).resource(Resource::shared("requests"));
    /// # drop((nightly, urgent));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn limiter(mut self, limiter: &Limiter) -> Self {
        self.limiter = Some(limiter.clone());
        self.clock = limiter.account().clock();
        self.declare(|_| ())
    }

    /// Adds a validator: an answer that it rejects is asked for again. With several of them all must
    /// accept; the first that does not ends the asking. One that panics does not accept.
    #[must_use]
    pub fn validate(self, accepts: impl Fn(&Resp) -> bool + Send + Sync + 'static) -> Self {
        self.declare(|blueprint| blueprint.validators.push(Box::new(accepts)))
    }

    /// What an error means. Default: a passing failure, tried again.
    #[must_use]
    pub fn classify(
        self,
        class: impl Fn(&(dyn Error + Send + Sync + 'static), &Resources) -> Class
        + Send
        + Sync
        + 'static,
    ) -> Self {
        self.declare(|blueprint| blueprint.classify = Box::new(class))
    }

    /// What an answer or an error tells of the resources: their limits, in their units and over their windows, and
    /// what remains of them. A limit below the one that was told holds at once, one above it never does. Where
    /// less remains than this run alone can have used, the difference is left alone until it has come back.
    /// Default: nothing, limits are taken as told and as refusals show them.
    ///
    /// ```
    /// use rate_limited::{Amount, Feedback, Resource, Runner};
    ///
    /// # struct Answer { limit: u32, remaining: u32 }
    /// # async fn ask(_: u32) -> Result<Answer, std::io::Error> { Ok(Answer { limit: 500, remaining: 499 }) }
    /// let runner = Runner::new(ask)
    ///     .resource(Resource::per_minute("requests", 3_500))
    ///     .feedback(|end, resources| {
    ///         let told = end.ok().map(|answer| Feedback {
    ///             limit: Some(Amount::units(answer.limit)),
    ///             remaining: Some(Amount::units(answer.remaining)),
    ///             ..Feedback::default()
    ///         });
    ///         resources.find("requests").zip(told).into_iter().collect()
    ///     });
    /// # let _ = runner;
    /// ```
    #[must_use]
    pub fn feedback(
        self,
        read: impl Fn(
            Result<&Resp, &(dyn Error + Send + Sync + 'static)>,
            &Resources,
        ) -> Vec<(ResourceId, Feedback)>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        self.declare(|blueprint| blueprint.feedback = Some(Box::new(read)))
    }

    /// How often a failed call is tried again. Default 5; refusals do not count.
    #[must_use]
    pub fn max_retries(self, max_retries: u16) -> Self {
        self.set(|settings| settings.max_retries = max_retries)
    }

    /// How many attempts may be in flight. Default: found out, from 64 up to the lower of 4,096 and
    /// half of the process's limit on open files.
    #[must_use]
    pub fn max_concurrent(self, max_concurrent: u32) -> Self {
        self.set(|settings| settings.max_concurrent = MaxConcurrent::Fixed(max_concurrent))
    }

    /// How long one attempt may take. Default 600 s; `None` waits for ever.
    #[must_use]
    pub fn attempt_timeout(self, timeout: Option<Duration>) -> Self {
        self.set(|settings| settings.attempt_timeout = timeout)
    }

    /// How long one call may take from its first attempt on. Default `None`: as long as its attempts.
    #[must_use]
    pub fn call_timeout(self, timeout: Option<Duration>) -> Self {
        self.set(|settings| settings.call_timeout = timeout)
    }

    /// For how long attempts may be started, counted from the first call scheduled or run; what is in
    /// flight then may finish. Default: no limit.
    #[must_use]
    pub fn deadline(mut self, deadline: Option<Duration>) -> Self {
        self.deadline = deadline;
        self.declare(|_| ())
    }

    /// For how long there may be nothing but failures and refusals before the run stops. Default
    /// 30 min; `None`: for ever.
    #[must_use]
    pub fn stall_limit(self, limit: Option<Duration>) -> Self {
        self.set(|settings| settings.stall_limit = limit)
    }

    /// How long to wait before a failed call is tried again.
    #[must_use]
    pub fn backoff(self, backoff: Backoff) -> Self {
        self.set(|settings| settings.backoff = backoff)
    }

    /// Which of the waiting calls goes first. Default [`Order::Packed`]; results are in the order of
    /// scheduling either way.
    #[must_use]
    pub fn order(self, order: Order) -> Self {
        self.set(|settings| settings.order = order)
    }

    /// How many requests [`Runner::stream`] takes before their results are taken from it: so many results at
    /// most are kept because an earlier call is not over, or because nobody asks. Default: 4 times
    /// `max_concurrent`, at least 1,024.
    #[must_use]
    pub fn buffer(mut self, buffer: usize) -> Self {
        self.buffer = Some(buffer);
        self.declare(|_| ())
    }

    /// The seed of the jitter in back-offs. Default: another one in each process.
    #[must_use]
    pub fn seed(self, seed: u64) -> Self {
        self.set(|settings| settings.seed = seed)
    }

    /// Follows the clock of tokio, which a test can pause. To be called inside the runtime; a
    /// [limiter](Runner::limiter) told later brings its own.
    #[must_use]
    pub fn tokio_clock(mut self) -> Self {
        self.clock = Clock::tokio();
        self
    }

    /// Keeps a journal: what is done is not repeated by a later run, also after a crash, and the limits
    /// count what was used before. It is opened with the first call.
    ///
    /// Within a run, two calls that are alike are two calls. What is scheduled after a run came to its end is taken
    /// from the journal, as another process would take it.
    #[cfg(feature = "journal")]
    #[must_use]
    pub fn journal(mut self, recording: crate::journal::Recording<Req, Resp>) -> Self {
        self.recorder = Some(Box::new(recording.recorder()));
        self.declare(|_| ())
    }

    /// Adds a call and returns its number, from 0: results come in that order.
    ///
    /// # Errors
    /// A call that costs more than a whole quota, or a cost that is no amount; and, at the first
    /// call, resources that cannot be metered as declared.
    pub fn schedule(&mut self, request: Req) -> Result<u64, ScheduleError> {
        let index = self
            .driver()?
            .schedule(request)
            .map_err(|(error, _)| error)?;
        place(&mut self.results, index - self.base);
        Ok(index)
    }

    /// Runs the calls that are not over, and gives the results of all, in the order of scheduling.
    ///
    /// After an interruption or another early [stop](Runner::stopped) the results have gaps; the next
    /// `run` goes on, repeats nothing that is done, and gives all of them.
    ///
    /// # Errors
    /// Resources that cannot be metered as declared.
    pub async fn run(&mut self) -> Result<Vec<CallResult<Resp>>, RunError>
    where
        Resp: Clone,
    {
        self.driver()?;
        let (State::Ready(driver), results) = (&mut self.state, &mut self.results) else {
            unreachable!("it was made above")
        };
        let base = self.base;
        let mut each = |finished: Finished<Req, Resp>| {
            *place(results, finished.index - base) = finished.result;
        };
        let stopped = driver.run(Inputs::none(), &mut each).await;
        self.stopped = stopped.map_err(RunError::Record)?;
        if self.stopped.is_none() {
            self.base = driver.scheduled();
            return Ok(std::mem::take(&mut self.results));
        }
        for (index, errors, attempts) in driver.unfinished() {
            let result = place(&mut self.results, index - base);
            (result.errors, result.attempts) = (errors.to_vec(), attempts);
        }
        Ok(self.results.clone())
    }

    /// As [`Runner::run`], for code that is not async: it blocks until the run is over.
    ///
    /// # Errors
    /// As [`Runner::run`]; and [`RunError::InsideRuntime`] inside an async runtime, which it would
    /// block.
    pub fn run_blocking(&mut self) -> Result<Vec<CallResult<Resp>>, RunError>
    where
        Resp: Clone,
    {
        if tokio::runtime::Handle::try_current().is_ok() {
            return Err(RunError::InsideRuntime);
        }
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build();
        runtime.map_err(RunError::Runtime)?.block_on(self.run())
    }

    /// Runs `inputs` and hands each call out as it ends, in the order in which they end. Memory stays
    /// bounded however long the list is.
    ///
    /// A call that can never fit is handed out with that error; the others go on.
    ///
    /// # Errors
    /// Resources that cannot be metered as declared.
    pub async fn run_each(
        &mut self,
        inputs: Inputs<Req>,
        mut each: impl FnMut(Finished<Req, Resp>) + Send,
    ) -> Result<Summary, RunError> {
        let driver = self.driver()?;
        let stop = driver.run(inputs, &mut each).await;
        let stop = stop.map_err(RunError::Record)?;
        let (progress, scheduled) = (driver.progress(), driver.scheduled());
        let restored = driver.restored();
        self.stopped = stop;
        if stop.is_none() {
            // All of them were handed out here.
            self.results.clear();
            self.base = scheduled;
        }
        Ok(Summary {
            stop,
            progress,
            restored,
        })
    }

    /// Why the last run stopped early; `None` if it came to its end.
    pub fn stopped(&self) -> Option<Stop> {
        self.stopped
    }

    /// What the runs so far did: how full each limit was, latencies, attempts, refusals, the slowest calls. It is kept in
    /// bounded memory and shown as a page, as JSON or as a few lines; calls have their numbers there, and nothing
    /// of requests, answers or the texts of errors is in it.
    ///
    /// With a [journal](Runner::journal) it tells of the runs that earlier processes made with it, too, and tells them apart
    /// (`earlier`); their calls are named `call 17 of an earlier run`. A kill loses what was counted in the last 10 s, but
    /// no number of calls that are over.
    ///
    /// ```
    /// use rate_limited::{Resource, Runner};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let mut runner = Runner::new(|n: u32| async move { Ok::<_, std::io::Error>(n) })
    ///     .resource(Resource::per_minute("requests", 3_500));
    /// runner.schedule(7)?;
    /// runner.run_blocking()?;
    /// let report = runner.report("squares");
    /// assert_eq!((report.calls.succeeded, report.attempts.total), (1, 1));
    /// println!("{}", report.to_text());
    /// assert!(report.to_html().contains("requests"));
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "report")]
    pub fn report(&self, title: &str) -> crate::Report {
        match &self.state {
            State::Ready(driver) => driver.report(title),
            _ => crate::witness::Witness::default().report(title, None),
        }
    }

    /// What keeps the journal from being written, if anything does: the run has stopped for that.
    pub fn journal_error(&self) -> Option<SharedError> {
        match &self.state {
            State::Ready(driver) => driver.record_error(),
            _ => None,
        }
    }

    /// A hand on the runner for other tasks and threads.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    fn declare(mut self, change: impl FnOnce(&mut Blueprint<Req, Resp>)) -> Self {
        match &mut self.state {
            State::Declared(blueprint) => change(blueprint),
            // What was scheduled before would not keep to it.
            State::Ready(_) => self.state = State::Broken(ConfigError::TooLate),
            State::Broken(_) => {}
        }
        self
    }

    fn set(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(&mut self.settings);
        self.declare(|_| ())
    }

    /// The driver, made at first use.
    fn driver(&mut self) -> Result<&mut Driver<Req, Resp>, ConfigError> {
        if let State::Declared(_) = &self.state {
            self.make_driver();
        }
        match &mut self.state {
            State::Ready(driver) => Ok(driver),
            State::Broken(error) => Err(error.clone()),
            State::Declared(_) => unreachable!("it was made above"),
        }
    }

    fn make_driver(&mut self) {
        let unmade = State::Broken(QuotaError::Unnamed.into());
        let State::Declared(blueprint) = std::mem::replace(&mut self.state, unmade) else {
            return;
        };
        let settings = Settings {
            deadline: self.deadline.map(|deadline| self.clock.now() + deadline),
            ..self.settings.clone()
        };
        let account = match &self.limiter {
            Some(limiter) => Arc::clone(limiter.account()),
            None => Account::new(self.clock),
        };
        #[cfg(feature = "calendar")]
        if let Some(wall) = self.wall.take() {
            account.open().calendars_mut().set_wall(wall);
        }
        let handle = self.handle.clone();
        let recorder = self.recorder.take();
        self.state = match Driver::new(blueprint, settings, account, handle, recorder) {
            Ok(driver) => State::Ready(Box::new(driver)),
            Err(error) => State::Broken(error),
        };
    }
}

/// The result at an index; calls that came in by another way may lie before it.
fn place<Resp>(results: &mut Vec<CallResult<Resp>>, index: u64) -> &mut CallResult<Resp> {
    let index = usize::try_from(index).expect("fewer calls than memory");
    if results.len() <= index {
        results.resize_with(index + 1, CallResult::unfinished);
    }
    &mut results[index]
}

/// Half of the open files that the process may have, at most [`MAX_CONCURRENT`].
fn most_concurrent() -> u32 {
    #[cfg(unix)]
    let files = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    #[cfg(not(unix))]
    let files = None;
    let half = files.map_or(u64::MAX, |files: u64| files / 2);
    u32::try_from(half)
        .unwrap_or(u32::MAX)
        .clamp(1, MAX_CONCURRENT)
}

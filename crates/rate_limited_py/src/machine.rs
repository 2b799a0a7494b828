//! One run's scheduler, from which Python's workers pull.

use crate::account::{self, lock};
use crate::clock::now;
use crate::step::{self, Step};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use rate_limited_core::{
    Amount, AttemptId, CallId, Class, Cost, Input, MaxConcurrent, Outcome, Output, ResourceId,
    ScheduleError, Scheduler, SchedulerId, Settings, Wait, WaitingOn,
};
use std::collections::VecDeque;
use std::io::{ErrorKind, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

/// One run's scheduler.
///
/// Calls have numbers from 0 in the order of scheduling; attempts have numbers of their own. Workers on
/// threads pull with `take` and `turn`, which wait without the interpreter's lock; a loop pulls with
/// `take_nowait` and `turn_nowait`, and watches `fileno` for news from other threads.
#[pyclass(frozen, module = "rate_limited._native")]
pub(crate) struct Machine {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    id: SchedulerId,
    state: Mutex<State>,
    /// Workers on threads wait here.
    news: Condvar,
    /// A loop waits here: a byte is written when it may have something to do.
    pipe: (UnixStream, UnixStream),
}

#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
struct State {
    scheduler: Option<Scheduler>,
    resources: Vec<ResourceId>,
    /// The number of each unfinished call, by the index of its id.
    numbers: Vec<u64>,
    /// The id of each call that was asked for by number, for cancelling.
    scheduled: u64,
    /// Attempts and their calls, by the index of the attempt's id.
    attempts: Vec<Option<(AttemptId, CallId)>>,
    /// Attempts that were given up, whose answers still win while their calls are unfinished.
    late: Vec<(u64, CallId)>,
    /// What is to be done and no worker has taken yet.
    ready: VecDeque<Step>,
    /// Whether every end of a call is told.
    tells_ends: bool,
    /// Whether the run goes on when nothing is left to do.
    stays: bool,
    /// Workers on threads that wait, and whether one of them keeps the time.
    idle: u32,
    timed: bool,
    /// A worker was woken or asked for and has not come yet.
    coming: bool,
    /// Whether a loop waits.
    parked: bool,
    over: Option<&'static str>,
    /// What the run waits for, as it said last.
    wait: Option<Wait>,
}

/// How an attempt ended, in the words of the Python side.
fn class_of(class: &str, retry_after: Option<f64>) -> PyResult<Class> {
    Ok(match class {
        "success" => Class::Success,
        "invalid" => Class::Invalid,
        "failure" => Class::Failure,
        "permanent" => Class::Permanent,
        "fatal" => Class::Fatal,
        "refused" => Class::Refused {
            resource: None,
            retry_after: retry_after.and_then(|wait| Duration::try_from_secs_f64(wait).ok()),
        },
        other => {
            return Err(PyValueError::new_err(format!(
                "there is no class {other:?}"
            )));
        }
    })
}

#[pymethods]
impl Machine {
    /// A machine over these resources; `max_concurrent` None finds the bound out.
    #[new]
    #[pyo3(signature = (resources, max_concurrent, max_retries, timeout, seed))]
    fn new(
        resources: Vec<usize>,
        max_concurrent: Option<u32>,
        max_retries: u16,
        timeout: Option<f64>,
        seed: u64,
    ) -> PyResult<Machine> {
        let attempt_timeout = timeout
            .map(Duration::try_from_secs_f64)
            .transpose()
            .map_err(|_| PyValueError::new_err("the time-out is no time"))?;
        let settings = Settings {
            max_concurrent: max_concurrent
                .map_or_else(MaxConcurrent::default, MaxConcurrent::Fixed),
            max_retries,
            attempt_timeout,
            seed,
            ..Settings::default()
        };
        Inner::new(&resources, settings).map(|inner| Machine { inner })
    }

    /// Adds a call with its cost of each resource, in the order in which they were given; returns its
    /// number. Raises `ValueError` where the call could never run.
    fn schedule(&self, costs: Vec<f64>) -> PyResult<u64> {
        self.inner.schedule(&costs)
    }

    /// What to do next; waits for it without the interpreter's lock.
    fn take<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        self.inner.take(py)
    }

    /// Reports how an attempt ended, then as `take`. `usage` has the real usage of each resource, or
    /// None where it is not known.
    #[pyo3(signature = (attempt, class_, usage=None, retry_after=None))]
    fn turn<'py>(
        &self,
        py: Python<'py>,
        attempt: u64,
        class_: &str,
        usage: Option<Vec<Option<f64>>>,
        retry_after: Option<f64>,
    ) -> PyResult<Bound<'py, PyTuple>> {
        self.inner
            .finish(attempt, class_of(class_, retry_after)?, usage.as_deref());
        self.inner.take(py)
    }

    /// As `take`, but where it would wait it says so instead.
    fn take_nowait<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let (step, another) = self.inner.step_now();
        step.to_python(py, another)
    }

    /// As `turn`, but where it would wait it says so instead.
    #[pyo3(signature = (attempt, class_, usage=None, retry_after=None))]
    fn turn_nowait<'py>(
        &self,
        py: Python<'py>,
        attempt: u64,
        class_: &str,
        usage: Option<Vec<Option<f64>>>,
        retry_after: Option<f64>,
    ) -> PyResult<Bound<'py, PyTuple>> {
        self.inner
            .finish(attempt, class_of(class_, retry_after)?, usage.as_deref());
        self.take_nowait(py)
    }

    /// Reports how an attempt ended, and nothing else.
    #[pyo3(signature = (attempt, class_, usage=None, retry_after=None))]
    fn finish(
        &self,
        attempt: u64,
        class_: &str,
        usage: Option<Vec<Option<f64>>>,
        retry_after: Option<f64>,
    ) -> PyResult<()> {
        self.inner
            .finish(attempt, class_of(class_, retry_after)?, usage.as_deref());
        Ok(())
    }

    /// Begins a run, or goes on with one. `stays`: the run is not over when nothing is left to do.
    /// `tells_ends`: every end of a call is a step of its own.
    fn begin(&self, stays: bool, tells_ends: bool) {
        self.inner.begin(stays, tells_ends);
    }

    /// Nothing new is started; what is in flight may finish.
    fn stop(&self) {
        self.inner.input(Input::Stop);
    }

    /// As `stop`, and what is in flight is given up.
    fn halt(&self) {
        self.inner.input(Input::Halt);
    }

    /// The run is over as soon as nothing is left to do.
    fn drain(&self) {
        lock(&self.inner.state).stays = false;
        self.inner.nudge();
    }

    /// What a loop can watch: it has something to read when there may be something to do.
    fn fileno(&self) -> i32 {
        self.inner.pipe.0.as_raw_fd()
    }

    /// The numbers of calls and attempts, and what the run waits for.
    fn progress<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        self.inner.progress(py)
    }
}

impl Inner {
    fn new(resources: &[usize], settings: Settings) -> PyResult<Arc<Inner>> {
        let pipe = UnixStream::pair()?;
        pipe.0.set_nonblocking(true)?;
        pipe.1.set_nonblocking(true)?;
        let mut limiter = account::limiter();
        let resources = resources
            .iter()
            .map(|index| crate::resource::find(&limiter, *index));
        let resources = resources.collect::<PyResult<Vec<_>>>()?;
        let scheduler = Scheduler::new(&mut limiter, settings, now());
        drop(limiter);
        let id = scheduler.id();
        let state = State {
            scheduler: Some(scheduler),
            resources,
            numbers: Vec::new(),
            scheduled: 0,
            attempts: Vec::new(),
            late: Vec::new(),
            ready: VecDeque::new(),
            tells_ends: false,
            stays: false,
            idle: 0,
            timed: false,
            coming: false,
            parked: false,
            over: Some(""),
            wait: None,
        };
        let state = Mutex::new(state);
        let inner = Arc::new(Inner {
            id,
            state,
            news: Condvar::new(),
            pipe,
        });
        account::register(id, Arc::downgrade(&inner));
        Ok(inner)
    }

    fn schedule(&self, costs: &[f64]) -> PyResult<u64> {
        let state = &mut *lock(&self.state);
        let mut inline = [Cost::default(); 8];
        let mut many = Vec::new();
        let list = if costs.len() <= 8 {
            &mut inline[..costs.len()]
        } else {
            many.resize(costs.len(), Cost::default());
            &mut many[..]
        };
        for (slot, (resource, units)) in list.iter_mut().zip(state.resources.iter().zip(costs)) {
            let amount = Amount::cost(*units);
            let amount = amount.map_err(|error| PyValueError::new_err(error.to_string()))?;
            *slot = Cost::new(*resource, amount);
        }
        let scheduler = state
            .scheduler
            .as_mut()
            .expect("it is there until the machine is dropped");
        let id = scheduler
            .schedule(&mut account::limiter(), list, now())
            .map_err(refused)?;
        let number = state.scheduled;
        state.scheduled += 1;
        if state.numbers.len() <= id.index() {
            state.numbers.resize(id.index() + 1, 0);
        }
        state.numbers[id.index()] = number;
        self.tell(state);
        Ok(number)
    }

    fn begin(&self, stays: bool, tells_ends: bool) {
        let state = &mut *lock(&self.state);
        (state.stays, state.tells_ends, state.over) = (stays, tells_ends, None);
        state.handle(Input::Resume);
    }

    fn input(&self, input: Input) {
        lock(&self.state).handle(input);
        self.nudge();
    }

    /// Wakes whoever waits: something may have changed.
    pub(crate) fn nudge(&self) {
        let state = &mut *lock(&self.state);
        if state.idle > 0 {
            self.news.notify_all();
        }
        self.tell_loop(state);
    }

    /// Wakes one who waits.
    fn tell(&self, state: &mut State) {
        if state.idle > 0 && !state.coming {
            state.coming = true;
            self.news.notify_one();
        }
        self.tell_loop(state);
    }

    fn tell_loop(&self, state: &mut State) {
        if std::mem::take(&mut state.parked) {
            // A full pipe has news enough in it.
            match (&self.pipe.1).write(&[1]) {
                Err(error) if error.kind() != ErrorKind::WouldBlock => state.parked = true,
                _ => {}
            }
        }
    }

    fn finish(&self, number: u64, class: Class, usage: Option<&[Option<f64>]>) {
        lock(&self.state).finish(number, class, usage);
        self.wake_others();
    }

    /// Wakes the machines that wait for what came back here. Call it without holding the state.
    fn wake_others(&self) {
        let wakes = account::limiter().take_wakes();
        account::wake(&wakes, Some(self.id));
    }

    /// The next step, and whether one more worker is wanted. A loop that gets a wait is parked.
    fn step_now(&self) -> (Step, bool) {
        let step = {
            let state = &mut *lock(&self.state);
            state.coming = false;
            let step = state.next();
            state.parked |= matches!(step, Step::Wait { .. });
            (step, self.wants_another(state, step))
        };
        self.wake_others();
        step
    }

    /// Whether there is more to do at once: then a waiting worker is woken, or a new one is wanted.
    fn wants_another(&self, state: &mut State, step: Step) -> bool {
        if !matches!(
            step,
            Step::Dispatch { .. } | Step::Abandon { .. } | Step::Ended { .. }
        ) {
            return false;
        }
        if state.coming {
            return false;
        }
        let keeper = state.idle > 0;
        if state.prefetch() {
            state.coming = true;
            if keeper {
                self.news.notify_one();
            }
            return !keeper;
        }
        // Someone has to keep the time while all others work.
        state.coming = !keeper && state.needs_a_keeper();
        state.coming
    }

    fn take<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let (step, another) = {
            let state = &mut *lock(&self.state);
            state.coming = false;
            let step = state.next();
            (step, self.wants_another(state, step))
        };
        if !matches!(step, Step::Wait { .. }) {
            self.wake_others();
            return step.to_python(py, another);
        }
        let (step, another) = py.detach(|| self.wait());
        step.to_python(py, another)
    }

    /// Waits until there is something to do.
    fn wait(&self) -> (Step, bool) {
        let mut state = lock(&self.state);
        loop {
            state.coming = false;
            let step = state.next();
            let Step::Wait { seconds } = step else {
                let another = self.wants_another(&mut state, step);
                drop(state);
                self.wake_others();
                return (step, another);
            };
            let wakes = account::limiter().take_wakes();
            if wakes.iter().any(|id| *id != self.id) {
                drop(state);
                account::wake(&wakes, Some(self.id));
                state = lock(&self.state);
                continue;
            }
            state = self.sleep(state, seconds);
        }
    }

    /// One of the waiting workers keeps the time; the others wait for news only.
    fn sleep<'a>(
        &self,
        mut state: MutexGuard<'a, State>,
        seconds: Option<f64>,
    ) -> MutexGuard<'a, State> {
        state.idle += 1;
        let keeps_time = !state.timed && seconds.is_some();
        state.timed |= keeps_time;
        let mut state = match seconds.filter(|_| keeps_time) {
            Some(seconds) => {
                let longest = Duration::from_secs(3_600);
                let left = Duration::try_from_secs_f64(seconds)
                    .unwrap_or(longest)
                    .min(longest);
                let waited = self.news.wait_timeout(state, left);
                waited.unwrap_or_else(std::sync::PoisonError::into_inner).0
            }
            None => self
                .news
                .wait(state)
                .unwrap_or_else(std::sync::PoisonError::into_inner),
        };
        state.idle -= 1;
        if keeps_time {
            state.timed = false;
            // Another one that waits keeps it from now on, if this one has something to do.
            if state.idle > 0 {
                self.news.notify_one();
            }
        }
        state
    }

    fn progress<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let state = lock(&self.state);
        let progress = state.scheduler.as_ref().expect("it is there").progress();
        let dict = PyDict::new(py);
        let numbers = [
            ("scheduled", progress.scheduled),
            ("waiting", progress.waiting),
            ("in_flight", progress.in_flight),
            ("done", progress.done),
            ("failed", progress.failed),
            ("attempts", progress.attempts),
            ("failures", progress.failures),
            ("invalid", progress.invalid),
            ("refusals", progress.refusals),
            ("timeouts", progress.timeouts),
            ("max_concurrent", progress.max_concurrent.into()),
        ];
        for (name, number) in numbers {
            dict.set_item(name, number)?;
        }
        let wait = state.wait;
        let left = wait
            .and_then(|wait| wait.until)
            .map(|until| until.since(now()).as_secs_f64());
        dict.set_item("waiting_on", wait.map(|wait| waiting_on(wait.on)))?;
        dict.set_item("wait_seconds", left)?;
        Ok(dict)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        account::forget(self.id);
        let state = self
            .state
            .get_mut()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(scheduler) = state.scheduler.take() {
            scheduler.leave(&mut account::limiter(), now());
        }
    }
}

impl State {
    fn scheduler(&mut self) -> &mut Scheduler {
        self.scheduler
            .as_mut()
            .expect("it is there until the machine is dropped")
    }

    fn handle(&mut self, input: Input) {
        self.scheduler()
            .handle(&mut account::limiter(), input, now());
    }

    /// What to do next.
    fn next(&mut self) -> Step {
        let step = self.ready.pop_front().unwrap_or_else(|| self.poll());
        if let Step::Dispatch { attempt, .. } = step
            && let Some((attempt, _)) = self.attempt(attempt)
        {
            self.handle(Input::Sent { attempt });
        }
        step
    }

    /// Whether there is more to do at once.
    fn prefetch(&mut self) -> bool {
        if self.ready.is_empty() {
            let step = self.poll();
            if !matches!(step, Step::Wait { .. } | Step::Over { .. }) {
                self.ready.push_back(step);
            }
        }
        !self.ready.is_empty()
    }

    fn needs_a_keeper(&mut self) -> bool {
        self.wait.is_some_and(|wait| wait.until.is_some())
    }

    fn poll(&mut self) -> Step {
        if let Some(why) = self.over {
            return Step::Over { why };
        }
        loop {
            let output = {
                let scheduler = self.scheduler.as_mut().expect("it is there");
                scheduler.poll(&mut account::limiter(), now())
            };
            self.wait = None;
            match output {
                Output::Dispatch {
                    call,
                    attempt,
                    number,
                } => return self.dispatch(call, attempt, number),
                Output::Abandon { call, attempt, why } => {
                    let number = number_of(attempt);
                    self.attempts[attempt.index()].take_if(|(id, _)| *id == attempt);
                    self.late.push((number, call));
                    let call = self.numbers[call.index()];
                    return Step::Abandon {
                        attempt: number,
                        call,
                        why: step::abandoned(why),
                    };
                }
                Output::Done { call } if self.tells_ends => {
                    return Step::Ended {
                        call: self.numbers[call.index()],
                        why: "",
                    };
                }
                Output::Failed { call, why } => {
                    return Step::Ended {
                        call: self.numbers[call.index()],
                        why: step::failure(why),
                    };
                }
                Output::Wait(wait) => {
                    self.wait = Some(wait);
                    return Step::Wait {
                        seconds: seconds_of(wait),
                    };
                }
                Output::Stopped(why) => return self.end(step::stopped(why)),
                Output::Idle if self.stays => return Step::Wait { seconds: None },
                Output::Idle => return self.end(""),
                _ => {}
            }
        }
    }

    fn end(&mut self, why: &'static str) -> Step {
        self.over = Some(why);
        Step::Over { why }
    }

    fn dispatch(&mut self, call: CallId, attempt: AttemptId, number: u32) -> Step {
        if self.attempts.len() <= attempt.index() {
            self.attempts.resize(attempt.index() + 1, None);
        }
        self.attempts[attempt.index()] = Some((attempt, call));
        Step::Dispatch {
            attempt: number_of(attempt),
            call: self.numbers[call.index()],
            number,
        }
    }

    /// The attempt of a number, if it is in flight.
    fn attempt(&self, number: u64) -> Option<(AttemptId, CallId)> {
        let index = (number & u64::from(u32::MAX)) as usize;
        let found = self.attempts.get(index).copied().flatten();
        found.filter(|(attempt, _)| number_of(*attempt) == number)
    }

    fn finish(&mut self, number: u64, class: Class, usage: Option<&[Option<f64>]>) {
        let Some((attempt, _)) = self.attempt(number) else {
            return self.finish_late(number, class);
        };
        self.attempts[attempt.index()] = None;
        let known = usage.unwrap_or_default().iter().zip(&self.resources);
        let known = known.filter_map(|(units, resource)| {
            let amount = Amount::usage((*units)?).ok()?;
            Some(Cost::new(*resource, amount))
        });
        let usage: Vec<Cost> = known.collect();
        let outcome = Outcome::new(class).with_usage(&usage);
        self.handle(Input::Finished { attempt, outcome });
    }
}

impl State {
    /// An attempt that was given up has ended after all.
    fn finish_late(&mut self, number: u64, class: Class) {
        let Some(place) = self.late.iter().position(|(late, _)| *late == number) else {
            return;
        };
        let (_, call) = self.late.swap_remove(place);
        if class == Class::Success {
            self.handle(Input::Late { call });
        }
    }
}

/// The refusal of a call, with the name that the user gave the resource.
fn refused(error: ScheduleError) -> PyErr {
    let ScheduleError::NeverFits {
        name, cost, quota, ..
    } = &error
    else {
        return PyValueError::new_err(error.to_string());
    };
    let name = name.split('#').next().unwrap_or_default();
    PyValueError::new_err(format!(
        "call exceeds resource quota: it costs {cost} of {name:?}, whose quota is {quota}, so it can \
         never run: make the call smaller or raise the quota"
    ))
}

/// A number for an attempt that is never used again.
fn number_of(attempt: AttemptId) -> u64 {
    attempt.number()
}

fn seconds_of(wait: Wait) -> Option<f64> {
    wait.until.map(|until| until.since(now()).as_secs_f64())
}

fn waiting_on(on: WaitingOn) -> String {
    let name = |resource| {
        let limiter = account::limiter();
        limiter
            .name(resource)
            .split('#')
            .next()
            .unwrap_or_default()
            .to_owned()
    };
    match on {
        WaitingOn::Quota(resource) => format!("quota of {}", name(resource)),
        WaitingOn::Paused { resource, .. } => format!("the server's limit of {}", name(resource)),
        WaitingOn::Concurrency => "calls in flight".into(),
        WaitingOn::Backoff => "the back-off of a retry".into(),
        WaitingOn::Probe => "the server to come back".into(),
        WaitingOn::Turn => "another run".into(),
        _ => "answers".into(),
    }
}

//! One run's scheduler, from which Python's workers pull.

mod pull;

use crate::account::{self, lock};
use crate::api::Api;
use crate::book::Book;
use crate::clock::now;
use crate::feedback;
use crate::journal::Journal;
use crate::outlook::Outlook;
use crate::pacing::Pacing;
use crate::state::{State, refused};
use crate::statistics::Statistics;
use crate::step::class_of;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use rate_limited_apis::Answer;
use rate_limited_core::{
    Amount, Class, Cost, Feedback, Input, MaxConcurrent, ResourceId, Scheduler, SchedulerId,
    Settings,
};
use std::io::{ErrorKind, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Condvar, Mutex};
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
    pub(crate) state: Mutex<State>,
    /// Workers on threads wait here.
    news: Condvar,
    /// A loop waits here: a byte is written when it may have something to do.
    pipe: (UnixStream, UnixStream),
}

fn bound(told: Option<u32>) -> MaxConcurrent {
    told.map_or_else(MaxConcurrent::default, MaxConcurrent::Fixed)
}

#[pymethods]
impl Machine {
    /// A machine over these resources; `max_concurrent` None finds the bound out. The first requests of
    /// a run, as many as may be in flight, are spread over `pacing` seconds. What it does is counted in
    /// `statistics`.
    #[new]
    #[pyo3(signature = (resources, max_concurrent, max_retries, timeout, seed, pacing=None, statistics=None))]
    fn new(
        resources: Vec<usize>,
        max_concurrent: Option<u32>,
        max_retries: u16,
        timeout: Option<f64>,
        seed: u64,
        pacing: Option<f64>,
        statistics: Option<PyRef<'_, Statistics>>,
    ) -> PyResult<Machine> {
        let attempt_timeout = timeout
            .map(Duration::try_from_secs_f64)
            .transpose()
            .map_err(|_| PyValueError::new_err("the time-out is no time"))?;
        let settings = Settings {
            max_concurrent: bound(max_concurrent),
            max_retries,
            attempt_timeout,
            seed,
            ..Settings::default()
        };
        let paced = match settings.max_concurrent {
            MaxConcurrent::Fixed(most) => most,
            MaxConcurrent::Auto { start, .. } => start,
            _ => 1,
        };
        let pacing = pacing.map(|seconds| Pacing::new(seconds, paced));
        let statistics = statistics.map(|it| it.shared()).unwrap_or_default();
        let pacing = pacing.transpose()?;
        Inner::new(&resources, settings, pacing, statistics).map(|inner| Machine { inner })
    }

    /// The run as it stands, to plan with.
    fn outlook(&self, py: Python<'_>) -> Outlook {
        py.detach(|| {
            let state = lock(&self.inner.state);
            Outlook::of(&state, &mut account::limiter(), now())
        })
    }

    /// Adds a call with its cost of each resource, in the order in which they were given; returns its
    /// number. Raises `ValueError` where the call could never run. `position`: where it is in the
    /// journal; `last`: it is run when nothing else is left.
    #[pyo3(signature = (costs, position=None, last=false, keys=None))]
    fn schedule(
        &self,
        costs: Vec<f64>,
        position: Option<u64>,
        last: bool,
        keys: Option<Vec<Option<String>>>,
    ) -> PyResult<u64> {
        let keys = keys.unwrap_or_default();
        self.inner.schedule(&costs, &keys, position, last)
    }

    /// The number of a call that is over already.
    fn number(&self) -> u64 {
        lock(&self.inner.state).number()
    }

    /// The answer of a call, encoded for its journal; None: it cannot be.
    fn answered(&self, number: u64, body: Option<Vec<u8>>) {
        if let Some(book) = &mut lock(&self.inner.state).book {
            book.answered(number, body);
        }
    }

    /// Nobody wants this call any more: its attempt, which ends next, was not made.
    fn unwanted(&self, number: u64) {
        lock(&self.inner.state).unwanted.insert(number);
    }

    /// Nobody wants this call any more: whether its journal has heard nothing of it, and never will.
    fn withdraw(&self, number: u64) -> bool {
        lock(&self.inner.state).withdraw(number)
    }

    /// What went wrong with an attempt of a call, for its journal.
    fn failed(&self, number: u64, kind: String, text: String) {
        if let Some(book) = &mut lock(&self.inner.state).book {
            book.failed(number, kind, text);
        }
    }

    /// Waits until all that was taken down is safe.
    fn flush(&self, py: Python<'_>) {
        let last = {
            let state = &mut *lock(&self.inner.state);
            state.learn(true);
            state.book.as_ref().and_then(|book| book.last())
        };
        if let Some((journal, ticket)) = last {
            // An error is there for whoever asks.
            let _ = py.detach(|| journal.wait(ticket));
        }
    }

    /// From now on takes down in a journal what it does, and counts what the journal says was used.
    fn attach(&self, journal: &Journal) {
        self.inner.attach(journal);
    }

    /// What to do next; waits for it without the interpreter's lock.
    fn take<'py>(&self, py: Python<'py>, run: u64) -> PyResult<Bound<'py, PyTuple>> {
        self.inner.take(py, run)
    }

    /// Reports how an attempt ended, then as `take`. `usage` has the real usage of each resource, or
    /// None where it is not known; `code` names the failure in a report.
    #[pyo3(signature = (run, attempt, class_, usage=None, retry_after=None, code=None))]
    #[expect(clippy::too_many_arguments, reason = "each has a name in Python")]
    fn turn<'py>(
        &self,
        py: Python<'py>,
        run: u64,
        attempt: u64,
        class_: &str,
        usage: Option<Vec<Option<f64>>>,
        retry_after: Option<f64>,
        code: Option<&str>,
    ) -> PyResult<Bound<'py, PyTuple>> {
        self.inner.finish(
            attempt,
            class_of(class_, retry_after)?,
            usage.as_deref(),
            code,
        );
        self.inner.take(py, run)
    }

    /// As `take`, but where it would wait it says so instead.
    fn take_nowait<'py>(&self, py: Python<'py>, run: u64) -> PyResult<Bound<'py, PyTuple>> {
        let (step, another) = self.inner.step_now(run);
        step.to_python(py, another)
    }

    /// As `turn`, but where it would wait it says so instead.
    #[pyo3(signature = (run, attempt, class_, usage=None, retry_after=None, code=None))]
    #[expect(clippy::too_many_arguments, reason = "each has a name in Python")]
    fn turn_nowait<'py>(
        &self,
        py: Python<'py>,
        run: u64,
        attempt: u64,
        class_: &str,
        usage: Option<Vec<Option<f64>>>,
        retry_after: Option<f64>,
        code: Option<&str>,
    ) -> PyResult<Bound<'py, PyTuple>> {
        self.inner.finish(
            attempt,
            class_of(class_, retry_after)?,
            usage.as_deref(),
            code,
        );
        self.take_nowait(py, run)
    }

    /// Reports how an attempt ended, and nothing else.
    #[pyo3(signature = (attempt, class_, usage=None, retry_after=None, code=None))]
    fn finish(
        &self,
        attempt: u64,
        class_: &str,
        usage: Option<Vec<Option<f64>>>,
        retry_after: Option<f64>,
        code: Option<&str>,
    ) -> PyResult<()> {
        self.inner.finish(
            attempt,
            class_of(class_, retry_after)?,
            usage.as_deref(),
            code,
        );
        Ok(())
    }

    /// What the answer of an attempt, or its exception, tells of resources, read by the description of their API;
    /// to be told before the attempt is finished. `resources`: those that the API describes, by their names
    /// there, with their numbers. `status`: 0 where the client shows none.
    fn hear(
        &self,
        attempt: u64,
        api: PyRef<'_, Api>,
        resources: Vec<(String, usize)>,
        status: u16,
        headers: Vec<(String, String)>,
        body: &[u8],
    ) -> PyResult<()> {
        let answer = Answer::new(status, &headers, body);
        self.inner
            .hear(attempt, feedback::told(&api, &resources, &answer)?);
        Ok(())
    }

    /// Begins a run, or goes on with one. `stays`: the run is not over when nothing is left to do.
    /// `tells_ends`: every end of a call is a step of its own.
    /// Returns the number of the run: workers of earlier runs are told that those are over.
    fn begin(&self, stays: bool, tells_ends: bool) -> u64 {
        self.inner.begin(stays, tells_ends)
    }

    /// A worker has done what a step other than `DISPATCH` asked for; a run is not over before that.
    fn handled(&self) {
        self.inner.handled();
    }

    /// Nothing new is started; what is in flight may finish.
    fn stop(&self) {
        self.inner.input(Input::Stop);
    }

    /// As `stop`, and what is in flight is given up.
    fn halt(&self) {
        lock(&self.inner.state).halt();
        self.inner.nudge();
    }

    /// Nothing new is started before `unpause`; what is in flight goes on, and a run is not over.
    fn pause(&self) {
        self.inner.input(Input::Pause);
    }

    /// Ends a pause.
    fn unpause(&self) {
        self.inner.input(Input::Unpause);
    }

    /// Changes how many attempts may be in flight; None finds that out.
    #[pyo3(signature = (max_concurrent))]
    fn set_max_concurrent(&self, max_concurrent: Option<u32>) {
        let max_concurrent = bound(max_concurrent);
        self.inner.input(Input::SetMaxConcurrent { max_concurrent });
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
    fn new(
        resources: &[usize],
        settings: Settings,
        pacing: Option<Pacing>,
        statistics: Arc<crate::statistics::Shared>,
    ) -> PyResult<Arc<Inner>> {
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
        let state = State::new(scheduler, resources, pacing, statistics);
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

    fn attach(self: &Arc<Self>, journal: &Journal) {
        journal.replay();
        let shared = journal.shared();
        shared.listen(Arc::downgrade(self));
        let state = &mut *lock(&self.state);
        state.scheduler().keep_entries();
        state.book = Some(Box::new(Book::new(shared)));
    }

    fn schedule(
        &self,
        costs: &[f64],
        keys: &[Option<String>],
        position: Option<u64>,
        last: bool,
    ) -> PyResult<u64> {
        let state = &mut *lock(&self.state);
        let call = position.map(|position| state.asked(position));
        let call = call.transpose()?;
        let mut inline = [Cost::default(); 8];
        let mut many = Vec::new();
        let count = costs.len() + usize::from(state.pacing.is_some());
        let costs_of = if count <= 8 {
            &mut inline[..count]
        } else {
            many.resize(count, Cost::default());
            &mut many[..]
        };
        for (slot, (resource, units)) in costs_of.iter_mut().zip(state.resources.iter().zip(costs))
        {
            let amount = Amount::cost(*units);
            let amount = amount.map_err(|error| PyValueError::new_err(error.to_string()))?;
            *slot = Cost::new(*resource, amount);
        }
        if let (Some(pacing), Some(slot)) = (&state.pacing, costs_of.last_mut()) {
            *slot = pacing.cost();
        }
        state.take_parts(costs_of, keys);
        let number = state.scheduled;
        if last {
            state.last.push_back((costs_of.to_vec(), number));
        } else {
            state.schedule(costs_of, number).map_err(refused)?;
        }
        state.number();
        if let Some(call) = call {
            state.begins(number, call);
        }
        self.tell(state);
        Ok(number)
    }

    fn begin(&self, stays: bool, tells_ends: bool) -> u64 {
        let state = &mut *lock(&self.state);
        (state.stays, state.tells_ends, state.over) = (stays, tells_ends, None);
        state.run += 1;
        state.witness.begins(stays);
        state.unhandled = 0;
        (state.coming, state.parked) = (false, false);
        if let Some(pacing) = &mut state.pacing {
            pacing.begin();
        }
        state.handle(Input::Resume);
        // Workers of the run before must not wait for news of this one.
        self.news.notify_all();
        state.run
    }

    fn input(&self, input: Input) {
        lock(&self.state).handle(input);
        self.nudge();
    }

    fn handled(&self) {
        let left = {
            let state = &mut *lock(&self.state);
            state.unhandled = state.unhandled.saturating_sub(1);
            state.unhandled
        };
        if left == 0 {
            self.nudge();
        }
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

    fn finish(&self, number: u64, class: Class, usage: Option<&[Option<f64>]>, code: Option<&str>) {
        lock(&self.state).finish(number, class, usage, code);
        self.wake_others();
    }

    /// Takes in what the answer of an attempt tells; one that is no longer in flight tells nothing.
    fn hear(&self, number: u64, told: Vec<(ResourceId, Feedback)>) {
        let state = &mut *lock(&self.state);
        let Some((attempt, _)) = state.attempt(number) else {
            return;
        };
        for (resource, feedback) in told {
            state.handle(Input::Feedback {
                resource,
                attempt,
                feedback,
            });
        }
    }

    /// Wakes the machines that wait for what came back here. Call it without holding the state.
    fn wake_others(&self) {
        let wakes = account::limiter().take_wakes();
        account::wake(&wakes, Some(self.id));
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

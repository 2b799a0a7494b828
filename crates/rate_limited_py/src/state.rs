//! What a machine knows, behind its lock.

use crate::account;
use crate::book::Book;
use crate::clock::{self, now};
use crate::lookup::Call;
use crate::pacing::Pacing;
use crate::statistics::{Shared, Witness};
use crate::step::{self, Step};
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::{PyErr, PyResult};
use rate_limited_core::{
    Amount, AttemptId, CallId, Class, Cost, Failure, Input, Outcome, Output, Quota, ResourceId,
    ScheduleError, Scheduler, Time, Wait,
};
use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Moments that lie closer together are kept by one sleep, and waits that are shorter are not slept.
const MOMENT: Duration = Duration::from_micros(2);

#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub(crate) struct State {
    /// The number of the run: a worker of an earlier one has nothing to do any more.
    pub(crate) run: u64,
    pub(crate) scheduler: Option<Scheduler>,
    pub(crate) resources: Vec<ResourceId>,
    pub(crate) pacing: Option<Pacing>,
    /// The number of each unfinished call, by the index of its id.
    pub(crate) numbers: Vec<u64>,
    /// Calls scheduled so far.
    pub(crate) scheduled: u64,
    /// The numbers of calls that nobody wanted any more when their turn came: they were not made, and have not failed.
    pub(crate) unwanted: HashSet<u64>,
    /// Those of which the journal has heard nothing, and hears nothing.
    withdrawn: HashSet<u64>,
    /// Attempts and their calls, by the index of the attempt's id.
    pub(crate) attempts: Vec<Option<(AttemptId, CallId)>>,
    /// Attempts that were given up, whose answers still win while their calls are unfinished.
    pub(crate) late: Vec<(u64, CallId)>,
    /// What is to be done and no worker has taken yet.
    pub(crate) ready: VecDeque<Step>,
    /// Whether every end of a call is told.
    pub(crate) tells_ends: bool,
    /// Whether the run goes on when nothing is left to do.
    pub(crate) stays: bool,
    /// Steps other than dispatches that were told and are not done yet.
    pub(crate) unhandled: u32,
    /// Workers on threads that wait, and until when the one waits that keeps the time.
    pub(crate) idle: u32,
    pub(crate) keeper_until: Option<Instant>,
    /// A worker was woken or asked for and has not come yet.
    pub(crate) coming: bool,
    /// Whether a loop waits.
    pub(crate) parked: bool,
    pub(crate) over: Option<&'static str>,
    /// What the run waits for, as it said last.
    pub(crate) wait: Option<Wait>,
    /// Its part in the statistics of its runner.
    pub(crate) witness: Witness,
    /// Of each resource what good calls cost at most and what they used, in units.
    pub(crate) used: Vec<(f64, f64)>,
    /// What it has in a journal, if there is one.
    pub(crate) book: Option<Box<Book>>,
    /// Calls that are scheduled when nothing else is left, with their numbers.
    pub(crate) last: VecDeque<(Vec<Cost>, u64)>,
}

impl State {
    /// The state of a machine that has not begun to run.
    pub(crate) fn new(
        scheduler: Scheduler,
        resources: Vec<ResourceId>,
        pacing: Option<Pacing>,
        statistics: Arc<Shared>,
    ) -> State {
        State {
            run: 0,
            scheduler: Some(scheduler),
            witness: Witness::new(statistics),
            used: vec![(0.0, 0.0); resources.len()],
            resources,
            pacing,
            numbers: Vec::new(),
            scheduled: 0,
            unwanted: HashSet::new(),
            withdrawn: HashSet::new(),
            attempts: Vec::new(),
            late: Vec::new(),
            ready: VecDeque::new(),
            tells_ends: false,
            stays: false,
            unhandled: 0,
            idle: 0,
            keeper_until: None,
            coming: false,
            parked: false,
            over: Some(""),
            wait: None,
            book: None,
            last: VecDeque::new(),
        }
    }

    pub(crate) fn scheduler(&mut self) -> &mut Scheduler {
        self.scheduler
            .as_mut()
            .expect("it is there until the machine is dropped")
    }

    pub(crate) fn handle(&mut self, input: Input) {
        self.handle_at(input, now());
    }

    fn handle_at(&mut self, input: Input, now: Time) {
        self.scheduler().handle(&mut account::limiter(), input, now);
        self.charge();
    }

    /// Takes down what attempts took of the resources.
    fn charge(&mut self) {
        if self.book.is_none() {
            return;
        }
        let entries = self.scheduler().take_entries();
        if let Some(book) = &mut self.book {
            book.charge(entries, &self.resources);
        }
    }

    /// The number of the next call.
    pub(crate) fn number(&mut self) -> u64 {
        let number = self.scheduled;
        self.scheduled += 1;
        number
    }

    /// The call at this position of the journal, which was looked up.
    pub(crate) fn asked(&self, position: u64) -> PyResult<Call> {
        let call = self.book.as_ref().and_then(|book| book.asked(position));
        call.ok_or_else(|| PyRuntimeError::new_err("a call was scheduled that was not looked up"))
    }

    /// Nobody wants a call any more: whether the journal has heard nothing of it, and never will.
    pub(crate) fn withdraw(&mut self, number: u64) -> bool {
        let book = self.book.as_mut();
        if book.is_some_and(|book| book.withdraws(number)) {
            self.withdrawn.insert(number);
        }
        self.withdrawn.contains(&number)
    }

    /// A call that was looked up has this number, and is to be run; what it came to before counts no more.
    pub(crate) fn begins(&mut self, number: u64, call: Call) {
        let book = self.book.as_mut();
        if let Some(state) = book.and_then(|book| book.begins(number, call)) {
            self.witness
                .reopens(state == rate_limited_store::State::Failed);
        }
    }

    /// Lets a call take from the parts of the resources that these keys have; of what has none it takes of the
    /// resource itself.
    pub(crate) fn take_parts(&mut self, costs: &mut [Cost], keys: &[Option<String>]) {
        if keys.iter().all(Option::is_none) {
            return;
        }
        let limiter = &mut *account::limiter();
        let places = costs.iter_mut().zip(keys).enumerate();
        for (place, (cost, key)) in places {
            let Some(key) = key.as_deref().filter(|key| !key.is_empty()) else {
                continue;
            };
            let part = limiter.partition(cost.resource, key);
            cost.resource = part;
            if let Some(book) = &mut self.book {
                book.adds(part, (place, key), limiter);
            }
        }
    }

    /// Adds a call to the scheduler.
    pub(crate) fn schedule(&mut self, costs: &[Cost], number: u64) -> Result<(), ScheduleError> {
        let scheduler = self.scheduler();
        let id = scheduler.schedule(&mut account::limiter(), costs, now())?;
        if self.numbers.len() <= id.index() {
            self.numbers.resize(id.index() + 1, 0);
        }
        self.numbers[id.index()] = number;
        Ok(())
    }

    /// What to do next.
    pub(crate) fn next(&mut self, run: u64) -> Step {
        if run != self.run {
            return Step::Over { why: "asked" };
        }
        let recorded = self.recorded();
        let step = recorded
            .or_else(|| self.ready.pop_front())
            .unwrap_or_else(|| self.poll());
        match step {
            Step::Dispatch {
                attempt,
                call: told,
                number,
            } => {
                if let Some((attempt, call)) = self.attempt(attempt) {
                    let now = now();
                    let in_all = self.book.as_ref().and_then(|book| book.attempts(told));
                    let number = in_all.unwrap_or(number);
                    self.witness.leaves((call, attempt), number, now);
                    self.handle_at(Input::Sent { attempt }, now);
                }
            }
            Step::Abandon { .. } | Step::Ended { .. } => self.unhandled += 1,
            Step::Over { .. } | Step::Wait { .. } => {}
        }
        step
    }

    /// What has been written down and may happen now.
    fn recorded(&mut self) -> Option<Step> {
        let book = self.book.as_mut()?;
        let step = book.ends().or_else(|| book.leaves())?;
        let failed = book.error().is_some();
        if let (Step::Dispatch { attempt, call, .. }, true) = (step, failed) {
            // What was not surely written must not leave.
            book.stays(call);
            self.keep_back(attempt);
            return None;
        }
        Some(step)
    }

    /// Nothing may leave any more: the attempt was not made, and the run ends.
    fn keep_back(&mut self, number: u64) {
        self.handle(Input::Stop);
        if let Some((attempt, _)) = self.attempt(number) {
            self.attempts[attempt.index()] = None;
            let outcome = Outcome::new(Class::NotSent);
            self.handle(Input::Finished { attempt, outcome });
        }
    }

    /// Whether there is more to do at once.
    pub(crate) fn prefetch(&mut self) -> bool {
        if self.ready.is_empty() {
            let step = self.poll();
            if !matches!(step, Step::Wait { .. } | Step::Over { .. }) {
                self.ready.push_back(step);
            }
        }
        !self.ready.is_empty()
    }

    /// Gives up what is in flight: a report that is asked for now knows of it, whoever carries it out later.
    pub(crate) fn halt(&mut self) {
        // What no worker has taken yet does not leave.
        for step in std::mem::take(&mut self.ready) {
            match step {
                Step::Dispatch { attempt, .. } => self.keep_back(attempt),
                step => self.ready.push_back(step),
            }
        }
        self.handle(Input::Halt);
        for _ in 0..self.attempts.iter().flatten().count() {
            match self.poll() {
                Step::Wait { .. } | Step::Over { .. } => return,
                step => self.ready.push_back(step),
            }
        }
    }

    /// Whether there is a moment at which to ask again, and no worker that waits for it.
    pub(crate) fn needs_a_keeper(&self) -> bool {
        let Some(until) = self.wait.and_then(|wait| wait.until) else {
            return false;
        };
        let due = Instant::now() + until.since(now());
        self.idle == 0 || self.keeper_until.is_none_or(|kept| due + MOMENT < kept)
    }

    pub(crate) fn poll(&mut self) -> Step {
        if let Some(why) = self.over {
            return Step::Over { why };
        }
        self.look_if_due(now());
        loop {
            let now = now();
            let output = {
                let scheduler = self.scheduler.as_mut().expect("it is there");
                scheduler.poll(&mut account::limiter(), now)
            };
            self.wait = None;
            self.charge();
            match output {
                Output::Dispatch {
                    call,
                    attempt,
                    number,
                    ..
                } => {
                    if let Some(step) = self.dispatch(call, attempt, number) {
                        return step;
                    }
                }
                Output::Abandon { call, attempt, why } => {
                    return self.abandon(call, attempt, step::abandoned(why));
                }
                Output::Done { call: id } => {
                    let call = self.numbers[id.index()];
                    self.witness.over(id, call, None, now);
                    let told = self.tells_ends;
                    let step = told.then_some(Step::Ended { call, why: "" });
                    if let Some(step) = self.ended(call, None, step) {
                        return step;
                    }
                }
                Output::Failed { call, why } => {
                    if let Some(step) = self.failed(call, why, now) {
                        return step;
                    }
                }
                // What is over before anyone could fall asleep is asked again at once.
                Output::Wait(Wait { until: Some(t), .. }) if t <= clock::now() + MOMENT => {}
                Output::Wait(wait) => {
                    self.wait = Some(wait);
                    let look_again = account::limiter().look_again();
                    return Step::Wait {
                        seconds: seconds_of(wait).map(|seconds| {
                            look_again.map_or(seconds, |look| seconds.min(look.as_secs_f64()))
                        }),
                    };
                }
                // What was told has to be done first: its worker then wakes the others.
                Output::Stopped(_) | Output::Idle if self.unhandled > 0 || self.is_writing() => {
                    return Step::Wait { seconds: None };
                }
                Output::Idle if self.goes_on_with_the_last() => {}
                Output::Stopped(why) => return self.end(step::stopped(why)),
                Output::Idle if self.stays => return Step::Wait { seconds: None },
                Output::Idle => return self.end(""),
                _ => {}
            }
        }
    }

    /// A call has failed, or was not wanted any more.
    fn failed(&mut self, id: CallId, why: Failure, now: Time) -> Option<Step> {
        let call = self.numbers[id.index()];
        let told = State::failure(why);
        let step = Step::Ended { call, why: told };
        self.withdrawn.remove(&call);
        if self.unwanted.remove(&call) {
            if let Some(book) = &mut self.book {
                book.unwanted(call);
            }
            return Some(step);
        }
        self.witness.over(id, call, Some(told), now);
        self.ended(call, Some(why), Some(step))
    }

    /// Why a call failed, in a word.
    fn failure(why: Failure) -> &'static str {
        if let Failure::NeverFits(id) = why {
            let view = account::limiter().view(id, now());
            if matches!(view.resource.quota(), Quota::Budget { .. }) {
                return "spent";
            }
        }
        step::failure(why)
    }

    pub(crate) fn end(&mut self, why: &'static str) -> Step {
        if let Some(scheduler) = &self.scheduler {
            let progress = scheduler.progress();
            self.witness.look(&progress, &self.resources, &[now()]);
        }
        self.over = Some(why);
        Step::Over { why }
    }

    fn abandon(&mut self, call: CallId, attempt: AttemptId, why: &'static str) -> Step {
        let number = attempt.number();
        self.attempts[attempt.index()].take_if(|(id, _)| *id == attempt);
        self.late.push((number, call));
        self.witness.abandoned((call, attempt), why);
        let call = self.numbers[call.index()];
        if let Some(book) = &mut self.book {
            book.abandoned(number, call, why);
        }
        Step::Abandon {
            attempt: number,
            call,
            why,
        }
    }

    /// A call is over; it is told at once, or when that is written.
    fn ended(&mut self, call: u64, why: Option<Failure>, step: Option<Step>) -> Option<Step> {
        let Some(book) = &mut self.book else {
            return step;
        };
        if matches!(why, Some(Failure::Fatal | Failure::NeverFits(_))) {
            // Another key, or another limit, and it may succeed: it is asked again by the next run.
            book.gives_up(call);
            return step;
        }
        book.end(call, why.is_some(), step);
        None
    }

    /// Whether something is being written that the run has to wait for.
    fn is_writing(&self) -> bool {
        self.book.as_ref().is_some_and(|book| !book.is_settled())
    }

    /// Schedules the next of the calls that are run when nothing else is left.
    fn goes_on_with_the_last(&mut self) -> bool {
        let Some((costs, number)) = self.last.pop_front() else {
            return false;
        };
        // It was checked when it came in; a quota that was lowered since leaves it unfinished.
        let _ = self.schedule(&costs, number);
        true
    }

    /// An attempt that may leave now; `None`: it has to wait for that, or must not at all.
    fn dispatch(&mut self, call: CallId, attempt: AttemptId, number: u32) -> Option<Step> {
        if self.attempts.len() <= attempt.index() {
            self.attempts.resize(attempt.index() + 1, None);
        }
        self.attempts[attempt.index()] = Some((attempt, call));
        if let Some(pacing) = &mut self.pacing {
            pacing.dispatched();
        }
        let step = Step::Dispatch {
            attempt: attempt.number(),
            call: self.numbers[call.index()],
            number,
        };
        let book = self.book.as_mut();
        let is_withdrawn = self.withdrawn.contains(&self.numbers[call.index()]);
        let Some(book) = book.filter(|_| !is_withdrawn) else {
            return Some(step);
        };
        let scheduler = self.scheduler.as_ref().expect("it is there");
        let limiter = account::limiter();
        let reserved = scheduler.reserved(&limiter, attempt);
        let recorded = book.dispatch(step, reserved, &self.resources);
        drop(limiter);
        if !recorded {
            self.keep_back(attempt.number());
        }
        None
    }

    /// The attempt of a number, if it is in flight.
    pub(crate) fn attempt(&self, number: u64) -> Option<(AttemptId, CallId)> {
        let index = (number & u64::from(u32::MAX)) as usize;
        let found = self.attempts.get(index).copied().flatten();
        found.filter(|(attempt, _)| attempt.number() == number)
    }

    pub(crate) fn finish(
        &mut self,
        number: u64,
        class: Class,
        usage: Option<&[Option<f64>]>,
        code: Option<&str>,
    ) {
        let Some((attempt, call)) = self.attempt(number) else {
            return self.finish_late(number, class);
        };
        self.attempts[attempt.index()] = None;
        let now = now();
        self.look_if_due(now);
        if self.unwanted.contains(&self.numbers[call.index()]) {
            self.witness.stays((call, attempt));
        } else {
            self.witness.came((call, attempt), class, code, now);
        }
        if let (Class::Success, Some(usage)) = (class, usage) {
            self.compare(attempt, usage);
        }
        let call = self.numbers[call.index()];
        let known = usage.unwrap_or_default().iter().zip(&self.resources);
        let known = known.filter_map(|(units, resource)| {
            let amount = Amount::usage((*units)?).ok()?;
            Some(Cost::new(*resource, amount))
        });
        let usage: Vec<Cost> = known.collect();
        let outcome = Outcome::new(class).with_usage(&usage);
        self.handle_at(Input::Finished { attempt, outcome }, now);
        if class != Class::Success {
            self.came_back(call, class);
        }
        self.learn(false);
    }

    /// Compares what a good call used with what it cost at most.
    fn compare(&mut self, attempt: AttemptId, usage: &[Option<f64>]) {
        let costs = self.scheduler.as_ref().map(|it| it.costs_of(attempt));
        for (place, used) in usage.iter().enumerate() {
            let (Some(used), Some(id)) = (used, self.resources.get(place)) else {
                continue;
            };
            let mut costs = costs.unwrap_or_default().iter();
            if let Some(cost) = costs.find(|cost| cost.resource == *id) {
                let (bound, all) = &mut self.used[place];
                *bound += cost.amount.as_units();
                *all += used.max(0.0);
            }
        }
    }

    /// Looks at the run for its statistics, as it was until now.
    fn look_if_due(&self, now: Time) {
        if let Some(scheduler) = &self.scheduler {
            self.witness.look_if_due(scheduler, &self.resources, now);
        }
    }

    /// Takes down what was learnt of the resources: now and then, or at the end.
    pub(crate) fn learn(&mut self, is_end: bool) {
        if let Some(book) = &mut self.book {
            book.learn(&account::limiter(), &self.resources, is_end);
        }
    }

    /// Takes down that an attempt brought nothing.
    fn came_back(&mut self, call: u64, class: Class) {
        let Some(book) = &mut self.book else {
            return;
        };
        book.came_back(call);
        if matches!(class, Class::Refused { .. }) {
            let limiter = &mut *account::limiter();
            let now = now();
            let mut until = |id: &ResourceId| limiter.view(*id, now).paused_until;
            book.pause(self.resources.iter().map(&mut until));
            book.pause_parts(until);
        }
    }
}

impl State {
    /// An attempt that was given up has ended after all.
    pub(crate) fn finish_late(&mut self, number: u64, class: Class) {
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
pub(crate) fn refused(error: ScheduleError) -> PyErr {
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

fn seconds_of(wait: Wait) -> Option<f64> {
    wait.until.map(|until| until.since(now()).as_secs_f64())
}

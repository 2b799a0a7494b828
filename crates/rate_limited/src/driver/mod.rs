//! The driver: turns what the core says into tasks and timers of tokio.
//!
//! It is one loop of three phases: take in everything that happened, do everything that the core
//! says, sleep until something happens. Nothing is polled on a schedule.

mod attempts;
mod decisions;
mod looks;
mod outlook;
mod parts;
mod records;
mod wishes;
mod witnessed;

use crate::account::Account;
use crate::attempt::{End, Event};
use crate::blueprint::Blueprint;
use crate::clock::Clock;
use crate::error::{ConfigError, ScheduleError};
use crate::handle::{Handle, Told, Wishes};
use crate::inputs::Inputs;
use crate::recorder::{Place, Recorder, Setback};
use crate::result::{AttemptError, SharedError};
use crate::runner::Finished;
use crate::witness::Witness;
use rate_limited_core::{
    AttemptId, CallId, Class, Cost, Input, Limiter, Outcome, Output, Scheduler, Settings, Stop,
    Time, Wait,
};
use records::{Admitted, Records};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::AbortHandle;

/// How much is done before others that share the runtime get a turn.
const BATCH: usize = 1_024;

/// A runner at work, and its state between two runs.
pub(crate) struct Driver<Req, Resp> {
    blueprint: Arc<Blueprint<Req, Resp>>,
    account: Arc<Account>,
    scheduler: Scheduler,
    clock: Clock,
    handle: Handle,
    look_ahead: u64,
    attempt_timeout: Option<Duration>,
    deadline: Option<Time>,
    /// What belongs to each unfinished call, by the index of its id.
    calls: Vec<Option<Call<Req, Resp>>>,
    /// The tasks of the attempts in flight, by the index of their ids.
    tasks: Vec<Option<(AttemptId, AbortHandle)>>,
    events: (UnboundedSender<Event<Resp>>, UnboundedReceiver<Event<Resp>>),
    /// What the core has said and is not done yet; empty between two turns.
    said: Vec<Output>,
    /// What the latest call costs.
    costs: Vec<Cost>,
    /// Whether the core has been told something since it was asked.
    has_news: bool,
    /// Calls scheduled so far, those that never fit included.
    scheduled: u64,
    told: Told,
    wishes: Wishes,
    records: Option<Records<Req, Resp>>,
    witness: Witness,
}

/// A call as the driver has it.
struct Call<Req, Resp> {
    id: CallId,
    index: u64,
    request: Req,
    value: Option<Resp>,
    errors: Vec<AttemptError<Resp>>,
    attempts: u32,
    /// The place of the member that its latest attempt took.
    member: usize,
    /// Its place in the record, if there is one.
    place: Option<Place>,
}

/// What a turn of the loop came to.
enum Turn {
    /// There is more to do at once.
    More,
    Sleep(Wait),
    Idle,
    Stopped(Stop),
}

impl<Req, Resp> Driver<Req, Resp>
where
    Req: Clone + Send + 'static,
    Resp: Send + 'static,
{
    pub(crate) fn new(
        blueprint: Blueprint<Req, Resp>,
        settings: Settings,
        account: Arc<Account>,
        handle: Handle,
        recorder: Option<Box<dyn Recorder<Req, Resp>>>,
    ) -> Result<Self, ConfigError> {
        let clock = account.clock();
        let now = clock.now();
        let mut limiter = account.open();
        let mut ids = Vec::new();
        for resource in &blueprint.resources {
            ids.push(resource.bind(&mut limiter, &ids, now)?);
        }
        blueprint.name_ids(ids);
        let look_ahead = settings.look_ahead.into();
        let (attempt_timeout, deadline) = (settings.attempt_timeout, settings.deadline);
        let mut scheduler = Scheduler::new(&mut limiter, settings, now);
        for member in &blueprint.members {
            let account = limiter.account(&member.account);
            // A pool of too many was refused.
            let _ = scheduler.add_member(account);
        }
        limiter.hang_bell(scheduler.id(), handle.bell());
        drop(limiter);
        handle.belongs_to(&account);
        handle.has_members(&blueprint.members);
        let mut driver = Driver {
            blueprint: Arc::new(blueprint),
            account,
            scheduler,
            clock,
            handle,
            look_ahead,
            attempt_timeout,
            deadline,
            calls: Vec::new(),
            tasks: Vec::new(),
            events: unbounded_channel(),
            said: Vec::new(),
            costs: Vec::new(),
            has_news: false,
            scheduled: 0,
            told: Told::GoOn,
            wishes: Wishes::default(),
            records: recorder.map(Records::new),
            witness: Witness::default(),
        };
        driver.begin_records().map_err(ConfigError::Record)?;
        Ok(driver)
    }

    /// Adds a call and returns its index in the order of scheduling.
    pub(crate) fn schedule(&mut self, request: Req) -> Result<u64, (ScheduleError, Req)> {
        match self.admit(request) {
            Ok(Admitted::Settled(index)) => Ok(index),
            Ok(Admitted::Run(request, place)) => {
                let index = self.scheduled;
                self.enter(index, request, place)?;
                self.scheduled += 1;
                Ok(index)
            }
            Err((error, request)) => Err((ScheduleError::Record(error), request)),
        }
    }

    /// Hands a call to the scheduler.
    fn enter(
        &mut self,
        index: u64,
        request: Req,
        place: Option<Place>,
    ) -> Result<(), (ScheduleError, Req)> {
        let keys = match self.blueprint.costs(&request, &mut self.costs) {
            Ok(keys) => keys,
            Err(error) => return Err((error, request)),
        };
        let now = self.clock.now();
        let mut limiter = self.account.open();
        keys.choose(&mut limiter, &mut self.costs);
        if let Some(records) = &mut self.records {
            records.know(&limiter, &self.costs);
        }
        let id = match self.scheduler.schedule(&mut limiter, &self.costs, now) {
            Ok(id) => id,
            Err(error) => return Err((error.into(), request)),
        };
        let call = Call {
            id,
            index,
            request,
            value: None,
            errors: Vec::new(),
            attempts: 0,
            member: 0,
            place,
        };
        put(&mut self.calls, id.index(), call);
        Ok(())
    }

    async fn go(
        &mut self,
        mut inputs: Inputs<Req>,
        each: &mut (dyn FnMut(Finished<Req, Resp>) + Send),
    ) -> Result<Option<Stop>, SharedError> {
        self.check_records()?;
        self.begin();
        let stop = loop {
            let more = self.take_in(&mut inputs, each);
            self.release(each);
            let turn = self.act(each);
            self.show_outlook();
            if matches!(turn, Turn::Idle) && inputs.ended() && self.goes_on_with_the_last() {
                continue;
            }
            match turn {
                // Whoever shares the runtime gets a turn as well.
                Turn::More => tokio::task::yield_now().await,
                Turn::Sleep(_) | Turn::Idle if more => tokio::task::yield_now().await,
                Turn::Stopped(_) | Turn::Idle if self.has_untold() => {
                    self.sleep(None, &mut inputs, each).await;
                }
                Turn::Stopped(why) => break Some(why),
                Turn::Idle if inputs.ended() => break None,
                Turn::Idle => self.sleep(None, &mut inputs, each).await,
                Turn::Sleep(wait) => self.sleep(Some(wait), &mut inputs, each).await,
            }
        };
        self.record_learnt(true);
        if stop.is_none() {
            self.end_list();
        }
        self.handle.forget();
        self.show(None);
        Ok(stop)
    }

    fn begin(&mut self) {
        self.told = Told::GoOn;
        self.witness.begins(self.clock.now());
        self.input(Input::Resume);
    }

    /// Phase one: everything that happened since the last turn; tells whether more requests may be there.
    fn take_in(
        &mut self,
        inputs: &mut Inputs<Req>,
        each: &mut (dyn FnMut(Finished<Req, Resp>) + Send),
    ) -> bool {
        self.witness_look();
        while let Ok(event) = self.events.1.try_recv() {
            self.event(event);
        }
        while let Some(index) = inputs.forgotten() {
            self.forget(index);
        }
        self.take_wishes();
        let told = self.handle.told();
        if told > self.told {
            self.told = told;
            self.input(if told == Told::Halt {
                Input::Halt
            } else {
                Input::Stop
            });
        }
        for _ in 0..BATCH {
            let request = if self.has_room() {
                inputs.ready()
            } else {
                None
            };
            let Some(request) = request else {
                return false;
            };
            self.accept(request, each);
        }
        true
    }

    fn has_room(&self) -> bool {
        !self.scheduler.is_stopping() && self.scheduler.progress().waiting < self.look_ahead
    }

    /// Schedules a request that came in during the run; one that never fits ends at once.
    fn accept(&mut self, request: Req, each: &mut (dyn FnMut(Finished<Req, Resp>) + Send)) {
        if let Err((error, request)) = self.schedule(request) {
            let index = self.scheduled;
            self.scheduled += 1;
            let is_trouble = matches!(error, ScheduleError::Record(_));
            let mut finished = Finished::unscheduled(index, request, Arc::new(error));
            if is_trouble {
                self.stop_for_the_record();
                finished.result.finished = false;
            }
            each(finished);
        }
    }

    /// Nobody waits for a call any more. One that is recorded goes on: a later run would ask for it again.
    fn forget(&mut self, index: u64) {
        if self.records.is_some() {
            return;
        }
        let mut calls = self.calls.iter_mut();
        let place = calls.find(|call| call.as_ref().is_some_and(|call| call.index == index));
        if let Some(call) = place.and_then(Option::take) {
            self.input(Input::Cancel { call: call.id });
        }
    }

    fn event(&mut self, event: Event<Resp>) {
        match event {
            Event::Sent(attempt) => self.input(Input::Sent { attempt }),
            // What was written is released before the next poll.
            Event::Recorded => {}
            Event::Finished {
                call,
                attempt,
                member,
                sent,
                end,
            } => {
                self.hear_parts(call, &end);
                self.finished((call, attempt, member), sent, end);
            }
        }
    }

    fn finished(
        &mut self,
        (id, attempt, member): (CallId, AttemptId, usize),
        sent: bool,
        end: End<Resp>,
    ) {
        let sent = sent.then_some(Input::Sent { attempt });
        let sent = self.hear((attempt, member), sent, &end);
        let task = self.tasks.get_mut(attempt.index());
        let in_flight =
            task.is_some_and(|task| task.take_if(|(running, _)| *running == attempt).is_some());
        let Some(call) = call_of(&mut self.calls, id) else {
            return;
        };
        let code = witnessed::code(&end);
        let index = call.index;
        let (outcome, kind) = match end {
            End::Value(value) => {
                let usage = self.blueprint.usage(member, &call.request, &value);
                call.value = Some(value);
                (Outcome::new(Class::Success).with_usage(&usage), None)
            }
            // An abandoned attempt counts only if it brought a good answer after all.
            _ if !in_flight => return,
            End::Invalid(value) => {
                let usage = self.blueprint.usage(member, &call.request, &value);
                call.errors.push(AttemptError::Invalid(value));
                let outcome = Outcome::new(Class::Invalid).with_usage(&usage);
                (outcome, Some("invalid"))
            }
            End::Error(class @ Class::Refused { .. }, error) => {
                self.handle.note_error(&error);
                call.errors.push(AttemptError::Refused(error));
                (Outcome::new(class), Some("refused"))
            }
            End::Error(class, error) => {
                self.handle.note_error(&error);
                if class == Class::Fatal {
                    self.handle.note_fatal(member, &error);
                }
                let usage = self.blueprint.failed_usage(member, &call.request, &*error);
                call.errors.push(AttemptError::Failed(error));
                (Outcome::new(class).with_usage(&usage), Some("failed"))
            }
            End::Panicked(message) => {
                call.errors.push(AttemptError::Panicked(message));
                (Outcome::new(Class::Failure), Some("panicked"))
            }
            End::Lost => {
                call.errors.push(AttemptError::Lost);
                (Outcome::new(Class::Failure), Some("lost"))
            }
        };
        let class = outcome.class();
        if in_flight {
            self.witness_end((id, attempt, index), class, code.as_deref());
        }
        let over = if in_flight {
            Input::Finished { attempt, outcome }
        } else {
            Input::Late { call: id }
        };
        self.inputs(sent.into_iter().chain([over]));
        if let Some(kind) = kind {
            self.setback(id, kind, kind == "lost");
        }
        if matches!(class, Class::Refused { .. }) {
            self.record_pauses();
        }
        self.record_learnt(false);
    }

    /// Takes down the latest error of a call.
    fn setback(&mut self, id: CallId, kind: &'static str, unknown: bool) {
        if self.records.is_none() {
            return;
        }
        let call = call_of(&mut self.calls, id);
        let text = call.and_then(|call| call.errors.last().map(ToString::to_string));
        let text = text.unwrap_or_default();
        let setback = Setback {
            kind,
            text,
            unknown,
        };
        self.record_setback(id, setback);
    }

    fn input(&mut self, input: Input) {
        self.inputs([input]);
    }

    /// Tells the core what happened, at one moment.
    fn inputs(&mut self, inputs: impl IntoIterator<Item = Input>) {
        let now = self.clock.now();
        let mut limiter = self.account.open_by(self.scheduler.id());
        for input in inputs {
            self.scheduler.handle(&mut limiter, input, now);
        }
        drop(limiter);
        self.has_news = true;
        self.record_charges();
    }

    /// Phase three: nothing to do before something happens.
    async fn sleep(
        &mut self,
        wait: Option<Wait>,
        inputs: &mut Inputs<Req>,
        each: &mut (dyn FnMut(Finished<Req, Resp>) + Send),
    ) {
        self.show(wait);
        let until = wait.map_or(self.deadline, |wait| wait.until);
        let look_again = self.account.open().calendars().look_again();
        let left = until.map(|until| {
            let left = until.since(self.clock.now());
            look_again.map_or(left, |look| left.min(look))
        });
        let timer = async {
            match left {
                Some(left) => tokio::time::sleep(left).await,
                None => std::future::pending().await,
            }
        };
        let room = self.has_room();
        tokio::select! {
            event = self.events.1.recv() => {
                self.witness_look();
                if let Some(event) = event {
                    self.event(event);
                }
            }
            request = inputs.next(), if room => {
                self.witness_look();
                if let Some(request) = request {
                    self.accept(request, each);
                }
            }
            () = self.handle.news() => {}
            () = timer => {}
        }
    }

    /// The calls scheduled so far, those that never fit included.
    pub(crate) fn scheduled(&self) -> u64 {
        self.scheduled
    }

    /// How many of them were over before.
    pub(crate) fn restored(&self) -> u64 {
        self.records.as_ref().map_or(0, |records| records.restored)
    }

    pub(crate) fn progress(&self) -> rate_limited_core::Progress {
        self.scheduler.progress()
    }

    /// What is known of calls that have not ended: their index, errors and attempts.
    pub(crate) fn unfinished(&self) -> impl Iterator<Item = (u64, &[AttemptError<Resp>], u32)> {
        let calls = self.calls.iter().flatten();
        calls.map(|call| (call.index, call.errors.as_slice(), call.attempts))
    }
}

impl<Req, Resp> Drop for Driver<Req, Resp> {
    /// What is in flight belongs to nobody any more; others of its limiter go on without it.
    fn drop(&mut self) {
        for (_, task) in self.tasks.iter().flatten() {
            task.abort();
        }
        let now = self.clock.now();
        let nowhere = &mut Limiter::new(now);
        let idle = Scheduler::new(nowhere, Settings::default(), now);
        let scheduler = std::mem::replace(&mut self.scheduler, idle);
        let mut limiter = self.account.open();
        limiter.take_bell(scheduler.id());
        scheduler.leave(&mut limiter, now);
    }
}

/// Puts an item at its place in a list that grows as needed.
fn put<T>(list: &mut Vec<Option<T>>, index: usize, item: T) {
    if list.len() <= index {
        list.resize_with(index + 1, || None);
    }
    list[index] = Some(item);
}

fn call_of<Req, Resp>(
    calls: &mut [Option<Call<Req, Resp>>],
    id: CallId,
) -> Option<&mut Call<Req, Resp>> {
    calls
        .get_mut(id.index())?
        .as_mut()
        .filter(|call| call.id == id)
}

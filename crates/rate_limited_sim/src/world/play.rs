//! A world being played: the driver of its schedulers, the network and the clock.

use super::World;
use super::agenda::Agenda;
use super::calendar::Calendars;
use super::flight::{Flight, Reply};
use super::report::{CallReport, End, Report, WorldError};
use super::run::{Rest, Run, RunEnd};
use super::trace::{Trace, What};
use crate::api::{SimulatedApi, Ticket};
use crate::limit::Unit;
use crate::span::nanos;
use rate_limited_core::{
    Amount, CallId, Cost, Input, Limiter, Load, Output, ResourceId, Scheduler, Settings, Time,
};
use std::time::Duration;

/// How often a run may be polled in vain at one moment.
const VAIN_POLLS_MAX: u32 = 1_000;

/// The origin of the API's time too.
pub(super) const START: Time = Time::PROCESS_START;

pub(super) struct Play<'a> {
    pub(super) world: &'a World,
    pub(super) now: Time,
    pub(super) limiter: Limiter,
    resources: Vec<(ResourceId, Unit)>,
    calendars: Calendars,
    pub(super) api: SimulatedApi,
    pub(super) agenda: Agenda<Happening>,
    pub(super) runs: Vec<Run>,
    pub(super) calls: Vec<CallReport>,
    /// The attempts of each call that the API accepted.
    pub(super) accepted: Vec<u32>,
    /// First dispatches in their order.
    pub(super) started: Vec<usize>,
    pub(super) completions: Vec<usize>,
    pub(super) looks: Vec<(Duration, Duration)>,
    pub(super) trace: Trace,
    vain_polls: u32,
}

#[derive(Debug)]
pub(super) enum Happening {
    /// A call of the plan is scheduled.
    Schedule(usize),
    /// An input of the plan is told.
    Tell(usize),
    /// A limit of the API changes.
    Change(usize),
    /// A look ahead of the plan is had.
    Look(usize),
    /// A request leaves its client.
    Leaves(Flight),
    /// It reaches the API.
    Arrives(Flight),
    /// The API has finished it.
    Ends(Flight, Ticket),
    /// The client has its answer.
    Returns(Flight, Reply),
}

impl<'a> Play<'a> {
    pub(super) fn new(world: &'a World) -> Result<Play<'a>, WorldError> {
        let mut limiter = Limiter::new(START);
        let mut resources = Vec::new();
        for (resource, unit) in &world.resources {
            let id = limiter.add(resource.clone()).map_err(WorldError::Quota)?;
            resources.push((id, *unit));
        }
        let join = |settings: &Settings| Scheduler::new(&mut limiter, settings.clone(), START);
        let runs = world.runs.iter().map(join).map(Run::new).collect();
        let calls = world.calls.iter().map(|call| CallReport::new(call.run));
        let calendars = Calendars::of(&mut limiter, START);
        Ok(Play {
            now: START,
            resources,
            calendars,
            api: SimulatedApi::new(world.model.clone()),
            agenda: agenda_of(world),
            runs,
            calls: calls.collect(),
            accepted: vec![0; world.calls.len()],
            started: Vec::new(),
            completions: Vec::new(),
            looks: Vec::new(),
            trace: Trace::new(world.keeps_trace),
            vain_polls: 0,
            limiter,
            world,
        })
    }

    pub(super) fn run(mut self) -> Result<Report, WorldError> {
        self.happen();
        loop {
            self.poll_due_runs()?;
            let wakes = self.runs.iter().filter_map(Run::wakes_at);
            let Some(next) = wakes.chain(self.agenda.next()).min() else {
                break;
            };
            self.jump(next)?;
            self.happen();
        }
        self.report()
    }

    /// Goes to the next moment at which anything is to be done.
    fn jump(&mut self, next: Time) -> Result<(), WorldError> {
        if next > self.now {
            (self.now, self.vain_polls) = (next, 0);
            self.calendars.tell(&mut self.limiter, next);
        }
        if self.since_start() > self.world.horizon {
            return Err(WorldError::Endless {
                horizon: self.world.horizon,
            });
        }
        for run in &mut self.runs {
            run.due |= run.wakes_at().is_some_and(|at| at <= self.now);
        }
        Ok(())
    }

    /// Lets everything happen whose moment has come.
    fn happen(&mut self) {
        while let Some(happening) = self.agenda.pop(self.now) {
            match happening {
                Happening::Schedule(call) => self.schedule(call),
                Happening::Tell(index) => {
                    let planned = &self.world.inputs[index];
                    self.handle(planned.run, planned.input.clone());
                }
                Happening::Change(index) => {
                    let change = &self.world.changes[index];
                    self.api
                        .set_quota(&change.limit, change.quota, nanos(self.since_start()));
                }
                Happening::Look(index) => self.look_ahead(index),
                Happening::Leaves(flight) => self.leave(flight),
                Happening::Arrives(flight) => self.arrive(flight),
                Happening::Ends(flight, ticket) => self.complete(flight, ticket),
                Happening::Returns(flight, reply) => self.receive(flight, &reply),
            }
        }
    }

    /// Asks the first run what it will come to.
    fn look_ahead(&mut self, index: usize) {
        let (_, assumed) = &self.world.looks[index];
        let none = Load::new(&self.limiter, &self.world.runs[0], 1);
        let scheduler = &self.runs[0].scheduler;
        let plan = scheduler.plan(&self.limiter, &none, assumed, self.now);
        self.looks.push((self.since_start(), plan.finish));
    }

    fn schedule(&mut self, call: usize) {
        let planned = &self.world.calls[call];
        let mut costs: Vec<Cost> =
            self.costs(planned.call.prompt_tokens, planned.call.bound_tokens);
        for (cost, key) in costs.iter_mut().zip(self.keys(&planned.call)) {
            if !key.is_empty() {
                cost.resource = self.limiter.partition(cost.resource, &key);
            }
        }
        let run = &mut self.runs[planned.run];
        run.due = true;
        let number = u32::try_from(call).expect("fewer than 2^32 calls");
        match run.scheduler.schedule(&mut self.limiter, &costs, self.now) {
            Ok(id) => {
                run.keep(id, number);
                self.note(number, 0, What::Scheduled);
            }
            Err(error) => {
                self.calls[call].end = End::Rejected(error);
                self.calls[call].ended = Some(self.since_start());
                self.note(number, 0, What::Rejected);
            }
        }
    }

    /// Polls every run that may have something to do, in turn, until none has.
    fn poll_due_runs(&mut self) -> Result<(), WorldError> {
        while self.runs.iter().any(|run| run.due) {
            for run in 0..self.runs.len() {
                if self.runs[run].due {
                    self.poll(run)?;
                }
            }
        }
        Ok(())
    }

    fn poll(&mut self, run: usize) -> Result<(), WorldError> {
        self.runs[run].due = false;
        let rest = loop {
            let output = self.runs[run].scheduler.poll(&mut self.limiter, self.now);
            if let Some(rest) = self.act(run, output)? {
                break rest;
            }
            self.vain_polls = 0;
        };
        self.runs[run].rest = rest;
        self.wake();
        self.vain_polls += 1;
        match rest {
            Rest::Waiting { on, .. } if self.vain_polls > VAIN_POLLS_MAX => Err(WorldError::Spin {
                run,
                at: self.since_start(),
                on,
            }),
            _ => Ok(()),
        }
    }

    /// Does what the scheduler says; a rest is what ends its turn.
    fn act(&mut self, run: usize, output: Output) -> Result<Option<Rest>, WorldError> {
        match output {
            Output::Dispatch {
                call,
                attempt,
                number,
                ..
            } => self.dispatch(run, call, attempt, number),
            Output::Abandon { call, attempt, .. } => {
                self.runs[run].abandoned.insert(attempt);
                self.note(self.runs[run].number_of(call), 0, What::Abandoned);
            }
            Output::Done { call } => self.end(run, call, End::Done)?,
            Output::Failed { call, why } => self.end(run, call, End::Failed(why))?,
            Output::Wait(wait) => {
                return Ok(Some(Rest::Waiting {
                    until: wait.until,
                    on: wait.on,
                }));
            }
            Output::Idle => return Ok(Some(Rest::Over(RunEnd::Idle))),
            Output::Stopped(why) => return Ok(Some(Rest::Over(RunEnd::Stopped(why)))),
            other => unreachable!("the world does not know {other:?}"),
        }
        Ok(None)
    }

    pub(super) fn handle(&mut self, run: usize, input: Input) {
        self.runs[run]
            .scheduler
            .handle(&mut self.limiter, input, self.now);
        self.runs[run].due = true;
        self.wake();
    }

    /// Marks the runs that the limiter wants to be polled.
    fn wake(&mut self) {
        for id in self.limiter.take_wakes() {
            for run in &mut self.runs {
                run.due |= run.scheduler.id() == id;
            }
        }
    }

    fn end(&mut self, run: usize, id: CallId, end: End) -> Result<(), WorldError> {
        let number = self.runs[run].number_of(id);
        let call = number as usize;
        if self.calls[call].end != End::Unfinished {
            return Err(WorldError::EndedTwice { call });
        }
        let done = end == End::Done;
        self.calls[call].end = end;
        self.calls[call].ended = Some(self.since_start());
        if done {
            self.completions.push(call);
        }
        self.note(number, 0, if done { What::Done } else { What::Failed });
        Ok(())
    }

    /// What a call with so many tokens takes; it has no inputs, and costs no points.
    pub(super) fn costs(&self, prompt: u64, tokens: u64) -> Vec<Cost> {
        let count = |tokens| Amount::count(tokens).unwrap_or(Amount::MAX);
        let amount = |unit| match unit {
            Unit::Requests => Amount::units(1),
            Unit::Tokens => count(tokens),
            Unit::InputTokens => count(prompt),
            Unit::OutputTokens => count(tokens.saturating_sub(prompt)),
            Unit::Inputs | Unit::Points => Amount::ZERO,
        };
        self.resources
            .iter()
            .map(|(id, unit)| Cost::new(*id, amount(*unit)))
            .collect()
    }

    /// Whose part of each resource a call takes from; empty: of none.
    pub(super) fn keys(&self, call: &super::Call) -> Vec<String> {
        let limits = self.api.model().limits();
        let key = |(id, _): &(ResourceId, Unit)| {
            let name = self.limiter.name(*id);
            let limit = limits.iter().find(|limit| limit.name() == name);
            let has_parts = limit.is_some_and(|limit| limit.each_model) && call.model != 0;
            if has_parts {
                call.model.to_string()
            } else {
                String::new()
            }
        };
        self.resources.iter().map(key).collect()
    }

    pub(super) fn note(&mut self, call: u32, number: u32, what: What) {
        self.trace.add(self.now.since(START), call, number, what);
    }

    pub(super) fn since_start(&self) -> Duration {
        self.now.since(START)
    }
}

fn agenda_of(world: &World) -> Agenda<Happening> {
    let mut agenda = Agenda::new();
    for (index, planned) in world.calls.iter().enumerate() {
        agenda.add(START + planned.at, Happening::Schedule(index));
    }
    for (index, planned) in world.inputs.iter().enumerate() {
        agenda.add(START + planned.at, Happening::Tell(index));
    }
    for (index, (at, _)) in world.looks.iter().enumerate() {
        agenda.add(START + *at, Happening::Look(index));
    }
    for (index, change) in world.changes.iter().enumerate() {
        agenda.add(START + change.at, Happening::Change(index));
    }
    agenda
}

//! One attempt's way: out of its client, over the network, through the API and back.

use super::Call;
use super::play::{Happening, Play, START};
use super::trace::What;
use crate::api::{Answer, Arrival, Outcome as Fate, Request, Ticket};
use crate::span::nanos;
use crate::stats::LimitView;
use rate_limited_core::{AttemptId, CallId, Class, Input, Outcome};
use std::time::Duration;

/// One attempt on its way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flight {
    pub(super) run: usize,
    pub(super) call: u32,
    pub(super) id: CallId,
    pub(super) attempt: AttemptId,
    pub(super) number: u32,
}

/// What comes back.
#[derive(Debug)]
pub(super) enum Reply {
    Answer(Answer, Vec<LimitView>),
    Refusal {
        limit: String,
        retry_after: Option<Duration>,
        views: Vec<LimitView>,
    },
}

impl Play<'_> {
    /// The scheduler sends an attempt off.
    pub(super) fn dispatch(&mut self, run: usize, id: CallId, attempt: AttemptId, number: u32) {
        let call = self.runs[run].number_of(id);
        let report = &mut self.calls[call as usize];
        report.attempts += 1;
        if report.started.is_none() {
            report.started = Some(self.now.since(START));
            self.started.push(call as usize);
        }
        self.note(call, number, What::Dispatched);
        let flight = Flight {
            run,
            call,
            id,
            attempt,
            number,
        };
        let leaving = self.world.delays.leaving(call.into(), number);
        if leaving.is_zero() {
            self.leave(flight);
        } else {
            self.agenda
                .add(self.now + leaving, Happening::Leaves(flight));
        }
    }

    /// The request leaves its client.
    pub(super) fn leave(&mut self, flight: Flight) {
        self.handle(
            flight.run,
            Input::Sent {
                attempt: flight.attempt,
            },
        );
        let way = self
            .world
            .delays
            .way_there(flight.call.into(), flight.number);
        self.agenda.add(self.now + way, Happening::Arrives(flight));
    }

    /// It reaches the API.
    pub(super) fn arrive(&mut self, flight: Flight) {
        let index = flight.call as usize;
        let Call {
            prompt_tokens,
            bound_tokens,
            usage_tokens,
            model,
        } = self.world.calls[index].call;
        let (call, attempt) = (flight.call.into(), self.accepted[index] + 1);
        let request = Request {
            call,
            attempt,
            prompt_tokens,
            bound_tokens,
            usage_tokens,
            model,
            ..Request::default()
        };
        match self.api.arrive(nanos(self.since_start()), &request) {
            Arrival::Accepted {
                ticket, ends_at, ..
            } => {
                self.accepted[index] = attempt;
                self.note(flight.call, flight.number, What::Accepted);
                let end = START + Duration::from_nanos(ends_at);
                self.agenda.add(end, Happening::Ends(flight, ticket));
            }
            Arrival::Refused { retry_after, limit } => {
                let now = nanos(self.since_start());
                let views = self.api.limits_view_of(&request, now);
                let refusal = Reply::Refusal {
                    limit,
                    retry_after,
                    views,
                };
                self.refuse(flight, refusal);
            }
        }
    }

    fn refuse(&mut self, flight: Flight, reply: Reply) {
        self.calls[flight.call as usize].refusals += 1;
        self.note(flight.call, flight.number, What::Refused);
        let at = self.now + self.world.delays.refusal;
        self.agenda.add(at, Happening::Returns(flight, reply));
    }

    /// The API has finished it.
    pub(super) fn complete(&mut self, flight: Flight, ticket: Ticket) {
        let answer = self.api.complete(nanos(self.since_start()), ticket);
        let request = Request {
            model: self.world.calls[flight.call as usize].call.model,
            ..Request::default()
        };
        let now = nanos(self.since_start());
        let views = self.api.limits_view_of(&request, now);
        let back = self
            .world
            .delays
            .way_back(flight.call.into(), flight.number);
        self.agenda.add(
            self.now + back,
            Happening::Returns(flight, Reply::Answer(answer, views)),
        );
    }

    /// The client has its answer, which may come too late to be waited for.
    pub(super) fn receive(&mut self, flight: Flight, reply: &Reply) {
        let outcome = self.outcome(reply);
        let success = outcome.class() == Class::Success;
        let what = if success {
            What::Answered
        } else {
            What::Errored
        };
        self.note(flight.call, flight.number, what);
        if !self.runs[flight.run].abandoned.remove(&flight.attempt) {
            self.hear(flight, reply);
            self.handle(
                flight.run,
                Input::Finished {
                    attempt: flight.attempt,
                    outcome,
                },
            );
        } else if success {
            self.handle(flight.run, Input::Late { call: flight.id });
        }
    }

    /// What the reply tells of the limits.
    fn hear(&mut self, flight: Flight, reply: &Reply) {
        let (Reply::Answer(_, views) | Reply::Refusal { views, .. }) = reply;
        for view in views {
            let told = self.world.tells.feedback(view, self.api.model());
            let Some((resource, feedback)) = self.limiter.find(&view.name).zip(told) else {
                continue;
            };
            self.handle(
                flight.run,
                Input::Feedback {
                    resource,
                    attempt: flight.attempt,
                    feedback,
                },
            );
        }
    }

    fn outcome(&self, reply: &Reply) -> Outcome {
        match reply {
            Reply::Answer(answer, _) => {
                let class = class_of(answer.outcome);
                let usage = self.costs(answer.prompt_tokens, answer.usage_tokens);
                let known = if class == Class::Success {
                    usage
                } else {
                    Vec::new()
                };
                Outcome::new(class).with_usage(&known)
            }
            Reply::Refusal {
                limit, retry_after, ..
            } => {
                let named = self.world.tells.names;
                let resource = self.limiter.find(limit).filter(|_| named);
                Outcome::new(Class::Refused {
                    resource,
                    retry_after: *retry_after,
                })
            }
        }
    }
}

/// What an answer means for the call and for the run.
fn class_of(fate: Fate) -> Class {
    match fate {
        Fate::Success => Class::Success,
        Fate::Failure(401 | 403) => Class::Fatal,
        Fate::Failure(503 | 529) => Class::Overloaded { retry_after: None },
        Fate::Failure(status) if status < 500 => Class::Permanent,
        Fate::Failure(_) => Class::Failure,
    }
}

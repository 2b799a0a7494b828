//! A driver on virtual time: each step jumps to the next moment at which something happens.

use rate_limited_core::{
    AttemptId, CallId, Cost, Failure, Input, Limiter, MemberId, Outcome, Output, Scheduler,
    Settings, Stop, Time, Wait,
};
use std::collections::{BTreeMap, BinaryHeap};
use std::time::Duration;

pub(crate) const START: Time = Time::PROCESS_START;

pub(crate) fn secs(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

pub(crate) fn at(seconds: f64) -> Time {
    START + secs(seconds)
}

/// What the played server does with an attempt.
pub(crate) struct Reply {
    pub(crate) after: Duration,
    pub(crate) outcome: Outcome,
}

/// An attempt as the driver saw it.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) call: usize,
    pub(crate) number: u32,
    pub(crate) member: Option<MemberId>,
    pub(crate) at: Time,
    pub(crate) ended: Option<Time>,
    pub(crate) outcome: Option<Outcome>,
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Done,
    Failed(Failure),
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Over {
    Idle,
    Stopped(Stop),
}

type ReplyBy<'a> = Box<dyn FnMut(MemberId, usize, Time) -> Reply + 'a>;

pub(crate) struct Play<'a> {
    pub(crate) limiter: Limiter,
    pub(crate) scheduler: Scheduler,
    pub(crate) now: Time,
    /// Every attempt, in the order of dispatch.
    pub(crate) sent: Vec<Sent>,
    /// Every end, by the number of the call.
    pub(crate) ends: BTreeMap<usize, (End, Time)>,
    pub(crate) waits: Vec<(Time, Wait)>,
    reply: Box<dyn FnMut(usize, u32, Time) -> Reply + 'a>,
    /// What the server does with an attempt by a member, where that matters.
    pub(crate) reply_by: Option<ReplyBy<'a>>,
    names: BTreeMap<CallId, usize>,
    events: BinaryHeap<std::cmp::Reverse<(Time, u64, usize)>>,
    attempts: Vec<AttemptId>,
    scheduled: usize,
    /// More polls than this without an event in between mean that the machine spins.
    patience: u32,
}

impl<'a> Play<'a> {
    pub(crate) fn new(
        mut limiter: Limiter,
        settings: Settings,
        reply: impl FnMut(usize, u32, Time) -> Reply + 'a,
    ) -> Play<'a> {
        let scheduler = Scheduler::new(&mut limiter, settings, START);
        Play {
            limiter,
            scheduler,
            now: START,
            sent: Vec::new(),
            ends: BTreeMap::new(),
            waits: Vec::new(),
            reply: Box::new(reply),
            reply_by: None,
            names: BTreeMap::new(),
            events: BinaryHeap::new(),
            attempts: Vec::new(),
            scheduled: 0,
            patience: 0,
        }
    }

    pub(crate) fn schedule(&mut self, costs: &[Cost]) -> CallId {
        let id = self
            .scheduler
            .schedule(&mut self.limiter, costs, self.now)
            .expect("it fits");
        self.names.insert(id, self.scheduled);
        self.scheduled += 1;
        id
    }

    pub(crate) fn handle(&mut self, input: Input) {
        self.scheduler.handle(&mut self.limiter, input, self.now);
    }

    /// The attempt that was dispatched as the `place`th, from 0.
    pub(crate) fn attempt(&self, place: usize) -> AttemptId {
        self.attempts[place]
    }

    /// Runs to the end.
    pub(crate) fn run(&mut self) -> Over {
        loop {
            if let Err(over) = self.step(Time::MAX) {
                return over;
            }
        }
    }

    /// Runs up to a moment, or to the end if that comes before.
    pub(crate) fn run_until(&mut self, end: Time) {
        while let Ok(true) = self.step(end) {}
        self.now = self.now.max(end);
    }

    /// Does all there is to do now, then jumps to the next moment; tells whether that is by `end`.
    fn step(&mut self, end: Time) -> Result<bool, Over> {
        let wait = self.settle_down()?;
        self.waits.push((self.now, wait));
        let event = self.events.peek().map(|event| event.0.0);
        let next = [wait.until, event].into_iter().flatten().min();
        let Some(next) = next.filter(|next| *next <= end) else {
            assert!(
                end < Time::MAX,
                "a wait without an end, and nothing in flight: a hang"
            );
            return Ok(false);
        };
        assert!(next >= self.now, "time runs backwards");
        self.patience = if next == self.now {
            self.patience + 1
        } else {
            0
        };
        assert!(self.patience < 1_000, "the machine spins at {next:?}");
        self.now = next;
        self.deliver();
        Ok(true)
    }

    /// Polls until the machine waits.
    fn settle_down(&mut self) -> Result<Wait, Over> {
        loop {
            match self.scheduler.poll(&mut self.limiter, self.now) {
                Output::Dispatch {
                    call,
                    attempt,
                    number,
                    member,
                } => self.dispatch(call, attempt, number, member),
                Output::Abandon { .. } | Output::MemberDropped { .. } => {}
                Output::Done { call } => self.end(call, End::Done),
                Output::Failed { call, why } => self.end(call, End::Failed(why)),
                Output::Wait(wait) => return Ok(wait),
                Output::Idle => return Err(Over::Idle),
                Output::Stopped(stop) => return Err(Over::Stopped(stop)),
                other => panic!("unknown output {other:?}"),
            }
        }
    }

    fn dispatch(
        &mut self,
        call: CallId,
        attempt: AttemptId,
        number: u32,
        member: Option<MemberId>,
    ) {
        let name = self.names[&call];
        assert!(
            !self.ends.contains_key(&name),
            "call {name} has ended and is dispatched again"
        );
        self.handle(Input::Sent { attempt });
        let reply = match (member, &mut self.reply_by) {
            (Some(member), Some(reply)) => reply(member, name, self.now),
            _ => (self.reply)(name, number, self.now),
        };
        let index = self.sent.len();
        let outcome = Some(reply.outcome);
        self.sent.push(Sent {
            call: name,
            number,
            member,
            at: self.now,
            ended: None,
            outcome,
        });
        self.attempts.push(attempt);
        let serial = index as u64;
        self.events
            .push(std::cmp::Reverse((self.now + reply.after, serial, index)));
    }

    fn deliver(&mut self) {
        while self
            .events
            .peek()
            .is_some_and(|event| event.0.0 <= self.now)
        {
            let index = self.events.pop().expect("it was there").0.2;
            self.sent[index].ended = Some(self.now);
            let outcome = self.sent[index].outcome.clone().expect("each ends once");
            let attempt = self.attempts[index];
            self.handle(Input::Finished { attempt, outcome });
        }
    }

    fn end(&mut self, call: CallId, end: End) {
        let name = self.names[&call];
        let former = self.ends.insert(name, (end, self.now));
        assert_eq!(former, None, "call {name} ended twice");
    }
}

/// A server that answers everything well after the same time.
pub(crate) fn always(after: f64) -> impl FnMut(usize, u32, Time) -> Reply {
    move |_, _, _| Reply {
        after: secs(after),
        outcome: Outcome::new(rate_limited_core::Class::Success),
    }
}

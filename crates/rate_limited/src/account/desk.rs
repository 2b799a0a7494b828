//! The line of those who ask for quota one by one.
//!
//! It is a scheduler of the core like any other: a question is a call, a reservation its only attempt. So
//! who goes first, what is protected and how runners get their turn is decided where it always is.

use rate_limited_core::{
    AtOnce, AttemptId, CallId, Cost, Input, Limiter, MaxConcurrent, Order, Output, ResourceId,
    ScheduleError, Scheduler, SchedulerId, Settings, Time,
};
use std::task::{Poll, Waker};

/// Who asks, and who was granted what.
#[derive(Debug)]
pub(super) struct Desk {
    scheduler: Scheduler,
    /// Those who wait or have not yet heard, by the index of their calls.
    questions: Vec<Option<(CallId, State)>>,
    waiting: usize,
    /// When something can be granted, as far as that is known.
    until: Option<Time>,
    alarm: Alarm,
}

#[derive(Debug)]
enum State {
    Waiting(Option<Waker>),
    Over(Answer),
}

/// What a question came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Granted(AttemptId),
    /// There will never be so much of this resource.
    Never(ResourceId),
}

/// What the alarm has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Watch {
    /// Look again at this moment; `None`: when it is woken.
    Until(Option<Time>),
    /// Nothing: nobody waits any more.
    Over,
}

/// Who looks at the clock while somebody waits.
#[derive(Debug)]
enum Alarm {
    Nobody,
    /// Somebody, who sleeps if there is a waker.
    Set(Option<Waker>),
}

impl Desk {
    pub(super) fn new(limiter: &mut Limiter, now: Time) -> Desk {
        let settings = Settings {
            order: Order::InOrder,
            max_concurrent: MaxConcurrent::Fixed(u32::MAX),
            attempt_timeout: None,
            stall_limit: None,
            ..Settings::default()
        };
        Desk {
            scheduler: Scheduler::new(limiter, settings, now),
            questions: Vec::new(),
            waiting: 0,
            until: None,
            alarm: Alarm::Nobody,
        }
    }

    pub(super) fn id(&self) -> SchedulerId {
        self.scheduler.id()
    }

    pub(super) fn ask(
        &mut self,
        limiter: &mut Limiter,
        costs: &[Cost],
        now: Time,
    ) -> Result<CallId, ScheduleError> {
        let call = self.scheduler.schedule(limiter, costs, now)?;
        if self.questions.len() <= call.index() {
            self.questions.resize_with(call.index() + 1, || None);
        }
        self.questions[call.index()] = Some((call, State::Waiting(None)));
        self.waiting += 1;
        Ok(call)
    }

    pub(super) fn answer(&mut self, call: CallId, waker: &Waker) -> Poll<Answer> {
        let question = &mut self.questions[call.index()];
        match question {
            Some((known, State::Waiting(waiting))) if *known == call => {
                if waiting
                    .as_ref()
                    .is_none_or(|former| !former.will_wake(waker))
                {
                    *waiting = Some(waker.clone());
                }
                Poll::Pending
            }
            Some((known, State::Over(answer))) if *known == call => {
                let answer = *answer;
                *question = None;
                Poll::Ready(answer)
            }
            // It has been answered before.
            _ => Poll::Pending,
        }
    }

    pub(super) fn give_up(&mut self, limiter: &mut Limiter, call: CallId, now: Time) {
        let question = &mut self.questions[call.index()];
        let input = match question.take_if(|(known, _)| *known == call) {
            Some((_, State::Waiting(_))) => {
                self.waiting -= 1;
                Input::Cancel { call }
            }
            Some((_, State::Over(Answer::Granted(attempt)))) => Input::Unsent { attempt },
            Some((_, State::Over(Answer::Never(_)))) | None => return,
        };
        self.scheduler.handle(limiter, input, now);
    }

    pub(super) fn take_at_once(
        &mut self,
        limiter: &mut Limiter,
        costs: &[Cost],
        now: Time,
    ) -> Result<AtOnce, ScheduleError> {
        self.scheduler.dispatch_at_once(limiter, costs, now)
    }

    pub(super) fn report(&mut self, limiter: &mut Limiter, input: Input, now: Time) {
        self.scheduler.handle(limiter, input, now);
    }

    /// Grants what can be granted, and notes when that is to be tried again.
    pub(super) fn pump(&mut self, limiter: &mut Limiter, now: Time, woken: &mut Vec<Waker>) {
        let until = loop {
            match self.scheduler.poll(limiter, now) {
                Output::Dispatch { call, attempt, .. } => {
                    self.settle(call, Answer::Granted(attempt), woken);
                }
                Output::Failed {
                    call,
                    why: rate_limited_core::Failure::NeverFits(resource),
                } => self.settle(call, Answer::Never(resource), woken),
                Output::Wait(wait) => break wait.until,
                Output::Idle | Output::Stopped(_) => break None,
                // The ends of calls whose askers know of them.
                _ => {}
            }
        };
        let earlier = until.is_some_and(|until| self.until.is_none_or(|former| until < former));
        self.until = until;
        if let (true, Alarm::Set(alarm)) = (earlier || self.waiting == 0, &mut self.alarm) {
            woken.extend(alarm.take());
        }
    }

    pub(super) fn wants_alarm(&mut self) -> bool {
        let wants = self.waiting > 0 && matches!(self.alarm, Alarm::Nobody);
        if wants {
            self.alarm = Alarm::Set(None);
        }
        wants
    }

    pub(super) fn watch(&mut self, waker: &Waker) -> Watch {
        if self.waiting == 0 {
            self.alarm = Alarm::Nobody;
            return Watch::Over;
        }
        self.alarm = Alarm::Set(Some(waker.clone()));
        Watch::Until(self.until)
    }

    pub(super) fn alarm_is_gone(&mut self, woken: &mut Vec<Waker>) {
        self.alarm = Alarm::Nobody;
        for (_, state) in self.questions.iter_mut().flatten() {
            if let State::Waiting(waker) = state {
                woken.extend(waker.take());
            }
        }
    }

    fn settle(&mut self, call: CallId, answer: Answer, woken: &mut Vec<Waker>) {
        let question = &mut self.questions[call.index()];
        if let Some((known, state)) = question
            && *known == call
            && let State::Waiting(waker) = state
        {
            woken.extend(waker.take());
            *state = State::Over(answer);
            self.waiting -= 1;
        }
    }
}

//! The state machine: what runs when.
//!
//! [`Scheduler::handle`] takes in what happened, [`Scheduler::poll`] says what to do next. Neither
//! waits, and polling once too often does no harm.

mod at_once;
mod endings;
mod members;
mod parts;
mod protection;
mod rehearse;

use crate::attempt::{Attempt, Attempts};
use crate::backoff::Chance;
use crate::call::{Calls, State};
use crate::concurrency::{Concurrency, Room};
use crate::entries::{Entries, Entry};
use crate::error::ScheduleError;
use crate::event::{
    AttemptId, CallId, Cost, Failure, Input, MemberId, Output, SchedulerId, Stop, Wait, WaitingOn,
};
use crate::ledger::Blocked;
use crate::limiter::{Limiter, Obstacle, Reservation, Standing};
use crate::outcome::{Class, Outcome};
use crate::pool::{Denied, Pool};
use crate::progress::Progress;
use crate::queue::{Head, Queue};
use crate::retry::{Leave, RetryBudget};
use crate::settings::Settings;
use crate::stall::Stall;
use crate::time::Time;
use crate::timers::Timers;
use endings::End;
use std::collections::VecDeque;

/// Runs the calls of one run against a [`Limiter`].
///
/// A driver turns [`Output`]s into reality and reports what came of them as [`Input`]s. It polls
/// until it is told to wait, then sleeps until that moment, until an input comes, or until
/// [`Limiter::take_wakes`] names this scheduler.
///
/// ```
/// use rate_limited_core::{
///     Amount, Class, Cost, Input, Limiter, Outcome, Output, Quota, Resource, Scheduler, Settings, Time,
/// };
/// use std::time::Duration;
///
/// let start = Time::PROCESS_START;
/// let mut limiter = Limiter::new(start);
/// let requests = limiter.add(Resource::new("requests", Quota::per_minute(Amount::units(1))))?;
/// let mut scheduler = Scheduler::new(&mut limiter, Settings::default(), start);
/// let cost = [Cost::new(requests, Amount::units(1))];
/// scheduler.schedule(&mut limiter, &cost, start)?;
/// scheduler.schedule(&mut limiter, &cost, start)?;
///
/// let Output::Dispatch { attempt, .. } = scheduler.poll(&mut limiter, start) else { panic!() };
/// scheduler.handle(&mut limiter, Input::Sent { attempt }, start);
/// let Output::Wait(wait) = scheduler.poll(&mut limiter, start) else { panic!() };
/// assert!(wait.until > Some(start + Duration::from_secs(60)));
///
/// let finished = Input::Finished { attempt, outcome: Outcome::new(Class::Success) };
/// scheduler.handle(&mut limiter, finished, start);
/// assert!(matches!(scheduler.poll(&mut limiter, start), Output::Done { .. }));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Scheduler {
    id: SchedulerId,
    settings: Settings,
    calls: Calls,
    queue: Queue,
    pool: Pool,
    attempts: Attempts,
    timers: Timers,
    budget: RetryBudget,
    concurrency: Concurrency,
    stall: Stall,
    chance: Chance,
    phase: Phase,
    outbox: VecDeque<Output>,
    /// The call that nothing may delay any more, by slot, and whether the limiter knows of it now.
    protected: Option<u32>,
    claims: bool,
    /// Nothing is dispatched before this moment: a refusal that no resource of the call answers for.
    paused_until: Time,
    pause_told: bool,
    /// Nothing is dispatched before the user says so.
    paused: bool,
    refusals_in_a_row: u32,
    /// Calls dispatched at least once, and calls that ended without.
    started: u64,
    progress: Progress,
    entries: Entries,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Running,
    Stopping(Stop),
}

impl Scheduler {
    /// A scheduler that takes what it needs from `limiter`, and only from that one, from now on.
    pub fn new(limiter: &mut Limiter, settings: Settings, now: Time) -> Scheduler {
        limiter.tick(now);
        Scheduler {
            id: limiter.join(),
            calls: Calls::default(),
            queue: Queue::new(settings.order, settings.look_ahead),
            pool: Pool::default(),
            attempts: Attempts::default(),
            timers: Timers::default(),
            budget: RetryBudget::new(),
            concurrency: Concurrency::new(settings.max_concurrent),
            stall: Stall::default(),
            chance: Chance::new(settings.seed),
            phase: Phase::Running,
            outbox: VecDeque::new(),
            protected: None,
            claims: false,
            paused_until: Time::default(),
            pause_told: false,
            paused: false,
            refusals_in_a_row: 0,
            started: 0,
            progress: Progress::default(),
            entries: Entries::default(),
            settings,
        }
    }

    /// The name of this scheduler in [`Limiter::take_wakes`].
    pub fn id(&self) -> SchedulerId {
        self.id
    }

    /// Gives the limiter back: what is in flight stays charged.
    pub fn leave(mut self, limiter: &mut Limiter, now: Time) {
        for attempt in self.attempts.ids() {
            if let Some(Attempt { reservation, .. }) = self.attempts.take(attempt) {
                let outcome = Outcome::new(Class::Invalid);
                limiter.settle(reservation, &outcome, &mut self.entries, now);
            }
        }
        limiter.leave(self.id);
    }

    /// Adds a call that costs this much; it is dispatched by a later poll.
    ///
    /// # Errors
    /// A cost above the whole quota, of which the call could never get enough; an unknown resource.
    pub fn schedule(
        &mut self,
        limiter: &mut Limiter,
        costs: &[Cost],
        now: Time,
    ) -> Result<CallId, ScheduleError> {
        limiter.tick(now);
        let merged = merged(costs);
        let costs = merged.as_deref().unwrap_or(costs);
        self.check(limiter, costs)?;
        limiter.notes_use(self.id, costs);
        let rank = self.progress.scheduled;
        let call = self.calls.add(costs, rank).ok_or(ScheduleError::Full)?;
        self.progress.scheduled += 1;
        self.queue.push(call, &self.calls, limiter);
        Ok(self.calls.id(call))
    }

    /// Takes in what happened. Inputs about calls and attempts that have ended are ignored.
    pub fn handle(&mut self, limiter: &mut Limiter, input: Input, now: Time) {
        let now = limiter.tick(now);
        match input {
            Input::Sent { attempt } => {
                if let Some(attempt) = self.attempts.get_mut(attempt) {
                    attempt.sent = true;
                    limiter.sent(&mut attempt.reservation, now);
                }
            }
            Input::Finished { attempt, outcome } => {
                self.finish(limiter, attempt, &outcome, End::Answered, now);
            }
            Input::Unsent { attempt } => self.unsent(limiter, attempt, now),
            Input::Late { call } => self.late(limiter, call, now),
            Input::Cancel { call } => self.cancel(limiter, call, now),
            Input::SetLimit { resource, quota } => {
                // A quota that is refused changes nothing; the driver has asked the limiter before.
                let _ = limiter.set_quota(resource, quota, now);
            }
            Input::SetMaxConcurrent { max_concurrent } => {
                self.concurrency.set(max_concurrent, self.progress.attempts);
            }
            Input::Feedback {
                resource,
                attempt,
                feedback,
            } => {
                let reservation = self
                    .attempts
                    .get(attempt)
                    .map(|attempt| &attempt.reservation);
                limiter.hear(resource, &feedback, reservation, now);
            }
            Input::Part { call, whole, part } => self.takes_part(limiter, call, (whole, part), now),
            Input::Boundary {
                resource,
                end,
                next,
            } => limiter.boundary(resource, end, next, now),
            Input::DropMember { member } => self.drop_member(limiter, member),
            Input::Stop => self.stop(limiter, Stop::Asked),
            Input::Halt => self.halt(limiter, now),
            Input::Resume => (self.phase, self.stall) = (Phase::Running, Stall::default()),
            Input::Pause => self.paused = true,
            Input::Unpause => self.paused = false,
        }
    }

    /// Says what to do next.
    pub fn poll(&mut self, limiter: &mut Limiter, now: Time) -> Output {
        let now = limiter.tick(now);
        self.fire(limiter, now);
        loop {
            if let Some(output) = self.outbox.pop_front() {
                return output;
            }
            self.calls.release_ended();
            match self.step(limiter, now) {
                Step::Dispatch(output) => return output,
                Step::Failed => {}
                Step::Wait(wait) => return self.rest(limiter, wait, now),
            }
        }
    }

    /// Whether the run stops or has stopped: nothing is dispatched before [`Input::Resume`].
    pub fn is_stopping(&self) -> bool {
        self.phase != Phase::Running
    }

    /// From now on notes what each attempt takes, for [`Scheduler::take_entries`].
    pub fn keep_entries(&mut self) {
        self.entries.keep();
    }

    /// What the attempts that ended since the last call took of each resource, refunds and debts included:
    /// a journal of these and of the [reservations](Scheduler::reserved) in flight is the whole past of a
    /// [`Limiter`]. Empty unless [`Scheduler::keep_entries`] was called.
    pub fn take_entries(&mut self) -> Vec<Entry> {
        self.entries.take()
    }

    /// What an attempt in flight takes if nothing more is heard of it; empty if it is not in flight. Where
    /// the server counts at an unknown moment, that moment is [`Time::MAX`].
    pub fn reserved<'a>(
        &'a self,
        limiter: &'a Limiter,
        attempt: AttemptId,
    ) -> impl Iterator<Item = Entry> + 'a {
        let attempt = self.attempts.get(attempt);
        attempt.into_iter().flat_map(|attempt| {
            let holds = attempt.reservation.holds();
            holds.map(|hold| limiter.entry_of(hold, attempt.dispatched))
        })
    }

    /// How far the run is.
    pub fn progress(&self) -> Progress {
        let in_flight = u64::from(self.attempts.in_flight());
        Progress {
            in_flight,
            waiting: u64::from(self.calls.alive()) - in_flight,
            max_concurrent: self.concurrency.limit(),
            concurrency_binds: self.concurrency.binds(),
            outage: self.budget.outage(),
            paused: self.paused,
            ..self.progress
        }
    }

    /// Dispatches one call, or says why none can go.
    fn step(&mut self, limiter: &mut Limiter, now: Time) -> Step {
        self.queue.tidy(&mut self.calls, limiter);
        if self.phase != Phase::Running {
            return Step::wait(None, WaitingOn::InFlight);
        }
        if self.queue.is_empty() {
            let backing_off = self.calls.alive() > self.attempts.in_flight();
            let on = if backing_off {
                WaitingOn::Backoff
            } else {
                WaitingOn::InFlight
            };
            return Step::wait(None, on);
        }
        let probe = match self.gate(now) {
            Ok(probe) => probe,
            Err(wait) => return Step::Wait(wait),
        };
        self.admit(limiter, probe, now)
    }

    /// Whether any call may go now, whatever it costs; if so, whether it is a probe.
    fn gate(&mut self, now: Time) -> Result<bool, Wait> {
        if self.paused {
            return Err(Wait {
                until: None,
                on: WaitingOn::Unpause,
            });
        }
        if self.paused_until > now {
            let told = self.pause_told;
            return Err(Wait {
                until: Some(self.paused_until),
                on: WaitingOn::Refused { told },
            });
        }
        let room = self.concurrency.room(self.attempts.in_flight(), now);
        if room != Room::Now {
            return Err(Wait {
                until: room.at(),
                on: WaitingOn::Concurrency,
            });
        }
        match self.budget.leave(now) {
            Leave::Wait(until) => Err(Wait {
                until,
                on: WaitingOn::Probe,
            }),
            leave => Ok(leave == Leave::Probe),
        }
    }

    /// Asks the heads of the queue one after the other, the protected one first.
    fn admit(&mut self, limiter: &mut Limiter, probe: bool, now: Time) -> Step {
        if let Some(call) = self.protected
            && (!self.claims || self.claims_in_vain(limiter, call, now))
        {
            self.protect(limiter, call, now);
        }
        self.protect_the_overtaken(limiter, now);
        while let Some(head) = self
            .protected_head(limiter, now)
            .or_else(|| self.queue.next(limiter, now))
        {
            let standing = if self.protected == Some(head.call) {
                Standing::Head
            } else {
                Standing::Other
            };
            match self.reserve(limiter, standing, head.call, now) {
                Ok(taken) => {
                    self.unprotect(limiter, head.call);
                    self.queue.take(head);
                    return Step::Dispatch(self.dispatch(head.call, taken, probe, now));
                }
                Err(Denied::NoMember) => return self.fails_in_queue(limiter, head, Failure::Fatal),
                Err(Denied::Obstacle(Obstacle::Resource {
                    resource,
                    why: Blocked::Never,
                    ..
                })) => return self.fails_in_queue(limiter, head, Failure::NeverFits(resource)),
                Err(Denied::Obstacle(obstacle)) => {
                    self.queue.block(head, obstacle);
                    self.protect_in_order(limiter, head, now);
                }
            }
        }
        let obstacle = self.queue.first_obstacle();
        Step::Wait(obstacle.map_or(
            Wait {
                until: None,
                on: WaitingOn::InFlight,
            },
            wait_for,
        ))
    }

    /// A head of the queue ends without another attempt.
    fn fails_in_queue(&mut self, limiter: &mut Limiter, head: Head, why: Failure) -> Step {
        self.unprotect(limiter, head.call);
        self.queue.take(head);
        // It is out of the queue: its slot must not wait for the queue to meet it.
        self.calls.get_mut(head.call).state = State::BackingOff;
        self.fail(head.call, why);
        Step::Failed
    }

    fn dispatch(
        &mut self,
        index: u32,
        (member, reservation): (Option<MemberId>, Reservation),
        probe: bool,
        now: Time,
    ) -> Output {
        self.budget.dispatched(probe, now);
        self.stall.goes_on(now);
        self.progress.attempts += 1;
        let dispatch = self.progress.attempts;
        self.pool.dispatched(member, dispatch);
        let attempt = self.attempts.add(Attempt {
            call: index,
            reservation,
            member,
            dispatched: now,
            dispatch,
            probe,
            sent: false,
        });
        let id = self.calls.id(index);
        let call = self.calls.get_mut(index);
        if call.attempts == 0 {
            self.started += 1;
            if let Some(timeout) = self.settings.call_timeout {
                self.timers.time_out_call(id, now + timeout);
            }
        }
        call.attempts = call.attempts.saturating_add(1);
        (call.state, call.attempt) = (State::InFlight, attempt.index);
        if let Some(timeout) = self.settings.attempt_timeout {
            self.timers.time_out_attempt(attempt, now + timeout);
        }
        let number = call.attempts;
        if self.timers.is_crowded() {
            self.tidy_timers();
        }
        Output::Dispatch {
            call: id,
            attempt,
            number,
            member,
        }
    }

    /// Nothing can go: says until when or for what to wait, or that all is over.
    fn rest(&mut self, limiter: &mut Limiter, wait: Wait, now: Time) -> Output {
        let idle = self.attempts.in_flight() == 0;
        if let (Phase::Stopping(why), true) = (self.phase, idle) {
            limiter.idles(self.id);
            return Output::Stopped(why);
        }
        if idle && self.calls.alive() == 0 {
            limiter.idles(self.id);
            self.stall = Stall::default();
            return Output::Idle;
        }
        if matches!(
            wait.on,
            WaitingOn::Quota(_)
                | WaitingOn::Paused { .. }
                | WaitingOn::Turn
                | WaitingOn::Member { .. }
        ) {
            limiter.waits(self.id, wait.until);
        } else {
            // What cannot be used now must not keep others from it.
            self.drop_claim(limiter);
            limiter.idles(self.id);
        }
        if idle
            && matches!(
                wait.on,
                WaitingOn::Quota(_)
                    | WaitingOn::Unpause
                    | WaitingOn::Paused { told: true, .. }
                    | WaitingOn::Refused { told: true }
                    | WaitingOn::Member { told: true, .. }
            )
        {
            self.stall.waits(now);
        }
        self.tidy_timers();
        let deadline = self
            .settings
            .deadline
            .filter(|_| self.phase == Phase::Running);
        let stall = self
            .stall
            .due(self.settings.stall_limit)
            .filter(|_| self.phase == Phase::Running);
        let until = [wait.until, self.timers.next(), deadline, stall]
            .into_iter()
            .flatten()
            .min();
        Output::Wait(Wait { until, ..wait })
    }

    fn tidy_timers(&mut self) {
        let Scheduler {
            timers,
            attempts,
            calls,
            ..
        } = self;
        timers.tidy(
            |attempt| attempts.holds(attempt),
            |call| calls.find(call).is_some(),
        );
    }
}

/// The costs with each resource once, where one is named twice.
fn merged(costs: &[Cost]) -> Option<Vec<Cost>> {
    let twice = |(place, cost): (usize, &Cost)| {
        costs[..place]
            .iter()
            .any(|former| former.resource == cost.resource)
    };
    costs.iter().enumerate().any(twice).then(|| {
        let mut merged: Vec<Cost> = Vec::new();
        for cost in costs {
            match merged
                .iter_mut()
                .find(|known| known.resource == cost.resource)
            {
                Some(known) => known.amount = known.amount + cost.amount,
                None => merged.push(*cost),
            }
        }
        merged
    })
}

/// What one step came to.
enum Step {
    Dispatch(Output),
    /// A call failed instead of being dispatched.
    Failed,
    Wait(Wait),
}

impl Step {
    fn wait(until: Option<Time>, on: WaitingOn) -> Step {
        Step::Wait(Wait { until, on })
    }
}

/// What to wait for, given what stands in the way.
fn wait_for(obstacle: Obstacle) -> Wait {
    match obstacle {
        Obstacle::Turn(until) => Wait {
            until: Some(until),
            on: WaitingOn::Turn,
        },
        Obstacle::Member {
            member,
            until,
            told,
            ..
        } => Wait {
            until,
            on: WaitingOn::Member { member, told },
        },
        Obstacle::Resource { resource, why, .. } => match why {
            Blocked::Until(until) => Wait {
                until: Some(until),
                on: WaitingOn::Quota(resource),
            },
            Blocked::Paused { until, told } => Wait {
                until: Some(until),
                on: WaitingOn::Paused { resource, told },
            },
            Blocked::Held | Blocked::Never => Wait {
                until: None,
                on: WaitingOn::Quota(resource),
            },
        },
    }
}

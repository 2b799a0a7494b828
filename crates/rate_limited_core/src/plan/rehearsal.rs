//! A copy of a scheduler and its limiter, played to the end.

use super::{Assumed, Load, Plan, PlannedResource};
use crate::amount::Amount;
use crate::event::{
    AttemptId, CallId, Cost, Failure, Input, Output, ResourceId, Stop, Wait, WaitingOn,
};
use crate::limiter::Limiter;
use crate::outcome::{Class, Outcome};
use crate::quota::Quota;
use crate::scheduler::Scheduler;
use crate::time::Time;
use core::cmp::Reverse;
use core::time::Duration;
use std::collections::BinaryHeap;

/// How often the scheduler may have nothing to do at one moment before the rehearsal is broken off.
const VAIN_POLLS_MAX: u32 = 1_000;

/// A play on virtual time.
pub(crate) struct Rehearsal<'a> {
    scheduler: Scheduler,
    limiter: Limiter,
    assumed: &'a Assumed,
    began: Time,
    now: Time,
    /// The attempts in flight, by their ends and numbers.
    ends: BinaryHeap<Reverse<(Time, u64, AttemptId)>>,
    attempts: u64,
    failed: u64,
    books: Vec<Book>,
    concurrency_binds: Duration,
    in_flight_max: u64,
    last_dispatch: Time,
    vain_polls: u32,
    never_fit: Vec<CallId>,
    /// How many calls a step of the load stands for, once such steps are dispatched.
    bundled: u32,
}

/// What is noted of one resource.
#[derive(Clone, Debug)]
struct Book {
    id: ResourceId,
    quota: Quota,
    /// The share of its cost that an attempt is charged if it succeeds.
    used: f64,
    reserved: i64,
    charged: f64,
    binds: Duration,
}

/// How far the play was at a moment: to go on from there without playing.
#[derive(Clone, Debug)]
struct Mark {
    at: Time,
    attempts: u64,
    reserved: Vec<i64>,
}

impl<'a> Rehearsal<'a> {
    pub(crate) fn new(
        scheduler: Scheduler,
        limiter: Limiter,
        assumed: &'a Assumed,
        now: Time,
    ) -> Rehearsal<'a> {
        let book = |(id, quota)| Book {
            id,
            quota,
            used: if limiter.settles_usage(id) {
                assumed.share_of(id)
            } else {
                1.0
            },
            reserved: 0,
            charged: 0.0,
            binds: Duration::ZERO,
        };
        let in_flight = scheduler.in_flight().zip(0..);
        let ends: BinaryHeap<_> = in_flight
            .map(|((attempt, dispatched), number)| {
                let left = assumed.latency_left(number, now.since(dispatched));
                Reverse((now + left, number, attempt))
            })
            .collect();
        Rehearsal {
            books: limiter.quotas().map(book).collect(),
            in_flight_max: ends.len() as u64,
            scheduler,
            limiter,
            assumed,
            began: now,
            now,
            ends,
            attempts: 0,
            failed: 0,
            concurrency_binds: Duration::ZERO,
            last_dispatch: now,
            vain_polls: 0,
            never_fit: Vec::new(),
            bundled: 1,
        }
    }

    /// Plays what is in the scheduler, and then `load`.
    pub(crate) fn play(mut self, load: &Load) -> Plan {
        let before = self.scheduler.progress();
        let known = before.waiting + before.in_flight;
        let per_step = load.calls_per_bundle();
        let played = load.steps().min(self.steps_max());
        let half = before.waiting + played as u64 / 2;
        let (mut steps, mut marks) = (load.bundles().take(played), Vec::new());
        let mut over = 0;
        // Calls that are planned as one are not to see further than they would alone.
        let look_ahead = (self.scheduler.look_ahead() / u64::from(per_step)).max(1);
        let stop = loop {
            while self.scheduler.progress().waiting < look_ahead {
                let Some(step) = steps.next() else { break };
                let costs: Vec<_> = step.costs().map(|(id, it)| Cost::new(id, it)).collect();
                // What never fits is not in the load; a limit that was lowered fails it later.
                let _ = self.scheduler.schedule(&mut self.limiter, &costs, self.now);
            }
            match self.scheduler.poll(&mut self.limiter, self.now) {
                Output::Dispatch { attempt, .. } => {
                    self.dispatch(attempt, before.waiting, per_step);
                    if marks.is_empty() && self.attempts >= half {
                        marks.push(self.mark());
                    }
                }
                Output::Done { .. } => over += 1,
                Output::Failed {
                    call,
                    why: Failure::NeverFits(id),
                } if !self.is_budget(id) => self.never_fit.push(call),
                Output::Failed { .. } | Output::Abandon { .. } | Output::MemberDropped { .. } => {}
                Output::Wait(wait) => {
                    if !self.wait(wait) {
                        break None;
                    }
                }
                Output::Idle => break None,
                Output::Stopped(why) => break Some(why),
            }
        };
        let rest = load.bundles().skip(played);
        let further = marks.first().and_then(|mark| self.further(mark, rest));
        let planned = known + played as u64;
        self.plan(
            (known + load.calls(), planned.saturating_sub(over)),
            stop,
            further,
        )
    }

    fn is_budget(&self, id: ResourceId) -> bool {
        let quota = self.books.iter().find(|book| book.id == id);
        quota.is_some_and(|book| matches!(book.quota, Quota::Budget { .. }))
    }

    fn steps_max(&self) -> usize {
        usize::try_from(self.assumed.steps_max).unwrap_or(usize::MAX)
    }

    fn dispatch(&mut self, attempt: AttemptId, singles: u64, per_step: u32) {
        self.attempts += 1;
        if self.attempts > singles && self.bundled != per_step {
            self.bundled = per_step;
            self.scheduler.divide_concurrency(per_step);
        }
        let input = Input::Sent { attempt };
        self.scheduler.handle(&mut self.limiter, input, self.now);
        let end = self.now + self.assumed.latency(self.attempts);
        self.ends.push(Reverse((end, self.attempts, attempt)));
        let in_flight = self.ends.len() as u64 * u64::from(self.bundled);
        self.in_flight_max = self.in_flight_max.max(in_flight);
        (self.last_dispatch, self.vain_polls) = (self.now, 0);
        for cost in self.scheduler.costs_of(attempt) {
            if let Some(book) = self.books.iter_mut().find(|book| book.id == cost.resource) {
                book.reserved = book.reserved.saturating_add(cost.amount.as_micros());
            }
        }
    }

    /// Goes to the next moment at which anything happens; false if nothing ever will.
    fn wait(&mut self, wait: Wait) -> bool {
        let end = self.ends.peek().map(|Reverse((end, ..))| *end);
        let Some(next) = [wait.until, end].into_iter().flatten().min() else {
            return false;
        };
        self.vain_polls += 1;
        if self.vain_polls > VAIN_POLLS_MAX {
            return false;
        }
        if next > self.now {
            self.note(wait.on, next.since(self.now));
            (self.now, self.vain_polls) = (next, 0);
        }
        while let Some(&Reverse((end, _, attempt))) = self.ends.peek()
            && end <= self.now
        {
            self.ends.pop();
            self.finish(attempt);
        }
        true
    }

    fn note(&mut self, on: WaitingOn, span: Duration) {
        match on {
            WaitingOn::Quota(id) | WaitingOn::Paused { resource: id, .. } => {
                if let Some(book) = self.books.iter_mut().find(|book| book.id == id) {
                    book.binds += span;
                }
            }
            WaitingOn::Concurrency => self.concurrency_binds += span,
            _ => {}
        }
    }

    fn finish(&mut self, attempt: AttemptId) {
        let ends = self.attempts.max(1);
        // So many of them fail, evenly spread: each time the next whole number is passed.
        let fails = (self.failed + 1) as f64 <= ends as f64 * self.assumed.failure_rate;
        self.failed += u64::from(fails);
        let class = if fails {
            Class::Failure
        } else {
            Class::Success
        };
        let mut usage = Vec::new();
        for cost in self.scheduler.costs_of(attempt) {
            let Some(book) = self.books.iter_mut().find(|book| book.id == cost.resource) else {
                continue;
            };
            let share = if fails { 1.0 } else { book.used };
            let used = cost.amount.as_micros() as f64 * share;
            book.charged += used;
            if !fails && book.used < 1.0 {
                usage.push(Cost::new(cost.resource, Amount::from_micros(used as i64)));
            }
        }
        let outcome = Outcome::new(class).with_usage(&usage);
        let input = Input::Finished { attempt, outcome };
        self.scheduler.handle(&mut self.limiter, input, self.now);
    }

    fn mark(&self) -> Mark {
        Mark {
            at: self.now,
            attempts: self.attempts,
            reserved: self.books.iter().map(|book| book.reserved).collect(),
        }
    }

    /// How long the rest takes that was not played, if it goes on as it went from the mark on; and what
    /// it reserves.
    fn further<'b>(
        &self,
        mark: &Mark,
        rest: impl Iterator<Item = super::load::Bundle<'b>>,
    ) -> Option<(Duration, f64)> {
        let mut left = vec![0_i64; self.books.len()];
        let mut steps = 0_u64;
        for step in rest {
            steps += 1;
            for (left, (_, cost)) in left.iter_mut().zip(step.costs()) {
                *left = left.saturating_add(cost.as_micros());
            }
        }
        let since: Vec<_> = self
            .books
            .iter()
            .zip(&mark.reserved)
            .map(|(book, before)| book.reserved - before)
            .collect();
        let done = self.least_time(self.attempts - mark.attempts, &since);
        let times = self.least_time(steps, &left) / done;
        let span = self.last_dispatch.since(mark.at);
        let is_some = steps > 0 && times.is_finite();
        is_some.then(|| (span.mul_f64(times.max(0.0)), times))
    }

    /// How long the limits and the bound on attempts in flight alone make so much work.
    fn least_time(&self, steps: u64, work: &[i64]) -> f64 {
        let slots = self.scheduler.progress().max_concurrent.max(1);
        let by_slots = steps as f64 * self.assumed.latency_mean().as_secs_f64() / f64::from(slots);
        let by_limits = self.books.iter().zip(work).map(|(book, work)| {
            let quota = book.quota.limit().map_or(f64::INFINITY, Amount::as_units);
            let window = book.quota.window().as_secs_f64();
            Amount::from_micros(*work).as_units() * book.used / quota * window
        });
        by_limits.fold(by_slots, f64::max)
    }

    fn plan(
        self,
        (calls, unfinished): (u64, u64),
        stop: Option<Stop>,
        further: Option<(Duration, f64)>,
    ) -> Plan {
        let (more, times) = further.unwrap_or_default();
        // The second half of what was played goes on so many times.
        let longer = 1.0 + times / 2.0;
        let until = self.last_dispatch.since(self.began);
        let resource = |book: &Book| PlannedResource {
            resource: book.id,
            name: self.limiter.name(book.id).to_owned(),
            reserved: Amount::from_micros((book.reserved as f64 * longer) as i64),
            charged: Amount::from_micros((book.charged * longer) as i64),
            binds: book.binds.mul_f64(longer),
            utilisation: let_through(&book.quota, until).map(|most| book.charged / most),
        };
        Plan {
            calls,
            unfinished: unfinished * u64::from(self.bundled),
            never_fit: self.never_fit,
            finish: self.now.since(self.began) + more,
            stop,
            resources: self.books.iter().map(resource).collect(),
            concurrency_binds: self.concurrency_binds.mul_f64(longer),
            in_flight_max: self.in_flight_max,
            is_extrapolated: further.is_some(),
        }
    }
}

/// How much a quota lets through in a span, in millionths; `None` where nothing comes back with time.
fn let_through(quota: &Quota, span: Duration) -> Option<f64> {
    let window = quota.window();
    if window.is_zero() {
        return None;
    }
    let windows = span.as_secs_f64() / window.as_secs_f64();
    // One that nobody told is as large as can be.
    let limit = quota.limit().filter(|limit| *limit < Amount::MAX)?;
    let amount = limit.as_micros() as f64;
    Some(match quota {
        Quota::TokenBucket { burst, .. } => burst.as_micros() as f64 + amount * windows,
        _ => amount * (windows.floor() + 1.0),
    })
}

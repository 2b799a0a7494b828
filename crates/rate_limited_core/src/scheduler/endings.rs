//! How attempts, calls and runs end.

use super::{Phase, Scheduler};
use crate::attempt::Attempt;
use crate::call::State;
use crate::event::{Abandoned, AttemptId, CallId, Cost, Failure, MemberId, Output, Stop};
use crate::limiter::Limiter;
use crate::outcome::{Class, Outcome};
use crate::retry::{Situation, Verdict, verdict};
use crate::time::{Time, nanos};
use crate::timers::Due;

/// How an attempt ended, for the books.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Answered,
    TimedOut,
}

impl Scheduler {
    /// An attempt has ended: its reservation is settled, its call judged.
    pub(super) fn finish(
        &mut self,
        limiter: &mut Limiter,
        id: AttemptId,
        outcome: &Outcome,
        end: End,
        now: Time,
    ) {
        let Some(attempt) = self.attempts.take(id) else {
            return;
        };
        let class = outcome.class();
        self.book(limiter, &attempt, class, now);
        let charged = match (end, class) {
            // What was abandoned may still be counted by the server, whatever it counts of failures.
            (End::TimedOut, _) => &Outcome::new(Class::Invalid),
            // Kept back because another attempt found the key to be bad.
            (_, Class::Fatal) if attempt.member.is_some() && !attempt.sent => {
                &Outcome::new(Class::NotSent)
            }
            _ => outcome,
        };
        limiter.settle(attempt.reservation, charged, &mut self.entries, now);
        self.count(class, end);
        self.pool.returned(attempt.member, limiter);
        let call = self.calls.get(attempt.call);
        if let Class::Refused {
            resource,
            retry_after,
        } = class
        {
            let taken = self
                .pool
                .taken(limiter, attempt.member, call.costs.as_slice());
            limiter.cut(
                taken.as_deref().unwrap_or(call.costs.as_slice()),
                resource,
                retry_after,
                &mut self.entries,
                now,
            );
        }
        let situation = Situation {
            failures: call.failures,
            max_retries: self.settings.max_retries,
            backoff: &self.settings.backoff,
            outage: self.budget.outage(),
        };
        let verdict = match attempt.member.filter(|_| class == Class::Fatal) {
            Some(member) => self.without(limiter, member),
            None => verdict(class, &situation, &mut self.chance, now),
        };
        self.avoid(attempt.call, attempt.member, class);
        self.sentence(limiter, attempt.call, verdict, now);
        if class == Class::Fatal && !self.pool.is_alive() {
            self.stop(limiter, Stop::Fatal);
        }
    }

    /// What an outcome means for the resources, the budget and the bound on concurrency.
    fn book(&mut self, limiter: &mut Limiter, attempt: &Attempt, class: Class, now: Time) {
        self.pool.heard(
            attempt.member,
            class,
            (&self.settings.backoff, &mut self.chance),
            limiter,
            now,
        );
        let costs = self.calls.get(attempt.call).costs.as_slice();
        let taken = self.pool.taken(limiter, attempt.member, costs);
        let costs = taken.as_deref().unwrap_or(costs);
        match class {
            Class::Success | Class::Invalid | Class::Permanent | Class::Fatal => {
                limiter.ended(costs, class, attempt.dispatched, now);
                self.budget.answered();
                self.stall.success();
                self.refusals_in_a_row = 0;
                let took = nanos(now.since(attempt.dispatched));
                self.concurrency
                    .answered(took, attempt.dispatch, self.progress.attempts, now);
            }
            Class::Overloaded { retry_after } => {
                limiter.ended(costs, class, attempt.dispatched, now);
                self.concurrency
                    .overloaded(attempt.dispatch, self.progress.attempts);
                self.stall.trouble(now);
                if retry_after.is_some() {
                    self.probe_ended(attempt.probe, now);
                    self.pause(limiter, attempt.member, retry_after.map(nanos), now);
                } else {
                    self.budget.failed(
                        attempt.probe,
                        &self.settings.backoff,
                        &mut self.chance,
                        now,
                    );
                }
            }
            Class::Failure | Class::NotSent => {
                limiter.ended(costs, class, attempt.dispatched, now);
                self.budget
                    .failed(attempt.probe, &self.settings.backoff, &mut self.chance, now);
                self.stall.trouble(now);
            }
            Class::Refused {
                resource,
                retry_after,
            } => {
                self.stall.trouble(now);
                let answers = |cost: &Cost| limiter.answers_for(resource, cost.resource);
                if costs.iter().any(answers) {
                    limiter.refused(
                        costs,
                        (resource, retry_after),
                        attempt.dispatched,
                        &self.settings.backoff,
                        &mut self.chance,
                        now,
                    );
                } else {
                    self.pause(limiter, attempt.member, retry_after.map(nanos), now);
                }
                self.probe_ended(attempt.probe, now);
            }
        }
    }

    /// An attempt ended without telling whether an outage is over.
    fn probe_ended(&mut self, probe: bool, now: Time) {
        if probe {
            self.budget
                .probe_ended(&self.settings.backoff, &mut self.chance, now);
        }
    }

    /// Pauses the member, or without a pool the whole run: the refusal names no resource of the call.
    fn pause(
        &mut self,
        limiter: &mut Limiter,
        member: Option<MemberId>,
        told: Option<u64>,
        now: Time,
    ) {
        if let Some(member) = member {
            let delays = (&self.settings.backoff, &mut self.chance);
            return self.pool.pause(member, told, delays, limiter, now);
        }
        let longest = self.settings.backoff.longest(self.refusals_in_a_row);
        let own = longest / 2 + self.chance.below(longest / 2 + 1);
        let wait = match told {
            // A moment that proved too early twice is not believed again.
            Some(told) if self.refusals_in_a_row == 0 => told,
            told => told.unwrap_or(0).max(own),
        };
        let until = now.plus(wait);
        if until > self.paused_until {
            (self.paused_until, self.pause_told) = (until, told.is_some_and(|told| told == wait));
        }
        self.refusals_in_a_row += 1;
    }

    fn count(&mut self, class: Class, end: End) {
        let counter = match class {
            Class::Failure
            | Class::Overloaded { .. }
            | Class::NotSent
            | Class::Permanent
            | Class::Fatal => &mut self.progress.failures,
            Class::Invalid => &mut self.progress.invalid,
            Class::Refused { .. } => &mut self.progress.refusals,
            Class::Success => return,
        };
        *counter += 1;
        self.progress.timeouts += u64::from(end == End::TimedOut);
    }

    fn sentence(&mut self, limiter: &mut Limiter, index: u32, verdict: Verdict, now: Time) {
        let counts = match verdict {
            Verdict::Again { counts } | Verdict::After { counts, .. } => counts,
            Verdict::Done | Verdict::GiveUp(_) => false,
        };
        let call = self.calls.get_mut(index);
        call.failures += u16::from(counts);
        match verdict {
            Verdict::Done => self.done(index),
            Verdict::GiveUp(why) => self.fail(index, why),
            Verdict::Again { .. } => self.wait_again(limiter, index),
            Verdict::After { at, .. } if at <= now => self.wait_again(limiter, index),
            Verdict::After { at, .. } => {
                call.state = State::BackingOff;
                self.timers.back_off(self.calls.id(index), at);
            }
        }
    }

    fn wait_again(&mut self, limiter: &Limiter, index: u32) {
        let call = self.calls.get_mut(index);
        (call.state, call.rank) = (State::Waiting, self.started);
        self.queue.enter(index, &self.calls, limiter);
    }

    fn done(&mut self, index: u32) {
        self.outbox.push_back(Output::Done {
            call: self.calls.id(index),
        });
        self.progress.done += 1;
        self.end(index);
    }

    pub(super) fn fail(&mut self, index: u32, why: Failure) {
        self.outbox.push_back(Output::Failed {
            call: self.calls.id(index),
            why,
        });
        self.progress.failed += 1;
        self.end(index);
    }

    fn end(&mut self, index: u32) {
        // A call that ends without a dispatch overtakes nobody any more.
        self.started += u64::from(self.calls.get(index).attempts == 0);
        self.calls.end(index);
    }

    /// An abandoned attempt has answered after all.
    pub(super) fn late(&mut self, limiter: &mut Limiter, id: CallId, now: Time) {
        let Some(index) = self.calls.find(id) else {
            return;
        };
        self.abandon_attempt_of(limiter, index, Abandoned::NotNeeded, now);
        self.unprotect(limiter, index);
        self.budget.answered();
        self.stall.success();
        self.done(index);
    }

    pub(super) fn cancel(&mut self, limiter: &mut Limiter, id: CallId, now: Time) {
        let Some(index) = self.calls.find(id) else {
            return;
        };
        self.abandon_attempt_of(limiter, index, Abandoned::NotNeeded, now);
        self.unprotect(limiter, index);
        self.progress.cancelled += 1;
        if self.calls.get(index).state == State::Waiting {
            self.queue.note_gone();
        }
        self.end(index);
    }

    /// An attempt was given up before its request left.
    pub(super) fn unsent(&mut self, limiter: &mut Limiter, id: AttemptId, now: Time) {
        let Some(attempt) = self.attempts.take(id) else {
            return;
        };
        let outcome = Outcome::new(if attempt.sent {
            Class::Invalid
        } else {
            Class::NotSent
        });
        limiter.settle(attempt.reservation, &outcome, &mut self.entries, now);
        self.pool.returned(attempt.member, limiter);
        if attempt.probe {
            self.budget
                .probe_ended(&self.settings.backoff, &mut self.chance, now);
        }
        self.progress.cancelled += 1;
        self.end(attempt.call);
    }

    /// Abandons the attempt that a call has in flight, if it has one; it counts as used.
    fn abandon_attempt_of(&mut self, limiter: &mut Limiter, index: u32, why: Abandoned, now: Time) {
        if self.calls.get(index).state != State::InFlight {
            return;
        }
        let id = self.attempts.id(self.calls.get(index).attempt);
        let Some(attempt) = self.attempts.take(id) else {
            return;
        };
        let outcome = Outcome::new(Class::Invalid);
        limiter.settle(attempt.reservation, &outcome, &mut self.entries, now);
        self.pool.returned(attempt.member, limiter);
        self.probe_ended(attempt.probe, now);
        self.outbox.push_back(Output::Abandon {
            call: self.calls.id(index),
            attempt: id,
            why,
        });
    }

    pub(super) fn stop(&mut self, limiter: &mut Limiter, why: Stop) {
        if self.phase == Phase::Running {
            self.phase = Phase::Stopping(why);
            self.protected = None;
            self.drop_claim(limiter);
        }
    }

    pub(super) fn halt(&mut self, limiter: &mut Limiter, now: Time) {
        self.stop(limiter, Stop::Asked);
        for attempt in self.attempts.ids() {
            let Some(call) = self.attempts.get_mut(attempt).map(|attempt| attempt.call) else {
                continue;
            };
            self.abandon_attempt_of(limiter, call, Abandoned::Halted, now);
            self.wait_again(limiter, call);
        }
    }

    /// Does what has come due by itself.
    pub(super) fn fire(&mut self, limiter: &mut Limiter, now: Time) {
        while let Some(due) = self.timers.pop(now) {
            match due {
                Due::Backoff(id) => {
                    let index = self.calls.find(id);
                    if let Some(index) =
                        index.filter(|i| self.calls.get(*i).state == State::BackingOff)
                    {
                        self.wait_again(limiter, index);
                    }
                }
                Due::AttemptTimeout(id) => self.time_out_attempt(limiter, id, now),
                Due::CallTimeout(id) => self.time_out_call(limiter, id, now),
            }
        }
        if self
            .settings
            .deadline
            .is_some_and(|deadline| deadline <= now)
        {
            self.stop(limiter, Stop::Deadline);
        }
        if self
            .stall
            .due(self.settings.stall_limit)
            .is_some_and(|due| due <= now)
        {
            self.stop(limiter, Stop::Stalled);
        }
    }

    fn time_out_attempt(&mut self, limiter: &mut Limiter, id: AttemptId, now: Time) {
        let Some(attempt) = self.attempts.get_mut(id) else {
            return;
        };
        let call = self.calls.id(attempt.call);
        self.outbox.push_back(Output::Abandon {
            call,
            attempt: id,
            why: Abandoned::TimedOut,
        });
        self.finish(
            limiter,
            id,
            &Outcome::new(Class::Failure),
            End::TimedOut,
            now,
        );
    }

    fn time_out_call(&mut self, limiter: &mut Limiter, id: CallId, now: Time) {
        let Some(index) = self.calls.find(id) else {
            return;
        };
        self.abandon_attempt_of(limiter, index, Abandoned::NotNeeded, now);
        self.unprotect(limiter, index);
        self.fail(index, Failure::TimedOut);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Input, Settings};

    #[test]
    fn time_outs_of_ended_attempts_are_let_go_though_nobody_ever_waits() {
        let now = Time::default();
        let mut limiter = Limiter::new(now);
        let settings = Settings {
            call_timeout: Some(core::time::Duration::from_secs(900)),
            ..Settings::default()
        };
        let mut scheduler = Scheduler::new(&mut limiter, settings, now);
        for _ in 0..100_000 {
            scheduler.schedule(&mut limiter, &[], now).expect("it fits");
            let Output::Dispatch { attempt, .. } = scheduler.poll(&mut limiter, now) else {
                panic!("nothing keeps it")
            };
            let outcome = Outcome::new(Class::Success);
            scheduler.handle(&mut limiter, Input::Finished { attempt, outcome }, now);
            assert!(matches!(
                scheduler.poll(&mut limiter, now),
                Output::Done { .. }
            ));
        }
        assert!(scheduler.timers.len() < 4_096, "{}", scheduler.timers.len());
    }
}

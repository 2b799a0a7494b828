//! The driver's side of a recorder: what waits until it is written, and what is taken down.

use super::{Driver, call_of};
use crate::attempt::Event;
use crate::recorder::{Known, PastMeter, Place, Recorder, Setback, Ticket};
use crate::result::{AttemptError, CallResult, SharedError};
use crate::runner::Finished;
use rate_limited_core::{
    Amount, AttemptId, CallId, Class, Cost, Failure, Input, Limiter, Outcome, Time,
};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// How often what was learnt is taken down.
const EACH: Duration = Duration::from_secs(2);

/// What a run takes down, and what waits for that.
pub(super) struct Records<Req, Resp> {
    recorder: Box<dyn Recorder<Req, Resp>>,
    /// Attempts that leave when their dispatch is written, in order.
    leaving: VecDeque<(Ticket, CallId, AttemptId)>,
    /// Calls that are told when their result is written, in order.
    ended: VecDeque<(Ticket, Finished<Req, Resp>)>,
    /// Calls that were over before the run.
    over: VecDeque<Finished<Req, Resp>>,
    /// Calls that are run when nothing else is left.
    last: VecDeque<(u64, Req, Place)>,
    /// Of which resources the recorder knows, by their indices.
    known: Vec<bool>,
    /// Until when each resource was known to be paused.
    paused: Vec<Time>,
    /// What was taken down as learnt of each resource, and when.
    learnt: (Time, Vec<Vec<u8>>),
    stopped: bool,
    /// Whether all that came in so far is over: what comes next is another list.
    list_is_over: bool,
    pub(super) restored: u64,
}

impl<Req, Resp> Records<Req, Resp> {
    pub(super) fn new(recorder: Box<dyn Recorder<Req, Resp>>) -> Records<Req, Resp> {
        Records {
            recorder,
            leaving: VecDeque::new(),
            ended: VecDeque::new(),
            over: VecDeque::new(),
            last: VecDeque::new(),
            known: Vec::new(),
            paused: Vec::new(),
            learnt: (Time::default(), Vec::new()),
            stopped: false,
            list_is_over: false,
            restored: 0,
        }
    }
}

impl<Req, Resp> Records<Req, Resp> {
    /// Lets the recorder know of the resources that a call takes from.
    pub(super) fn know(&mut self, limiter: &Limiter, costs: &[Cost]) {
        for cost in costs {
            let index = cost.resource.index();
            if self.known.get(index) == Some(&true) {
                continue;
            }
            let count = self.known.len().max(index + 1);
            self.known.resize(count, false);
            self.paused.resize(count, Time::default());
            self.learnt.1.resize(count, Vec::new());
            self.known[index] = true;
            self.recorder
                .adds(cost.resource, limiter.name(cost.resource));
        }
    }

    /// Begins another list, if all of the one before is over.
    fn begin_list_if_due(&mut self) -> Result<(), SharedError> {
        if self.list_is_over {
            self.recorder.begin_list()?;
            self.list_is_over = false;
        }
        Ok(())
    }

    /// Looks a request up, the first one of a list in what the journal has by then.
    fn look(&mut self, request: &Req) -> Result<Known<Resp>, SharedError> {
        self.begin_list_if_due()?;
        self.recorder.look(request)
    }

    /// Whether what was looked up of this list may be run.
    fn check(&mut self) -> Result<(), SharedError> {
        self.begin_list_if_due()?;
        self.recorder.check()
    }

    /// Takes over what was charged to parts before.
    fn recall_parts(&mut self, parts: Vec<(String, PastMeter)>, limiter: &mut Limiter, now: Time) {
        for (name, meter) in parts {
            let Some(part) = limiter.partition_named(&name) else {
                continue;
            };
            self.know(limiter, &[Cost::new(part, Amount::ZERO)]);
            let _ = limiter.recall(part, &meter.learnt);
            limiter.replay(part, &meter.charges, meter.paused_until, now);
            self.paused[part.index()] = meter.paused_until;
            self.learnt.1[part.index()] = meter.learnt;
        }
    }
}

/// What becomes of a request that comes in.
pub(super) enum Admitted<Req> {
    /// It is scheduled, at its place in the record if there is one.
    Run(Req, Option<Place>),
    /// It has its number, and nothing more is to be done now.
    Settled(u64),
}

impl<Req, Resp> Driver<Req, Resp>
where
    Req: Clone + Send + 'static,
    Resp: Send + 'static,
{
    /// Takes over what was charged before, and hears when more is written.
    pub(super) fn begin_records(&mut self) -> Result<(), SharedError> {
        let Some(records) = &mut self.records else {
            return Ok(());
        };
        let now = self.clock.now();
        let mut limiter = self.account.open();
        let ids: Vec<_> = limiter.resources().collect();
        let mut quotas = Vec::new();
        for id in &ids {
            let resource = limiter.view(*id, now).resource;
            quotas.push((resource.name().to_owned(), *resource.quota()));
        }
        records.known = vec![true; ids.len()];
        let most = self.scheduler.progress().max_concurrent;
        let past = records.recorder.begin(&quotas, most, now)?;
        for (id, meter) in ids.into_iter().zip(past.meters) {
            // Of a form that is not known here nothing is recalled.
            let _ = limiter.recall(id, &meter.learnt);
            limiter.replay(id, &meter.charges, meter.paused_until, now);
            records.paused.push(meter.paused_until);
            records.learnt.1.push(meter.learnt);
        }
        records.recall_parts(past.parts, &mut limiter, now);
        #[cfg(all(feature = "report", feature = "journal"))]
        if let Some(kept) = records.recorder.kept() {
            self.witness.goes_on(kept);
        }
        self.scheduler.keep_entries();
        let events = self.events.0.clone();
        records.recorder.on_news(Box::new(move || {
            // A driver that is gone does not need to know.
            let _ = events.send(Event::Recorded);
        }));
        Ok(())
    }

    /// Looks a request up in the record.
    pub(super) fn admit(&mut self, request: Req) -> Result<Admitted<Req>, (SharedError, Req)> {
        let Some(records) = &mut self.records else {
            return Ok(Admitted::Run(request, None));
        };
        let known = match records.look(&request) {
            Ok(known) => known,
            Err(error) => return Err((error, request)),
        };
        if let Known::Run(place) | Known::Last(place) = &known
            && let Some(failed) = place.had_failed
        {
            self.witness.reopens(failed);
        }
        let index = self.scheduled;
        match known {
            Known::Run(place) => return Ok(Admitted::Run(request, Some(place))),
            Known::Last(place) => records.last.push_back((index, request, place)),
            Known::Over(result) => {
                records.restored += 1;
                records.over.push_back(Finished {
                    index,
                    request,
                    result,
                    why: None,
                    restored: true,
                });
            }
        }
        self.scheduled += 1;
        Ok(Admitted::Settled(index))
    }

    /// A run has come to its end: all that came in is over.
    pub(super) fn end_list(&mut self) {
        if let Some(records) = &mut self.records {
            records.list_is_over = true;
        }
    }

    /// Whether what was looked up may be run.
    pub(super) fn check_records(&mut self) -> Result<(), SharedError> {
        let records = self.records.as_mut();
        records.map_or(Ok(()), Records::check)
    }

    /// Whether nothing is left but calls that are to be run alone; then the next of them goes.
    pub(super) fn goes_on_with_the_last(&mut self) -> bool {
        let Some(records) = &mut self.records else {
            return false;
        };
        let Some((index, request, place)) = records.last.pop_front() else {
            return false;
        };
        if let Err((error, request)) = self.enter(index, request, Some(place)) {
            let finished = Finished::unscheduled(index, request, Arc::new(error));
            if let Some(records) = &mut self.records {
                records.over.push_back(finished);
            }
        }
        true
    }

    /// Whether calls that are over still wait to be told.
    pub(super) fn has_untold(&self) -> bool {
        let records = self.records.as_ref();
        records.is_some_and(|records| !records.ended.is_empty() || !records.over.is_empty())
    }

    /// An attempt that is to leave: at once, or when that is written.
    pub(super) fn record_dispatch(&mut self, id: CallId, attempt: AttemptId, number: u32) -> bool {
        let (Some(records), Some(call)) = (&mut self.records, call_of(&mut self.calls, id)) else {
            return true;
        };
        let Some(place) = call.place else { return true };
        let number = place.attempts + number;
        let now = self.clock.now();
        let ticket = {
            let limiter = &*self.account.open();
            let reserved = &mut self.scheduler.reserved(limiter, attempt);
            records.recorder.dispatch(&place, number, reserved, now)
        };
        if let Some(ticket) = ticket {
            records.leaving.push_back((ticket, id, attempt));
        } else {
            self.keep_back(attempt);
        }
        false
    }

    /// Nothing may leave any more: the call stays unfinished.
    fn keep_back(&mut self, attempt: AttemptId) {
        self.stop_for_the_record();
        let outcome = Outcome::new(Class::NotSent);
        self.input(Input::Finished { attempt, outcome });
    }

    pub(super) fn stop_for_the_record(&mut self) {
        let is_first = self
            .records
            .as_mut()
            .is_some_and(|records| !std::mem::replace(&mut records.stopped, true));
        if is_first {
            self.input(Input::Stop);
        }
    }

    /// Lets go what has been written: attempts leave, results are told.
    pub(super) fn release(&mut self, each: &mut (dyn FnMut(Finished<Req, Resp>) + Send)) {
        let Some(records) = &mut self.records else {
            return;
        };
        let written = records.recorder.written();
        let failed = records.recorder.error().is_some();
        while let Some(finished) = records.over.pop_front() {
            each(finished);
        }
        let safe = records.ended.iter();
        let safe = safe.take_while(|(ticket, _)| *ticket <= written).count();
        for (_, finished) in records.ended.drain(..safe) {
            each(finished);
        }
        let safe = records.leaving.iter();
        let safe = safe.take_while(|(ticket, ..)| *ticket <= written).count();
        let leaving: Vec<_> = records.leaving.drain(..safe).collect();
        if failed {
            self.stop_for_the_record();
        }
        for (_, call, attempt) in leaving {
            if failed {
                self.record_stay(call);
                self.keep_back(attempt);
            } else {
                self.start(call, attempt);
            }
        }
    }

    /// An attempt was abandoned; whether it had not left yet.
    pub(super) fn abandon_leaving(&mut self, attempt: AttemptId) -> bool {
        let Some(records) = &mut self.records else {
            return false;
        };
        let before = records.leaving.len();
        records
            .leaving
            .retain(|(_, _, leaving)| *leaving != attempt);
        records.leaving.len() < before
    }

    /// Takes down what the attempts that ended took of the resources.
    pub(super) fn record_charges(&mut self) {
        let Some(records) = &mut self.records else {
            return;
        };
        let now = self.clock.now();
        for entry in self.scheduler.take_entries() {
            records.recorder.charge(&entry, now);
        }
    }

    /// Takes down an attempt that came to nothing.
    pub(super) fn record_setback(&mut self, id: CallId, setback: Setback) {
        let (Some(records), Some(call)) = (&mut self.records, call_of(&mut self.calls, id)) else {
            return;
        };
        if let Some(place) = &call.place {
            let attempts = place.attempts + call.attempts;
            records.recorder.back(place, attempts, Some(setback));
        }
    }

    /// Takes down that an attempt has not left after all: otherwise the next run takes it for one that was in flight
    /// when this one died.
    fn record_stay(&mut self, id: CallId) {
        let (Some(records), Some(call)) = (&mut self.records, call_of(&mut self.calls, id)) else {
            return;
        };
        if let Some(place) = &call.place {
            let attempts = place.attempts + call.attempts.saturating_sub(1);
            records.recorder.back(place, attempts, None);
        }
    }

    /// Takes down which resources the server asked to leave alone.
    pub(super) fn record_pauses(&mut self) {
        let Some(records) = &mut self.records else {
            return;
        };
        let now = self.clock.now();
        let mut limiter = self.account.open();
        let ids: Vec<_> = limiter.resources().collect();
        for (known, id) in records.paused.iter_mut().zip(ids) {
            let until = limiter.view(id, now).paused_until;
            if until > *known {
                *known = until;
                records.recorder.pause(id, *known, now);
            }
        }
    }

    /// Takes down what was learnt of the resources, if there is news; while a run goes on, now and then.
    pub(super) fn record_learnt(&mut self, is_end: bool) {
        let Some(records) = &mut self.records else {
            return;
        };
        let now = self.clock.now();
        let (last, known) = &mut records.learnt;
        if !is_end && now < *last + EACH {
            return;
        }
        *last = now;
        let limiter = self.account.open();
        for (known, id) in known.iter_mut().zip(limiter.resources()) {
            let learnt = limiter.learnt(id);
            if learnt != *known {
                known.clone_from(&learnt);
                records.recorder.learnt(id, learnt);
            }
        }
    }

    /// A call is over: it is told when that is written.
    pub(super) fn tell(
        &mut self,
        place: Option<Place>,
        mut finished: Finished<Req, Resp>,
        each: &mut (dyn FnMut(Finished<Req, Resp>) + Send),
    ) {
        let (Some(records), Some(place)) = (&mut self.records, place) else {
            return each(finished);
        };
        finished.result.attempts += place.attempts;
        if matches!(finished.why, Some(Failure::Fatal | Failure::NeverFits(_))) {
            // Another key, or another limit, and it may succeed: it is asked again by the next run.
            records.recorder.gives_up(&place);
            return each(finished);
        }
        let ticket = records.recorder.end(&place, &finished);
        records.ended.push_back((ticket, finished));
    }

    /// The calls that were over before, by the record.
    #[cfg(all(feature = "report", feature = "journal"))]
    pub(super) fn over_before(&self) -> Option<rate_limited_report::Ended> {
        self.records.as_ref()?.recorder.over()
    }

    /// What keeps the record from being written, if anything does.
    pub(crate) fn record_error(&self) -> Option<SharedError> {
        self.records.as_ref()?.recorder.error()
    }
}

impl<Req, Resp> Finished<Req, Resp> {
    /// A call that could not be scheduled.
    pub(super) fn unscheduled(index: u64, request: Req, error: SharedError) -> Self {
        Finished {
            index,
            request,
            result: CallResult {
                value: None,
                errors: vec![AttemptError::NeverFits(error)],
                attempts: 0,
                finished: true,
            },
            why: None,
            restored: false,
        }
    }
}

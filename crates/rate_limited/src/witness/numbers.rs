//! The numbers of a run for its report.

use rate_limited_core::{AttemptId, CallId, Class, Progress, Quota, ResourceView, Time};
use rate_limited_report::{Attempt, Call, Meter, Outcome, Report, Sample, Statistics};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{Fate, Trip};
use crate::account::Account;

/// What is counted, and what is known of what is not over.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    statistics: Statistics,
    began: Time,
    looked: Option<Time>,
    /// When the attempts in flight left, by the index of their ids.
    flights: Vec<Option<(AttemptId, Time)>>,
    /// When the first attempt of unfinished calls left, by the index of their ids.
    calls: Vec<Option<Time>>,
}

impl Numbers {
    pub(super) fn begins(&mut self, now: Time) {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH);
        let unix = unix.unwrap_or_default().as_millis();
        self.statistics
            .begins(u64::try_from(unix).unwrap_or(u64::MAX));
        self.began = now;
        self.looked = None;
    }

    pub(super) fn leaves(&mut self, trip: Trip, number: u32, now: Time) {
        self.statistics.leaves(number > 1);
        *place(&mut self.flights, trip.attempt.index()) = Some((trip.attempt, now));
        place(&mut self.calls, trip.id.index()).get_or_insert(now);
    }

    pub(super) fn ended(&mut self, trip: Trip, fate: Fate<'_>, now: Time) {
        let flight = place(&mut self.flights, trip.attempt.index());
        let Some((_, left)) = flight.take_if(|(attempt, _)| *attempt == trip.attempt) else {
            return;
        };
        let (outcome, code) = match fate {
            Fate::Came(class, code) => (outcome(class), code),
            Fate::TimedOut => (Outcome::TimedOut, Some("timeout")),
            Fate::CutOff => (Outcome::CutOff, None),
        };
        let attempt = Attempt {
            outcome,
            code,
            took: now.since(left),
        };
        self.statistics.attempt(now.since(self.began), &attempt);
    }

    pub(super) fn over(
        &mut self,
        (id, index): (CallId, u64),
        attempts: u32,
        kind: Option<&'static str>,
        now: Time,
    ) {
        let began = place(&mut self.calls, id.index()).take();
        self.statistics.call(&Call {
            name: &format!("call {index}"),
            attempts,
            took: began.map_or(Duration::ZERO, |began| now.since(began)),
            code: kind,
        });
    }

    pub(super) fn look(&mut self, progress: &Progress, account: &Account, now: Time) {
        let every = self.statistics.sample_every();
        if self.looked.is_some_and(|last| now.since(last) < every) {
            return;
        }
        self.looked = Some(now);
        let mut limiter = account.open();
        let ids = limiter.resources();
        let views: Vec<_> = ids.map(|id| limiter.view(id, now)).collect();
        drop(limiter);
        let sample = Sample {
            in_flight: progress.in_flight,
            waiting: progress.waiting,
            meters: views.iter().filter_map(meter).collect(),
        };
        self.statistics.sample(now.since(self.began), &sample);
    }

    pub(super) fn ends(&mut self, progress: &Progress, account: &Account, now: Time) {
        self.looked = None;
        self.look(progress, account, now);
    }

    pub(super) fn report(&self, title: &str) -> Report {
        self.statistics.report(title)
    }
}

fn place<T>(list: &mut Vec<Option<T>>, index: usize) -> &mut Option<T> {
    if list.len() <= index {
        list.resize_with(index + 1, || None);
    }
    &mut list[index]
}

fn outcome(class: Class) -> Outcome {
    match class {
        Class::Success => Outcome::Succeeded,
        Class::Invalid => Outcome::Invalid,
        Class::Refused { .. } => Outcome::Refused,
        Class::Permanent | Class::Fatal => Outcome::Rejected,
        _ => Outcome::Failed,
    }
}

/// How full a resource is, against what was told of it, or else against what was found; `None`: nothing is known.
fn meter(view: &ResourceView) -> Option<Meter<'_>> {
    let (told, per) = match *view.resource.quota() {
        Quota::SlidingWindow { amount, window } | Quota::FixedWindow { amount, window, .. } => {
            (Some(amount), Some(window))
        }
        Quota::TokenBucket { burst, per, .. } => (Some(burst), Some(per)),
        Quota::Slots { amount } | Quota::Budget { amount } => (Some(amount), None),
        Quota::Spacing { .. } => (None, None),
        _ => (view.limit, None),
    };
    let told = if view.resource.is_untold() {
        view.limit
    } else {
        told
    };
    let limit = told?.as_units();
    let per = per.map_or_else(String::new, |per| format!(" per {per:?}"));
    Some(Meter {
        name: view.resource.name(),
        quota: format!("{limit}{per}"),
        share: (view.charged + view.held).as_units() / limit.max(f64::MIN_POSITIVE),
    })
}

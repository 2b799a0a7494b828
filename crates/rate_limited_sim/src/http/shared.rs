//! What all connections share: the judge, its clock, and how often each body was accepted.

use super::dialect::Dialect;
use crate::api::{Answer, Arrival, Request, SimulatedApi, Ticket};
use crate::model::ApiModel;
use crate::span::nanos;
use crate::stats::{LimitView, Stats};
use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

#[derive(Debug)]
pub(super) struct Shared {
    books: Mutex<Books>,
    origin: Instant,
    closed: watch::Receiver<bool>,
    pub(super) dialect: Dialect,
    pub(super) seed: u64,
    pub(super) tells_limits: bool,
    pub(super) answers: RangeInclusive<f64>,
    /// How many times faster than the world's its clock runs.
    speed: f64,
}

#[derive(Debug)]
struct Books {
    api: SimulatedApi,
    attempts: HashMap<u64, u32>,
}

/// An accepted request: however its handler ends, even with a client that left, it is completed.
#[derive(Debug)]
pub(super) struct Flight<'a> {
    shared: &'a Shared,
    ticket: Option<Ticket>,
    ends_at: u64,
}

impl Shared {
    pub(super) fn new(
        dialect: Dialect,
        model: ApiModel,
        speed: f64,
        closed: watch::Receiver<bool>,
    ) -> Shared {
        let (seed, tells_limits, answers) = (model.seed, model.headers, model.answers.clone());
        let books = Books {
            api: SimulatedApi::new(model),
            attempts: HashMap::new(),
        };
        Shared {
            books: Mutex::new(books),
            origin: Instant::now(),
            closed,
            dialect,
            seed,
            tells_limits,
            answers,
            speed,
        }
    }

    /// Numbers the attempt and lets the judge decide. Refused attempts have no number of their own:
    /// a client that is refused more often must not meet other latencies and failures for it.
    pub(super) fn arrive(&self, request: &mut Request) -> Result<Flight<'_>, Arrival> {
        let mut books = self.lock();
        request.attempt = books
            .attempts
            .get(&request.call)
            .map_or(1, |accepted| accepted + 1);
        match books.api.arrive(self.now(), request) {
            Arrival::Accepted {
                ticket, ends_at, ..
            } => {
                books.attempts.insert(request.call, request.attempt);
                Ok(Flight {
                    shared: self,
                    ticket: Some(ticket),
                    ends_at,
                })
            }
            refused @ Arrival::Refused { .. } => Err(refused),
        }
    }

    /// The limits for the headers; none where the API does not tell them.
    pub(super) fn limits_view(&self, request: &Request) -> Vec<LimitView> {
        if !self.tells_limits {
            return Vec::new();
        }
        let mut books = self.lock();
        books.api.limits_view_of(request, self.now())
    }

    pub(super) fn stats(&self) -> Stats {
        self.lock().api.stats()
    }

    pub(super) fn optimum(&self) -> Duration {
        self.lock().api.optimum()
    }

    pub(super) fn set_quota(&self, limit: &str, quota: u64) {
        self.lock().api.set_quota(limit, quota, self.now());
    }

    /// Taken inside the lock, so that the judge sees time in order.
    fn now(&self) -> u64 {
        nanos(self.origin.elapsed().mul_f64(self.speed))
    }

    fn lock(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Flight<'_> {
    /// Waits for the end of the request; `None`: the server closes before.
    pub(super) async fn answer(mut self) -> Option<Answer> {
        let end =
            self.shared.origin + Duration::from_nanos(self.ends_at).div_f64(self.shared.speed);
        let mut closed = self.shared.closed.clone();
        tokio::select! {
            () = tokio::time::sleep_until(end) => self.complete(),
            _ = closed.wait_for(|closed| *closed) => None,
        }
    }

    fn complete(&mut self) -> Option<Answer> {
        let ticket = self.ticket.take()?;
        let mut books = self.shared.lock();
        Some(books.api.complete(self.shared.now(), ticket))
    }
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        self.complete();
    }
}

//! The judge: what it accepts, what it refuses, and what becomes of it.

use crate::draw::{About, Draw};
use crate::judge::Mark;
use crate::model::ApiModel;
use crate::optimum::optimum;
use crate::shelf::Shelf;
use crate::span::nanos;
use crate::stats::{LimitView, Stats};
use std::collections::HashMap;
use std::time::Duration;

/// A simulated API without clock and sockets: time comes in as an argument.
///
/// Moments are nanoseconds since an origin of the caller's choice, at which all quotas are whole. A
/// moment before a former one is taken as that former one.
///
/// ```
/// use rate_limited_sim::{ApiModel, Arrival, Latency, Limit, Outcome, Request, SimulatedApi};
/// use std::time::Duration;
///
/// let secs = Duration::from_secs;
/// let model = ApiModel::new(7)
///     .limit(Limit::tokens(1_000, secs(60)))
///     .latency(Latency::Constant(secs(2)));
/// let mut api = SimulatedApi::new(model);
/// let request = Request { call: 1, attempt: 1, prompt_tokens: 100, bound_tokens: 600, usage_tokens: 250, ..Request::default() };
/// let Arrival::Accepted { ticket, ends_at, .. } = api.arrive(0, &request) else {
///     panic!("600 of 1,000 tokens fit");
/// };
/// assert_eq!(api.limits_view(0)[0].remaining, 400);
///
/// let answer = api.complete(ends_at, ticket);
/// assert_eq!((answer.outcome, answer.usage_tokens), (Outcome::Success, 250));
/// assert_eq!(api.optimum(), secs(2));
/// ```
#[derive(Debug)]
pub struct SimulatedApi {
    model: ApiModel,
    shelves: Vec<Shelf>,
    in_flight: HashMap<u64, InFlight>,
    next_ticket: u64,
    clock: u64,
    stats: Stats,
}

/// One attempt of one call, as it arrives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// Which call: draws of latency and failure depend on it, not on the order of arrival.
    pub call: u64,
    /// The how-manieth attempt of the call it is. Count accepted attempts only, so that clients meet
    /// the same draws however often they are refused.
    pub attempt: u32,
    /// The tokens of its prompt.
    pub prompt_tokens: u64,
    /// The most tokens that it may use: the prompt and the longest answer.
    pub bound_tokens: u64,
    /// The tokens that it will really use: the prompt and the real answer.
    pub usage_tokens: u64,
    /// Its model, as a [number](crate::model_number), where limits are for each; 0: it names none.
    pub model: u64,
    /// What kind of call it is, where limits are for [some kinds only](crate::Limit::only).
    pub class: &'static str,
    /// How many inputs it has.
    pub inputs: u64,
    /// The most points that it may cost.
    pub bound_points: u64,
    /// The points that it will really cost.
    pub usage_points: u64,
}

/// What the API says to a request that arrives.
#[derive(Debug, PartialEq, Eq)]
pub enum Arrival {
    /// A limit has no room (429). Nothing was charged, unless the API counts refusals.
    Refused {
        /// After what time the request would fit, if nothing else came; `None` where the API does
        /// not tell, or where it will never fit.
        retry_after: Option<Duration>,
        /// The name of the limit that will have room last.
        limit: String,
    },
    /// The request is being worked on.
    Accepted {
        /// To be given to [`SimulatedApi::complete`] at `ends_at`, or earlier if the client left.
        ticket: Ticket,
        /// The moment at which the answer leaves.
        ends_at: u64,
        /// What the answer will be.
        outcome: Outcome,
    },
}

/// An accepted request that has not ended: not to be copied, so that it ends once.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a request that is not completed is in flight for ever"]
pub struct Ticket(u64);

/// What an accepted request ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A good answer.
    Success,
    /// An error of this HTTP status.
    Failure(u16),
}

/// What the client gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Good or bad.
    pub outcome: Outcome,
    /// The tokens of the prompt.
    pub prompt_tokens: u64,
    /// The tokens used in all, as a good answer tells them; 0 of a failed one.
    pub usage_tokens: u64,
}

#[derive(Debug)]
struct InFlight {
    request: Request,
    outcome: Outcome,
    /// What each limit was charged; `None` where no limit judged the request.
    marks: Option<Vec<Option<Mark>>>,
}

impl SimulatedApi {
    /// An API at the origin of its time, with nothing charged.
    pub fn new(model: ApiModel) -> SimulatedApi {
        SimulatedApi {
            shelves: model.limits.iter().cloned().map(Shelf::new).collect(),
            model,
            in_flight: HashMap::new(),
            next_ticket: 0,
            clock: 0,
            stats: Stats::default(),
        }
    }

    /// A request arrives.
    pub fn arrive(&mut self, now: u64, request: &Request) -> Arrival {
        let now = self.tick(now);
        self.stats.arrivals += 1;
        self.stats.first_arrival.get_or_insert(now);
        if let Some(status) = self.model.status_at(now) {
            return self.accept(now, request, Outcome::Failure(status), None);
        }
        if let Some(refused) = self.refusal(now, request) {
            return refused;
        }
        let shelves = self.shelves.iter_mut();
        let marks = shelves
            .map(|shelf| shelf.of(request).arrive(request, now))
            .collect();
        let ends_at = now.saturating_add(nanos(self.latency(request)));
        self.accept(ends_at, request, self.outcome(request), Some(marks))
    }

    /// An accepted request ends.
    ///
    /// # Panics
    /// If the ticket is another API's.
    pub fn complete(&mut self, now: u64, ticket: Ticket) -> Answer {
        let (now, Ticket(number)) = (self.tick(now), ticket);
        let ended = self
            .in_flight
            .remove(&number)
            .expect("the ticket is one of this api");
        self.stats.in_flight -= 1;
        self.stats.last_end = Some(now);
        let failed = ended.outcome != Outcome::Success;
        let free = failed && !self.model.failures_count;
        let marks = ended.marks.into_iter().flatten();
        for (shelf, mark) in self.shelves.iter_mut().zip(marks) {
            let ledger = shelf.of(&ended.request);
            ledger.complete(mark, &ended.request, (failed, free), now);
        }
        Answer {
            outcome: ended.outcome,
            prompt_tokens: ended.request.prompt_tokens,
            usage_tokens: if failed {
                0
            } else {
                ended.request.usage_tokens
            },
        }
    }

    /// The limits as response headers tell them, in the order of the model. Those for each model are of calls
    /// that name none.
    pub fn limits_view(&mut self, now: u64) -> Vec<LimitView> {
        self.limits_view_of(&Request::default(), now)
    }

    /// The limits as the headers of the answer to a request tell them: of its model, where each has its own.
    pub fn limits_view_of(&mut self, request: &Request, now: u64) -> Vec<LimitView> {
        let now = self.tick(now);
        let shelves = self.shelves.iter_mut();
        shelves.map(|shelf| shelf.of(request).view(now)).collect()
    }

    /// Changes the quota of a limit; what counts goes on counting. A bucket's burst changes in proportion.
    pub fn set_quota(&mut self, limit: &str, quota: u64, now: u64) {
        let now = self.tick(now);
        for shelf in &mut self.shelves {
            if shelf.limit().name == limit {
                shelf
                    .all_mut()
                    .for_each(|ledger| ledger.set_quota(quota, now));
            }
        }
    }

    /// What the API saw so far.
    pub fn stats(&self) -> Stats {
        let limits = self.shelves.iter().map(Shelf::stats).collect();
        Stats {
            limits,
            ..self.stats.clone()
        }
    }

    /// The shortest time in which any client could have done the work that was charged: see
    /// [`optimum`].
    pub fn optimum(&self) -> Duration {
        let ledgers = || self.shelves.iter().flat_map(Shelf::all);
        let limits: Vec<_> = ledgers().map(|ledger| ledger.limit.clone()).collect();
        let work: Vec<u64> = ledgers().map(|ledger| ledger.work).collect();
        optimum(&limits, &work, self.model.latency.median())
    }

    /// What the API is like.
    pub fn model(&self) -> &ApiModel {
        &self.model
    }

    fn tick(&mut self, now: u64) -> u64 {
        self.clock = self.clock.max(now);
        self.clock
    }

    fn accept(
        &mut self,
        ends_at: u64,
        request: &Request,
        outcome: Outcome,
        marks: Option<Vec<Option<Mark>>>,
    ) -> Arrival {
        self.stats.failures += u64::from(outcome != Outcome::Success);
        self.stats.in_flight += 1;
        self.stats.in_flight_peak = self.stats.in_flight_peak.max(self.stats.in_flight);
        self.next_ticket += 1;
        self.in_flight.insert(
            self.next_ticket,
            InFlight {
                request: *request,
                outcome,
                marks,
            },
        );
        Arrival::Accepted {
            ticket: Ticket(self.next_ticket),
            ends_at,
            outcome,
        }
    }

    fn refusal(&mut self, now: u64, request: &Request) -> Option<Arrival> {
        let (limit, _) = self.worst(now, request)?;
        self.stats.refusals += 1;
        if self.model.refusals_count {
            let shelves = self.shelves.iter_mut();
            shelves.for_each(|shelf| shelf.of(request).refuse(now));
        }
        // A refusal that counts makes the wait longer, so it is asked again.
        let wait = self.worst(now, request).and_then(|(_, wait)| wait);
        let told = wait.filter(|_| self.model.retry_after);
        let limit = self.shelves[limit].limit().name.clone();
        Some(Arrival::Refused {
            retry_after: told.map(Duration::from_nanos),
            limit,
        })
    }

    /// The limit that keeps the request out longest, and how long; `None`: all have room.
    fn worst(&mut self, now: u64, request: &Request) -> Option<(usize, Option<u64>)> {
        let mut worst = None;
        for (index, shelf) in self.shelves.iter_mut().enumerate() {
            let wait = shelf.of(request).wait(request, now);
            let longer = |former: Option<u64>| patience(wait) > patience(former);
            if wait != Some(0) && worst.is_none_or(|(_, former)| longer(former)) {
                worst = Some((index, wait));
            }
        }
        worst
    }

    fn latency(&self, request: &Request) -> Duration {
        self.model
            .latency
            .draw(&mut self.draw(request, About::Latency))
    }

    fn outcome(&self, request: &Request) -> Outcome {
        let fails = self.draw(request, About::Failure).unit() < self.model.failure_rate;
        if fails {
            Outcome::Failure(503)
        } else {
            Outcome::Success
        }
    }

    fn draw(&self, request: &Request, about: About) -> Draw {
        Draw::new(self.model.seed, request.call, request.attempt, about)
    }
}

/// A wait without end is the longest.
fn patience(wait: Option<u64>) -> u64 {
    wait.unwrap_or(u64::MAX)
}

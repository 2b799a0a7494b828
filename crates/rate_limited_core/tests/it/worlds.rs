//! Random worlds of one or two runs on three resources: requests that leave late or never, answers
//! that fail or come too late, calls that are cancelled. No quota is overspent, nothing that fits
//! waits, and every run ends.

use crate::chance::Chance;
use crate::play::{START, at, secs};
use rate_limited_core::{
    Amount, AttemptId, CallId, Class, Cost, Counted, Input, Limiter, MaxConcurrent, Order, Outcome,
    Output, Quota, Resource, ResourceId, Scheduler, Settings, Time, Wait, WaitingOn,
};
use std::collections::BTreeMap;
use std::time::Duration;

/// The quota of each resource, and its window in seconds.
const QUOTAS: [(u32, f64); 3] = [(10, 1.0), (20, 5.0), (16, 2.5)];

/// The kinds of calls: how much of which resources each takes.
const KINDS: [&[(usize, u32)]; 7] = [
    &[(0, 1)],
    &[(0, 1), (1, 4)],
    &[(1, 4)],
    &[(0, 8), (2, 1)],
    &[(1, 20)],
    &[(2, 16), (0, 1)],
    &[(2, 3)],
];

const CALLS: u32 = 80;

/// An attempt under way.
struct Flight {
    who: usize,
    attempt: AttemptId,
    /// When its request leaves, if it has not left.
    leaves: Option<Time>,
    ends: Time,
}

/// One run, and what its driver knows of it.
struct Run {
    scheduler: Scheduler,
    /// When it is to be polled.
    due: Option<Time>,
    /// The kinds of the calls that were not dispatched yet.
    waiting: BTreeMap<CallId, usize>,
}

struct World {
    seed: u64,
    chance: Chance,
    limiter: Limiter,
    ids: Vec<ResourceId>,
    runs: Vec<Run>,
    order: Order,
    overtakes_max: u64,
    flights: Vec<Flight>,
    now: Time,
    /// Calls that are still to be scheduled.
    left: u32,
    /// Polls since time went on.
    polls: u32,
}

fn micros(units: u32) -> i64 {
    Amount::units(units).as_micros()
}

fn draw_limiter(chance: &mut Chance) -> (Limiter, Vec<ResourceId>) {
    let mut limiter = Limiter::new(START);
    let mut ids = Vec::new();
    for (index, (amount, window)) in QUOTAS.into_iter().enumerate() {
        let quota = Quota::per(Amount::units(amount), secs(window));
        let counted = if chance.once_in(3) {
            Counted::AtCompletion
        } else {
            Counted::AtDispatch
        };
        let resource = Resource::new(format!("r{index}"), quota)
            .guard(Duration::ZERO)
            .counted(counted);
        ids.push(limiter.add(resource).expect("a sound quota"));
    }
    (limiter, ids)
}

impl World {
    fn new(seed: u64) -> World {
        let mut chance = Chance::new(seed.wrapping_mul(77_777) + 1);
        let (mut limiter, ids) = draw_limiter(&mut chance);
        let count = 1 + chance.below(2);
        let order = if chance.once_in(3) {
            Order::InOrder
        } else {
            Order::Packed
        };
        let overtakes_max = if chance.once_in(2) { u64::MAX } else { 10 };
        let settings = Settings {
            order,
            overtakes_max,
            stall_limit: None,
            attempt_timeout: Some(secs(3.0)),
            max_concurrent: MaxConcurrent::Fixed(21 + 20 * (seed % 3) as u32),
            ..Settings::default()
        };
        let run = |_| Run {
            scheduler: Scheduler::new(&mut limiter, settings.clone(), START),
            due: Some(START),
            waiting: BTreeMap::new(),
        };
        let runs = (0..count).map(run).collect();
        World {
            seed,
            chance,
            limiter,
            ids,
            runs,
            order,
            overtakes_max,
            flights: Vec::new(),
            now: START,
            left: CALLS,
            polls: 0,
        }
    }

    fn run(&mut self) {
        let mut steps = 0;
        loop {
            steps += 1;
            assert!(steps < 40_000, "endless: {}", self.describe());
            self.schedule();
            self.deliver();
            self.cancel();
            self.wake();
            self.settle_down();
            if !self.advance() {
                break;
            }
        }
        for run in &self.runs {
            let waiting = run.scheduler.progress().waiting;
            assert_eq!(waiting, 0, "a hang: {}", self.describe());
        }
    }

    fn describe(&self) -> String {
        let runs = self.runs.iter();
        let runs: Vec<_> = runs
            .map(|run| (run.due, run.scheduler.progress()))
            .collect();
        format!(
            "seed {} at {:?}, {:?}, {} overtakes, {} calls to come, runs {runs:?}",
            self.seed, self.now, self.order, self.overtakes_max, self.left
        )
    }

    fn draw_run(&mut self) -> usize {
        self.chance.below(self.runs.len() as u64) as usize
    }

    fn handle(&mut self, who: usize, input: Input) {
        let run = &mut self.runs[who];
        run.scheduler.handle(&mut self.limiter, input, self.now);
        run.due = Some(self.now);
    }

    fn schedule(&mut self) {
        while self.left > 0 && self.chance.once_in(3) {
            self.left -= 1;
            let who = self.draw_run();
            let kind = self.chance.below(KINDS.len() as u64) as usize;
            let costs = KINDS[kind].iter();
            let costs: Vec<Cost> = costs
                .map(|(resource, units)| Cost::new(self.ids[*resource], Amount::units(*units)))
                .collect();
            let run = &mut self.runs[who];
            let call = run
                .scheduler
                .schedule(&mut self.limiter, &costs, self.now)
                .expect("it fits");
            run.waiting.insert(call, kind);
            run.due = Some(self.now);
        }
    }

    /// Lets leave and lets end what is due.
    fn deliver(&mut self) {
        for mut flight in std::mem::take(&mut self.flights) {
            let attempt = flight.attempt;
            if flight.leaves.is_some_and(|leaves| leaves <= self.now) {
                self.handle(flight.who, Input::Sent { attempt });
                flight.leaves = None;
            }
            if flight.ends > self.now {
                self.flights.push(flight);
                continue;
            }
            let outcome = Outcome::new(match self.chance.below(8) {
                0 => Class::Failure,
                1 => Class::Invalid,
                _ => Class::Success,
            });
            self.handle(flight.who, Input::Finished { attempt, outcome });
        }
    }

    fn cancel(&mut self) {
        if !self.chance.once_in(40) {
            return;
        }
        let who = self.draw_run();
        if let Some((call, _)) = self.runs[who].waiting.pop_first() {
            self.handle(who, Input::Cancel { call });
        }
    }

    fn wake(&mut self) {
        for woken in self.limiter.take_wakes() {
            let mut runs = self.runs.iter_mut();
            let run = runs.find(|run| run.scheduler.id() == woken);
            run.expect("it is known").due = Some(self.now);
        }
    }

    /// Polls until all wait.
    fn settle_down(&mut self) {
        let now = self.now;
        let is_due = |run: &Run| run.due.is_some_and(|due| due <= now);
        while let Some(who) = self.runs.iter().position(is_due) {
            self.poll(who);
            self.check_books();
            self.wake();
            self.polls += 1;
            assert!(self.polls < 5_000, "they spin: {}", self.describe());
        }
    }

    fn poll(&mut self, who: usize) {
        let run = &mut self.runs[who];
        match run.scheduler.poll(&mut self.limiter, self.now) {
            Output::Dispatch { call, attempt, .. } => {
                run.waiting.remove(&call);
                self.dispatch(who, attempt);
            }
            Output::Abandon { attempt, .. } => self
                .flights
                .retain(|flight| flight.who != who || flight.attempt != attempt),
            Output::Done { call } | Output::Failed { call, .. } => {
                run.waiting.remove(&call);
            }
            Output::Wait(wait) => {
                run.due = wait.until;
                self.check_wait(who, wait);
            }
            Output::Idle => run.due = None,
            other => panic!("unexpected output {other:?}: {}", self.describe()),
        }
    }

    fn dispatch(&mut self, who: usize, attempt: AttemptId) {
        let leaves = match self.chance.below(4) {
            0 => None,
            1 => Some(self.now),
            _ => Some(self.now + Duration::from_millis(self.chance.below(1_500))),
        };
        let ends = self.now + Duration::from_millis(self.chance.below(4_500));
        let leaves = leaves.filter(|leaves| *leaves <= ends);
        if leaves == Some(self.now) {
            let run = &mut self.runs[who];
            let sent = Input::Sent { attempt };
            run.scheduler.handle(&mut self.limiter, sent, self.now);
        }
        self.flights.push(Flight {
            who,
            attempt,
            leaves: leaves.filter(|leaves| *leaves > self.now),
            ends,
        });
    }

    /// A wait ends later than now, and where nothing but quota binds, no call that waits fits.
    fn check_wait(&mut self, who: usize, wait: Wait) {
        assert!(
            wait.until.is_none_or(|until| until > self.now),
            "{wait:?} does not wait: {}",
            self.describe()
        );
        let alone = self.runs.len() == 1;
        let unprotected = self.order == Order::Packed && self.overtakes_max == u64::MAX;
        let by_quota = !matches!(
            wait.on,
            WaitingOn::Concurrency | WaitingOn::Probe | WaitingOn::Backoff | WaitingOn::InFlight
        );
        if !(alone && unprotected && by_quota) {
            return;
        }
        for (call, kind) in self.runs[who].waiting.clone() {
            let mut needs = KINDS[kind].iter();
            let fits = needs.all(|(resource, units)| {
                self.taken(*resource) + micros(*units) <= micros(QUOTAS[*resource].0)
            });
            assert!(
                !fits,
                "{call:?} of kind {kind} fits and waits, {wait:?}: {}",
                self.describe()
            );
        }
    }

    fn check_books(&mut self) {
        for (resource, (quota, _)) in QUOTAS.into_iter().enumerate() {
            let taken = self.taken(resource);
            assert!(
                taken <= micros(quota),
                "{taken} millionths of resource {resource}, whose quota is {quota}: {}",
                self.describe()
            );
        }
    }

    /// What is charged and held of a resource, in millionths.
    fn taken(&mut self, resource: usize) -> i64 {
        let view = self.limiter.view(self.ids[resource], self.now);
        view.charged.as_micros() + view.held.as_micros()
    }

    /// Goes on to the next moment at which something happens; tells whether there is one.
    fn advance(&mut self) -> bool {
        let due = self.runs.iter().filter_map(|run| run.due);
        let flights = self.flights.iter();
        let flights = flights.flat_map(|flight| flight.leaves.into_iter().chain([flight.ends]));
        let mut next = due.chain(flights).min();
        if self.left > 0 {
            let scheduling = self.now + Duration::from_millis(1 + self.chance.below(200));
            next = Some(next.map_or(scheduling, |next| next.min(scheduling)));
        }
        let Some(next) = next else {
            return false;
        };
        assert!(next >= self.now, "time runs backwards: {}", self.describe());
        if next > self.now {
            self.polls = 0;
        }
        self.now = next;
        assert!(
            self.left > 0 || next < at(2_000.0),
            "still not done: {}",
            self.describe()
        );
        true
    }
}

#[test]
fn random_worlds_keep_their_quotas_use_them_and_end() {
    for seed in 0..2_000 {
        World::new(seed).run();
    }
}

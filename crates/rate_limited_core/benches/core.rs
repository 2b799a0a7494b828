//! What one call costs in the core, and how much memory a waiting call takes.
//!
//! A limit binds, so that every settlement is followed by polls that find no room, and every dispatch
//! by a wait: nothing is amortised over a burst. Run with `cargo bench -p rate_limited_core`.
//!
//! `count CASE WAITING CALLS` does that many calls and nothing else, for `benches/instructions`; cases are counted from 0.

#![expect(
    clippy::print_stdout,
    reason = "a benchmark reports on standard output"
)]

use rate_limited_core::{
    Amount, AttemptId, Class, Cost, Input, Limiter, MaxConcurrent, Order, Outcome, Output, Quota,
    Resource, ResourceId, Scheduler, Settings, Settlement, Time,
};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Calls in flight.
const IN_FLIGHT: usize = 64;

/// Calls whose cost is measured.
const MEASURED: u32 = 300_000;

struct Bench {
    limiter: Limiter,
    scheduler: Scheduler,
    resources: [ResourceId; 2],
    now: Time,
    in_flight: VecDeque<AttemptId>,
    scheduled: u32,
    done: u32,
}

impl Bench {
    fn new(order: Order, mixed: bool, waiting: u32) -> Bench {
        let now = Time::PROCESS_START;
        let mut limiter = Limiter::new(now);
        let quota = |units| Quota::per(Amount::units(units), Duration::from_secs(60));
        let mut add = |resource: Resource| limiter.add(resource).expect("a sound quota");
        let requests = add(Resource::new("requests", quota(5_000)));
        let tokens = add(Resource::new("tokens", quota(200_000)).settlement(Settlement::Usage));
        let settings = Settings {
            order,
            max_concurrent: MaxConcurrent::Fixed(1_000_000),
            ..Settings::default()
        };
        let scheduler = Scheduler::new(&mut limiter, settings, now);
        let in_flight = VecDeque::new();
        let resources = [requests, tokens];
        let mut bench = Bench {
            limiter,
            scheduler,
            resources,
            now,
            in_flight,
            scheduled: 0,
            done: 0,
        };
        for _ in 0..waiting {
            bench.schedule(mixed);
        }
        // Fill the window, so that from here on one call goes as one leaves the window.
        while bench.done < 6_000 {
            bench.turn(mixed);
        }
        bench
    }

    fn schedule(&mut self, mixed: bool) {
        self.scheduled = self.scheduled.wrapping_add(1);
        let tokens = if mixed {
            1 << (self.scheduled.wrapping_mul(2_654_435_761) >> 22 & 7)
        } else {
            20
        };
        let costs = [
            Cost::new(self.resources[0], Amount::units(1)),
            Cost::new(self.resources[1], Amount::units(tokens + 1)),
        ];
        self.scheduler
            .schedule(&mut self.limiter, &costs, self.now)
            .expect("it fits");
    }

    /// Brings one call to its end, and schedules one more.
    fn turn(&mut self, mixed: bool) {
        let done = self.done;
        while self.done == done {
            match self.scheduler.poll(&mut self.limiter, self.now) {
                Output::Dispatch { attempt, .. } => {
                    self.input(Input::Sent { attempt });
                    self.in_flight.push_back(attempt);
                }
                Output::Done { .. } => self.done += 1,
                Output::Wait(wait) if self.in_flight.len() < IN_FLIGHT => {
                    self.now = wait.until.expect("quota comes back").max(self.now);
                }
                Output::Wait(_) => self.settle(),
                other => panic!("{other:?}"),
            }
        }
        self.schedule(mixed);
    }

    fn settle(&mut self) {
        let attempt = self.in_flight.pop_front().expect("something is in flight");
        let usage = [Cost::new(self.resources[1], Amount::units(1))];
        let outcome = Outcome::new(Class::Success).with_usage(&usage);
        self.input(Input::Finished { attempt, outcome });
    }

    fn input(&mut self, input: Input) {
        self.scheduler.handle(&mut self.limiter, input, self.now);
    }
}

fn measure(name: &str, order: Order, mixed: bool, waiting: u32) {
    let before = resident();
    let mut bench = Bench::new(order, mixed, waiting);
    let bytes = resident().saturating_sub(before);
    let mut best = f64::MAX;
    for _ in 0..3 {
        let start = Instant::now();
        for _ in 0..MEASURED {
            bench.turn(mixed);
        }
        best = best.min(start.elapsed().as_secs_f64() / f64::from(MEASURED));
    }
    let each = bytes as f64 / f64::from(waiting);
    println!(
        "{name:<34} {waiting:>10} waiting {:>7.3} µs a call {each:>7.1} bytes each",
        best * 1e6
    );
}

/// What is measured: its name, the order, and whether costs differ.
const CASES: [(&str, Order, bool); 3] = [
    ("packed, all calls alike", Order::Packed, false),
    ("packed, token costs spread 128 ×", Order::Packed, true),
    ("in order, all calls alike", Order::InOrder, false),
];

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize| args.get(at).and_then(|text| text.parse::<u32>().ok());
    if let (Some(case), Some(waiting), Some(calls)) = (number(1), number(2), number(3)) {
        let (_, order, mixed) = CASES[case as usize];
        let mut bench = Bench::new(order, mixed, waiting);
        for _ in 0..calls {
            bench.turn(mixed);
        }
        return;
    }
    println!("one schedule, one admission, one settlement; two resources, of which requests bind");
    for waiting in [10_000_000, 100_000, 1_000] {
        for (name, order, mixed) in CASES {
            measure(name, order, mixed, waiting);
        }
    }
}

/// The resident memory of this process, in bytes; 0 where the system does not tell.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse::<usize>().ok());
    pages.unwrap_or(0) * 4_096
}

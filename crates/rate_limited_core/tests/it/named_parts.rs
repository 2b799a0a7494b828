//! Parts of a resource that only the answers name: calls take from the resource itself until one does.

use crate::play::{Play, Reply, START, at, secs};
use proptest::prelude::*;
use rate_limited_core::{
    Amount, Anchor, AttemptId, CallId, Class, Cost, Feedback, Input, Limiter, MaxConcurrent, Order,
    Outcome, Output, Quota, Reset, Resource, ResourceId, Scheduler, Settings, Time,
};
use std::collections::BTreeMap;
use std::time::Duration;

const NAMES: [&str; 2] = ["search", "core"];

/// A server that counts each kind of calls for itself, in windows that begin with a call.
struct Server {
    limits: [u32; 2],
    windows: [Duration; 2],
    counted: [u32; 2],
    ends: [Time; 2],
    refused: [usize; 2],
}

impl Server {
    fn new(limits: [u32; 2], windows: [f64; 2]) -> Server {
        Server {
            limits,
            windows: windows.map(secs),
            counted: [0; 2],
            ends: [START; 2],
            refused: [0; 2],
        }
    }

    /// What becomes of a call of this kind, and what its answer tells of the part.
    fn take(&mut self, kind: usize, requests: ResourceId, now: Time) -> (Class, Feedback) {
        if now >= self.ends[kind] {
            self.counted[kind] = 0;
            self.ends[kind] = now + self.windows[kind];
        }
        let left = self.ends[kind].since(now);
        let class = if self.counted[kind] < self.limits[kind] {
            self.counted[kind] += 1;
            Class::Success
        } else {
            self.refused[kind] += 1;
            Class::Refused {
                resource: Some(requests),
                retry_after: Some(left),
            }
        };
        let remaining = Some(Amount::units(self.limits[kind] - self.counted[kind]));
        let told = Feedback {
            limit: Some(Amount::units(self.limits[kind])),
            remaining,
            reset: Some(Reset::WindowEnd(left)),
            ..Feedback::default()
        };
        (class, told)
    }
}

fn requests() -> Resource {
    let quota = Quota::FixedWindow {
        amount: Amount::units(5_000),
        window: secs(3_600.0),
        anchor: Anchor::FirstCall,
    };
    Resource::new("requests", quota)
        .named_by_answers(true)
        .guard(secs(0.1))
}

/// What a driver does that remembers which kind of calls takes from which part.
struct Driver {
    limiter: Limiter,
    scheduler: Scheduler,
    requests: ResourceId,
    calls: BTreeMap<CallId, usize>,
    named: [bool; 2],
}

impl Driver {
    /// So many calls, every second of which is of the first kind.
    fn new(resource: Resource, calls: usize, at_once: u32, order: Order) -> Driver {
        let mut limiter = Limiter::new(START);
        let requests = limiter.add(resource).expect("a sound quota");
        let settings = Settings {
            max_concurrent: MaxConcurrent::Fixed(at_once),
            order,
            stall_limit: None,
            ..Settings::default()
        };
        let mut scheduler = Scheduler::new(&mut limiter, settings, START);
        let mut ours = BTreeMap::new();
        for call in 0..calls {
            let costs = [Cost::new(requests, Amount::units(1))];
            let id = scheduler.schedule(&mut limiter, &costs, START);
            ours.insert(id.expect("it fits"), call % 2);
        }
        Driver {
            limiter,
            scheduler,
            requests,
            calls: ours,
            named: [false; 2],
        }
    }

    fn hear(&mut self, (attempt, kind): (AttemptId, usize), told: Feedback, now: Time) {
        if !std::mem::replace(&mut self.named[kind], true) {
            let part = self.limiter.partition(self.requests, NAMES[kind]);
            for (call, _) in self.calls.iter().filter(|(_, of)| **of == kind) {
                let named = Input::Part {
                    call: *call,
                    whole: self.requests,
                    part,
                };
                self.scheduler.handle(&mut self.limiter, named, now);
            }
        }
        let input = Input::Feedback {
            resource: self.requests,
            attempt,
            feedback: told,
        };
        self.scheduler.handle(&mut self.limiter, input, now);
    }

    /// Runs all calls; when the last of each kind was done.
    fn run(&mut self, server: &mut Server) -> [Duration; 2] {
        let mut now = START;
        let mut done = [START; 2];
        let mut flying: Vec<(Time, AttemptId, usize, (Class, Feedback))> = Vec::new();
        loop {
            match self.scheduler.poll(&mut self.limiter, now) {
                Output::Dispatch { attempt, call, .. } => {
                    let sent = Input::Sent { attempt };
                    self.scheduler.handle(&mut self.limiter, sent, now);
                    let kind = self.calls[&call];
                    let told = server.take(kind, self.requests, now);
                    flying.push((now + secs(0.25), attempt, kind, told));
                }
                Output::Done { call } => {
                    let kind = self.calls.remove(&call).expect("it ends once");
                    done[kind] = now;
                }
                Output::Wait(wait) => {
                    let next = flying.iter().map(|it| it.0).chain(wait.until).min();
                    now = next.expect("something is to come").max(now);
                    while flying.first().is_some_and(|it| it.0 <= now) {
                        let (_, attempt, kind, (class, told)) = flying.remove(0);
                        self.hear((attempt, kind), told, now);
                        let outcome = Outcome::new(class);
                        let ended = Input::Finished { attempt, outcome };
                        self.scheduler.handle(&mut self.limiter, ended, now);
                    }
                }
                Output::Idle => return done.map(|at| at.since(START)),
                other => panic!("{other:?}"),
            }
            assert!(now < START + secs(100_000.0), "it does not end");
        }
    }

    fn limit(&mut self, name: &str) -> Option<Amount> {
        let id = self.limiter.find(name).expect("it was named");
        self.limiter.view(id, START).limit
    }
}

#[test]
fn each_part_is_filled_as_its_answers_say_and_none_waits_for_another() {
    for order in [Order::Packed, Order::InOrder] {
        let mut server = Server::new([30, 5_000], [60.0, 3_600.0]);
        let mut driver = Driver::new(requests(), 300, 16, order);
        let done = driver.run(&mut server);
        assert_eq!(server.refused, [0, 0], "{order:?}");
        // 150 calls of 30 a minute are four minutes; the others do not wait for them.
        let four = secs(240.0)..secs(240.0 * 1.02 + 1.0);
        assert!(four.contains(&done[0]), "{order:?}: {done:?}");
        assert!(done[1] < secs(5.0), "{order:?}: {done:?}");
        let limits = ["requests[search]", "requests[core]", "requests"].map(|it| driver.limit(it));
        assert_eq!(limits, [30, 5_000, 5_000].map(|it| Some(Amount::units(it))));
        let whole = driver.limiter.view(driver.requests, START);
        let taken = (whole.charged, whole.held);
        assert_eq!(taken, (Amount::ZERO, Amount::ZERO), "all was carried over");
    }
}

#[test]
fn refusals_come_of_what_was_in_flight_before_the_part_was_named_alone() {
    let mut server = Server::new([30, 5_000], [60.0, 3_600.0]);
    let mut driver = Driver::new(requests(), 400, 100, Order::Packed);
    let done = driver.run(&mut server);
    // A hundred in flight, half of them of a kind of which thirty pass.
    assert_eq!(server.refused, [20, 0]);
    let six = secs(360.0)..secs(360.0 * 1.02 + 1.0);
    assert!(six.contains(&done[0]), "{done:?}");
    assert!(
        done[1] < secs(5.0),
        "the refusals are of one part: {done:?}"
    );
}

#[test]
fn what_was_told_for_a_part_holds_above_what_its_answers_name() {
    let own = Quota::per(Amount::units(10), secs(60.0));
    let mut server = Server::new([30, 9_000], [60.0, 3_600.0]);
    let told = requests().quota_for("search", own);
    let mut driver = Driver::new(told, 60, 4, Order::Packed);
    let done = driver.run(&mut server);
    assert!(done[0] > secs(120.0), "thirty of ten a minute: {done:?}");
    // And no answer raises a part above what was told for the resource.
    let limits = ["requests[search]", "requests[core]"].map(|it| driver.limit(it));
    assert_eq!(limits, [10, 5_000].map(|it| Some(Amount::units(it))));
}

#[test]
fn a_limit_that_nobody_told_is_that_of_the_part_that_an_answer_names() {
    let mut server = Server::new([30, 5_000], [60.0, 3_600.0]);
    let mut driver = Driver::new(requests().untold_limit(), 120, 16, Order::Packed);
    let done = driver.run(&mut server);
    assert_eq!(server.refused, [0, 0]);
    assert!(done[0] < secs(60.0 * 1.02 + 6.0), "{done:?}");
    let limits = ["requests[search]", "requests[core]"].map(|it| driver.limit(it));
    assert_eq!(limits, [30, 5_000].map(|it| Some(Amount::units(it))));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// Calls may be of other parts at any time, whatever becomes of them: each ends once, nothing stays held, and what
    /// was charged is charged once, where the calls ended up.
    #[test]
    fn calls_that_move_are_charged_once(
        calls in 1_usize..30,
        at_once in 1_u32..8,
        in_order in any::<bool>(),
        counted in prop::collection::vec(any::<bool>(), 30),
        moves in prop::collection::vec((0.0_f64..4.0, 0_usize..30, 0_usize..3), 0..40),
    ) {
        let mut limiter = Limiter::new(START);
        let money = Resource::new("money", Quota::Budget { amount: Amount::units(1_000) });
        let slots = Resource::new("slots", Quota::slots(Amount::units(3)));
        let [money, slots] = [money, slots].map(|it| limiter.add(it).expect("sound"));
        let part = |limiter: &mut Limiter, whole: ResourceId, place: usize| match place {
            0 => whole,
            _ => limiter.partition(whole, NAMES[place - 1]),
        };
        let settings = Settings {
            max_concurrent: MaxConcurrent::Fixed(at_once),
            order: if in_order { Order::InOrder } else { Order::Packed },
            attempt_timeout: None,
            stall_limit: None,
            ..Settings::default()
        };
        let ends = counted.clone();
        let mut play = Play::new(limiter, settings, move |call, number, _| {
            // Some attempts come to nothing and take nothing.
            let class = if ends[call] || number > 1 { Class::Success } else { Class::NotSent };
            Reply { after: secs(0.3), outcome: Outcome::new(class) }
        });
        let one = Amount::units(1);
        let costs = [Cost::new(money, one), Cost::new(slots, one)];
        let ids: Vec<_> = (0..calls).map(|_| play.schedule(&costs)).collect();
        let mut moves = moves;
        moves.sort_by(|one, other| one.0.total_cmp(&other.0));
        for (when, call, place) in moves {
            play.run_until(at(when));
            let Some(call) = ids.get(call).copied() else { continue };
            for whole in [money, slots] {
                let part = part(&mut play.limiter, whole, place);
                play.handle(Input::Part { call, whole, part });
            }
        }
        play.run();
        prop_assert_eq!(play.ends.len(), calls);
        let mut charged = Amount::ZERO;
        for id in play.limiter.resources() {
            let view = play.limiter.view(id, play.now);
            prop_assert_eq!(view.held, Amount::ZERO, "{}", view.resource.name());
            if view.resource.name().starts_with("money") {
                charged = charged + view.charged;
            }
        }
        prop_assert_eq!(charged, Amount::units(calls as u32));
    }
}

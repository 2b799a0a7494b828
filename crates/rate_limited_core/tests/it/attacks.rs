//! What a hostile reading of the core found: each was wrong once, or was tried and held.

use crate::play::{Over, Play, Reply, START, always, at, secs};
use rate_limited_core::*;
use std::time::Duration;

fn out(class: Class, after: f64) -> Reply {
    Reply {
        after: secs(after),
        outcome: Outcome::new(class),
    }
}
fn u(n: u32) -> Amount {
    Amount::units(n)
}
fn fixed(n: u32) -> Settings {
    Settings {
        max_concurrent: MaxConcurrent::Fixed(n),
        ..Settings::default()
    }
}
fn exact(name: &str, q: Quota) -> Resource {
    Resource::new(name, q).guard(Duration::ZERO)
}
fn one(r: Resource) -> (Limiter, ResourceId) {
    let mut l = Limiter::new(START);
    let i = l.add(r).unwrap();
    (l, i)
}

/// polls until wait, collecting dispatches without Sent
fn drain(s: &mut Scheduler, l: &mut Limiter, now: Time) -> (Vec<(CallId, AttemptId)>, Output) {
    let mut v = vec![];
    loop {
        match s.poll(l, now) {
            Output::Dispatch { call, attempt, .. } => v.push((call, attempt)),
            o @ (Output::Wait(_) | Output::Idle | Output::Stopped(_)) => return (v, o),
            _ => {}
        }
    }
}

#[test]
fn negative_cost_overspends() {
    let (mut l, r) = one(exact("r", Quota::per(u(10), secs(10.0))));
    let mut s = Scheduler::new(&mut l, fixed(1000), START);
    let ok = s
        .schedule(
            &mut l,
            &[Cost::new(r, Amount::from_micros(-100_000_000))],
            START,
        )
        .is_ok();
    assert!(!ok, "a negative cost is accepted");
}

#[test]
fn duplicate_ids_overspend() {
    let (mut l, r) = one(exact("r", Quota::per(u(10), secs(10.0))));
    let mut s = Scheduler::new(&mut l, fixed(1000), START);
    if s.schedule(&mut l, &[Cost::new(r, u(6)), Cost::new(r, u(6))], START)
        .is_ok()
    {
        drain(&mut s, &mut l, START);
        let v = l.view(r, START);
        assert!(v.held <= u(10), "held {} of 10", v.held);
    }
}

#[test]
fn spacing_with_fractional_cost_before_sent() {
    let (mut l, r) = one(exact(
        "gap",
        Quota::Spacing {
            interval: secs(10.0),
        },
    ));
    let mut s = Scheduler::new(&mut l, fixed(1000), START);
    for _ in 0..10 {
        s.schedule(&mut l, &[Cost::new(r, Amount::cost(0.1).unwrap())], START)
            .unwrap();
    }
    let (d, _) = drain(&mut s, &mut l, START);
    assert_eq!(d.len(), 1, "dispatched at once with a spacing of 10 s");
}

#[test]
fn fixed_window_set_quota_with_past_anchor_forgets_the_window() {
    let q = |w, anchor| Quota::FixedWindow {
        amount: u(10),
        window: secs(w),
        anchor,
    };
    let (l, r) = one(exact("r", q(60.0, Anchor::FirstCall)));
    let mut p = Play::new(l, fixed(1000), always(0.1));
    for _ in 0..20 {
        p.schedule(&[Cost::new(r, u(1))]);
    }
    p.run_until(at(30.0));
    assert_eq!(p.sent.len(), 10);
    // The server says: the window began at START.
    p.handle(Input::SetLimit {
        resource: r,
        quota: q(60.0, Anchor::At(START)),
    });
    p.run_until(at(59.0));
    assert_eq!(p.sent.len(), 10, "sent in the window [0, 60)");
}

#[test]
fn fixed_window_longer_window_forgets() {
    let q = |w| Quota::FixedWindow {
        amount: u(10),
        window: secs(w),
        anchor: Anchor::At(START),
    };
    let (l, r) = one(exact("r", q(60.0)));
    let mut p = Play::new(l, fixed(1000), always(0.1));
    for _ in 0..20 {
        p.schedule(&[Cost::new(r, u(1))]);
    }
    p.run_until(at(30.0));
    p.handle(Input::SetLimit {
        resource: r,
        quota: q(120.0),
    });
    p.run_until(at(59.0));
    assert_eq!(p.sent.len(), 10, "sent in the window [0, 60) = [0, 120)");
}

#[test]
fn anchor_in_the_future() {
    let q = Quota::FixedWindow {
        amount: u(10),
        window: secs(60.0),
        anchor: Anchor::At(at(3600.0)),
    };
    let (l, r) = one(exact("r", q));
    let mut p = Play::new(l, fixed(1000), always(0.1));
    for _ in 0..30 {
        p.schedule(&[Cost::new(r, u(1))]);
    }
    p.run_until(at(300.0));
    assert_eq!(p.sent.len(), 30, "after five windows");
}

#[test]
fn stall_runs_during_a_pause_told_for_the_run() {
    let l = Limiter::new(START);
    let mut p = Play::new(l, fixed(10), |_, n, _| {
        if n == 1 {
            out(
                Class::Refused {
                    resource: None,
                    retry_after: Some(secs(3600.0)),
                },
                0.1,
            )
        } else {
            out(Class::Success, 0.1)
        }
    });
    p.schedule(&[]);
    assert_eq!(p.run(), Over::Idle);
}

#[test]
fn stall_runs_while_idle() {
    let l = Limiter::new(START);
    let mut p = Play::new(
        l,
        Settings {
            max_retries: 0,
            ..fixed(10)
        },
        |c, _, _| {
            if c == 0 {
                out(Class::Failure, 0.1)
            } else {
                out(Class::Success, 0.1)
            }
        },
    );
    p.schedule(&[]);
    assert_eq!(p.run(), Over::Idle);
    p.now = at(3600.0);
    p.schedule(&[]);
    assert_eq!(p.run(), Over::Idle, "the second call was never tried");
}

#[test]
fn retries_overtake_for_ever() {
    let (l, r) = one(exact("r", Quota::per(u(10), secs(10.0))));
    let settings = Settings {
        max_retries: 5_000,
        overtakes_max: 20,
        ..fixed(10)
    };
    let mut p = Play::new(l, settings, |c, _, _| {
        out(
            if c == 0 {
                Class::Invalid
            } else {
                Class::Success
            },
            0.5,
        )
    });
    p.schedule(&[Cost::new(r, u(1))]);
    p.run_until(at(0.1));
    p.schedule(&[Cost::new(r, u(10))]);
    p.run_until(at(2_000.0));
    let before = p.sent.iter().position(|s| s.call == 1);
    assert!(
        before.is_some_and(|n| n < 100),
        "the big call: {before:?} of {} attempts",
        p.sent.len()
    );
}

#[test]
fn claims_held_obstacle_is_not_asked_again() {
    let mut l = Limiter::new(START);
    let a = l.add(exact("a", Quota::per(u(1), secs(60.0)))).unwrap();
    let b = l.add(exact("b", Quota::per(u(10), secs(1.0)))).unwrap();
    let mut s = Scheduler::new(
        &mut l,
        Settings {
            order: Order::InOrder,
            ..fixed(100)
        },
        START,
    );
    s.schedule(&mut l, &[Cost::new(a, u(1))], START).unwrap();
    s.schedule(&mut l, &[Cost::new(a, u(1)), Cost::new(b, u(10))], START)
        .unwrap();
    s.schedule(&mut l, &[Cost::new(b, u(5))], START).unwrap();
    let (d, _) = drain(&mut s, &mut l, START);
    assert_eq!(d.len(), 1);
    s.handle(&mut l, Input::Sent { attempt: d[0].1 }, START);
    // Now the head waits until 60 s; the third call is back after 1 s.
    let (d2, o) = drain(&mut s, &mut l, at(0.001));
    assert_eq!(d2.len(), 1, "the third call delays nobody, yet {o:?}");
}

#[test]
fn sent_wakes_nobody() {
    let (mut l, r) = one(exact("r", Quota::per(u(1), secs(10.0))));
    let mut a = Scheduler::new(&mut l, fixed(10), START);
    let mut b = Scheduler::new(&mut l, fixed(10), START);
    a.schedule(&mut l, &[Cost::new(r, u(1))], START).unwrap();
    b.schedule(&mut l, &[Cost::new(r, u(1))], START).unwrap();
    let (d, _) = drain(&mut a, &mut l, START);
    let (_, o) = drain(&mut b, &mut l, START);
    println!("b: {o:?}");
    let _ = l.take_wakes();
    a.handle(&mut l, Input::Sent { attempt: d[0].1 }, START);
    let _ = drain(&mut a, &mut l, START);
    assert!(
        l.take_wakes().contains(&b.id()),
        "b waits for ever ({o:?}), while a's call takes 600 s"
    );
}

#[test]
fn claim_of_one_that_is_gone_or_busy() {
    let (mut l, r) = one(exact("r", Quota::per(u(10), secs(10.0))));
    let mut a = Scheduler::new(
        &mut l,
        Settings {
            order: Order::InOrder,
            ..fixed(2)
        },
        START,
    );
    let mut b = Scheduler::new(&mut l, fixed(10), START);
    a.schedule(&mut l, &[Cost::new(r, u(5))], START).unwrap();
    a.schedule(&mut l, &[Cost::new(r, u(10))], START).unwrap(); // head, claims
    let (d, _) = drain(&mut a, &mut l, START);
    for (_, t) in d {
        a.handle(&mut l, Input::Sent { attempt: t }, START);
    }
    drain(&mut a, &mut l, START);
    // a's driver is gone: it never polls again.
    b.schedule(&mut l, &[Cost::new(r, u(1))], START).unwrap();
    let (mut now, mut polls, mut sent) = (START, 0, 0);
    while now < at(100.0) && sent == 0 {
        let (d, o) = drain(&mut b, &mut l, now);
        polls += 1;
        sent += d.len();
        let Output::Wait(w) = o else { break };
        match w.until {
            Some(t) => now = t,
            None => {
                now = at(100.0);
                println!("{o:?}")
            }
        }
    }
    assert_eq!(
        sent, 1,
        "b was never admitted in 100 s, polled {polls} times"
    );
}

#[test]
fn claim_of_one_at_its_concurrency_bound() {
    let (mut l, r) = one(exact("r", Quota::per(u(10), secs(10.0))));
    let x = l.add(exact("x", Quota::per(u(10), secs(10.0)))).unwrap();
    let mut a = Scheduler::new(
        &mut l,
        Settings {
            order: Order::InOrder,
            ..fixed(2)
        },
        START,
    );
    let mut b = Scheduler::new(&mut l, fixed(10), START);
    a.schedule(&mut l, &[Cost::new(r, u(5))], START).unwrap();
    a.schedule(&mut l, &[Cost::new(r, u(10))], START).unwrap(); // head, claims
    a.schedule(&mut l, &[Cost::new(x, u(1))], START).unwrap(); // backfills and takes the last place
    let (d, o) = drain(&mut a, &mut l, START);
    assert_eq!(d.len(), 2, "{o:?}");
    for (_, t) in d {
        a.handle(&mut l, Input::Sent { attempt: t }, START);
    }
    b.schedule(&mut l, &[Cost::new(r, u(1))], START).unwrap();
    // a's two calls take 600 s.
    let (mut now, mut polls, mut sent) = (START, 0, 0);
    while now < at(100.0) && sent == 0 {
        let _ = drain(&mut a, &mut l, now);
        let (d, o) = drain(&mut b, &mut l, now);
        polls += 1;
        sent += d.len();
        let Output::Wait(w) = o else { break };
        match w.until {
            Some(t) => now = t,
            None => now = at(100.0),
        }
    }
    assert_eq!(
        sent, 1,
        "b was never admitted in 100 s, polled {polls} times"
    );
}

#[test]
fn retry_after_zero_hammers() {
    let (l, r) = one(exact("r", Quota::per(u(1000), secs(60.0))));
    let mut p = Play::new(l, fixed(100), |_, _, _| {
        out(
            Class::Refused {
                resource: None,
                retry_after: Some(Duration::ZERO),
            },
            0.01,
        )
    });
    for _ in 0..10 {
        p.schedule(&[Cost::new(r, u(1))]);
    }
    p.run_until(at(60.0));
    assert!(
        p.sent.len() < 500,
        "{} requests in a minute, all refused",
        p.sent.len()
    );
}

#[test]
fn outage_survives_a_late_success() {
    let (mut l, r) = one(exact("r", Quota::per(u(1000), secs(60.0))));
    let mut s = Scheduler::new(
        &mut l,
        Settings {
            attempt_timeout: Some(secs(1.0)),
            ..fixed(100)
        },
        START,
    );
    for _ in 0..20 {
        s.schedule(&mut l, &[Cost::new(r, u(1))], START).unwrap();
    }
    let (d, _) = drain(&mut s, &mut l, START);
    drain(&mut s, &mut l, at(1.0));
    assert!(s.progress().outage);
    s.handle(&mut l, Input::Late { call: d[0].0 }, at(1.001));
    assert!(
        !s.progress().outage,
        "a call has succeeded, and the server is still taken to be down"
    );
}

#[test]
fn hostile_snapshot() {
    let q = Quota::FixedWindow {
        amount: u(10),
        window: secs(60.0),
        anchor: Anchor::FirstCall,
    };
    let (mut l, r) = one(exact("r", q));
    let mut snap = l.snapshot(START);
    snap.resources[0].meter = MeterSnapshot::Fixed {
        used: u(10),
        late: u(0),
        end: None,
    };
    l.restore(&snap, START);
    let mut s = Scheduler::new(&mut l, fixed(10), START);
    s.schedule(&mut l, &[Cost::new(r, u(1))], START).unwrap();
    drain(&mut s, &mut l, START);
}

#[test]
fn hostile_snapshot_sliding() {
    let (mut l, r) = one(exact("r", Quota::per(u(10), secs(10.0))));
    let mut snap = l.snapshot(START);
    snap.resources[0].meter = MeterSnapshot::Sliding {
        charges: vec![(START, Amount::from_micros(i64::MIN))],
    };
    l.restore(&snap, START);
    l.view(r, at(20.0));
}

#[test]
fn guard_one_percent() {
    // "at most 1 % of the quota": a window of 10 ms
    let (l, r) = one(Resource::new("r", Quota::per(u(1), secs(0.01))));
    let mut p = Play::new(l, fixed(10), always(0.0));
    for _ in 0..101 {
        p.schedule(&[Cost::new(r, u(1))]);
    }
    p.run();
    println!("took {:?} for 1 s", p.now.since(START));
}

#[test]
fn two_protected_heads_and_waits_in_the_past() {
    let (l, r) = one(exact("r", Quota::per(u(10), secs(10.0))));
    let mut p = Play::new(
        l,
        Settings {
            attempt_timeout: Some(Duration::ZERO),
            ..fixed(10)
        },
        always(1.0),
    );
    p.schedule(&[Cost::new(r, u(1))]);
    println!("{:?} {:?}", p.run(), p.ends);
}

#[test]
fn sliding_window_longer_forgets() {
    let (l, r) = one(exact("r", Quota::per(u(10), secs(1.0))));
    let mut p = Play::new(l, fixed(1000), always(0.1));
    for _ in 0..20 {
        p.schedule(&[Cost::new(r, u(1))]);
    }
    p.run_until(at(0.5));
    p.handle(Input::SetLimit {
        resource: r,
        quota: Quota::per(u(10), secs(60.0)),
    });
    p.run_until(at(59.0));
    assert_eq!(p.sent.len(), 10);
}

#[test]
fn partition_refused_by_base() {
    let (mut l, base) = one(exact("r", Quota::per(u(10), secs(10.0))));
    let k1 = l.partition(base, 1);
    let k2 = l.partition(base, 2);
    let mut p = Play::new(l, fixed(10), |c, n, _| {
        if c == 0 && n == 1 {
            out(
                Class::Refused {
                    resource: Some(base),
                    retry_after: Some(secs(50.0)),
                },
                0.1,
            )
        } else {
            out(Class::Success, 0.1)
        }
    });
    p.schedule(&[Cost::new(k1, u(1))]);
    p.run_until(at(1.0));
    p.schedule(&[Cost::new(k2, u(1))]);
    p.run();
    println!(
        "{:?}",
        p.sent.iter().map(|s| (s.call, s.at)).collect::<Vec<_>>()
    );
}

#[test]
fn deadline_waits_for_what_is_in_flight() {
    let l = Limiter::new(START);
    let mut p = Play::new(
        l,
        Settings {
            deadline: Some(at(10.0)),
            ..fixed(10)
        },
        always(500.0),
    );
    p.schedule(&[]);
    println!("{:?} at {:?}", p.run(), p.now.since(START));
}

#[test]
fn set_limit_of_unknown_resource() {
    let mut l = Limiter::new(START);
    let mut s = Scheduler::new(&mut l, fixed(10), START);
    s.handle(
        &mut l,
        Input::SetLimit {
            resource: ResourceId::default(),
            quota: Quota::per(u(1), secs(1.0)),
        },
        START,
    );
}

#[test]
fn poison_call_is_never_given_up() {
    let l = Limiter::new(START);
    let settings = Settings {
        max_retries: 20,
        backoff: Backoff {
            base: Duration::from_millis(10),
            cap: Duration::from_secs(1),
        },
        ..fixed(10)
    };
    let mut p = Play::new(l, settings, |_, _, _| out(Class::Failure, 0.01));
    p.schedule(&[]);
    println!(
        "{:?} {:?} after {} attempts at {:?}",
        p.run(),
        p.ends,
        p.sent.len(),
        p.now.since(START)
    );
}

struct Rng(u64);
impl Rng {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (self.0 >> 33) % n
    }
}

#[derive(Clone)]
struct Ent {
    who: usize,
    at: Time,
    sent_at: Option<Time>,
    end: Time,
    costs: Vec<(usize, i64)>,
    attempt: AttemptId,
    gone: bool,
}

#[test]
fn random_worlds_hold() {
    for seed in 0..2_000 {
        fuzz(seed);
    }
}
fn fuzz(seed: u64) {
    let mut g = Rng(seed.wrapping_mul(77777) + 1);
    let mut l = Limiter::new(START);
    let quotas = [10i64, 20, 16];
    let windows = [secs(1.0), secs(5.0), secs(2.5)];
    let ids: Vec<_> = (0..3)
        .map(|i| {
            l.add(
                exact(
                    &format!("r{i}"),
                    Quota::per(Amount::units(quotas[i] as u32), windows[i]),
                )
                .counted(if g.below(3) == 0 {
                    Counted::AtCompletion
                } else {
                    Counted::AtDispatch
                }),
            )
            .unwrap()
        })
        .collect();
    let n_s = 1 + g.below(2) as usize;
    let inorder = g.below(3) == 0;
    let overt = if g.below(2) == 0 { u64::MAX } else { 10 };
    let packed_free = !inorder && overt == u64::MAX && n_s == 1;
    let mut ss: Vec<_> = (0..n_s)
        .map(|_| {
            Scheduler::new(
                &mut l,
                Settings {
                    order: if inorder {
                        Order::InOrder
                    } else {
                        Order::Packed
                    },
                    overtakes_max: overt,
                    stall_limit: None,
                    attempt_timeout: Some(secs(3.0)),
                    ..fixed(1 + 20 * (1 + (seed % 3) as u32))
                },
                START,
            )
        })
        .collect();
    let kinds: Vec<Vec<(usize, i64)>> = vec![
        vec![(0, 1)],
        vec![(0, 1), (1, 4)],
        vec![(1, 4)],
        vec![(0, 8), (2, 1)],
        vec![(1, 20)],
        vec![(2, 16), (0, 1)],
        vec![(2, 3)],
    ];
    let mut due = vec![Some(START); n_s];
    let mut now = START;
    let mut flights: Vec<Ent> = vec![];
    let mut waiting: Vec<std::collections::BTreeMap<CallId, usize>> = vec![Default::default(); n_s];
    let mut kind_of: Vec<std::collections::BTreeMap<CallId, usize>> = vec![Default::default(); n_s];
    let mut left = 80;
    let mut steps = 0;
    let mut same = 0;
    loop {
        steps += 1;
        assert!(
            steps < 40_000,
            "seed {seed}: endless at {now:?} n_s {n_s} inorder {inorder} overt {overt} due {due:?} left {left} prog {:?}",
            ss.iter().map(|s| s.progress()).collect::<Vec<_>>()
        );
        // random scheduling
        while left > 0 && g.below(3) == 0 {
            left -= 1;
            let who = g.below(n_s as u64) as usize;
            let k = g.below(kinds.len() as u64) as usize;
            let costs: Vec<_> = kinds[k]
                .iter()
                .map(|(r, a)| Cost::new(ids[*r], Amount::units(*a as u32)))
                .collect();
            let id = ss[who].schedule(&mut l, &costs, now).unwrap();
            waiting[who].insert(id, k);
            kind_of[who].insert(id, k);
            due[who] = Some(now);
        }
        // events due
        let mut i = 0;
        while i < flights.len() {
            if flights[i].gone {
                i += 1;
                continue;
            }
            let f = flights[i].clone();
            if f.sent_at.is_some_and(|t| t <= now) {
                ss[f.who].handle(&mut l, Input::Sent { attempt: f.attempt }, now);
                flights[i].sent_at = None;
                due[f.who] = Some(now);
            }
            if f.end <= now {
                let class = match g.below(8) {
                    0 => Class::Failure,
                    1 => Class::Invalid,
                    _ => Class::Success,
                };
                ss[f.who].handle(
                    &mut l,
                    Input::Finished {
                        attempt: f.attempt,
                        outcome: Outcome::new(class),
                    },
                    now,
                );
                flights[i].gone = true;
                flights[i].end = now;
                due[f.who] = Some(now);
            }
            i += 1;
        }
        if g.below(40) == 0 {
            let who = g.below(n_s as u64) as usize;
            let id = waiting[who].keys().next().copied();
            if let Some(id) = id {
                ss[who].handle(&mut l, Input::Cancel { call: id }, now);
                waiting[who].remove(&id);
                due[who] = Some(now);
            }
        }
        for w in l.take_wakes() {
            let i = ss.iter().position(|s| s.id() == w).unwrap();
            due[i] = Some(now);
        }
        // polls
        loop {
            let Some(who) = (0..n_s).find(|w| due[*w].is_some_and(|t| t <= now)) else {
                break;
            };
            match ss[who].poll(&mut l, now) {
                Output::Dispatch { call, attempt, .. } => {
                    let k = kind_of[who][&call];
                    waiting[who].remove(&call);
                    let sent = match g.below(4) {
                        0 => None,
                        1 => Some(now),
                        _ => Some(now + Duration::from_millis(g.below(1500))),
                    };
                    let end = now + Duration::from_millis(g.below(4500));
                    let sent = sent.filter(|s| *s <= end);
                    if sent == Some(now) {
                        ss[who].handle(&mut l, Input::Sent { attempt }, now);
                    }
                    flights.push(Ent {
                        who,
                        at: now,
                        sent_at: sent.filter(|s| *s > now),
                        end,
                        costs: kinds[k].clone(),
                        attempt,
                        gone: false,
                    });
                }
                Output::Abandon { attempt, .. } => {
                    for f in flights
                        .iter_mut()
                        .filter(|f| f.who == who && f.attempt == attempt && !f.gone)
                    {
                        f.gone = true;
                        f.end = now;
                    }
                }
                Output::Done { call } | Output::Failed { call, .. } => {
                    waiting[who].remove(&call);
                }
                Output::Wait(w) => {
                    if let Some(u) = w.until {
                        assert!(u > now, "seed {seed}: until {u:?} <= now");
                    }
                    due[who] = w.until;
                    if packed_free
                        && !matches!(
                            w.on,
                            WaitingOn::Concurrency
                                | WaitingOn::Probe
                                | WaitingOn::Backoff
                                | WaitingOn::InFlight
                        )
                    {
                        for (id, k) in waiting[who].iter() {
                            let fits = kinds[*k].iter().all(|(r, a)| {
                                let v = l.view(ids[*r], now);
                                v.charged.as_micros() + v.held.as_micros() + a * 1_000_000
                                    <= quotas[*r] * 1_000_000
                            });
                            assert!(
                                !fits,
                                "seed {seed}: {id:?} kind {k} fits at {now:?} and waits: {w:?}"
                            );
                        }
                    }
                }
                Output::Idle => due[who] = None,
                o => panic!("{o:?}"),
            }
            for r in 0..3 {
                let v = l.view(ids[r], now);
                assert!(
                    v.charged.as_micros() + v.held.as_micros() <= quotas[r] * 1_000_000,
                    "seed {seed} over {r}: {v:?}"
                );
            }
            for w in l.take_wakes() {
                let i = ss.iter().position(|s| s.id() == w).unwrap();
                due[i] = Some(now);
            }
            same += 1;
            assert!(same < 5000, "seed {seed}: spins at {now:?}");
        }
        // next moment
        let next = due
            .iter()
            .flatten()
            .copied()
            .chain(
                flights
                    .iter()
                    .filter(|f| !f.gone)
                    .flat_map(|f| [f.sent_at, Some(f.end)])
                    .flatten(),
            )
            .min();
        if left > 0 {
            let t = now + Duration::from_millis(1 + g.below(200));
            let t = next.map_or(t, |n| n.min(t));
            if t > now {
                same = 0
            }
            now = t;
            continue;
        }
        let Some(next) = next else { break };
        if next > now {
            same = 0;
        }
        now = next.max(now);
        assert!(now < at(2000.0), "seed {seed}: still not done");
    }
    for s in &ss {
        assert_eq!(
            s.progress().waiting,
            0,
            "seed {seed}: hang at {now:?} with {} schedulers",
            n_s
        );
    }
    let _ = flights.iter().map(|f| (f.at, f.costs.len())).count();
}

#[test]
fn claim_during_outage_of_its_scheduler() {
    // as a13, but a is in an outage: its probe waits
    let (mut l, r) = one(exact("r", Quota::per(u(20), secs(10.0))));
    let mut a = Scheduler::new(
        &mut l,
        Settings {
            order: Order::InOrder,
            backoff: Backoff {
                base: secs(600.0),
                cap: secs(600.0),
            },
            ..fixed(100)
        },
        START,
    );
    let mut b = Scheduler::new(&mut l, fixed(10), START);
    for _ in 0..15 {
        a.schedule(&mut l, &[Cost::new(r, u(1))], START).unwrap();
    }
    a.schedule(&mut l, &[Cost::new(r, u(20))], START).unwrap();
    let (d, _) = drain(&mut a, &mut l, START);
    for (_, t) in &d {
        a.handle(&mut l, Input::Sent { attempt: *t }, START);
    }
    for (_, t) in d {
        a.handle(
            &mut l,
            Input::Finished {
                attempt: t,
                outcome: Outcome::new(Class::Failure),
            },
            START,
        );
    }
    b.schedule(&mut l, &[Cost::new(r, u(1))], START).unwrap();
    let (mut now, mut polls, mut sent) = (START, 0, 0);
    while now < at(200.0) && sent == 0 {
        let (_, o) = drain(&mut a, &mut l, now);
        if polls == 0 {
            println!("a: {o:?}");
        }
        let (d, o) = drain(&mut b, &mut l, now);
        polls += 1;
        sent += d.len();
        let Output::Wait(w) = o else { break };
        match w.until {
            Some(t) => now = t,
            None => now = at(200.0),
        }
    }
    assert_eq!(
        sent, 1,
        "b was never admitted in 200 s, polled {polls} times"
    );
}

#[test]
fn late_sent_arrival_jitter() {
    for seed in 0..3_000 {
        jitter(seed);
    }
}
fn jitter(seed: u64) {
    let mut g = Rng(seed.wrapping_mul(99991) + 7);
    let guard = Duration::from_millis(50);
    let w = Duration::from_millis(1000 + g.below(3000));
    let amount = 1 + g.below(6) as u32;
    let burst = 1 + g.below(6) as u32;
    let kind = g.below(5);
    let quota = match kind {
        0 => Quota::per(u(amount), w),
        1 => Quota::bucket(u(amount), w, u(burst)),
        2 => Quota::FixedWindow {
            amount: u(amount),
            window: w,
            anchor: Anchor::FirstCall,
        },
        3 => Quota::FixedWindow {
            amount: u(amount),
            window: w,
            anchor: Anchor::At(START + Duration::from_millis(g.below(1000))),
        },
        _ => Quota::Spacing { interval: w },
    };
    let cap = (quota.capacity().as_micros() / 1_000_000) as u64;
    let (mut l, r) = one(Resource::new("r", quota).guard(guard));
    let mut s = Scheduler::new(
        &mut l,
        Settings {
            attempt_timeout: None,
            order: if g.below(2) == 0 {
                Order::InOrder
            } else {
                Order::Packed
            },
            ..fixed(50)
        },
        START,
    );
    let mut now = START;
    let mut ev: Vec<(Time, bool, AttemptId, i64)> = vec![]; // (when, is_sent, id, cost)
    let mut cost_of = std::collections::BTreeMap::new();
    let mut arrivals: Vec<(Time, i64)> = vec![];
    for _ in 0..25 {
        let c = 1 + g.below(cap) as u32;
        let id = s.schedule(&mut l, &[Cost::new(r, u(c))], START).unwrap();
        cost_of.insert(id, i64::from(c));
    }
    let mut spins = 0;
    loop {
        ev.sort_by_key(|e| (e.0, !e.1));
        while let Some(e) = ev.first().copied().filter(|e| e.0 <= now) {
            ev.remove(0);
            if e.1 {
                s.handle(&mut l, Input::Sent { attempt: e.2 }, now);
                arrivals.push((now + Duration::from_nanos(g.below(50_000_001)), e.3));
            } else {
                s.handle(
                    &mut l,
                    Input::Finished {
                        attempt: e.2,
                        outcome: Outcome::new(Class::Success),
                    },
                    now,
                );
            }
        }
        let until = loop {
            match s.poll(&mut l, now) {
                Output::Dispatch { call, attempt, .. } => {
                    let d = match g.below(3) {
                        0 => 0,
                        1 => g.below(100),
                        _ => g.below(5000),
                    };
                    let sent = now + Duration::from_millis(d);
                    ev.push((sent, true, attempt, cost_of[&call]));
                    ev.push((
                        sent + Duration::from_millis(60 + g.below(3000)),
                        false,
                        attempt,
                        0,
                    ));
                    ev.sort_by_key(|e| (e.0, !e.1));
                    while let Some(e) = ev.first().copied().filter(|e| e.0 <= now) {
                        ev.remove(0);
                        assert!(e.1);
                        s.handle(&mut l, Input::Sent { attempt: e.2 }, now);
                        arrivals.push((now + Duration::from_nanos(g.below(50_000_001)), e.3));
                    }
                }
                Output::Wait(w) => break w.until.or(Some(Time::MAX)),
                Output::Idle => break None,
                _ => {}
            }
        };
        let Some(until) = until else { break };
        let next = ev.iter().map(|e| e.0).chain([until]).min().unwrap();
        assert!(next < Time::MAX, "seed {seed} kind {kind}: hang");
        assert!(next >= now);
        if next == now {
            spins += 1
        } else {
            spins = 0
        }
        assert!(spins < 1000, "seed {seed}: spin");
        now = next;
    }
    assert_eq!(arrivals.len(), 25);
    arrivals.sort();
    let wn = w.as_nanos() as u64;
    let q = i64::from(amount);
    match kind {
        0 => {
            for (t, _) in &arrivals {
                let sum: i64 = arrivals
                    .iter()
                    .filter(|(a, _)| a >= t && a.since(*t) < w)
                    .map(|a| a.1)
                    .sum();
                assert!(sum <= q, "seed {seed} sliding {sum} > {q}");
            }
        }
        1 => {
            let mut level = i128::from(burst) * i128::from(wn);
            let mut at = START;
            for (t, c) in &arrivals {
                level = (level + i128::from(amount) * t.since(at).as_nanos() as i128)
                    .min(i128::from(burst) * i128::from(wn));
                at = *t;
                level -= i128::from(*c) * i128::from(wn);
                if level < 0 {
                    println!(
                        "seed {seed} bucket level {} units, refill {amount} per {w:?} burst {burst} cost {c}",
                        level as f64 / wn as f64
                    );
                    return;
                }
            }
        }
        2 => {
            let mut end = Time::default();
            let mut used = 0;
            for (t, c) in &arrivals {
                if *t >= end {
                    end = *t + w;
                    used = 0;
                }
                used += c;
                assert!(used <= q, "seed {seed} first-call window {used} > {q}");
            }
        }
        3 => {
            let Quota::FixedWindow {
                anchor: Anchor::At(start),
                ..
            } = quota
            else {
                panic!()
            };
            let mut m = std::collections::BTreeMap::new();
            for (t, c) in &arrivals {
                let k = (t.as_nanos() as i128 - start.as_nanos() as i128).div_euclid(wn as i128);
                *m.entry(k).or_insert(0) += c;
            }
            for (k, v) in m {
                assert!(v <= q, "seed {seed} window {k}: {v} > {q}");
            }
        }
        _ => {
            for p in arrivals.windows(2) {
                assert!(
                    p[1].0.since(p[0].0) >= w,
                    "seed {seed} spacing {:?}",
                    p[1].0.since(p[0].0)
                );
            }
        }
    }
}
#[test]
fn bucket_of_one_keeps_no_guard() {
    let r = Resource::new("r", Quota::bucket(u(1), secs(1.0), u(1))).guard(secs(0.05));
    let (l, id) = one(r);
    let mut p = Play::new(l, fixed(10), always(0.1));
    for _ in 0..3 {
        p.schedule(&[Cost::new(id, u(1))]);
    }
    p.run();
    let t: Vec<_> = p
        .sent
        .iter()
        .map(|s| s.at.since(START).as_secs_f64())
        .collect();
    assert!(
        t[1] - t[0] >= 1.05,
        "{t:?}: one that is 50 ms late and one that is not arrive 0.95 s apart"
    );
}
#[test]
fn the_65th_kind_waits_behind_a_stranger() {
    let mut l = Limiter::new(START);
    let slow = l
        .add(exact("slow", Quota::per(u(1), secs(3600.0))))
        .unwrap();
    let ids: Vec<_> = (0..64)
        .map(|i| {
            l.add(exact(
                &format!("t{i}"),
                Quota::per(u(if i == 63 { 1 } else { 1000 }), secs(1.0)),
            ))
            .unwrap()
        })
        .collect();
    let mut p = Play::new(l, fixed(1000), always(0.1));
    p.schedule(&[Cost::new(slow, u(1))]);
    p.schedule(&[Cost::new(slow, u(1))]);
    for id in ids {
        p.schedule(&[Cost::new(id, u(1))]);
    }
    p.run_until(at(1000.0));
    assert_eq!(
        p.sent.len(),
        65,
        "all but the second slow one; the last tenant is untouched"
    );
}
#[test]
fn cap_on_retry_after() {
    let (l, r) = one(exact("r", Quota::per(u(10), secs(10.0))));
    let mut p = Play::new(l, fixed(10), |_, n, _| {
        if n == 1 {
            out(
                Class::Refused {
                    resource: None,
                    retry_after: Some(Duration::MAX),
                },
                0.1,
            )
        } else {
            out(Class::Success, 0.1)
        }
    });
    p.schedule(&[Cost::new(r, u(1))]);
    p.run_until(at(1e9));
    println!("sent {} waits {:?}", p.sent.len(), p.waits.last());
}
#[test]
fn many_misc() {
    // look_ahead 1, in order, cancels in backlog
    let (l, r) = one(exact("r", Quota::per(u(3), secs(10.0))));
    let mut p = Play::new(
        l,
        Settings {
            look_ahead: 1,
            order: Order::InOrder,
            ..fixed(10)
        },
        |c, n, _| {
            out(
                if n == 1 && c % 3 == 0 {
                    Class::Failure
                } else {
                    Class::Success
                },
                0.1,
            )
        },
    );
    let ids: Vec<_> = (0..50)
        .map(|i| p.schedule(&[Cost::new(r, u(1 + i % 3))]))
        .collect();
    for id in ids.iter().skip(2).step_by(4) {
        p.handle(Input::Cancel { call: *id });
    }
    println!("{:?} {:?}", p.run(), p.scheduler.progress());
}
#[test]
fn halt_resume_with_claim_and_time_outs() {
    let (l, r) = one(exact("r", Quota::per(u(10), secs(10.0))));
    let mut p = Play::new(
        l,
        Settings {
            order: Order::InOrder,
            call_timeout: Some(secs(30.0)),
            ..fixed(10)
        },
        always(1.0),
    );
    for i in 0..30 {
        p.schedule(&[Cost::new(r, u(if i % 2 == 0 { 7 } else { 1 }))]);
    }
    p.run_until(at(5.0));
    p.handle(Input::Halt);
    println!("{:?}", p.run());
    p.handle(Input::Resume);
    p.run_until(at(22.5));
    p.handle(Input::Stop);
    println!("{:?}", p.run());
    p.now = at(100.0);
    p.handle(Input::Resume);
    println!("{:?} {:?}", p.run(), p.scheduler.progress());
}
#[test]
fn probe_of_refused_other_resource_hammers() {
    // outage; the probe is refused for resource x that the next call does not need: how fast do probes follow?
    let mut l = Limiter::new(START);
    let x: Vec<_> = (0..200)
        .map(|i| {
            l.add(exact(&format!("x{i}"), Quota::per(u(1000), secs(1.0))))
                .unwrap()
        })
        .collect();
    let mut p = Play::new(l, fixed(11), |c, _, now| {
        if now < at(1.0) && c < 11 {
            out(Class::Failure, 0.5)
        } else {
            out(
                Class::Refused {
                    resource: None,
                    retry_after: Some(secs(1000.0)),
                },
                0.01,
            )
        }
    });
    for id in &x {
        p.schedule(&[Cost::new(*id, u(1))]);
    }
    p.run_until(at(10.0));
    let probes = p.sent.iter().filter(|s| s.at > at(0.6)).count();
    println!(
        "probes within 10 s of an outage: {probes}, outage {} at {:?}",
        p.scheduler.progress().outage,
        p.sent
            .iter()
            .filter(|s| s.at > at(0.6))
            .map(|s| s.at.since(START).as_millis())
            .collect::<Vec<_>>()
    );
}

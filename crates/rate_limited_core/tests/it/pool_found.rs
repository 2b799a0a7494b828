//! Pools of accounts whose limits nobody told: each is found out by itself.

use crate::play::{End, Over, Play, Reply, START, always, secs};
use rate_limited_core::{
    Amount, Class, Cost, Limiter, MaxConcurrent, Outcome, Quota, Resource, Settings,
};
use std::cell::RefCell;
use std::rc::Rc;

/// What the server of an account lets through in how many seconds, and whether that is told.
#[derive(Clone, Copy)]
struct Account {
    quota: usize,
    seconds: f64,
    told: bool,
}

fn untold(quota: usize, seconds: f64) -> Account {
    Account {
        quota,
        seconds,
        told: false,
    }
}

/// What came of a run of so many calls.
#[derive(Debug)]
struct Came {
    took: f64,
    optimum: f64,
    refused: Vec<usize>,
    passed: Vec<usize>,
}

fn run(accounts: &[Account], calls: usize, tells_wait: bool) -> Came {
    let mut limiter = Limiter::new(START);
    let mut costs = Vec::new();
    let mut members = Vec::new();
    for (place, account) in accounts.iter().enumerate() {
        let of = limiter.account(&place.to_string());
        let name = format!("requests@{place}");
        let resource = if account.told {
            let quota = Amount::units(account.quota as u32);
            Resource::new(name, Quota::per(quota, secs(account.seconds)))
        } else {
            Resource::untold(name)
        };
        let id = limiter.add_to(of, resource).expect("sound");
        costs.push(Cost::new(id, Amount::units(1)));
        members.push(of);
    }
    let settings = Settings {
        max_concurrent: MaxConcurrent::Fixed(64),
        ..Settings::default()
    };
    let mut play = Play::new(limiter, settings, always(1.0));
    for account in members {
        play.scheduler.add_member(account).expect("room");
    }
    let log = Rc::new(RefCell::new(vec![(Vec::new(), 0); accounts.len()]));
    let (seen, limits) = (Rc::clone(&log), accounts.to_vec());
    play.reply_by = Some(Box::new(move |member, _, now| {
        let Account { quota, seconds, .. } = limits[member.index()];
        let (passed, refused) = &mut seen.borrow_mut()[member.index()];
        let since = passed.len().checked_sub(quota).map(|at| passed[at]);
        match since.filter(|oldest| *oldest + secs(seconds) > now) {
            None => {
                passed.push(now);
                Reply {
                    after: secs(0.5),
                    outcome: Outcome::new(Class::Success),
                }
            }
            Some(oldest) => {
                *refused += 1;
                let wait = (oldest + secs(seconds)).since(now);
                let class = Class::Refused {
                    resource: None,
                    retry_after: tells_wait.then_some(wait),
                };
                Reply {
                    after: secs(0.02),
                    outcome: Outcome::new(class),
                }
            }
        }
    }));
    for _ in 0..calls {
        play.schedule(&costs);
    }
    assert_eq!(play.run(), Over::Idle);
    assert!(play.ends.values().all(|(end, _)| *end == End::Done));
    let took = play.ends.values().map(|(_, at)| at.since(START));
    let rate: f64 = accounts.iter().map(|it| it.quota as f64 / it.seconds).sum();
    let at_once: usize = accounts.iter().map(|account| account.quota).sum();
    let log = log.borrow();
    Came {
        took: took.max().expect("calls").as_secs_f64(),
        optimum: (calls - at_once) as f64 / rate,
        refused: log.iter().map(|(_, refused)| *refused).collect(),
        passed: log.iter().map(|(passed, _)| passed.len()).collect(),
    }
}

#[test]
fn the_limit_of_each_account_is_found_and_filled() {
    for tells_wait in [true, false] {
        // Twenty windows of both.
        let came = run(&[untold(20, 10.0), untold(60, 10.0)], 1_600, tells_wait);
        let bound = if tells_wait { 1.25 } else { 1.5 };
        assert!(came.took < bound * came.optimum, "{came:?}");
        // None is left aside, and none is asked again and again.
        let shares = [1_600 / 4, 1_600 * 3 / 4];
        for (passed, share) in came.passed.iter().zip(shares) {
            assert!(passed.abs_diff(share) < share / 4, "{came:?}");
        }
        assert!(came.refused.iter().sum::<usize>() < 1_600 / 20, "{came:?}");
    }
}

#[test]
fn an_untold_account_beside_a_told_one_gets_its_share_and_no_more() {
    for tells_wait in [true, false] {
        let told = Account {
            told: true,
            ..untold(60, 10.0)
        };
        let came = run(&[untold(20, 10.0), told], 1_600, tells_wait);
        let bound = if tells_wait { 1.25 } else { 1.5 };
        assert!(came.took < bound * came.optimum, "{came:?}");
        assert_eq!(came.refused[1], 0, "what was told is kept: {came:?}");
        assert!(came.refused[0] < 80, "{came:?}");
        assert!(came.passed[0] > 250, "{came:?}");
    }
}

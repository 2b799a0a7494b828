//! `--pool`: several keys of several accounts, against one simulated API that knows them apart.
#![expect(clippy::print_stdout, reason = "the figures of the proof are shown")]

use std::fs;
use std::process::Child;
use std::thread;
use std::time::{Duration, Instant};

use rate_limited_sim::http::Account;
use rate_limited_sim::{ApiModel, Latency, Limit, Stats};

use crate::world::{Outcome, World, requests, spawn};

const KEYS: [&str; 3] = ["sk-CANARY-a-0001", "sk-CANARY-b-0002", "sk-CANARY-c-0003"];

/// Member a for itself, b and c of one account: so many requests in so many seconds each.
fn world(small: u64, large: u64, seconds: u64) -> World {
    let window = Duration::from_secs(seconds);
    let account = |keys: &[&str], quota| Account {
        keys: keys.iter().map(|key| (*key).to_owned()).collect(),
        model: ApiModel::new(7)
            .limit(Limit::requests(quota, window))
            .latency(Latency::Constant(Duration::from_millis(50))),
    };
    let world = World::of_accounts(vec![account(&KEYS[..1], small), account(&KEYS[1..], large)]);
    let url = world.base_url();
    let pool = format!(
        "[[member]]\nname = \"a\"\nbase_url = \"{url}\"\nkey_env = \"POOL_A\"\n\
         limits = [\"requests={small}/{seconds}s\"]\nmodel = \"small-model\"\n\
         [[member]]\nname = \"b\"\naccount = \"team\"\nkey_env = \"POOL_B\"\n\
         limits = [\"requests={large}/{seconds}s\", \"tokens=10M/{seconds}s\"]\n\
         [[member]]\nname = \"c\"\naccount = \"team\"\nkey_file = \"c.key\"\n"
    );
    fs::write(world.path("pool.toml"), pool).expect("room");
    fs::write(world.path("c.key"), format!("{}\n", KEYS[2])).expect("room");
    world
}

fn start(world: &World, lines: &str, args: &[&str]) -> Child {
    world.input(lines);
    let all = ["run", "in.jsonl", "-o", "out.jsonl", "--pool", "pool.toml"];
    let mut command = world.command(&[&all, args].concat());
    command.env("POOL_A", KEYS[0]).env("POOL_B", KEYS[1]);
    spawn(command)
}

fn run(world: &World, lines: &str, args: &[&str]) -> Outcome {
    let child = start(world, lines, args);
    world.end(child)
}

fn refusals(stats: &[Stats]) -> u64 {
    stats.iter().map(|stats| stats.refusals).sum()
}

/// None of the keys is in any file that a run left behind, but the one that holds it.
fn assert_no_file_has_a_key(world: &World) {
    for entry in fs::read_dir(world.path("")).expect("the folder") {
        let path = entry.expect("a file").path();
        let bytes = fs::read(&path).expect("a file");
        let is_there = bytes.windows(9).any(|part| part == b"sk-CANARY");
        assert_eq!(is_there, path.ends_with("c.key"), "{}", path.display());
    }
}

#[test]
fn three_members_of_two_accounts_fill_both_limits_and_pass_none() {
    // Long windows: what a busy machine sends late costs a share of them.
    let (small, large, seconds, windows) = (25, 75, 10, 3);
    let world = world(small, large, seconds);
    let count = usize::try_from((small + large) * windows).expect("few");
    let started = Instant::now();
    let outcome = run(&world, &requests(count), &[]);
    let took = started.elapsed();
    outcome.expect(0, count);
    outcome.expect_order();
    let stats = world.account_stats();
    assert_eq!(refusals(&stats), 0);
    for (stats, quota) in stats.iter().zip([small, large]) {
        let limit = &stats.limits[0];
        let filled = limit.work as f64 / (quota * windows) as f64;
        println!(
            "{quota} in {seconds} s: filled to {:.1} %, fullest window {:.1} %",
            filled * 100.0,
            limit.worst_window * 100.0
        );
        assert!(filled >= 0.98, "{limit:?}");
        assert!((0.98..=1.0).contains(&limit.worst_window), "{limit:?}");
    }
    let optimum = Duration::from_secs(seconds * (windows - 1));
    println!("the optimum of {optimum:?} took {took:?}");
    assert!(
        took < optimum.mul_f64(1.02) + Duration::from_secs(2),
        "{took:?}"
    );
    for told in [
        "the pool pool.toml (a, b, c)",
        "requests=25/10s of a",
        "requests=75/10s of team",
        "member a: ",
        "member b of team: ",
        "member c of team: ",
    ] {
        assert!(outcome.stderr.contains(told), "{told}: {}", outcome.stderr);
    }
    assert_no_file_has_a_key(&world);
}

#[test]
fn a_key_that_dies_mid_run_costs_no_call() {
    let world = world(30, 90, 2);
    let child = start(&world, &requests(360), &["--max-retries", "0"]);
    let started = Instant::now();
    while world.account_stats()[1].arrivals < 50 {
        assert!(started.elapsed() < Duration::from_secs(20));
        thread::sleep(Duration::from_millis(5));
    }
    world.revoke(KEYS[1]);
    let outcome = world.end(child);
    outcome.expect(0, 360);
    assert_eq!(outcome.count(""), 360, "no call has an error");
    let told = "member b is dropped: ";
    assert!(outcome.stderr.contains(told), "{}", outcome.stderr);
    assert!(
        outcome.stderr.contains("dropped: HTTP 401"),
        "{}",
        outcome.stderr
    );
    assert_no_file_has_a_key(&world);
}

#[test]
fn a_key_that_is_bad_from_the_beginning_costs_no_call_either() {
    let world = world(30, 90, 1);
    world.revoke(KEYS[0]);
    let outcome = run(&world, &requests(180), &["--max-retries", "0"]);
    outcome.expect(0, 180);
    assert_eq!(world.account_stats()[0].arrivals, 0);
}

#[test]
fn the_run_stops_when_no_key_is_left_and_the_next_one_goes_on() {
    let world = world(30, 90, 1);
    for key in KEYS {
        world.revoke(key);
    }
    let outcome = run(&world, &requests(20), &[]);
    outcome.expect(3, 20);
    let told = "no member of the pool is left";
    assert!(outcome.stderr.contains(told), "{}", outcome.stderr);
    // The same calls by a key that is good.
    let other = self::world(30, 90, 1);
    fs::copy(world.path("out.jsonl"), other.path("out.jsonl")).expect("room");
    fs::copy(
        world.path("out.jsonl.journal"),
        other.path("out.jsonl.journal"),
    )
    .expect("room");
    fs::copy(
        world.path("out.jsonl.journal-count"),
        other.path("out.jsonl.journal-count"),
    )
    .expect("room");
    let outcome = run(&other, &requests(20), &["--on-change", "rerun"]);
    outcome.expect(0, 20);
}

#[test]
fn a_later_run_knows_what_each_account_has_used() {
    let world = world(4, 8, 5);
    let outcome = run(&world, &requests(24), &["--first", "12"]);
    outcome.expect(0, 12);
    let outcome = run(&world, &requests(24), &[]);
    outcome.expect(0, 24);
    let stats = world.account_stats();
    // Without the past all that the second run sends at once would be refused.
    assert!(refusals(&stats) < 3, "{stats:?}");
    let work: Vec<_> = stats.iter().map(|stats| stats.limits[0].work).collect();
    assert_eq!(work, [8, 16]);
}

/// Accounts of which nobody told a limit: each is found out, alone or beside one that was told.
#[test]
fn limits_that_nobody_told_are_found_account_by_account() {
    for told in [false, true] {
        let world = world(10, 30, 2);
        let url = world.base_url();
        let limits = if told {
            "limits = [\"requests=30/2s\"]\n"
        } else {
            ""
        };
        // What is not told comes before what is: places are those of accounts.
        let pool = format!(
            "[[member]]\nname = \"a\"\nbase_url = \"{url}\"\nkey_env = \"POOL_A\"\n\
             [[member]]\nname = \"b\"\naccount = \"team\"\nkey_env = \"POOL_B\"\n{limits}"
        );
        fs::write(world.path("pool.toml"), pool).expect("room");
        let outcome = run(&world, &requests(240), &["--max-retries", "0"]);
        outcome.expect(0, 240);
        let stats = world.account_stats();
        let work: Vec<_> = stats.iter().map(|it| it.limits[0].work).collect();
        println!("told: {told}: {work:?}, {} refusals", refusals(&stats));
        // Both were of use: a quarter of the work is the share of the small one.
        assert!(work[0] >= 24 && work[1] >= 120, "{work:?}");
        assert!(stats[0].refusals <= 24, "{stats:?}");
        assert!(stats[1].refusals <= if told { 2 } else { 24 }, "{stats:?}");
        let found = outcome
            .stderr
            .lines()
            .find(|line| line.contains("limits found out: "));
        let found = found.unwrap_or_else(|| panic!("{}", outcome.stderr));
        assert!(found.contains("requests@a "), "{found}");
        assert_eq!(found.contains("requests@team"), !told, "{found}");
        let opening = if told {
            "limits: requests=30/2s of team, those of a are found out; "
        } else {
            "no limits told"
        };
        assert!(outcome.stderr.contains(opening), "{}", outcome.stderr);
    }
}

#[test]
fn a_member_asks_for_its_own_model() {
    let world = world(2, 4, 1);
    let outcome = run(&world, &requests(6), &[]);
    outcome.expect(0, 6);
    let models = outcome.all("/response/body/model");
    let own = models.iter().filter(|model| *model == "small-model");
    assert_eq!(own.count(), 2, "{models:?}");
}

#[test]
fn pools_that_cannot_be_used_are_refused_before_anything_is_sent() {
    let member = |more: &str| format!("[[member]]\nname = \"a\"\n{more}\n");
    let limited = |name: &str, quota| {
        format!(
            "[[member]]\nname = \"{name}\"\naccount = \"team\"\nkey_env = \"POOL_A\"\nlimits = [\"requests={quota}/1m\"]\n"
        )
    };
    for (pool, expected) in [
        (String::new(), "0 members"),
        (
            member("key = \"sk-CANARY\""),
            "line 3: a key must not stand in the file",
        ),
        (member("key_env = \"POOL_MISSING\""), "POOL_MISSING"),
        (member("key_file = \"missing.key\""), "missing.key"),
        (
            member("key_env = \"POOL_A\"\nkey_file = \"c.key\""),
            "keep one of them",
        ),
        (
            member("key_env = \"POOL_A\"\nbase_url = \"nowhere\""),
            "base_url",
        ),
        (
            member("key_env = \"POOL_A\"\nlimits = [\"requests=0/1m\"]"),
            "lets nothing run",
        ),
        (
            member("key_env = \"POOL_A\"\nlimits = [\"pages=1/1m\"]"),
            "pages",
        ),
        (
            member("key_env = \"POOL_A\"").repeat(2),
            "another member has this name",
        ),
        (limited("a", 5) + &limited("b", 6), "share one set"),
        (member("kye_env = \"POOL_A\""), "unknown field `kye_env`"),
    ] {
        let world = world(30, 90, 1);
        fs::write(world.path("pool.toml"), &pool).expect("room");
        let outcome = run(&world, &requests(3), &[]);
        assert_eq!(outcome.code, Some(2), "{pool}: {}", outcome.stderr);
        assert!(
            outcome.stderr.contains(expected),
            "{pool}: {}",
            outcome.stderr
        );
        assert!(!world.path("out.jsonl").exists(), "{pool}");
        let arrivals: u64 = world.account_stats().iter().map(|it| it.arrivals).sum();
        assert_eq!(arrivals, 0);
    }
    let world = world(30, 90, 1);
    let outcome = run(&world, &requests(3), &["--rpm", "5"]);
    assert_eq!(outcome.code, Some(2), "limits are those of the members");
}

//! A machine whose clock is wrong, or is put right during a run: nothing that matters follows it.
//!
//! The clock is set for one process alone, by Debian's `faketime`. Where that is not installed these tests say
//! so and prove nothing.

#![cfg(target_os = "linux")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rate_limited_sim::{ApiModel, Latency, Limit};
use serde_json::Value;

use crate::hostile::{Server, reply};
use crate::world::{Outcome, World, requests, spawn};

const LIBRARY: &str = "faketime/libfaketimeMT.so.1";

/// Long before the program was written, long after, and where seconds no longer fit into 32 bits.
const WRONG: [&str; 4] = [
    "@1970-01-01 00:00:05",
    "@1969-12-31 12:00:00",
    "@2038-01-19 03:14:06",
    "@2100-01-01 00:00:00",
];

/// The library that changes the clock; `None`: it is not there.
fn library() -> Option<PathBuf> {
    let folders = fs::read_dir("/usr/lib").ok()?.flatten();
    let mut paths = folders.map(|folder| folder.path().join(LIBRARY));
    let found = paths.find(|path| path.is_file());
    if found.is_none() {
        eprintln!("faketime is not installed: nothing is proved");
    }
    found
}

/// Sets the clock of a command; its time of running goes on as it does.
fn set(command: &mut Command, library: &Path, clock: &str) {
    command
        .env("LD_PRELOAD", library)
        .env("FAKETIME", clock)
        .env("TZ", "UTC")
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
}

fn run_at(world: &World, library: &Path, clock: &str, args: &[&str]) -> Outcome {
    let mut command = world.command(args);
    set(&mut command, library, clock);
    world.end(spawn(command))
}

/// 40 requests of which 20 may go in two seconds.
fn world() -> World {
    let model = ApiModel::new(7)
        .limit(Limit::requests(20, Duration::from_secs(2)))
        .latency(Latency::Constant(Duration::from_millis(20)));
    World::new(model)
}

const RUN: [&str; 6] = [
    "run",
    "in.jsonl",
    "-o",
    "out.jsonl",
    "--limit",
    "requests=20/2s",
];

#[test]
fn a_run_at_any_time_is_a_run_like_any_other() {
    let Some(library) = library() else { return };
    for clock in WRONG {
        let world = world();
        world.input(&requests(40));
        let started = Instant::now();
        let args = ["--report", "told.json"];
        let outcome = run_at(&world, &library, clock, &[&RUN[..], &args].concat());
        outcome.expect(0, 40);
        outcome.expect_order();
        assert!(!outcome.stderr.contains("panicked"), "{}", outcome.stderr);
        let took = started.elapsed();
        assert!(
            (2.0..8.0).contains(&took.as_secs_f64()),
            "{clock}: {took:?}"
        );
        let stats = world.stats();
        assert_eq!((stats.arrivals, stats.refusals), (40, 0), "{clock}");
        let told = fs::read_to_string(world.path("told.json")).expect("a report");
        let told: Value = serde_json::from_str(&told).expect("JSON");
        let p50 = told.pointer("/latency/p50_ms").and_then(Value::as_f64);
        assert!(
            p50.is_some_and(|it| (20.0..2_000.0).contains(&it)),
            "{clock}: {p50:?}"
        );
        for looked in [
            &["status", "out.jsonl", "--verify"][..],
            &["report", "out.jsonl"],
        ] {
            let outcome = run_at_text(&world, &library, clock, looked);
            assert_eq!(
                outcome.code,
                Some(0),
                "{clock} {looked:?}: {}",
                outcome.stderr
            );
        }
        // At the right time nothing of it is sent again, and what is new waits for no century.
        let started = Instant::now();
        let outcome = world.run(&requests(45), &["--limit", "requests=20/2s"]);
        outcome.expect(0, 45);
        let took = started.elapsed();
        assert!(took < Duration::from_secs(20), "{clock}: {took:?}");
        let stats = world.stats();
        assert_eq!(
            stats.arrivals - stats.refusals,
            45,
            "{clock}: {}",
            outcome.stderr
        );
        // Charges of another decade seem to be over: at most the new calls are refused for it, once each.
        assert!(stats.refusals <= 5, "{clock}: {}", outcome.stderr);
    }
}

fn run_at_text(world: &World, library: &Path, clock: &str, args: &[&str]) -> Outcome {
    let mut command = world.command(args);
    set(&mut command, library, clock);
    Outcome::of(spawn(command))
}

/// A clock that goes back or forth by hours and back again while a run goes on, and is wrong when the next one
/// begins.
#[test]
fn a_clock_that_is_put_right_during_a_run_changes_nothing() {
    let Some(library) = library() else { return };
    for (first, then) in [("+0", "-3h"), ("+0", "+3h"), ("-40d", "+0"), ("+40d", "+0")] {
        let world = world();
        world.input(&requests(60));
        let clock = world.path("clock");
        fs::write(&clock, first).expect("room");
        let mut command = world.command(&RUN);
        set(&mut command, &library, first);
        command
            .env_remove("FAKETIME")
            .env("FAKETIME_TIMESTAMP_FILE", &clock)
            .env("FAKETIME_NO_CACHE", "1");
        let started = Instant::now();
        let child = spawn(command);
        while world.stats().arrivals < 21 {
            assert!(
                started.elapsed() < Duration::from_secs(20),
                "{first} {then}"
            );
            std::thread::sleep(Duration::from_millis(10));
        }
        fs::write(&clock, then).expect("room");
        let outcome = world.end(child);
        outcome.expect(0, 60);
        outcome.expect_order();
        let took = started.elapsed();
        assert!(
            (4.0..12.0).contains(&took.as_secs_f64()),
            "{first} {then}: {took:?}"
        );
        assert_eq!(world.stats().refusals, 0, "{first} {then}");
        // What the first run charged in the future counts as charged now: the next one waits at most a window.
        let started = Instant::now();
        let outcome = world.run(&requests(65), &["--limit", "requests=20/2s"]);
        outcome.expect(0, 65);
        assert!(
            started.elapsed() < Duration::from_secs(20),
            "{first} {then}"
        );
        let stats = world.stats();
        assert_eq!(stats.arrivals - stats.refusals, 65, "{first} {then}");
        assert!(stats.refusals <= 5, "{first} {then}: {}", outcome.stderr);
    }
}

/// A server that refuses once and says until when, as a date; its own clock is right.
fn refuses_until(after: Duration, tells_date: bool) -> (Server, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let server = Server::answering(move |_| {
        if count.fetch_add(1, Ordering::SeqCst) > 0 {
            return reply(200, "", r#"{"choices":[]}"#);
        }
        let now = jiff::Timestamp::now();
        let date = |at: jiff::Timestamp| at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        let until = format!("Retry-After: {}\r\n", date(now + after));
        let headers = if tells_date {
            format!("{until}Date: {}\r\n", date(now))
        } else {
            until
        };
        reply(429, &headers, "{}")
    });
    (server, asked)
}

/// A wait that is told as a date is reckoned from the server's own date, whatever the clock here says.
#[test]
fn dates_of_a_server_are_read_by_its_own_clock() {
    let Some(library) = library() else { return };
    for clock in WRONG {
        let (server, asked) = refuses_until(Duration::from_secs(3), true);
        let world = World::slow(0);
        world.input(&requests(1));
        let started = Instant::now();
        let outcome = run_at(
            &world,
            &library,
            clock,
            &[
                "run",
                "in.jsonl",
                "-o",
                "out.jsonl",
                "--base-url",
                &server.url(),
            ],
        );
        outcome.expect(0, 1);
        let took = started.elapsed().as_secs_f64();
        assert!((2.0..8.0).contains(&took), "{clock}: {took} s");
        assert_eq!(asked.load(Ordering::SeqCst), 2, "{clock}");
    }
}

/// Where the server does not say what it takes the time for, a clock that is wrong makes its date senseless: it
/// has passed, or lies so far ahead that it is not believed.
#[test]
fn dates_without_an_origin_hold_nothing_for_ever() {
    let Some(library) = library() else { return };
    for clock in ["@2100-01-01 00:00:00", "@1970-01-01 00:00:05"] {
        let (server, _) = refuses_until(Duration::from_secs(3), false);
        let world = World::slow(0);
        world.input(&requests(1));
        let started = Instant::now();
        let url = server.url();
        let args = [
            "run",
            "in.jsonl",
            "-o",
            "out.jsonl",
            "--base-url",
            &url,
            "--deadline",
            "20s",
        ];
        let outcome = run_at(&world, &library, clock, &args);
        outcome.expect(0, 1);
        assert!(started.elapsed() < Duration::from_secs(10), "{clock}");
    }
}

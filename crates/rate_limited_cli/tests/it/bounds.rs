//! Bounds of a run: how long it waits.

use std::time::{Duration, Instant};

use crate::world::{World, requests};

#[test]
fn a_run_whose_rest_must_wait_too_long_ends_and_says_until_when() {
    let world = World::slow(50);
    let args = ["--limit", "requests=3/1h", "--max-wait", "1m"];
    let started = Instant::now();
    for before in [0, 3] {
        let outcome = world.run(&requests(5), &args);
        outcome.expect(3, 5);
        outcome.expect_order();
        assert_eq!(outcome.count("not_run"), 2);
        let told = "stopped: all that is left must wait for ";
        assert!(outcome.stderr.contains(told), "{}", outcome.stderr);
        let until = [
            " UTC (requests: full for ",
            ": longer than 1 m (--max-wait)",
        ];
        assert!(
            until.iter().all(|it| outcome.stderr.contains(it)),
            "{}",
            outcome.stderr
        );
        assert!(
            outcome
                .stderr
                .contains("next: the same command again goes on")
        );
        let done = format!("{before} done before");
        assert_eq!(
            outcome.stderr.contains(&done),
            before > 0,
            "{}",
            outcome.stderr
        );
    }
    assert_eq!(world.stats().arrivals, 3);
    assert!(started.elapsed() < Duration::from_secs(20));
}

#[test]
fn a_wait_that_is_short_enough_is_no_end() {
    let world = World::slow(50);
    let outcome = world.run(
        &requests(5),
        &["--limit", "requests=3/1s", "--max-wait", "10s"],
    );
    outcome.expect(0, 5);
    // Nor is one that answers in flight may shorten.
    let world = World::slow(400);
    let args = [
        "--max-concurrent",
        "1",
        "--max-wait",
        "100ms",
        "--limit",
        "requests=9/1m",
    ];
    world.run(&requests(5), &args).expect(0, 5);
}

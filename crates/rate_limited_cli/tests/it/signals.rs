#![cfg(unix)]

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::world::{World, feed, request, requests, signal, spawn};

#[test]
fn the_first_signal_lets_calls_in_flight_finish() {
    let world = World::slow(1_000);
    let child = world.start(&requests(60), &["--max-concurrent", "4"]);
    world.wait_for_arrivals(4);
    signal(&child, "INT");
    let outcome = world.end(child);
    outcome.expect(130, 60);
    outcome.expect_order();
    assert_eq!(
        (outcome.count(""), outcome.count("not_run")),
        (4, 56),
        "{}",
        outcome.stderr
    );
    assert!(outcome.stderr.contains("56 not run"), "{}", outcome.stderr);
}

#[test]
fn the_second_signal_cuts_them_off() {
    let world = World::slow(60_000);
    let child = world.start(&requests(3_000), &["--max-concurrent", "4"]);
    world.wait_for_arrivals(4);
    let started = Instant::now();
    signal(&child, "TERM");
    std::thread::sleep(Duration::from_millis(100));
    signal(&child, "INT");
    let outcome = world.end(child);
    outcome.expect(143, 3_000);
    outcome.expect_order();
    assert_eq!(
        (outcome.count("interrupted"), outcome.count("not_run")),
        (4, 2_996)
    );
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[test]
fn the_grace_period_ends() {
    let world = World::slow(60_000);
    let child = world.start(&requests(9), &["--max-concurrent", "2", "--grace", "200ms"]);
    world.wait_for_arrivals(2);
    signal(&child, "HUP");
    let outcome = world.end(child);
    outcome.expect(129, 9);
    assert_eq!(
        (outcome.count("interrupted"), outcome.count("not_run")),
        (2, 7)
    );
}

#[test]
fn a_silent_standard_input_does_not_keep_the_process() {
    let world = World::slow(0);
    let mut command = world.command(&["run", "-"]);
    command.stdin(Stdio::piped());
    let mut child = spawn(command);
    let mut stdin = child.stdin.take().expect("a pipe");
    std::io::Write::write_all(&mut stdin, request(1, "").as_bytes()).expect("somebody reads");
    let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut line = String::new();
    stdout
        .read_line(&mut line)
        .expect("a result before the input ends");
    assert!(line.contains("\"r1\""), "{line}");
    signal(&child, "INT");
    let outcome = world.end(child);
    assert_eq!(outcome.code, Some(130), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("not read"), "{}", outcome.stderr);
    drop(stdin);
}

#[cfg(target_os = "linux")]
#[test]
fn a_signal_that_was_ignored_stays_so() {
    let world = World::slow(600);
    world.input(&requests(4));
    let real = world.command(&["run", "in.jsonl", "-o", "out.jsonl"]);
    let mut command = std::process::Command::new("sh");
    command
        .args(["-c", "trap '' HUP; exec \"$0\" \"$@\""])
        .arg(real.get_program());
    command.args(real.get_args()).current_dir(world.path(""));
    for (name, value) in real.get_envs() {
        value.map(|value| command.env(name, value));
    }
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let child = spawn(command);
    world.wait_for_arrivals(4);
    signal(&child, "HUP");
    world.end(child).expect(0, 4);
}

#[test]
fn standard_input_that_was_read_is_accounted_for() {
    let world = World::slow(60_000);
    let mut command = world.command(&["run", "-", "--max-concurrent", "2"]);
    command.stdin(Stdio::piped());
    let mut child = spawn(command);
    feed(&mut child, &requests(30));
    world.wait_for_arrivals(2);
    signal(&child, "INT");
    signal(&child, "INT");
    std::thread::sleep(Duration::from_millis(100));
    signal(&child, "INT");
    let outcome = world.end(child);
    outcome.expect(130, 30);
    outcome.expect_order();
}

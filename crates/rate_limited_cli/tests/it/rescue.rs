//! Nothing that was paid for is lost, and what happened to it is told.

use std::process::{Command, Stdio};

use rate_limited_sim::ApiModel;

use crate::world::{Outcome, World, request, requests, spawn};

/// Runs `run` with these arguments behind a line of shell, where `"$@"` is the command.
#[cfg(unix)]
fn in_shell(world: &World, script: &str, args: &[&str]) -> Outcome {
    let real = world.command(args);
    let mut shell = Command::new("sh");
    shell.args(["-c", script, "sh"]).arg(real.get_program());
    shell.args(real.get_args()).current_dir(world.path(""));
    for (name, value) in real.get_envs() {
        value.map(|value| shell.env(name, value));
    }
    shell
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    world.end(spawn(shell))
}

#[track_caller]
fn told(outcome: &Outcome, text: &str) {
    assert!(outcome.stderr.contains(text), "{}", outcome.stderr);
}

#[cfg(unix)]
#[test]
fn a_file_on_standard_input_is_never_overwritten() {
    let world = World::slow(0);
    let lines = requests(3);
    world.input(&lines);
    let args = ["run", "-", "-o", "in.jsonl", "--fresh"];
    let to_itself = in_shell(&world, "\"$@\" < in.jsonl", &args);
    to_itself.expect(2, 0);
    told(
        &to_itself,
        "is the same file as the input (standard input): choose",
    );
    let appended = in_shell(&world, "\"$@\" < in.jsonl >> in.jsonl", &["run", "-"]);
    appended.expect(2, 0);
    let kept = std::fs::read_to_string(world.path("in.jsonl")).expect("there");
    assert_eq!((kept, world.stats().arrivals), (lines, 0));
}

#[cfg(unix)]
#[test]
fn a_pipe_without_a_reader_can_be_given_up() {
    let world = World::slow(0);
    world.input(&requests(1));
    // Whoever waits for a reader must still hear that the run is to end.
    let script = "mkfifo ff; \"$@\" & sleep 0.5; kill -TERM $!; wait $!";
    let outcome = in_shell(&world, script, &["run", "in.jsonl", "-o", "ff"]);
    assert_eq!(outcome.code, Some(143), "{}", outcome.stderr);
    told(
        &outcome,
        "the output ff is a pipe: waiting until something reads it",
    );
    let read = in_shell(
        &world,
        "cat ff & \"$@\"; wait",
        &["run", "in.jsonl", "-o", "ff"],
    );
    read.expect(0, 1);
}

#[cfg(target_os = "linux")]
#[test]
fn a_limit_on_the_size_of_files_is_a_full_disk() {
    let world = World::slow(0);
    world.input(&requests(200));
    let outcome = in_shell(
        &world,
        "ulimit -f 8; exec \"$@\"",
        &[
            "run",
            "in.jsonl",
            "-o",
            "out.jsonl",
            "--no-journal",
            "--max-concurrent",
            "4",
        ],
    );
    assert_eq!(outcome.code, Some(4), "{}", outcome.stderr);
    let written = outcome.lines.len();
    assert!(written > 0, "whole lines are kept");
    told(
        &outcome,
        "failed to write the output out.jsonl: File too large",
    );
    told(
        &outcome,
        &format!("{written} lines were written to out.jsonl, "),
    );
    told(&outcome, " lost; next: make room or choose another output");
    assert!(!outcome.stderr.contains("grep"), "{}", outcome.stderr);
}

#[test]
fn an_error_that_failed_no_call_is_told_as_such() {
    for (more, expected) in [
        (&[][..], "last error, which failed no call: HTTP 503"),
        (&["--max-retries", "0"], "\nlast error: HTTP 503"),
    ] {
        let world = World::new(ApiModel::new(7).failure_rate(0.2));
        // Most of them wait for the next minute when the deadline comes.
        let args = [&["--deadline", "2s", "--limit", "requests=40/1m"], more].concat();
        let outcome = world.run(&requests(80), &args);
        outcome.expect(3, 80);
        let has_failed = !outcome.stderr.contains(" 0 failed");
        assert_eq!(has_failed, !more.is_empty(), "{}", outcome.stderr);
        told(&outcome, expected);
    }
}

#[test]
fn the_reason_of_an_outage_is_shown() {
    let world = World::new(ApiModel::new(7).failure_rate(1.0));
    let outcome = world.run(&requests(80), &["--deadline", "3s"]);
    outcome.expect(3, 80);
    told(&outcome, "too many failures: one probe at a time");
    assert!(!outcome.stderr.contains("binds"), "{}", outcome.stderr);
    let last = outcome.stderr.matches("last error: HTTP 503").count();
    assert!(
        last >= 2,
        "at its beginning and at the end: {}",
        outcome.stderr
    );
    let codes = outcome.all("/error/class");
    let tried: Vec<_> = (0..80)
        .filter(|line| codes[*line] == "not_finished")
        .collect();
    assert!(!tried.is_empty(), "{codes:?}");
    for line in tried {
        assert_ne!(outcome.all("/error/attempts")[line], "0");
        assert_eq!(outcome.all("/response/status_code")[line], "503");
        let message = &outcome.all("/error/message")[line];
        assert!(message.contains("its last error: HTTP 503"), "{message}");
    }
}

#[test]
fn an_attempt_that_timed_out_is_not_in_flight() {
    let args = ["--timeout", "300ms", "--deadline", "1s", "--grace", "0s"];
    let outcome = World::slow(20_000).run(&requests(2), &args);
    outcome.expect(3, 2);
    let classes = outcome.all("/error/class");
    assert!(
        classes
            .iter()
            .all(|class| class == "not_finished" || class == "interrupted"),
        "{classes:?}"
    );
}

#[test]
fn retries_are_attempts_beyond_the_first() {
    let world = World::new(ApiModel::new(7).failure_rate(0.3));
    let outcome = world.run(&requests(12), &[]);
    outcome.expect(0, 12);
    let attempts = world.stats().arrivals;
    told(
        &outcome,
        &format!("{attempts} attempts, {} retr", attempts - 12),
    );
}

#[cfg(unix)]
#[test]
fn what_failed_can_be_collected() {
    let world = World::slow(0);
    let bad = |number| request(number, ",\"stream\":true");
    let lines = [
        request(1, ""),
        bad(2),
        "\n".to_owned(),
        bad(3),
        request(4, ""),
    ]
    .concat();
    let outcome = world.run(&lines, &["--order", "completion", "--no-journal"]);
    outcome.expect(1, 4);
    let mut hint = outcome
        .stderr
        .lines()
        .skip_while(|line| !line.starts_with("next: the requests"));
    let command = hint.nth(1).expect("a command");
    let status = Command::new("sh")
        .args(["-c", command])
        .current_dir(world.path(""))
        .status();
    assert!(status.expect("a shell").success());
    let again = std::fs::read_to_string(world.path("in.again.jsonl")).expect("made");
    assert_eq!(again, [bad(2), bad(3)].concat());
}

#[test]
fn a_run_in_which_nothing_fits_is_refused() {
    let world = World::slow(0);
    let large = request(2, ",\"n\":100");
    let none = world.run(
        &large,
        &["--limit", "tokens=1000/1s", "--limit", "tokens=9k/1m"],
    );
    none.expect(2, 0);
    told(
        &none,
        "1 request is above the limit tokens=1000/1s and can never be sent (line 1); the smallest may take 5,014 tokens: raise",
    );
    let some = world.run(
        &[request(1, ""), large].concat(),
        &["--limit", "tokens=1000/1s"],
    );
    some.expect(1, 2);
    told(&some, "can never be sent (line 2)");
}

#[test]
fn an_answer_that_is_too_long_is_told_in_its_size() {
    let long = "x".repeat(600);
    let line = format!("{{\"input\":[{}1]}}\n", format!("\"{long}\",").repeat(5));
    let outcome = World::slow(0).run(&line, &["--max-answer", "1KiB"]);
    outcome.expect(1, 1);
    assert_eq!(outcome.all("/error/code"), ["too_large"]);
    assert_eq!(
        outcome.all("/error/message"),
        ["the answer is longer than 1 KiB: raise --max-answer"]
    );
}

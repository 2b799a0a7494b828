//! A run that goes on where the last one stopped: nothing is sent twice, nothing is lost.

use std::fs;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rate_limited_sim::ApiModel;

use crate::world::{Outcome, World, feed, request, requests, signal, spawn};

fn text(world: &World) -> String {
    fs::read_to_string(world.path("out.jsonl")).expect("an output")
}

#[track_caller]
pub(crate) fn told(outcome: &Outcome, text: &str) {
    assert!(outcome.stderr.contains(text), "{}", outcome.stderr);
}

/// Runs until so many requests have arrived, and kills the process.
pub(crate) fn kill_in_flight(world: &World, child: Child, arrivals: u64) {
    world.wait_for_arrivals(arrivals);
    let mut child = child;
    child.kill().expect("it runs");
    child.wait().expect("it ends");
}

#[test]
fn the_same_command_again_sends_nothing() {
    let world = World::slow(0);
    world.run(&requests(50), &[]).expect(0, 50);
    let before = text(&world);
    let again = world.run(&requests(50), &[]);
    again.expect(0, 50);
    assert_eq!((world.stats().arrivals, text(&world)), (50, before));
    told(&again, "50 requests from in.jsonl to http://127.0.0.1");
    told(&again, ": nothing is left to be sent");
    told(&again, "0 succeeded, 0 failed in ");
    told(&again, "; 50 done before");
}

#[test]
fn an_interrupted_run_goes_on() {
    for (name, code) in [("INT", 130), ("TERM", 143), ("HUP", 129)] {
        let world = World::slow(30);
        let args = ["--max-concurrent", "4"];
        let child = world.start(&requests(60), &args);
        world.wait_for_arrivals(20);
        signal(&child, name);
        let first = world.end(child);
        first.expect(code, 60);
        told(
            &first,
            "next: the same command again goes on where it stopped",
        );
        let done = first.count("");
        assert!((16..40).contains(&done), "{done}");
        let sent = world.stats().arrivals;
        let second = world.run(&requests(60), &args);
        second.expect(0, 60);
        second.expect_order();
        assert_eq!(second.count(""), 60);
        assert_eq!(world.stats().arrivals, sent + 60 - done as u64);
        told(
            &second,
            &format!("{done} done before, {} to be sent", 60 - done),
        );
    }
}

/// What was paid for is kept though the reader of the output has gone.
#[test]
fn a_reader_that_goes_leaves_the_journal() {
    let world = World::slow(100);
    world.input(&requests(40));
    let args = [
        "run",
        "in.jsonl",
        "-o",
        "-",
        "--journal",
        "j.db",
        "--max-concurrent",
        "4",
    ];
    let mut child = spawn(world.command(&args));
    drop(child.stdout.take());
    let outcome = world.end(child);
    assert_eq!(outcome.code, Some(141), "{}", outcome.stderr);
    let sent = world.stats().arrivals;
    assert!(sent < 40, "{sent}");
    let again = world.end(spawn(world.command(&args)));
    again.expect(0, 40);
    again.expect_order();
    assert_eq!(world.stats().arrivals, 40);
}

#[test]
fn a_trial_is_the_beginning_of_the_whole() {
    let world = World::slow(0);
    world.run(&requests(9), &["--first", "4"]).expect(0, 4);
    world.run(&requests(9), &[]).expect(0, 9);
    assert_eq!(world.stats().arrivals, 9);
    world.run(&requests(9), &["--first", "2"]).expect(0, 2);
    let whole = world.run(&requests(9), &[]);
    whole.expect(0, 9);
    whole.expect_order();
    assert_eq!(world.stats().arrivals, 9);
}

#[test]
fn a_fresh_run_starts_over() {
    let world = World::slow(0);
    world.run(&requests(5), &[]).expect(0, 5);
    for (runs, option) in [(2, "--fresh"), (3, "--overwrite")] {
        world.run(&requests(5), &[option]).expect(0, 5);
        assert_eq!(world.stats().arrivals, 5 * runs);
    }
    // What was looked at first and found wanting costs nothing.
    let bad = world.run("{oops\n", &["--fresh"]);
    bad.expect(2, 5);
    world.run(&requests(5), &[]).expect(0, 5);
    assert_eq!(world.stats().arrivals, 15);
}

#[test]
fn failed_calls_are_sent_again_when_told() {
    let world = World::slow(0);
    let lines = [
        &request(1, ""),
        &request(2, ",\"stream\":true"),
        &request(3, ""),
    ];
    let lines = lines.map(String::as_str).concat();
    world.run(&lines, &[]).expect(1, 3);
    let again = world.run(&lines, &[]);
    again.expect(1, 3);
    assert_eq!(again.count("invalid_request_error"), 1);
    told(&again, "3 done before, 1 of them failed");
    told(&again, "next: the same command with --retry-failed");
    let sent = world.stats().arrivals;
    let retried = world.run(&lines, &["--retry-failed"]);
    retried.expect(1, 3);
    retried.expect_order();
    told(&retried, "2 done before, 1 to be sent");
    assert_eq!(world.stats().arrivals, sent);
}

#[test]
fn retried_calls_take_their_places() {
    let world = World::new(ApiModel::new(7).failure_rate(0.6));
    let args = ["--max-retries", "0"];
    let first = world.run(&requests(40), &args);
    assert_eq!(first.code, Some(1), "{}", first.stderr);
    let succeeded = first.count("");
    assert!((1..40).contains(&succeeded), "{succeeded}");
    for _ in 0..20 {
        let outcome = world.run(&requests(40), &["--max-retries", "0", "--retry-failed"]);
        outcome.expect_order();
        if outcome.code == Some(0) {
            assert_eq!(outcome.count(""), 40);
            return;
        }
    }
    panic!("it never succeeds");
}

#[test]
fn the_end_of_a_kill_is_the_beginning_of_the_next_run() {
    let world = World::slow(40);
    let args = ["--max-concurrent", "3"];
    kill_in_flight(&world, world.start(&requests(30), &args), 12);
    let before = text(&world);
    let done = before.lines().count();
    assert!((6..12).contains(&done), "{done}");
    let outcome = world.run(&requests(30), &args);
    outcome.expect(0, 30);
    outcome.expect_order();
    assert!(text(&world).starts_with(&before));
    let repeated = world.stats().arrivals - 30;
    assert!(repeated <= 3, "{repeated}");
    told(
        &outcome,
        "in flight when an earlier run died, may have been answered, and ",
    );
}

#[test]
fn results_reach_standard_output_again() {
    let world = World::slow(0);
    world.input(&requests(7));
    let args = ["run", "in.jsonl", "-o", "-", "--journal", "j.db"];
    for _ in 0..2 {
        let outcome = world.end(spawn(world.command(&args)));
        outcome.expect(0, 7);
        outcome.expect_order();
    }
    assert_eq!(world.stats().arrivals, 7);
    world
        .end(spawn(world.command(&["run", "in.jsonl", "-o", "-"])))
        .expect(0, 7);
    assert_eq!(world.stats().arrivals, 14, "without a journal");
}

#[test]
fn a_stream_goes_on_too() {
    let world = World::slow(0);
    let run = |lines: &str| {
        let mut command = world.command(&["run", "-", "-o", "out.jsonl"]);
        command.stdin(Stdio::piped());
        let mut child = spawn(command);
        feed(&mut child, lines);
        world.end(child)
    };
    run(&requests(6)).expect(0, 6);
    let before = text(&world);
    let whole = run(&requests(10));
    whole.expect(0, 10);
    whole.expect_order();
    assert_eq!(world.stats().arrivals, 10);
    assert!(text(&world).starts_with(&before));
    told(&whole, "; 6 done before");
    // Fewer lines are a shorter output; what is cut is in the journal.
    run(&requests(3)).expect(0, 3);
    run(&requests(10)).expect(0, 10);
    assert_eq!(world.stats().arrivals, 10);
    let changed = [request(1, ""), request(2, ",\"n\":2")].concat();
    let refused = run(&changed);
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    told(
        &refused,
        "line 2: the request 'r2' is another one than the one that was answered",
    );
}

#[test]
fn an_output_that_is_gone_is_written_from_the_journal() {
    let world = World::slow(0);
    world.run(&requests(20), &[]).expect(0, 20);
    let before = text(&world);
    fs::remove_file(world.path("out.jsonl")).expect("it is there");
    world.run(&requests(20), &[]).expect(0, 20);
    assert_eq!((world.stats().arrivals, text(&world)), (20, before.clone()));
    // Half a line, as a kill may leave it.
    let half = &before[..before.len() * 2 / 3];
    fs::write(world.path("out.jsonl"), half).expect("room");
    world.run(&requests(20), &[]).expect(0, 20);
    assert_eq!((world.stats().arrivals, text(&world)), (20, before));
}

#[test]
fn the_results_of_others_are_left_alone() {
    let world = World::slow(0);
    world.run(&requests(5), &["--journal", "a.db"]).expect(0, 5);
    fs::rename(world.path("out.jsonl"), world.path("a.jsonl")).expect("a file");
    // Others with the same names, of another API.
    let other = World::slow(0);
    other.run(&requests(5), &["--no-journal"]).expect(0, 5);
    let theirs = text(&other).replace("chatcmpl", "other");
    let unnamed = theirs.replace("\"custom_id\":\"r", "\"custom_id\":\"line-");
    for theirs in [
        theirs,
        unnamed,
        "a novel\n".to_owned(),
        "half a line".to_owned(),
    ] {
        fs::write(world.path("out.jsonl"), &theirs).expect("room");
        let refused = world.run_text(&requests(5), &["--journal", "a.db"]);
        assert_eq!(refused.code, Some(2), "{}", refused.stderr);
        told(
            &refused,
            "the output out.jsonl has results that are not in the journal a.db",
        );
        assert_eq!((text(&world), world.stats().arrivals), (theirs, 5));
    }
    fs::rename(world.path("a.jsonl"), world.path("out.jsonl")).expect("a file");
    world.run(&requests(5), &["--journal", "a.db"]).expect(0, 5);
}

#[test]
fn lines_without_results_have_their_places_too() {
    let world = World::slow(0);
    let lines = [
        &request(1, ""),
        "{oops\n",
        "\n",
        &request(2, ""),
        &request(3, ",\"n\":100"),
        &request(4, ""),
    ]
    .concat();
    let args = ["--on-bad-line", "record", "--limit", "tokens=1000/1s"];
    for _ in 0..3 {
        let outcome = world.run(&lines, &args);
        outcome.expect(1, 5);
        assert_eq!(
            outcome.all("/error/code"),
            ["", "bad_line", "", "never_fits", ""]
        );
        assert_eq!(outcome.all("/id")[2], "request-4");
        assert_eq!(world.stats().arrivals, 3);
    }
}

#[test]
fn results_in_the_order_of_completion_are_continued() {
    let world = World::slow(20);
    let args = ["--order", "completion", "--max-concurrent", "3"];
    let unnamed = |number: u32| format!("{{\"input\":\"{number}\"}}\n");
    let unnamed: String = (0..30).map(unnamed).collect();
    for lines in [requests(30), unnamed] {
        let before = world.stats().arrivals;
        kill_in_flight(&world, world.start(&lines, &args), before + 12);
        let outcome = world.run(&lines, &args);
        outcome.expect(0, 30);
        let mut ids = outcome.all("/id");
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 30);
        assert!(world.stats().arrivals <= before + 33);
        world.run(&lines, &args).expect(0, 30);
        assert!(world.stats().arrivals <= before + 33);
        world.end(spawn(world.command(&["clean", "out.jsonl"])));
        fs::remove_file(world.path("out.jsonl")).expect("an output");
    }
}

#[test]
fn a_second_run_on_a_journal_is_refused_at_once() {
    let world = World::slow(60_000);
    let mut first = world.start(&requests(3), &[]);
    world.wait_for_arrivals(3);
    for args in [&[][..], &["--fresh"]] {
        let started = Instant::now();
        let second = world.run(&requests(3), args);
        let took = started.elapsed();
        assert_eq!(second.code, Some(4), "{}", second.stderr);
        told(&second, &format!("is in use by process {} on ", first.id()));
        assert!(took < Duration::from_secs(1), "{took:?}");
    }
    let clean = world.end(spawn(world.command(&["clean", "out.jsonl"])));
    assert_eq!(clean.code, Some(4), "{}", clean.stderr);
    first.kill().expect("it runs");
    first.wait().expect("it ends");
    assert_eq!(world.stats().arrivals, 3);
    // The lock ends with the process.
    let next = world.start(&requests(3), &[]);
    world.wait_for_arrivals(6);
    signal(&next, "INT");
    signal(&next, "INT");
    std::thread::sleep(Duration::from_millis(100));
    signal(&next, "INT");
    world.end(next).expect(130, 3);
}

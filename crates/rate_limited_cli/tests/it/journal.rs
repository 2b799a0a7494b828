//! The journal of a run: what it knows of changed inputs, what it does when it is damaged, who may read it.

use std::fs;
use std::path::{Path, PathBuf};

use rate_limited_sim::ApiModel;
use tokio::runtime::Runtime;

use crate::logged::Logged;
use crate::resume::{kill_in_flight, told};
use crate::world::{KEY, Outcome, World, command, request, requests, signal, spawn};

const JOURNAL: &str = "out.jsonl.journal";

fn answers(outcome: &Outcome) -> Vec<String> {
    outcome.all("/response/request_id")
}

#[test]
fn edited_requests_are_counted_and_not_mixed() {
    let world = World::slow(0);
    let first = world.run(&requests(10), &[]);
    first.expect(0, 10);
    let edited: String = (1..=12)
        .filter(|number| *number != 10)
        .map(|number| request(number, if number == 4 { ",\"n\":2" } else { "" }))
        .collect();
    let refused = world.run(&edited, &[]);
    refused.expect(2, 10);
    told(
        &refused,
        "8 unchanged, 1 changed, 2 new and 1 gone. Nothing was sent: pass --on-change rerun",
    );
    assert_eq!(world.stats().arrivals, 10);

    let kept = world.run(&edited, &["--on-change", "keep"]);
    kept.expect(0, 11);
    assert_eq!(
        (world.stats().arrivals, &answers(&kept)[..9]),
        (12, &answers(&first)[..9])
    );

    let sent_again = world.run(&edited, &["--on-change", "rerun"]);
    sent_again.expect(0, 11);
    assert_eq!(world.stats().arrivals, 13);
    let (old, new) = (answers(&kept), answers(&sent_again));
    assert_ne!(old[3], new[3]);
    assert_eq!((&old[..3], &old[4..]), (&new[..3], &new[4..]));
    // Now that is what was answered.
    world.run(&edited, &[]).expect(0, 11);
    assert_eq!(world.stats().arrivals, 13);
}

#[test]
fn moved_lines_keep_their_answers() {
    let world = World::slow(0);
    let first = world.run(&requests(10), &[]);
    let mut lines: Vec<String> = (1..=10).map(|number| request(number, "")).collect();
    lines.reverse();
    lines.insert(3, request(11, ""));
    lines.remove(0);
    let outcome = world.run(&lines.concat(), &[]);
    outcome.expect(0, 10);
    assert_eq!(world.stats().arrivals, 11);
    assert_eq!(outcome.all("/custom_id")[..4], ["r9", "r8", "r11", "r7"]);
    assert_eq!(outcome.all("/id")[..2], ["request-1", "request-2"]);
    assert_eq!(answers(&outcome)[0], answers(&first)[8]);
}

#[test]
fn unnamed_requests_are_known_by_their_content() {
    let world = World::slow(0);
    let line = |number: u32| format!("{{\"input\":\"{number}\"}}\n");
    let lines = |numbers: &[u32]| numbers.iter().copied().map(line).collect::<String>();
    world.run(&lines(&[1, 2, 2, 3]), &[]).expect(0, 4);
    let moved = world.run(&lines(&[2, 1, 2, 2, 4]), &[]);
    moved.expect(0, 5);
    assert_eq!(
        moved.all("/custom_id"),
        ["line-1", "line-2", "line-3", "line-4", "line-5"]
    );
    assert_eq!(world.stats().arrivals, 6, "a third 2, and a 4");
    // A file that was only formatted anew is the same.
    let spaced = lines(&[2, 1, 2, 2, 4]).replace(':', " : ");
    world.run(&spaced, &[]).expect(0, 5);
    assert_eq!(world.stats().arrivals, 6);
}

#[test]
fn another_api_is_another_request() {
    let world = World::slow(0);
    world.run(&requests(3), &[]).expect(0, 3);
    let other = World::slow(0);
    other.input(&requests(3));
    for name in ["out.jsonl", JOURNAL, "out.jsonl.journal-count"] {
        fs::copy(world.path(name), other.path(name)).expect("room");
    }
    let refused = other.run(&requests(3), &[]);
    refused.expect(2, 3);
    told(&refused, "0 unchanged, 3 changed, 0 new and 0 gone");
    other
        .run(&requests(3), &["--on-change", "keep"])
        .expect(0, 3);
    assert_eq!(other.stats().arrivals, 0);
}

#[test]
fn calls_in_flight_at_a_kill_are_named() {
    // With a limit told the first call does not go alone.
    let args = ["--max-concurrent", "3", "--rpm", "6000"];
    for (on_unknown, code, sent) in [("report", 2, 3), ("skip", 1, 6), ("retry", 0, 9)] {
        let world = World::slow(300);
        kill_in_flight(&world, world.start(&requests(6), &args), 3);
        let outcome = world.run_text(
            &requests(6),
            &[&args[..], &["--on-unknown", on_unknown]].concat(),
        );
        assert_eq!(outcome.code, Some(code), "{}", outcome.stderr);
        assert_eq!(world.stats().arrivals, sent, "{}", outcome.stderr);
        let names = ["report", "skip", "retry"].map(|_| "r1, r2, r3");
        told(&outcome, names[0]);
        if on_unknown != "skip" {
            continue;
        }
        told(&outcome, "next: the same command with --on-unknown retry");
        let skipped = world.run(&requests(6), &["--on-unknown", "skip"]);
        skipped.expect(1, 6);
        assert_eq!(skipped.count("unknown"), 3);
        assert_eq!(skipped.all("/error/attempts")[0], "1");
        world.run(&requests(6), &[]).expect(0, 6);
        assert_eq!(world.stats().arrivals, 9);
    }
}

#[test]
fn what_the_second_signal_cuts_off_is_unknown() {
    let world = World::slow(60_000);
    let child = world.start(&requests(4), &["--max-concurrent", "2"]);
    world.wait_for_arrivals(2);
    signal(&child, "INT");
    std::thread::sleep(std::time::Duration::from_millis(100));
    signal(&child, "INT");
    world.end(child).expect(130, 4);
    let reported = world.run(&requests(4), &["--on-unknown", "report"]);
    reported.expect(2, 4);
    told(&reported, "2 calls were in flight when an earlier run died");
    told(
        &reported,
        ": r1, r2. Nothing was sent: pass --on-unknown retry",
    );
}

/// Changes a file in place.
fn edit(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).expect("a file");
    change(&mut bytes);
    fs::write(path, bytes).expect("room");
}

#[test]
fn what_is_no_journal_is_left_alone() {
    let world = World::slow(0);
    world.run(&requests(3), &[]).expect(0, 3);
    let path = world.path(JOURNAL);
    let good = fs::read(&path).expect("a journal");
    // The format stands at byte 60 of the header.
    edit(&path, |bytes| bytes[63] = 99);
    let newer = world.run(&requests(4), &[]);
    newer.expect(4, 3);
    told(&newer, "has format 99, and this version knows");
    // A count beside it would say that there was a journal.
    fs::remove_file(world.path("out.jsonl.journal-count")).expect("a count");
    for foreign in [&b"{\"a\":1}\n"[..], &[0; 4_096]] {
        fs::write(&path, foreign).expect("room");
        let refused = world.run(&requests(4), &[]);
        refused.expect(4, 3);
        told(&refused, "is no journal of rate_limited");
        assert_eq!(fs::read(&path).expect("still there"), foreign);
    }
    fs::write(&path, good).expect("room");
    world.run(&requests(4), &[]).expect(0, 4);
    assert_eq!(world.stats().arrivals, 4);
}

#[test]
fn a_damaged_journal_is_told_and_what_is_good_is_kept() {
    let world = World::slow(0);
    let lines = requests(200);
    world.run(&lines, &[]).expect(0, 200);
    let before = fs::read_to_string(world.path("out.jsonl")).expect("an output");
    edit(&world.path(JOURNAL), |bytes| {
        // A result in the middle: elsewhere there may be nothing that is missed.
        let word = b"\"choices\"";
        let results: Vec<_> = (0..bytes.len() - 64)
            .filter(|at| bytes[*at..].starts_with(word))
            .collect();
        let middle = results[results.len() / 2];
        for byte in &mut bytes[middle..middle + 64] {
            *byte ^= 0x55;
        }
    });
    let status = |args: &[&str]| {
        let all = [&["status", "out.jsonl"], args].concat();
        world.run_command(&all)
    };
    let verified = status(&["--verify"]);
    assert_eq!(verified.code, Some(4), "{}", verified.stderr);
    told(&verified, "is damaged: ");
    told(&verified, ": pass --repair");
    let repaired = world.run(&lines, &["--repair"]);
    repaired.expect(0, 200);
    repaired.expect_order();
    told(
        &repaired,
        " results were kept; the damaged journal is out.jsonl.journal.damaged-1 now",
    );
    let sent = world.stats().arrivals - 200;
    assert!((1..60).contains(&sent), "{sent}");
    let lines_before: Vec<_> = before.lines().collect();
    let after = fs::read_to_string(world.path("out.jsonl")).expect("an output");
    let same = after.lines().zip(lines_before).filter(|(a, b)| a == b);
    assert!(same.count() as u64 >= 200 - sent);
    assert_eq!(status(&["--verify"]).code, Some(0));
    let whole = world.run(&lines, &["--repair"]);
    whole.expect(0, 200);
    told(&whole, "the journal out.jsonl.journal is whole");
}

#[test]
fn a_journal_is_neither_the_input_nor_the_output() {
    let world = World::slow(0);
    world.input(&requests(2));
    for journal in ["in.jsonl", "out.jsonl", "./in.jsonl"] {
        let args = ["run", "in.jsonl", "-o", "out.jsonl", "--journal", journal];
        let refused = world.run_command(&args);
        assert_eq!(refused.code, Some(2), "{}", refused.stderr);
        told(&refused, "would be the same file as ");
    }
    let missing = ["run", "in.jsonl", "-o", "out.jsonl", "--journal", "no/j.db"];
    let refused = world.run_command(&missing);
    assert_eq!(refused.code, Some(4), "{}", refused.stderr);
    assert_eq!(fs::read_dir(world.path("")).expect("a folder").count(), 1);
}

#[test]
fn the_status_tells_how_far_a_run_came() {
    let world = World::slow(300);
    let none = world.run_command(&["status", "out.jsonl"]);
    assert_eq!(none.code, Some(2), "{}", none.stderr);
    told(
        &none,
        "out.jsonl is no journal, and there is no out.jsonl.journal",
    );

    let args = ["--max-concurrent", "2", "--rpm", "5k"];
    let mut child = world.start(&requests(6), &args);
    world.wait_for_arrivals(4);
    let running = world.run_command(&["status", "out.jsonl"]);
    assert_eq!(running.code, Some(0), "{}", running.stderr);
    let holder = format!("in use by process {} on ", child.id());
    for text in [
        "2 of 6 succeeded, 0 failed",
        "2 begun and not over, 2 of them in flight",
        &holder,
    ] {
        assert!(running.stdout.contains(text), "{text}: {}", running.stdout);
    }
    child.kill().expect("it runs");
    child.wait().expect("it ends");
    let dead = world.run_command(&["status", JOURNAL, "--verify"]);
    assert_eq!(dead.code, Some(0), "{}", dead.stderr);
    for text in [
        "/in.jsonl\n",
        "/out.jsonl\n",
        "api: http://127.0.0.1:",
        "limits: requests=5000/1m",
        "2 of 6 succeeded, 0 failed",
        "2 of them unknown: in flight when the run died",
        "unknown: r3, r4\n",
        "not in use",
        "verified: 2 results are as written",
    ] {
        assert!(dead.stdout.contains(text), "{text}: {}", dead.stdout);
    }
    // A look changes nothing.
    let outcome = world.run(&requests(6), &args);
    outcome.expect(0, 6);
    told(&outcome, "2 calls were in flight when an earlier run died");
}

#[test]
fn a_clean_removes_the_journal_and_nothing_else() {
    let world = World::slow(0);
    world.run(&requests(3), &[]).expect(0, 3);
    let clean = world.run_command(&["clean", "out.jsonl"]);
    assert_eq!(clean.code, Some(0), "{}", clean.stderr);
    told(&clean, "removed out.jsonl.journal\n");
    let mut names: Vec<_> = fs::read_dir(world.path(""))
        .expect("a folder")
        .map(|entry| entry.expect("a file").file_name())
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["in.jsonl", "out.jsonl"]);
    let again = world.run_command(&["clean", "out.jsonl"]);
    assert_eq!(again.code, Some(2), "{}", again.stderr);
    fs::write(
        world.path("x.journal"),
        "a novel about a journal, longer than a header. ".repeat(9),
    )
    .expect("room");
    let foreign = world.run_command(&["clean", "x.journal"]);
    assert_eq!(foreign.code, Some(4), "{}", foreign.stderr);
    assert!(world.path("x.journal").exists());
}

/// What is in flight when the journal goes is still answered, written and told.
#[test]
fn a_journal_that_is_removed_stops_the_run() {
    let world = World::slow(200);
    world.input(&requests(60));
    let args = [
        "run",
        "in.jsonl",
        "-o",
        "out.jsonl",
        "--max-concurrent",
        "4",
    ];
    let mut command = world.command(&args);
    // The answers that no journal takes go there.
    command.env("TMPDIR", world.path(""));
    let child = spawn(command);
    world.wait_for_arrivals(8);
    fs::remove_file(world.path(JOURNAL)).expect("a journal");
    let outcome = world.end(child);
    outcome.expect(4, 60);
    outcome.expect_order();
    told(
        &outcome,
        "failed to write the journal out.jsonl.journal: it was moved or removed",
    );
    told(
        &outcome,
        "next: the same command again goes on where it stopped",
    );
    let sent = world.stats().arrivals as usize;
    assert!((8..16).contains(&sent), "{sent}");
    assert_eq!(outcome.count(""), sent, "each that was sent has its answer");
    assert_eq!(outcome.count("not_run"), 60 - sent);
    let messages = outcome.all("/error/message");
    assert_eq!(
        messages[59],
        "the journal could not be used: the run ended before the request was sent"
    );
}

#[test]
fn commands_that_look_at_a_journal_leave_its_folder_as_it_was() {
    let world = World::slow(0);
    world.run(&requests(5), &[]).expect(0, 5);
    let names = || {
        let entries = fs::read_dir(world.path("")).expect("readable");
        let names = entries.map(|entry| entry.expect("readable").file_name());
        names.collect::<std::collections::BTreeSet<_>>()
    };
    let before = names();
    for args in [
        &["status", "out.jsonl"][..],
        &["status", "out.jsonl", "--verify"],
        &["report", "out.jsonl"],
        &["plan", "in.jsonl", "-o", "out.jsonl", "--rpm", "60"],
    ] {
        let outcome = world.run_command(args);
        assert_eq!(outcome.code, Some(0), "{args:?}: {}", outcome.stderr);
        assert_eq!(names(), before, "{args:?}");
    }
}

/// A key in the environment, in a URL, in answers and in errors is in no file.
#[test]
fn no_file_has_a_key() {
    let runtime = Runtime::new().expect("a runtime");
    let model = ApiModel::new(7).failure_rate(0.4);
    let server = runtime.block_on(Logged::start(model, true));
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    let line = |number: u32| format!("{{\"body\":{{\"user\":\"r{number}\",\"messages\":[]}}}}\n");
    let lines: String = (0..40).map(line).collect();
    fs::write(path("in.jsonl"), lines).expect("room");
    let address = format!("{}?key={KEY}", server.base_url());
    let run = |args: &[&str]| {
        let mut command = command(folder.path(), args);
        command.env("RATE_LIMITED_BASE_URL", &address);
        let output = command.output().expect("it runs");
        let [stdout, stderr] = [output.stdout, output.stderr];
        for text in [&stdout, &stderr] {
            assert!(!has_key(text), "{}", String::from_utf8_lossy(text));
        }
        output.status.code()
    };
    let args = ["run", "in.jsonl", "-o", "out.jsonl", "--max-retries", "1"];
    assert_eq!(run(&args), Some(1));
    assert_eq!(run(&["status", "out.jsonl", "--verify"]), Some(0));
    let text = fs::read_to_string(path("out.jsonl")).expect("an output");
    assert!(text.contains("an answer to") && text.contains("not now"));
    let files: Vec<PathBuf> = fs::read_dir(folder.path())
        .expect("a folder")
        .map(|entry| entry.expect("a file").path())
        .collect();
    assert!(files.len() >= 4, "{files:?}");
    for file in files {
        let bytes = fs::read(&file).expect("a file");
        assert!(!has_key(&bytes), "{}", file.display());
    }
}

fn has_key(bytes: &[u8]) -> bool {
    bytes.windows(6).any(|part| part == b"CANARY")
}

//! What is refused before anything is sent, and what stops a run early.

use std::process::Stdio;

use rate_limited_sim::ApiModel;

use crate::world::{World, command, request, requests, spawn};

/// Bad usage ends with 2 and one sentence that names the value and the next step.
#[track_caller]
fn check(args: &[&str], told: &[&str]) {
    let world = World::slow(0);
    world.input(&requests(2));
    std::fs::write(world.path("empty.jsonl"), "\n \n").expect("room");
    let outcome = world.end(spawn(world.command(args)));
    assert_eq!(outcome.code, Some(2), "{args:?}: {}", outcome.stderr);
    for text in told {
        assert!(
            outcome.stderr.contains(text),
            "{args:?}: {}",
            outcome.stderr
        );
    }
    assert_eq!(world.stats().arrivals, 0);
    let made = std::fs::read_dir(world.path("")).expect("a folder").count();
    assert_eq!(made, 2, "{args:?} left a file behind");
}

#[test]
fn bad_usage_is_told_with_its_remedy() {
    let run = |more: &[&'static str]| [&["run", "in.jsonl", "-o", "out.jsonl"], more].concat();
    check(&[], &["Usage"]);
    check(&["run"], &["INPUT"]);
    check(
        &["run", "in.jsonl"],
        &["where the results go", "-o results.jsonl"],
    );
    check(
        &["run", "none.jsonl", "-o", "x"],
        &["none.jsonl", "check its name"],
    );
    check(&["run", ".", "-o", "x"], &["input . is a folder: name"]);
    check(&["run", "in.jsonl", "-o", ""], &["-o results.jsonl"]);
    check(
        &["run", "empty.jsonl", "-o", "x"],
        &["empty.jsonl has no requests", "\"messages\""],
    );
    check(&["run", "in.jsonl", "-o", "in.jsonl"], &["same file"]);
    check(
        &["run", "in.jsonl", "-o", "in.jsonl", "--fresh"],
        &["same file"],
    );
    check(
        &["run", "in.jsonl", "-o", "no/x.jsonl"],
        &["folder no", "create it"],
    );
    check(
        &["run", "in.jsonl", "-o", "empty.jsonl"],
        &["exists", "no journal to go on with", "--fresh"],
    );
    check(
        &run(&["--limit", "images=5/1m"]),
        &["'images'", "requests and tokens"],
    );
    check(&run(&["--limit", "tokens=0/1m"]), &["must be above 0"]);
    check(&run(&["--limit", "tokens=9/0s"]), &["too short"]);
    check(
        &run(&["--limit", "requests=0.5/1s"]),
        &["requests=0.5/1s", "write requests=1/2s"],
    );
    check(
        &run(&["--tpm", "5"]),
        &["2 requests are above the limit tokens=5/1m", "(line 1, 2)"],
    );
    check(
        &run(&["--simulate", "--base-url", "http://127.0.0.1:1"]),
        &["--simulate", "cannot be used with"],
    );
    check(
        &run(&["--simulate", "--key-file", "empty.jsonl"]),
        &["cannot be used with"],
    );
    check(&run(&["--rpm", "-5"]), &["'-5'", "number above 0"]);
    check(&run(&["--tpm", "NaN"]), &["'NaN'"]);
    check(
        &run(&["--rpm", "5", "--limit", "requests=6/1m"]),
        &["--limit requests=6/1m and --rpm 5 are for one window: keep one of them"],
    );
    check(
        &run(&["--limit", "tokens=1e30/1m"]),
        &["'1e30' is too large or wrongly written"],
    );
}

#[test]
fn bad_values_are_told_with_what_is_allowed() {
    let run = |more: &[&'static str]| [&["run", "in.jsonl", "-o", "out.jsonl"], more].concat();
    check(&run(&["--max-concurrent", "0"]), &["nothing runs"]);
    check(&run(&["--timeout", "0s"]), &["no time"]);
    check(
        &run(&["--max-concurrent", "99999999999"]),
        &["from 1 to 4,294,967,295"],
    );
    check(&run(&["--first", "0"]), &["0 would run nothing"]);
    check(&run(&["--first", "-1"]), &["'-1' is not a whole number"]);
    check(
        &run(&["--max-retries", "-1"]),
        &["'-1' is not a whole number from 0 to 65,535"],
    );
    check(
        &["simulate", "--seed", "-1"],
        &["'-1' is not a whole number"],
    );
    check(
        &run(&["--base-url", "localhost:8080"]),
        &["'localhost:8080' of --base-url is not usable", "http://"],
    );
    check(
        &run(&["--base-url", "me:sk-CANARY-1@host"]),
        &["base URL of --base-url is not usable"],
    );
    check(&run(&["--key-env", "NO_SUCH_KEY"]), &["NO_SUCH_KEY"]);
    check(&run(&["--key-env", ""]), &["'' names no variable"]);
    check(
        &run(&["--key-file", "none"]),
        &["key file none", "give another --key-file"],
    );
    check(
        &run(&["--key-file", "in.jsonl"]),
        &["there is white space within the key"],
    );
    check(
        &run(&["--key-file", "empty.jsonl"]),
        &["empty.jsonl", "it is empty"],
    );
    #[cfg(unix)]
    check(
        &run(&["--key-file", "/dev/zero"]),
        &["/dev/zero", "it is longer than 16 kB"],
    );
    check(
        &run(&["--max-answer", "16"]),
        &["'16' has no unit: write for example 16MiB"],
    );
    check(&run(&["--endpoint", "http://x/y"]), &["no path"]);
    check(&run(&["--key", "sk-CANARY-1"]), &["--key"]);
}

#[test]
fn a_bad_base_url_names_its_variable() {
    let world = World::slow(0);
    world.input(&requests(1));
    let mut command = world.command(&["run", "in.jsonl", "-o", "out.jsonl"]);
    command.env("RATE_LIMITED_BASE_URL", "ftp://host?k=sk-CANARY-1");
    let outcome = world.end(spawn(command));
    outcome.expect(2, 0);
    let told = "the base URL 'ftp://host' of RATE_LIMITED_BASE_URL is not usable: ";
    assert!(outcome.stderr.contains(told), "{}", outcome.stderr);
}

#[test]
fn the_help_says_what_ends_a_run() {
    let output = command(".".as_ref(), &["run", "--help"]).output();
    let help = String::from_utf8(output.expect("it runs").stdout).expect("text");
    let words = help.split_whitespace().collect::<Vec<_>>().join(" ");
    for told in [
        "A run with nothing but failures and refusals stops after 30 minutes",
        "Nor do failures during an outage",
        "calls in flight may then go on for --grace",
        "an empty standard input is no error",
    ] {
        assert!(words.contains(told), "{told}: {words}");
    }
}

#[test]
fn the_default_api_needs_a_key() {
    let world = World::slow(0);
    world.input(&requests(1));
    let mut command = command(&world.path(""), &["run", "in.jsonl", "-o", "out.jsonl"]);
    command.env_remove("OPENAI_API_KEY");
    let outcome = world.end(spawn(command));
    outcome.expect(2, 0);
    assert!(
        outcome.stderr.contains("set OPENAI_API_KEY"),
        "{}",
        outcome.stderr
    );
}

#[test]
fn a_bad_key_costs_a_handful_of_attempts() {
    let world = World::new(ApiModel::new(7).status(401));
    let outcome = world.run(&requests(3_000), &[]);
    outcome.expect(3, 3_000);
    outcome.expect_order();
    assert!(world.stats().arrivals <= 10, "{}", world.stats().arrivals);
    assert!(
        outcome.stderr.contains("invalid_api_key"),
        "{}",
        outcome.stderr
    );
    let sent = usize::try_from(world.stats().arrivals).expect("few");
    assert_eq!(
        outcome.count("invalid_api_key"),
        sent,
        "each that was sent has its answer"
    );
    assert_eq!(outcome.count("not_run"), 3_000 - sent);
    let refused = outcome.all("/response/status_code");
    assert_eq!(
        refused.iter().filter(|status| *status == "401").count(),
        sent
    );
}

#[test]
fn the_deadline_ends_a_run() {
    let args = ["--deadline", "1s", "--max-concurrent", "2"];
    let outcome = World::slow(400).run(&requests(40), &args);
    outcome.expect(3, 40);
    outcome.expect_order();
    let (done, not_run) = (outcome.count(""), outcome.count("not_run"));
    assert!(done >= 4 && not_run > 20, "{done} {not_run}");
    assert_eq!(done + not_run, 40);
    assert!(
        outcome.stderr.contains("at the deadline"),
        "{}",
        outcome.stderr
    );
}

#[test]
fn standard_input_may_insist_on_good_lines() {
    let world = World::slow(0);
    let mut command = world.command(&["run", "-", "--on-bad-line", "fail"]);
    command.stdin(Stdio::piped());
    let mut child = spawn(command);
    crate::world::feed(
        &mut child,
        &[&request(1, ""), "{oops\n", &request(2, "")].concat(),
    );
    let outcome = world.end(child);
    assert!(matches!(outcome.code, Some(2 | 3)), "{}", outcome.stderr);
    assert!(
        outcome.stderr.contains("line 2, column 2"),
        "{}",
        outcome.stderr
    );
    assert_eq!(outcome.lines.len(), 1);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_stops_the_run() {
    let world = World::slow(0);
    world.input(&requests(500));
    let args = [
        "run",
        "in.jsonl",
        "-o",
        "/dev/full",
        "--max-concurrent",
        "2",
    ];
    let outcome = world.end(spawn(world.command(&args)));
    assert_eq!(outcome.code, Some(4), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("/dev/full"), "{}", outcome.stderr);
    assert!(
        world.stats().arrivals < 100,
        "it goes on paying: {:?}",
        world.stats()
    );
}

#[test]
fn a_reader_that_goes_ends_the_run_quietly() {
    let world = World::slow(20);
    world.input(&requests(2_000));
    let mut child = spawn(world.command(&["run", "in.jsonl", "-o", "-", "--max-concurrent", "4"]));
    drop(child.stdout.take());
    let outcome = world.end(child);
    assert_eq!(outcome.code, Some(141), "{}", outcome.stderr);
    assert!(!outcome.stderr.contains("error"), "{}", outcome.stderr);
    assert!(world.stats().arrivals < 100, "{:?}", world.stats());
}

#[cfg(unix)]
#[test]
fn a_closed_standard_error_changes_nothing() {
    let world = World::slow(0);
    world.input(&requests(5));
    let mut command = world.command(&[]);
    let program = command.get_program().to_owned();
    let script = "exec \"$0\" run in.jsonl -o out.jsonl 2>&-";
    let mut shell = std::process::Command::new("sh");
    shell
        .args(["-c", script])
        .arg(program)
        .current_dir(world.path(""));
    for (name, value) in command.get_envs() {
        value.map(|value| shell.env(name, value));
    }
    shell.stdout(Stdio::piped()).stdin(Stdio::null());
    command = shell;
    world.end(spawn(command)).expect(0, 5);
}

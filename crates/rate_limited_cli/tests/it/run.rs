use std::process::Stdio;
use std::time::Duration;

use rate_limited_sim::{ApiModel, Charged, Latency, Limit};

use crate::world::{World, feed, request, requests, spawn};

#[test]
fn results_come_in_order_and_no_limit_is_passed() {
    let window = Duration::from_secs(2);
    let model = ApiModel::new(7)
        .limit(Limit::requests(20, window))
        .limit(Limit::tokens(1_500, window).charged(Charged::Usage))
        .latency(Latency::Uniform {
            min: Duration::ZERO,
            max: Duration::from_millis(300),
        });
    let world = World::new(model);
    let limits = ["--limit", "requests=20/2s", "--limit", "tokens=1500/2s"];
    let outcome = world.run(
        &requests(50),
        &[&limits[..], &["--max-concurrent", "8"]].concat(),
    );
    outcome.expect(0, 50);
    outcome.expect_order();
    assert!(
        outcome
            .all("/response/status_code")
            .iter()
            .all(|status| status == "200")
    );
    assert!(outcome.all("/error").iter().all(|error| error == "null"));
    let stats = world.stats();
    assert_eq!(
        (stats.arrivals, stats.refusals),
        (50, 0),
        "{}",
        outcome.stderr
    );
    assert!(
        outcome.stderr.contains("50 succeeded, 0 failed"),
        "{}",
        outcome.stderr
    );
    assert!(
        outcome.stderr.contains("requests bound the run"),
        "{}",
        outcome.stderr
    );
}

#[test]
fn what_passes_is_tried_again() {
    let world = World::new(ApiModel::new(7).failure_rate(0.3));
    let outcome = world.run(&requests(12), &[]);
    outcome.expect(0, 12);
    assert!(world.stats().failures > 0);
}

#[test]
fn a_call_that_is_wrong_fails_alone_and_at_once() {
    let lines = [
        request(1, ""),
        request(2, ",\"stream\":true"),
        request(3, ""),
    ]
    .concat();
    let outcome = World::slow(0).run(&lines, &[]);
    outcome.expect(1, 3);
    outcome.expect_order();
    assert_eq!(outcome.all("/response/status_code"), ["200", "400", "200"]);
    assert_eq!(outcome.all("/error/class")[1], "permanent");
    assert_eq!(outcome.all("/error/attempts")[1], "1");
    assert!(
        outcome
            .stderr
            .contains("next: the same command with --retry-failed"),
        "{}",
        outcome.stderr
    );
}

#[test]
fn a_call_that_never_fits_is_told_with_its_numbers() {
    let lines = [request(1, ""), request(2, ",\"n\":100"), request(3, "")].concat();
    let outcome = World::slow(0).run(&lines, &["--limit", "tokens=1000/1s"]);
    outcome.expect(1, 3);
    assert_eq!(outcome.all("/error/code")[1], "never_fits");
    let message = &outcome.all("/error/message")[1];
    assert!(
        message.contains("it costs 5014 of `tokens`, whose quota is 1000"),
        "{message}"
    );
}

#[test]
fn one_resource_may_have_several_windows() {
    let limits = [
        "--limit",
        "tokens=1000/1s",
        "--limit",
        "tokens=1001/1d",
        "--rpm",
        "5k",
    ];
    let lines = [request(1, ""), request(2, ",\"n\":100")].concat();
    let outcome = World::slow(0).run(&lines, &limits);
    outcome.expect(1, 2);
    let message = &outcome.all("/error/message")[1];
    assert!(message.contains("of `tokens/1s`"), "{message}");
}

#[test]
fn bad_lines_are_recorded_left_out_or_refused() {
    let lines = [&request(1, ""), "{oops\n", "\n", &request(2, "")].concat();
    let world = World::slow(0);
    let failed = world.run(&lines, &[]);
    failed.expect(2, 0);
    assert!(
        failed.stderr.contains("line 2, column 2"),
        "{}",
        failed.stderr
    );
    assert!(!world.path("out.jsonl").exists() && world.stats().arrivals == 0);

    let recorded = world.run(&lines, &["--on-bad-line", "record"]);
    recorded.expect(1, 3);
    assert_eq!(recorded.all("/custom_id"), ["r1", "line-2", "r2"]);
    assert_eq!(recorded.all("/error/code"), ["", "bad_line", ""]);

    let skipped = world.run(&lines, &["--on-bad-line", "skip", "--fresh"]);
    skipped.expect(0, 2);
    assert!(
        skipped.stderr.contains("1 bad line left out"),
        "{}",
        skipped.stderr
    );
}

#[test]
fn a_trial_runs_the_first_ones_only() {
    let world = World::slow(0);
    world.run(&requests(9), &["--first", "4"]).expect(0, 4);
    assert_eq!(world.stats().arrivals, 4);
}

#[test]
fn standard_input_goes_to_standard_output_line_by_line() {
    let world = World::slow(0);
    let mut command = world.command(&["run", "-"]);
    command.stdin(Stdio::piped());
    let mut child = spawn(command);
    feed(
        &mut child,
        &[&request(1, ""), "{oops\n", &request(2, "")].concat(),
    );
    let outcome = world.end(child);
    outcome.expect(1, 3);
    assert_eq!(outcome.all("/custom_id"), ["r1", "line-2", "r2"]);
    assert!(
        outcome.stderr.contains("2 succeeded, 1 failed"),
        "{}",
        outcome.stderr
    );
}

#[test]
fn bare_bodies_go_where_their_shape_says() {
    let lines = "{\"input\":\"cat\"}\n{\"messages\":[{\"role\":\"user\",\"content\":\"cat\"}]}\n";
    let outcome = World::slow(0).run(lines, &[]);
    outcome.expect(0, 2);
    assert_eq!(
        outcome.all("/response/body/object"),
        ["list", "chat.completion"]
    );
}

#[test]
fn as_they_complete_they_can_be_written_too() {
    let world = World::slow(0);
    let outcome = world.run(
        &requests(20),
        &["--order", "completion", "--schedule", "in-order"],
    );
    outcome.expect(0, 20);
    let mut ids = outcome.all("/custom_id");
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 20);
}

#[test]
fn a_slow_answer_is_given_up() {
    let args = ["--timeout", "200ms", "--max-retries", "0"];
    let outcome = World::slow(20_000).run(&requests(3), &args);
    outcome.expect(1, 3);
    assert_eq!(outcome.count("timeout"), 3);
}

#[test]
fn quiet_is_quiet() {
    let outcome = World::slow(0).run(&requests(3), &["--quiet"]);
    outcome.expect(0, 3);
    assert_eq!(outcome.stderr, "");
}

#[test]
fn where_slots_bind_the_summary_says_so() {
    let args = ["--max-concurrent", "2", "--rpm", "6000"];
    let outcome = World::slow(500).run(&requests(16), &args);
    outcome.expect(0, 16);
    let told = "2 in flight binds; the limits would allow about 5";
    assert!(outcome.stderr.contains(told), "{}", outcome.stderr);
}

/// What calls are called never leads to a file.
#[test]
fn names_of_calls_are_never_paths() {
    let world = World::slow(0);
    let names = [
        "../up",
        "/tmp/rate-limited-test",
        "a/b",
        ".",
        "CON",
        "a\\u0000b",
        "\\u202egpj.exe",
    ];
    let line = |name: &&str| {
        format!("{{\"custom_id\":\"{name}\",\"body\":{{\"messages\":[],\"max_tokens\":5}}}}\n")
    };
    let lines: String = names.iter().map(line).collect();
    let outcome = world.run(&lines, &["--report", "told.html"]);
    outcome.expect(0, names.len());
    let written =
        |name: &str| serde_json::from_str::<String>(&format!("\"{name}\"")).expect("text");
    assert_eq!(outcome.all("/custom_id"), names.map(written));
    let files = std::fs::read_dir(world.path("")).expect("a folder");
    for file in files {
        let name = file.expect("a file").file_name();
        let name = name.to_string_lossy();
        let is_ours = ["in.", "out.", "told."]
            .iter()
            .any(|start| name.starts_with(start));
        assert!(is_ours, "{name}");
    }
    for outside in ["../up", "/tmp/rate-limited-test"] {
        assert!(!world.path(outside).exists(), "{outside}");
    }
}

use std::io::{BufRead, BufReader};
use std::process::Child;

use crate::world::{World, command, request, requests, signal, spawn};

#[test]
fn a_simulation_needs_nothing_and_replaces_its_own_results() {
    let world = World::slow(0);
    world.input(&requests(12));
    for _ in 0..2 {
        let mut command = command(&world.path(""), &["run", "in.jsonl", "--simulate"]);
        command.env_remove("OPENAI_API_KEY");
        let outcome = world.end(spawn(command));
        assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
        assert!(
            outcome.stderr.contains("results: in.simulated.jsonl"),
            "{}",
            outcome.stderr
        );
        assert!(
            outcome.stderr.contains("0 were refused"),
            "{}",
            outcome.stderr
        );
    }
    let results = std::fs::read_to_string(world.path("in.simulated.jsonl")).expect("results");
    assert_eq!(results.lines().count(), 12);
    assert_eq!(world.stats().arrivals, 0);
}

#[test]
fn a_simulation_has_the_limits_that_were_told() {
    let world = World::slow(0);
    let outcome = world.run(&requests(3), &["--simulate", "--rpm", "1k", "--tpm", "9k"]);
    outcome.expect(0, 3);
    assert!(
        outcome
            .stderr
            .contains("limits: requests=1000/1m, tokens=9000/1m")
    );
}

#[cfg(unix)]
#[test]
fn the_simulated_api_serves_until_it_is_stopped() {
    let world = World::slow(0);
    let args = [
        "simulate",
        "--port",
        "0",
        "--latency",
        "1ms-2ms",
        "--limit",
        "requests=2/1m",
    ];
    let (server, url) = serving(&world, &args);
    let outcome = world.run(&request(1, ""), &["--base-url", &url]);
    outcome.expect(0, 1);
    signal(&server, "INT");
    let served = world.end(server);
    assert_eq!(served.code, Some(0));
    assert!(
        served.stderr.contains("1 request came, 0 were refused"),
        "{}",
        served.stderr
    );
    assert!(
        served.stderr.contains("curl http://127.0.0.1:"),
        "{}",
        served.stderr
    );
}

#[cfg(unix)]
#[test]
fn it_speaks_like_the_api_that_is_named() {
    let world = World::slow(0);
    let limits = [
        "--limit",
        "requests=4/1s",
        "--limit",
        "output_tokens=400/1s",
    ];
    let simulate = [
        "simulate",
        "--port",
        "0",
        "--latency",
        "1ms",
        "--api",
        "anthropic",
    ];
    let (server, url) = serving(&world, &[&simulate[..], &limits].concat());
    let run = ["--api", "anthropic", "--base-url", &url];
    let outcome = world.run(&requests(12), &[&run[..], &limits].concat());
    outcome.expect(0, 12);
    outcome.expect_order();
    let kinds = outcome.all("/response/body/type");
    assert!(kinds.iter().all(|kind| kind == "message"), "{kinds:?}");
    signal(&server, "INT");
    let served = world.end(server);
    let told = "limits: requests=4/1s, output_tokens=400/1s";
    assert!(served.stderr.contains(told), "{}", served.stderr);
    assert!(
        served.stderr.contains("12 requests came, 0 were"),
        "{}",
        served.stderr
    );
}

/// A 403 that means wait, seconds since 1970, and a run that is cut off and goes on.
#[cfg(unix)]
#[test]
fn what_only_reads_is_got() {
    let world = World::slow(0);
    let simulate = [
        "simulate",
        "--port",
        "0",
        "--latency",
        "1ms",
        "--api",
        "github",
    ];
    let limit = ["--limit", "primary=8/1s", "--failure-rate", "0.1"];
    let (server, url) = serving(&world, &[&simulate[..], &limit].concat());
    let line = |n| {
        format!(r#"{{"custom_id":"r{n}","method":"GET","url":"/repos/o/r/issues?page={n}"}}"#)
            + "\n"
    };
    let lines: String = (1..=20).map(line).collect();
    // The limit is told too high, so that it is the server who ends each window.
    let run = [
        "--api",
        "github",
        "--base-url",
        &url,
        "--limit",
        "primary=12/1s",
    ];
    let first = world.run(&lines, &[&run[..], &["--first", "5"]].concat());
    first.expect(0, 5);
    let outcome = world.run(&lines, &run);
    outcome.expect(0, 20);
    outcome.expect_order();
    assert_eq!(outcome.all("/response/body/url"), ["/repos/o/r/issues"; 20]);
    signal(&server, "INT");
    let served = world.end(server);
    assert!(
        !served.stderr.contains(" 0 were refused"),
        "{}",
        served.stderr
    );
}

#[test]
fn what_is_not_simulated_is_told() {
    let world = World::slow(0);
    let said = |args: &[&str]| {
        let outcome = world.run_command(&[&["simulate", "--port", "0"], args].concat());
        assert_eq!(outcome.code, Some(2), "{}", outcome.stderr);
        outcome.stderr
    };
    let other = said(&["--api", "gemini", "--limit", "tokens=9/1s"]);
    let told = "the simulated gemini has requests, input_tokens, requests_per_day";
    assert!(other.contains(told), "{other}");
    let none = said(&["--api", "vllm", "--limit", "tokens=9/1s"]);
    assert!(none.contains("the simulated vllm has no limits"), "{none}");
    let unknown = said(&["--api", "gemini2"]);
    assert!(unknown.contains("no API named \"gemini2\""), "{unknown}");
}

/// The simulated API by these arguments, and its address.
#[cfg(unix)]
fn serving(world: &World, args: &[&str]) -> (Child, String) {
    let mut server = spawn(command(&world.path(""), args));
    let mut url = String::new();
    let mut stdout = BufReader::new(server.stdout.take().expect("a pipe"));
    stdout.read_line(&mut url).expect("the address");
    (server, url.trim().to_owned())
}

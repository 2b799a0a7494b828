use std::io::{BufRead, BufReader};

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
    let mut server = spawn(command(&world.path(""), &args));
    let mut url = String::new();
    let mut stdout = BufReader::new(server.stdout.take().expect("a pipe"));
    stdout.read_line(&mut url).expect("the address");
    let outcome = world.run(&request(1, ""), &["--base-url", url.trim()]);
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

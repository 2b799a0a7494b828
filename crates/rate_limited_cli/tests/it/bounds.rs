//! Bounds of a run: how long it waits, what it costs.

use std::process::Stdio;
use std::time::{Duration, Instant};

use rate_limited_sim::{ApiModel, Charged, Latency, Limit};

use crate::apis;
use crate::world::{Outcome, World, feed, request, requests, spawn};

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

/// What the answers of a run have cost, by their own words, at these prices, in dollars.
fn spent(outcome: &Outcome) -> f64 {
    let numbers = |pointer: &str| {
        let numbers = outcome.all(pointer);
        numbers
            .into_iter()
            .map(|it| it.parse().unwrap_or(0.0))
            .sum::<f64>()
    };
    let usage = "/response/body/usage";
    let [input, output] =
        ["prompt_tokens", "completion_tokens"].map(|it| numbers(&format!("{usage}/{it}")));
    (input + 10.0 * output) / 1e6
}

const PRICES: [&str; 2] = ["--price", "input=1,output=10"];

#[test]
fn costs_never_pass_their_bound_and_a_higher_one_goes_on() {
    let world = World::new(ApiModel::new(5).latency(Latency::Constant(Duration::from_millis(20))));
    let run = |most: &str| {
        world.run(
            &requests(60),
            &[&["--max-cost", most], &PRICES[..]].concat(),
        )
    };
    let outcome = run("0.01");
    outcome.expect(3, 60);
    outcome.expect_order();
    let sent = world.stats().arrivals;
    assert!(
        spent(&outcome) <= 0.01 && spent(&outcome) > 0.008,
        "{}",
        spent(&outcome)
    );
    assert_eq!(
        (sent as usize, outcome.count("not_run")),
        (60 - outcome.count("not_run"), 60 - sent as usize)
    );
    for told in [
        "cost: at most $0.01",
        "left may cost more than is left of --max-cost",
        "next: the same command with a higher --max-cost goes on",
    ] {
        assert!(outcome.stderr.contains(told), "{told}: {}", outcome.stderr);
    }
    let messages = outcome.all("/error/message");
    let too_dear = |it: &&String| it.contains("more than is left of $0.0100 (--max-cost)");
    assert_eq!(
        messages.iter().filter(too_dear).count(),
        outcome.count("not_run")
    );
    // What was spent before counts: there is next to nothing left.
    let again = run("0.01");
    again.expect(3, 60);
    assert!(
        world.stats().arrivals <= sent + 1,
        "{} {sent}\n{}\n{}",
        world.stats().arrivals,
        outcome.stderr,
        again.stderr
    );
    let outcome = run("1");
    outcome.expect(0, 60);
    assert_eq!(world.stats().arrivals, 60);
    let told = format!("cost: {:.4} of $1.00", spent(&outcome)).replace("cost: ", "cost: $");
    assert!(outcome.stderr.contains(&told), "{told}: {}", outcome.stderr);
}

#[test]
fn what_is_held_of_the_bound_is_waited_for() {
    let world = World::new(ApiModel::new(5).latency(Latency::Constant(Duration::from_secs(2))));
    let args = [&["--max-cost", "0.01", "--json-progress"], &PRICES[..]].concat();
    let outcome = world.run(&requests(60), &args);
    outcome.expect(3, 60);
    let waits = "\"waits_for\":\"cost: held by calls in flight\"";
    assert!(outcome.stderr.contains(waits), "{}", outcome.stderr);
    assert!(!outcome.stderr.contains("cost: full"), "{}", outcome.stderr);
}

#[test]
fn attempts_that_fail_count_in_full() {
    let world = World::new(ApiModel::new(5).failure_rate(1.0));
    let args = [&["--max-cost", "0.001", "--max-retries", "9"], &PRICES[..]].concat();
    let outcome = world.run(&requests(3), &args);
    outcome.expect(3, 3);
    // Each may cost 210 millionths at least: a byte of the request is a token.
    assert!(
        (1..5).contains(&world.stats().arrivals),
        "{:?}",
        world.stats()
    );
    assert!(
        outcome.stderr.contains("last error: "),
        "{}",
        outcome.stderr
    );
    let told = "cost: at most $0.00";
    assert!(outcome.stderr.contains(told), "{told}: {}", outcome.stderr);
}

#[test]
fn what_the_api_rejects_costs_nothing() {
    for (status, is_free) in [(400, true), (408, false), (500, false)] {
        let error = "{\"error\": {\"message\": \"no\"}}".to_owned();
        let world = apis::World::new(move |_, _| (status, error.clone()));
        world.input(&[request(1, "").trim_end()]);
        let args = [&["--max-cost", "1", "--max-retries", "0"], &PRICES[..]].concat();
        let output = world.run("/v1", &args);
        apis::expect(&output, 1);
        let told = apis::told(&output);
        assert!(told.contains("cost: at most $0.00"), "{told}");
        assert_eq!(told.contains("$0.00 of $1.00"), is_free, "{told}");
    }
}

#[test]
fn what_may_cost_anything_is_refused_before_it_is_sent() {
    let world = World::slow(0);
    let no_bound = "{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}]}\n";
    let all = |more: &[&'static str]| [&["--max-cost", "1"], more].concat();
    for (lines, args, told) in [
        (requests(1), all(&[]), "the prices are not known"),
        (
            requests(1),
            all(&["--price", "input=1"]),
            "the price of output tokens of a request without a model",
        ),
        (
            format!("{}{no_bound}", requests(1)),
            all(&PRICES),
            "line 2 costs at most is not known",
        ),
        (requests(1), PRICES.to_vec(), "--price is for --max-cost"),
        (
            requests(1),
            all(&["--price", "inpt=1"]),
            "'inpt' is no price",
        ),
        (
            requests(1),
            vec!["--max-cost", "0"],
            "not an amount of dollars above zero",
        ),
    ] {
        let outcome = world.run(&lines, &args);
        assert_eq!(outcome.code, Some(2), "{args:?}: {}", outcome.stderr);
        assert!(
            outcome.stderr.contains(told),
            "{args:?}: {}",
            outcome.stderr
        );
    }
    // A stream shows it only as it comes.
    let args = [
        "run",
        "-",
        "-o",
        "out.jsonl",
        "--max-cost",
        "1",
        PRICES[0],
        PRICES[1],
    ];
    let mut command = world.command(&args);
    command.stdin(Stdio::piped());
    let mut child = spawn(command);
    feed(&mut child, no_bound);
    let outcome = world.end(child);
    assert_eq!(outcome.code, Some(2), "{}", outcome.stderr);
    assert!(
        outcome.stderr.contains("it sets no limit on its answer"),
        "{}",
        outcome.stderr
    );
    assert_eq!(world.stats().arrivals, 0);
}

#[test]
fn prices_of_a_description_are_those_of_the_model() {
    let world = World::slow(0);
    let description = r#"

        name = "priced"
        title = "Priced"
        as_of = "2026-11-01"
        source = "a test"
        [[endpoints]]
        path = "/chat/completions"
        class = "chat"
        generates = true
        [usage]
        input_tokens = { "usage.prompt_tokens" = 1 }
        output_tokens = { "usage.completion_tokens" = 1 }
        [[prices]]
        models = "known"
        unit = "input_tokens"
        usd = 1
        per = 1_000_000
        [[prices]]
        models = "known"
        unit = "output_tokens"
        usd = 10
        per = 1_000_000
    "#;
    std::fs::write(world.path("priced.toml"), description).expect("room");
    let url = world.base_url();
    let args = [
        "--api",
        "priced.toml",
        "--base-url",
        &url,
        "--max-cost",
        "1",
    ];
    let outcome = world.run(&request(1, ",\"model\":\"known\""), &args);
    outcome.expect(0, 1);
    let told = format!("cost: ${:.6} of $1.00", spent(&outcome));
    assert!(outcome.stderr.contains(&told), "{told}: {}", outcome.stderr);
    let outcome = world.run(
        &request(1, ",\"model\":\"other\""),
        &[&args[..], &["--fresh"]].concat(),
    );
    assert_eq!(outcome.code, Some(2));
    let told = "the price of input tokens of 'other' is not known";
    assert!(outcome.stderr.contains(told), "{}", outcome.stderr);
}

#[test]
fn costs_stay_below_their_bound_however_often_the_run_is_killed() {
    let tokens = Limit::tokens(1_000_000, Duration::from_secs(3_600)).charged(Charged::Usage);
    let model = ApiModel::new(5).limit(tokens);
    let world = World::new(model.latency(Latency::Constant(Duration::from_millis(50))));
    // Each token costs a hundred-thousandth of a dollar. What was in flight at a kill counts in full.
    let args = [
        "--max-cost",
        "0.06",
        "--price",
        "input=10,output=10",
        "--max-concurrent",
        "3",
    ];
    for round in 1..=3 {
        let mut child = world.start(&requests(200), &args);
        world.wait_for_arrivals(round * 5);
        child.kill().expect("it runs");
        child.wait().expect("it ends");
    }
    let outcome = world.run(&requests(200), &args);
    outcome.expect(3, 200);
    let work = world.stats().limits[0].work;
    assert!(
        (1_500..=6_000).contains(&work),
        "{work} tokens\n{}",
        outcome.stderr
    );
}

//! The command `plan`.

use std::time::Instant;

use rate_limited_sim::{ApiModel, Latency, Limit};
use serde_json::Value;

use std::time::Duration;

use crate::world::{World, command, requests, spawn};

/// A request that may be answered with so many tokens.
fn chat(number: usize, max_tokens: u32) -> String {
    format!(
        r#"{{"custom_id":"r{max_tokens}-{number}","method":"POST","url":"/v1/chat/completions","body":{{"model":"m","max_tokens":{max_tokens},"messages":[{{"role":"user","content":"Hello"}}]}}}}"#
    )
}

fn chats(count: usize, max_tokens: u32) -> String {
    let lines: Vec<_> = (0..count).map(|number| chat(number, max_tokens)).collect();
    lines.join("\n") + "\n"
}

/// Plans `in.jsonl` without a key, a server or an output.
fn plan(lines: &str, args: &[&str]) -> (Option<i32>, String, String) {
    let world = World::slow(0);
    world.input(lines);
    let mut command = command(&world.path(""), &[&["plan", "in.jsonl"], args].concat());
    command.env_remove("OPENAI_API_KEY");
    let output = spawn(command).wait_with_output().expect("it runs");
    let files = std::fs::read_dir(world.path("")).expect("a folder").count();
    assert_eq!(files, 1, "a plan writes nothing");
    assert_eq!(world.stats().arrivals, 0);
    let [stdout, stderr] =
        [output.stdout, output.stderr].map(|text| String::from_utf8(text).expect("text"));
    (output.status.code(), stdout, stderr)
}

fn planned(lines: &str, args: &[&str]) -> Value {
    let (code, stdout, stderr) = plan(lines, &[args, &["--json"]].concat());
    assert_eq!(code, Some(0), "{stderr}");
    serde_json::from_str(&stdout).expect("JSON")
}

#[test]
fn a_plan_says_when_the_run_ends_and_what_binds() {
    let args = ["--rpm", "60", "--tpm", "1M", "--latency", "1s"];
    let (code, stdout, stderr) = plan(&chats(150, 100), &args);
    assert_eq!((code, &*stderr), (Some(0), ""));
    for line in [
        "calls     150 requests from in.jsonl; nothing is sent",
        "finish    after 2 m 1 s",
        "binding   requests for 2 m",
        "helps     most: twice the limit (requests=120/1m): 1 m 1 s",
        "answers take 1 s (--latency) and are as long as they may be (--answer-tokens)",
    ] {
        assert!(stdout.contains(line), "{line}: {stdout}");
    }
    let plan = planned(&chats(150, 100), &args);
    assert_eq!(plan["binding"], "requests");
    assert_eq!(plan["calls"], 150);
    let finish = plan["finish_seconds"].as_f64().expect("a number");
    assert!((121.0..122.0).contains(&finish), "{finish}");
}

#[test]
fn calls_that_can_never_be_sent_are_named_by_their_lines() {
    let lines = [chats(3, 100), chats(2, 9_000), chats(1, 50)].concat();
    let (code, stdout, _) = plan(&lines, &["--tpm", "5k"]);
    assert_eq!(code, Some(0));
    let named = "2 requests are above tokens=5000/1m and can never be sent (line 4, 5)";
    assert!(stdout.contains(named), "{stdout}");
    let plan = planned(&lines, &["--tpm", "5k"]);
    assert_eq!(plan["never_fit"]["lines"], serde_json::json!([4, 5]));
    assert_eq!(plan["calls"], 4);

    let (code, _, stderr) = self::plan(&chats(2, 9_000), &["--tpm", "5k"]);
    assert_eq!(code, Some(2));
    assert!(
        stderr.contains("lower max_tokens in the requests"),
        "{stderr}"
    );
}

#[test]
fn costs_are_told_where_prices_are() {
    let args = [
        "--tpm",
        "1M",
        "--price",
        "input=1,output=10",
        "--answer-tokens",
        "10",
    ];
    let plan = planned(&chats(1_000, 100), &args);
    let cost = &plan["cost"];
    let [expected, most] = ["expected_dollars", "most_dollars"].map(|it| cost[it].as_f64());
    // 10 tokens for the answers of 1,000 requests, and what their prompts are.
    assert!(
        expected.is_some_and(|it| (0.1..0.2).contains(&it)),
        "{cost}"
    );
    assert!(most.is_some_and(|it| (1.0..1.5).contains(&it)), "{cost}");
}

#[test]
fn bounds_that_reserve_too_much_are_told() {
    // OpenAI counts what a request may be answered with at most.
    let args = [
        "--api",
        "openai",
        "--limit",
        "tokens=20k/1m",
        "--limit",
        "requests=500/1m",
        "--answer-tokens",
        "100",
    ];
    let (code, stdout, stderr) = plan(&chats(60, 4_000), &args);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stdout.contains("helps     most: max_tokens"), "{stdout}");
    assert!(stdout.contains("× what calls use; with 100"), "{stdout}");
}

#[test]
fn a_plan_keeps_its_word() {
    let window = Duration::from_secs(2);
    let model = ApiModel::new(7)
        .limit(Limit::requests(100, window))
        .latency(Latency::Constant(Duration::from_millis(200)));
    let world = World::new(model);
    let began = Instant::now();
    world
        .run(&requests(350), &["--limit", "requests=100/2s"])
        .expect(0, 350);
    let took = began.elapsed().as_secs_f64();
    let args = ["--limit", "requests=100/2s", "--latency", "200ms"];
    let planned = planned(&requests(350), &args)["finish_seconds"].as_f64();
    let planned = planned.expect("a number");
    // A process needs its time to begin and to end, which no plan knows; on a busy machine more.
    assert!((planned..planned + 2.0).contains(&took), "{planned} {took}");
}

#[test]
fn a_pool_is_not_planned_and_says_what_to_do() {
    let world = World::slow(0);
    world.input(&requests(3));
    let outcome = world.run_command(&["plan", "in.jsonl", "--pool", "pool.toml"]);
    assert_eq!(outcome.code, Some(2), "{}", outcome.stderr);
    assert!(
        outcome.stderr.contains("with --limit"),
        "{}",
        outcome.stderr
    );
}

//! Limits for each model: a file with several models fills them side by side.

use std::time::Duration;

use rate_limited_sim::{ApiModel, Latency, Limit};
use serde_json::Value;

use crate::world::{World, command, spawn};

/// A request to a model.
fn chat(model: &str, number: usize) -> String {
    format!(
        r#"{{"custom_id":"{model}-{number}","method":"POST","url":"/v1/chat/completions","body":{{"model":"{model}","max_tokens":20,"messages":[{{"role":"user","content":"Hello {number}"}}]}}}}"#
    )
}

/// So many requests to each model, one model after the other.
fn blocks(models: &[&str], each: usize) -> String {
    let of = |model: &&str| {
        let lines = (0..each).map(|number| chat(model, number) + "\n");
        lines.collect::<String>()
    };
    models.iter().map(of).collect()
}

/// A server that lets each model have so many requests in so many seconds.
fn world(quota: u64, seconds: u64) -> World {
    let limit = Limit::requests(quota, Duration::from_secs(seconds)).each_model();
    let latency = Latency::Constant(Duration::from_millis(50));
    World::new(ApiModel::new(7).limit(limit).latency(latency))
}

fn plan(lines: &str, args: &[&str]) -> String {
    let world = World::slow(0);
    world.input(lines);
    let args = [&["plan", "in.jsonl"], args].concat();
    let output = spawn(command(&world.path(""), &args))
        .wait_with_output()
        .expect("it runs");
    let [stdout, stderr] =
        [output.stdout, output.stderr].map(|text| String::from_utf8(text).expect("text"));
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    stdout
}

#[test]
fn models_fill_their_limits_side_by_side() {
    let world = world(20, 3);
    let args = ["--limit", "requests[*]=20/3s"];
    let outcome = world.run(&blocks(&["a", "b", "c"], 80), &args);
    outcome.expect(0, 240);
    let stats = world.stats();
    // On a busy machine a request may arrive a window late.
    assert!(stats.refusals <= 5, "{}", stats.refusals);
    let nanos = stats.last_end.expect("ends") - stats.first_arrival.expect("arrivals");
    let (took, optimum) = (Duration::from_nanos(nanos), world.optimum());
    // Three windows are waited for, and not eleven.
    assert!((9..10).contains(&optimum.as_secs()), "{optimum:?}");
    assert!(took < optimum.mul_f64(1.1), "{took:?}, at best {optimum:?}");
    let opening = &outcome.stderr;
    assert!(
        opening.contains("requests[*]=20/3s for each of 3 models"),
        "{opening}"
    );
}

#[test]
fn a_model_may_have_another_limit_than_the_rest() {
    let second = Duration::from_secs(1);
    let limit = Limit::requests(50, second).quota_for("slow", 5);
    let world = World::new(ApiModel::new(7).limit(limit));
    let args = [
        "--limit",
        "requests[fast*]=50/1s",
        "--limit",
        "requests[slow]=5/1s",
        "--json-progress",
    ];
    let outcome = world.run(&blocks(&["slow", "fast-1", "fast-2"], 12), &args);
    outcome.expect(0, 36);
    assert_eq!(world.stats().refusals, 0);
    let nanos =
        world.stats().last_end.expect("ends") - world.stats().first_arrival.expect("arrivals");
    let took = Duration::from_nanos(nanos).as_secs_f64();
    // The slow model alone takes two windows. Behind one limit of 5 for all of them it would be seven.
    assert!((2.0..5.0).contains(&took), "{took}");
    let lines = outcome.stderr.lines();
    let mut lines = lines.filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let last = lines.next_back().expect("progress");
    let limits = last["limits"].as_array().expect("limits");
    let told = |name: &str| {
        let limit = limits.iter().find(|it| it["name"] == name);
        limit.and_then(|it| it["told"].as_f64())
    };
    let of = [
        "requests[slow]",
        "requests[fast-1]",
        "requests[fast-2]",
        "requests",
    ];
    assert_eq!(of.map(told), [Some(5.0), Some(50.0), Some(50.0), None]);
}

#[test]
fn the_next_run_knows_what_each_model_has_used() {
    let world = world(10, 4);
    let lines = blocks(&["b", "a"], 10);
    let limit = ["--limit", "requests[*]=10/4s"];
    let first = world.run(&lines, &[&limit[..], &["--first", "10"]].concat());
    first.expect(0, 10);
    // Another model comes first now; what is left of `b` has to wait for its window.
    let more: String = (10..15).map(|number| chat("b", number) + "\n").collect();
    let second = world.run(&(lines + &more), &limit);
    second.expect(0, 25);
    assert_eq!(world.stats().arrivals, 25);
    assert_eq!(world.stats().refusals, 0);
}

#[test]
fn a_plan_knows_models_and_names_their_limits() {
    let lines = blocks(&["a", "b"], 30);
    let text = plan(&lines, &["--limit", "requests[*]=30/1m", "--latency", "1s"]);
    assert!(text.contains("finish    after 1 s"), "{text}");
    for name in ["requests[a]=30/1m", "requests[b]=30/1m"] {
        assert!(text.contains(name), "{name}: {text}");
    }
    let together = plan(&lines, &["--rpm", "30", "--latency", "1s"]);
    assert!(together.contains("finish    after 1 m 1 s"), "{together}");
    let one = plan(
        &lines,
        &[
            "--limit",
            "requests[*]=30/1m",
            "--limit",
            "requests[b]=10/1m",
            "--latency",
            "1s",
        ],
    );
    assert!(one.contains("finish    after 2 m 1 s"), "{one}");
    assert!(one.contains("binding   requests[b] for 2 m"), "{one}");
    assert!(
        one.contains("twice the limit (requests[b]=20/1m): 1 m 1 s"),
        "{one}"
    );
}

#[test]
fn an_api_says_itself_that_its_limits_are_for_each_model() {
    let lines = blocks(&["gpt-4o", "o3"], 30);
    let text = plan(
        &lines,
        &["--api", "openai", "--rpm", "30", "--latency", "1s"],
    );
    assert!(text.contains("finish    after 1.2 s"), "{text}");
    // Of a tier that is known for one model only, the other one is found out.
    let lines = blocks(&["gpt-5.6-sol", "o3"], 3);
    let text = plan(&lines, &["--api", "openai", "--tier", "tier-1"]);
    for part in [
        "requests[gpt-5.6-sol]=500/1m",
        "tokens[gpt-5.6-sol]=500000/1m",
        "requests[o3]: not told",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    // Models that share their limits have one.
    let lines = blocks(&["claude-opus-4-1", "claude-opus-4-7"], 60);
    let lines = lines.replace("/v1/chat/completions", "/v1/messages");
    let limit = [
        "--api",
        "anthropic",
        "--limit",
        "requests[claude-opus-4-1]=60/2m",
        "--limit",
        "requests=600/2m",
    ];
    let text = plan(&lines, &limit);
    assert!(text.contains("requests[claude-opus-4]=60/2m"), "{text}");
    assert!(text.contains("finish    after 2 m"), "{text}");
}

#[test]
fn three_hundred_models_are_told_of_in_a_few_words() {
    let names: Vec<_> = (0..300).map(|number| format!("model-{number}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let world = world(10, 2);
    let outcome = world.run(
        &blocks(&names, 3),
        &[
            "--limit",
            "requests[model-*]=10/2s",
            "--limit",
            "requests[model-7]=2/2s",
        ],
    );
    outcome.expect(0, 900);
    assert_eq!(world.stats().refusals, 0);
    let longest = outcome
        .stderr
        .lines()
        .map(str::len)
        .max()
        .unwrap_or_default();
    assert!(longest < 600, "{}", outcome.stderr);
    assert!(
        outcome.stderr.contains("for each of 300 models"),
        "{}",
        outcome.stderr
    );
}

#[test]
fn a_limit_for_one_model_where_there_is_one_for_all_is_refused() {
    let world = World::slow(0);
    let github = ["--api", "github", "--limit", "primary[gpt-4o]=5/1h"];
    let outcome = world.run_text(&blocks(&["a"], 1), &github);
    assert_eq!(outcome.code, Some(2));
    let told = "primary has one limit for all calls of this API: write primary without brackets";
    assert!(outcome.stderr.contains(told), "{}", outcome.stderr);
    assert_eq!(world.stats().arrivals, 0);
}

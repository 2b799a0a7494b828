//! The command `plan`.

use std::path::PathBuf;
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

/// What a pool's file says of its limits is planned: no key has to be there, and no server.
#[test]
fn a_pool_is_planned_account_by_account() {
    let world = World::slow(0);
    let pool = "[[member]]\nname = \"own\"\nkey_env = \"NOT_THERE\"\nlimits = [\"requests=20/1m\"]\n\
        [[member]]\nname = \"one\"\naccount = \"team\"\nkey_file = \"nowhere\"\nlimits = [\"requests=60/1m\", \"tokens=5k/1m\"]\n\
        [[member]]\nname = \"two\"\naccount = \"team\"\n";
    std::fs::write(world.path("pool.toml"), pool).expect("room");
    // The larger ones fit into no window of the team's tokens.
    world.input(&[chats(320, 10), chats(10, 6_000)].concat());
    let args = ["plan", "in.jsonl", "--pool", "pool.toml", "--latency", "1s"];
    let outcome = world.run_command(&args);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    for line in [
        "calls     330 requests from in.jsonl; nothing is sent",
        "finish    after 4 m ",
        "limits    requests=20/1m of own ",
        "          requests=60/1m of team ",
        "          tokens=5000/1m of team ",
        "helps     most: twice the limit (requests=40/1m of own): 3 m",
    ] {
        assert!(outcome.stdout.contains(line), "{line}: {}", outcome.stdout);
    }
    let outcome = world.run_command(&[&args[..], &["--json"]].concat());
    let plan: Value = serde_json::from_str(&outcome.stdout).expect("JSON");
    assert_eq!(plan["calls"], 330);
    let charged = |place: usize| plan["limits"][place]["charged"].as_f64();
    assert_eq!(plan["limits"][1]["name"], "requests@team");
    let charged = charged(0).zip(charged(1)).map(|(own, team)| own + team);
    assert_eq!(charged, Some(330.0));
}

/// What a run has done is not planned again, and what it took of the limits counts.
#[test]
fn where_a_journal_is_the_rest_is_planned() {
    let window = Duration::from_secs(600);
    let model = ApiModel::new(7)
        .limit(Limit::requests(100, window))
        .latency(Latency::Constant(Duration::from_millis(20)));
    let world = World::new(model);
    let limit = ["--limit", "requests=100/10m"];
    let first = ["--first", "60"];
    world
        .run(&requests(150), &[&limit[..], &first].concat())
        .expect(0, 60);
    // Whoever reads a journal may leave an empty log beside it.
    let listed = || {
        let files = std::fs::read_dir(world.path("")).expect("a folder");
        let paths = files.map(|file| file.expect("a file").path());
        let is_log = |path: &PathBuf| {
            let name = path.to_string_lossy();
            name.ends_with("-wal") || name.ends_with("-shm")
        };
        let mut files: Vec<_> = paths
            .filter(|path| !is_log(path))
            .map(|path| (std::fs::read(&path).expect("a file"), path))
            .collect();
        files.sort();
        files
    };
    let before = listed();
    let plan = |more: &[&str]| {
        let command = ["plan", "in.jsonl", "-o", "out.jsonl", "--latency", "1s"];
        let base_url = world.base_url();
        let base_url = ["--base-url", &base_url];
        world.run_command(&[&command[..], &base_url, &limit, more].concat())
    };
    let outcome = plan(&[]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    assert!(before == listed(), "a plan changes nothing");
    // Of 90 that are left 40 have room in the window, and 50 wait for its end.
    for line in [
        "calls     90 requests from in.jsonl are left; nothing is sent",
        "earlier   60 done before; what they took of the limits counts (out.jsonl.journal)",
        "finish    after 10 m ",
    ] {
        assert!(outcome.stdout.contains(line), "{line}: {}", outcome.stdout);
    }
    let outcome = plan(&["--json"]);
    let planned: Value = serde_json::from_str(&outcome.stdout).expect("JSON");
    assert_eq!(
        (&planned["calls"], &planned["earlier"]["succeeded"]),
        (&90.into(), &60.into())
    );
    // Without it all of it is planned, and one window is enough for the rest.
    let outcome = plan(&["--fresh", "--json"]);
    let planned: Value = serde_json::from_str(&outcome.stdout).expect("JSON");
    assert_eq!(
        (&planned["calls"], &planned["earlier"]),
        (&150.into(), &Value::Null)
    );
    // Other requests under the same names: the run would be refused, and so is its plan.
    world.input(&requests(150).replace("Poem", "Tale"));
    let outcome = plan(&[]);
    assert_eq!(outcome.code, Some(2), "{}", outcome.stdout);
    assert!(outcome.stderr.contains("--on-change"), "{}", outcome.stderr);
}

#[test]
fn a_run_that_goes_on_says_what_the_limits_make_of_the_rest() {
    let window = Duration::from_secs(600);
    let model = ApiModel::new(7)
        .limit(Limit::requests(100, window))
        .latency(Latency::Constant(Duration::from_millis(20)));
    let world = World::new(model);
    let limit = ["--limit", "requests=100/10m"];
    world
        .run(&requests(150), &[&limit[..], &["--first", "60"]].concat())
        .expect(0, 60);
    let outcome = world.run(
        &requests(150),
        &[&limit[..], &["--deadline", "100ms"]].concat(),
    );
    let told = "for what is left, after what was taken of them before (requests bind)";
    assert!(outcome.stderr.contains(told), "{}", outcome.stderr);
    assert!(
        outcome.stderr.contains("alone about 10 m "),
        "{}",
        outcome.stderr
    );
}

/// A plan may be made while the run goes on, and keeps out of its way.
#[test]
fn a_run_under_way_is_planned_from_now_on() {
    let world = World::new(
        ApiModel::new(7)
            .limit(Limit::requests(1_000, Duration::from_secs(60)))
            .latency(Latency::Constant(Duration::from_millis(200))),
    );
    let child = world.start(&requests(60), &["--max-concurrent", "2"]);
    let began = Instant::now();
    while world.stats().arrivals < 10 {
        assert!(began.elapsed() < Duration::from_secs(20));
        std::thread::sleep(Duration::from_millis(20));
    }
    let base_url = world.base_url();
    let outcome = world.run_command(&[
        "plan",
        "in.jsonl",
        "-o",
        "out.jsonl",
        "--base-url",
        &base_url,
    ]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    assert!(
        outcome.stdout.contains("the run goes on (process "),
        "{}",
        outcome.stdout
    );
    assert!(outcome.stdout.contains(" are left; "), "{}", outcome.stdout);
    world.end(child).expect(0, 60);
}

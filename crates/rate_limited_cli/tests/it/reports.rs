//! What is told of a run after it, and what is not.

use std::fs;
use std::time::Duration;

use rate_limited_sim::{ApiModel, Latency, Limit};
use serde_json::Value;

use crate::resume::{kill_in_flight, told};
use crate::world::{Outcome, World, feed, requests, spawn};

/// Part of each prompt of [`requests`].
const CANARY: &str = "Poem ";

/// An API that fails now and then.
fn shaky() -> World {
    World::new(
        ApiModel::new(7)
            .latency(Latency::Constant(Duration::from_millis(20)))
            .failure_rate(0.2),
    )
}

fn report(world: &World, args: &[&str]) -> Outcome {
    let outcome = world.run_command(&[&["report", "out.jsonl"], args].concat());
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    assert!(!outcome.stdout.contains("CANARY"), "the key is shown");
    outcome
}

fn data(world: &World) -> Value {
    serde_json::from_str(&report(world, &["--format", "json"]).stdout).expect("JSON")
}

fn number(value: &Value, pointer: &str) -> u64 {
    let number = value.pointer(pointer).and_then(Value::as_u64);
    number.unwrap_or_else(|| panic!("a number at {pointer} of {value}"))
}

fn sum(value: &Value, pointer: &str) -> u64 {
    let numbers = value.pointer(pointer).and_then(Value::as_object);
    let numbers = numbers.expect("numbers by name").values();
    numbers.filter_map(Value::as_u64).sum()
}

/// A page that is whole, needs nothing and has no prompt.
fn check_page(page: &str) {
    assert!(page.starts_with("<!doctype html>") && page.ends_with("</html>\n"));
    for tag in ["section", "svg", "table", "div", "figure", "p", "tr", "g"] {
        let opened =
            page.matches(&format!("<{tag} ")).count() + page.matches(&format!("<{tag}>")).count();
        assert_eq!(opened, page.matches(&format!("</{tag}>")).count(), "{tag}");
    }
    for word in ["<script", "http:", "https:", "src=", CANARY, "CANARY"] {
        assert!(!page.contains(word), "{word}");
    }
}

/// The numbers of the closing words and those of the report are the same, on the page, too.
#[test]
fn the_numbers_are_those_of_the_summary() {
    let world = shaky();
    let args = [
        "--limit",
        "requests=100/1s",
        "--report",
        "told.html",
        "--max-retries",
        "1",
    ];
    let outcome = world.run(&requests(80), &args);
    let stats = world.stats();
    let data = data(&world);
    let [succeeded, failed] = ["/calls/succeeded", "/calls/failed"].map(|it| number(&data, it));
    let [attempts, retries] = ["/attempts/total", "/attempts/retries"].map(|it| number(&data, it));
    assert!(
        failed > 0 && retries > 0,
        "the API fails now and then: {data}"
    );
    told(
        &outcome,
        &format!("\n{succeeded} succeeded, {failed} failed in "),
    );
    told(
        &outcome,
        &format!("\n{attempts} attempts, {retries} retries, 0 refusals, "),
    );
    told(
        &outcome,
        &format!("{} tokens used", grouped(number(&data, "/tokens"))),
    );
    told(&outcome, "\nreport: told.html");
    assert_eq!((succeeded + failed, attempts), (80, stats.arrivals));
    assert_eq!(sum(&data, "/attempts/by_outcome"), attempts);
    assert_eq!(sum(&data, "/attempts/failed_by_code"), attempts - succeeded);
    assert_eq!(sum(&data, "/calls/failed_by_code"), failed);
    assert_eq!(number(&data, "/latency/answers"), succeeded);
    assert!(
        data.pointer("/latency/p50_ms").and_then(Value::as_f64) >= Some(20.0),
        "{data}"
    );
    assert_eq!(
        data.pointer("/limits/0/quota"),
        Some(&Value::from("100 per 1s"))
    );
    let peak = data.pointer("/limits/0/peak_share").and_then(Value::as_f64);
    assert!(peak > Some(0.1) && peak <= Some(1.0), "{data}");

    let page = fs::read_to_string(world.path("told.html")).expect("a page");
    check_page(&page);
    let rest = page
        .split_once("<h3 class=\"soft\">What attempts came to</h3>")
        .expect("a table")
        .1;
    let cell = format!("<tr><td>succeeded</td><td class=\"number\">{succeeded}</td>");
    assert!(rest.contains(&cell), "{rest}");
    assert!(page.contains("<b>requests</b> 100 per 1s: "));
    let lines = report(&world, &[]).stdout;
    assert!(
        lines.contains(&format!(
            "80 calls: {succeeded} succeeded, {failed} failed in "
        )),
        "{lines}"
    );
    assert!(!lines.contains(CANARY));
}

/// As the command writes small numbers.
fn grouped(number: u64) -> String {
    match number {
        0..1_000 => number.to_string(),
        _ => format!("{},{:03}", number / 1_000, number % 1_000),
    }
}

#[test]
fn a_report_has_all_runs_of_a_journal() {
    let world = World::new(
        ApiModel::new(7)
            .latency(Latency::Constant(Duration::from_millis(20)))
            .limit(Limit::requests(20, Duration::from_secs(1))),
    );
    let args = ["--limit", "requests=40/1s"];
    world.run(&requests(25), &args).expect(0, 25);
    let first = data(&world);
    assert_eq!(
        (number(&first, "/runs"), number(&first, "/calls/succeeded")),
        (1, 25)
    );
    let refused = sum(&first, "/attempts/refused_by_code");
    assert_eq!(refused, world.stats().refusals);
    let more = [&args[..], &["--report", "both.json"]].concat();
    world.run(&requests(40), &more).expect(0, 40);
    let both = data(&world);
    // Who was part of the second run knows what was before it.
    let written = fs::read_to_string(world.path("both.json")).expect("a report");
    let written: Value = serde_json::from_str(&written).expect("JSON");
    let earlier = ["runs", "calls", "attempts"];
    let earlier = earlier.map(|it| number(&written, &format!("/earlier/{it}")));
    assert_eq!(earlier, [1, 25, number(&first, "/attempts/total")]);
    assert_eq!(
        (&first["earlier"], &both["earlier"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(
        (number(&both, "/runs"), number(&both, "/calls/succeeded")),
        (2, 40)
    );
    assert_eq!(number(&both, "/attempts/total"), world.stats().arrivals);
    assert!(number(&both, "/elapsed_ms") > number(&first, "/elapsed_ms"));

    // What a kill loses of it is said.
    let child = world.start(&requests(50), &args);
    kill_in_flight(&world, child, world.stats().arrivals + 3);
    let lines = report(&world, &[]).stdout;
    assert!(lines.contains("50 calls: 4"), "{lines}");

    fs::remove_file(world.path("out.jsonl.journal-report")).expect("statistics");
    let lines = report(&world, &[]).stdout;
    assert!(
        lines.contains("note: the journal has no statistics"),
        "{lines}"
    );
    check_page(&report(&world, &["--format", "html"]).stdout);

    // All of it goes with the journal.
    world.run(&requests(5), &["--fresh"]).expect(0, 5);
    assert_eq!(number(&data(&world), "/runs"), 1);
    let clean = world.run_command(&["clean", "out.jsonl"]);
    told(&clean, "removed out.jsonl.journal-report\n");
    let gone = world.run_command(&["report", "out.jsonl"]);
    assert_eq!(gone.code, Some(2), "{}", gone.stderr);
}

#[test]
fn only_a_report_is_replaced_by_a_report() {
    let world = World::slow(0);
    for file in [
        "in.jsonl",
        "out.jsonl",
        "notes.html",
        "told",
        "none/told.html",
    ] {
        fs::write(world.path("notes.html"), "<p>mine</p>").expect("room");
        let refused = world.run(&requests(3), &["--report", file]);
        refused.expect(2, 0);
        assert!(refused.stderr.contains(file), "{}", refused.stderr);
    }
    assert_eq!(world.stats().arrivals, 0);
    world
        .run(&requests(3), &["--report", "told.txt"])
        .expect(0, 3);
    for (file, code) in [
        ("told.txt", 0),
        ("told.json", 0),
        ("told.json", 0),
        ("notes.html", 2),
        ("out.jsonl", 2),
    ] {
        let outcome = world.run_command(&["report", "out.jsonl", "-o", file]);
        assert_eq!(outcome.code, Some(code), "{file}: {}", outcome.stderr);
    }
    assert_eq!(
        fs::read_to_string(world.path("notes.html")).expect("it stays"),
        "<p>mine</p>"
    );
    assert_eq!(
        fs::read_to_string(world.path("out.jsonl"))
            .expect("it stays")
            .lines()
            .count(),
        3
    );
}

/// Servers say in errors what they were asked: that is shown only to those who want it.
#[test]
fn what_errors_say_is_shown_when_it_is_asked_for() {
    let world = World::slow(0);
    let lines = "{\"custom_id\":\"good\",\"body\":{\"messages\":[],\"max_tokens\":5}}\n\
                 {\"custom_id\":\"bad\",\"url\":\"/v1/no-such-path\",\"body\":{\"messages\":[]}}\n";
    let outcome = world.run(lines, &[]);
    outcome.expect(1, 2);
    let message = outcome.all("/error/message")[1].clone();
    assert!(message.len() > 5, "{message}");
    for form in ["text", "json", "html"] {
        assert!(
            !report(&world, &["--format", form])
                .stdout
                .contains(&message),
            "{form}"
        );
    }
    let shown = report(&world, &["--with-examples"]).stdout;
    assert!(
        shown.contains("bad (") && shown.contains(&message),
        "{shown}"
    );
}

/// Tables and rows have examples, too: by the column of names, else by the number of the row.
#[test]
fn errors_of_rows_are_shown_from_tables_and_lines() {
    let named = "id,text\nfirst,a\nsecond,b\n";
    let nameless = "name,text\nfirst,a\nsecond,b\n";
    let objects = "{\"id\":\"first\",\"text\":\"a\"}\n{\"id\":\"second\",\"text\":\"b\"}\n";
    for (input, text, output, names) in [
        ("in.csv", named, "out.csv", ["first", "second"]),
        ("in.csv", named, "out.tsv", ["first", "second"]),
        ("in.csv", named, "out.jsonl", ["first", "second"]),
        ("in.csv", nameless, "out.csv", ["row 1", "row 2"]),
        ("in.csv", nameless, "out.jsonl", ["line-2", "line-3"]),
        ("in.jsonl", objects, "out.jsonl", ["first", "second"]),
    ] {
        let world = World::slow(0);
        fs::write(world.path(input), text).expect("room");
        let schema = "{\"type\":\"array\",\"minItems\":99}";
        fs::write(world.path("schema.json"), schema).expect("room");
        let run = [
            "run",
            input,
            "-o",
            output,
            "--model",
            "m",
            "--max-retries",
            "0",
        ];
        let rows = ["--prompt", "Say {{text}}", "--schema", "schema.json"];
        let outcome = world.run_command(&[&run[..], &rows].concat());
        assert_eq!(outcome.code, Some(1), "{output}: {}", outcome.stderr);
        let report = |more: &[&str]| {
            let told = ["report", output, "--format", "json"];
            let outcome = world.run_command(&[&told[..], more].concat());
            let report: Value = serde_json::from_str(&outcome.stdout).expect("JSON");
            report["examples"].as_array().cloned().unwrap_or_default()
        };
        assert!(report(&[]).is_empty());
        let examples = report(&["--with-examples"]);
        let told = |field: &str| -> Vec<_> {
            let texts = examples.iter().filter_map(|it| it[field].as_str());
            texts.collect()
        };
        assert_eq!(told("call"), names, "{input} {output}");
        assert!(told("code").iter().all(|code| *code == told("code")[0]));
        assert!(
            told("text").iter().all(|text| text.len() > 10),
            "{examples:?}"
        );
    }
}

#[test]
fn a_run_of_nothing_and_one_without_a_journal_are_told_of() {
    let world = World::slow(0);
    let args = ["run", "-", "-o", "-", "--report", "told.json"];
    for (lines, calls) in [("", 0), (requests(1).as_str(), 1)] {
        let mut command = world.command(&args);
        command.stdin(std::process::Stdio::piped());
        let mut child = spawn(command);
        feed(&mut child, lines);
        assert!(child.wait().expect("it ends").success());
        let text = fs::read_to_string(world.path("told.json")).expect("a report");
        let told: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(number(&told, "/calls/succeeded"), calls, "{text}");
        assert_eq!(number(&told, "/attempts/total"), calls, "{text}");
    }
}

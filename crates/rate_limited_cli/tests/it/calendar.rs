//! Limits that follow the calendar, with the real command.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rate_limited_sim::{Anchor, ApiModel, Latency, Limit};
use serde_json::Value;

use crate::world::{Outcome, World, command, request, requests, spawn};

fn since_1970() -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.expect("after 1970")
}

/// A day that begins in so many hours, by the clock in UTC.
fn day_from(hours: u64) -> String {
    let minutes = (since_1970().as_secs() / 60 + hours * 60) % (24 * 60);
    format!("day@{:02}:{:02} UTC", minutes / 60, minutes % 60)
}

#[test]
fn a_window_of_the_clock_is_used_from_its_beginning_to_its_end() {
    let window = Duration::from_secs(3);
    let limit = Limit::requests(20, window).fixed(Anchor::Aligned);
    let latency = Latency::Constant(Duration::from_millis(50));
    let world = World::new(ApiModel::new(7).limit(limit).latency(latency));
    // It begins in the middle of a window, which a client that slides could not make use of.
    let into = since_1970().as_millis() as u64 % 3_000;
    std::thread::sleep(Duration::from_millis((4_500 - into) % 3_000));
    let began = Instant::now();
    let outcome = world.run(&requests(60), &["--limit", "requests=20/3s@UTC"]);
    let took = began.elapsed();
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    assert_eq!(world.stats().refusals, 0, "{}", outcome.stderr);
    // What is left of one window, a whole one, and the beginning of the third; sliding takes two whole ones.
    assert!(took < window * 2, "{took:?}: {}", outcome.stderr);
    assert!(took > window, "{took:?}");
}

/// A run of more lines, which ends where it would have to wait for longer than a minute.
fn goes_on(world: &World, lines: &str, limit: &str) -> Outcome {
    let waits = ["--max-wait", "1m", "--on-change", "rerun"];
    let run = world.run(lines, &[&["--limit", limit][..], &waits].concat());
    assert_eq!(run.code, Some(3), "{}", run.stderr);
    run
}

#[test]
fn what_was_used_today_counts_in_the_next_run_of_the_day() {
    let world = World::slow(10);
    let limit = format!("requests=4/{}", day_from(12));
    let first = world.run(&requests(3), &["--limit", &limit]);
    assert_eq!(first.code, Some(0), "{}", first.stderr);
    let second = goes_on(&world, &requests(6), &limit);
    assert_eq!(
        world.stats().arrivals,
        4,
        "one was left of today: {}",
        second.stderr
    );
    for part in [
        "all that is left must wait for",
        "requests: full for 1",
        ", until ",
    ] {
        assert!(second.stderr.contains(part), "{part}: {}", second.stderr);
    }
    let time = limit.split(['@', ' ']).nth(1).expect("a time");
    let told = world.run_command(&["report", "out.jsonl"]).stdout;
    let quota = format!("limit requests (4 per day {time} UTC, back at ");
    assert!(told.contains(&quota), "{quota}: {told}");
    // That day ended two hours ago.
    let other = World::slow(10);
    let limit = format!("requests=4/{}", day_from(22));
    for lines in [3, 4] {
        let run = other.run(&requests(lines), &["--limit", &limit]);
        assert_eq!(run.code, Some(0), "{}", run.stderr);
    }
}

#[test]
fn what_one_model_used_today_counts_where_no_other_is_told_a_limit() {
    let world = World::slow(10);
    let limit = format!("requests[m]=4/{}", day_from(12));
    let asks = |lines| -> String {
        let of_model = |number| request(number, r#","model":"m""#);
        (1..=lines).map(of_model).collect()
    };
    let first = world.run(&asks(3), &["--limit", &limit]);
    assert_eq!(first.code, Some(0), "{}", first.stderr);
    let second = goes_on(&world, &asks(6), &limit);
    assert_eq!(world.stats().arrivals, 4, "{}", second.stderr);
    // The day began twelve hours ago; a window that slides would be full for a whole one.
    for part in ["requests[m]: full for 1", ", until "] {
        assert!(second.stderr.contains(part), "{part}: {}", second.stderr);
    }
}

fn plan(lines: usize, args: &[&str], zone: &str) -> (String, Value) {
    let world = World::slow(0);
    world.input(&requests(lines));
    let run = |more: &[&str]| {
        let mut command = command(
            &world.path(""),
            &[&["plan", "in.jsonl"], args, more].concat(),
        );
        command.env_remove("OPENAI_API_KEY").env("TZ", zone);
        let output = spawn(command).wait_with_output().expect("it runs");
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(0), "{stderr}");
        String::from_utf8(output.stdout).expect("text")
    };
    let json = run(&["--json"]);
    (run(&[]), serde_json::from_str(&json).expect("JSON"))
}

#[test]
fn a_plan_ends_after_the_windows_that_it_needs_and_names_the_moment() {
    let limit = format!("requests=10/{}", day_from(6));
    let (text, json) = plan(25, &["--limit", &limit], "UTC");
    // Ten now, ten in six hours, five a day later.
    let finish = json["finish_seconds"].as_f64().expect("a number");
    let hours = 3_600.0;
    assert!(
        (29.9 * hours..30.1 * hours).contains(&finish),
        "{finish}: {text}"
    );
    let resets_at = json["limits"][0]["resets_at"].as_str().expect("a moment");
    let time = limit.split(['@', ' ']).nth(1).expect("a time");
    assert!(
        resets_at.ends_with(&format!("T{time}:00Z")),
        "{resets_at} {time}"
    );
    assert!(text.contains("; back at ") && text.contains(time), "{text}");
    // The same moment on a clock five and a half hours before it.
    let (text, _) = plan(25, &["--limit", &limit], "Asia/Kolkata");
    let minutes = (since_1970().as_secs() / 60 + 11 * 60 + 30) % (24 * 60);
    let near = [minutes, (minutes + 24 * 60 - 1) % (24 * 60)];
    let shown = near.map(|it| format!("{:02}:{:02}", it / 60, it % 60));
    assert!(
        shown.iter().any(|it| text.contains(it)),
        "{shown:?}: {text}"
    );
}

#[test]
fn a_description_brings_its_calendar() {
    let args = ["--api", "gemini", "--limit", "requests_per_day=10/1d"];
    let world = World::slow(0);
    world.input(
        &(0..3)
            .map(|_| {
                r#"{"method":"POST","url":"/models/gemini-2.5-flash:generateContent","body":{"contents":[]}}"#
            })
            .collect::<Vec<_>>()
            .join("\n"),
    );
    let mut command = command(
        &world.path(""),
        &[&["plan", "in.jsonl"], &args[..]].concat(),
    );
    command.env_remove("OPENAI_API_KEY");
    let output = spawn(command).wait_with_output().expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        text.contains("requests_per_day[gemini-2.5-flash]=10/day@America/Los_Angeles"),
        "{text} {error}"
    );
    assert!(text.contains("back at"), "{text}");
}

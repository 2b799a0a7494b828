//! What a run shows while it goes on: to machines, and on terminals of any width.

use std::process::{Command, Stdio};
use std::time::Duration;

use rate_limited_sim::{ApiModel, Latency, Limit};
use serde_json::Value;

use crate::world::{World, requests};

/// A server that makes 150 requests take about 4 s.
fn world() -> World {
    let model = ApiModel::new(7)
        .limit(Limit::requests(50, Duration::from_secs(2)))
        .latency(Latency::Constant(Duration::from_millis(100)));
    World::new(model)
}

const LIMIT: [&str; 2] = ["--limit", "requests=50/2s"];

#[test]
fn progress_for_machines_is_one_object_a_line() {
    let world = world();
    let args = [&LIMIT[..], &["--json-progress", "--quiet"]].concat();
    let outcome = world.run(&requests(200), &args);
    outcome.expect(0, 200);
    let lines: Vec<Value> = outcome
        .stderr
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert!(lines.len() >= 5, "{lines:?}");
    let last = lines.last().expect("lines");
    assert_eq!(last["total"], 200);
    assert_eq!(last["limits"][0]["name"], "requests");
    assert_eq!(last["limits"][0]["told"], 50.0);
    let waits = |line: &Value| line["waits_for"].as_str().map(str::to_owned);
    let waits: Vec<_> = lines.iter().filter_map(waits).collect();
    assert!(
        waits.iter().any(|it| it.starts_with("requests: full for")),
        "{waits:?}"
    );
    assert!(
        lines.iter().any(|line| line["left_seconds"].is_f64()),
        "{lines:?}"
    );
}

/// Runs on a terminal of so many columns, with `behind` in the shell after the command; what came to the screen.
#[cfg(target_os = "linux")]
fn on_a_terminal(columns: usize, told: &[&str], behind: &str, exit: i32) -> Option<String> {
    let world = world();
    world.input(&requests(150));
    let inner = world.command(told);
    let words: Vec<_> = std::iter::once(inner.get_program())
        .chain(inner.get_args())
        .map(|word| format!("'{}'", word.to_string_lossy()))
        .collect();
    let shell = format!("stty cols {columns} rows 24; {}{behind}", words.join(" "));
    let mut command = Command::new("script");
    command
        .args(["-q", "-e", "-c", &shell, "/dev/null"])
        .current_dir(world.path(""))
        .envs(
            inner
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        )
        .env("TERM", "xterm")
        .env("NO_COLOR", "1")
        .stdin(Stdio::null());
    // Not every machine has it.
    let output = command.output().ok()?;
    let screen = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(exit), "{screen}");
    Some(screen)
}

#[cfg(target_os = "linux")]
const RUN: [&str; 6] = ["run", "in.jsonl", "-o", "out.jsonl", LIMIT[0], LIMIT[1]];

/// The text of each line that was drawn, without what moves the cursor.
#[cfg(target_os = "linux")]
fn lines(screen: &str) -> Vec<String> {
    let mut plain = String::new();
    let mut rest = screen.chars();
    while let Some(next) = rest.next() {
        if next == '\u{1b}' {
            // ESC [ … letter
            rest.by_ref().skip(1).find(char::is_ascii_alphabetic);
            plain.push('\n');
        } else {
            plain.push(next);
        }
    }
    plain
        .split(['\n', '\r'])
        .map(|line| line.trim_end().to_owned())
        .filter(|line| !line.is_empty())
        .collect()
}

#[cfg(target_os = "linux")]
#[test]
fn a_bar_fits_its_terminal_and_has_no_colours() {
    for columns in [20, 40, 200] {
        let Some(screen) = on_a_terminal(columns, &RUN, "", 0) else {
            return;
        };
        assert!(!screen.contains("\u{1b}[3"), "a colour: {screen:?}");
        let lines = lines(&screen);
        // Lines are as wide as the terminal, one behind the other: the bar, the words, the limits.
        let drawn = lines.iter().filter(|line| line.contains("/150"));
        let drawn: Vec<Vec<char>> = drawn
            .filter(|line| line.contains('▰'))
            .map(|line| line.chars().collect())
            .collect();
        assert!(!drawn.is_empty(), "{columns}: {lines:?}");
        for three in &drawn {
            assert!(three.len() <= 3 * columns, "{columns}: {three:?}");
            let limits: String = three[2 * columns..].iter().collect();
            assert!(limits.starts_with("requests ▰"), "{columns}: {limits}");
        }
        if columns == 200 {
            let is_there = |text: &str| lines.iter().any(|line| line.contains(text));
            assert!(is_there("requests ▰▰▰▰▰ 50/50"), "{lines:?}");
            assert!(is_there("requests: full for"), "{lines:?}");
            assert!(is_there("left"), "{lines:?}");
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn errors_and_reports_are_broken_between_words() {
    let cases: [(&[&str], i32, &str); 3] = [
        (
            &["run", "none.jsonl", "-o", "out.jsonl"],
            2,
            "error: failed to open the input none.jsonl:",
        ),
        (&["apis", "anthropic"], 0, "the version of the API"),
        (
            &["plan", "in.jsonl", LIMIT[0], LIMIT[1]],
            0,
            "150 requests from in.jsonl; nothing is sent",
        ),
    ];
    for (told, exit, words) in cases {
        let Some(screen) = on_a_terminal(40, told, "", exit) else {
            return;
        };
        let text: Vec<_> = screen.split_whitespace().collect();
        assert!(text.join(" ").contains(words), "{words}: {screen}");
        let long = |line: &&str| line.chars().count() > 40 && line.trim().contains(' ');
        let long: Vec<_> = screen.lines().filter(long).collect();
        assert!(long.is_empty(), "{long:?}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn what_is_said_meanwhile_takes_the_place_of_the_bar() {
    let kill = " & sleep 1; kill -TERM $!; wait $!";
    let Some(screen) = on_a_terminal(60, &RUN, kill, 143) else {
        return;
    };
    let (before, _) = screen.split_once("SIGTERM: nothing").expect("the notice");
    let (_, erased) = before.rsplit_once('▰').expect("a bar");
    // All three lines of the bar: otherwise the next one would be drawn over the notice.
    assert_eq!(erased.matches("\u{1b}[2K").count(), 3, "{erased:?}");
}

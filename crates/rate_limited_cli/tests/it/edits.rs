//! Inputs that are edited between runs, in any way: no answer goes to another request, and none is asked
//! for twice.

use std::fs;
use std::path::PathBuf;
use std::process::Output;

use rate_limited_sim::ApiModel;
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::dice::Dice;
use crate::logged::Logged;
use crate::world::command;

/// Runs of one input, each after some edits.
const ROUNDS: u64 = 30;

/// A request: its own name, if it has one, and what it asks.
#[derive(Clone)]
struct Line {
    name: Option<u64>,
    asks: String,
}

/// An input, edited as people do.
struct Input {
    lines: Vec<Line>,
    next: u64,
}

impl Input {
    fn new_line(&mut self, is_named: bool) -> Line {
        self.next += 1;
        Line {
            name: is_named.then_some(self.next),
            asks: format!("q{}", self.next),
        }
    }

    fn edit(&mut self, dice: &mut Dice) {
        let at = dice.next(0..self.lines.len() as u64 + 1) as usize;
        let other = dice.next(0..self.lines.len() as u64 + 1) as usize;
        let there = at.max(other) < self.lines.len();
        match dice.next(0..7) {
            0 | 1 => {
                let is_named = dice.next(0..3) > 0;
                let line = self.new_line(is_named);
                self.lines.insert(at, line);
            }
            2 if there => drop(self.lines.remove(at)),
            3 if there => self.lines.swap(at, other),
            4 if there => {
                let line = self.lines.remove(at);
                self.lines.insert(other.min(self.lines.len()), line);
            }
            // The same name asks something else. Another content without a name is another call.
            5 if there => {
                self.next += 1;
                self.lines[at].asks = format!("q{}", self.next);
            }
            _ => {
                let line = self.new_line(true);
                self.lines.push(line);
            }
        }
    }

    /// The file, in any of the ways in which editors write it.
    fn text(&self, dice: &mut Dice) -> String {
        let end = ["\n", "\r\n", "\n\n"][dice.next(0..3) as usize];
        let mark = ["", "\u{FEFF}"][dice.next(0..2) as usize];
        let space = ["", " ", "  "][dice.next(0..3) as usize];
        let line = |line: &Line| {
            let body = format!(
                "{{\"user\":{space}\"{}\",{space}\"messages\":[]}}",
                line.asks
            );
            match line.name {
                Some(name) => format!("{{\"custom_id\":\"n{name}\",{space}\"body\":{body}}}"),
                None => body,
            }
        };
        let lines: Vec<_> = self.lines.iter().map(line).collect();
        format!("{mark}{}", lines.join(end))
    }
}

/// A folder, a server, and what was edited so far.
struct World {
    server: Logged,
    folder: TempDir,
    dice: Dice,
    input: Input,
}

impl World {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs in one of the ways in which the same requests may be sent, and gives the lines of the output.
    fn run(&mut self) -> Vec<Value> {
        let text = self.input.text(&mut self.dice);
        fs::write(self.path("in.jsonl"), text).expect("room");
        if self.dice.next(0..5) == 0 {
            // It is written from the journal.
            let _ = fs::remove_file(self.path("out.jsonl"));
        }
        let is_stream = self.dice.next(0..4) == 0;
        let as_they_come = self.dice.next(0..4) == 0;
        let output = self.once(is_stream, as_they_come);
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{told}");
        let calls = self.server.calls();
        let again = calls.iter().find(|(_, call)| call.hits > 1);
        assert!(again.is_none(), "{again:?} was sent again: {told}");
        let text = fs::read_to_string(self.path("out.jsonl")).expect("an output");
        let parse = |line| serde_json::from_str(line).expect("a line of JSON");
        let mut lines: Vec<Value> = text.lines().map(parse).collect();
        if as_they_come {
            lines.sort_by_key(number);
        }
        lines
    }

    fn once(&self, is_stream: bool, as_they_come: bool) -> Output {
        let input = if is_stream { "-" } else { "in.jsonl" };
        let order = if as_they_come { "completion" } else { "input" };
        let args = ["run", input, "-o", "out.jsonl", "--on-change", "rerun"];
        let args = [&args[..], &["--order", order]].concat();
        let mut command = command(self.folder.path(), &args);
        command.env("RATE_LIMITED_BASE_URL", self.server.base_url());
        command.stdin(fs::File::open(self.path("in.jsonl")).expect("an input"));
        command.output().expect("it runs")
    }
}

/// The line of the input that a record names.
fn number(line: &Value) -> u64 {
    let id = line["id"].as_str().expect("an id");
    let number = id.strip_prefix("request-").expect("a number");
    number.parse().expect("a number")
}

/// Edits and runs, again and again.
fn check(seed: u64) {
    let runtime = Runtime::new().expect("a runtime");
    let mut world = World {
        server: runtime.block_on(Logged::start(ApiModel::new(seed), false)),
        folder: tempfile::tempdir().expect("a folder"),
        dice: Dice(seed),
        input: Input {
            lines: Vec::new(),
            next: 0,
        },
    };
    for round in 0..ROUNDS {
        for _ in 0..=world.dice.next(0..8) {
            world.input.edit(&mut world.dice);
        }
        if world.input.lines.is_empty() {
            continue;
        }
        let lines = world.run();
        assert_eq!(
            lines.len(),
            world.input.lines.len(),
            "seed {seed}, round {round}"
        );
        for (line, expected) in lines.iter().zip(&world.input.lines) {
            let answer = line["response"]["body"]["id"].as_str().expect("an answer");
            let asked = answer.rsplit_once('-').map(|(asked, _)| asked);
            assert_eq!(
                asked,
                Some(&*expected.asks),
                "seed {seed}, round {round}: {line}"
            );
            let name = expected.name.map_or_else(
                || format!("line-{}", number(line)),
                |name| format!("n{name}"),
            );
            assert_eq!(
                line["custom_id"], *name,
                "seed {seed}, round {round}: {line}"
            );
        }
    }
    assert!(world.server.calls().len() > ROUNDS as usize);
}

#[test]
fn answers_stay_with_their_requests() {
    let seeds = match std::env::var_os("RATE_LIMITED_SOAK") {
        Some(_) => 1..200,
        None => 1..4,
    };
    seeds.for_each(check);
}

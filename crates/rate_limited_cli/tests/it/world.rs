//! The real command against the real simulated server.

use std::io::Write;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rate_limited_sim::http::{Account, Server};
use rate_limited_sim::{ApiModel, Latency, Stats};
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// A key that must not be found anywhere.
pub(crate) const KEY: &str = "sk-CANARY-0123456789";

/// A server, a folder, and the command.
pub(crate) struct World {
    _runtime: Runtime,
    server: Server,
    folder: TempDir,
}

/// What a run left behind.
pub(crate) struct Outcome {
    pub(crate) code: Option<i32>,
    pub(crate) stderr: String,
    pub(crate) stdout: String,
    /// The lines of the output file, or else of standard output.
    pub(crate) lines: Vec<Value>,
}

impl World {
    pub(crate) fn new(model: ApiModel) -> World {
        let runtime = Runtime::new().expect("a runtime");
        let entered = runtime.enter();
        let server = Server::start(model, (Ipv4Addr::LOCALHOST, 0).into()).expect("a free port");
        drop(entered);
        World {
            _runtime: runtime,
            server,
            folder: tempfile::tempdir().expect("a folder"),
        }
    }

    /// A server whose accounts have limits of their own, known by their keys.
    pub(crate) fn of_accounts(accounts: Vec<Account>) -> World {
        let runtime = Runtime::new().expect("a runtime");
        let entered = runtime.enter();
        let server = Server::start_for(accounts, (Ipv4Addr::LOCALHOST, 0).into());
        drop(entered);
        World {
            _runtime: runtime,
            server: server.expect("a free port"),
            folder: tempfile::tempdir().expect("a folder"),
        }
    }

    pub(crate) fn account_stats(&self) -> Vec<Stats> {
        self.server.account_stats()
    }

    /// From now on the server knows a key no more.
    pub(crate) fn revoke(&self, key: &str) {
        self.server.revoke(key);
    }

    /// A server without limits that takes so many milliseconds for an answer.
    pub(crate) fn slow(millis: u64) -> World {
        World::new(ApiModel::new(7).latency(Latency::Constant(Duration::from_millis(millis))))
    }

    pub(crate) fn stats(&self) -> Stats {
        self.server.stats()
    }

    /// The shortest time in which anybody could have done the work so far.
    pub(crate) fn optimum(&self) -> Duration {
        self.server.optimum()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes the file `in.jsonl`.
    pub(crate) fn input(&self, text: &str) -> PathBuf {
        let path = self.path("in.jsonl");
        std::fs::write(&path, text).expect("room");
        path
    }

    /// The command in this folder, with the server as its API.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = command(self.folder.path(), args);
        command.env("RATE_LIMITED_BASE_URL", self.base_url());
        command
    }

    /// Runs `run in.jsonl -o out.jsonl` with these lines and further arguments.
    pub(crate) fn run(&self, lines: &str, args: &[&str]) -> Outcome {
        let child = self.start(lines, args);
        self.end(child)
    }

    /// As [`World::run`], where the output may be anything.
    pub(crate) fn run_text(&self, lines: &str, args: &[&str]) -> Outcome {
        Outcome::of(self.start(lines, args))
    }

    /// Runs any command, whose lines are not looked at.
    pub(crate) fn run_command(&self, args: &[&str]) -> Outcome {
        Outcome::of(spawn(self.command(args)))
    }

    pub(crate) fn base_url(&self) -> String {
        format!("http://{}/v1", self.server.addr())
    }

    /// Starts what [`World::run`] runs.
    pub(crate) fn start(&self, lines: &str, args: &[&str]) -> Child {
        self.input(lines);
        let all = [&["run", "in.jsonl", "-o", "out.jsonl"], args].concat();
        spawn(self.command(&all))
    }

    /// Waits for the end of a command.
    pub(crate) fn end(&self, child: Child) -> Outcome {
        let output = child.wait_with_output().expect("it runs");
        let [stdout, stderr] =
            [output.stdout, output.stderr].map(|text| String::from_utf8(text).expect("text"));
        let file = std::fs::read_to_string(self.path("out.jsonl")).unwrap_or_default();
        for text in [&stdout, &stderr, &file] {
            assert!(!text.contains("CANARY"), "the key is shown: {text}");
        }
        let text = if file.is_empty() { &stdout } else { &file };
        let parse = |line: &str| serde_json::from_str(line).expect("a line of JSON");
        let is_json = text.starts_with('{');
        let lines = text.lines().filter(|_| is_json).map(parse).collect();
        Outcome {
            code: output.status.code(),
            lines,
            stderr,
            stdout,
        }
    }

    /// Waits until the server has seen so many requests.
    pub(crate) fn wait_for_arrivals(&self, count: u64) {
        let started = Instant::now();
        while self.stats().arrivals < count {
            assert!(
                started.elapsed() < Duration::from_secs(20),
                "{:?}",
                self.stats()
            );
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Outcome {
    pub(crate) fn of(child: Child) -> Outcome {
        let output = child.wait_with_output().expect("it runs");
        let [stdout, stderr] =
            [output.stdout, output.stderr].map(|text| String::from_utf8(text).expect("text"));
        Outcome {
            code: output.status.code(),
            stderr,
            stdout,
            lines: Vec::new(),
        }
    }

    /// The values of one field, such as `/error/code`; texts without quotes.
    pub(crate) fn all(&self, pointer: &str) -> Vec<String> {
        let text = |value: &Value| {
            value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned)
        };
        let value = |line: &Value| line.pointer(pointer).map_or_else(String::new, text);
        self.lines.iter().map(value).collect()
    }

    #[track_caller]
    pub(crate) fn expect(&self, code: i32, lines: usize) {
        assert_eq!(self.code, Some(code), "{}", self.stderr);
        assert_eq!(self.lines.len(), lines, "{}", self.stderr);
    }

    /// All lines are there, in the order of [`requests`].
    #[track_caller]
    pub(crate) fn expect_order(&self) {
        let expected: Vec<_> = (1..=self.lines.len()).map(|n| format!("r{n}")).collect();
        assert_eq!(self.all("/custom_id"), expected);
    }

    pub(crate) fn count(&self, code: &str) -> usize {
        self.all("/error/code")
            .iter()
            .filter(|it| *it == code)
            .count()
    }
}

/// The command in a folder, with a key and without the rest of the environment.
pub(crate) fn command(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rate-limited"));
    command.current_dir(folder).args(args);
    command
        .env_remove("OPENAI_BASE_URL")
        .env_remove("RATE_LIMITED_BASE_URL");
    command
        .env("OPENAI_API_KEY", KEY)
        .env("NO_PROXY", "127.0.0.1");
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

pub(crate) fn spawn(mut command: Command) -> Child {
    command.spawn().expect("the command starts")
}

/// Writes to standard input and closes it.
pub(crate) fn feed(child: &mut Child, text: &str) {
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(text.as_bytes()).expect("somebody reads");
}

pub(crate) fn signal(child: &Child, name: &str) {
    let pid = child.id().to_string();
    let status = Command::new("kill").args(["-s", name, &pid]).status();
    assert!(status.expect("kill is there").success());
}

/// So many requests, named r1, r2, …, of different sizes.
pub(crate) fn requests(count: usize) -> String {
    (1..=count).map(|number| request(number, "")).collect()
}

/// One request; `more` goes into its body.
pub(crate) fn request(number: usize, more: &str) -> String {
    let tokens = 10 + 20 * (number % 5);
    let content = format!("Poem {number}. ").repeat(1 + number % 3);
    format!(
        "{{\"custom_id\":\"r{number}\",\"body\":{{\"messages\":[{{\"role\":\"user\",\
         \"content\":\"{content}\"}}],\"max_tokens\":{tokens}{more}}}}}\n"
    )
}

//! APIs by their names or one's own descriptions: how they are called, what they charge, what they refuse.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Output;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::world::{KEY, command};

/// What came: the first line of a request, its headers in small letters, its body.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    line: String,
    headers: Vec<(String, String)>,
    pub(crate) body: Value,
}

impl Sent {
    fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// What is answered to the n-th request, from 1: a status and a body.
type Answers = dyn Fn(usize, &Sent) -> (u16, String) + Send + Sync;

/// What every answer of these servers names as the limit of its requests.
const NAMED: u32 = 5;

/// A server that answers as it is told, and a folder.
pub(crate) struct World {
    addr: SocketAddr,
    sent: Arc<Mutex<Vec<Sent>>>,
    folder: TempDir,
}

impl World {
    pub(crate) fn new(
        answers: impl Fn(usize, &Sent) -> (u16, String) + Send + Sync + 'static,
    ) -> World {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let addr = listener.local_addr().expect("it listens");
        let sent: Arc<Mutex<Vec<Sent>>> = Arc::default();
        let (log, answers): (_, Arc<Answers>) = (Arc::clone(&sent), Arc::new(answers));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (log, answers) = (Arc::clone(&log), Arc::clone(&answers));
                // A client that goes away ends its connection.
                thread::spawn(move || serve(stream, &log, &*answers));
            }
        });
        let folder = tempfile::tempdir().expect("a folder");
        World { addr, sent, folder }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn sent(&self) -> Vec<Sent> {
        self.sent.lock().expect("no panic").clone()
    }

    /// Where it is.
    pub(crate) fn url(&self, base: &str) -> String {
        format!("http://{}{base}", self.addr)
    }

    /// Runs the command with this server as the API at `base`.
    pub(crate) fn run(&self, base: &str, args: &[&str]) -> Output {
        let url = self.url(base);
        let all = [
            &["run", "in.jsonl", "-o", "out.jsonl", "--base-url", &url],
            args,
        ]
        .concat();
        let mut command = command(self.folder.path(), &all);
        for name in ["ANTHROPIC_API_KEY", "STRIPE_API_KEY", "MY_KEY"] {
            command.env(name, KEY);
        }
        let output = command.output().expect("it runs");
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(!told.contains("CANARY"), "{told}");
        output
    }

    pub(crate) fn lines(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.path("out.jsonl")).expect("an output");
        let parse = |line| serde_json::from_str(line).expect("a line of JSON");
        text.lines().map(parse).collect()
    }

    pub(crate) fn input(&self, lines: &[&str]) {
        fs::write(self.path("in.jsonl"), lines.join("\n")).expect("room");
    }
}

fn serve(stream: TcpStream, log: &Mutex<Vec<Sent>>, answers: &Answers) -> Option<()> {
    let mut writer = stream.try_clone().ok()?;
    let mut reader = BufReader::new(stream);
    loop {
        let mut head = Vec::new();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).ok()? == 0 {
                return None;
            }
            match line.trim_end() {
                "" => break,
                line => head.push(line.to_owned()),
            }
        }
        let headers: Vec<_> = head[1..]
            .iter()
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
            .collect();
        let mut sent = Sent {
            line: head[0].clone(),
            headers,
            body: Value::Null,
        };
        let length = sent.header("content-length").unwrap_or("0").parse().ok()?;
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        sent.body = serde_json::from_slice(&body).unwrap_or_default();
        let number = {
            let mut log = log.lock().ok()?;
            log.push(sent.clone());
            log.len()
        };
        let (status, body) = answers(number, &sent);
        let length = body.len();
        write!(
            writer,
            "HTTP/1.1 {status} x\r\ncontent-type: application/json\r\nx-limit: {NAMED}\r\nx-left: a few\r\n\
             content-length: {length}\r\n\r\n{body}"
        )
        .ok()?;
    }
}

pub(crate) fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[track_caller]
pub(crate) fn expect(output: &Output, code: i32) {
    assert_eq!(output.status.code(), Some(code), "{}", told(output));
}

const MESSAGE: &str =
    r#"{"model":"claude-fable-5","max_tokens":400,"messages":[{"role":"user","content":"Hi"}]}"#;

fn anthropic_answer() -> (u16, String) {
    let text = r#"{"id":"m","type":"message","content":[{"type":"text","text":"Hello"}],
        "usage":{"input_tokens":8,"output_tokens":10}}"#;
    (200, text.to_owned())
}

#[test]
fn anthropic_gets_its_headers_and_is_charged_what_was_used() {
    let world = World::new(|_, _| anthropic_answer());
    // Of bounds of 400 only two would fit; what they use is a fortieth.
    world.input(&[MESSAGE; 20]);
    let limits = ["--limit", "output_tokens=1000/1h", "--max-concurrent", "1"];
    let args = [&["--api", "anthropic", "--deadline", "20s"], &limits[..]].concat();
    let output = world.run("/v1", &args);
    expect(&output, 0);
    let sent = world.sent();
    assert_eq!(sent.len(), 20);
    for sent in sent {
        assert_eq!(sent.line, "POST /v1/messages HTTP/1.1");
        assert_eq!(sent.header("x-api-key"), Some(KEY));
        assert_eq!(sent.header("authorization"), None);
        assert_eq!(sent.header("anthropic-version"), Some("2023-06-01"));
        assert_eq!(sent.body["max_tokens"], 400);
    }
    let answers = world.lines();
    let text = answers[7].pointer("/response/body/content/0/text");
    assert_eq!(text.and_then(Value::as_str), Some("Hello"));
}

/// An API may count `max_tokens`, whatever an answer takes: two calls fit, and nothing comes back.
#[test]
fn openai_is_charged_what_was_reserved() {
    let answer = r#"{"id":"c","choices":[],"usage":{"total_tokens":10}}"#;
    let world = World::new(move |_, _| (200, answer.to_owned()));
    world.input(&[r#"{"model":"m","max_tokens":400,"messages":[]}"#; 5]);
    let args = ["--limit", "tokens=1000/1h", "--deadline", "1s"];
    let output = world.run("/v1", &[&["--api", "openai"], &args[..]].concat());
    expect(&output, 3);
    assert_eq!(world.sent().len(), 2, "{}", told(&output));
    assert_eq!(world.sent()[0].line, "POST /v1/chat/completions HTTP/1.1");
    // An API of which nothing is known but its form gives back what was not used.
    fs::remove_file(world.path("out.jsonl")).expect("an output");
    let output = world.run("/v1", &[&["--fresh"], &args[..]].concat());
    expect(&output, 0);
}

#[test]
fn a_tier_limits_what_nobody_limits() {
    let world = World::new(|_, _| anthropic_answer());
    world.input(&[MESSAGE]);
    let args = [
        "--api",
        "anthropic",
        "--tier",
        "start",
        "--model",
        "claude-fable-5",
    ];
    let output = world.run("/v1", &[&args[..], &["--limit", "requests=50/1m"]].concat());
    expect(&output, 0);
    let told = told(&output);
    for limit in [
        "requests=50/1m",
        "input_tokens=500000/1m",
        "output_tokens=100000/1m",
    ] {
        assert!(told.contains(limit), "{told}");
    }
    assert!(!told.contains("requests=1000"), "{told}");
}

#[test]
fn a_call_has_one_idempotency_key_for_all_its_attempts_and_runs() {
    // Of three calls the second one fails in the first run, twice.
    let is_bad = |number: usize, sent: &Sent| number < 5 && sent.body["n"] == 2;
    let world = World::new(move |number, sent| {
        let status = if is_bad(number, sent) { 500 } else { 200 };
        (status, "{}".to_owned())
    });
    world.input(&["1", "2", "3"].map(|n| &*format!("{{\"n\":{n},\"input\":\"x\"}}").leak()));
    let api = [
        "--api",
        "stripe",
        "--endpoint",
        "/v1/charges",
        "--max-concurrent",
        "1",
    ];
    let output = world.run("", &[&api[..], &["--max-retries", "1"]].concat());
    expect(&output, 1);
    let output = world.run("", &[&api[..], &["--retry-failed"]].concat());
    expect(&output, 0);
    let keys = |sent: &[Sent], n: u64| -> Vec<String> {
        let of_call = sent.iter().filter(|it| it.body["n"] == n);
        let key = |it: &Sent| it.header("idempotency-key").expect("a key").to_owned();
        of_call.map(key).collect()
    };
    let sent = world.sent();
    let [one, two, three] = [1, 2, 3].map(|n| keys(&sent, n));
    assert_eq!([one.len(), two.len(), three.len()], [1, 3, 1]);
    assert!(two.iter().all(|key| *key == two[0]), "{two:?}");
    assert!(one[0] != two[0] && two[0] != three[0] && one[0] != three[0]);
    assert_eq!(one[0].len(), 32);
    // Who starts over means other calls.
    expect(&world.run("", &[&api[..], &["--fresh"]].concat()), 0);
    assert_ne!(keys(&world.sent()[sent.len()..], 1), one);
}

#[test]
fn a_description_of_ones_own_is_enough() {
    let world = World::new(|number, sent| match number {
        1 => (403, r#"{"error":"too fast, friend"}"#.to_owned()),
        _ => (200, format!("{{\"echo\":{}}}", sent.body["input"])),
    });
    world.input(&[r#"{"input":"a"}"#, r#"{"input":"b"}"#]);
    let description = r#"
        name = "weather"
        title = "Weather of the world"
        as_of = "2026-11-24"
        source = "https://weather.example/docs/limits"
        auth = { query = "token" }
        key_env = "MY_KEY"
        [[endpoints]]
        path = "/forecast"
        class = "forecast"
        [[resources]]
        name = "characters"
        unit = "characters"
        window = "1h"
        limit = 1000
        cost = { characters = 1 }
        [[rules]]
        status = 403
        when = { at = "error", has = "too fast" }
        class = "throttled"
    "#;
    fs::write(world.path("weather.toml"), description).expect("room");
    let output = world.run("/v1", &["--api", "weather.toml", "--max-concurrent", "1"]);
    expect(&output, 0);
    let told = told(&output);
    assert!(told.contains("characters=1000/1h"), "{told}");
    assert!(told.contains("1 refusal"), "{told}");
    let lines: Vec<_> = world.sent().into_iter().map(|sent| sent.line).collect();
    let line = format!("POST /v1/forecast?token={KEY} HTTP/1.1");
    assert_eq!(lines, [line.clone(), line.clone(), line]);
    let first = &world.lines()[0];
    assert_eq!(
        first.pointer("/response/body/echo"),
        Some(&Value::from("a"))
    );
    for name in ["out.jsonl", "out.jsonl.journal"] {
        let bytes = fs::read(world.path(name)).expect("a file");
        assert!(!bytes.windows(6).any(|part| part == b"CANARY"), "{name}");
    }
}

/// A limit that the answers name holds, where it is lower than the one that was told, and no other.
#[test]
fn a_lower_limit_of_the_server_holds() {
    let description = r#"
        name = "mine"
        title = "Mine"
        as_of = "2026-11-24"
        source = "https://mine.example"
        [[resources]]
        name = "calls"
        unit = "requests"
        window = "1s"
        cost = { request = 1 }
        feedback = { limit = "header:x-limit", remaining = "header:x-left" }
    "#;
    for (told, windows) in [("50", 3), ("2", 7)] {
        let world = World::new(|_, _| (200, "{}".to_owned()));
        fs::write(world.path("mine.toml"), description).expect("room");
        world.input(&[r#"{"input":"a"}"#; 16]);
        let limit = format!("calls={told}/1s");
        let args = [
            "--api",
            "mine.toml",
            "--endpoint",
            "/x",
            "--max-concurrent",
            "1",
        ];
        let started = Instant::now();
        let output = world.run("/v1", &[&args[..], &["--limit", &limit]].concat());
        expect(&output, 0);
        let told_of = String::from_utf8_lossy(&output.stderr);
        let warning = "warning: the API's header:x-left cannot be read and is left alone";
        assert_eq!(told_of.matches(warning).count(), 1, "{told_of}");
        // Fewer, and more than that many calls had gone in one window.
        let least = Duration::from_secs(windows);
        assert!(
            started.elapsed() >= least,
            "{told}: {:?}",
            started.elapsed()
        );
    }
}

#[test]
fn an_account_that_has_run_dry_stops_the_run() {
    let error = r#"{"error":{"code":"insufficient_quota","type":"insufficient_quota","message":"no credit"}}"#;
    for api in [&["--api", "openai"][..], &[]] {
        let world = World::new(move |_, _| (429, error.to_owned()));
        world.input(&[r#"{"model":"m","messages":[]}"#; 300]);
        let output = world.run("/v1", api);
        expect(&output, 3);
        let sent = world.sent().len();
        assert!(sent <= 10, "{sent} requests");
        assert_eq!(world.lines().len(), 300);
    }
}

#[test]
fn what_is_not_known_is_told_before_anything_is_sent() {
    let world = World::new(|_, _| anthropic_answer());
    world.input(&[MESSAGE]);
    fs::write(world.path("bad.toml"), "name = 7").expect("room");
    for (args, message) in [
        (&["--api", "antropic"][..], "did you mean \"anthropic\"?"),
        (
            &["--api", "./none.toml"],
            "the description ./none.toml of an API is not usable: ",
        ),
        (
            &["--api", "bad.toml"],
            "the description bad.toml of an API is not usable: ",
        ),
        (
            &["--api", "anthropic", "--tpm", "5"],
            "known are requests, input_tokens, output_tokens",
        ),
        (
            &["--api", "anthropic", "--tier", "gold"],
            "anthropic has no tier 'gold': known are start, build, scale",
        ),
        (
            &["--api", "voyage", "--tier", "gold"],
            "voyage has no tier 'gold'",
        ),
        (&["--tier", "gold"], "--api"),
    ] {
        let output = world.run("/v1", args);
        expect(&output, 2);
        let told = told(&output);
        assert!(told.contains(message), "{args:?}: {told}");
    }
    assert!(world.sent().is_empty());
    let mut command = command(world.folder.path(), &["run", "in.jsonl", "-o", "x"]);
    let output = command.args(["--api", "azure-openai"]).output();
    let told = told(&output.expect("it runs"));
    assert!(
        told.contains("pass --base-url, such as https://{resource}"),
        "{told}"
    );
}

#[test]
fn apis_are_listed_and_explained() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = |args: &[&str]| {
        let output = command(folder.path(), args).output().expect("it runs");
        expect(&output, 0);
        String::from_utf8(output.stdout).expect("text")
    };
    let list = text(&["apis"]);
    assert!(list.lines().count() >= 23, "{list}");
    assert!(list.lines().any(|line| line.starts_with("anthropic ")));
    let one = text(&["apis", "Anthropic"]);
    assert!(one.contains("$ANTHROPIC_API_KEY") && one.contains("output_tokens"));
    let unknown = command(folder.path(), &["apis", "nope"]).output();
    expect(&unknown.expect("it runs"), 2);
}

#[test]
fn headers_of_ones_own_are_sent_and_those_that_are_asked_for_must_be() {
    let world = World::new(|_, _| (200, r#"{"object":"page"}"#.to_owned()));
    world.input(&[r#"{"custom_id":"a","method":"GET","url":"/pages/1"}"#]);
    let output = world.run("/v1", &["--api", "notion"]);
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(
        told.contains("asks for the header Notion-Version"),
        "{told}"
    );
    assert!(world.sent().is_empty());
    let headers = [
        "--header",
        "Notion-Version: 2026-03-11",
        "--header",
        "User-Agent: me",
    ];
    let output = world.run("/v1", &[&["--api", "notion"], &headers[..]].concat());
    assert!(output.status.success());
    let sent = world.sent();
    assert_eq!(sent[0].line, "GET /v1/pages/1 HTTP/1.1");
    assert_eq!(sent[0].header("notion-version"), Some("2026-03-11"));
    assert_eq!(sent[0].header("user-agent"), Some("me"));
}

#[test]
fn rows_become_requests_of_the_shape_that_the_api_takes() {
    let contents = r#"{"candidates":[{"content":{"parts":[{"text":"Hello"}]}}],
        "usageMetadata":{"promptTokenCount":8,"candidatesTokenCount":10,"totalTokenCount":18}}"#;
    let vector = r#"{"data":[{"embedding":[0.5,1]}],"usage":{"total_tokens":3}}"#;
    let chat = r#"{"choices":[{"message":{"content":"Hello"}}],"usage":{"total_tokens":18}}"#;
    let cat = json!({"role": "user", "content": "Say cat"});
    for (api, model, more, answer, (path, body, answers)) in [
        (
            "anthropic",
            "claude-fable-5",
            &["--system", "Be {{tone}}"][..],
            anthropic_answer().1,
            (
                "/v1/messages",
                json!({"model": "claude-fable-5", "max_tokens": 1024, "system": "Be brief",
                    "messages": [cat]}),
                "Hello,,1,18",
            ),
        ),
        (
            "anthropic",
            "claude-fable-5",
            &["--body", r#"{"max_tokens": 5}"#],
            anthropic_answer().1,
            (
                "/v1/messages",
                json!({"model": "claude-fable-5", "max_tokens": 5, "messages": [cat]}),
                "Hello,,1,18",
            ),
        ),
        (
            "gemini",
            "gemini-3-flash",
            &[
                "--max-tokens",
                "9",
                "--body",
                r#"{"generationConfig":{"seed":1}}"#,
            ],
            contents.to_owned(),
            (
                "/v1/models/gemini-3-flash:generateContent",
                json!({"contents": [{"role": "user", "parts": [{"text": "Say cat"}]}],
                    "generationConfig": {"maxOutputTokens": 9, "seed": 1}}),
                "Hello,,1,18",
            ),
        ),
        (
            "voyage",
            "voyage-3",
            &[],
            vector.to_owned(),
            (
                "/v1/embeddings",
                json!({"model": "voyage-3", "input": "Say cat"}),
                "\"[0.5,1]\",,1,3",
            ),
        ),
        (
            "openai",
            "gpt-5",
            &["--max-tokens", "9"],
            chat.to_owned(),
            (
                "/v1/chat/completions",
                json!({"model": "gpt-5", "max_completion_tokens": 9, "messages": [cat]}),
                "Hello,,1,18",
            ),
        ),
    ] {
        let world = World::new(move |_, _| (200, answer.clone()));
        fs::write(world.path("in.csv"), "animal,tone\ncat,brief\n").expect("room");
        let url = world.url("/v1");
        let args = ["run", "in.csv", "-o", "out.csv", "--base-url", &url];
        let ask = ["--prompt", "Say {{animal}}", "--api", api, "--model", model];
        let mut command = command(world.folder.path(), &[&args, &ask, more].concat());
        let output = command.output().expect("it runs");
        expect(&output, 0);
        let sent = world.sent();
        assert_eq!(sent[0].line, format!("POST {path} HTTP/1.1"), "{api}");
        assert_eq!(sent[0].body, body, "{api}");
        let table = fs::read_to_string(world.path("out.csv")).expect("a table");
        assert_eq!(
            table.lines().nth(1),
            Some(&*format!("cat,brief,{answers}")),
            "{api}"
        );
    }
}

//! An API whose answers name the quota that they speak of: searches have one of their own.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Output;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value;
use tempfile::TempDir;

use crate::world::{KEY, command};

/// Searches, in so many seconds.
const SEARCHES: u64 = 20;
const SECONDS: u64 = 5;

/// What is known of it: that its answers name quotas, and not which calls take from which.
const HUB: &str = r#"
name = "hub"
title = "Hub"
as_of = "2026-11-28"
source = "this test"
base_url = "https://hub.example.com"
auth = { header = "Authorization", prefix = "Bearer " }
key_env = "HUB_TOKEN"

[[endpoints]]
path = "/*"
class = "read"

[[resources]]
name = "primary"
unit = "requests"
kind = "fixed"
window = "1h"
anchor = "server"
key = "header:x-ratelimit-resource"
cost = { request = 1 }
[resources.feedback]
limit = "header:x-ratelimit-limit"
remaining = "header:x-ratelimit-remaining"
reset = { from = "header:x-ratelimit-reset", format = "epoch", means = "window_end", plus = "1s" }

[[rules]]
status = 403
class = "throttled"
resource = "primary"

[[waits]]
from = "header:x-ratelimit-reset"
format = "epoch"
plus = "1s"

[[tiers]]
name = "user"
limits = { primary = 5_000 }
"#;

/// What the server counts of one quota.
#[derive(Clone, Debug, Default)]
struct Quota {
    used: u64,
    /// The end of its window, in whole seconds since 1970.
    end: u64,
    passed: usize,
    refused: usize,
    last: Option<Instant>,
}

type Quotas = Arc<Mutex<BTreeMap<&'static str, Quota>>>;

/// A server, and a folder with its description.
struct World {
    addr: SocketAddr,
    quotas: Quotas,
    folder: TempDir,
}

impl World {
    fn new() -> World {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let addr = listener.local_addr().expect("it listens");
        let quotas = Quotas::default();
        let counted = Arc::clone(&quotas);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let counted = Arc::clone(&counted);
                // A client that goes away ends its connection.
                thread::spawn(move || serve(stream, &counted));
            }
        });
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("hub.toml"), HUB).expect("room");
        World {
            addr,
            quotas,
            folder,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(&self, args: &[&str]) -> Output {
        let url = format!("http://{}", self.addr);
        let begin = ["run", "in.jsonl", "-o", "out.jsonl", "--base-url", &url];
        let all = [&begin[..], &["--api", "hub.toml", "--json-progress"], args].concat();
        let output = command(self.folder.path(), &all)
            .env("HUB_TOKEN", KEY)
            .output()
            .expect("it runs");
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(!told.contains("CANARY"), "{told}");
        output
    }

    /// So many searches, and as many requests of other paths, in turns.
    fn input(&self, each: usize) {
        let line = |n: usize| {
            let letters = ["ant", "bee", "cat", "dog"][n % 4];
            format!(
                "{{\"method\": \"GET\", \"url\": \"/search/issues?q={n}\"}}\n\
                 {{\"method\": \"GET\", \"url\": \"/repos/o/{letters}/issues/{n}\"}}\n"
            )
        };
        let lines: String = (0..each).map(line).collect();
        fs::write(self.path("in.jsonl"), lines).expect("room");
    }

    fn quota(&self, name: &str) -> Quota {
        let quotas = self.quotas.lock().expect("no panic");
        quotas.get(name).cloned().unwrap_or_default()
    }
}

fn seconds() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.expect("after 1970").as_secs()
}

/// Takes one of a quota. Its name, its limit, what it has used, the end of its window, and whether that went well.
fn take(quotas: &Quotas, path: &str) -> (&'static str, u64, Quota, bool) {
    let (name, limit, window) = if path.starts_with("/search/") {
        ("search", SEARCHES, SECONDS)
    } else {
        ("core", 5_000, 3_600)
    };
    let mut quotas = quotas.lock().expect("no panic");
    let quota = quotas.entry(name).or_default();
    if seconds() >= quota.end {
        (quota.used, quota.end) = (0, seconds() + window);
    }
    let passes = quota.used < limit;
    if passes {
        quota.used += 1;
        quota.passed += 1;
    } else {
        quota.refused += 1;
    }
    quota.last = Some(Instant::now());
    (name, limit, quota.clone(), passes)
}

fn serve(stream: TcpStream, quotas: &Quotas) -> Option<()> {
    let mut writer = stream.try_clone().ok()?;
    let mut reader = BufReader::new(stream);
    loop {
        let (mut first, mut length) = (String::new(), 0);
        reader.read_line(&mut first).ok().filter(|read| *read > 0)?;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
            let lower = line.trim_end().to_lowercase();
            if let Some(told) = lower.strip_prefix("content-length:") {
                length = told.trim().parse().ok()?;
            }
            if lower.is_empty() {
                break;
            }
        }
        reader.read_exact(&mut vec![0; length]).ok()?;
        let path = first.split(' ').nth(1)?;
        let (name, limit, quota, passes) = take(quotas, path);
        thread::sleep(Duration::from_millis(50));
        let (status, body) = if passes {
            (200, r#"{"items": []}"#)
        } else {
            (403, r#"{"message": "too many"}"#)
        };
        let remaining = limit - quota.used;
        let (used, end, length) = (quota.used, quota.end, body.len());
        write!(
            writer,
            "HTTP/1.1 {status} x\r\ncontent-type: application/json\r\nx-ratelimit-limit: {limit}\r\n\
             x-ratelimit-remaining: {remaining}\r\nx-ratelimit-used: {used}\r\nx-ratelimit-reset: {end}\r\n\
             x-ratelimit-resource: {name}\r\ncontent-length: {length}\r\n\r\n{body}"
        )
        .ok()?;
    }
}

/// The limits in the last line of the progress, by name.
fn limits(output: &Output) -> BTreeMap<String, Value> {
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    let lines = told.lines();
    let mut lines = lines.filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let last = lines.rfind(|line| line["limits"].is_array());
    let last = last.unwrap_or_else(|| panic!("progress: {told}"));
    let limits = last["limits"].as_array().expect("limits").iter();
    let named = limits.map(|it| {
        (
            it["name"].as_str().unwrap_or_default().to_owned(),
            it.clone(),
        )
    });
    named.collect()
}

#[test]
fn each_part_is_filled_and_none_waits_for_another() {
    for args in [
        &["--tier", "user"][..],
        // Nobody told a limit.
        &[],
        // What is told for one part is no limit for the others: theirs are found out.
        &["--limit", "primary[search]=100/5s"],
    ] {
        let world = World::new();
        world.input(50);
        let started = Instant::now();
        let args = [args, &["--max-concurrent", "16"]].concat();
        let output = world.run(&args);
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{told}");
        let [search, core] = ["search", "core"].map(|name| world.quota(name));
        assert_eq!((search.passed, core.passed), (50, 50), "{told}");
        // Sixteen at once are fewer than pass; on a busy machine a request may arrive a window late.
        assert!(search.refused <= 2, "{args:?}: {search:?} {told}");
        assert_eq!(core.refused, 0, "{told}");
        // Three windows, each of which ends when the answers say, and not an hour later.
        let took = started.elapsed();
        assert!(
            took < Duration::from_secs(3 * SECONDS + 4),
            "{args:?}: {took:?}"
        );
        let core_took = core.last.map(|last| last - started);
        assert!(
            core_took < Some(Duration::from_secs(SECONDS)),
            "{args:?}: {core_took:?}"
        );
        let limits = limits(&output);
        assert!(limits.contains_key("primary[search]"), "{limits:?}");
        assert!(limits.contains_key("primary[core]"), "{limits:?}");
    }
}

#[test]
fn what_was_told_for_a_part_holds() {
    let world = World::new();
    world.input(10);
    let started = Instant::now();
    let told = [
        "--limit",
        "primary=5000/1h",
        "--limit",
        "primary[search]=4/2s",
    ];
    let output = world.run(&[&told[..], &["--max-concurrent", "2"]].concat());
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{told}");
    // What was in flight before the first answer is not known to be a search; the rest goes four by four.
    let took = started.elapsed();
    assert!(took >= Duration::from_secs(2), "{took:?}: {told}");
    assert_eq!(world.quota("search").refused, 0, "{told}");
}

#[test]
fn a_resumed_run_goes_on_with_what_was_used_of_each_part() {
    let world = World::new();
    world.input(12);
    let first = world.run(&["--tier", "user"]);
    assert_eq!(first.status.code(), Some(0));
    // Thirteen more searches: eight of them fit into the window, if it is still the same one.
    world.input(25);
    let second = world.run(&["--tier", "user", "--on-change", "rerun"]);
    let told = String::from_utf8_lossy(&second.stderr);
    assert_eq!(second.status.code(), Some(0), "{told}");
    let [search, core] = ["search", "core"].map(|name| world.quota(name));
    assert_eq!((search.passed, core.passed), (25, 25), "{told}");
    let limits = limits(&second);
    let used = |name: &str| {
        limits
            .get(name)
            .map(|it| it["used"].as_f64().unwrap_or(-1.0))
    };
    assert!(used("primary[core]") >= Some(25.0), "{limits:?}");
}

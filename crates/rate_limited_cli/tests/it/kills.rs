//! The command, killed at any moment, again and again: what it acknowledged is never lost and never sent
//! again, and the limits hold across the runs.
//!
//! `RATE_LIMITED_KILLS` says how many times; the default is 200, and 3,000 with `RATE_LIMITED_SOAK`.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rate_limited_sim::{ApiModel, Latency};
use rate_limited_store::peek;
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::dice::Dice;
use crate::logged::Logged;
use crate::world::command;

/// Kills in all.
const KILLS: u64 = 200;

/// Kills in all of the long version.
const KILLS_OF_A_SOAK: u64 = 3_000;

/// Jobs that are run, and killed, side by side.
const JOBS: u64 = 4;

/// The calls of a job: more than a job ends before it was killed some thirty times.
const CALLS: usize = 300;

const MAX_CONCURRENT: u32 = 8;

/// What is allowed in any two seconds: less than the calls in flight could take.
const QUOTA: usize = 200;
const WINDOW: Duration = Duration::from_secs(2);

/// What is less than that by as much as a busy machine may delay a request, or not its neighbour of two
/// seconds ago.
const WINDOW_AT_LEAST: Duration = Duration::from_millis(1_800);

/// How long a run lives, in milliseconds: every other one from its start, the others from the moment at
/// which a request of it has come.
const LIVES: std::ops::Range<u64> = 5..80;

/// How long such a moment is waited for: the limits may be full.
const PATIENCE: Duration = Duration::from_millis(500);

/// What came of all jobs.
#[derive(Debug, Default)]
struct Tally {
    kills: AtomicU64,
    acknowledged: AtomicU64,
    repeats: AtomicU64,
    half_lines: AtomicU64,
    jobs: AtomicU64,
    /// The fullest window of any server, in thousandths of the quota.
    fullest: AtomicU64,
}

/// A job, and all that is known of it from outside.
struct Job {
    server: Logged,
    folder: TempDir,
    /// Whether its requests come from standard input.
    is_stream: bool,
    /// What its results survive: commits that wait for the disk are wider targets.
    durability: &'static str,
    /// Lines of the output that were seen, by the name of their call.
    acknowledged: HashMap<String, String>,
    /// The requests of those calls when they were first seen.
    hits: HashMap<String, u32>,
    kills: u64,
    /// Calls that the journal had as in flight, at all kills together.
    unknown: u64,
    /// Calls that the journal had as done.
    done: u64,
}

impl Job {
    async fn start(number: u64) -> Job {
        let model = ApiModel::new(number)
            .latency(Latency::Uniform {
                min: Duration::ZERO,
                max: Duration::from_millis(60),
            })
            .failure_rate(if number.is_multiple_of(2) { 0.0 } else { 0.03 });
        let folder = tempfile::tempdir().expect("a folder");
        let lines: String = (0..CALLS).map(line).collect();
        fs::write(folder.path().join("in.jsonl"), lines).expect("room");
        Job {
            server: Logged::start(model, false).await,
            folder,
            is_stream: number % JOBS == JOBS - 1,
            durability: if number % JOBS < 2 {
                "power"
            } else {
                "process"
            },
            acknowledged: HashMap::new(),
            hits: HashMap::new(),
            kills: 0,
            unknown: 0,
            done: 0,
        }
    }

    fn output(&self) -> PathBuf {
        self.folder.path().join("out.jsonl")
    }

    fn command(&self) -> Command {
        let limit = format!("requests={QUOTA}/2s");
        let concurrent = MAX_CONCURRENT.to_string();
        let input = if self.is_stream { "-" } else { "in.jsonl" };
        let args = ["run", input, "-o", "out.jsonl", "--limit", &limit];
        let more = [
            "--max-concurrent",
            &concurrent,
            "--durability",
            self.durability,
        ];
        // A call that was in flight in ten kills is not sent any more, but with this.
        let again = ["--retry-failed"];
        let mut command = command(self.folder.path(), &[&args[..], &more, &again].concat());
        command.env("RATE_LIMITED_BASE_URL", self.server.base_url());
        let lines = fs::File::open(self.folder.path().join("in.jsonl"));
        command.stdin(lines.expect("an input"));
        command
    }

    /// Runs for a while, perhaps from the first request on, then kills. Whether the run came to its end
    /// before.
    fn kill_after(&mut self, life: Duration, sends: bool) -> bool {
        let mut command = self.command();
        let stderr = fs::File::create(self.folder.path().join("stderr")).expect("room");
        command.stdout(Stdio::null()).stderr(stderr);
        let before = self.server.arrivals();
        let started = Instant::now();
        let mut child = command.spawn().expect("it starts");
        while sends && self.server.arrivals() == before && started.elapsed() < PATIENCE {
            thread::sleep(Duration::from_millis(1));
        }
        thread::sleep(life);
        if let Some(status) = child.try_wait().expect("it can be asked") {
            let told = fs::read_to_string(self.folder.path().join("stderr"));
            assert_eq!(status.code(), Some(0), "{told:?}");
            return true;
        }
        child.kill().expect("it runs");
        let status = child.wait().expect("it ends");
        if status.code().is_some() {
            // It ended by itself at that moment.
            return status.success();
        }
        false
    }

    /// Looks at the journal as a kill has left it.
    fn look_at_journal(&mut self) {
        self.kills += 1;
        let path = self.folder.path().join("out.jsonl.journal");
        if !path.exists() {
            return;
        }
        let peeked = peek(&path).expect("a whole journal");
        assert_eq!((peeked.lost, peeked.holder), (0, None));
        let counts = peeked.counts;
        assert!(counts.done >= self.done, "results are gone");
        self.unknown += counts.unknown;
        self.done = counts.done;
    }

    /// Looks at what a run left behind. Whether the output ends with half a line.
    fn look(&mut self) -> bool {
        let text = fs::read_to_string(self.output()).unwrap_or_default();
        let mut lines: Vec<_> = text.split('\n').collect();
        let half = lines.pop().unwrap_or_default();
        for (index, line) in lines.iter().enumerate() {
            let value: Value = serde_json::from_str(line).expect("a whole line");
            let name = format!("r{index}");
            assert_eq!(value["custom_id"], *name, "the lines are in order");
            assert!(value["error"].is_null(), "only results: {value}");
            let answer = value["response"]["body"]["id"].as_str().expect("an answer");
            assert!(
                answer.starts_with(&format!("{name}-")),
                "{answer} for {name}"
            );
            let before = self.acknowledged.insert(name.clone(), (*line).to_owned());
            if let Some(before) = before {
                assert_eq!(before, *line, "an answer was replaced");
            }
            let hits = self.server.call(&name).hits;
            let before = *self.hits.entry(name.clone()).or_insert(hits);
            assert_eq!(
                hits, before,
                "{name} was sent again after it was acknowledged"
            );
        }
        assert!(
            lines.len() >= self.acknowledged.len(),
            "acknowledged lines are gone"
        );
        !half.is_empty()
    }

    /// Lets the run come to its end, and counts.
    fn finish(mut self, tally: &Tally) {
        let output = self.command().output().expect("it runs");
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{told}");
        assert!(!self.look(), "half a line at the end");
        assert_eq!(self.acknowledged.len(), CALLS);
        let calls = self.server.calls();
        let repeats: u64 = calls.values().map(|call| u64::from(call.repeats())).sum();
        let most = self.unknown.min(self.kills * u64::from(MAX_CONCURRENT));
        assert!(repeats <= most, "{repeats} repeats in {} kills", self.kills);
        let most = self.server.most_within(WINDOW_AT_LEAST);
        assert!(most <= QUOTA, "{most} requests within {WINDOW_AT_LEAST:?}");
        self.verify();
        tally
            .acknowledged
            .fetch_add(CALLS as u64, Ordering::Relaxed);
        tally.repeats.fetch_add(repeats, Ordering::Relaxed);
        tally.jobs.fetch_add(1, Ordering::Relaxed);
        let fullest = (self.server.most_within(WINDOW) * 1_000 / QUOTA) as u64;
        tally.fullest.fetch_max(fullest, Ordering::Relaxed);
    }

    fn verify(&self) {
        let args = ["status", "out.jsonl", "--verify"];
        let output = command(self.folder.path(), &args)
            .output()
            .expect("it runs");
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{told}");
    }
}

fn line(number: usize) -> String {
    format!("{{\"custom_id\":\"r{number}\",\"body\":{{\"user\":\"r{number}\",\"messages\":[]}}}}\n")
}

/// Kills jobs until there were enough kills.
fn work(number: u64, kills: u64, runtime: &Runtime, tally: &Tally) {
    let mut dice = Dice(number);
    let mut seed = number;
    while tally.kills.load(Ordering::Relaxed) < kills {
        let mut job = runtime.block_on(Job::start(seed));
        seed += JOBS;
        while tally.kills.load(Ordering::Relaxed) < kills {
            let life = Duration::from_millis(dice.next(LIVES));
            let is_over = job.kill_after(life, dice.next(0..2) == 0);
            let half = job.look();
            if is_over {
                break;
            }
            job.look_at_journal();
            tally.kills.fetch_add(1, Ordering::Relaxed);
            tally
                .half_lines
                .fetch_add(u64::from(half), Ordering::Relaxed);
        }
        job.finish(tally);
    }
}

fn kills() -> u64 {
    let told = std::env::var("RATE_LIMITED_KILLS").ok();
    let usual = match std::env::var_os("RATE_LIMITED_SOAK") {
        Some(_) => KILLS_OF_A_SOAK,
        None => KILLS,
    };
    told.and_then(|kills| kills.parse().ok()).unwrap_or(usual)
}

#[test]
fn kills_lose_nothing_and_repeat_nothing_that_is_done() {
    let kills = kills();
    let runtime = Runtime::new().expect("a runtime");
    let tally = Tally::default();
    let started = Instant::now();
    thread::scope(|scope| {
        for number in 0..JOBS {
            let (runtime, tally) = (&runtime, &tally);
            scope.spawn(move || work(number, kills, runtime, tally));
        }
    });
    let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
    let (kills, repeats) = (of(&tally.kills), of(&tally.repeats));
    eprintln!(
        "{kills} kills of {} jobs in {:.0?}: {} calls acknowledged, 0 lost, 0 of them sent again; {repeats} \
         unknown calls sent again ({:.2} a kill, at most {MAX_CONCURRENT} in flight); {} half lines at the end; \
         fullest window {:.1} % of the quota",
        of(&tally.jobs),
        started.elapsed(),
        of(&tally.acknowledged),
        repeats as f64 / kills as f64,
        of(&tally.half_lines),
        of(&tally.fullest) as f64 / 10.0,
    );
    assert!(
        of(&tally.half_lines) <= kills / 100,
        "half lines are common"
    );
}

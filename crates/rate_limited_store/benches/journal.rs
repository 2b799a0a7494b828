//! What the journal costs: calls a second and CPU a call with 64 in flight, dispatch and result recorded,
//! beside what the disk can do; and how long a journal of a million calls takes to open.
//!
//! `cargo bench -p rate_limited_store --bench journal`
#![allow(clippy::print_stdout, missing_docs)]

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use rate_limited_store::{
    Digest, Dispatch, Durability, End, Found, Journal, Options, Record, Walk,
};
use rustix::time::{ClockId, clock_gettime};

const IN_FLIGHT: usize = 64;
const BODY_BYTES: usize = 1_000;

fn main() {
    let folder = tempfile::tempdir().expect("a folder");
    for round in 1..=3 {
        println!("round {round}");
        let syncs = fdatasyncs(folder.path());
        println!("  the disk: {syncs:.0} fdatasync/s");
        let (speed, cpu) = calls(folder.path(), Durability::Process, 200_000);
        println!("  process: {speed:.0} calls/s, {cpu:.1} µs of CPU a call (bars: 20,000 and 25)");
        let (speed, _) = calls(folder.path(), Durability::Power, 10_000);
        let times = speed / syncs;
        println!("  power: {speed:.0} calls/s, {times:.1} × the disk's fdatasync/s (bar: 5 ×)");
    }
    million(folder.path());
}

/// How often a second the disk takes 200 bytes for good.
fn fdatasyncs(folder: &Path) -> f64 {
    let mut file = File::create(folder.join("sync")).expect("room");
    let started = Instant::now();
    let mut count = 0;
    while started.elapsed() < Duration::from_secs(1) {
        file.write_all(&[7; 200]).expect("room");
        file.sync_data().expect("a disk");
        count += 1;
    }
    f64::from(count) / started.elapsed().as_secs_f64()
}

fn open(path: &Path, durability: Durability) -> Journal {
    let options = Options {
        durability,
        max_concurrent: IN_FLIGHT as u32,
        ..Options::default()
    };
    Journal::open(path, &options).expect("room").journal
}

fn key(call: u64) -> Digest {
    Digest::of(&[&call.to_le_bytes()])
}

/// Calls a second, and microseconds of CPU a call: both threads, keys and answers included.
fn calls(folder: &Path, durability: Durability, count: u64) -> (f64, f64) {
    let path = folder.join("run.journal");
    rate_limited_store::remove(&path).expect("possible");
    let journal = open(&path, durability);
    let (tell, news) = channel();
    journal.on_news(move || {
        let _ = tell.send(());
    });
    let (started, cpu) = (Instant::now(), cpu());
    run(&journal, &news, count);
    let (took, cpu) = (started.elapsed().as_secs_f64(), self::cpu() - cpu);
    drop(journal);
    (count as f64 / took, cpu * 1e6 / count as f64)
}

/// A closed loop: an attempt leaves when its dispatch is safe, and the next when its result is.
fn run(journal: &Journal, news: &Receiver<()>, count: u64) {
    let mut next = 0;
    let mut waiting = std::collections::VecDeque::new();
    for _ in 0..IN_FLIGHT {
        waiting.push_back(dispatch(journal, &mut next));
    }
    let mut done = 0;
    while done < count {
        let written = journal.written();
        while let Some((ticket, call, is_result)) = waiting.front().copied() {
            if ticket > written {
                break;
            }
            waiting.pop_front();
            if is_result {
                done += 1;
                waiting.push_back(dispatch(journal, &mut next));
            } else {
                let end = End::done(call, key(call), key(call), 1, Some(vec![b'x'; BODY_BYTES]));
                let ticket = journal.push(Record::End(end)).expect("open");
                waiting.push_back((ticket, call, true));
            }
        }
        if journal.written() == written {
            news.recv().expect("a writer");
        }
    }
}

fn dispatch(journal: &Journal, next: &mut u64) -> (u64, u64, bool) {
    let call = *next;
    *next += 1;
    let dispatch = Dispatch {
        position: call,
        key: key(call),
        request: key(call),
        attempt: 1,
        crashes: 0,
        reserved: Vec::new(),
    };
    (
        journal.push(Record::Dispatch(dispatch)).expect("open"),
        call,
        false,
    )
}

/// A journal of a million calls of 1 kB: opening it, and walking through the same inputs.
fn million(folder: &Path) {
    let count = 1_000_000;
    let path = folder.join("million.journal");
    let journal = open(&path, Durability::Process);
    let mut last = 0;
    for call in 0..count {
        let end = End::done(call, key(call), key(call), 1, Some(vec![b'x'; BODY_BYTES]));
        last = journal.push(Record::End(end)).expect("open");
        if call % 4_096 == 0 {
            journal.wait(last).expect("room");
        }
    }
    journal.wait(last).expect("room");
    drop(journal);
    let before = resident();
    let started = Instant::now();
    let journal = open(&path, Durability::Process);
    println!(
        "a million calls of 1 kB: opened in {:.2?} (bar: 2 s)",
        started.elapsed()
    );
    let started = Instant::now();
    let mut walk = Walk::new(&journal).expect("readable");
    let known = |call| matches!(walk.look(key(call), key(call)), Ok(Found::Over(_)));
    assert_eq!(
        (0..count).map(known).filter(|known| *known).count() as u64,
        count
    );
    println!(
        "  walked in {:.2?}; {} MB more resident",
        started.elapsed(),
        (resident() - before) >> 10
    );
}

/// Resident memory, in kB.
fn resident() -> i64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().nth(1));
    number.expect("a number").parse().expect("a number")
}

/// The CPU time of the process, in seconds.
fn cpu() -> f64 {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    now.tv_sec as f64 + now.tv_nsec as f64 / 1e9
}

//! What the driver adds to the core: lateness of wake-ups, CPU while it waits, and its own cost a call.
//!
//! `count LIMITS CALLS` does that many instant calls and nothing else, for `benches/instructions`; `flat CALLS` shows how
//! much memory they take while they go, for `benches/stream`.

#![expect(
    clippy::print_stdout,
    reason = "a benchmark reports on standard output"
)]

use rate_limited::{Inputs, Quota, Resource, Runner};
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const SPACING: Duration = Duration::from_millis(5);
const WAKE_UPS: u32 = 1_000;
const IDLE: Duration = Duration::from_secs(10);
const CALLS: u64 = 1_000_000;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let runtime = runtime.expect("a runtime");
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize| args.get(at).and_then(|text| text.parse().ok());
    match (args.first().map(String::as_str), number(1), number(2)) {
        (Some("count"), Some(limits), Some(calls)) => runtime.block_on(instant(limits, calls)),
        (Some("flat"), Some(calls), _) => runtime.block_on(flat(calls)),
        _ => runtime.block_on(async {
            lateness().await;
            idle().await;
            throughput().await;
        }),
    }
}

/// How much later than its moment each call goes that waits for a distance of 5 ms.
async fn lateness() {
    let sent = Arc::new(Mutex::new(Vec::new()));
    let times = Arc::clone(&sent);
    let mut runner = Runner::new(move |_: u32| {
        times.lock().expect("no panic").push(Instant::now());
        std::future::ready(Ok::<_, Infallible>(()))
    })
    .resource(Resource::new("spacing", Quota::Spacing { interval: SPACING }).guard(Duration::ZERO));
    runner
        .run_each(Inputs::iterate(0..WAKE_UPS), |_| {})
        .await
        .expect("a sound runner");
    let sent = sent.lock().expect("no panic");
    let late = |pair: &[Instant]| (pair[1] - pair[0]).saturating_sub(SPACING);
    let mut late: Vec<Duration> = sent.windows(2).map(late).collect();
    late.sort_unstable();
    let at = |percent: usize| late[(late.len() - 1) * percent / 100];
    let [p50, p99, max] = [at(50), at(99), at(100)];
    println!(
        "wake-up lateness over {WAKE_UPS} waits: p50 {p50:.2?}, p99 {p99:.2?}, most {max:.2?}"
    );
}

/// CPU time while nothing can go.
async fn idle() {
    let mut runner = Runner::new(|_: u32| std::future::ready(Ok::<_, Infallible>(())))
        .resource(Resource::per("requests", 1, IDLE));
    let before = cpu();
    runner
        .run_each(Inputs::iterate(0..2), |_| {})
        .await
        .expect("a sound runner");
    println!(
        "CPU while it waited for {IDLE:?}: {:?}",
        cpu().saturating_sub(before)
    );
}

/// Calls that end at once, without a limit and with two that do not bind.
async fn throughput() {
    for limits in [0, 2] {
        let (start, before) = (Instant::now(), cpu());
        instant(limits, CALLS).await;
        let (took, used) = (start.elapsed().as_secs_f64(), cpu().saturating_sub(before));
        let rate = CALLS as f64 / took / 1_000.0;
        let each = used.as_secs_f64() * 1e6 / CALLS as f64;
        println!("instant calls, {limits} limits: {rate:.0} k/s, {each:.2} µs of CPU a call");
    }
}

async fn instant(limits: u64, calls: u64) {
    let mut ended = 0_u64;
    runner(limits)
        .run_each(Inputs::iterate(0..calls), |_| ended += 1)
        .await
        .expect("a sound runner");
    assert_eq!(ended, calls);
}

/// Resident memory at each tenth of the way, in the order in which calls end and in that of the input.
async fn flat(calls: u64) {
    let shown = |what: &str, ended: &mut u64| {
        *ended += 1;
        if (*ended).is_multiple_of((calls / 10).max(1)) {
            println!("{what} {ended} {}", resident());
        }
    };
    let mut ended = 0;
    runner(2)
        .run_each(Inputs::iterate(0..calls), |_| shown("run_each", &mut ended))
        .await
        .expect("a sound runner");
    let results = runner(2).stream(Inputs::iterate(0..calls));
    let mut results = results.expect("a sound runner");
    ended = 0;
    while results.next().await.is_some() {
        shown("stream", &mut ended);
    }
}

fn runner(limits: u64) -> Runner<u64, u64> {
    let mut runner = Runner::new(|n: u64| std::future::ready(Ok::<_, Infallible>(n)));
    for name in ["requests", "tokens"].into_iter().take(limits as usize) {
        runner = runner.resource(Resource::per_minute(name, 1_000_000_000_u64));
    }
    runner
}

/// The CPU time of this process so far; zero where the system does not tell. A tick is 10 ms.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks = after_name
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|n| n.parse::<u64>().ok());
    Duration::from_millis(ticks.sum::<u64>() * 10)
}

/// The resident memory of this process, in bytes; 0 where the system does not tell.
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|n| n.parse::<u64>().ok());
    pages.unwrap_or(0) * 4_096
}

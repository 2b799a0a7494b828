//! Many tasks and two runners on one limiter: no window is ever over quota, and nothing leaks.

use proptest::prelude::*;
use rate_limited::{Handle, Inputs, Limiter, Resource, Runner};
use std::io::Error;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

const TASKS: u64 = 64;

/// What left when, and how much of it the server counts.
type Log = Arc<Mutex<Vec<(Duration, u64)>>>;

#[derive(Clone, Copy, Debug)]
enum End {
    Settled {
        used: u64,
    },
    Failed,
    Refused {
        after_ms: Option<u64>,
    },
    DroppedUnsent,
    DroppedSent,
    /// The future is dropped after this time, granted or not.
    Impatient {
        ms: u64,
    },
    /// Asked for without waiting.
    AtOnce,
}

#[derive(Clone, Debug)]
struct Ask {
    start_ms: u64,
    cost: u64,
    hold_ms: u64,
    end: End,
}

fn end() -> impl Strategy<Value = End> {
    prop_oneof![
        4 => (0..30_u64).prop_map(|used| End::Settled { used }),
        2 => Just(End::Failed),
        1 => prop::option::of(0..300_u64).prop_map(|after_ms| End::Refused { after_ms }),
        2 => Just(End::DroppedUnsent),
        2 => Just(End::DroppedSent),
        2 => (0..2_000_u64).prop_map(|ms| End::Impatient { ms }),
        2 => Just(End::AtOnce),
    ]
}

fn ask() -> impl Strategy<Value = Ask> {
    (0..3_000_u64, 1..30_u64, 0..400_u64, end()).prop_map(|(start_ms, cost, hold_ms, end)| Ask {
        start_ms,
        cost,
        hold_ms,
        end,
    })
}

/// One task: asks, sends, and ends as told. Tells how much was refused at once.
async fn play(limiter: Limiter, ask: Ask, origin: Instant, log: Log) {
    sleep(Duration::from_millis(ask.start_ms)).await;
    let cost = ("tokens", ask.cost);
    let reservation = match ask.end {
        End::Impatient { ms } => timeout(Duration::from_millis(ms), limiter.acquire(cost))
            .await
            .ok(),
        End::AtOnce => limiter.try_acquire(cost).ok().map(Ok),
        _ => Some(limiter.acquire(cost).await),
    };
    let Some(reservation) = reservation else {
        return;
    };
    let mut reservation = reservation.expect("a sound cost");
    let hold = Duration::from_millis(ask.hold_ms);
    if matches!(ask.end, End::DroppedUnsent) {
        return sleep(hold).await;
    }
    sleep(hold / 2).await;
    reservation.sent();
    let sent = origin.elapsed();
    sleep(hold / 2).await;
    let counted = match ask.end {
        End::Settled { used } => {
            let used = used.min(ask.cost);
            reservation.settle(("tokens", used)).expect("a sound usage");
            used
        }
        End::Refused { after_ms } => {
            reservation.refused(after_ms.map(Duration::from_millis));
            0
        }
        End::Failed => {
            reservation.failed();
            ask.cost
        }
        _ => ask.cost,
    };
    log.lock().expect("sound").push((sent, counted));
}

/// A runner of 60 calls of which every seventh fails once.
async fn batch(
    limiter: &Limiter,
    cost: u64,
    origin: Instant,
    log: &Log,
    shown: &Mutex<Option<Handle>>,
) -> u64 {
    let log = Arc::clone(log);
    let mut runner = Runner::new(move |n: u64| {
        let log = Arc::clone(&log);
        async move {
            log.lock().expect("sound").push((origin.elapsed(), cost));
            sleep(Duration::from_millis(n % 50)).await;
            Ok::<_, Error>(n)
        }
    })
    .limiter(limiter)
    .resource(Resource::shared("tokens").cost(move |_: &u64| cost));
    *shown.lock().expect("sound") = Some(runner.handle());
    let summary = runner.run_each(Inputs::iterate(0..60), |_| ()).await;
    summary.expect("a sound runner").progress.done
}

async fn world(asks: Vec<Ask>, quota: u64, window: Duration, costs: (u64, u64)) {
    let tokens = Resource::per("tokens", quota, window).guard(Duration::ZERO);
    let limiter = Limiter::on_tokio_clock([tokens]).expect("a sound quota");
    let (origin, log) = (Instant::now(), Log::default());
    let tasks: Vec<_> = asks
        .into_iter()
        .map(|ask| tokio::spawn(play(limiter.clone(), ask, origin, Arc::clone(&log))))
        .collect();
    let handles = [Mutex::new(None), Mutex::new(None)];
    let mut all = Box::pin(async {
        let (one, two) = tokio::join!(
            batch(&limiter, costs.0, origin, &log, &handles[0]),
            batch(&limiter, costs.1, origin, &log, &handles[1]),
        );
        assert_eq!((one, two), (60, 60));
        for task in tasks {
            task.await.expect("no panic");
        }
    });
    let ended = timeout(Duration::from_secs(36_000), &mut all).await;
    if ended.is_err() {
        let waits = handles.each_ref().map(|handle| {
            let handle = handle.lock().expect("sound");
            let handle = handle.as_ref().expect("it runs");
            let view = handle.view();
            (
                view.progress.done,
                view.progress.waiting,
                view.progress.in_flight,
                view.wait,
            )
        });
        let last = log.lock().expect("sound").last().copied();
        panic!(
            "somebody waits for ever: {waits:?}, {:?}, last {last:?}",
            limiter.view()
        );
    }
    drop(all);
    let mut log = log.lock().expect("sound").clone();
    log.sort_unstable();
    for (place, (end, _)) in log.iter().enumerate() {
        let within = log[..=place]
            .iter()
            .rev()
            .take_while(|(at, _)| *at + window > *end);
        let sum: u64 = within.map(|(_, counted)| counted).sum();
        assert!(
            sum <= quota,
            "{sum} of {quota} in the window that ends at {end:?}"
        );
    }
    assert_eq!(limiter.view()[0].held.to_string(), "0");
    sleep(window + Duration::from_secs(3_600)).await;
    assert_eq!(limiter.view()[0].charged.to_string(), "0");
    // All of it can be had again, at once.
    let all = limiter.try_acquire(("tokens", quota));
    all.expect("nothing leaks").failed();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn no_window_is_over_quota_whoever_shares_it(
        asks in prop::collection::vec(ask(), TASKS as usize),
        quota in 30..200_u64,
        window_ms in 200..5_000_u64,
        costs in (1..20_u64, 1..20_u64),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime");
        runtime.block_on(world(asks, quota, Duration::from_millis(window_ms), costs));
    }
}

/// Real threads and the real clock: what leaves is counted by whoever lets it leave.
#[test]
fn threads_and_runners_keep_one_quota_in_real_time() {
    let window = Duration::from_millis(400);
    let tokens = Resource::per("tokens", 50, window).guard(Duration::ZERO);
    let limiter = Limiter::new([tokens]).expect("a sound quota");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_time()
        .build()
        .expect("a runtime");
    let (granted, origin) = (Arc::new(Mutex::new(Vec::new())), std::time::Instant::now());
    let task = |n: u64| {
        let (limiter, granted) = (limiter.clone(), Arc::clone(&granted));
        async move {
            for _ in 0..3 {
                let mut reservation = limiter.acquire(()).await.expect("a sound cost");
                // Before it is told: what is charged is charged from a later moment on.
                granted.lock().expect("sound").push(origin.elapsed());
                reservation.sent();
                tokio::task::yield_now().await;
                if n.is_multiple_of(2) {
                    reservation.settle(()).expect("a sound usage");
                }
            }
        }
    };
    runtime.block_on(async {
        let tasks: Vec<_> = (0..TASKS).map(|n| tokio::spawn(task(n))).collect();
        for task in tasks {
            task.await.expect("no panic");
        }
    });
    let mut granted = granted.lock().expect("sound").clone();
    granted.sort_unstable();
    assert_eq!(granted.len(), 192);
    let view = &limiter.view()[0];
    assert_eq!(view.held.to_string(), "0");
    // 50 at a time: the 51st leaves a window after the first at the earliest, and so on. A thread may be
    // stopped between the grant and its note, so what is noted is never early.
    for (place, at) in granted.iter().enumerate() {
        let earliest = window * u32::try_from(place / 50).expect("few");
        let earliest = earliest.saturating_sub(Duration::from_millis(1));
        assert!(*at >= earliest, "{place} left at {at:?}");
    }
}

//! What a hostile reading of the driver found: each was wrong once.

use rate_limited::{Amount, AttemptError, Class, Inputs, Order, Quota, Resource, Runner};
use std::io::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

async fn double(n: u32) -> Result<u32, Error> {
    Ok(n * 2)
}
fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

#[tokio::test(start_paused = true)]
async fn second_run_gives_what_was_scheduled_since() {
    let mut r = Runner::new(double).tokio_clock();
    r.schedule(1).expect("sound");
    r.run().await.expect("sound");
    r.schedule(5).expect("sound");
    let v: Vec<_> = r
        .run()
        .await
        .expect("sound")
        .into_iter()
        .map(|c| (c.value, c.finished))
        .collect();
    assert_eq!(v, [(Some(10), true)]);
}

#[tokio::test(start_paused = true)]
async fn run_each_then_run() {
    let mut r = Runner::new(double).tokio_clock();
    r.run_each(Inputs::iterate(0..1000), |_| {})
        .await
        .expect("sound");
    r.schedule(5).expect("sound");
    let v = r.run().await.expect("sound");
    assert_eq!(
        v.len(),
        1,
        "unfinished ones: {}",
        v.iter().filter(|c| !c.finished).count()
    );
}

#[tokio::test(start_paused = true)]
async fn schedule_then_run_each_then_run() {
    let mut r = Runner::new(double).tokio_clock();
    r.schedule(5).expect("sound");
    r.run_each(Inputs::none(), |_| {}).await.expect("sound");
    let v = r.run().await.expect("sound");
    assert!(v.iter().all(|c| c.finished), "{v:?}");
}

#[tokio::test(start_paused = true)]
async fn call_timeout_says_attempt_timeout() {
    let mut r = Runner::new(|n: u32| async move {
        sleep(secs(100)).await;
        Ok::<_, Error>(n)
    })
    .call_timeout(Some(secs(5)))
    .tokio_clock();
    r.schedule(1).expect("sound");
    let v = r.run().await.expect("sound");
    assert!(
        matches!(v[0].errors[..], [AttemptError::CallTimedOut]),
        "{:?}",
        v[0].errors
    );
}

#[tokio::test(start_paused = true)]
async fn a_resource_after_schedule_is_refused() {
    let mut r = Runner::new(double).tokio_clock();
    r.schedule(1).expect("sound");
    let mut r = r.resource(Resource::per("requests", 1, secs(10)));
    let error = r.schedule(2).expect_err("it would not be kept");
    assert!(
        error.to_string().contains("declare everything before"),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn deadline_while_idle() {
    let (tx, rx) = mpsc::channel::<u32>(1);
    tokio::spawn(async move {
        sleep(secs(1000)).await;
        drop(tx);
    });
    let mut r = Runner::new(double).deadline(Some(secs(10))).tokio_clock();
    let start = Instant::now();
    let s = r
        .run_each(Inputs::channel(rx), |_| {})
        .await
        .expect("sound");
    assert!(
        start.elapsed() <= secs(11),
        "{:?} {:?}",
        start.elapsed(),
        s.stop
    );
}

#[tokio::test(start_paused = true)]
async fn stalled_after_idle() {
    let (tx, rx) = mpsc::channel::<u32>(1);
    tokio::spawn(async move {
        tx.send(0).await.expect("sound");
        sleep(secs(3600)).await;
        tx.send(1).await.expect("sound");
        sleep(secs(10)).await;
    });
    let mut r = Runner::new(|n: u32| async move {
        if n == 0 {
            Err(Error::other("x"))
        } else {
            Ok(n)
        }
    })
    .max_retries(0)
    .tokio_clock();
    let s = r
        .run_each(Inputs::channel(rx), |_| {})
        .await
        .expect("sound");
    assert_eq!((s.stop, s.progress.done), (None, 1));
}

#[test]
fn two_runtimes() {
    let n = Arc::new(AtomicU32::new(0));
    let m = n.clone();
    let mut r = Runner::new(move |x: u32| {
        m.fetch_add(1, Ordering::SeqCst);
        async move {
            sleep(Duration::from_millis(300)).await;
            Ok::<_, Error>(x)
        }
    })
    .attempt_timeout(Some(secs(5)));
    r.schedule(1).expect("sound");
    let rt = tokio::runtime::Runtime::new().expect("sound");
    rt.block_on(async {
        let _ = timeout(Duration::from_millis(50), r.run()).await;
    });
    drop(rt);
    let start = std::time::Instant::now();
    let v = r.run_blocking().expect("sound");
    assert!(matches!(v[0].errors[..], [AttemptError::Lost]), "{v:?}");
    assert_eq!(n.load(Ordering::SeqCst), 2);
    assert!(start.elapsed() < secs(2));
}

#[test]
fn endless_misfits_hear_no_stop() {
    let (done, ended) = std::sync::mpsc::channel();
    let mut r = Runner::new(double).resource(Resource::per_minute("r", 1).cost(|_: &u32| 2));
    let h = r.handle();
    std::thread::spawn(move || {
        let rt = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("sound");
        let s = rt.block_on(r.run_each(Inputs::iterate((0..).take(4_000_000_000)), |_| {}));
        let _ = done.send(s.expect("sound").stop);
    });
    std::thread::sleep(Duration::from_millis(300));
    h.halt();
    assert!(
        ended.recv_timeout(secs(3)).is_ok(),
        "halted 3 s ago, and still running"
    );
}

#[tokio::test(start_paused = true)]
async fn refused_zero() {
    let n = Arc::new(AtomicU32::new(0));
    let m = n.clone();
    let mut r = Runner::new(move |_: u32| {
        m.fetch_add(1, Ordering::SeqCst);
        async move {
            sleep(Duration::from_millis(10)).await;
            Err::<u32, _>(Error::other("429"))
        }
    })
    .classify(|_, _| Class::Refused {
        resource: None,
        retry_after: Some(Duration::ZERO),
    })
    .deadline(Some(secs(60)))
    .tokio_clock();
    r.schedule(1).expect("sound");
    r.run().await.expect("sound");
    assert!(
        n.load(Ordering::SeqCst) < 200,
        "{} requests in a minute, every one refused",
        n.load(Ordering::SeqCst)
    );
}

async fn zero_cost(order: Order) -> Vec<(u32, f64)> {
    let calls = Arc::new(std::sync::Mutex::new(vec![]));
    let c = calls.clone();
    let start = Instant::now();
    let mut r = Runner::new(move |n: u32| {
        c.lock()
            .expect("sound")
            .push((n, start.elapsed().as_secs_f64()));
        async move {
            sleep(secs(1)).await;
            Ok::<_, Error>(1)
        }
    })
    .resource(Resource::per("images", 1, secs(60)).cost(|n: &u32| *n))
    .resource(Resource::per("requests", 100, secs(60)))
    .order(order)
    .max_concurrent(2)
    .tokio_clock();
    for n in [1, 1, 1, 0, 0, 0, 0] {
        r.schedule(n).expect("sound");
    }
    r.run().await.expect("sound");
    calls.lock().expect("sound").clone()
}
#[tokio::test(start_paused = true)]
async fn zero_cost_waits_for_what_it_does_not_take() {
    let v = zero_cost(Order::Packed).await;
    assert!(
        v.iter().filter(|(n, _)| *n == 0).all(|(_, t)| *t < 10.0),
        "{v:?}"
    );
}
#[tokio::test(start_paused = true)]
async fn zero_cost_of_a_spent_budget_fails() {
    let mut r = Runner::new(double)
        .resource(
            Resource::new(
                "money",
                Quota::Budget {
                    amount: Amount::units(1),
                },
            )
            .cost(|n: &u32| *n),
        )
        .max_concurrent(1)
        .order(Order::InOrder)
        .tokio_clock();
    for n in [1, 0, 0] {
        r.schedule(n).expect("sound");
    }
    let v = r.run().await.expect("sound");
    assert!(v.iter().all(|c| c.value.is_some()), "{v:?}");
}

#[tokio::test(start_paused = true)]
async fn a_cost_or_a_clone_that_panics_fails_its_call_alone() {
    #[derive(Debug)]
    struct Odd(u32);
    impl Clone for Odd {
        fn clone(&self) -> Odd {
            assert!(self.0 != 1, "odd");
            Odd(self.0)
        }
    }
    let mut r = Runner::new(|n: Odd| async move { Ok::<_, Error>(n.0) })
        .resource(Resource::per_minute("r", 100).cost(|n: &Odd| {
            assert!(n.0 != 2, "odd");
            1
        }))
        .tokio_clock();
    let mut done = Vec::new();
    let inputs = Inputs::iterate((0..4).map(Odd));
    r.run_each(inputs, |f| done.push((f.index, f.result.value.is_some())))
        .await
        .expect("sound");
    done.sort_unstable();
    assert_eq!(done, [(0, true), (1, false), (2, false), (3, true)]);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_taken_from_the_inputs_after_a_fatal_answer() {
    let mut r = Runner::new(|_: u32| async { Err::<u32, _>(Error::other("bad key")) })
        .max_concurrent(2)
        .classify(|_, _| Class::Fatal)
        .tokio_clock();
    let (sender, inputs) = mpsc::channel::<u32>(1);
    let fed = tokio::spawn(async move {
        let mut sent = 0;
        while sender.send(sent).await.is_ok() {
            sent += 1;
            sleep(secs(1)).await;
        }
        sent
    });
    r.run_each(Inputs::channel(inputs), |_| {})
        .await
        .expect("sound");
    assert!(fed.await.expect("it ends") <= 4);
}

//! A runner with a journal: nothing repeated, nothing lost, no burst after a restart.

use rate_limited::journal::{OnChange, OnUnknown, Policy, Recording};
use rate_limited::{CallResult, Class, Inputs, Resource, RunError, Runner};
use rate_limited_store::peek;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A folder, and the requests that were really sent.
pub(crate) struct Place {
    folder: tempfile::TempDir,
    sent: Arc<Mutex<Vec<u32>>>,
}

type Text = Result<String, std::io::Error>;

impl Place {
    pub(crate) fn new() -> Place {
        Place {
            folder: tempfile::tempdir().expect("a folder"),
            sent: Arc::default(),
        }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("run.journal")
    }

    pub(crate) fn sent(&self) -> Vec<u32> {
        let mut sent = std::mem::take(&mut *self.sent.lock().expect("no panic"));
        sent.sort_unstable();
        sent
    }

    /// A runner that answers with the request as text.
    pub(crate) fn runner(
        &self,
        answer: impl Fn(u32) -> Text + Send + Sync + 'static,
    ) -> Runner<u32, String> {
        let sent = Arc::clone(&self.sent);
        let runner = Runner::new(move |n: u32| {
            sent.lock().expect("no panic").push(n);
            let answer = answer(n);
            async move { answer }
        });
        runner.max_retries(0).seed(1).tokio_clock()
    }

    pub(crate) fn recording(&self) -> Recording<u32, String> {
        Recording::json(self.path())
    }
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "it is what functions of runners give"
)]
pub(crate) fn good(n: u32) -> Text {
    Ok(format!("answer {n}"))
}

pub(crate) fn fails_at_3(n: u32) -> Text {
    if n == 3 {
        return Err(std::io::Error::other("three is bad"));
    }
    good(n)
}

async fn run(
    mut runner: Runner<u32, String>,
    calls: std::ops::Range<u32>,
) -> Vec<CallResult<String>> {
    for n in calls {
        runner.schedule(n).expect("undamaged");
    }
    let results = runner.run().await.expect("allowed");
    assert!(runner.journal_error().is_none());
    results
}

pub(crate) fn values(results: &[CallResult<String>]) -> Vec<Option<&str>> {
    results
        .iter()
        .map(|result| result.value.as_deref())
        .collect()
}

#[tokio::test]
async fn what_is_done_is_not_sent_again() {
    let place = Place::new();
    let first = run(place.runner(good).journal(place.recording()), 0..50).await;
    assert_eq!(place.sent().len(), 50);
    let second = run(place.runner(good).journal(place.recording()), 0..60).await;
    assert_eq!(place.sent(), (50..60).collect::<Vec<_>>());
    assert_eq!(values(&second)[..50], values(&first)[..]);
    assert_eq!(second[7].attempts, 1);
}

#[tokio::test]
async fn a_stopped_run_goes_on() {
    let place = Place::new();
    let runner = place.runner(good).journal(place.recording());
    let mut runner = runner.max_concurrent(1);
    for n in 0..20 {
        runner.schedule(n).expect("undamaged");
    }
    let handle = runner.handle();
    let mut told = 0;
    let summary = runner
        .run_each(Inputs::none(), |_| {
            told += 1;
            if told == 5 {
                handle.stop();
            }
        })
        .await
        .expect("allowed");
    assert!(summary.stop.is_some());
    drop(runner);
    let before = place.sent().len();
    assert!((5..20).contains(&before), "{before}");
    let results = run(place.runner(good).journal(place.recording()), 0..20).await;
    assert_eq!(place.sent().len(), 20 - before);
    assert!(results.iter().all(|result| result.value.is_some()));
}

#[tokio::test]
async fn failed_calls_are_run_again_on_demand() {
    let place = Place::new();
    let first = run(place.runner(fails_at_3).journal(place.recording()), 0..5).await;
    assert_eq!(values(&first)[3], None);
    place.sent();
    let second = run(place.runner(good).journal(place.recording()), 0..5).await;
    assert_eq!(place.sent(), Vec::<u32>::new());
    assert_eq!(second[3].errors[0].to_string(), "three is bad");
    assert_eq!((second[3].finished, second[3].attempts), (true, 1));
    let policy = Policy {
        retry_failed: true,
        ..Policy::default()
    };
    let recording = place.recording().policy(policy);
    let third = run(place.runner(good).journal(recording), 0..5).await;
    assert_eq!(place.sent(), [3]);
    assert_eq!(values(&third)[3], Some("answer 3"));
}

#[tokio::test]
async fn changed_requests_are_told_and_not_mixed() {
    let place = Place::new();
    let keyed = || place.recording().key(|n: &u32| (n % 10).to_string());
    run(place.runner(good).journal(keyed()), 0..10).await;
    place.sent();
    let mut runner = place.runner(good).journal(keyed());
    for n in [0, 1, 12, 13, 4] {
        runner.schedule(n).expect("undamaged");
    }
    let error = runner.run().await.expect_err("two have changed");
    let told = "the journal has other calls: 3 unchanged, 2 changed, 0 new and 5 gone";
    assert!(matches!(error, RunError::Record(_)));
    assert_eq!((error.to_string().as_str(), place.sent().len()), (told, 0));
    drop(runner);
    for (on_change, sent, answer) in [
        (OnChange::Keep, vec![], "answer 2"),
        (OnChange::Rerun, vec![12, 13], "answer 12"),
    ] {
        let policy = Policy {
            on_change,
            ..Policy::default()
        };
        let mut runner = place.runner(good).journal(keyed().policy(policy));
        for n in [0, 1, 12, 13, 4] {
            runner.schedule(n).expect("undamaged");
        }
        let results = runner.run().await.expect("allowed");
        assert_eq!(place.sent(), sent);
        assert_eq!(values(&results)[2], Some(answer));
    }
}

#[tokio::test]
async fn another_job_is_refused() {
    let place = Place::new();
    run(place.runner(good).journal(place.recording()), 0..10).await;
    let mut runner = place.runner(good).journal(place.recording());
    for n in 100..105 {
        runner.schedule(n).expect("undamaged");
    }
    let error = runner.run().await.expect_err("another job").to_string();
    assert!(
        error.contains("0 unchanged, 0 changed, 5 new and 10 gone"),
        "{error}"
    );
}

/// A run that is dropped in the middle is to the journal like a process that died.
async fn die_in_flight(place: &Place) {
    let sent = Arc::clone(&place.sent);
    let mut runner = Runner::new(move |n: u32| {
        sent.lock().expect("no panic").push(n);
        async move {
            if n == 1 {
                std::future::pending::<()>().await;
            }
            good(n)
        }
    })
    .journal(place.recording());
    for n in 0..3 {
        runner.schedule(n).expect("undamaged");
    }
    // Whatever the machine is busy with: until the journal has the results of the other two.
    let others_are_in = async {
        while peek(&place.path()).map_or(0, |found| found.counts.done) < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        _ = runner.run() => panic!("one call never ends"),
        () = others_are_in => {}
        () = tokio::time::sleep(Duration::from_secs(60)) => panic!("the others do not end"),
    }
    assert_eq!(place.sent(), [0, 1, 2]);
}

#[tokio::test]
async fn a_call_that_was_in_flight_is_sent_again_or_not_as_told() {
    for (on_unknown, sent) in [
        (OnUnknown::Skip, vec![]),
        (OnUnknown::Retry, vec![1]),
        (OnUnknown::Report, vec![]),
    ] {
        let place = Place::new();
        die_in_flight(&place).await;
        let policy = Policy {
            on_unknown,
            ..Policy::default()
        };
        let mut runner = place.runner(good).journal(place.recording().policy(policy));
        for n in 0..3 {
            runner.schedule(n).expect("undamaged");
        }
        let result = runner.run().await;
        assert_eq!(place.sent(), sent);
        match (on_unknown, result) {
            (OnUnknown::Report, result) => {
                let error = result.expect_err("to be told").to_string();
                assert!(error.starts_with("1 call was in flight"), "{error}");
            }
            (OnUnknown::Skip, result) => {
                let results = result.expect("allowed");
                assert_eq!((results[1].finished, &results[1].value), (false, &None));
            }
            (_, result) => assert_eq!(values(&result.expect("allowed"))[1], Some("answer 1")),
        }
    }
}

#[tokio::test]
async fn a_restart_knows_what_calls_use() {
    let place = Place::new();
    // Of bounds of 100, eight calls go at once; what they use is a tenth of that.
    let (now, most) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let runner = || {
        let (now, most) = (Arc::clone(&now), Arc::clone(&most));
        let tokens = Resource::per("tokens", 800, Duration::from_millis(250))
            .cost(|_: &u32| 100)
            .usage(|_: &u32, _: &String| 10)
            .learn(true);
        Runner::new(move |n: u32| {
            let (now, most) = (Arc::clone(&now), Arc::clone(&most));
            async move {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(40)).await;
                now.fetch_sub(1, Ordering::SeqCst);
                good(n)
            }
        })
        .max_retries(0)
        .resource(tokens)
        .journal(place.recording())
    };
    run(runner(), 0..40).await;
    most.store(0, Ordering::SeqCst);
    // None of what was charged before counts any more; what was learnt does.
    tokio::time::sleep(Duration::from_millis(300)).await;
    run(runner(), 0..64).await;
    let most = most.load(Ordering::SeqCst);
    assert!(most > 16, "{most} at once");
}

#[tokio::test]
async fn a_restart_does_not_burst() {
    let place = Place::new();
    let limited = || {
        let requests = Resource::per("requests", 10, Duration::from_secs(3_600));
        place
            .runner(good)
            .resource(requests)
            .journal(place.recording())
    };
    run(limited(), 0..8).await;
    place.sent();
    let mut runner = limited();
    for n in 0..20 {
        runner.schedule(n).expect("undamaged");
    }
    let run = runner.run();
    let _ = tokio::time::timeout(Duration::from_millis(500), run).await;
    assert_eq!(place.sent(), [8, 9], "two are left of ten in this hour");
}

#[tokio::test]
async fn a_bad_key_leaves_its_calls_to_the_next_run() {
    let place = Place::new();
    let runner = place.runner(|_| Err(std::io::Error::other("bad key")));
    let mut runner = runner
        .classify(|_, _| Class::Fatal)
        .max_concurrent(1)
        .journal(place.recording());
    for n in 0..3 {
        runner.schedule(n).expect("undamaged");
    }
    runner.run().await.expect("allowed");
    drop(runner);
    place.sent();
    let results = run(place.runner(good).journal(place.recording()), 0..3).await;
    assert_eq!(place.sent(), [0, 1, 2]);
    assert!(results.iter().all(|result| result.value.is_some()));
}

#[tokio::test]
async fn a_stream_is_resumed_too() {
    let place = Place::new();
    for (calls, expected) in [(500, 500), (700, 200)] {
        let mut runner = place.runner(good).journal(place.recording());
        let restored = AtomicU32::new(0);
        let mut values = vec![None; calls as usize];
        let summary = runner
            .run_each(Inputs::iterate(0..calls), |finished| {
                restored.fetch_add(u32::from(finished.restored), Ordering::Relaxed);
                values[finished.index as usize] = finished.result.value;
            })
            .await
            .expect("allowed");
        assert_eq!(place.sent().len(), expected);
        assert_eq!(summary.restored, u64::from(restored.into_inner()));
        assert!(
            values
                .iter()
                .enumerate()
                .all(|(n, value)| *value == good(n as u32).ok())
        );
    }
}

#[tokio::test]
async fn two_runners_do_not_share_a_journal() {
    let place = Place::new();
    let mut first = place.runner(good).journal(place.recording());
    first.schedule(1).expect("undamaged");
    let mut second = place.runner(good).journal(place.recording());
    let error = second.schedule(1).expect_err("in use").to_string();
    assert!(error.contains("is in use by process"), "{error}");
}

#[tokio::test]
async fn results_that_cannot_be_kept_are_told_and_stop_the_run() {
    /// JSON has no keys of this kind.
    #[derive(Clone, serde::Serialize, serde::Deserialize)]
    struct Odd(std::collections::BTreeMap<(u8, u8), u8>);

    let place = Place::new();
    let odd = Odd([((1, 2), 3)].into());
    let runner = Runner::new(move |_: u32| {
        let odd = odd.clone();
        async move { Ok::<_, std::io::Error>(odd) }
    });
    let mut runner = runner
        .max_concurrent(1)
        .journal(Recording::json(place.path()));
    for n in 0..5 {
        runner.schedule(n).expect("undamaged");
    }
    let results = runner.run().await.expect("allowed");
    assert!(results[0].value.is_some());
    assert!(results[4].value.is_none(), "nothing more was sent");
    let error = runner.journal_error().expect("it is told").to_string();
    assert!(error.contains("key must be a string"), "{error}");
    drop(runner);
    let again = run(place.runner(good).journal(place.recording()), 0..1).await;
    assert_eq!(place.sent(), Vec::<u32>::new(), "it was answered");
    assert_eq!(values(&again), [None]);
    assert!(Path::new(&place.path()).is_file());
}

/// A journal holds what its runner took, by the names of the resources, whatever else the limiter has.
#[tokio::test]
async fn a_journal_of_a_runner_on_a_shared_limiter_brings_its_own_charges_back() {
    let place = Place::new();
    let limiter = |names: [&'static str; 2]| {
        let resources = names.map(|name| Resource::per(name, 10, Duration::from_secs(3_600)));
        rate_limited::Limiter::on_tokio_clock(resources).expect("sound quotas")
    };
    let charged = |limiter: &rate_limited::Limiter| -> Vec<_> {
        let view = limiter.view().into_iter();
        view.map(|view| (view.resource.name().to_owned(), view.charged.to_string()))
            .collect()
    };
    let runner = |limiter: &rate_limited::Limiter| {
        let tokens = Resource::shared("tokens").cost(|_: &u32| 3);
        let runner = place.runner(good).limiter(limiter).resource(tokens);
        runner.journal(place.recording())
    };
    let first = limiter(["requests", "tokens"]);
    first
        .try_acquire([("requests", 4), ("tokens", 0)])
        .expect("it is free")
        .failed();
    assert_eq!(run(runner(&first), 0..2).await.len(), 2);
    let own = [
        ("requests".into(), "4".into()),
        ("tokens".into(), "6".into()),
    ];
    assert_eq!(charged(&first), own);
    // A process that knows nothing of the first one but the journal, and declares in another order.
    let second = limiter(["tokens", "requests"]);
    let results = run(runner(&second), 0..2).await;
    assert!(
        results.iter().all(|call| call.value.is_some()),
        "{results:?}"
    );
    assert_eq!(place.sent(), [0, 1], "nothing is sent twice");
    let back = [
        ("tokens".into(), "6".into()),
        ("requests".into(), "0".into()),
    ];
    assert_eq!(charged(&second), back);
}

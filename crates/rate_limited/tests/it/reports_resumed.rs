//! Reports of runners that went on with a journal: they tell of the earlier runs, too, and tell them apart.

use rate_limited::journal::{OnChange, Policy, Recording};
use rate_limited::{Report, Resource, Runner};
use std::path::Path;
use std::time::Duration;

/// What a runner finds: this many calls are asked for, those from `fails` on fail for good, and requests have this text.
#[derive(Clone, Copy)]
struct Job {
    calls: u32,
    fails: u32,
    text: &'static str,
    policy: Policy,
}

const JOB: Job = Job {
    calls: 20,
    fails: 18,
    text: "poem",
    policy: Policy {
        on_change: OnChange::Refuse,
        on_unknown: rate_limited::journal::OnUnknown::Retry,
        retry_failed: false,
    },
};

/// A runner of a process of its own, after its run.
async fn run(journal: &Path, job: Job) -> Runner<(u32, String), u32> {
    let mut runner = Runner::new(move |(number, _): (u32, String)| async move {
        if number < job.fails {
            Ok(number)
        } else {
            Err(std::io::Error::other("no"))
        }
    })
    .resource(Resource::per_minute("requests", 60_000))
    .max_retries(0)
    .journal(
        Recording::json(journal)
            .key(|(number, _): &(u32, String)| number.to_string())
            .policy(job.policy),
    );
    for number in 0..job.calls {
        let request = (number, job.text.to_owned());
        runner.schedule(request).expect("it fits");
    }
    runner.run().await.expect("a sound journal");
    runner
}

async fn report(journal: &Path, job: Job) -> Report {
    run(journal, job).await.report("poems")
}

fn over(report: &Report) -> (u64, u64, u64) {
    let calls = &report.calls;
    (calls.succeeded, calls.failed, report.attempts.total)
}

#[tokio::test]
async fn a_later_run_tells_of_the_earlier_ones() {
    let folder = tempfile::tempdir().expect("a folder");
    let journal = folder.path().join("run.journal");
    let first = report(&journal, JOB).await;
    assert_eq!((first.runs, first.earlier), (1, None));
    assert_eq!(over(&first), (18, 2, 20));

    // Nothing is left to do, and the report is there still.
    let second = report(&journal, JOB).await;
    let earlier = second.earlier.expect("there was a run before");
    assert_eq!((earlier.runs, earlier.calls, earlier.attempts), (1, 20, 20));
    assert_eq!((second.runs, over(&second)), (2, (18, 2, 20)));
    assert_eq!(second.latency.answers, 18);
    let slowest = second.slowest.iter();
    assert!(slowest.clone().count() > 0, "{second:?}");
    for call in slowest {
        assert!(call.call.ends_with(" of an earlier run"), "{}", call.call);
    }
    assert_eq!(second.notes, Vec::<String>::new());
    let text = second.to_text();
    let told = "of these, 20 calls and 20 attempts were in 1 earlier run";
    assert!(text.contains(told), "{text}");

    // More calls come, and are told with their own numbers.
    let more = report(
        &journal,
        Job {
            calls: 24,
            fails: 40,
            ..JOB
        },
    )
    .await;
    assert_eq!((more.runs, over(&more)), (3, (22, 2, 24)));
    let earlier = more.earlier.expect("there were runs before");
    assert_eq!((earlier.runs, earlier.calls), (2, 20));
}

#[tokio::test]
async fn a_call_that_is_run_again_is_one_call() {
    let folder = tempfile::tempdir().expect("a folder");
    let journal = folder.path().join("run.journal");
    run(&journal, JOB).await;
    let retry = Policy {
        retry_failed: true,
        ..JOB.policy
    };
    let retried = Job {
        fails: 19,
        policy: retry,
        ..JOB
    };
    assert_eq!(over(&report(&journal, retried).await), (19, 1, 22));
    let rerun = Policy {
        on_change: OnChange::Rerun,
        ..JOB.policy
    };
    let changed = Job {
        text: "ode",
        fails: 40,
        policy: rerun,
        ..JOB
    };
    let last = report(&journal, changed).await;
    assert_eq!(over(&last), (20, 0, 42));
    assert_eq!(last.notes, Vec::<String>::new());
}

#[tokio::test]
async fn without_its_statistics_a_journal_still_has_its_calls() {
    let folder = tempfile::tempdir().expect("a folder");
    let journal = folder.path().join("run.journal");
    run(&journal, JOB).await;
    let beside = rate_limited_store::Beside::of(&journal);
    assert!(beside.read().is_some(), "it was kept");
    beside.write(|| b"rubbish".to_vec()).expect("room");

    let later = report(
        &journal,
        Job {
            calls: 21,
            fails: 40,
            ..JOB
        },
    )
    .await;
    assert_eq!((later.runs, later.earlier), (1, None));
    assert_eq!(over(&later), (19, 2, 1));
    let note = &later.notes[0];
    assert!(note.starts_with("20 calls are over and not in"), "{note}");
}

#[tokio::test]
async fn an_attempt_after_those_of_an_earlier_run_is_a_retry() {
    let folder = tempfile::tempdir().expect("a folder");
    let journal = folder.path().join("run.journal");
    let asked = |fails: bool| {
        let mut runner = Runner::new(move |number: u32| async move {
            if fails {
                tokio::time::sleep(Duration::from_millis(20)).await;
                return Err(std::io::Error::other("busy"));
            }
            Ok(number)
        })
        .journal(Recording::json(&journal));
        for number in 0..4 {
            runner.schedule(number).expect("it fits");
        }
        runner
    };
    let mut first = asked(true);
    let handle = first.handle();
    let stop = async {
        tokio::time::sleep(Duration::from_millis(10)).await;
        handle.stop();
    };
    let (results, ()) = tokio::join!(first.run(), stop);
    assert_eq!(results.expect("a sound journal").len(), 4);
    drop(first);
    let mut second = asked(false);
    second.run().await.expect("a sound journal");
    let attempts = second.report("busy").attempts;
    assert_eq!((attempts.total, attempts.retries), (8, 4));
}

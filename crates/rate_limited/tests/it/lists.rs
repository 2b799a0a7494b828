//! One runner with a journal, and lists of calls one after another.

use crate::journal::{Place, fails_at_3, good, values};
use rate_limited::journal::Policy;
use rate_limited::{CallResult, Finished, Inputs, RunError, Runner};

async fn list(
    runner: &mut Runner<u32, String>,
    calls: std::ops::Range<u32>,
) -> Vec<CallResult<String>> {
    for n in calls {
        runner.schedule(n).expect("undamaged");
    }
    runner.run().await.expect("allowed")
}

#[tokio::test]
async fn a_list_takes_its_answers_from_those_before_it() {
    let place = Place::new();
    let mut runner = place.runner(good).journal(place.recording());
    let first = list(&mut runner, 0..5).await;
    assert_eq!(place.sent().len(), 5);
    let second = list(&mut runner, 0..7).await;
    assert_eq!(place.sent(), [5, 6]);
    assert_eq!(values(&second)[..5], values(&first)[..]);

    // Within a list, what is scheduled twice is two calls; the next list has both.
    for _ in 0..2 {
        for _ in 0..2 {
            runner.schedule(9).expect("undamaged");
        }
        runner.run().await.expect("allowed");
    }
    assert_eq!(place.sent(), [9, 9]);
}

#[tokio::test]
async fn an_interrupted_list_goes_on_and_is_no_new_one() {
    let place = Place::new();
    let runner = place.runner(good).journal(place.recording());
    let mut runner = runner.max_concurrent(1);
    let handle = runner.handle();
    for _ in 0..4 {
        runner.schedule(1).expect("undamaged");
    }
    handle.stop();
    runner.run().await.expect("allowed");
    assert!(runner.stopped().is_some());
    runner.schedule(1).expect("undamaged");
    let results = runner.run().await.expect("allowed");
    assert_eq!(
        (results.len(), place.sent().len()),
        (5, 5),
        "five calls, though they are alike"
    );
}

#[tokio::test]
async fn streams_are_lists_too() {
    let place = Place::new();
    let mut runner = place.runner(good).journal(place.recording());
    for (calls, sent) in [(300, 300), (400, 100), (400, 0)] {
        let mut told = 0;
        let inputs = Inputs::iterate(0..calls);
        let summary = runner.run_each(inputs, |_| told += 1).await;
        assert_eq!((summary.expect("allowed").stop, told), (None, calls));
        assert_eq!(place.sent().len(), sent);
    }
}

#[tokio::test]
async fn what_failed_in_a_list_is_run_again_on_demand_and_is_one_call() {
    for retry_failed in [false, true] {
        let place = Place::new();
        let policy = Policy {
            retry_failed,
            ..Policy::default()
        };
        let recording = place.recording().policy(policy);
        let mut runner = place.runner(fails_at_3).journal(recording);
        for _ in 0..3 {
            list(&mut runner, 0..5).await;
        }
        let again = if retry_failed { 2 } else { 0 };
        assert_eq!(place.sent().iter().filter(|n| **n == 3).count(), 1 + again);
        #[cfg(feature = "report")]
        {
            let calls = runner.report("numbers").calls;
            assert_eq!((calls.succeeded, calls.failed), (4, 1));
        }
    }
}

#[tokio::test]
async fn a_later_list_may_have_other_calls_but_none_that_changed() {
    let place = Place::new();
    let recording = place.recording().key(|n| (n % 10).to_string());
    let mut runner = place.runner(good).journal(recording);
    list(&mut runner, 0..3).await;
    list(&mut runner, 5..7).await;
    assert_eq!(place.sent(), [0, 1, 2, 5, 6]);
    runner.schedule(11).expect("undamaged");
    let refused = runner.run().await;
    let Err(RunError::Record(why)) = refused else {
        panic!("another request under the key of one before: {refused:?}")
    };
    assert!(why.to_string().contains("0 unchanged, 1 changed"), "{why}");
    assert_eq!(place.sent(), Vec::<u32>::new());
}

#[tokio::test]
async fn a_later_stream_is_asked_what_has_changed() {
    let place = Place::new();
    let recording = place.recording().key(|n| (n % 10).to_string());
    let mut runner = place.runner(good).journal(recording);
    for calls in [0..3, 3..5] {
        let summary = runner.run_each(Inputs::iterate(calls), |_| ()).await;
        assert_eq!(summary.expect("allowed").stop, None);
    }
    assert_eq!(place.sent(), [0, 1, 2, 3, 4]);
    let mut why = String::new();
    let told = |finished: Finished<u32, String>| {
        why = finished.result.errors[0].to_string();
    };
    let summary = runner.run_each(Inputs::iterate([12]), told).await;
    assert!(summary.expect("it is told with the request").stop.is_some());
    assert!(why.contains("0 unchanged, 1 changed"), "{why}");
    assert_eq!(place.sent(), Vec::<u32>::new());
}

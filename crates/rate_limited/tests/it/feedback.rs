//! Limits that answers and errors name.

use rate_limited::{Amount, Class, Feedback, Resource, Resources, Runner};
use std::error::Error;
use std::time::Duration;
use tokio::time::Instant;

#[derive(Debug, thiserror::Error)]
#[error("no, for the limit is {0}")]
struct Refused(u32);

/// Runs 30 calls one after the other, of which every third attempt is refused; how long that took.
async fn run(requests: Resource<u32, u32>, named: u32) -> Duration {
    let count = std::sync::atomic::AtomicU32::new(0);
    let ask = move |_: u32| {
        let number = count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        async move {
            if number % 3 == 2 {
                return Err(Refused(named));
            }
            Ok(named)
        }
    };
    let read = |end: Result<&u32, &(dyn Error + Send + Sync + 'static)>, resources: &Resources| {
        let limit = match end {
            Ok(limit) => *limit,
            Err(error) => error.downcast_ref::<Refused>().expect("it is one").0,
        };
        let requests = resources.find("requests").expect("it is there");
        let told = Feedback {
            limit: Some(Amount::units(limit)),
            ..Feedback::default()
        };
        vec![(requests, told)]
    };
    let mut runner = Runner::new(ask)
        .resource(requests)
        .classify(|_, _| Class::Failure)
        .feedback(read)
        .max_concurrent(1)
        .seed(1)
        .tokio_clock();
    for number in 0..30 {
        runner.schedule(number).expect("it fits");
    }
    let started = Instant::now();
    let results = runner.run().await.expect("nothing is wrong");
    assert!(results.iter().all(|result| result.value == Some(named)));
    started.elapsed()
}

fn told(quota: u32) -> Resource<u32, u32> {
    Resource::per("requests", quota, Duration::from_secs(10))
}

/// 45 attempts, of which a third fails: in windows of ten they take four windows more than the first.
#[tokio::test(start_paused = true)]
async fn a_lower_one_holds() {
    let took = run(told(1_000), 10).await;
    assert!(
        took >= Duration::from_secs(40) && took < Duration::from_secs(60),
        "{took:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_higher_one_does_not() {
    let took = run(told(10), 1_000).await;
    assert!(
        took >= Duration::from_secs(40) && took < Duration::from_secs(60),
        "{took:?}"
    );
}

#[tokio::test]
async fn a_reader_that_panics_names_none() {
    let mut runner = Runner::new(|n: u32| async move { Ok::<_, Refused>(n) })
        .resource(Resource::per_minute("requests", 100))
        .feedback(|_, _| panic!("a bug"));
    runner.schedule(7).expect("it fits");
    let results = runner.run().await.expect("nothing is wrong");
    assert_eq!(results[0].value, Some(7));
}

/// Of a window that nobody names it is taken that it is a minute.
#[tokio::test(start_paused = true)]
async fn one_that_nobody_told_is_what_answers_name() {
    let took = run(Resource::untold("requests"), 10).await;
    assert!(
        took >= Duration::from_secs(240) && took < Duration::from_secs(300),
        "{took:?}"
    );
}

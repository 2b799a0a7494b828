//! Each model, tenant, … with a quota for itself.

use rate_limited::{Amount, Class, Quota, Resource, Runner};
use std::time::Duration;
use tokio::time::Instant;

type Ask = (&'static str, u32);

/// Ten requests a second for each model; five for those of `o`.
fn requests() -> Resource<Ask, u32> {
    let second = Duration::from_secs(1);
    Resource::per("requests", 10, second)
        .partition(|(model, _): &Ask| (*model).into())
        .quota_for("o*", Quota::per(Amount::units(5), second))
}

fn runner() -> Runner<Ask, u32> {
    let ask = |(_, n): Ask| async move { Ok::<_, std::io::Error>(n) };
    Runner::new(ask)
        .resource(requests())
        .max_concurrent(1_000)
        .seed(1)
        .tokio_clock()
}

fn names(runner: &Runner<Ask, u32>) -> Vec<(String, String)> {
    let resources = runner.handle().view().resources;
    let shown = resources.into_iter();
    shown
        .map(|it| (it.resource.name().to_owned(), it.charged.to_string()))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn each_model_fills_its_own_limit() {
    for (models, windows) in [
        (&["a"][..], 5),
        (&["a", "b", "c"], 5),
        (&["o1"], 11),
        (&["a", "o1", "o3", ""], 11),
    ] {
        let mut runner = runner();
        for n in 0..60 {
            for model in models {
                runner.schedule((model, n)).expect("it fits");
            }
        }
        let started = Instant::now();
        let results = runner.run().await.expect("nothing is wrong");
        assert!(results.iter().all(|result| result.finished));
        let took = started.elapsed().as_secs_f64();
        let least = f64::from(windows);
        assert!((least..least + 0.2).contains(&took), "{models:?}: {took}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_pauses_the_model_that_was_asked() {
    let refused = std::sync::atomic::AtomicBool::new(false);
    let ask = move |(model, n): Ask| {
        let first = model == "a" && !refused.swap(true, std::sync::atomic::Ordering::SeqCst);
        async move {
            let error = std::io::Error::other("too much");
            if first { Err(error) } else { Ok(n) }
        }
    };
    let started = Instant::now();
    let ends = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let mut runner = Runner::new(ask)
        .resource(requests())
        .classify(|_, resources| Class::Refused {
            resource: resources.find("requests"),
            retry_after: Some(Duration::from_secs(30)),
        })
        .seed(1)
        .tokio_clock();
    let seen = std::sync::Arc::clone(&ends);
    let calls = [("a", 1), ("b", 2)];
    let each = move |finished: rate_limited::Finished<Ask, u32>| {
        let took = started.elapsed().as_secs();
        seen.lock()
            .expect("no panic")
            .push((finished.request.0, took));
    };
    runner
        .run_each(rate_limited::Inputs::iterate(calls), each)
        .await
        .expect("nothing is wrong");
    let ends = ends.lock().expect("no panic").clone();
    assert_eq!(ends, [("b", 0), ("a", 30)]);
}

#[cfg(feature = "journal")]
#[tokio::test]
async fn what_was_used_of_a_model_is_known_to_the_next_run_by_its_name() {
    use rate_limited::journal::Recording;
    type Owned = (String, u32);
    let folder = tempfile::tempdir().expect("a folder");
    let runner = || {
        let ask = |(_, n): Owned| async move { Ok::<_, std::io::Error>(n) };
        let requests = Resource::per("requests", 100, Duration::from_secs(600))
            .partition(|(model, _): &Owned| model.as_str().into());
        let recording = Recording::json(folder.path().join("run.journal"));
        Runner::new(ask).resource(requests).journal(recording)
    };
    let charged = |runner: &Runner<Owned, u32>| -> Vec<_> {
        let resources = runner.handle().view().resources;
        let shown = resources.into_iter();
        shown
            .map(|it| (it.resource.name().to_owned(), it.charged.to_string()))
            .collect()
    };
    let mut first = runner();
    for (model, n) in [("b", 1), ("a", 2), ("b", 3)] {
        first.schedule((model.to_owned(), n)).expect("it fits");
    }
    first.run().await.expect("nothing is wrong");
    let expected = |rows: &[(&str, &str)]| -> Vec<(String, String)> {
        let rows = rows.iter();
        rows.map(|(name, used)| ((*name).to_owned(), (*used).to_owned()))
            .collect()
    };
    let rows = [
        ("requests", "0"),
        ("requests[b]", "2"),
        ("requests[a]", "1"),
    ];
    assert_eq!(charged(&first), expected(&rows));
    drop(first);
    // Another model comes first now, and what is over is not sent again.
    let mut second = runner();
    for (model, n) in [("c", 4), ("b", 1), ("a", 2), ("b", 3), ("a", 5)] {
        second.schedule((model.to_owned(), n)).expect("it fits");
    }
    let results = second.run().await.expect("nothing is wrong");
    assert_eq!(results.len(), 5);
    let rows = [
        ("requests", "0"),
        ("requests[b]", "2"),
        ("requests[a]", "2"),
        ("requests[c]", "1"),
    ];
    assert_eq!(charged(&second), expected(&rows));
    drop(second);
    let mut third = runner();
    third.schedule(("c".to_owned(), 4)).expect("it fits");
    third.run().await.expect("nothing is wrong");
    assert_eq!(charged(&third), expected(&rows));
}

#[tokio::test(start_paused = true)]
async fn the_parts_are_shown_by_their_names() {
    let mut runner = runner();
    for model in ["a", "", "o1", "a"] {
        runner.schedule((model, 0)).expect("it fits");
    }
    runner.run().await.expect("nothing is wrong");
    let shown = [
        ("requests", "1"),
        ("requests[a]", "2"),
        ("requests[o1]", "1"),
    ];
    let shown = shown.map(|(name, used)| (name.to_owned(), used.to_owned()));
    assert_eq!(names(&runner), shown);
}

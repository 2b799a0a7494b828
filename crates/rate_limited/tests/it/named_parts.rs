//! Parts of a resource that only answers name.

use rate_limited::{Amount, Anchor, Class, Feedback, Quota, Reset, Resource, Runner};
use std::collections::BTreeMap;
use std::io::Error;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// A path with a number, and its answer: the part that it took from, what its limit is, what remains of it, and when all
/// of it is back.
type Ask = (String, u32);
type Answer = (String, u32, u32, Duration);

/// What was counted of a part, and when its window ends.
type Counted = (u32, Option<Instant>);

const HOUR: Duration = Duration::from_secs(3_600);

/// A server whose searches have thirty a minute for themselves; of all else there are 5,000 an hour.
#[derive(Clone, Default)]
struct Server {
    counted: Arc<Mutex<BTreeMap<String, Counted>>>,
    refused: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn take(&self, path: &str) -> Result<Answer, Answer> {
        let part = path[1..].to_owned();
        let (limit, window) = if part == "search" {
            (30, Duration::from_secs(60))
        } else {
            (5_000, HOUR)
        };
        let mut counted = self.counted.lock().expect("sound");
        let (used, end) = counted.entry(part.clone()).or_default();
        let now = Instant::now();
        if end.is_none_or(|end| end <= now) {
            (*used, *end) = (0, Some(now + window));
        }
        let left = end.map_or(window, |end| end - now);
        if *used == limit {
            self.refused.lock().expect("sound").push(part.clone());
            return Err((part, limit, 0, left));
        }
        *used += 1;
        Ok((part, limit, limit - *used, left))
    }
}

/// What a refusal says is in its text.
fn told_by(error: &(dyn std::error::Error + Send + Sync + 'static)) -> Option<Answer> {
    let text = error.to_string();
    let mut words = text.split(' ');
    let part = words.next()?.to_owned();
    let mut number = || words.next()?.parse().ok();
    let (limit, remaining, left): (u32, u32, u32) = (number()?, number()?, number()?);
    Some((part, limit, remaining, Duration::from_secs(left.into())))
}

fn requests(known: &Arc<Mutex<BTreeMap<String, String>>>) -> Resource<Ask, Answer> {
    let quota = Quota::FixedWindow {
        amount: Amount::units(5_000),
        window: HOUR,
        anchor: Anchor::FirstCall,
    };
    let (known, heard) = (Arc::clone(known), Arc::clone(known));
    Resource::new("requests", quota)
        .guard(Duration::from_millis(100))
        .partition(move |(path, _): &Ask| {
            let known = known.lock().expect("sound");
            known.get(path).cloned().unwrap_or_default().into()
        })
        .named_by_answers(move |(path, _), end| {
            let told = end.map_or_else(told_by, |answer: &Answer| Some(answer.clone()));
            told.is_some_and(|(part, ..)| {
                let mut known = heard.lock().expect("sound");
                known.insert(path.clone(), part).is_none()
            })
        })
}

fn runner(server: &Server) -> Runner<Ask, Answer> {
    let server = server.clone();
    let ask = move |(path, _): Ask| {
        let answer = server.take(&path);
        async move {
            sleep(Duration::from_millis(250)).await;
            answer.map_err(|(part, limit, left, reset)| {
                Error::other(format!("{part} {limit} {left} {}", reset.as_secs() + 1))
            })
        }
    };
    Runner::new(ask)
        .resource(requests(&Arc::default()))
        .classify(|error, resources| Class::Refused {
            resource: resources.find("requests"),
            retry_after: told_by(error).map(|told| told.3),
        })
        .feedback(|end, resources| {
            let told = end.map_or_else(told_by, |answer| Some(answer.clone()));
            let told = told.zip(resources.find("requests"));
            let told = told.map(|((_, limit, remaining, left), id)| {
                let feedback = Feedback {
                    limit: Some(Amount::units(limit)),
                    remaining: Some(Amount::units(remaining)),
                    reset: Some(Reset::WindowEnd(left)),
                    ..Feedback::default()
                };
                (id, feedback)
            });
            told.into_iter().collect()
        })
        .seed(1)
        .tokio_clock()
}

fn schedule(runner: &mut Runner<Ask, Answer>, calls: u32) {
    for n in 0..calls {
        for path in ["/search", "/core"] {
            runner.schedule((path.to_owned(), n)).expect("it fits");
        }
    }
}

fn limits(runner: &Runner<Ask, Answer>) -> BTreeMap<String, String> {
    let resources = runner.handle().view().resources.into_iter();
    let limit = |limit: Option<Amount>| limit.map(|it| it.to_string()).unwrap_or_default();
    let shown = resources.map(|it| (it.resource.name().to_owned(), limit(it.limit)));
    shown.collect()
}

#[tokio::test(start_paused = true)]
async fn calls_take_from_the_parts_that_answers_name() {
    for (at_once, refusals) in [(16, 0), (200, 70)] {
        let server = Server::default();
        let mut runner = runner(&server).max_concurrent(at_once);
        schedule(&mut runner, 120);
        let started = Instant::now();
        let core: Arc<Mutex<f64>> = Arc::default();
        let last = Arc::clone(&core);
        let each = move |finished: rate_limited::Finished<Ask, Answer>| {
            if finished.request.0 == "/core" {
                *last.lock().expect("sound") = started.elapsed().as_secs_f64();
            }
        };
        let none = std::iter::empty::<Ask>();
        runner
            .run_each(rate_limited::Inputs::iterate(none), each)
            .await
            .expect("nothing is wrong");
        let took = started.elapsed().as_secs_f64();
        // Four windows of thirty; what has another limit does not wait for them.
        assert!((180.0..186.0).contains(&took), "{at_once}: {took}");
        let core = *core.lock().expect("sound");
        assert!(core < 10.0, "{at_once}: {core}");
        let refused = server.refused.lock().expect("sound").clone();
        assert!(refused.len() <= refusals, "{at_once}: {}", refused.len());
        let limits = limits(&runner);
        let expected = [
            ("requests", "5000"),
            ("requests[core]", "5000"),
            ("requests[search]", "30"),
        ];
        let expected = expected.map(|(name, limit)| (name.to_owned(), limit.to_owned()));
        assert_eq!(limits, expected.into(), "{at_once}");
    }
}

#[cfg(feature = "journal")]
#[tokio::test]
async fn what_was_used_of_a_named_part_is_its_own_in_the_next_run() {
    use rate_limited::journal::Recording;
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::default();
    let file = folder.path().join("run.journal");
    let charged = |runner: &Runner<Ask, Answer>| -> BTreeMap<String, String> {
        let resources = runner.handle().view().resources.into_iter();
        let shown = resources.map(|it| (it.resource.name().to_owned(), it.charged.to_string()));
        shown.collect()
    };
    let expected = |rows: &[(&str, &str)]| -> BTreeMap<String, String> {
        let rows = rows.iter();
        rows.map(|(name, used)| ((*name).to_owned(), (*used).to_owned()))
            .collect()
    };
    let mut first = runner(&server).journal(Recording::json(&file));
    schedule(&mut first, 3);
    first.run().await.expect("nothing is wrong");
    let used = [
        ("requests", "0"),
        ("requests[core]", "3"),
        ("requests[search]", "3"),
    ];
    assert_eq!(charged(&first), expected(&used));
    drop(first);
    let mut second = runner(&server).journal(Recording::json(&file));
    schedule(&mut second, 4);
    second.run().await.expect("nothing is wrong");
    // What was answered before is not asked again, and counts where it was charged.
    let used = [
        ("requests", "0"),
        ("requests[core]", "4"),
        ("requests[search]", "4"),
    ];
    assert_eq!(charged(&second), expected(&used));
}

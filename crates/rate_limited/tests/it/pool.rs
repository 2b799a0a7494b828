//! Pools: several keys of several accounts behind one list of calls.

use rate_limited::{Class, Member, Resource, Runner, Stop};
use std::io::Error;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::Instant;

/// Who was asked, and when.
type Log = Arc<Mutex<Vec<(&'static str, Duration)>>>;

fn requests(quota: u32) -> Resource<u32, u32> {
    Resource::per_minute("requests", quota)
}

fn small_and_large() -> [Member<&'static str, u32, u32>; 3] {
    [
        Member::new("a", "a").resource(requests(30)),
        Member::new("b", "b").account("team").resource(requests(90)),
        Member::new("c", "c").account("team"),
    ]
}

fn class_of(error: &(dyn std::error::Error + Send + Sync + 'static)) -> Class {
    match error.to_string().as_str() {
        "bad key" => Class::Fatal,
        _ => Class::Failure,
    }
}

#[tokio::test(start_paused = true)]
async fn members_of_one_account_share_it_and_all_accounts_are_filled() {
    let log = Log::default();
    let seen = Arc::clone(&log);
    let start = Instant::now();
    let mut runner = Runner::pool(small_and_large(), move |name, n: u32| {
        let seen = Arc::clone(&seen);
        async move {
            seen.lock().expect("whole").push((name, start.elapsed()));
            tokio::time::sleep(Duration::from_millis(200)).await;
            Ok::<_, Error>(n)
        }
    })
    .tokio_clock();
    for n in 0..480 {
        runner.schedule(n).expect("it fits");
    }
    let results = runner.run().await.expect("sound");
    let values: Vec<_> = results.iter().filter_map(|call| call.value).collect();
    assert_eq!(values, (0..480).collect::<Vec<_>>());
    let log = log.lock().expect("whole");
    let within = |names: &[&str], from: u64| {
        let window = Duration::from_secs(from)..Duration::from_secs(from + 60);
        let ours = log
            .iter()
            .filter(|(name, at)| names.contains(name) && window.contains(at));
        ours.count()
    };
    assert_eq!((within(&["a"], 0), within(&["b", "c"], 0)), (30, 90));
    for from in 1..180 {
        assert!(
            within(&["a"], from) <= 30 && within(&["b", "c"], from) <= 90,
            "{from}"
        );
    }
    let last = log.iter().map(|(_, at)| *at).max().expect("some");
    assert!(last < Duration::from_secs(184), "four windows: {last:?}");
    let members = runner.handle().view().members;
    let told: Vec<_> = members.iter().map(|it| (&*it.name, &*it.account)).collect();
    assert_eq!(told, [("a", "a"), ("b", "team"), ("c", "team")]);
    assert_eq!(members.iter().map(|it| it.attempts).sum::<u64>(), 480);
}

#[tokio::test(start_paused = true)]
async fn a_key_that_dies_costs_no_call_and_is_named_with_its_reason() {
    let asked = Arc::new(AtomicU32::new(0));
    let mut runner = Runner::pool(small_and_large(), move |name, n: u32| {
        let dead = name == "b" && asked.fetch_add(1, Ordering::Relaxed) >= 20;
        async move {
            tokio::time::sleep(Duration::from_millis(50)).await;
            if dead {
                Err(Error::other("bad key"))
            } else {
                Ok(n)
            }
        }
    })
    .classify(|error, _| class_of(error))
    .max_retries(0)
    .max_concurrent(4)
    .tokio_clock();
    for n in 0..300 {
        runner.schedule(n).expect("it fits");
    }
    let results = runner.run().await.expect("sound");
    assert!(results.iter().all(|call| call.value.is_some()));
    let members = runner.handle().view().members;
    let dropped: Vec<_> = members.iter().filter(|it| it.dropped).collect();
    assert_eq!(dropped.len(), 1);
    assert_eq!(dropped[0].name, "b");
    let why = dropped[0].error.as_ref().map(ToString::to_string);
    assert_eq!(why.as_deref(), Some("bad key"));
    assert_eq!(runner.stopped(), None);
}

#[tokio::test(start_paused = true)]
async fn the_run_ends_when_no_key_is_left() {
    let bad = |_: &'static str, _: u32| async { Err::<u32, _>(Error::other("bad key")) };
    let mut runner = Runner::pool(small_and_large(), bad)
        .classify(|error, _| class_of(error))
        .tokio_clock();
    for n in 0..10 {
        runner.schedule(n).expect("it fits");
    }
    runner.run().await.expect("sound");
    assert_eq!(runner.stopped(), Some(Stop::Fatal));
}

#[test]
fn pools_that_are_none_are_refused() {
    let refused = |members: Vec<Member<(), u32, u32>>| {
        let mut runner = Runner::pool(members, |(), n: u32| async move { Ok::<_, Error>(n) });
        runner.schedule(1).expect_err("refused").to_string()
    };
    let member = |name: &str| Member::new(name, ());
    assert!(refused(Vec::new()).contains("0 members"));
    let many = (0..256).map(|n| member(&n.to_string())).collect();
    assert!(refused(many).contains("256 members"));
    assert!(refused(vec![member("a"), member("a")]).contains("named `a`"));
    let shared = |name, quota| member(name).account("team").resource(requests(quota));
    let told = refused(vec![shared("a", 5), shared("b", 6)]);
    assert!(
        told.contains("`team`") && told.contains("`requests`"),
        "{told}"
    );
}

#[test]
fn what_a_member_sends_with_is_not_shown() {
    let member: Member<_, u32, u32> = Member::new("a", "sk-secret");
    assert!(!format!("{member:?}").contains("secret"));
}

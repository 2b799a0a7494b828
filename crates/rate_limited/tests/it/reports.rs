//! What a run tells of itself afterwards.

use rate_limited::{Class, Resource, Runner};
use std::time::Duration;

/// A request whose text must not be told.
const CANARY: &str = "CANARY-PROMPT";

/// Every fifth call is refused at first, every seventh fails for good, every eleventh answer is bad at first.
fn runner(requests: u32, timeout: Option<Duration>) -> Runner<(u32, String), String> {
    let seen = std::sync::Mutex::new(std::collections::HashSet::new());
    let mut runner = Runner::new(move |(number, text): (u32, String)| {
        let is_first = seen.lock().expect("no panic").insert(number);
        async move {
            tokio::time::sleep(Duration::from_millis(100 + u64::from(number))).await;
            match number {
                _ if number % 7 == 0 => Err(std::io::Error::other(format!("bad {text}"))),
                _ if is_first && number % 5 == 0 => Err(std::io::Error::new(
                    std::io::ErrorKind::WouldBlock,
                    format!("busy {text}"),
                )),
                _ if is_first && number % 11 == 0 => Ok(String::new()),
                _ => Ok(text),
            }
        }
    })
    .classify(|error, _| {
        match error
            .downcast_ref::<std::io::Error>()
            .map(std::io::Error::kind)
        {
            Some(std::io::ErrorKind::WouldBlock) => Class::Refused {
                resource: None,
                retry_after: None,
            },
            _ => Class::Permanent,
        }
    })
    .validate(|answer| !answer.is_empty())
    .resource(Resource::per_minute("requests", 600))
    .max_concurrent(16)
    .attempt_timeout(timeout)
    .tokio_clock();
    for number in 1..=requests {
        runner
            .schedule((number, format!("{CANARY} {number}")))
            .expect("it fits");
    }
    runner
}

#[tokio::test(start_paused = true)]
async fn the_numbers_are_those_of_the_run() {
    let mut runner = runner(60, None);
    assert_eq!(runner.report("none").attempts.total, 0);
    let results = runner.run().await.expect("good resources");
    let report = runner.report("sixty");
    let done = results
        .iter()
        .filter(|result| result.value.is_some())
        .count() as u64;
    let attempts: u64 = results
        .iter()
        .map(|result| u64::from(result.attempts))
        .sum();
    assert_eq!(
        (done, report.calls.succeeded, report.calls.failed),
        (52, 52, 8)
    );
    assert_eq!(
        (report.attempts.total, report.attempts.retries),
        (attempts, attempts - 60)
    );
    let ends = &report.attempts.by_outcome;
    assert_eq!(ends["succeeded"], 52);
    assert_eq!(ends["rejected"], 8);
    assert_eq!(ends["refused"], 11, "5, 10, … 60, but 35");
    assert_eq!(ends["invalid"], 4, "11, 22, 33, 44; 55 was refused");
    assert_eq!(ends.values().sum::<u64>(), attempts);
    assert_eq!(report.attempts.refused_by_code["refused"], 11);
    assert_eq!(report.calls.failed_by_code["failed"], 8);
    let latency = &report.latency;
    assert_eq!((latency.answers, latency.longest_ms), (52, 160.0));
    assert!((100.0..=160.0).contains(&latency.p50_ms), "{latency:?}");
    assert_eq!(report.limits[0].name, "requests");
    let quota = &report.limits[0].quota;
    // The refusals have lowered it.
    assert!(
        quota.starts_with("600 per 60s, ") && quota.ends_with(" in force at last"),
        "{quota}"
    );
    let peak = report.limits[0].peak_share;
    assert!(peak > 0.01 && peak <= 1.0, "{peak}");
    assert!(report.slowest[0].call.starts_with("call "));
    for told in [report.to_html(), report.to_json(), report.to_text()] {
        assert!(!told.contains(CANARY) && told.contains("sixty"), "{told}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_cut_off_is_counted_and_a_run_goes_on() {
    let mut runner = runner(40, Some(Duration::from_millis(120)));
    let handle = runner.handle();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(50)).await;
        handle.halt();
    });
    runner.run().await.expect("good resources");
    let report = runner.report("some");
    assert_eq!(
        (report.runs, report.attempts.by_outcome["cut off"]),
        (1, report.attempts.total)
    );
    assert_eq!(report.calls.succeeded, 0);
    let results = runner.run().await.expect("good resources");
    let finished = results.iter().filter(|result| result.finished).count() as u64;
    let report = runner.report("some");
    assert_eq!(report.runs, 2);
    assert!(report.attempts.by_outcome["timed out"] >= 20, "{report:?}");
    assert_eq!(report.calls.succeeded + report.calls.failed, finished);
    assert!(finished >= 16, "those that take less than the time-out");
    assert_eq!(
        report.attempts.by_outcome.values().sum::<u64>(),
        report.attempts.total
    );
}

#[cfg(feature = "calendar")]
#[tokio::test(start_paused = true)]
async fn limits_of_a_calendar_are_told_by_their_calendar_and_the_end_of_their_window() {
    use rate_limited::Calendar;
    use std::time::UNIX_EPOCH;

    // Half an hour of a clock that says something else than the system's.
    let noon = UNIX_EPOCH + Duration::from_secs(20_000 * 86_400 + 12 * 3_600);
    let origin = tokio::time::Instant::now();
    let wall = move || noon + origin.elapsed();
    let day: Calendar = "day 15:00 Asia/Kolkata".parse().expect("a calendar");
    let hour: Calendar = "hour".parse().expect("a calendar");
    let mut runner = Runner::new(async |model: String| Ok::<_, std::io::Error>(model.len()))
        .resource(
            Resource::per_calendar("requests", 1_000, day.clone())
                .partition(|model: &String| model.into()),
        )
        .resource(Resource::per_calendar("searches", 500, hour.clone()))
        .resource(Resource::per_minute("beside", 600))
        .tokio_clock()
        .wall_clock(wall);
    runner.schedule("fast".into()).expect("it fits");
    tokio::time::advance(Duration::from_secs(1_800)).await;
    runner.run().await.expect("good resources");

    let report = runner.report("calendars");
    let (day, hour) = (day.window_in_words(wall()), hour.window_in_words(wall()));
    assert!(day.starts_with("day 15:00 Asia/Kolkata, back at "), "{day}");
    let expected = [
        ("requests", format!("1,000 per {day}")),
        ("searches", format!("500 per {hour}")),
        ("beside", "600 per 60s".to_owned()),
        ("requests[fast]", format!("1,000 per {day}")),
    ];
    let told = report.limits.iter();
    let told: Vec<_> = told
        .map(|limit| (limit.name.as_str(), limit.quota.clone()))
        .collect();
    assert_eq!(told, expected);
    for (_, quota) in &expected {
        for form in [report.to_text(), report.to_json(), report.to_html()] {
            assert!(form.contains(quota), "{quota}: {form}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_so_while_nothing_happened_is_told() {
    let mut runner = Runner::new(|wait: u64| async move {
        tokio::time::sleep(Duration::from_millis(wait)).await;
        Ok::<_, std::io::Error>(wait)
    })
    .resource(Resource::per("requests", 10, Duration::from_secs(10)))
    .tokio_clock();
    for call in 0..11 {
        runner.schedule(100 + 4_900 * (call / 10)).expect("it fits");
    }
    runner.run().await.expect("good resources");

    // Ten calls end after 100 ms; the eleventh leaves after 10 s, and takes 5 s.
    let report = runner.report("gaps");
    let within = |from: u64, to: u64| {
        let slices = report.timeline.iter();
        slices.filter(move |slice| slice.from_ms >= from && slice.from_ms < to)
    };
    assert!(report.timeline.len() > 100, "{}", report.timeline.len());
    // In flight, waiting, and what of the limit is used.
    let told = |from, to| -> Vec<String> {
        let slices = within(from, to).map(|it| {
            let used = it.shares[0].0;
            format!("{} {} {used}", it.in_flight, it.waiting)
        });
        slices.collect()
    };
    let (gap, last) = (told(300, 9_900), told(10_400, 14_900));
    assert!(gap.iter().all(|told| told == "0 1 1"), "{gap:?}");
    assert!(last.iter().all(|told| told == "1 0 0.1"), "{last:?}");
    // Before the first look, and between two of them, there were ten in flight.
    assert!(report.timeline[0].in_flight_most > 9.9);
    let mean = report.limits[0].mean_share;
    assert!(
        (0.65..0.75).contains(&mean),
        "100 % for 10 s, and 10 % for 5 s: {mean}"
    );
}

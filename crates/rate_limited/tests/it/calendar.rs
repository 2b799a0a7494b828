//! Windows that follow a calendar, on a clock that can be paused and a time of day that can be set.

use rate_limited::{Amount, Calendar, Class, ConfigError, Limiter, Resource, Runner};
use std::io::Error;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::{Instant, sleep};

const HOUR: u64 = 3_600;

/// A time of day that goes on with the clock of tokio, and may be set.
#[derive(Clone)]
struct Wall {
    origin: Instant,
    start: SystemTime,
    set_by: Arc<AtomicI64>,
}

impl Wall {
    /// From so many seconds after 1970 on.
    fn at(seconds: u64) -> Wall {
        Wall {
            origin: Instant::now(),
            start: UNIX_EPOCH + Duration::from_secs(seconds),
            set_by: Arc::default(),
        }
    }

    fn now(&self) -> SystemTime {
        let set_by = self.set_by.load(Ordering::SeqCst);
        let moved = Duration::from_secs(set_by.unsigned_abs());
        let now = self.start + self.origin.elapsed();
        if set_by < 0 { now - moved } else { now + moved }
    }

    fn reader(&self) -> impl Fn() -> SystemTime + Send + Sync + 'static {
        let wall = self.clone();
        move || wall.now()
    }
}

/// When each call was sent, in whole seconds.
type Log = Arc<Mutex<Vec<u64>>>;

fn runner(log: &Log) -> Runner<u32, ()> {
    let (log, origin) = (Arc::clone(log), Instant::now());
    Runner::new(move |_: u32| {
        log.lock().expect("sound").push(origin.elapsed().as_secs());
        async { Ok::<_, Error>(()) }
    })
}

fn daily(quota: u32, calendar: &str) -> Resource<u32, ()> {
    let calendar: Calendar = calendar.parse().expect("a calendar");
    Resource::per_calendar("requests", quota, calendar)
}

async fn sent(mut runner: Runner<u32, ()>, log: &Log, calls: u32) -> Vec<u64> {
    for n in 0..calls {
        runner.schedule(n).expect("it fits");
    }
    runner.run().await.expect("it runs");
    let mut sent = log.lock().expect("sound").clone();
    sent.sort_unstable();
    sent
}

#[tokio::test(start_paused = true)]
async fn days_end_at_midnight_of_their_zone_however_long_they_are() {
    let log = Log::default();
    // 2026-11-01 06:59 UTC: a minute before midnight in Los Angeles, and then comes a day of 25 hours.
    let wall = Wall::at(1_793_516_340);
    let runner = runner(&log)
        .tokio_clock()
        .wall_clock(wall.reader())
        .resource(daily(2, "day America/Los_Angeles"));
    let (first, second) = (60 + 2, 60 + 25 * HOUR + 2);
    let expected = [0, 0, first, first, second, second, second + 24 * HOUR];
    assert_eq!(sent(runner, &log, 7).await, expected);
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_moves_midnight() {
    // Set forward by an hour, midnight is an hour nearer; set back, farther.
    for (set_by, midnight) in [(3_600, 5 * HOUR), (-3_600, 7 * HOUR)] {
        let log = Log::default();
        let wall = Wall::at(18 * HOUR);
        let runner = runner(&log)
            .tokio_clock()
            .wall_clock(wall.reader())
            .resource(daily(1, "day UTC"));
        let setter = tokio::spawn(async move {
            sleep(Duration::from_secs(600)).await;
            wall.set_by.store(set_by, Ordering::SeqCst);
        });
        let sent = sent(runner, &log, 2).await;
        setter.await.expect("it ends");
        assert_eq!(sent, [0, midnight + 2], "set by {set_by} s");
    }
}

#[tokio::test(start_paused = true)]
async fn who_waits_at_a_limiter_goes_when_the_day_begins() {
    let wall = Wall::at(23 * HOUR);
    let calendar = || Calendar::day("UTC").expect("a zone");
    let limiter = Limiter::on_tokio_clock([Resource::per_calendar("requests", 1, calendar())])
        .expect("a sound resource")
        .wall_clock(wall.reader());
    let began = Instant::now();
    for midnight in [0, HOUR + 2, 25 * HOUR + 2] {
        limiter.acquire(()).await.expect("it comes back").sent();
        assert_eq!(began.elapsed().as_secs(), midnight);
    }
    // A runner may declare the same calendar later, and no other one.
    let log = Log::default();
    let same = runner(&log).limiter(&limiter).resource(daily(1, "day UTC"));
    let sent = sent(same, &log, 1).await;
    assert_eq!(sent, [24 * HOUR], "from the last one on");
    for other in ["day Asia/Tokyo", "hour"] {
        let mut other = runner(&log).limiter(&limiter).resource(daily(1, other));
        let error = other.schedule(1).expect_err("another calendar");
        let is_named = matches!(
            error,
            rate_limited::ScheduleError::Config(ConfigError::Differs { .. })
        );
        assert!(is_named, "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_changed_quota_stays_in_its_day() {
    let log = Log::default();
    let wall = Wall::at(12 * HOUR);
    let runner = runner(&log)
        .tokio_clock()
        .wall_clock(wall.reader())
        .resource(daily(1, "day UTC"));
    let handle = runner.handle();
    let setter = tokio::spawn(async move {
        // In the second day.
        sleep(Duration::from_secs(13 * HOUR)).await;
        let quota = *handle.view().resources[0].resource.quota();
        let more = quota.with_limit(Amount::units(2));
        handle.set_quota("requests", more).expect("the same kind");
    });
    let sent = sent(runner, &log, 5).await;
    setter.await.expect("it ends");
    let (first, second) = (12 * HOUR + 2, 36 * HOUR + 2);
    assert_eq!(sent, [0, first, 13 * HOUR, second, second]);
}

#[cfg(feature = "journal")]
#[test]
fn what_was_used_today_counts_after_a_restart_and_yesterday_not() {
    use rate_limited::journal::Recording;

    let folder = tempfile::tempdir().expect("a folder");
    let since_1970 = || {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        now.expect("after 1970")
    };
    // A day that began 12 hours ago, and one of five seconds.
    let minutes = (since_1970().as_secs() / 60 + 12 * 60) % (24 * 60);
    let day = format!("day {:02}:{:02} UTC", minutes / 60, minutes % 60);
    let long: Calendar = day.parse().expect("a calendar");
    let short = Calendar::clock(Duration::from_secs(5)).expect("a span");
    let next_window = || {
        let passed = since_1970().as_millis() as u64 % 5_000;
        std::thread::sleep(Duration::from_millis(5_100 - passed));
    };
    for (calendar, expected) in [(&long, 5), (&short, 2)] {
        let path = folder.path().join(format!("{expected}.journal"));
        let charged = |first: u32, calls: u32| {
            let resource = Resource::per_calendar("requests", 100, calendar.clone());
            let resource = resource.guard(Duration::from_millis(1));
            let limiter = Limiter::new([resource]).expect("a sound resource");
            let mut runner = Runner::new(|n: u32| async move { Ok::<_, Error>(n) })
                .limiter(&limiter)
                .resource(Resource::shared("requests"))
                .journal(Recording::json(&path));
            for n in 0..first + calls {
                runner.schedule(n).expect("it fits");
            }
            runner.run_blocking().expect("it runs");
            limiter.view()[0].charged
        };
        let is_short = calendar == &short;
        if is_short {
            next_window();
        }
        assert_eq!(charged(0, 3), Amount::units(3));
        if is_short {
            next_window();
        }
        assert_eq!(charged(3, 2), Amount::units(expected), "{calendar}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_nobody_told_is_found_in_its_days() {
    let wall = Wall::at(18 * HOUR);
    let days: Arc<Mutex<Vec<[u32; 2]>>> = Arc::default();
    let server = {
        let (days, wall) = (Arc::clone(&days), wall.clone());
        move |_: u32| {
            let since = wall.now().duration_since(UNIX_EPOCH).expect("after 1970");
            let day = (since.as_secs() / (24 * HOUR)) as usize;
            let mut days = days.lock().expect("sound");
            let known = days.len().max(day + 1);
            days.resize(known, [0; 2]);
            let is_full = days[day][0] == 3;
            days[day][usize::from(is_full)] += 1;
            let left = Duration::from_secs(24 * HOUR - since.as_secs() % (24 * HOUR));
            let answer = if is_full { Err(left) } else { Ok(()) };
            async move {
                sleep(Duration::from_millis(200)).await;
                answer.map_err(|left| Error::other(left.as_secs().to_string()))
            }
        }
    };
    let mut runner = Runner::new(server)
        .tokio_clock()
        .wall_clock(wall.reader())
        .max_concurrent(4)
        .classify(|error, _| Class::Refused {
            resource: None,
            retry_after: error.to_string().parse().ok().map(Duration::from_secs),
        })
        .resource(daily(1, "day UTC").untold_limit());
    for n in 0..14 {
        runner.schedule(n).expect("it fits");
    }
    let handle = runner.handle();
    runner.run().await.expect("it runs");
    let days = days.lock().expect("sound").clone();
    let [passed, refused] =
        [0, 1].map(|place| days.iter().map(|day| day[place]).collect::<Vec<_>>());
    assert_eq!(passed, [3, 3, 3, 3, 2], "{days:?}");
    // Of the first day it is not known what was used before: the second shows the limit. Later a little more is tried.
    assert!(refused[2..].iter().sum::<u32>() <= 1, "{days:?}");
    let view = &handle.view().resources[0];
    assert!(view.limit.is_some_and(|limit| limit <= Amount::units(4)));
    assert!(view.resource.is_untold() && view.resource.quota().boundary().is_some());
}

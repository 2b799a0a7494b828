//! Windows of the calendar, at the moments at which calendars are odd.

use proptest::prelude::*;
use rate_limited_calendar::{Calendar, CalendarError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

fn moment(text: &str) -> SystemTime {
    let moment: jiff::Timestamp = text.parse().expect("a moment");
    moment.try_into().expect("a time of this system")
}

#[track_caller]
fn check(calendar: &str, now: &str, [start, end, next]: [&str; 3]) {
    let known: Calendar = calendar.parse().expect("a calendar");
    let window = known.window_at(moment(now)).expect("a window");
    let told = (window.start, window.end, window.next);
    assert_eq!(
        told,
        (moment(start), moment(end), moment(next)),
        "{calendar} at {now}"
    );
}

#[test]
fn windows_end_when_the_calendar_says() {
    for (calendar, now, window) in [
        (
            "minute",
            "2026-05-01T10:00:30.5Z",
            [
                "2026-05-01T10:00Z",
                "2026-05-01T10:01Z",
                "2026-05-01T10:02Z",
            ],
        ),
        // A boundary belongs to the window that it begins.
        (
            "hour",
            "2026-05-01T10:00Z",
            [
                "2026-05-01T10:00Z",
                "2026-05-01T11:00Z",
                "2026-05-01T12:00Z",
            ],
        ),
        (
            "day",
            "2026-12-31T23:59:59.999Z",
            [
                "2026-12-31T00:00Z",
                "2027-01-01T00:00Z",
                "2027-01-02T00:00Z",
            ],
        ),
        (
            "month",
            "2028-02-29T12:00Z",
            [
                "2028-02-01T00:00Z",
                "2028-03-01T00:00Z",
                "2028-04-01T00:00Z",
            ],
        ),
        (
            "month Pacific/Auckland",
            "2026-11-30T12:00Z",
            [
                "2026-11-30T11:00Z",
                "2026-12-31T11:00Z",
                "2027-01-31T11:00Z",
            ],
        ),
    ] {
        check(calendar, now, window);
    }
}

#[test]
fn days_that_a_zone_makes_longer_or_shorter_are_as_long_as_they_are() {
    for (calendar, now, window) in [
        // Days of 23 and of 25 hours.
        (
            "day America/Los_Angeles",
            "2026-03-08T20:00Z",
            [
                "2026-03-08T08:00Z",
                "2026-03-09T07:00Z",
                "2026-03-10T07:00Z",
            ],
        ),
        (
            "day America/Los_Angeles",
            "2026-11-02T07:59Z",
            [
                "2026-11-01T07:00Z",
                "2026-11-02T08:00Z",
                "2026-11-03T08:00Z",
            ],
        ),
        // 02:30 does not exist on the 8th of March, and exists twice on the 1st of November.
        (
            "day 02:30 America/Los_Angeles",
            "2026-03-08T00:00Z",
            [
                "2026-03-07T10:30Z",
                "2026-03-08T10:30Z",
                "2026-03-09T09:30Z",
            ],
        ),
        (
            "day 01:30 America/Los_Angeles",
            "2026-11-01T09:00Z",
            [
                "2026-11-01T08:30Z",
                "2026-11-02T09:30Z",
                "2026-11-03T09:30Z",
            ],
        ),
        // Samoa had no 30th of December 2011.
        (
            "day Pacific/Apia",
            "2011-12-30T09:00Z",
            [
                "2011-12-29T10:00Z",
                "2011-12-30T10:00Z",
                "2011-12-31T10:00Z",
            ],
        ),
        (
            "day CET-1CEST,M3.5.0,M10.5.0/3",
            "2026-07-01T00:00Z",
            [
                "2026-06-30T22:00Z",
                "2026-07-01T22:00Z",
                "2026-07-02T22:00Z",
            ],
        ),
    ] {
        check(calendar, now, window);
    }
}

#[test]
fn what_is_no_calendar_says_what_to_write() {
    for (text, expected) in [
        ("", "write minute, hour, day or month"),
        ("week UTC", "write minute, hour, day or month"),
        ("day 25:00 UTC", "write minute, hour, day or month"),
        ("clock 10", "write minute, hour, day or month"),
        ("clock 1000000000s", "at most 400 days"),
        ("day UTC UTC", "write minute, hour, day or month"),
        ("day Mars/Olympus", "\"Mars/Olympus\" is no known time zone"),
        ("hour Asia/Kolkata", "leave it out"),
    ] {
        let error = text.parse::<Calendar>().expect_err(text).to_string();
        assert!(error.contains(expected), "{text}: {error}");
    }
    let error = Calendar::clock(Duration::from_nanos(1_500)).expect_err("a fraction");
    assert_eq!(error, CalendarError::Span(Duration::from_nanos(1_500)));
    let far = UNIX_EPOCH + Duration::from_secs(300_000_000_000);
    let day = Calendar::day("UTC").expect("a zone");
    assert_eq!(day.window_at(far), None);
}

proptest! {
    #[test]
    fn windows_follow_each_other_without_a_gap(
        seconds in 0_u64..4_000_000_000,
        calendar in prop::sample::select(vec![
            "minute", "hour", "day UTC", "day America/Los_Angeles", "day 02:30 America/New_York", "month Asia/Kolkata",
            "day Australia/Lord_Howe", "month 01:30 Europe/Berlin", "day Africa/Casablanca",
        ]),
    ) {
        let known: Calendar = calendar.parse().expect("a calendar");
        let now = UNIX_EPOCH + Duration::from_secs(seconds);
        let window = known.window_at(now).expect("a window");
        prop_assert!(window.start <= now && now < window.end && window.end < window.next);
        let following = known.window_at(window.end).expect("a window");
        prop_assert_eq!((following.start, following.end), (window.end, window.next));
        let last = known.window_at(window.end - Duration::from_millis(1)).expect("a window");
        prop_assert_eq!(last, window);
        let length = window.end.duration_since(window.start).expect("ends later");
        prop_assert!(length <= known.usual_length() * 5 / 4 && length >= known.usual_length() * 3 / 4);
    }
}

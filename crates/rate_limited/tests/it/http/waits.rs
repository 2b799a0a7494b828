//! How long the headers and the text of an answer ask to wait.

use std::time::{Duration, SystemTime};

use rate_limited::http::{wait_in_headers, wait_in_message};

const NOW: u64 = 1_795_521_600; // Tue, 24 Nov 2026 12:00:00 GMT
const CAP: u64 = 400 * 24 * 3600;

#[track_caller]
fn check(headers: &[(&str, &str)], want: Option<f64>) {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(NOW);
    let headers = headers
        .iter()
        .map(|(name, value)| (*name, value.as_bytes()));
    assert_eq!(
        wait_in_headers(headers, now),
        want.map(Duration::from_secs_f64)
    );
}

#[test]
fn numbers() {
    let cap = Some(Duration::from_secs(CAP).as_secs_f64());
    for (value, want) in [
        ("0", Some(0.0)),
        ("1", Some(1.0)),
        ("120", Some(120.0)),
        ("1.5", Some(1.5)),
        (" 3 ", Some(3.0)),
        ("3, 5", Some(5.0)),
        ("5,3,abc", Some(5.0)),
        ("100000000000000000000", cap),
        ("1e400", cap),
        ("-5", None),
        ("+5", None),
        ("abc", None),
        ("", None),
        (",", None),
        ("NaN", None),
        ("inf", None),
        ("0x10", None),
        ("5s", None),
    ] {
        check(&[("Retry-After", value)], want);
    }
    check(
        &[
            ("retry-after", "3"),
            ("RETRY-AFTER", "9"),
            ("retry-after", "x"),
        ],
        Some(9.0),
    );
    check(&[("x-other", "3")], None);
}

#[test]
fn milliseconds_count_first() {
    check(
        &[("retry-after", "9"), ("retry-after-ms", "1500")],
        Some(1.5),
    );
    check(
        &[("retry-after", "9"), ("retry-after-ms", "NaN")],
        Some(9.0),
    );
    check(&[("retry-after", "9"), ("retry-after-ms", "-1")], Some(9.0));
    check(
        &[("retry-after-ms", "1e12")],
        Some(1e9_f64.min(34_560_000.0)),
    );
}

#[test]
fn dates() {
    for (value, want) in [
        ("Tue, 24 Nov 2026 12:00:30 GMT", Some(30.0)),
        ("Tuesday, 24-Nov-26 12:00:30 GMT", Some(30.0)),
        ("Tue Nov 24 12:00:30 2026", Some(30.0)),
        ("Fri, 24 Nov 2026 12:00:30 GMT", Some(30.0)),
        ("Tue, 24 Nov 2026 11:00:00 GMT", Some(0.0)),
        ("Fri, 31 Dec 9990 23:59:59 GMT", Some(34_560_000.0)),
        (
            "Tue, 24 Nov 2026 12:00:30 GMT, Tue, 24 Nov 2026 12:00:50 GMT, 7",
            Some(50.0),
        ),
        ("Tue, 24 Nov 2026 12:00:30 CET", None),
    ] {
        check(&[("retry-after", value)], want);
    }
    let date = ("Date", "Tue, 24 Nov 2009 12:00:00 GMT");
    check(
        &[date, ("retry-after", "Tue, 24 Nov 2009 12:00:05 GMT")],
        Some(5.0),
    );
    check(
        &[
            ("Date", "x"),
            ("retry-after", "Tue, 24 Nov 2026 12:00:05 GMT"),
        ],
        Some(5.0),
    );
}

#[test]
fn messages() {
    for (text, want) in [
        ("Please try again in 1.2s.", Some(1.2)),
        ("Please try again in 20ms. Visit x", Some(0.02)),
        ("please TRY AGAIN in 1m30s", Some(90.0)),
        ("try again in 6m0s.", Some(360.0)),
        ("try again in 7m12.5s", Some(432.5)),
        ("try again in 14h29m11.04s", Some(52_151.04)),
        ("Please retry after 24 seconds.", Some(24.0)),
        ("Please retry in 38.2s.", Some(38.2)),
        ("try again in 5s or wait 2 minutes", Some(120.0)),
        ("try again in 999999999999h", Some(34_560_000.0)),
        ("try again in 5", None),
        ("try again in a moment", None),
        ("try again in -5s", None),
        ("try again in ..s", None),
        ("it takes 5s", None),
    ] {
        assert_eq!(
            wait_in_message(text),
            want.map(Duration::from_secs_f64),
            "{text}"
        );
    }
}

//! Parsers: tables, round trips, and agreement with readers that nobody here wrote.

use std::time::{Duration, SystemTime};

use jiff::SignedDuration;
use proptest::prelude::*;
use rate_limited_apis::{Moment, WAIT_MAX, parse, wait_in_headers};
use rate_limited_core::Amount;

use crate::any_bytes;

const NOW: Moment = Moment::from_seconds(1_795_521_600); // Tue, 24 Nov 2026 12:00:00 GMT

#[track_caller]
fn check(headers: &[(&str, &str)], want: Option<f64>) {
    assert_eq!(
        wait_in_headers(&headers, NOW),
        want.map(Duration::from_secs_f64),
        "{headers:?}"
    );
}

#[test]
fn waits_in_headers() {
    let most = Some(WAIT_MAX.as_secs_f64());
    for (value, want) in [
        ("0", Some(0.0)),
        ("1", Some(1.0)),
        ("120", Some(120.0)),
        ("1.5", Some(1.5)),
        (" 3 ", Some(3.0)),
        ("3, 5", Some(5.0)),
        ("5,3,abc", Some(5.0)),
        ("100000000000000000000", most),
        ("1e400", most),
        ("-5", None),
        ("+5", None),
        ("abc", None),
        ("", None),
        (",", None),
        ("NaN", None),
        ("inf", None),
        ("0x10", None),
        ("5s", None),
        ("Tue, 24 Nov 2026 12:00:30 GMT", Some(30.0)),
        ("Tuesday, 24-Nov-26 12:00:30 GMT", Some(30.0)),
        ("Tue Nov 24 12:00:30 2026", Some(30.0)),
        ("Fri, 24 Nov 2026 12:00:30 GMT", Some(30.0)),
        ("Tue, 24 Nov 2026 11:00:00 GMT", Some(0.0)),
        ("Fri, 31 Dec 9990 23:59:59 GMT", None),
        (
            "Tue, 24 Nov 2026 12:00:30 GMT, Tue, 24 Nov 2026 12:00:50 GMT, 7",
            Some(50.0),
        ),
        ("Tue, 24 Nov 2026 12:00:30 CET", None),
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
    check(
        &[("retry-after", "9"), ("retry-after-ms", "1500")],
        Some(1.5),
    );
    check(
        &[("retry-after", "9"), ("retry-after-ms", "NaN")],
        Some(9.0),
    );
    check(&[("retry-after", "9"), ("retry-after-ms", "-1")], Some(9.0));
    check(&[("retry-after-ms", "1e12")], most);
    check(&[("x-other", "3")], None);
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
fn waits_in_messages() {
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
        ("try again in 999999999999h", Some(WAIT_MAX.as_secs_f64())),
        ("try again in 5", None),
        ("try again in a moment", None),
        ("try again in -5s", None),
        ("try again in ..s", None),
        ("it takes 5s", None),
        ("wait é5s", None),
    ] {
        assert_eq!(
            parse::wait_in_message(text),
            want.map(Duration::from_secs_f64),
            "{text}"
        );
    }
}

#[test]
fn moments_in_numbers() {
    let micros = |text| parse::epoch(text).map(Moment::as_micros);
    assert_eq!(micros("1470173023.123"), Some(1_470_173_023_123_000));
    assert_eq!(micros("1470173023123"), Some(1_470_173_023_123_000));
    assert_eq!(micros("1470173023123456"), Some(1_470_173_023_123_456));
    assert_eq!(micros("1470173023123456789"), Some(1_470_173_023_123_456));
    assert_eq!(micros("99999999999999999999999999"), None);
    assert_eq!(
        (micros("-5"), micros("0.0"), micros("")),
        (None, None, None)
    );
}

#[test]
fn odd_structured_fields() {
    for (field, members) in [
        ("", None),
        (",", None),
        (";", None),
        ("\"a", None),
        ("\"a\\", None),
        ("\"a\";q=x", None),
        ("\"a\";q=-1", None),
        ("\"a,b\";q=1", Some(1)),
        ("\"a;q=2\";q=1", Some(1)),
        ("a;q=1;flag;x=\"y,z\", b", Some(2)),
        ("\"a\";q=1;pk=:cHsdsRa894==:", Some(1)),
    ] {
        let told = parse::structured(field).map(|members| members.len());
        assert_eq!(told, members, "{field}");
    }
    let told = parse::structured(r#""a \"b\"";q=1.5;qu="content-bytes";w=60"#).unwrap();
    assert_eq!(
        (told[0].name.as_str(), told[0].unit.as_deref()),
        ("a \"b\"", Some("content-bytes"))
    );
    assert_eq!(told[0].quota, Amount::cost(1.5).ok());
}

/// Text that often comes near to what a parser looks for.
fn near() -> impl Strategy<Value = String> {
    let words = prop::sample::select(vec![
        "try again in ",
        "retry after ",
        "0",
        "7",
        "94",
        "1994",
        "99999999999999999999",
        ".",
        "ms",
        "s",
        "m",
        "h",
        "d",
        "µs",
        " days",
        ",",
        ";",
        "-",
        "+",
        ":",
        "/",
        " ",
        "Sun",
        "Nov",
        "Dec",
        "31",
        "GMT",
        "GMT+0100",
        "(CET)",
        "T",
        "Z",
        "2026-11-24T12:00:00Z",
        "limit ",
        "requested ",
        "é",
        "\u{1b}",
        "{",
        "}",
        "[",
        "]",
        "\"error\":",
        "\"usage\":",
        "\"total_tokens\":",
        "\"code\":",
        "\"message\":",
        "\"details\":",
        "\"errors\":",
        "null",
        "\"",
        "\\",
        "\\ud800",
        "1e400",
        "e5",
        "NaN",
        "w=",
        "q=",
        "r=",
        "t=",
        "rate_limit_exceeded",
        "PerDay",
        "secondary rate",
        "name = ",
        "[[resources]]\n",
        "[[rules]]\n",
        "cost = { request = 1 }\n",
        "kind = \"bucket\"\n",
        "window = \"1m\"\n",
        "\n",
    ]);
    prop::collection::vec(words, 0..32).prop_map(|words| words.concat())
}

fn any_data() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![any::<Vec<u8>>(), near().prop_map(String::into_bytes)]
}

/// Seconds from 1971 to 9998.
fn seconds() -> impl Strategy<Value = i64> {
    31_536_000..253_339_228_800_i64
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn parsers_return(data in any_data()) {
        any_bytes::parsers(&data);
    }

    #[test]
    fn answers_are_read(api in any::<u8>(), status in any::<u8>(), body in any_data()) {
        any_bytes::answers(&[&[api, status][..], &body].concat());
    }

    #[test]
    fn descriptions_are_read(data in any_data()) {
        any_bytes::description(&data);
    }

    #[test]
    fn go_durations_agree_with_jiff(hours in 0..9_000_u64, rest in 0..3_600_000_000_u64) {
        let (minutes, micros) = (rest / 60_000_000, rest % 60_000_000);
        let text = format!("{hours}h{minutes}m{}.{:06}s", micros / 1_000_000, micros % 1_000_000);
        let want: SignedDuration = text.parse().expect("jiff reads it");
        prop_assert_eq!(parse::go_duration(&text), Some(want.unsigned_abs()));
        let millis = format!("{}ms", rest / 1_000);
        let want: SignedDuration = millis.parse().expect("jiff reads it");
        prop_assert_eq!(parse::go_duration(&millis), Some(want.unsigned_abs()));
    }

    #[test]
    fn durations_return_as_they_were_written(micros in 0..WAIT_MAX.as_micros() as u64) {
        let want = Some(Duration::from_micros(micros));
        let seconds = format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
        prop_assert_eq!(parse::seconds(&seconds), want);
        prop_assert_eq!(parse::any_time(&seconds, NOW), want);
        prop_assert_eq!(parse::proto_duration(&format!("{seconds}s")), want);
        prop_assert_eq!(parse::go_duration(&format!("{seconds}s")), want);
        let millis = format!("{}.{:03}", micros / 1_000, micros % 1_000);
        prop_assert_eq!(parse::milliseconds(&millis), want);
    }

    #[test]
    fn moments_return_as_they_were_written(seconds in seconds(), offset in -14 * 60..14 * 60_i32) {
        let moment = Some(Moment::from_seconds(seconds));
        if (100_000_000..100_000_000_000).contains(&seconds) {
            for zeros in ["", "000", "000000", "000000000"] {
                prop_assert_eq!(parse::epoch(&format!("{seconds}{zeros}")), moment, "{}", zeros);
            }
        }
        let stamp = jiff::Timestamp::from_second(seconds).unwrap();
        prop_assert_eq!(parse::rfc3339(&stamp.to_string()), moment);
        let zone = jiff::tz::Offset::from_seconds(offset * 60).unwrap();
        let local = zone.to_datetime(stamp);
        let sign = if offset < 0 { '-' } else { '+' };
        let zone = format!("{sign}{:02}{:02}", offset.abs() / 60, offset.abs() % 60);
        let text = format!("{} GMT{zone} (Somewhere)", local.strftime("%a %b %d %Y %H:%M:%S"));
        prop_assert_eq!(parse::js_date(&text), moment, "{}", text);
    }

    #[test]
    fn http_dates_agree_with_another_reader(seconds in seconds()) {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds.unsigned_abs());
        let text = httpdate::fmt_http_date(time);
        prop_assert_eq!(parse::http_date(&text, NOW), Some(Moment::from_seconds(seconds)));
        let stamp = jiff::Timestamp::from_second(seconds).unwrap();
        let asctime = jiff::tz::Offset::UTC.to_datetime(stamp).strftime("%a %b %e %H:%M:%S %Y").to_string();
        prop_assert_eq!(parse::http_date(&asctime, NOW), Some(Moment::from(time)), "{}", asctime);
    }

    #[test]
    fn what_another_reader_takes_for_a_date_is_one(text in near()) {
        if let Ok(time) = httpdate::parse_http_date(&text) {
            prop_assert_eq!(parse::http_date(&text, NOW), Some(Moment::from(time)));
        }
    }

    #[test]
    fn amounts_return_as_they_were_written(micros in 0..i64::MAX, size in 0..i64::MAX) {
        let (amount, size) = (Amount::from_micros(micros), Amount::from_micros(size));
        prop_assert_eq!(parse::number(&amount.to_string()), Some(amount));
        prop_assert_eq!(parse::used_of(&format!("{amount}/{size}")), Some((amount, size)));
        let whole = (micros / 1_000_000).to_string();
        let mut grouped = String::new();
        for (at, digit) in whole.chars().enumerate() {
            if at > 0 && (whole.len() - at).is_multiple_of(3) {
                grouped.push(',');
            }
            grouped.push(digit);
        }
        prop_assert_eq!(parse::number(&grouped), parse::number(&whole), "{}", grouped);
    }

    #[test]
    fn structured_fields_return_as_they_were_written(
        members in prop::collection::vec(("[ -~]{0,9}", 0..99_999_u32, 1..9_999_u64), 1..5),
    ) {
        let member = |(name, quota, window): &(String, u32, u64)| {
            let name = name.replace('\\', "\\\\").replace('"', "\\\"");
            format!("\"{name}\";q={quota};w={window}")
        };
        let field: Vec<String> = members.iter().map(member).collect();
        let told = parse::structured(&field.join(", ")).expect("is well formed");
        prop_assert_eq!(told.len(), members.len());
        for (told, (name, quota, window)) in told.iter().zip(&members) {
            prop_assert_eq!(&told.name, name);
            prop_assert_eq!(told.quota, Some(Amount::units(*quota)));
            prop_assert_eq!(told.window, Some(Duration::from_secs(*window)));
        }
    }
}

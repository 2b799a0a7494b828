use std::time::Duration;

use proptest::prelude::*;
use rate_limited_cli::values::limit::{Limit, LimitError, QUOTA_MAX};

#[test]
fn limits_are_read() {
    let cases = [
        ("requests=3500/1m", "requests", 3_500_000_000, 60_000_000),
        (
            "tokens=1_000_000/1d",
            "tokens",
            1_000_000_000_000,
            86_400_000_000,
        ),
        ("requests=10/2s", "requests", 10_000_000, 2_000_000),
        ("images=5/250ms", "images", 5_000_000, 250_000),
        ("requests=500/m", "requests", 500_000_000, 60_000_000),
        ("requests=500/h", "requests", 500_000_000, 3_600_000_000),
        ("requests=5/second", "requests", 5_000_000, 1_000_000),
        ("requests=500/minute", "requests", 500_000_000, 60_000_000),
        ("requests=5/hour", "requests", 5_000_000, 3_600_000_000),
        ("tokens=10k/day", "tokens", 10_000_000_000, 86_400_000_000),
        ("tokens=90k/1m", "tokens", 90_000_000_000, 60_000_000),
        ("tokens=1.5M/1.5s", "tokens", 1_500_000_000_000, 1_500_000),
        ("tokens=90K/1m", "tokens", 90_000_000_000, 60_000_000),
        ("tokens=3m/1m", "tokens", 3_000_000_000_000, 60_000_000),
        ("tokens=3M/m", "tokens", 3_000_000_000_000, 60_000_000),
        (
            "tokens=1.5g/1d",
            "tokens",
            1_500_000_000_000_000,
            86_400_000_000,
        ),
        (
            "tokens=2G/1d",
            "tokens",
            2_000_000_000_000_000,
            86_400_000_000,
        ),
        ("money=0.25/1h30m", "money", 250_000, 5_400_000_000),
        ("a-b.c_d=0.000001/1us", "a-b.c_d", 1, 1),
        (" tokens = 5 / 1 m ", "tokens", 5_000_000, 60_000_000),
        (
            "x=9200000000000/400d",
            "x",
            9_200_000_000_000_000_000,
            34_560_000_000_000,
        ),
    ];
    for (text, name, quota_micros, window_micros) in cases {
        let window = Duration::from_micros(window_micros);
        let expected = Limit {
            name: name.to_owned(),
            key: None,
            quota_micros,
            window,
            calendar: None,
        };
        assert_eq!(text.parse(), Ok(expected), "{text}");
    }
}

#[test]
fn windows_of_the_calendar_are_read_and_written() {
    let hours = |hours: u64| Duration::from_secs(hours * 3_600);
    for (text, calendar, window, written) in [
        (
            "requests=1000/day@America/Los_Angeles",
            "day America/Los_Angeles",
            hours(24),
            "requests=1000/day@America/Los_Angeles",
        ),
        ("r=5/1d@utc", "day UTC", hours(24), "r=5/day@UTC"),
        (
            "r=5/day@9:00 Europe/Berlin",
            "day 09:00 Europe/Berlin",
            hours(24),
            "r=5/day@09:00 Europe/Berlin",
        ),
        (
            "tokens=5M/month@UTC",
            "month UTC",
            hours(720),
            "tokens=5000000/month@UTC",
        ),
        (
            "r=60/1m@UTC",
            "minute",
            Duration::from_secs(60),
            "r=60/minute@UTC",
        ),
        (
            "r=60/minute@UTC",
            "minute",
            Duration::from_secs(60),
            "r=60/minute@UTC",
        ),
        ("r=60/h@UTC", "hour", hours(1), "r=60/hour@UTC"),
        (
            "r=5/10s@UTC",
            "clock 10s",
            Duration::from_secs(10),
            "r=5/10s@UTC",
        ),
    ] {
        let limit: Limit = text.parse().expect(text);
        assert_eq!(limit.window, window, "{text}");
        assert_eq!(limit.to_string(), written);
        assert_eq!(
            limit.calendar.as_ref().map(ToString::to_string).as_deref(),
            Some(calendar)
        );
        assert_eq!(written.parse(), Ok(limit), "{written}");
    }
    for (text, expected) in [
        ("r=5/day@", "\"\" is no known time zone"),
        (
            "r=5/day@Mars",
            "\"Mars\" is no known time zone: write a name such as America/Los_Angeles",
        ),
        ("r=5/week@UTC", "'week'"),
        ("r=5/week@Asia/Tokyo", "write minute, hour, day or month"),
        ("r=5/10s@Asia/Tokyo", "which follow the clock in UTC"),
        ("r=5/0s@UTC", "too short"),
    ] {
        let error = text.parse::<Limit>().expect_err(text).to_string();
        assert!(
            error.contains(expected) && error.contains("r=5"),
            "{text}: {error}"
        );
    }
    // A window that slides and one of the calendar stand side by side.
    let limits = ["r=5/1d", "r=5/day@UTC", "r=4/day@Asia/Tokyo"].map(|it| it.parse().expect("one"));
    assert_eq!(Limit::check_distinct(&limits), Ok(()));
}

#[test]
fn limits_for_one_model_name_it_in_brackets() {
    for (text, name, key) in [
        ("requests[gpt-4o]=5/1m", "requests", "gpt-4o"),
        (" tokens [ gpt-4o* ] = 5/1m", "tokens", "gpt-4o*"),
        (
            "tokens[meta/llama3.1:8b=x]=5/1m",
            "tokens",
            "meta/llama3.1:8b=x",
        ),
        ("requests[*]=5/1m", "requests", "*"),
    ] {
        let limit: Limit = text.parse().expect(text);
        assert_eq!((&*limit.name, limit.key.as_deref()), (name, Some(key)));
    }
    for text in [
        "requests[]=5/1m",
        "requests[a*b*]=5/1m",
        "requests[a[b]=5/1m",
    ] {
        let refused = text.parse::<Limit>().expect_err(text).to_string();
        assert!(refused.contains("at most one *"), "{refused}");
    }
    for text in ["requests[a=5/1m", "requests[a]5/1m", "requests[a]"] {
        let refused = text.parse::<Limit>().expect_err(text);
        assert!(matches!(refused, LimitError::Form(_)), "{text}: {refused}");
    }
    let limits = [
        "tokens[a]=1/1m",
        "tokens[b]=1/1m",
        "tokens=1/1m",
        "tokens[a]=2/1m",
    ];
    let limits = limits.map(|text| text.parse::<Limit>().expect("a limit"));
    assert_eq!(Limit::check_distinct(&limits[..3]), Ok(()));
    assert!(Limit::check_distinct(&limits).is_err());
}

#[test]
fn short_forms_are_limits_a_minute() {
    assert_eq!(
        Limit::requests_per_minute("3_500"),
        "requests=3500/1m".parse()
    );
    assert_eq!(Limit::tokens_per_minute("90k"), "tokens=90000/1m".parse());
    assert_eq!(
        Limit::requests_per_minute("0"),
        Err(LimitError::Zero("0".to_owned()))
    );
}

#[test]
fn bad_limits_say_what_is_allowed() {
    let not_a_number = |quota: &str| {
        format!(
            "quota '{quota}' is not a number above 0: write for example 500, 1_000_000, 90k or \
             1.5M; leave the limit out where there is none"
        )
    };
    let written = |quota: &str| {
        format!(
            "quota '{quota}' is too large or wrongly written: write for example 500, 1_000_000, \
             90k or 1.5M"
        )
    };
    let too_large =
        |quota: &str| format!("quota '{quota}' is too large: the largest is 9,200,000,000,000");
    let form = |limit: &str| {
        format!("limit '{limit}' has not the form NAME=QUOTA/WINDOW, such as requests=500/1m")
    };
    let name = |limit: &str| {
        format!(
            "limit '{limit}' has a bad name: use 1 to 64 letters, digits, '_', '-' or '.', as in \
             requests=500/1m"
        )
    };
    let too_short =
        |limit: &str| format!("the window of limit '{limit}' is too short: the shortest is 1us");
    let window =
        |limit: &str, reason: &str| format!("the window of limit '{limit}' is refused: {reason}");
    let cases = [
        ("", form("")),
        ("requests", form("requests")),
        ("requests=500", form("requests=500")),
        ("500/1m", form("500/1m")),
        ("=500/1m", name("=500/1m")),
        ("my requests=500/1m", name("my requests=500/1m")),
        (
            "a=0/1m",
            "quota '0' lets nothing run: it must be above 0".to_owned(),
        ),
        (
            "a=0.0k/1m",
            "quota '0.0k' lets nothing run: it must be above 0".to_owned(),
        ),
        ("a=-5/1m", not_a_number("-5")),
        ("a=NaN/1m", not_a_number("NaN")),
        ("a=inf/1m", not_a_number("inf")),
        ("a=1e400/1m", written("1e400")),
        ("a=1e30/1m", written("1e30")),
        ("a=k/1m", not_a_number("k")),
        ("a=/1m", not_a_number("")),
        ("a=1,000/1m", not_a_number("1,000")),
        (
            "a=9200000000000.000001/1m",
            too_large("9200000000000.000001"),
        ),
        ("a=9_200_001M/1m", too_large("9_200_001M")),
        (
            "a=99999999999999999999999999999999999999999/1m",
            too_large(&"9".repeat(41)),
        ),
        (
            "a=0.0000001/1m",
            "quota '0.0000001' is finer than a millionth: use at most 6 places".to_owned(),
        ),
        ("a=5/0s", too_short("a=5/0s")),
        ("a=5/0.5us", too_short("a=5/0.5us")),
        (
            "a=5/401d",
            window(
                "a=5/401d",
                "duration '401d' is too long: the longest is 400d",
            ),
        ),
        (
            "a=5/10y",
            window(
                "a=5/10y",
                "duration '10y' has the unknown unit 'y': known are us, ms, s, m, h, d",
            ),
        ),
        (
            "a=5/",
            window(
                "a=5/",
                "the duration is empty: write a number and a unit, such as 90s, 1h30m or 250ms",
            ),
        ),
        (
            "a=5/60",
            window(
                "a=5/60",
                "duration '60' has no unit: write one of us, ms, s, m, h, d after it",
            ),
        ),
    ];
    for (text, sentence) in cases {
        assert_eq!(text.parse::<Limit>().expect_err(text).to_string(), sentence);
    }
}

#[test]
fn other_endings_of_a_quota_are_refused() {
    for quota in ["5t", "5mm", "5ms", "5km", "m", "5 m"] {
        let error = format!("a={quota}/1m").parse::<Limit>();
        let expected = LimitError::NotANumber(quota.to_owned());
        assert_eq!(error, Err(expected));
    }
    let expected = LimitError::TooLarge("9_201g".to_owned());
    assert_eq!("a=9_201g/1m".parse::<Limit>(), Err(expected));
}

#[test]
fn a_limit_the_wrong_way_round_is_none() {
    let error = "a=1m/500".parse::<Limit>().expect_err("no window");
    assert!(error.to_string().contains("duration '500' has no unit"));
}

#[test]
fn one_window_has_one_quota() {
    let limits = [
        "tokens=90k/1m",
        "tokens=1M/1d",
        "requests=5/1m",
        "tokens=80k/60s",
    ];
    let limits = limits.map(|text| text.parse::<Limit>().expect("a limit"));
    assert_eq!(Limit::check_distinct(&limits[..3]), Ok(()));
    assert_eq!(
        Limit::check_distinct(&limits)
            .expect_err("twice")
            .to_string(),
        "limit tokens=90000/1m and limit tokens=80000/1m are for one window: keep one of them"
    );
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        name in "[A-Za-z0-9_.-]{1,64}",
        key in prop::option::of("[a-z0-9:/=.-]{1,30}[*]?"),
        quota_micros in prop_oneof![1..2_000_000_i64, 1..=QUOTA_MAX.cast_signed() * 1_000_000],
        window in 1_000..=34_560_000_000_000_000_u64,
    ) {
        let limit = Limit { name, key, quota_micros, window: Duration::from_nanos(window), calendar: None };
        prop_assert_eq!(limit.to_string().parse(), Ok(limit));
    }

    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,30}|[a-z]{0,2}=[0-9._kM]{0,8}/[0-9.]{0,4}[a-zµ]{0,2}") {
        let _ = text.parse::<Limit>();
    }
}

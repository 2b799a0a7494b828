use std::time::Duration;

use proptest::prelude::*;
use rate_limited_cli::values::duration::{DURATION_MAX, Human, parse, written};

#[test]
fn durations_are_read() {
    let cases = [
        ("90s", 90_000_000_000_u64),
        ("1h30m", 5_400_000_000_000),
        ("1h 30min", 5_400_000_000_000),
        ("3 m 20 s", 200_000_000_000),
        ("1.5s", 1_500_000_000),
        ("250ms", 250_000_000),
        ("1us", 1_000),
        ("1.5µs", 1_500),
        ("0s", 0),
        ("1_000ms", 1_000_000_000),
        ("400d", 34_560_000_000_000_000),
        (" 6h ", 21_600_000_000_000),
    ];
    for (text, nanos) in cases {
        assert_eq!(parse(text), Ok(Duration::from_nanos(nanos)), "{text}");
    }
}

#[test]
fn bad_durations_say_what_is_allowed() {
    let cases = [
        (
            "",
            "the duration is empty: write a number and a unit, such as 90s, 1h30m or 250ms",
        ),
        (
            "90",
            "duration '90' has no unit: write one of us, ms, s, m, h, d after it",
        ),
        (
            "-5s",
            "duration '-5s' is not a number and a unit: write for example 90s, 1h30m or 250ms",
        ),
        (
            "inf",
            "duration 'inf' is not a number and a unit: write for example 90s, 1h30m or 250ms",
        ),
        (
            "NaN s",
            "duration 'NaN s' is not a number and a unit: write for example 90s, 1h30m or 250ms",
        ),
        (
            ".5s",
            "duration '.5s' is not a number and a unit: write for example 90s, 1h30m or 250ms",
        ),
        (
            "2 weeks",
            "duration '2 weeks' has the unknown unit 'weeks': known are us, ms, s, m, h, d",
        ),
        (
            "1e3s",
            "duration '1e3s' has the unknown unit 'e': known are us, ms, s, m, h, d",
        ),
        (
            "5S",
            "duration '5S' has the unknown unit 'S': known are us, ms, s, m, h, d",
        ),
        (
            "30m1h",
            "duration '30m1h' has its units out of order: write each once, from large to small, as in 1h30m",
        ),
        (
            "1h1h",
            "duration '1h1h' has its units out of order: write each once, from large to small, as in 1h30m",
        ),
        ("401d", "duration '401d' is too long: the longest is 400d"),
        (
            "400d1us",
            "duration '400d1us' is too long: the longest is 400d",
        ),
        (
            "0.0001us",
            "duration '0.0001us' is finer than a nanosecond: use fewer places",
        ),
    ];
    for (text, sentence) in cases {
        assert_eq!(parse(text).expect_err(text).to_string(), sentence);
    }
    let long = format!("{}d", "9".repeat(60));
    assert!(
        parse(&long)
            .expect_err("too long")
            .to_string()
            .ends_with("the longest is 400d")
    );
}

#[test]
fn people_read_two_units_at_most() {
    let cases = [
        (0, "0 s"),
        (300, "0 µs"),
        (1_500, "2 µs"),
        (999_499, "999 µs"),
        (999_500, "1 ms"),
        (420_000_000, "420 ms"),
        (999_600_000, "1 s"),
        (4_250_000_000, "4.3 s"),
        (9_970_000_000, "10 s"),
        (59_400_000_000, "59 s"),
        (59_970_000_000, "1 m"),
        (200_000_000_000, "3 m 20 s"),
        (3_599_600_000_000, "1 h"),
        (5_400_000_000_000, "1 h 30 m"),
        (86_399_000_000_000, "1 d"),
        (183_600_000_000_000, "2 d 3 h"),
    ];
    for (nanos, shown) in cases {
        assert_eq!(
            Human(Duration::from_nanos(nanos)).to_string(),
            shown,
            "{nanos}"
        );
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read(nanos in prop_oneof![0..=34_560_000_000_000_000_u64, 0..10_000_u64]) {
        let duration = Duration::from_nanos(nanos);
        prop_assert!(duration <= DURATION_MAX);
        prop_assert_eq!(parse(&written(duration)), Ok(duration));
    }

    #[test]
    fn what_people_read_is_near(nanos in 1_000_000..34_560_000_000_000_000_u64) {
        let shown = Human(Duration::from_nanos(nanos)).to_string();
        let read = parse(&shown).expect(&shown).as_nanos();
        let off = read.abs_diff(u128::from(nanos));
        // Two units, or two digits below ten seconds: never off by more than one part in twenty.
        prop_assert!(off * 20 <= u128::from(nanos), "{nanos} is shown as {shown}");
    }

    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,30}|[0-9._ ]{0,12}[a-zµ]{0,3}") {
        let _ = parse(&text);
    }
}

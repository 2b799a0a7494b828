//! Whatever bytes come, the parsers return.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use proptest::prelude::*;

use super::api_error::{ApiError, shape_of};
use super::classify::{class_of, status_of, unit_of};
use super::endpoint::Endpoint;
use super::secrets::Secrets;
use super::text::{one_line, scrub_urls};
use super::{Key, http_date, usage, wait_in_headers, wait_in_message};

const WAIT_MAX: Duration = Duration::from_secs(400 * 24 * 3600);

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
        " days",
        ",",
        "-",
        ":",
        " ",
        "Sun",
        "Nov",
        "GMT",
        "limit ",
        "requested ",
        "é",
        "\u{1b}",
        "\u{202e}",
        "://",
        "@",
        "?",
        "/",
        "..",
        "%2e",
        "{",
        "}",
        "[",
        "]",
        "\"error\":",
        "\"usage\":",
        "null",
        "\"",
        "1e400",
        "NaN",
    ]);
    prop::collection::vec(words, 0..24).prop_map(|words| words.concat())
}

fn any_bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![any::<Vec<u8>>(), near().prop_map(String::into_bytes)]
}

proptest! {
    #[test]
    fn waits_are_bounded(a in any_bytes(), b in any_bytes(), date in any_bytes(), text in near()) {
        let headers = [("retry-after", &a[..]), ("Retry-After", &b), ("date", &date)];
        let waits = [
            wait_in_headers(headers, SystemTime::now()),
            wait_in_headers([("retry-after-ms", &a[..])], SystemTime::UNIX_EPOCH),
            wait_in_message(&text),
        ];
        prop_assert!(waits.into_iter().flatten().all(|wait| wait <= WAIT_MAX));
    }

    #[test]
    fn bodies_are_judged(body in any_bytes(), status in 100_u16..1000) {
        let error = ApiError::parse(&body);
        let _ = (shape_of(&body), usage::total_tokens(&body), unit_of(&error));
        let _ = (class_of(status, &error, None), status_of(&error));
    }

    #[test]
    fn text_stays_one_line(text in prop_oneof![any::<String>(), near()], chars in 0_usize..100) {
        let line = one_line(&scrub_urls(&text), chars);
        prop_assert!(!line.chars().any(char::is_control));
    }

    #[test]
    fn no_key_is_left(before in any_bytes(), after in any_bytes()) {
        let key = Key::new("sk-CANARY/123").unwrap();
        let body = [&before[..], key.reveal().as_bytes(), &after].concat();
        let masked = Secrets::new([&key]).mask_bytes(body.into());
        prop_assert!(!masked.windows(13).any(|window| window == key.reveal().as_bytes()));
    }

    #[test]
    fn dates_and_paths_are_parsed(text in near(), seconds in any::<i32>()) {
        let _ = http_date::parse(&text, Timestamp::from_second(seconds.into()).unwrap());
        let endpoint = Endpoint::new("http://host:1/v1").unwrap();
        if let Ok(url) = endpoint.join(&text) {
            prop_assert_eq!(url.origin(), endpoint.join("/").unwrap().origin());
            prop_assert!(url.path().starts_with("/v1/"), "{}", url);
        }
    }
}

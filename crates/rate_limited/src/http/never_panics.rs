//! Whatever bytes come, the parsers return.

use proptest::prelude::*;

use super::Key;
use super::endpoint::Endpoint;
use super::secrets::Secrets;
use super::text::{one_line, scrub_urls};

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
    fn text_stays_one_line(text in prop_oneof![any::<String>(), near()], chars in 0_usize..100) {
        let line = one_line(&scrub_urls(&text), chars);
        prop_assert!(!line.chars().any(char::is_control));
    }

    #[test]
    fn no_key_is_left(before in any_bytes(), after in any_bytes()) {
        let key = Key::new("sk-CANARY/123").unwrap();
        let body = [&before[..], key.reveal().as_bytes(), &after].concat();
        let masked = Secrets::new([&key]).mask_bytes(body.into(), true);
        prop_assert!(!masked.windows(13).any(|window| window == key.reveal().as_bytes()));
    }

    #[test]
    fn paths_are_parsed(text in near()) {
        let endpoint = Endpoint::new("http://host:1/v1").unwrap();
        if let Ok(url) = endpoint.join(&text) {
            prop_assert_eq!(url.origin(), endpoint.join("/").unwrap().origin());
            prop_assert!(url.path().starts_with("/v1/"), "{}", url);
        }
    }
}

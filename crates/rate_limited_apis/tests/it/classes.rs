//! Classes as the scheduler has them, for servers that follow `OpenAI`.

use std::time::Duration;

use rate_limited_apis::{Answer, Api, Class, Moment, Unit};
use rate_limited_core as core;

const REFUSED: core::Class = refused(None);

const fn refused(retry_after: Option<Duration>) -> core::Class {
    core::Class::Refused {
        resource: None,
        retry_after,
    }
}

#[track_caller]
fn kind(status: u16, headers: &[(&str, &str)], body: &str) -> core::Class {
    let api = Api::named("openai").unwrap();
    let answer = Answer::new(status, &headers, body.as_bytes());
    api.read(&answer, Moment::from_seconds(0)).kind(|_| None)
}

#[test]
fn statuses() {
    let table = [
        (core::Class::Fatal, &[401, 402, 403][..]),
        (REFUSED, &[429]),
        (
            core::Class::Failure,
            &[
                0, 100, 199, 408, 409, 425, 500, 502, 504, 520, 522, 524, 599, 600, 999,
            ],
        ),
        (overloaded(None), &[503, 529]),
        (
            core::Class::Permanent,
            &[
                300, 302, 304, 400, 404, 405, 410, 413, 415, 421, 422, 451, 499,
            ],
        ),
        (core::Class::Success, &[200, 201, 299]),
    ];
    for (class, statuses) in table {
        for &status in statuses {
            assert_eq!(kind(status, &[], r#"{"message":"m"}"#), class, "{status}");
        }
    }
}

fn overloaded(retry_after: Option<Duration>) -> core::Class {
    core::Class::Overloaded { retry_after }
}

#[test]
fn an_overload_waits_as_long_as_it_says() {
    let seven = refused(Some(Duration::from_secs(7)));
    for (status, class) in [
        (429, seven),
        (503, overloaded(Some(Duration::from_secs(7)))),
        (529, overloaded(Some(Duration::from_secs(7)))),
        (500, core::Class::Failure),
        (408, core::Class::Failure),
        (400, core::Class::Permanent),
    ] {
        assert_eq!(kind(status, &[("Retry-After", "7")], ""), class, "{status}");
    }
    // A wait of zero is no licence to storm.
    let zero = [("Retry-After", "0")];
    assert_eq!(kind(429, &zero, ""), REFUSED);
    assert_eq!(kind(503, &zero, ""), overloaded(None));
}

#[test]
fn a_refusal_names_its_resource() {
    let api = Api::named("openai").unwrap();
    let unit = |kind: &str, message: &str| {
        let body = format!(
            r#"{{"error":{{"message":"{message}","type":"{kind}","code":"rate_limit_exceeded"}}}}"#
        );
        let told = api.read(
            &Answer::new(429, &[("", ""); 0], body.as_bytes()),
            Moment::default(),
        );
        let resource = told.resource.and_then(|name| api.resource(name));
        resource.map(|resource| resource.unit)
    };
    assert_eq!(unit("requests", ""), Some(Unit::Requests));
    assert_eq!(
        unit("tokens", "on requests per min (RPM)"),
        Some(Unit::Tokens)
    );
    assert_eq!(
        unit("x", "on tokens per min (TPM): Limit 5"),
        Some(Unit::Tokens)
    );
    assert_eq!(unit("x", "on requests per day (RPD)"), Some(Unit::Requests));
    assert_eq!(unit("x", "slow down"), None);
}

#[test]
fn half_an_answer_is_no_answer() {
    let deep = format!(r#"{{"error":null,"x":{}"#, "[".repeat(100_000));
    for body in [
        "",
        "   ",
        "null",
        "7",
        "\"text\"",
        "<!DOCTYPE html><html></html>",
        "{\"choices\":[",
        "{\"choices\":[]}x",
        "{\"x\":NaN}",
        "\u{feff}{}",
        &deep,
    ] {
        assert_eq!(kind(200, &[], body), core::Class::Failure, "{body:.40}");
    }
    for body in [
        "[1, 2]",
        "{}",
        r#"{"error":false}"#,
        r#"{"error":{"code":"x"},"choices":[{}]}"#,
    ] {
        assert_eq!(kind(200, &[], body), core::Class::Success, "{body}");
    }
}

#[test]
fn an_attempt_without_an_answer() {
    assert_eq!(Api::no_answer(true, true), Class::Transient);
    assert_eq!(Api::no_answer(false, false), Class::Transient);
    assert_eq!(Api::no_answer(true, false), Class::DeliveryUnknown);
}

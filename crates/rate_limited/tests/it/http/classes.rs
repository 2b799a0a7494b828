//! Which class each answer gets.

use std::time::Duration;

use rate_limited::http::{HttpError, Unit};
use rate_limited_core::Class;

use super::server::Server;
use super::{post_for, post_to, reply};

const REFUSED: Class = Class::Refused {
    resource: None,
    retry_after: None,
};

fn refused(seconds: u64) -> Class {
    Class::Refused {
        resource: None,
        retry_after: Some(Duration::from_secs(seconds)),
    }
}

fn overloaded(seconds: Option<u64>) -> Class {
    Class::Overloaded {
        retry_after: seconds.map(Duration::from_secs),
    }
}

async fn error_for(status: u16, headers: &str, body: &str) -> HttpError {
    let error = post_for(reply(status, headers, body)).await.unwrap_err();
    assert!(!error.to_string().contains('\n'));
    error
}

#[tokio::test]
async fn statuses() {
    let table = [
        (Class::Fatal, &[401, 402, 403][..]),
        (REFUSED, &[429]),
        (
            Class::Failure,
            &[408, 409, 425, 500, 502, 504, 520, 522, 524, 599, 600, 999],
        ),
        (overloaded(None), &[503, 529]),
        (
            Class::Permanent,
            &[400, 404, 405, 410, 413, 415, 422, 451, 499, 300, 302, 304],
        ),
    ];
    for (class, statuses) in table {
        for &status in statuses {
            let error = error_for(status, "", r#"{"error":{"message":"m"}}"#).await;
            assert_eq!(error.class(), class, "{status}");
            let code = if status < 400 {
                "redirect"
            } else {
                "http_status"
            };
            assert_eq!(error.code(), code);
            assert_eq!(error.answer().unwrap().status, status);
        }
    }
}

#[tokio::test]
async fn an_overload_waits_as_long_as_it_says() {
    for (status, class) in [
        (429, refused(7)),
        (503, overloaded(Some(7))),
        (529, overloaded(Some(7))),
        (500, Class::Failure),
        (408, Class::Failure),
        (400, Class::Permanent),
    ] {
        let error = error_for(status, "Retry-After: 7\r\n", "").await;
        assert_eq!(error.class(), class, "{status}");
        assert_eq!(error.retry_after(), Some(Duration::from_secs(7)));
    }
    // A wait of zero is no licence to storm.
    assert_eq!(
        error_for(429, "Retry-After: 0\r\n", "").await.class(),
        REFUSED
    );
    assert_eq!(
        error_for(503, "Retry-After: 0\r\n", "").await.class(),
        overloaded(None)
    );
}

#[track_caller]
fn body(code: &str, kind: &str, message: &str) -> String {
    format!(r#"{{"error":{{"message":"{message}","type":"{kind}","param":null,"code":{code}}}}}"#)
}

#[tokio::test]
async fn codes() {
    let large =
        "Request too large for gpt on tokens per min (TPM): Limit 30,000, Requested 31,000.";
    let used = "Rate limit reached on tokens per min (TPM): Limit 30000, Used 29000, Requested 1200. \
                Please try again in 400ms.";
    let soon = Class::Refused {
        resource: None,
        retry_after: Some(Duration::from_millis(400)),
    };
    let table = [
        (
            429,
            "\"insufficient_quota\"",
            "insufficient_quota",
            "",
            Class::Fatal,
        ),
        (429, "\"credit_balance_exhausted\"", "x", "", Class::Fatal),
        (
            429,
            "\"organization_spend_limit_exceeded\"",
            "x",
            "",
            Class::Fatal,
        ),
        (
            429,
            "\"project_spend_limit_exceeded\"",
            "x",
            "",
            Class::Fatal,
        ),
        (
            429,
            "\"organization_usage_limit_exceeded\"",
            "x",
            "",
            Class::Fatal,
        ),
        (400, "\"billing_hard_limit_reached\"", "x", "", Class::Fatal),
        (429, "null", "insufficient_quota", "", Class::Fatal),
        (
            429,
            "\"rate_limit_exceeded\"",
            "insufficient_quota",
            "",
            REFUSED,
        ),
        (
            429,
            "\"rate_limit_exceeded\"",
            "tokens",
            large,
            Class::Permanent,
        ),
        (
            429,
            "\"rate_limit_exceeded\"",
            "tokens",
            "Request too large",
            Class::Permanent,
        ),
        (429, "\"rate_limit_exceeded\"", "tokens", used, soon),
        (429, "\"slow_down\"", "rate_limit_error", "", REFUSED),
        (503, "\"slow_down\"", "x", "", REFUSED),
        (
            403,
            "\"misalignment_policy_violation\"",
            "x",
            "",
            Class::Permanent,
        ),
        (
            404,
            "\"model_not_found\"",
            "invalid_request_error",
            "",
            Class::Permanent,
        ),
    ];
    for (status, code, kind, message, class) in table {
        let error = error_for(status, "", &body(code, kind, message)).await;
        assert_eq!(error.class(), class, "{error}");
        let want = if code == "null" {
            kind
        } else {
            code.trim_matches('"')
        };
        assert_eq!(error.code(), want);
    }
}

#[tokio::test]
async fn a_billing_error_stays_fatal_beside_a_retry_after() {
    let body = body(
        "\"insufficient_quota\"",
        "insufficient_quota",
        "try again in 1s",
    );
    assert_eq!(
        error_for(429, "Retry-After: 3\r\n", &body).await.class(),
        Class::Fatal
    );
}

#[tokio::test]
async fn the_unit_of_a_refusal() {
    let table = [
        ("requests", "", Some(Unit::Requests)),
        ("tokens", "on requests per min (RPM)", Some(Unit::Tokens)),
        (
            "x",
            "Limit reached on tokens per min (TPM): Limit 5, Requested 3",
            Some(Unit::Tokens),
        ),
        ("x", "on requests per day (RPD)", Some(Unit::Requests)),
        ("x", "slow down", None),
    ];
    for (kind, message, unit) in table {
        let error = error_for(429, "", &body("\"rate_limit_exceeded\"", kind, message)).await;
        assert_eq!(error.unit(), unit, "{kind} {message}");
    }
    let error = error_for(400, "", &body("\"x\"", "tokens", "")).await;
    assert_eq!(error.unit(), None);
}

#[tokio::test]
async fn messages_in_all_shapes() {
    let table = [
        (r#"{"error":{"message":"m","code":429}}"#, "HTTP 400 429: m"),
        (r#"{"error":"m"}"#, "HTTP 400 http_status: m"),
        (
            r#"{"object":"error","message":"m","type":"BadRequestError","code":400}"#,
            "HTTP 400 400: m",
        ),
        (r#"{"detail":"m"}"#, "HTTP 400 http_status: m"),
        (
            r#"[{"error":{"code":400,"message":"m","status":"X"}}]"#,
            "HTTP 400 400: m",
        ),
        (
            r#"{"error":{"message":"a\n\u001b[31mb\u202e"}}"#,
            r"HTTP 400 http_status: a \u{1b}[31mb\u{202e}",
        ),
        (
            r#"{"error":{"message":"\ud800","code":"c"}}"#,
            "HTTP 400 c: Bad Request: ",
        ),
        (
            "<html>hi</html>",
            "HTTP 400 http_status: Bad Request, with a body that seems to be HTML",
        ),
        ("", "HTTP 400 http_status: Bad Request, with an empty body"),
        ("no json", "HTTP 400 http_status: Bad Request: no json"),
    ];
    for (body, want) in table {
        let error = error_for(400, "", body).await.to_string();
        assert!(error.starts_with(want), "{error}");
    }
    let error = error_for(400, "x-request-id: req_1\r\n", r#"{"error":"m"}"#).await;
    assert_eq!(error.to_string(), "HTTP 400 http_status: m (request req_1)");
}

#[tokio::test]
async fn errors_in_good_answers() {
    let table = [
        (
            r#"{"error":{"code":"rate_limit_exceeded","message":"retry in 2 s"}}"#,
            refused(2),
        ),
        (r#"{"error":{"code":429,"message":""}}"#, REFUSED),
        (r#"{"error":{"code":502,"message":""}}"#, Class::Failure),
        (
            r#"{"error":{"code":"server_error"},"status":"failed","output":[]}"#,
            Class::Failure,
        ),
        (
            r#"{"error":{"type":"invalid_request_error"}}"#,
            Class::Permanent,
        ),
        (r#"{"error":{"code":"insufficient_quota"}}"#, Class::Fatal),
        (r#"{"error":{"code":"invalid_api_key"}}"#, Class::Fatal),
        (r#"{"error":"boom"}"#, Class::Failure),
        (
            r#"{"error":{"code":403,"metadata":{"flagged_input":"x"}}}"#,
            Class::Permanent,
        ),
    ];
    for (body, class) in table {
        let error = post_for(reply(200, "", body)).await.unwrap_err();
        assert_eq!(error.class(), class, "{body}");
        assert_eq!(error.answer().unwrap().status, 200);
    }
}

#[tokio::test]
async fn good_answers() {
    let bodies = [
        r#"{"choices":[],"usage":{"total_tokens":12}}"#,
        r#"{"error":null,"output":[],"usage":{"input_tokens":5,"output_tokens":7}}"#,
        r#"{"error":{"code":"x"},"choices":[{}],"usage":{"total_tokens":12}}"#,
        r#"{"data":[],"error":"none","usage":{"prompt_tokens":12}}"#,
        "  {\"error\":false,\"usage\":{\"total_tokens\":11.5}}\n",
    ];
    for body in bodies {
        let answer = post_for(reply(201, "X-Request-Id: r\r\n", body))
            .await
            .unwrap();
        assert_eq!(answer.usage(), Some(12), "{body}");
        assert_eq!(
            (answer.status, answer.request_id.as_deref()),
            (201, Some("r"))
        );
        assert_eq!(answer.body, body.as_bytes());
    }
    let answer = post_for(reply(200, "", "[1, 2]")).await.unwrap();
    assert_eq!(answer.usage(), None);
}

#[tokio::test]
async fn bad_bodies_are_tried_again() {
    let deep = format!(r#"{{"error":null,"x":{}"#, "[".repeat(100_000));
    let bodies: &[&[u8]] = &[
        b"",
        b"   ",
        b"null",
        b"7",
        b"\"text\"",
        b"<!DOCTYPE html><html></html>",
        b"{\"choices\":[",
        b"{\"choices\":[]}x",
        b"{\"x\":NaN}",
        b"\xef\xbb\xbf{}",
        b"\xff\xfe{\x00}\x00",
        b"{\"x\":\"\xff\"}",
        deep.as_bytes(),
    ];
    for body in bodies {
        let error = post_for(reply(200, "", body)).await.unwrap_err();
        assert_eq!(
            (error.class(), error.code()),
            (Class::Failure, "bad_answer"),
            "{error}"
        );
        let kept = &error.answer().unwrap().body;
        assert_eq!(kept[..], body[..body.len().min(2048)]);
    }
    let error = post_for("HTTP/1.1 204 No Content\r\n\r\n")
        .await
        .unwrap_err();
    assert_eq!(error.code(), "bad_answer");
}

#[tokio::test]
async fn a_resource_is_filled_in_from_the_unit() {
    let server = Server::exact(reply(400, "", "{}")).await;
    let error = post_to(&server).await.unwrap_err();
    assert_eq!(error.class_with(|_| panic!("no refusal")), Class::Permanent);
    let error = error_for(429, "", &body("\"x\"", "tokens", "")).await;
    let mut asked = None;
    let class = error.class_with(|unit| {
        asked = Some(unit);
        None
    });
    assert_eq!((class, asked), (REFUSED, Some(Unit::Tokens)));
}

use proptest::prelude::*;
use rate_limited_cli::reading::bad_line::BadLine;
use rate_limited_cli::reading::input::{Item, Reader};
use rate_limited_cli::writing::record::{Failure, Record, Response, TEXT_BYTES_MAX, code};
use serde_json::{Value, json};

fn line(status_code: u16, body: &[u8]) -> String {
    let response = Response {
        status_code,
        request_id: Some("req_1"),
        body,
    };
    let record = Record {
        line: 7,
        custom_id: Some("a\"b"),
        response: Some(response),
        error: None,
    };
    String::from_utf8(record.to_line()).expect("text")
}

fn body_of(line: &str) -> Value {
    let value: Value = serde_json::from_str(line).expect("JSON");
    value["response"]["body"].clone()
}

#[test]
fn a_json_body_stands_as_received() {
    let body = r#"{"b":1.50,"a":123456789012345678901234567890,"b":"\u00e9 é"}"#;
    let expected = format!(
        "{{\"id\":\"request-7\",\"custom_id\":\"a\\\"b\",\"response\":{{\"status_code\":200,\
         \"request_id\":\"req_1\",\"body\":{body}}},\"error\":null}}\n"
    );
    assert_eq!(line(200, body.as_bytes()), expected);
    assert_eq!(line(200, format!("\n {body} \r\n").as_bytes()), expected);
}

#[test]
fn a_printed_body_becomes_one_line() {
    let written = line(
        200,
        b"{\r\n  \"a\" : [ 1.50,\n 2 ],\n \"b\": \"x  \\\" {\\\\\"\n}\n",
    );
    assert!(
        written.contains(r#""body":{"a":[1.50,2],"b":"x  \" {\\"}}"#),
        "{written}"
    );
    assert_eq!(written.matches('\n').count(), 1);
}

#[test]
fn a_body_that_is_no_json_becomes_a_string() {
    assert_eq!(
        body_of(&line(502, b"<html>\nBad gateway")),
        json!("<html>\nBad gateway")
    );
    assert_eq!(body_of(&line(200, b"")), json!(""));
    assert_eq!(body_of(&line(500, b"{\"a\":")), json!("{\"a\":"));
    assert_eq!(body_of(&line(500, b"a\xFFb")), json!("a\u{fffd}b"));
}

#[test]
fn long_error_pages_are_cut_and_say_so() {
    let page = format!("{}é{}", "x".repeat(TEXT_BYTES_MAX - 1), "y".repeat(8_000));
    let cut = format!(
        "{}… (cut: the first 2,047 of 10,049 bytes)",
        "x".repeat(TEXT_BYTES_MAX - 1)
    );
    assert_eq!(body_of(&line(503, page.as_bytes())), json!(cut));
    // A good answer in plain text was paid for.
    assert_eq!(body_of(&line(200, page.as_bytes())), json!(page));
    let whole = "x".repeat(TEXT_BYTES_MAX);
    assert_eq!(body_of(&line(503, whole.as_bytes())), json!(whole));
}

#[test]
fn a_failure_has_its_code_its_text_and_its_answer() {
    let error = Failure {
        code: "model_not_found".into(),
        message: "é".repeat(3_000).into(),
        class: "permanent".into(),
        attempts: 2,
    };
    let response = Response {
        status_code: 404,
        request_id: None,
        body: b"{\"error\":{}}",
    };
    let record = Record {
        line: 1,
        custom_id: None,
        response: Some(response),
        error: Some(error),
    };
    let value: Value = serde_json::from_slice(&record.to_line()).expect("JSON");
    let message = format!(
        "{}… (cut: the first 2,048 of 6,000 bytes)",
        "é".repeat(1_024)
    );
    assert_eq!(
        value,
        json!({
            "id": "request-1",
            "custom_id": "line-1",
            "response": {"status_code": 404, "request_id": null, "body": {"error": {}}},
            "error": {"code": "model_not_found", "message": message, "class": "permanent", "attempts": 2},
        })
    );
}

#[test]
fn a_bad_line_has_a_record() {
    let text = b"{\"custom_id\":\"p\",\"body\":3}";
    let bad: BadLine = match Reader::stream(&text[..], "-").next() {
        Some(Ok(Item::Bad(bad))) => bad,
        other => panic!("{other:?}"),
    };
    let value: Value = serde_json::from_slice(&Record::of_bad_line(&bad).to_line()).expect("JSON");
    assert_eq!(value["custom_id"], "p");
    assert_eq!(value["response"], Value::Null);
    let message = "line 1, column 25 (byte 24): body must be a JSON object, not a number";
    let error =
        json!({"code": code::BAD_LINE, "message": message, "class": "not_sent", "attempts": 0});
    assert_eq!(value["error"], error);
}

proptest! {
    #[test]
    fn any_body_gives_one_line_of_json(body in proptest::collection::vec(any::<u8>(), 0..300), status in 100..600_u16) {
        let line = line(status, &body);
        prop_assert!(line.ends_with('\n') && line.matches('\n').count() == 1);
        prop_assert!(serde_json::from_str::<Value>(&line).is_ok());
    }

    #[test]
    fn printing_a_body_changes_nothing_in_it(text in "[ \n\r\t\"\\\\{}a-cé]{0,40}", number in any::<i64>()) {
        let body = json!({"t": text, "n": [number, {"u": text}], "e": {}});
        let printed = serde_json::to_string_pretty(&body).expect("JSON");
        let (line, plain) = (line(200, printed.as_bytes()), line(200, body.to_string().as_bytes()));
        prop_assert_eq!(line, plain);
    }
}

use proptest::prelude::*;
use rate_limited_cli::reading::bad_line::BadLine;
use rate_limited_cli::reading::estimate::tokens_max;
use rate_limited_cli::reading::input::{InputError, Item, LINE_BYTES_MAX, Reader};
use rate_limited_cli::reading::request::{Method, Request};

pub(crate) fn items(text: &[u8]) -> Vec<Item> {
    Reader::stream(text, "-")
        .collect::<Result<_, _>>()
        .expect("a slice can be read")
}

pub(crate) fn request(line: &str) -> Request {
    match items(line.as_bytes()).swap_remove(0) {
        Item::Request(request) => request,
        other => panic!("{other:?}"),
    }
}

fn bad(text: &[u8]) -> BadLine {
    match items(text).pop() {
        Some(Item::Bad(bad)) => bad,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_batch_line_is_taken_apart_and_its_body_is_kept() {
    let body = r#"{"model" : "m", "messages":[{"role":"user","content":"Grüße"}],"max_tokens":1.0e2, "n":3, "x":1.50}"#;
    let line = format!(
        r#" {{"custom_id":"a/../b","method":"POST","url":"/v1/chat/completions","body": {body} }} "#
    );
    let request = request(&line);
    assert_eq!(request.line, 1);
    assert_eq!(request.custom_id.as_deref(), Some("a/../b"));
    assert_eq!(request.url_path.as_deref(), Some("/v1/chat/completions"));
    assert_eq!(request.body, body.as_bytes());
    assert_eq!(request.model.as_deref(), Some("m"));
    assert_eq!((request.max_tokens, request.n), (Some(100), 3));
    let prompt = request.prompt;
    assert_eq!((prompt.chars, prompt.wide_chars), (5, 2));
    assert_eq!((prompt.token_ids, prompt.messages), (0, 1));
    assert!(request.generates);
}

#[test]
fn both_formats_may_be_mixed() {
    let text = "{\"model\":\"m\",\"messages\":[]}\n{\"custom_id\":\"x\",\"body\":{}}\n{\"url\":\"https://a.b\"}\n";
    let requests: Vec<Request> = items(text.as_bytes())
        .into_iter()
        .map(|item| match item {
            Item::Request(request) => request,
            other => panic!("{other:?}"),
        })
        .collect();
    let ids: Vec<_> = requests.iter().map(Request::record_id).collect();
    assert_eq!(ids, ["line-1", "x", "line-3"]);
    assert_eq!(requests[1].body, "{}");
    // A lone `url` is part of a body: many services take one.
    assert_eq!(requests[2].body, "{\"url\":\"https://a.b\"}");
    assert_eq!(requests[2].url_path, None);
}

#[test]
fn text_is_counted_wherever_the_model_reads_it() {
    let prompt = |line: &str| {
        let found = request(line).prompt;
        (found.chars, found.messages, found.token_ids)
    };
    let chars = |chars, messages| (chars, messages, 0);
    let ids = |token_ids| (0, 0, token_ids);
    let cases = [
        (
            r#"{"messages":[{"role":"system","content":"abc"},{"role":"user","content":null}]}"#,
            chars(3, 2),
        ),
        (
            r#"{"messages":[{"content":[{"type":"text","text":"ab\ncd"},{"type":"image_url","image_url":{"url":"data:…"}}]}]}"#,
            chars(5, 1),
        ),
        (
            r#"{"messages":[{"role":"assistant","tool_calls":[{"a":1}]}]}"#,
            chars(9, 1),
        ),
        (
            r#"{"messages":[{"content":[{"type":"tool_result","content":[{"text":"xy"}]}]}]}"#,
            chars(2, 1),
        ),
        (
            r#"{"messages":[],"tools":[{"type":"function"}]}"#,
            chars(21, 0),
        ),
        (
            r#"{"system":[{"text":"abc"}],"messages":[{"content":"de"}]}"#,
            chars(5, 1),
        ),
        (
            r#"{"instructions":"abc","input":[{"role":"user","content":"d"}]}"#,
            chars(4, 1),
        ),
        (r#"{"input":"abcd"}"#, chars(4, 0)),
        (r#"{"input":["ab","cd","e"]}"#, chars(5, 0)),
        (r#"{"input":[1,2,3]}"#, ids(3)),
        (r#"{"input":[[1,2],[3]]}"#, ids(3)),
        (r#"{"prompt":["ab","c"]}"#, chars(3, 0)),
        (r#"{"messages":"odd"}"#, chars(3, 0)),
        // A lone surrogate cannot be read as text, so the JSON itself is counted.
        (r#"{"input":"\ud800"}"#, chars(8, 0)),
        (r#"{"other":"abc"}"#, (0, 0, 0)),
    ];
    for (line, expected) in cases {
        assert_eq!(prompt(line), expected, "{line}");
    }
}

#[test]
fn fields_of_another_type_are_left_to_the_api() {
    let request =
        request(r#"{"model":5,"messages":[],"max_tokens":"many","n":-1,"temperature":null}"#);
    assert_eq!(
        (request.model, request.max_tokens, request.n),
        (None, None, 1)
    );
}

#[test]
fn the_largest_of_several_bounds_counts() {
    let request = request(
        r#"{"prompt":"x","max_tokens":5,"max_completion_tokens":7.2,"max_output_tokens":6,"n":2,"best_of":3}"#,
    );
    assert_eq!((request.max_tokens, request.n), (Some(8), 3));
}

#[test]
fn embeddings_write_no_text() {
    let generates = |line: &str| request(line).generates;
    assert!(!generates(r#"{"model":"e","input":"cat"}"#));
    assert!(!generates(
        r#"{"url":"/v1/embeddings","body":{"input":"cat"}}"#
    ));
    assert!(!generates(
        r#"{"url":"/v1/moderations","body":{"input":"cat"}}"#
    ));
    assert!(generates(
        r#"{"url":"/v1/responses","body":{"input":"cat"}}"#
    ));
    assert!(generates(r#"{"input":"cat","max_output_tokens":9}"#));
    assert!(generates(r#"{"input":[{"role":"user","content":"cat"}]}"#));
    assert!(generates(r#"{"prompt":"cat"}"#));
}

#[test]
fn every_kind_of_line_end_and_blank_lines() {
    let text = b"\xEF\xBB\xBF{\"a\":1}\r\n\r\n  \t\n{\"b\":2}\n\n{\"c\":3}";
    let lines: Vec<u64> = items(text)
        .iter()
        .map(|item| match item {
            Item::Request(request) => request.line,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(lines, [1, 4, 6]);
    assert_eq!(items(b""), []);
    assert_eq!(items(b"\n \r\n\n"), []);
}

/// Checks what is said about a bad line after a good one of 8 bytes.
fn check_second_line(cases: &[(&[u8], &str)]) {
    for (line, sentence) in cases {
        let text = [&b"{\"a\":1}\n"[..], line].concat();
        assert_eq!(
            bad(&text).to_string(),
            *sentence,
            "{}",
            String::from_utf8_lossy(line)
        );
    }
}

#[test]
fn what_is_no_json_object_says_where_and_why() {
    check_second_line(&[
        (
            b"{\"a\":1",
            "line 2, column 7 (byte 14): not valid JSON: EOF while parsing an object",
        ),
        (
            b"{\"a\":1} x",
            "line 2, column 9 (byte 16): not valid JSON: trailing characters",
        ),
        (
            b"{'a':1}",
            "line 2, column 2 (byte 9): not valid JSON: key must be a string",
        ),
        (
            b"{\"a\":NaN}",
            "line 2, column 6 (byte 13): not valid JSON: expected value",
        ),
        (
            b"{\"a\":\"x",
            "line 2, column 8 (byte 15): not valid JSON: EOF while parsing a string",
        ),
        (
            b"oops",
            "line 2, column 1 (byte 8): not valid JSON: expected value",
        ),
        (
            b"{\"a\":1}{\"b\":2}",
            "line 2, column 8 (byte 15): not valid JSON: trailing characters",
        ),
        (
            b"{\"n\":1,\"n\":2}",
            "line 2, column 10 (byte 17): not valid JSON: duplicate field `n`",
        ),
        (
            b"{\"a\":\"\xC3\xA9\xFF\"}",
            "line 2, column 8 (byte 16): the byte 0xff is not valid UTF-8: save the file as UTF-8",
        ),
        (
            b"[1]",
            "line 2, column 1 (byte 8): a line must be a JSON object, not a list",
        ),
        (
            b" \"x\"",
            "line 2, column 2 (byte 9): a line must be a JSON object, not a string",
        ),
        (
            b"null",
            "line 2, column 1 (byte 8): a line must be a JSON object, not null",
        ),
        (
            b"12",
            "line 2, column 1 (byte 8): a line must be a JSON object, not a number",
        ),
        (
            b"true",
            "line 2, column 1 (byte 8): a line must be a JSON object, not true or false",
        ),
        (
            b"{ }",
            "line 2, column 1 (byte 8): the object is empty: write a request body, or a batch line with \
             custom_id and body",
        ),
        (
            b"{\"a\":1e999}",
            "line 2, column 6 (byte 13): the number '1e999' is too large for a 64-bit float",
        ),
    ]);
}

#[test]
fn what_is_no_batch_line_says_where_and_why() {
    check_second_line(&[
        (
            b"{\"custom_id\":7,\"body\":{}}",
            "line 2, column 14 (byte 21): custom_id must be a JSON string with at least one character, \
             not '7'",
        ),
        (
            b"{\"custom_id\":\"\",\"body\":{}}",
            "line 2, column 14 (byte 21): custom_id must be a JSON string with at least one character, \
             not ''",
        ),
        (
            b"{\"custom_id\":\"a\"}",
            "line 2, column 1 (byte 8): a batch line needs a body: {\"custom_id\": …, \"body\": {…}}",
        ),
        (
            b"{\"method\":\"POST\",\"url\":\"/x\",\"body\":null}",
            "line 2, column 1 (byte 8): a batch line needs a body: {\"custom_id\": …, \"body\": {…}}",
        ),
        (
            b"{\"custom_id\":\"a\",\"body\":[]}",
            "line 2, column 25 (byte 32): body must be a JSON object, not a list",
        ),
        (
            b"{\"custom_id\":\"a\",\"body\":{\"n\":1, \"n\":2}}",
            "line 2, column 35 (byte 42): not valid JSON: duplicate field `n`",
        ),
        (
            b"{\"method\":\"PUT\",\"body\":{}}",
            "line 2, column 11 (byte 18): method must be \"POST\" or \"GET\", not 'PUT'",
        ),
        (
            b"{\"method\":\"get\",\"url\":\"/x\"}",
            "line 2, column 11 (byte 18): method must be \"POST\" or \"GET\", not 'get'",
        ),
        (
            b"{\"method\":\"GET\",\"url\":\"/x\",\"body\":{}}",
            "line 2, column 35 (byte 42): a GET has no body: leave it out, and put what it asks for into the \
             url, as in \"/works?page=2\"",
        ),
        (
            b"{\"custom_id\":\"a\",\"method\":\"GET\"}",
            "line 2, column 1 (byte 8): a GET needs a url: {\"custom_id\": …, \"method\": \"GET\", \"url\": \"/…\"}",
        ),
    ]);
}

#[test]
fn a_get_has_a_url_and_nothing_to_send() {
    for line in [
        r#"{"custom_id":"a","method":"GET","url":"/works?page=2"}"#,
        r#"{"custom_id":"a","method":"GET","url":"/works?page=2","body":null}"#,
    ] {
        let request = request(line);
        assert_eq!((request.method, request.body.len()), (Method::Get, 0));
        assert_eq!(request.url_path.as_deref(), Some("/works?page=2"));
        assert_eq!(request.record_id(), "a");
        assert!(!request.generates);
        assert_eq!(tokens_max(&request, 1_000), 0);
    }
    let unnamed = request(r#"{"method":"GET","url":"/x"}"#);
    assert_eq!(unnamed.method, Method::Get);
    let posted = request(r#"{"url":"/x","body":{"method":"GET","url":"/y"}}"#);
    assert_eq!(
        (posted.method, posted.url_path.as_deref()),
        (Method::Post, Some("/x"))
    );
}

#[test]
fn urls_lead_to_no_other_host() {
    for url in [
        "https://a.b/v1",
        "//evil.example/v1",
        "v1/chat",
        "",
        "/\\evil.example",
        "/a b",
        "/a#b",
        "/é",
    ] {
        let line = serde_json::json!({"url": url, "body": {}}).to_string();
        let get = serde_json::json!({"method": "GET", "url": url}).to_string();
        assert!(
            bad(get.as_bytes())
                .to_string()
                .contains("url must be a path")
        );
        let shown = bad(line.as_bytes()).to_string();
        let expected = "url must be a path such as \"/v1/chat/completions\", not '";
        assert!(shown.contains(expected), "{url}: {shown}");
    }
    let line = r#"{"url":"/v1/a?b=c%20d&e=%C3%A9","body":{}}"#;
    assert_eq!(
        request(line).url_path.as_deref(),
        Some("/v1/a?b=c%20d&e=%C3%A9")
    );
}

#[test]
fn a_bad_line_keeps_its_name_where_it_has_one() {
    assert_eq!(
        bad(br#"{"custom_id":"a","body":5}"#).custom_id.as_deref(),
        Some("a")
    );
    assert_eq!(bad(br#"{"custom_id":"a""#).custom_id, None);
}

#[test]
fn nesting_has_an_end() {
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(
        bad(deep.as_bytes()).to_string(),
        "line 1, column 132 (byte 131): nested deeper than 127 levels, more than common JSON readers accept"
    );
}

#[test]
fn a_line_above_the_cap_is_passed_over() {
    let mut text = vec![b' '; LINE_BYTES_MAX + 1];
    text.extend_from_slice(b"\n{\"a\":1}\n");
    let items = items(&text);
    let Item::Bad(bad) = &items[0] else {
        panic!("{:?}", items[0])
    };
    assert_eq!(
        bad.to_string(),
        "line 1, column 1 (byte 0): the line is longer than 67,108,864 bytes, the most that is read"
    );
    assert!(matches!(&items[1], Item::Request(request) if request.line == 2));
}

#[test]
fn a_stream_finds_names_that_come_twice() {
    let text =
        "{\"custom_id\":\"a\",\"body\":{}}\n{\"body\":{}}\n{\"body\":{}, \"custom_id\":\"a\"}\n";
    assert_eq!(
        bad(text.as_bytes()).to_string(),
        "line 3, column 25 (byte 64): custom_id 'a' is already that of line 1: give each line its own"
    );
}

#[test]
fn a_broken_source_ends_the_reading() {
    struct Broken;
    impl std::io::Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("the cable is out"))
        }
    }
    let source = std::io::BufReader::new(std::io::Read::chain(&b"{\"a\":1}\n{\"b\""[..], Broken));
    let all: Vec<Result<Item, InputError>> = Reader::stream(source, "standard input").collect();
    assert_eq!(all.len(), 2);
    assert_eq!(
        all[1].as_ref().expect_err("broken").to_string(),
        "failed to read the input standard input after line 1 (byte 8): the cable is out"
    );
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        items(&bytes);
    }

    #[test]
    fn no_edit_of_a_line_makes_it_panic(at in 0..200_usize, byte in any::<u8>(), cut in 0..200_usize) {
        let mut line = br#"{"custom_id":"a","method":"POST","url":"/v1/x","body":{"model":"m","messages":[{"role":"user","content":[{"text":"\u00e9 \ud83d\ude00"}]}],"max_tokens":1e2}}"#.to_vec();
        line.truncate(cut.max(1));
        let place = at % line.len();
        line[place] = byte;
        items(&line);
    }

    #[test]
    fn a_body_is_kept_byte_for_byte(text in "\\PC{0,40}", number in any::<f64>(), space in "[ \t]{0,3}") {
        prop_assume!(number.is_finite());
        let text = serde_json::Value::from(text);
        let body = format!("{{{space}\"input\"{space}:{text},\"x\":{number:e}{space}}}");
        let line = format!("{space}{{\"custom_id\":\"a\",{space}\"body\":{space}{body}}}{space}");
        prop_assert_eq!(request(&line).body, body.as_bytes());
        prop_assert_eq!(request(&format!("{space}{body}{space}")).body, body.as_bytes());
    }
}

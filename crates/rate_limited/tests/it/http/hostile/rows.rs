//! The rows: what a server does, and what must come of it.

use std::time::Duration;

use rate_limited_core::Class;

use super::super::fault_server::{Script, Step};
use super::super::faults::bomb;
use super::super::reply;

/// What must come of it.
pub(super) enum Want {
    Good(&'static str),
    /// Any good answer.
    Whole,
    Is(Class, &'static str),
    /// A failure that says that the exchange or its answer is broken.
    Broken,
    /// The same, or that the request did not leave: which one depends on whose packet was first.
    MaybeNotSent,
    /// Nothing, until the time of the attempt is over.
    GivenUp,
}

pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) script: Script,
    pub(super) want: Want,
    pub(super) body_bytes: usize,
}

const SILENT: Want = Want::Is(Class::Failure, "timeout");
const BAD_ANSWER: Want = Want::Is(Class::Failure, "bad_answer");
const TOO_LARGE: Want = Want::Is(Class::Permanent, "too_large");
const NO_ERROR: Want = Want::Is(Class::Failure, "http_status");
const OK: &str = "HTTP/1.1 200 OK\r\n";
const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

pub(super) fn all() -> Vec<Row> {
    [
        silences(),
        breaks(),
        endless(),
        lengths(),
        chunks(),
        heads(),
        statuses(),
        encodings(),
        answers(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Those that try to fill the memory.
pub(super) fn heavy() -> Vec<Row> {
    [endless(), heads(), encodings()]
        .into_iter()
        .flatten()
        .collect()
}

/// A server that reads the request first, and then does this.
fn after_reading(name: &'static str, script: Script, want: Want) -> Row {
    let script = [vec![Step::Read], script].concat();
    let body_bytes = 2;
    Row {
        name,
        script,
        want,
        body_bytes,
    }
}

/// A server that answers these bytes, and closes.
fn says(name: &'static str, bytes: impl Into<Vec<u8>>, want: Want) -> Row {
    let script = vec![Step::Send(bytes.into()), Step::HalfClose, Step::Stall];
    after_reading(name, script, want)
}

/// The head of a good answer with one more header.
fn with(header: &str, rest: &str) -> Vec<u8> {
    format!("{OK}{header}\r\n\r\n{rest}").into_bytes()
}

fn silences() -> Vec<Row> {
    let often = Duration::from_millis(20);
    let promise = Step::Send(with("Content-Length: 9", "{"));
    vec![
        after_reading("never answers", vec![Step::Stall], SILENT),
        after_reading(
            "stops within the head",
            vec![Step::Send(OK.into()), Step::Stall],
            SILENT,
        ),
        after_reading("stops within the body", vec![promise, Step::Stall], SILENT),
        after_reading(
            "stops before the last chunk",
            vec![
                Step::Send(format!("{CHUNKED}2\r\n{{}}\r\n").into()),
                Step::Stall,
            ],
            SILENT,
        ),
        after_reading(
            "a head that trickles",
            vec![Step::Trickle(
                b"HTTP/1.1 200 OK\r\nx: y\r\nz: zzzzzzzzzzzzzzzzzzzzzzzz",
                often,
            )],
            SILENT,
        ),
        after_reading(
            "a body that trickles for ever",
            vec![
                Step::Send(CHUNKED.into()),
                Step::Trickle(b"1\r\n7\r\n", often),
            ],
            SILENT,
        ),
        after_reading(
            "an error that trickles for ever",
            vec![
                Step::Send("HTTP/1.1 500 X\r\n\r\n".into()),
                Step::Trickle(b"x", 5 * often),
            ],
            NO_ERROR,
        ),
        after_reading(
            "blanks before an answer, for ever",
            vec![
                Step::Send(CHUNKED.into()),
                Step::Trickle(b"1\r\n \r\n", often),
            ],
            Want::GivenUp,
        ),
        after_reading(
            "interim answers that trickle",
            vec![Step::Trickle(
                b"HTTP/1.1 102 Processing\r\n\r\n",
                Duration::from_millis(2),
            )],
            SILENT,
        ),
        after_reading(
            "keep-alives of an event stream",
            vec![
                Step::Send(with(
                    "Content-Type: text/event-stream\r\nTransfer-Encoding: chunked",
                    "",
                )),
                Step::Trickle(b"3\r\n:\n\n\r\n", often),
            ],
            SILENT,
        ),
    ]
}

fn breaks() -> Vec<Row> {
    let row = |name, script, want| Row {
        name,
        script,
        want,
        body_bytes: 2 << 20,
    };
    let half = || Step::Send(with("Content-Length: 9", "{"));
    vec![
        row("closes at once", vec![], Want::MaybeNotSent),
        row("resets at once", vec![Step::Reset], Want::MaybeNotSent),
        row(
            "half-closes at once",
            vec![Step::HalfClose, Step::Stall],
            Want::MaybeNotSent,
        ),
        row(
            "closes within the request",
            vec![Step::ReadBytes(1_000)],
            Want::Broken,
        ),
        row(
            "resets within the request",
            vec![Step::ReadBytes(1_000), Step::Reset],
            Want::Broken,
        ),
        row(
            "never reads the body",
            vec![Step::ReadBytes(100), Step::Wait(Duration::from_secs(9))],
            SILENT,
        ),
        row(
            "answers within the request",
            vec![
                Step::ReadBytes(1_000),
                Step::Send(reply(500, "Connection: close\r\n", "")),
                Step::HalfClose,
                Step::Stall,
            ],
            NO_ERROR,
        ),
        after_reading("closes before the answer", vec![], Want::Broken),
        after_reading(
            "half-closes before the answer",
            vec![Step::HalfClose, Step::Stall],
            Want::Broken,
        ),
        after_reading("resets before the answer", vec![Step::Reset], Want::Broken),
        after_reading(
            "closes within the head",
            vec![Step::Send(OK.into())],
            Want::Broken,
        ),
        after_reading("closes within the body", vec![half()], Want::Broken),
        after_reading(
            "resets within the body",
            vec![half(), Step::Wait(Duration::from_millis(50)), Step::Reset],
            Want::Broken,
        ),
    ]
}

fn endless() -> Vec<Row> {
    let for_ever = |name, start: &str, bytes: &[u8], want| {
        let script = vec![
            Step::Send(start.into()),
            Step::Endless(bytes.repeat(4_096 / bytes.len() + 1)),
        ];
        after_reading(name, script, want)
    };
    let spaces = [&b"1000\r\n"[..], &b" ".repeat(0x1000), b"\r\n"].concat();
    vec![
        for_ever("headers without end", OK, b"x-a: b\r\n", Want::Broken),
        for_ever(
            "a header without end",
            "HTTP/1.1 200 OK\r\nx: ",
            b"a",
            Want::Broken,
        ),
        for_ever("a reason without end", "HTTP/1.1 200 ", b"a", Want::Broken),
        for_ever(
            "interim answers without end",
            "",
            b"HTTP/1.1 100 Continue\r\n\r\n",
            SILENT,
        ),
        for_ever("empty lines without end", "", b"\r\n", Want::Broken),
        for_ever(
            "a body of 10 GB",
            "HTTP/1.1 200 OK\r\nContent-Length: 10000000000\r\n\r\n",
            b" ",
            TOO_LARGE,
        ),
        for_ever(
            "a body without end",
            "HTTP/1.1 200 OK\r\n\r\n",
            b" ",
            TOO_LARGE,
        ),
        for_ever("chunks without end", CHUNKED, &spaces, TOO_LARGE),
        for_ever(
            "an error without end",
            "HTTP/1.1 500 X\r\n\r\n",
            b" ",
            NO_ERROR,
        ),
        for_ever(
            "a chunk extension without end",
            &format!("{CHUNKED}2;x="),
            b"y",
            Want::Broken,
        ),
        for_ever("a chunk size without end", CHUNKED, b"0", SILENT),
        for_ever(
            "trailers without end",
            &format!("{CHUNKED}0\r\n"),
            b"x-a: b\r\n",
            Want::Broken,
        ),
        for_ever(
            "an event without end",
            "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: ",
            b"x",
            TOO_LARGE,
        ),
    ]
}

fn lengths() -> Vec<Row> {
    let two = "Content-Length: 2\r\nContent-Length: 3";
    let both = "Content-Length: 40\r\nTransfer-Encoding: chunked";
    vec![
        says(
            "a length too large",
            with("Content-Length: 100", r#"{"choices":[]}"#),
            Want::Broken,
        ),
        says(
            "a length too small",
            with("Content-Length: 5", r#"{"choices":[]}"#),
            BAD_ANSWER,
        ),
        says(
            "a length too small for what follows",
            with("Content-Length: 7", &format!(r#"{{"n":1}}{OK}"#)),
            Want::Good(r#"{"n":1}"#),
        ),
        says(
            "a length below zero",
            with("Content-Length: -5", "{}"),
            Want::Broken,
        ),
        says(
            "a length with a sign",
            with("Content-Length: +2", "{}"),
            Want::Broken,
        ),
        says(
            "a length in hex",
            with("Content-Length: 0x2", "{}"),
            Want::Broken,
        ),
        says(
            "a length beyond all numbers",
            with("Content-Length: 99999999999999999999", "{}"),
            Want::Broken,
        ),
        says("two lengths", with(two, "{} "), Want::Broken),
        says(
            "two lengths in one",
            with("Content-Length: 2, 3", "{} "),
            Want::Broken,
        ),
        says(
            "a length and chunks",
            with(both, "7\r\n{\"n\":1}\r\n0\r\n\r\n"),
            Want::Good(r#"{"n":1}"#),
        ),
        says(
            "no length",
            with("x: y", r#"{"n":1}"#),
            Want::Good(r#"{"n":1}"#),
        ),
        says(
            "two answers at once",
            [reply(200, "", r#"{"n":1}"#), reply(200, "", "{}")].concat(),
            Want::Good(r#"{"n":1}"#),
        ),
        says(
            "a body behind a 204",
            format!("HTTP/1.1 204 X\r\n\r\n{}", r#"{"n":1}"#),
            BAD_ANSWER,
        ),
        says(
            "a body behind a 304",
            format!("HTTP/1.1 304 X\r\n\r\n{}", r#"{"n":1}"#),
            Want::Is(Class::Permanent, "redirect"),
        ),
    ]
}

fn chunks() -> Vec<Row> {
    let chunked = |name, body: &str, want| says(name, format!("{CHUNKED}{body}"), want);
    vec![
        chunked("no last chunk", "2\r\n{}\r\n", Want::Broken),
        chunked("half a chunk", "9\r\n{}", Want::Broken),
        chunked(
            "a chunk larger than its size",
            "2\r\n{\"n\":1}\r\n0\r\n\r\n",
            Want::Broken,
        ),
        chunked(
            "a chunk smaller than its size",
            "9\r\n{\"n\":1}\r\n0\r\n\r\n",
            Want::Broken,
        ),
        chunked(
            "a size that is no number",
            "zz\r\n{}\r\n0\r\n\r\n",
            Want::Broken,
        ),
        chunked("a size below zero", "-2\r\n{}\r\n0\r\n\r\n", Want::Broken),
        chunked(
            "a size beyond all numbers",
            "fffffffffffffffff\r\n{}",
            Want::Broken,
        ),
        chunked("an empty size", "\r\n{}\r\n0\r\n\r\n", Want::Broken),
        chunked("trailers", "2\r\n{}\r\n0\r\nx: y\r\n\r\n", Want::Good("{}")),
    ]
}

fn heads() -> Vec<Row> {
    let body = |head: &[u8]| [OK.as_bytes(), head, b"\r\nContent-Length: 2\r\n\r\n{}"].concat();
    vec![
        says("another protocol", "SSH-2.0-OpenSSH_9.2\r\n", Want::Broken),
        says(
            "TLS where there should be none",
            b"\x15\x03\x01\x00\x02\x02\x46".as_slice(),
            Want::Broken,
        ),
        says("zeros", vec![0; 100], Want::Broken),
        says("no version", "200 OK\r\n\r\n{}", Want::Broken),
        says("HTTP/0.9", "{\"n\":1}", Want::Broken),
        says(
            "HTTP/1.0",
            "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}",
            Want::Good("{}"),
        ),
        says(
            "HTTP/1.2",
            "HTTP/1.2 200 OK\r\nContent-Length: 2\r\n\r\n{}",
            Want::Broken,
        ),
        says(
            "HTTP/2 in words",
            "HTTP/2 200 OK\r\nContent-Length: 2\r\n\r\n{}",
            Want::Broken,
        ),
        says(
            "frames of HTTP/2",
            b"\0\0\0\x04\0\0\0\0\0".as_slice(),
            Want::Broken,
        ),
        says(
            "a status in words",
            "HTTP/1.1 two hundred\r\n\r\n",
            Want::Broken,
        ),
        says("a header without a colon", body(b"x"), Want::Broken),
        says("a header without a name", body(b": y"), Want::Broken),
        says("a name with a space", body(b"x : y"), Want::Broken),
        says("a name that is no ASCII", body(b"\xffx: y"), Want::Broken),
        says("a value with a zero", body(b"x: \0y"), Want::Broken),
        says(
            "a value that is no UTF-8",
            body(b"x: \xff\xfe"),
            Want::Good("{}"),
        ),
        says(
            "bare line feeds",
            "HTTP/1.1 200 OK\nContent-Length: 2\n\n{}",
            Want::Good("{}"),
        ),
        says(
            "101 headers",
            body("x: y\r\n".repeat(101).trim_end().as_bytes()),
            Want::Broken,
        ),
        says(
            "a header of 60 kB",
            body(&[b"x: ", &b"y".repeat(60_000)[..]].concat()),
            Want::Good("{}"),
        ),
        says(
            "a header of 66 kB",
            body(&[b"x: ", &b"y".repeat(66_000)[..]].concat()),
            BAD_ANSWER,
        ),
        says(
            "66 headers of 1 kB",
            body(
                [b"x: ", &b"y".repeat(1_000)[..], b"\r\n"]
                    .concat()
                    .repeat(66)
                    .trim_ascii_end(),
            ),
            BAD_ANSWER,
        ),
        says(
            "an error with a header of 300 kB",
            [
                b"HTTP/1.1 401 X\r\nx: ",
                &b"y".repeat(300_000)[..],
                b"\r\n\r\n",
            ]
            .concat(),
            BAD_ANSWER,
        ),
        says(
            "a header of 2 MB",
            body(&[b"x: ", &b"y".repeat(2_000_000)[..]].concat()),
            Want::Broken,
        ),
    ]
}

fn statuses() -> Vec<Row> {
    let status = |name, status: &str, want| {
        says(
            name,
            format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n"),
            want,
        )
    };
    vec![
        status("status 000", "000", Want::Broken),
        status("status 099", "099", Want::Broken),
        status("status 101", "101", NO_ERROR),
        status("status 600", "600", NO_ERROR),
        status("status 999", "999", NO_ERROR),
        status("status 1000", "1000", Want::Broken),
        status(
            "status 421",
            "421",
            Want::Is(Class::Permanent, "http_status"),
        ),
        status("status 299", "299", BAD_ANSWER),
        status("status 399", "399", Want::Is(Class::Permanent, "redirect")),
        says(
            "100 and then the answer",
            [&b"HTTP/1.1 100 Continue\r\n\r\n"[..], &reply(200, "", "{}")].concat(),
            Want::Good("{}"),
        ),
    ]
}

fn encodings() -> Vec<Row> {
    let coded = |name, coding: &str, body: &[u8], want| {
        says(
            name,
            reply(200, &format!("Content-Encoding: {coding}\r\n"), body),
            want,
        )
    };
    let gzip = bomb(20_000);
    vec![
        coded("a gzip bomb", "gzip", &gzip, TOO_LARGE),
        says(
            "a gzip bomb in an error",
            reply(500, "Content-Encoding: gzip\r\n", &gzip),
            NO_ERROR,
        ),
        coded("half a gzip", "gzip", &bomb(10)[..15], Want::Broken),
        coded("no gzip", "gzip", b"{}", BAD_ANSWER),
        coded("gzip twice", "gzip, gzip", &gzip, Want::Broken),
        coded("br unasked", "br", b"\x8b\x01\x80{}\x03", BAD_ANSWER),
        coded(
            "zstd unasked",
            "zstd",
            b"\x28\xb5\x2f\xfd\x04\x00\x11\x00\x00{}",
            BAD_ANSWER,
        ),
        coded("an unknown coding", "x", b"\x01\x02", BAD_ANSWER),
        coded("a coding that is none", "identity", b"{}", Want::Good("{}")),
    ]
}

fn answers() -> Vec<Row> {
    let good = |name, body: &[u8], want| says(name, reply(200, "", body), want);
    vec![
        good("an empty body", b"", BAD_ANSWER),
        good("null", b"null", BAD_ANSWER),
        good("HTML", b"<!DOCTYPE html><title>Sign in</title>", BAD_ANSWER),
        good("events", b"data: {\"x\":1}\n\ndata: [DONE]\n\n", BAD_ANSWER),
        good("half an object", b"{\"choices\":[", BAD_ANSWER),
        good("UTF-16", b"\xff\xfe{\0}\0", BAD_ANSWER),
        good("no UTF-8", b"{\"x\":\"\xff\"}", BAD_ANSWER),
        good(
            "a number of 10,000 digits",
            format!("{{\"usage\":{{\"total_tokens\":{}}}}}", "9".repeat(10_000)).as_bytes(),
            Want::Whole,
        ),
        good("a control sequence", b"\x1b]0;x\x07 \x1b[2J", BAD_ANSWER),
        good(
            "an error in a good answer",
            br#"{"error":{"code":"server_error","message":"m"}}"#,
            Want::Is(Class::Failure, "server_error"),
        ),
    ]
}

//! The server over real sockets, with a client that is a socket and nothing more.

use rate_limited_sim::http::{Dialect, Server};
use rate_limited_sim::{ApiModel, Latency, Limit};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

const CHAT: &str = "/v1/chat/completions";

/// Status line and headers in lower case, and the body.
pub(crate) struct Answer {
    pub(crate) head: String,
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    pub(crate) fn status(&self) -> &str {
        self.head.split(' ').nth(1).unwrap()
    }
}

pub(crate) fn send(addr: SocketAddr, method: &str, path: &str, body: &str) -> Answer {
    let mut stream = TcpStream::connect(addr).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nhost: {addr}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    Answer {
        head: head.to_lowercase(),
        body: serde_json::from_str(body).unwrap_or(Value::Null),
    }
}

async fn post(server: &Server, path: &'static str, body: Value) -> Answer {
    let addr = server.addr();
    tokio::task::spawn_blocking(move || send(addr, "POST", path, &body.to_string()))
        .await
        .unwrap()
}

async fn get(server: &Server, path: &'static str) -> Answer {
    let addr = server.addr();
    tokio::task::spawn_blocking(move || send(addr, "GET", path, ""))
        .await
        .unwrap()
}

fn start(model: ApiModel) -> Server {
    Server::start(model, ([127, 0, 0, 1], 0).into()).unwrap()
}

fn chat(text: &str) -> Value {
    json!({ "model": "gpt", "max_tokens": 100, "messages": [{ "role": "user", "content": text }] })
}

fn minute() -> Duration {
    Duration::from_secs(60)
}

#[tokio::test]
async fn a_chat_is_answered_and_its_limits_are_told() {
    let model = ApiModel::new(7)
        .limit(Limit::requests(5, minute()))
        .limit(Limit::tokens(1_000, minute()));
    let server = start(model);
    let answer = post(&server, CHAT, chat("12345678")).await;
    assert_eq!(answer.status(), "200");
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("x-ratelimit-limit-requests"), Some("5"));
    assert_eq!(answer.header("x-ratelimit-remaining-requests"), Some("4"));
    assert_eq!(answer.header("x-ratelimit-remaining-tokens"), Some("898"));
    let reset = answer.header("x-ratelimit-reset-tokens").unwrap();
    assert!(reset == "1m0s" || reset.starts_with("59."), "{reset}");
    assert!(answer.header("x-request-id").unwrap().starts_with("req_"));

    let body = &answer.body;
    assert_eq!(
        (&body["object"], &body["model"]),
        (&json!("chat.completion"), &json!("gpt"))
    );
    let usage = &body["usage"];
    let completion = usage["completion_tokens"].as_u64().unwrap();
    assert!((10..=100).contains(&completion));
    assert_eq!(usage["prompt_tokens"], 2);
    assert_eq!(usage["total_tokens"], 2 + completion);
    let text = body["choices"][0]["message"]["content"].as_str().unwrap();
    assert_eq!(text.split(' ').count() as u64, completion);
    server.shutdown().await;
}

#[tokio::test]
async fn the_same_body_gets_the_same_words() {
    let server = start(ApiModel::new(7));
    let first = post(&server, CHAT, chat("again")).await;
    let second = post(&server, CHAT, chat("again")).await;
    let other = post(&server, CHAT, chat("another")).await;
    assert_eq!(first.body["choices"], second.body["choices"]);
    assert_ne!(first.body["choices"], other.body["choices"]);
    assert_ne!(first.header("x-request-id"), second.header("x-request-id"));
    assert_eq!(first.header("x-ratelimit-limit-requests"), None);
}

#[tokio::test]
async fn completions_and_embeddings_are_answered() {
    let server = start(ApiModel::new(7));
    let body = json!({ "prompt": ["one", "two"], "n": 2, "max_tokens": 5 });
    let answer = post(&server, "/v1/completions", body).await.body;
    assert_eq!(answer["object"], "text_completion");
    assert_eq!(answer["choices"].as_array().unwrap().len(), 4);
    assert!(answer["choices"][3]["text"].is_string());

    let body = json!({ "input": ["one", "12345678"] });
    let answer = post(&server, "/v1/embeddings", body).await.body;
    assert_eq!(answer["data"].as_array().unwrap().len(), 2);
    assert_eq!(answer["data"][1]["embedding"].as_array().unwrap().len(), 8);
    assert_eq!(
        answer["usage"],
        json!({ "prompt_tokens": 3, "total_tokens": 3 })
    );
}

#[tokio::test]
async fn one_too_many_is_refused_as_openai_does() {
    let server = start(ApiModel::new(7).limit(Limit::requests(1, minute())));
    post(&server, CHAT, chat("first")).await;
    let answer = post(&server, CHAT, chat("second")).await;
    assert_eq!(answer.status(), "429");
    let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((55..=60).contains(&wait), "{wait}");
    assert_eq!(answer.header("x-ratelimit-remaining-requests"), Some("0"));
    assert_eq!(answer.body["error"]["code"], "rate_limit_exceeded");
    let message = answer.body["error"]["message"].as_str().unwrap();
    assert!(
        message.starts_with("Rate limit reached for gpt on requests."),
        "{message}"
    );

    let stats = get(&server, "/stats").await.body;
    assert_eq!(
        (&stats["arrivals"], &stats["refusals"]),
        (&json!(2), &json!(1))
    );
    assert_eq!(stats["limits"][0]["worst_window"], 1.0);
    assert_eq!(server.stats().arrivals, 2);
}

#[tokio::test]
async fn refusals_without_hints_tell_nothing() {
    let model = ApiModel::new(7)
        .limit(Limit::requests(1, minute()))
        .retry_after(false)
        .headers(false);
    let server = start(model);
    post(&server, CHAT, chat("first")).await;
    let answer = post(&server, CHAT, chat("second")).await;
    assert_eq!(answer.header("retry-after"), None);
    assert_eq!(answer.header("x-ratelimit-limit-requests"), None);
}

#[tokio::test]
async fn failures_and_bad_requests_have_openais_shape() {
    let server = start(ApiModel::new(7).failure_rate(1.0));
    let failed = post(&server, CHAT, chat("x")).await;
    assert_eq!(
        (failed.status(), &failed.body["error"]["type"]),
        ("503", &json!("server_error"))
    );
    let bad = post(&server, CHAT, json!(3)).await;
    assert_eq!(
        (bad.status(), &bad.body["error"]["type"]),
        ("400", &json!("invalid_request_error"))
    );
    let unknown = post(&server, "/v1/images", json!({})).await;
    assert_eq!(
        (unknown.status(), &unknown.body["error"]["code"]),
        ("404", &json!("unknown_url"))
    );
    let server = start(ApiModel::new(7).status(401));
    let locked = post(&server, CHAT, chat("x")).await;
    assert_eq!(
        (locked.status(), &locked.body["error"]["code"]),
        ("401", &json!("invalid_api_key"))
    );
}

#[tokio::test]
async fn answers_take_their_time_side_by_side() {
    let server = start(ApiModel::new(7).latency(Latency::Constant(Duration::from_millis(100))));
    let start = Instant::now();
    let (a, b, c) = (chat("a"), chat("b"), chat("c"));
    tokio::join!(
        post(&server, CHAT, a),
        post(&server, CHAT, b),
        post(&server, CHAT, c)
    );
    assert!(start.elapsed() >= Duration::from_millis(100));
    assert_eq!(
        (server.stats().in_flight, server.stats().in_flight_peak),
        (0, 3)
    );
}

#[tokio::test]
async fn a_shutdown_answers_what_is_in_flight() {
    let server = start(ApiModel::new(7).latency(Latency::Constant(Duration::from_secs(3_600))));
    let addr = server.addr();
    let body = chat("long").to_string();
    let call = tokio::task::spawn_blocking(move || send(addr, "POST", CHAT, &body));
    while server.stats().in_flight == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    server.shutdown().await;
    assert_eq!(call.await.unwrap().status(), "503");
    assert!(TcpStream::connect(addr).is_err());
}

#[tokio::test]
async fn a_client_that_leaves_ends_its_request() {
    let server = start(ApiModel::new(7).latency(Latency::Constant(Duration::from_secs(3_600))));
    let mut stream = TcpStream::connect(server.addr()).unwrap();
    let body = chat("gone").to_string();
    let length = body.len();
    write!(
        stream,
        "POST {CHAT} HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    while server.stats().in_flight == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    drop(stream);
    while server.stats().in_flight > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn the_world_outside_is_not_served() {
    let error = Server::start(ApiModel::new(7), ([0, 0, 0, 0], 0).into()).unwrap_err();
    assert!(error.to_string().contains("loopback only"), "{error}");
}

#[test]
fn without_a_runtime_it_says_so() {
    assert!(Server::start(ApiModel::new(7), ([127, 0, 0, 1], 0).into()).is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fast_clock_ends_windows_sooner_and_tells_its_own_seconds() {
    let minute = Duration::from_secs(60);
    let model = ApiModel::new(7)
        .limit(Limit::requests(1, minute))
        .latency(Latency::Constant(Duration::from_secs(6)));
    let addr = ([127, 0, 0, 1], 0).into();
    let server = Server::start_fast(Dialect::default(), model, addr, 100.0).unwrap();
    let start = Instant::now();
    assert_eq!(post(&server, CHAT, chat("first")).await.status(), "200");
    assert!(
        start.elapsed() < Duration::from_secs(3),
        "6 s are 60 ms here"
    );
    let refused = post(&server, CHAT, chat("second")).await;
    assert_eq!(refused.status(), "429");
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=54).contains(&wait), "{wait} s of the minute are left");
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(post(&server, CHAT, chat("second")).await.status(), "200");
    let stats = get(&server, "/stats").await.body;
    let span = stats["last_end"].as_u64().unwrap() - stats["first_arrival"].as_u64().unwrap();
    assert!(span >= 66_000_000_000, "a window and an answer: {span} ns");
    for speed in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(Server::start_fast(Dialect::default(), ApiModel::new(7), addr, speed).is_err());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_changes_while_the_server_runs() {
    let server = start(ApiModel::new(7).limit(Limit::requests(1, Duration::from_secs(60))));
    assert_eq!(post(&server, CHAT, chat("first")).await.status(), "200");
    assert_eq!(post(&server, CHAT, chat("second")).await.status(), "429");
    server.set_quota("requests", 2);
    assert_eq!(post(&server, CHAT, chat("second")).await.status(), "200");
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_have_the_share_of_the_model() {
    let server = start(ApiModel::new(7).answers(0.25..=0.5));
    for number in 0..20 {
        let answer = post(&server, CHAT, chat(&number.to_string())).await;
        let tokens = answer.body["usage"]["completion_tokens"].as_u64().unwrap();
        assert!((25..=50).contains(&tokens), "{tokens} of 100");
    }
    for text in [
        "answers = { min = 0.5, max = 0.1 }",
        "answers = { min = 0.5, max = 2 }",
    ] {
        let refused = ApiModel::from_toml(text).unwrap_err().to_string();
        assert!(
            refused.contains("give two numbers from 0 to 1"),
            "{refused}"
        );
    }
}

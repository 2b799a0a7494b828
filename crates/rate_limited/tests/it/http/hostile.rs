//! Every way in which a server can misbehave towards one request: what comes of it, how often the request was
//! delivered, and how long it took; over plain HTTP/1.1 and over TLS.
//!
//! After each of them the same client makes another call, which must get its own answer: nothing of what a
//! server did to one call may reach the next.

mod rows;

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rate_limited::http::{Answer, Client, ClientBuilder, HttpError};
use rate_limited_core::Class;

use super::fault_server::{CERTIFICATE, FaultServer, Step};
use super::reply;
use rows::{Row, Want};

/// How long each wait of the client may be; none is longer than a few of them.
const PATIENCE: Duration = Duration::from_millis(400);
/// Bytes a second: more than any row trickles.
const MIN_SPEED: u32 = 50;
/// What a runner would give to an attempt as a whole.
const TOTAL: Duration = Duration::from_millis(1_500);
/// The machine may be busy.
const LENIENCE: Duration = Duration::from_secs(4);
const MIB: usize = 1 << 20;

fn client(server: &FaultServer) -> Client {
    patient_client(server, 1)
}

/// A client that waits so many times as long.
fn patient_client(server: &FaultServer, times: u32) -> Client {
    patient_builder(server, times).build().unwrap()
}

fn patient_builder(server: &FaultServer, times: u32) -> ClientBuilder {
    Client::builder(server.url())
        .root_certificates(CERTIFICATE)
        .proxy_from_env(false)
        .connect_timeout(times * PATIENCE)
        .first_byte_timeout(times * PATIENCE)
        .idle_timeout(times * PATIENCE)
        .min_speed(MIN_SPEED)
        .body_bytes_max(MIB)
}

/// An honest answer to each request of a connection, known by its body.
fn honest() -> Vec<Step> {
    let answer = || Step::Send(reply(200, "", r#"{"n":2}"#));
    vec![Step::Read, answer(), Step::Read, answer(), Step::Stall]
}

type Exchange = Option<Result<Answer, HttpError>>;

async fn post(client: &Client, body: Vec<u8>) -> (Exchange, Duration) {
    post_within(10 * TOTAL, client, body).await
}

async fn post_within(total: Duration, client: &Client, body: Vec<u8>) -> (Exchange, Duration) {
    let started = Instant::now();
    let answer = tokio::time::timeout(total, client.post("/v1/chat/completions", body.into()));
    (answer.await.ok(), started.elapsed())
}

/// What is wrong with how the row came out, if anything is, for a client that waits so many times as long.
async fn fault_of(row: Row, tls: bool, times: u32) -> Result<(), String> {
    let over = if tls { "over TLS" } else { "over TCP" };
    let certificate = tls.then_some(CERTIFICATE);
    let server = FaultServer::start(vec![row.script, honest()], certificate).await;
    let client = patient_client(&server, times);
    let body = vec![b' '; row.body_bytes];
    let (end, took) = post_within(times * TOTAL, &client, body).await;
    let told = match &end {
        None => "given up".to_owned(),
        Some(Ok(answer)) => format!("good: {answer:?}"),
        Some(Err(error)) => format!("{:?} {error}", error.class()),
    };
    if !is(&end, &row.want) || told.contains('\n') || told.len() > 2_000 {
        return Err(format!("{} {over}: {told}", row.name));
    }
    if let Some(Err(error)) = &end {
        // What is no answer at all may be a broken one or a whole one.
        let is_broken = matches!(error.code(), "connection" | "timeout");
        let want = is_broken && error.class() == Class::Failure;
        if error.is_unknown() != want && error.code() != "bad_answer" {
            let unknown = error.is_unknown();
            return Err(format!("{} {over}: {told}, unknown: {unknown}", row.name));
        }
    }
    if took > times * TOTAL + LENIENCE {
        return Err(format!("{} {over} took {took:?}", row.name));
    }
    let delivered = server.requests();
    let not_sent = matches!(&end, Some(Err(error)) if error.class() == Class::NotSent);
    if delivered > usize::from(!not_sent) {
        return Err(format!(
            "{} {over}: {told}, delivered {delivered} times",
            row.name
        ));
    }
    // Over TLS what came behind an answer may lie in the next record still; it is found all the same.
    let (next, _) = post(&client, b"{}".to_vec()).await;
    match next {
        Some(Ok(answer)) if answer.body == r#"{"n":2}"# => Ok(()),
        next => Err(format!("after {} {over} ({told}): {next:?}", row.name)),
    }
}

fn is(end: &Exchange, want: &Want) -> bool {
    match (end, want) {
        (None, Want::GivenUp) | (Some(Ok(_)), Want::Whole) => true,
        (Some(Ok(answer)), Want::Good(body)) => answer.body == *body,
        (Some(Err(error)), Want::Is(class, code)) => {
            (error.class(), error.code()) == (*class, *code)
        }
        (Some(Err(error)), Want::Broken) => {
            error.class() == Class::Failure && matches!(error.code(), "connection" | "bad_answer")
        }
        (Some(Err(error)), Want::MaybeNotSent) => {
            matches!(error.class(), Class::Failure | Class::NotSent) && error.code() == "connection"
        }
        _ => false,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn each_row_ends_as_stated_in_time_and_leaves_nothing_behind() {
    let mut hasty = Vec::new();
    let mut count = 0;
    for tls in [false, true] {
        // A few at a time: all at once would make the machine slow, and time-outs with it.
        let mut under_way = tokio::task::JoinSet::new();
        for (number, row) in rows::all().into_iter().enumerate() {
            count += 1;
            under_way.spawn(async move { (number, tls, fault_of(row, tls, 1).await) });
            while under_way.len() >= 8 {
                hasty.push(under_way.join_next().await.unwrap().unwrap());
            }
        }
        while let Some(end) = under_way.join_next().await {
            hasty.push(end.unwrap());
        }
    }
    // On a machine with much else to do a wait may end too early: alone, and with more time, it must not.
    let mut faults = Vec::new();
    for (number, tls, end) in hasty {
        if end.is_err() {
            let row = rows::all().swap_remove(number);
            faults.extend(fault_of(row, tls, 10).await.err());
        }
    }
    eprintln!("{count} rows, {} of them other than stated", faults.len());
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

const CHILD: &str = "RATE_LIMITED_TEST_HOSTILE_MEMORY";
/// What an answer at its cap may take beside itself: the buffers of a connection, and a body that grows.
const BESIDE: usize = 6 * MIB;

#[test]
#[cfg(target_os = "linux")]
fn no_row_fills_the_memory() {
    // The peak is of the whole process, so that the test needs one of its own.
    let child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "http::hostile::memory_child", "--nocapture"])
        .env(CHILD, "1")
        .output()
        .unwrap();
    let [output, errors] =
        [child.stdout, child.stderr].map(|it| String::from_utf8_lossy(&it).into_owned());
    assert!(
        child.status.success() && output.contains("1 passed"),
        "{output}{errors}"
    );
    eprintln!("{errors}");
}

/// The part of the test above that runs in a process of its own.
#[tokio::test]
async fn memory_child() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    // What is made once is made before anything is measured.
    let warm = FaultServer::start(vec![honest()], None).await;
    assert!(
        post(&client(&warm), b"{}".to_vec())
            .await
            .0
            .unwrap()
            .is_ok()
    );
    let mut most = (0, "");
    for row in rows::heavy() {
        let server = FaultServer::start(vec![row.script], None).await;
        let client = client(&server);
        std::fs::write("/proc/self/clear_refs", "5").unwrap();
        let before = memory("VmRSS:");
        let end = post(&client, b"{}".to_vec()).await;
        let grown = memory("VmHWM:").saturating_sub(before);
        assert!(grown < MIB + BESIDE, "{}: {grown} bytes, {end:?}", row.name);
        most = most.max((grown, row.name));
    }
    eprintln!(
        "the most memory, with a cap of {MIB} bytes: {} bytes for {}",
        most.0, most.1
    );
}

/// A figure of this process, in bytes.
fn memory(name: &str) -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .unwrap();
    line.trim()
        .trim_end_matches(" kB")
        .parse::<usize>()
        .unwrap()
        << 10
}

/// The second request goes over a kept connection, which breaks when it arrives.
#[tokio::test]
async fn a_request_that_a_kept_connection_swallowed_is_not_sent_twice() {
    let good = || Step::Send(reply(200, "", r#"{"n":1}"#));
    for end in [
        vec![],
        vec![Step::HalfClose, Step::Stall],
        vec![Step::Reset],
    ] {
        for tls in [None, Some(CERTIFICATE)] {
            let script = [vec![Step::Read, good(), Step::Read], end.clone()].concat();
            let server = FaultServer::start(vec![script, honest()], tls).await;
            let client = client(&server);
            let first = post(&client, b"{}".to_vec()).await.0.unwrap().unwrap();
            assert_eq!(first.body, r#"{"n":1}"#);
            let error = post(&client, b"{}".to_vec()).await.0.unwrap().unwrap_err();
            assert_eq!(
                (error.class(), error.code()),
                (Class::Failure, "connection"),
                "{error}"
            );
            assert_eq!(server.requests(), 2, "it may have been paid for");
            assert!(post(&client, b"{}".to_vec()).await.0.unwrap().is_ok());
        }
    }
}

/// A kept connection that is closed before anything is written to it costs nothing.
#[tokio::test]
async fn a_kept_connection_that_was_closed_meanwhile_is_made_anew() {
    for pause in [0, 50] {
        for end in [vec![], vec![Step::Reset]] {
            let good = Step::Send(reply(200, "", r#"{"n":1}"#));
            let script = [vec![Step::Read, good], end].concat();
            let server = FaultServer::start(vec![script, honest()], None).await;
            let client = client(&server);
            let first = post(&client, b"{}".to_vec()).await.0.unwrap().unwrap();
            assert_eq!(first.body, r#"{"n":1}"#);
            tokio::time::sleep(Duration::from_millis(pause)).await;
            match post(&client, b"{}".to_vec()).await.0.unwrap() {
                Ok(answer) => assert_eq!(answer.body, r#"{"n":2}"#),
                // Without a pause the end may come just after the request was written.
                Err(error) => {
                    assert_eq!((pause, error.class()), (0, Class::Failure), "{error}");
                    assert_eq!(server.requests(), 1);
                }
            }
        }
    }
}

/// What a server says unasked on an idle connection is nobody's answer.
#[tokio::test]
async fn answers_to_nobody_reach_nobody() {
    for late in [0, 20] {
        for tls in [None, Some(CERTIFICATE)] {
            let script = vec![
                Step::Read,
                Step::Send(reply(200, "", r#"{"n":1}"#)),
                Step::Wait(Duration::from_millis(late)),
                Step::Send(reply(200, "", r#"{"n":"of another"}"#)),
                Step::Stall,
            ];
            let server = FaultServer::start(vec![script, honest()], tls).await;
            let client = client(&server);
            let first = post(&client, b"{}".to_vec()).await.0.unwrap().unwrap();
            assert_eq!(first.body, r#"{"n":1}"#);
            tokio::time::sleep(Duration::from_millis(100)).await;
            let second = post(&client, b"{}".to_vec()).await.0.unwrap().unwrap();
            assert_eq!(second.body, r#"{"n":2}"#);
        }
    }
}

/// The longest of the waits counts from when the request leaves, not from when a connection is asked for.
#[tokio::test]
async fn the_first_byte_is_waited_for_from_the_moment_of_sending_on() {
    let script = vec![
        Step::Read,
        Step::Wait(Duration::from_millis(900)),
        Step::Send(reply(200, "", "{}")),
    ];
    let server = FaultServer::start(vec![script], None).await;
    let client = patient_client(&server, 4);
    assert!(post(&client, b"{}".to_vec()).await.0.unwrap().is_ok());
    assert_eq!(server.seen.connections.load(Ordering::SeqCst), 1);
    // One byte each 300 ms for 2.1 s: longer than each wait, and no silence.
    let mut script = vec![
        Step::Read,
        Step::Send(b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n".to_vec()),
    ];
    for byte in br#"{"n":3}"# {
        script.push(Step::Wait(Duration::from_millis(300)));
        script.push(Step::Send(vec![*byte]));
    }
    let server = FaultServer::start(vec![script], None).await;
    let client = patient_builder(&server, 4).min_speed(2).build().unwrap();
    assert!(post(&client, b"{}".to_vec()).await.0.unwrap().is_ok());
}

/// A server that is too slow is named with the speed that it had to have.
#[tokio::test]
async fn a_drip_is_given_up_and_says_why() {
    let head = Step::Send(b"HTTP/1.1 200 OK\r\n\r\n".to_vec());
    let drip = Step::Trickle(b"7", Duration::from_millis(50));
    let server = FaultServer::start(vec![vec![Step::Read, head, drip]], None).await;
    let error = post(&client(&server), b"{}".to_vec()).await.0.unwrap();
    let error = error.unwrap_err();
    assert_eq!((error.class(), error.code()), (Class::Failure, "timeout"));
    let told = "sent its answer at less than 50 bytes a second over 400ms, the lowest speed";
    assert!(error.message().ends_with(told), "{error}");
    // What came is kept, as of any answer that broke off.
    assert!(
        error
            .answer()
            .is_some_and(|answer| answer.body.starts_with(b"77"))
    );
}

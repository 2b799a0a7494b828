//! Servers that break off, lie, or never end.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rate_limited::http::{Client, HttpError};
use rate_limited_core::Class;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use super::server::{Server, read_request};
use super::{builder, post_for, post_to, reply};

const MIB: usize = 1 << 20;

fn assert_is(error: &HttpError, class: Class, code: &str) {
    assert_eq!((error.class(), error.code()), (class, code), "{error}");
    assert!(!error.to_string().contains('\n'));
}

#[tokio::test]
async fn nobody_listens() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let client = Client::builder(&url).proxy_from_env(false).build().unwrap();
    let error = client.post("/", "{}".into()).await.unwrap_err();
    assert_is(&error, Class::NotSent, "connection");
    assert!(
        error
            .message()
            .starts_with(&format!("failed to connect to {url}: ")),
        "{error}"
    );
    assert!(error.answer().is_none() && !error.is_out_of_files());
}

#[tokio::test]
async fn no_such_host() {
    // A label of more than 63 bytes is refused without asking any server for it.
    let client = Client::builder(format!("http://{}.localhost", "a".repeat(70)));
    let client = client.proxy_from_env(false).build().unwrap();
    assert_is(
        &client.post("/", "{}".into()).await.unwrap_err(),
        Class::NotSent,
        "connection",
    );
}

#[tokio::test]
#[cfg(target_os = "linux")]
async fn a_full_backlog_ends_with_the_connect_timeout() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut waiting = Vec::new();
    let patience = Duration::from_millis(50);
    while let Ok(stream) = tokio::time::timeout(patience, TcpStream::connect(address)).await {
        waiting.push(stream.unwrap());
    }
    let client = Client::builder(format!("http://{address}")).proxy_from_env(false);
    let client = client
        .connect_timeout(Duration::from_millis(100))
        .build()
        .unwrap();
    assert_is(
        &client.post("/", "{}".into()).await.unwrap_err(),
        Class::NotSent,
        "timeout",
    );
}

#[tokio::test]
async fn connections_that_break() {
    // Closed and reset, before and after the request was read.
    for (reads, resets) in [(true, false), (true, true), (false, true), (false, false)] {
        let server = Server::new(move |mut stream: TcpStream| async move {
            if reads {
                read_request(&mut stream).await;
            }
            if resets {
                stream.set_zero_linger().unwrap();
            }
        });
        let error = post_to(&server.await).await.unwrap_err();
        assert_eq!(error.code(), "connection", "{error}");
        // Where nobody reads, the request may or may not have left in time.
        let is_not_sent = !reads && error.class() == Class::NotSent;
        assert!(error.class() == Class::Failure || is_not_sent, "{error}");
    }
}

#[tokio::test]
async fn half_answers_are_no_answers() {
    let halves = [
        "HTTP/1.1 200 OK\r\nContent-Le",
        "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"choices\":[]}",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\ne\r\n{\"choices\":[]}\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n{}",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        "SSH-2.0-OpenSSH_9.2\r\n",
        "\x16\x03\x01 garbage \r\n\r\n",
        "HTTP/1.1 two hundred\r\n\r\n",
    ];
    for half in halves {
        let error = post_for(half).await.expect_err(half);
        assert_is(&error, Class::Failure, "connection");
    }
}

#[tokio::test]
async fn the_status_of_half_an_error_still_counts() {
    let error = post_for("HTTP/1.1 401 X\r\nContent-Length: 100\r\n\r\nno")
        .await
        .unwrap_err();
    assert_is(&error, Class::Fatal, "http_status");
    let error = post_for("HTTP/1.1 429 X\r\nRetry-After: 3\r\nContent-Length: 9\r\n\r\n").await;
    let retry_after = Some(Duration::from_secs(3));
    assert_is(
        &error.unwrap_err(),
        Class::Refused {
            resource: None,
            retry_after,
        },
        "http_status",
    );
}

/// A server that sends this head, and then the block for ever, counting its bytes.
async fn endless(head: &'static str, block: Vec<u8>) -> (Server, Arc<AtomicUsize>) {
    let sent = Arc::new(AtomicUsize::new(0));
    let (count, block) = (Arc::clone(&sent), Arc::new(block));
    let server = Server::new(move |mut stream| {
        let (count, block) = (Arc::clone(&count), Arc::clone(&block));
        async move {
            read_request(&mut stream).await;
            let mut result = stream.write_all(head.as_bytes()).await;
            while result.is_ok() {
                result = stream.write_all(&block).await;
                count.fetch_add(block.len(), Ordering::Relaxed);
            }
        }
    });
    (server.await, sent)
}

fn chunk() -> Vec<u8> {
    [b"10000\r\n", &b" ".repeat(0x10000)[..], b"\r\n"].concat()
}

#[tokio::test]
async fn endless_bodies_are_cut_off() {
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let (server, sent) = endless(head, chunk()).await;
    let client = builder(&server).body_bytes_max(4 * MIB).build().unwrap();
    let error = client.post("/", "{}".into()).await.unwrap_err();
    assert_is(&error, Class::Permanent, "too_large");
    assert_eq!(error.answer().unwrap().body.len(), 2048);
    // What is beyond the cap lies in the buffers of the system.
    assert!(sent.load(Ordering::Relaxed) < 24 * MIB);

    let head = "HTTP/1.1 200 OK\r\nContent-Length: 10000000000\r\n\r\n";
    let (server, _) = endless(head, vec![b' '; 0x10000]).await;
    let client = builder(&server).body_bytes_max(MIB).build().unwrap();
    let error = client.post("/", "{}".into()).await.unwrap_err();
    assert_is(&error, Class::Permanent, "too_large");
}

#[tokio::test]
async fn endless_errors_are_judged_by_their_status() {
    let (server, sent) = endless(
        "HTTP/1.1 500 X\r\nTransfer-Encoding: chunked\r\n\r\n",
        chunk(),
    )
    .await;
    assert_is(
        &post_to(&server).await.unwrap_err(),
        Class::Failure,
        "http_status",
    );
    assert!(sent.load(Ordering::Relaxed) < 24 * MIB);
}

#[tokio::test]
async fn endless_heads_are_cut_off() {
    let (server, sent) = endless("HTTP/1.1 200 OK\r\n", b"x-a: b\r\n".repeat(1000)).await;
    assert_is(
        &post_to(&server).await.unwrap_err(),
        Class::Failure,
        "connection",
    );
    let (server, more) = endless("HTTP/1.1 200 OK\r\nx: ", vec![b'a'; 0x10000]).await;
    assert_is(
        &post_to(&server).await.unwrap_err(),
        Class::Failure,
        "connection",
    );
    assert!(sent.load(Ordering::Relaxed) + more.load(Ordering::Relaxed) < 48 * MIB);
}

#[tokio::test]
async fn a_body_of_exactly_the_cap_is_whole() {
    let body = format!("{{\"x\":\"{}\"}}", "y".repeat(992));
    let server = Server::answering(move |_| reply(200, "", &body)).await;
    let client = |bytes| builder(&server).body_bytes_max(bytes).build().unwrap();
    assert_eq!(
        client(1000)
            .post("/", "{}".into())
            .await
            .unwrap()
            .body
            .len(),
        1000
    );
    let error = client(999).post("/", "{}".into()).await.unwrap_err();
    assert_is(&error, Class::Permanent, "too_large");
}

#[tokio::test]
async fn a_gzip_bomb_is_cut_off() {
    let body = bomb(20_000);
    assert!(body.len() < 40_000);
    let server = Server::exact(reply(200, "Content-Encoding: gzip\r\n", body)).await;
    let client = builder(&server).body_bytes_max(MIB).build().unwrap();
    let error = client.post("/", "{}".into()).await.unwrap_err();
    assert_is(&error, Class::Permanent, "too_large");
}

#[tokio::test]
async fn wrong_encodings() {
    let chunks = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n";
    assert_is(
        &post_for(chunks).await.unwrap_err(),
        Class::Failure,
        "bad_answer",
    );
    let lie = reply(200, "Content-Encoding: gzip\r\n", r#"{"choices":[]}"#);
    assert_is(
        &post_for(lie).await.unwrap_err(),
        Class::Failure,
        "bad_answer",
    );
    let unasked = reply(200, "Content-Encoding: br\r\n", b"\x8b\x01\x80{}\x03");
    assert_is(
        &post_for(unasked).await.unwrap_err(),
        Class::Failure,
        "bad_answer",
    );
}

/// A gzip file of `matches` times 258 zeros: one literal, then the longest matches of a fixed code.
pub(super) fn bomb(matches: usize) -> Vec<u8> {
    // A last block with fixed codes (1, 01), and the literal 0.
    let mut bits = vec![1, 1, 0, 0, 0, 1, 1, 0, 0, 0, 0];
    for _ in 0..matches {
        // Length 258 at distance 1.
        bits.extend([1, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0]);
    }
    let bytes = bits.chunks(8).map(|bits| {
        bits.iter()
            .enumerate()
            .fold(0_u8, |byte, (at, bit)| byte | bit << at)
    });
    [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255]
        .into_iter()
        .chain(bytes)
        .collect()
}

#[tokio::test]
async fn silence_ends_with_the_idle_timeout() {
    let server = Server::new(|mut stream| async move {
        read_request(&mut stream).await;
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{")
            .await
            .unwrap();
        std::future::pending::<()>().await;
    })
    .await;
    let client = builder(&server)
        .idle_timeout(Duration::from_millis(100))
        .build()
        .unwrap();
    let started = Instant::now();
    let error = client.post("/", "{}".into()).await.unwrap_err();
    assert_is(&error, Class::Failure, "timeout");
    assert!(started.elapsed() < Duration::from_secs(2));
}

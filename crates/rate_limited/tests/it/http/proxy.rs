//! A proxy that does something to a connection at one byte, and what comes of that at each byte.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rate_limited::http::{Answer, Client, HttpError};
use rate_limited_core::Class;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

use super::fault_server::{CERTIFICATE, FaultServer, Step};
use super::reply;

/// What is done once so many bytes have passed in one direction.
#[derive(Clone, Copy, Debug)]
enum Act {
    Close,
    Reset,
    /// Nothing passes any more.
    Stall,
    Delay,
    /// One bit of the next byte is turned.
    Flip,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    ToServer,
    ToClient,
}

const PATIENCE: Duration = Duration::from_millis(150);

/// Serves one connection to this server, and says where.
async fn proxy(server: SocketAddr, way: Way, at: usize, act: Act) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (client, _) = listener.accept().await.unwrap();
        let server = TcpStream::connect(server).await.unwrap();
        if matches!(act, Act::Reset) {
            client.set_zero_linger().unwrap();
            server.set_zero_linger().unwrap();
        }
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        let hit = |is_way| if is_way { at } else { usize::MAX };
        let up = pass(from_client, to_server, hit(way == Way::ToServer), act);
        let down = pass(from_server, to_client, hit(way == Way::ToClient), act);
        // Both connections end with the first direction that does.
        tokio::select! {
            _ = up => {}
            _ = down => {}
        }
    });
    port
}

async fn pass(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    at: usize,
    act: Act,
) -> std::io::Result<()> {
    let mut passed = 0;
    let mut buffer = vec![0; 0x4000];
    loop {
        let count = from.read(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        let piece = &mut buffer[..count];
        let hit = at.checked_sub(passed).filter(|&hit| hit < count);
        if let Some(hit) = hit {
            to.write_all(&piece[..hit]).await?;
            match act {
                Act::Close | Act::Reset => {
                    // What has passed is to arrive before the end does.
                    tokio::time::sleep(Duration::from_millis(2)).await;
                    return Ok(());
                }
                Act::Stall => std::future::pending().await,
                Act::Delay => tokio::time::sleep(PATIENCE / 5).await,
                Act::Flip => piece[hit] ^= 4,
            }
        }
        to.write_all(&piece[hit.unwrap_or(0)..]).await?;
        passed += count;
    }
}

/// What came of a call through the proxy, and how often the server had it.
async fn call(
    answer: Vec<u8>,
    tls: bool,
    way: Way,
    at: usize,
    act: Act,
) -> (Result<Answer, HttpError>, usize) {
    let script = vec![Step::Read, Step::Send(answer), Step::Stall];
    let server = FaultServer::start(vec![script], tls.then_some(CERTIFICATE)).await;
    let port = proxy(server.address, way, at, act).await;
    let scheme = if tls { "https" } else { "http" };
    // Where all is to go well, a busy machine is not to be taken for silence.
    let patience = if matches!(act, Act::Delay) {
        20 * PATIENCE
    } else {
        PATIENCE
    };
    let client = Client::builder(format!("{scheme}://localhost:{port}"))
        .proxy_from_env(false)
        .connect_timeout(4 * patience)
        .first_byte_timeout(2 * patience)
        .idle_timeout(patience);
    let client = if tls {
        client.root_certificates(CERTIFICATE)
    } else {
        client
    };
    let client = client.build().unwrap();
    let call = client.post("/v1/chat/completions", r#"{"model":"m"}"#.into());
    let end = tokio::time::timeout(Duration::from_secs(9), call).await;
    let end = end.expect("no byte is waited for without end");
    tokio::time::sleep(Duration::from_millis(5)).await;
    (end, server.requests())
}

/// Does this at each of so many bytes, and holds up what must always be so.
async fn at_each_byte(answer: &[u8], tls: bool, way: Way, act: Act, bytes: usize) -> [usize; 3] {
    let mut calls = tokio::task::JoinSet::new();
    let mut counts = [0; 3];
    let answer: Arc<[u8]> = answer.into();
    // Certificates take their time; all bytes are for the long run.
    let is_soak = std::env::var_os("RATE_LIMITED_SOAK").is_some();
    let step = if tls && !is_soak { 13 } else { 1 };
    let last = (bytes - 1) / step * step;
    for at in (0..bytes).step_by(step) {
        let answer = answer.to_vec();
        calls.spawn(async move { (at, call(answer, tls, way, at, act).await) });
        if calls.len() >= 32 || at == last {
            while let Some(done) = calls.join_next().await {
                let (at, (end, delivered)) = done.unwrap();
                let place = format!("{act:?} {way:?} at {at}, tls {tls}: {end:?}");
                assert!(delivered <= 1, "{place}");
                let count = match &end {
                    Ok(answer) => {
                        assert_eq!(answer.body, r#"{"n":1}"#, "{place}");
                        0
                    }
                    Err(error) if error.class() == Class::NotSent => {
                        assert_eq!(delivered, 0, "what was not sent was delivered: {place}");
                        1
                    }
                    // A turned bit may make another answer of it, as far as nobody signs it.
                    Err(_) if matches!(act, Act::Flip) && !tls => 2,
                    Err(error) => {
                        assert!(
                            matches!(error.code(), "timeout" | "connection" | "bad_answer"),
                            "{place}"
                        );
                        2
                    }
                };
                counts[count] += 1;
            }
        }
    }
    counts
}

/// The bytes of the request that the calls above send, a little more of them than there are.
const REQUEST_BYTES: usize = 260;

fn answers() -> [Vec<u8>; 2] {
    let chunked =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{\"\r\n5\r\nn\":1}\r\n0\r\n\r\n";
    [reply(200, "", r#"{"n":1}"#), chunked.into()]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn half_an_answer_is_never_a_good_one() {
    for answer in answers() {
        for act in [Act::Close, Act::Reset, Act::Stall] {
            let [good, not_sent, failed] =
                at_each_byte(&answer, false, Way::ToClient, act, answer.len()).await;
            // A reset takes what has not been read yet with it.
            assert_eq!((good, not_sent, failed), (0, 0, answer.len()), "{act:?}");
        }
        let [good, _, _] =
            at_each_byte(&answer, false, Way::ToClient, Act::Delay, answer.len()).await;
        assert_eq!(good, answer.len());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn half_a_request_is_a_failure_and_delivered_once_at_most() {
    let answer = &answers()[0];
    for act in [Act::Close, Act::Reset, Act::Stall] {
        let counts = at_each_byte(answer, false, Way::ToServer, act, REQUEST_BYTES).await;
        let [good, not_sent, failed] = counts;
        // Those behind the end of the request, where there is nothing to cut.
        assert!(
            good < 80 && not_sent == 0 && failed > 180,
            "{act:?}: {counts:?}"
        );
    }
    let [good, ..] = at_each_byte(answer, false, Way::ToServer, Act::Delay, REQUEST_BYTES).await;
    assert_eq!(good, REQUEST_BYTES);
}

/// Over TLS the bytes of the handshake come first: until it is done nothing was sent.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn broken_tls_is_noticed_at_each_byte() {
    let answer = &answers()[0];
    for (act, way) in [
        (Act::Close, Way::ToClient),
        (Act::Reset, Way::ToClient),
        (Act::Flip, Way::ToClient),
        (Act::Close, Way::ToServer),
        (Act::Flip, Way::ToServer),
    ] {
        // A whole exchange, and a little more.
        let counts = at_each_byte(answer, true, way, act, 1_400).await;
        let [_, not_sent, failed] = counts;
        eprintln!("{act:?} {way:?}: good, not sent, failed: {counts:?}");
        assert!(
            not_sent > 200 / 13 && failed > 1,
            "{act:?} {way:?}: {counts:?}"
        );
    }
}

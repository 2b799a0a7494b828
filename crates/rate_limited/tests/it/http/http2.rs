//! HTTP/2, where it differs: frames of a server that leaves, refuses, stalls or floods.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rate_limited::http::{Answer, Client, HttpError};
use rate_limited_core::Class;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::fault_server::{CERTIFICATE, tls_config};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;
/// `:status: 200`, from the table that both sides know.
const STATUS_200: u8 = 0x88;

const NO_ERROR: u32 = 0;
const INTERNAL_ERROR: u32 = 2;
const REFUSED_STREAM: u32 = 7;
const CANCEL: u32 = 8;
const ENHANCE_YOUR_CALM: u32 = 11;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let stream = stream.to_be_bytes();
    [&length[1..], &[kind, flags], &stream, payload].concat()
}

fn reset(stream: u32, code: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &code.to_be_bytes())
}

fn go_away(last_stream: u32, code: u32) -> Vec<u8> {
    let payload = [last_stream.to_be_bytes(), code.to_be_bytes()].concat();
    frame(GOAWAY, 0, 0, &payload)
}

fn head(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, &[STATUS_200])
}

/// A head on stream 1 with this status and one more field so long, in as many frames as that takes.
fn head_with(status: &str, name: &str, value_bytes: usize) -> Vec<u8> {
    // A field that is written out: of a known name the number, else its length and itself; then the value's.
    let mut block = [&[8, 3], status.as_bytes(), &[0]].concat();
    for (text, length) in [(name, name.len()), ("y", value_bytes)] {
        // Seven bits of the length, and the rest in further ones of seven each, the lowest first.
        if length < 127 {
            block.push(u8::try_from(length).unwrap());
        } else {
            let mut rest = length - 127;
            block.push(127);
            while rest >= 128 {
                block.push(u8::try_from(rest % 128).unwrap() | 128);
                rest /= 128;
            }
            block.push(u8::try_from(rest).unwrap());
        }
        block.extend_from_slice(&text.as_bytes().repeat(length / text.len()));
    }
    let pieces: Vec<&[u8]> = block.chunks(16_000).collect();
    let frames = pieces.iter().enumerate().map(|(number, piece)| {
        let kind = if number == 0 { HEADERS } else { CONTINUATION };
        let is_last = number == pieces.len() - 1;
        frame(kind, if is_last { END_HEADERS } else { 0 }, 1, piece)
    });
    frames.collect::<Vec<_>>().concat()
}

fn good(stream: u32) -> Vec<u8> {
    [head(stream), frame(DATA, END_STREAM, stream, br#"{"n":1}"#)].concat()
}

fn setting(id: u16, value: u32) -> Vec<u8> {
    let payload = [&id.to_be_bytes()[..], &value.to_be_bytes()].concat();
    frame(SETTINGS, 0, 0, &payload)
}

/// What a server does with the request on stream 1.
#[derive(Clone)]
enum Deed {
    Says(Vec<u8>),
    Closes(Vec<u8>),
    Floods(Vec<u8>),
    /// The first ones, and then the others each 50 ms.
    Drips(Vec<u8>, Vec<u8>),
}

/// A server over TLS with these settings. Over each connection after the first one it answers well.
async fn serve(settings: Vec<u8>, deed: Deed) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let acceptor = TlsAcceptor::from(tls_config(CERTIFICATE, &["h2"]));
    let connections = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&connections);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let first = count.fetch_add(1, Ordering::SeqCst) == 0;
            let deed = if first {
                deed.clone()
            } else {
                Deed::Says(good(1))
            };
            let (acceptor, settings) = (acceptor.clone(), settings.clone());
            tokio::spawn(async move {
                let mut wire = acceptor.accept(stream).await.unwrap();
                // The client may hang up at any moment.
                let _ = play(&mut wire, &settings, deed).await;
            });
        }
    });
    (port, connections)
}

async fn play(wire: &mut TlsStream<TcpStream>, settings: &[u8], deed: Deed) -> std::io::Result<()> {
    wire.read_exact(&mut [0; 24]).await?;
    let settings = if settings.is_empty() {
        frame(SETTINGS, 0, 0, &[])
    } else {
        settings.to_vec()
    };
    wire.write_all(&settings).await?;
    wire.flush().await?;
    loop {
        let (kind, flags) = read_frame(wire).await?;
        if kind == SETTINGS && flags & ACK == 0 {
            wire.write_all(&frame(SETTINGS, ACK, 0, &[])).await?;
            wire.flush().await?;
        }
        if kind == HEADERS {
            break;
        }
    }
    match deed {
        Deed::Says(frames) => {
            wire.write_all(&frames).await?;
            wire.flush().await?;
            while wire.read(&mut [0; 4096]).await? > 0 {}
            Ok(())
        }
        Deed::Closes(frames) => {
            wire.write_all(&frames).await?;
            wire.shutdown().await
        }
        Deed::Floods(frames) => {
            let (mut from, mut to) = tokio::io::split(wire);
            let read = async {
                while from.read(&mut [0; 4096]).await? > 0 {}
                std::io::Result::Ok(())
            };
            let write = async {
                loop {
                    to.write_all(&frames).await?;
                }
            };
            tokio::select! { end = read => end, end = write => end }
        }
        Deed::Drips(first, then) => {
            wire.write_all(&first).await?;
            loop {
                wire.write_all(&then).await?;
                wire.flush().await?;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn read_frame(wire: &mut TlsStream<TcpStream>) -> std::io::Result<(u8, u8)> {
    let mut head = [0; 9];
    wire.read_exact(&mut head).await?;
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
    wire.read_exact(&mut vec![0; length]).await?;
    Ok((head[3], head[4]))
}

fn client(port: u16, http2: bool) -> Client {
    patient_client(port, http2, Duration::from_millis(500))
}

fn patient_client(port: u16, http2: bool, patience: Duration) -> Client {
    Client::builder(format!("https://localhost:{port}"))
        .root_certificates(CERTIFICATE)
        .proxy_from_env(false)
        .http2(http2)
        .first_byte_timeout(patience)
        .idle_timeout(patience)
        .min_speed(50)
        .body_bytes_max(1 << 20)
        .build()
        .unwrap()
}

async fn post(client: &Client, body_bytes: usize) -> Result<Answer, HttpError> {
    let call = client.post("/v1/chat/completions", vec![b' '; body_bytes].into());
    let end = tokio::time::timeout(Duration::from_secs(9), call).await;
    end.expect("a time-out of the client comes first")
}

type Row = (&'static str, Deed, (Class, &'static str));

const NOT_SENT: (Class, &str) = (Class::NotSent, "connection");
const BROKEN: (Class, &str) = (Class::Failure, "connection");
const SILENT: (Class, &str) = (Class::Failure, "timeout");

fn farewells() -> Vec<Row> {
    let says = Deed::Says;
    vec![
        ("REFUSED_STREAM", says(reset(1, REFUSED_STREAM)), NOT_SENT),
        (
            "GOAWAY before the stream",
            says(go_away(0, NO_ERROR)),
            NOT_SENT,
        ),
        (
            "GOAWAY before the stream, and an end",
            Deed::Closes(go_away(0, NO_ERROR)),
            NOT_SENT,
        ),
        (
            "GOAWAY with an error",
            says(go_away(0, INTERNAL_ERROR)),
            BROKEN,
        ),
        (
            "GOAWAY with ENHANCE_YOUR_CALM",
            says(go_away(0, ENHANCE_YOUR_CALM)),
            BROKEN,
        ),
        (
            "GOAWAY behind the stream, and an end",
            Deed::Closes(go_away(1, NO_ERROR)),
            BROKEN,
        ),
        (
            "GOAWAY behind the stream, and silence",
            says(go_away(1, NO_ERROR)),
            SILENT,
        ),
        (
            "RST_STREAM before the head",
            says(reset(1, INTERNAL_ERROR)),
            BROKEN,
        ),
        ("an end before the head", Deed::Closes(vec![]), BROKEN),
    ]
}

fn other_rows() -> Vec<Row> {
    let half = |then: Vec<u8>| [head(1), frame(DATA, 0, 1, b"{"), then].concat();
    let says = Deed::Says;
    let unknown = frame(HEADERS, END_HEADERS, 1, &[0xff; 20]);
    let headless = frame(DATA, END_STREAM, 1, b"{}");
    let http1 = b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec();
    vec![
        (
            "RST_STREAM within the body",
            says(half(reset(1, CANCEL))),
            BROKEN,
        ),
        (
            "REFUSED_STREAM within the body",
            says(half(reset(1, REFUSED_STREAM))),
            BROKEN,
        ),
        ("an end within the body", Deed::Closes(half(vec![])), BROKEN),
        ("silence", says(vec![]), SILENT),
        ("silence within the body", says(half(vec![])), SILENT),
        ("bytes that are no frames", says(http1), BROKEN),
        ("data before a head", says(headless), BROKEN),
        ("an answer to a stream nobody opened", says(good(3)), BROKEN),
        ("headers that cannot be decoded", says(unknown), BROKEN),
    ]
}

/// What has no end, or comes too slowly.
fn floods() -> Vec<Row> {
    let floods = |frame: Vec<u8>| Deed::Floods(frame.repeat(100));
    let open_head = frame(HEADERS, 0, 1, &[STATUS_200]);
    let field = [&[0, 1][..], b"x", &[100], &[b'y'; 100]].concat();
    let continued = frame(CONTINUATION, 0, 1, &field.repeat(100));
    vec![
        (
            "a flood of PING",
            floods(frame(PING, 0, 0, &[7; 8])),
            SILENT,
        ),
        (
            "a flood of SETTINGS",
            floods(frame(SETTINGS, 0, 0, &[])),
            SILENT,
        ),
        (
            "a flood of interim answers",
            floods(head_with("103", "x", 1)),
            SILENT,
        ),
        (
            "a head without end",
            Deed::Floods([open_head, continued.repeat(1_000)].concat()),
            BROKEN,
        ),
        (
            "a header of 66 kB",
            Deed::Says(head_with("200", "x", 66_000)),
            BROKEN,
        ),
        (
            "a body that trickles for ever",
            Deed::Drips(head(1), frame(DATA, 0, 1, b"7")),
            SILENT,
        ),
    ]
}

#[tokio::test]
async fn a_header_of_60_kb_is_read() {
    let answer = [
        head_with("200", "x", 60_000),
        frame(DATA, END_STREAM, 1, br#"{"n":1}"#),
    ];
    let (port, _) = serve(vec![], Deed::Says(answer.concat())).await;
    let client = patient_client(port, true, Duration::from_secs(8));
    assert_eq!(post(&client, 2).await.unwrap().body, r#"{"n":1}"#);
}

#[tokio::test]
async fn each_row_ends_as_stated() {
    for (name, deed, want) in [farewells(), other_rows(), floods()].concat() {
        let (port, connections) = serve(vec![], deed).await;
        // Where nothing is waited for, a busy machine is not to be taken for silence.
        let patience = if want == SILENT { 500 } else { 8_000 };
        let client = patient_client(port, true, Duration::from_millis(patience));
        let started = Instant::now();
        let error = post(&client, 2).await.expect_err(name);
        assert_eq!((error.class(), error.code()), want, "{name}: {error}");
        assert_eq!(error.is_unknown(), want != NOT_SENT, "{name}");
        assert!(started.elapsed() < Duration::from_secs(5), "{name}");
        let connections = connections.load(Ordering::SeqCst);
        assert_eq!(connections, 1, "{name}: sent again unasked");
    }
}

#[tokio::test]
async fn a_refusal_is_free_and_the_next_call_goes_well() {
    for deed in [reset(1, REFUSED_STREAM), go_away(0, NO_ERROR)] {
        let (port, _) = serve(vec![], Deed::Closes(deed)).await;
        let client = patient_client(port, true, Duration::from_secs(8));
        assert_eq!(post(&client, 2).await.unwrap_err().class(), Class::NotSent);
        assert_eq!(post(&client, 2).await.unwrap().body, r#"{"n":1}"#);
    }
}

#[tokio::test]
async fn a_window_that_stays_shut_ends_with_a_timeout() {
    // SETTINGS_INITIAL_WINDOW_SIZE 0: no byte of a body may be sent.
    let (port, _) = serve(setting(4, 0), Deed::Says(vec![])).await;
    let error = post(&client(port, true), 1_000).await.unwrap_err();
    assert_eq!(
        (error.class(), error.code()),
        (Class::Failure, "timeout"),
        "{error}"
    );
}

#[tokio::test]
async fn one_stream_at_a_time_is_enough() {
    // SETTINGS_MAX_CONCURRENT_STREAMS 1, and an answer to the first stream alone.
    let (port, _) = serve(setting(3, 1), Deed::Says(good(1))).await;
    let client = client(port, true);
    assert_eq!(post(&client, 2).await.unwrap().body, r#"{"n":1}"#);
    // The second one is heard of, but never answered.
    assert_eq!(post(&client, 2).await.unwrap_err().code(), "timeout");
}

#[tokio::test]
async fn without_being_asked_for_it_only_http1_is_spoken() {
    let (port, _) = serve(vec![], Deed::Says(good(1))).await;
    // The server offers nothing else, so that TLS already fails.
    let error = post(&client(port, false), 2).await.unwrap_err();
    assert_eq!(error.class(), Class::NotSent, "{error}");
}

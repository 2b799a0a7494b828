//! Servers and proxies that break off, stall or echo, and a process without files: what the command makes of
//! them.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::world::{KEY, World, command, requests};

/// The password of a proxy.
const PASSWORD: &str = "of-proxy-CANARY-42";

/// Does the same with each connection, and counts them.
pub(crate) struct Server {
    pub(crate) port: u16,
    connections: Arc<AtomicUsize>,
}

impl Server {
    fn new(serve: impl Fn(TcpStream) + Clone + Send + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let connections = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&connections);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                count.fetch_add(1, Ordering::SeqCst);
                let serve = serve.clone();
                thread::spawn(move || serve(stream));
            }
        });
        Server { port, connections }
    }

    /// Answers one request a connection with what `answer` makes of it; none is left unread.
    pub(crate) fn answering(answer: impl Fn(&str) -> Vec<u8> + Clone + Send + 'static) -> Server {
        Server::new(move |mut stream| {
            if let Some(request) = request(&mut stream) {
                let _ = stream.write_all(&answer(&request));
                let _ = stream.shutdown(Shutdown::Write);
                let _ = stream.read(&mut [0; 64]);
            }
        })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/v1", self.port)
    }
}

fn request(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let head = head.to_lowercase();
            let length = head.split("content-length: ").nth(1);
            let length = length.and_then(|it| it.lines().next()?.parse().ok());
            if body.len() >= length.unwrap_or(0) {
                return Some(text);
            }
        }
        match stream.read(&mut buffer) {
            Ok(count) if count > 0 => bytes.extend_from_slice(&buffer[..count]),
            _ => return None,
        }
    }
}

pub(crate) fn reply(status: u16, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status} X\r\nContent-Length: {length}\r\n{headers}\r\n{body}").into_bytes()
}

/// The command in this folder with its input; it ends in time, or the test fails.
fn run(folder: &Path, set: impl FnOnce(&mut Command), args: &[&str]) -> (Option<i32>, String) {
    fs::write(folder.join("in.jsonl"), requests(3)).expect("room");
    let all = [&["run", "in.jsonl", "-o", "out.jsonl"], args].concat();
    let mut command = command(folder, &all);
    set(&mut command);
    let started = Instant::now();
    let output = command.output().expect("it runs");
    assert!(started.elapsed() < Duration::from_secs(20), "{args:?}");
    let told = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(told).expect("text"))
}

fn lines(folder: &Path) -> Vec<Value> {
    let text = fs::read_to_string(folder.join("out.jsonl")).expect("an output");
    text.lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

/// Each wait of the command has its option, and says so when it ends.
#[test]
fn each_wait_has_its_end() {
    let silent =
        || Server::new(|mut stream| drop(stream.read(&mut [0; 9]).map(|_| thread::park())));
    let half = || {
        Server::new(|mut stream| {
            request(&mut stream);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{");
            thread::park();
        })
    };
    for (server, scheme, option, told) in [
        (silent(), "https", "--connect-timeout", "failed to connect"),
        (
            silent(),
            "http",
            "--first-byte-timeout",
            "first-byte time-out of 200ms",
        ),
        (half(), "http", "--idle-timeout", "idle time-out of 200ms"),
        (
            half(),
            "http",
            "--timeout",
            "time-out of 200ms for an attempt",
        ),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let url = format!("{scheme}://127.0.0.1:{}", server.port);
        let args = ["--base-url", &url, "--max-retries", "0", option, "200ms"];
        let (code, said) = run(folder.path(), |_| {}, &args);
        assert_eq!(code, Some(1), "{said}");
        for line in lines(folder.path()) {
            let [code, message] = ["/error/code", "/error/message"]
                .map(|it| line.pointer(it).and_then(Value::as_str).unwrap_or_default());
            assert!(
                code == "timeout" && message.contains(told),
                "{option}: {line}"
            );
        }
    }
}

/// What may have been done is sent again or not, as one likes; a GET, and what the API recognises, always is.
#[test]
fn what_may_have_been_done_is_sent_once_where_that_is_asked_for() {
    let line = r#"{"method":"POST","url":"/v1/things","body":{"a":1}}"#;
    let get = r#"{"method":"GET","url":"/v1/things"}"#;
    let (once, twice) = (&["--on-unknown", "skip"][..], &[][..]);
    let keyed = &["--on-unknown", "skip", "--api", "stripe"][..];
    for (line, args, sent) in [
        (line, twice, 3),
        (line, once, 1),
        (line, &["--on-unknown", "report", "--no-journal"], 1),
        (line, keyed, 3),
        (get, once, 3),
    ] {
        for stalls in [false, true] {
            let heard = Arc::new(AtomicUsize::new(0));
            let count = Arc::clone(&heard);
            // Each request is read, and then the connection breaks, or nothing comes.
            let server = Server::new(move |mut stream| {
                if request(&mut stream).is_some() {
                    count.fetch_add(1, Ordering::SeqCst);
                }
                if stalls {
                    thread::park();
                }
            });
            let folder = tempfile::tempdir().expect("a folder");
            fs::write(folder.path().join("in.jsonl"), line).expect("room");
            let url = server.url();
            let all = ["run", "in.jsonl", "-o", "out.jsonl", "--base-url", &url];
            let bounds = ["--max-retries", "2", "--timeout", "300ms"];
            let mut command = command(folder.path(), &[&all[..], &bounds, args].concat());
            let output = command
                .env("STRIPE_API_KEY", KEY)
                .output()
                .expect("it runs");
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(1), "{said}");
            assert_eq!(
                heard.load(Ordering::SeqCst),
                sent,
                "{line} {args:?} {stalls}: {said}"
            );
            let error = lines(folder.path()).remove(0)["error"].clone();
            assert_eq!(error["code"] == "unknown", sent == 1, "{error}");
            assert_eq!(error["attempts"], sent, "{error}");
        }
    }
}

/// Fewer descriptors than calls in flight: all calls go well, none is tried twice, and it is said once.
#[cfg(target_os = "linux")]
#[test]
fn a_process_without_files_has_fewer_calls_in_flight() {
    let world = World::slow(100);
    world.input(&requests(600));
    let args = [
        "run",
        "in.jsonl",
        "-o",
        "out.jsonl",
        "--max-retries",
        "0",
        "--max-concurrent",
        "512",
    ];
    let plain = world.command(&args);
    let mut limited = Command::new("sh");
    limited
        .args(["-c", r#"ulimit -n 64 && exec "$0" "$@""#])
        .arg(plain.get_program())
        .args(plain.get_args())
        .current_dir(plain.get_current_dir().expect("it has one"))
        .envs(
            plain
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        )
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let outcome = world.end(limited.spawn().expect("it starts"));
    outcome.expect(0, 600);
    outcome.expect_order();
    assert_eq!(world.stats().arrivals, 600, "{}", outcome.stderr);
    let said = outcome.stderr.matches("no file descriptor is left").count();
    assert_eq!(said, 1, "{}", outcome.stderr);
}

/// The key in every form in which a server, a proxy or TLS may give it back.
#[test]
fn the_key_is_found_nowhere() {
    let base64 = "c2stQ0FOQVJZLTAxMjM0NTY3ODk";
    let all = move || format!("Bearer {KEY} {base64} {KEY}");
    let json = move || {
        format!(
            r#"{{"error":{{"message":"{0}","code":"{0}"}},"x":"{0}"}}"#,
            all()
        )
    };
    let headers = move || {
        let all = all();
        format!(
            "x-request-id: {all}\r\nx-ratelimit-limit-requests: {all}\r\nretry-after: {all}\r\n"
        )
    };
    let stranger = Server::answering(|_| reply(200, "", "{}"));
    let port = stranger.port;
    let cut = move |bytes: Vec<u8>| bytes[..bytes.len() - 9].to_vec();
    let servers = [
        (
            "an error",
            Server::answering(move |_| reply(400, &headers(), &json())),
        ),
        (
            "a text",
            Server::answering(move |_| reply(500, &headers(), &all())),
        ),
        (
            "a refusal",
            Server::answering(move |_| reply(429, &headers(), &json())),
        ),
        (
            "a good answer",
            Server::answering(move |_| {
                reply(
                    200,
                    &headers(),
                    &format!(r#"{{"choices":[],"x":"{}"}}"#, all()),
                )
            }),
        ),
        (
            "a cut answer",
            Server::answering(move |_| cut(reply(200, "", &all()))),
        ),
        (
            "a cut error",
            Server::answering(move |_| cut(reply(400, "", &all()))),
        ),
        (
            "the request itself",
            Server::answering(|request| reply(400, "", request)),
        ),
        (
            "a bad head",
            Server::answering(move |_| {
                format!("HTTP/1.1 200 OK\r\n{}\0: x\r\n\r\n", all()).into_bytes()
            }),
        ),
        (
            "no HTTP",
            Server::answering(|request| request.as_bytes().to_vec()),
        ),
        (
            "a reason",
            Server::answering(move |_| format!("HTTP/1.1 400 {}\r\n\r\n", all()).into_bytes()),
        ),
        (
            "a redirect",
            Server::answering(move |_| {
                reply(
                    307,
                    &format!("Location: http://u:{KEY}@127.0.0.1:{port}/{KEY}?k={KEY}#{KEY}\r\n"),
                    "",
                )
            }),
        ),
        (
            "a redirect to itself",
            Server::answering(|_| reply(307, &format!("Location: /{KEY}\r\n"), "")),
        ),
    ];
    thread::scope(|scope| {
        for (name, server) in servers {
            scope.spawn(move || check_server(name, &server));
        }
    });
    // A proxy may be asked for an answer of another host; a stranger that an answer names never is.
    assert_eq!(stranger.connections.load(Ordering::SeqCst), 0);
}

fn check_server(name: &str, server: &Server) {
    let url = server.url();
    check_found_nowhere(name, |_| {}, &url);
    check_found_nowhere(name, |_| {}, &url.replace("http:", "https:"));
    // The same as a proxy, with a password of its own.
    let proxy = format!("http://user:{PASSWORD}@127.0.0.1:{}", server.port);
    for base_url in ["http://api.invalid/v1", "https://api.invalid/v1"] {
        let set = |command: &mut Command| {
            command.env("HTTP_PROXY", &proxy).env("HTTPS_PROXY", &proxy);
        };
        check_found_nowhere(name, set, base_url);
    }
    let connections = server.connections.load(Ordering::SeqCst);
    assert!(connections >= 4, "{name}: nobody asked");
}

/// Whether a key is there, or the password of a proxy: as it is, or in base64, where what stands before it
/// decides which of three forms it has.
fn has_canary(bytes: &[u8]) -> bool {
    let forms = ["CANARY", "Q0FOQVJZ", "NBTkFSW", "DQU5BUl"];
    let found = |form: &&str| {
        bytes
            .windows(form.len())
            .any(|part| part == form.as_bytes())
    };
    forms.iter().any(found)
}

fn check_found_nowhere(name: &str, set: impl FnOnce(&mut Command), base_url: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let args = [
        "--base-url",
        base_url,
        "--max-retries",
        "1",
        "--deadline",
        "1s",
        "--grace",
        "0s",
        "--connect-timeout",
        "1s",
    ];
    let (_, said) = run(folder.path(), set, &args);
    assert!(!has_canary(said.as_bytes()), "{name}, {base_url}: {said}");
    let mut files = 0;
    for entry in fs::read_dir(folder.path()).expect("a folder") {
        let path = entry.expect("a file").path();
        files += 1;
        let bytes = fs::read(&path).expect("a file");
        assert!(
            !has_canary(&bytes),
            "{name}, {base_url}: {}",
            path.display()
        );
    }
    assert!(files >= 3, "{name}: no journal");
}

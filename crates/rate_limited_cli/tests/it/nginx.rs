//! A rate limiter that nobody here wrote: nginx's `limit_req`, a leaky bucket of its own kind, before the simulated API.

use std::fs;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::world::{World, command, requests, spawn};

/// Requests a second that pass, and those that may come at once.
const RATE: u32 = 40;
const BURST: u32 = 20;

/// nginx, until it is dropped.
struct Nginx {
    child: Child,
    port: u16,
}

impl Nginx {
    /// Starts it before the server at this address; `None` where there is no nginx.
    fn before(upstream: &str, folder: &Path) -> Option<Nginx> {
        let binary = binary()?;
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = free.local_addr().expect("an address").port();
        drop(free);
        let here = folder.display();
        let config = format!(
            "daemon off; master_process off; pid {here}/pid; error_log {here}/error.log;
             events {{ worker_connections 512; }}
             http {{
                 access_log off;
                 client_body_temp_path {here}/body; proxy_temp_path {here}/proxy;
                 fastcgi_temp_path {here}/f; uwsgi_temp_path {here}/u; scgi_temp_path {here}/s;
                 limit_req_zone $server_port zone=all:1m rate={RATE}r/s;
                 limit_req_status 429;
                 server {{
                     listen 127.0.0.1:{port};
                     location / {{
                         limit_req zone=all burst={BURST} nodelay;
                         proxy_pass {upstream};
                         proxy_http_version 1.1;
                     }}
                 }}
             }}"
        );
        let file = folder.join("nginx.conf");
        fs::write(&file, config).expect("room");
        let child = Command::new(binary)
            .args(["-p", &here.to_string(), "-c"])
            .arg(&file)
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        let nginx = Nginx { child, port };
        let start = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            assert!(
                start.elapsed() < Duration::from_secs(30),
                "nginx does not listen"
            );
            sleep(Duration::from_millis(20));
        }
        Some(nginx)
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where nginx is: in the path, or unpacked by tools/fetch-nginx.
fn binary() -> Option<PathBuf> {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target"),
        PathBuf::from,
    );
    let unpacked = target.join("nginx/usr/sbin/nginx");
    let places = [unpacked, "/usr/sbin/nginx".into()];
    let found = places.into_iter().find(|place| place.exists());
    if found.is_none() {
        assert!(
            std::env::var_os("CI").is_none(),
            "there is no nginx: run tools/fetch-nginx"
        );
        eprintln!("skipped: there is no nginx; tools/fetch-nginx brings it");
    }
    found
}

/// Runs so many calls through nginx; what the command said, and how long it took.
fn run(calls: u32, args: &[&str]) -> Option<(String, Duration)> {
    let world = World::slow(20);
    let upstream = world.base_url();
    let upstream = upstream.trim_end_matches("/v1");
    let nginx = Nginx::before(upstream, &world.path(""))?;
    fs::write(world.path("in.jsonl"), requests(calls as usize)).expect("room");
    let url = format!("http://127.0.0.1:{}/v1", nginx.port);
    let all = [
        &["run", "in.jsonl", "-o", "out.jsonl", "--base-url", &url],
        args,
    ]
    .concat();
    let start = Instant::now();
    let outcome = world.end(spawn(command(&world.path(""), &all)));
    let took = start.elapsed();
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    assert_eq!(
        world.stats().arrivals,
        u64::from(calls),
        "nginx let each through once"
    );
    Some((outcome.stderr, took))
}

/// The number before a word of the summary.
fn number(told: &str, word: &str) -> u32 {
    let before = told.split(word).next().expect("a part");
    let digits = before
        .trim_end()
        .rsplit([' ', '\n'])
        .next()
        .expect("a word");
    digits
        .replace(',', "")
        .parse()
        .unwrap_or_else(|_| panic!("{word}: {told}"))
}

#[test]
fn a_limit_that_nobody_told_is_found_behind_nginx() {
    let calls = 400;
    let Some((told, took)) = run(calls, &[]) else {
        return;
    };
    let optimum = Duration::from_millis(u64::from((calls - BURST) * 1_000 / RATE));
    // Real time on a busy machine: the figures are a benchmark's, this holds off what is out of hand.
    assert!(
        took < optimum * 4 + Duration::from_secs(5),
        "{took:?}: {told}"
    );
    assert!(number(&told, "refusals,") < calls / 2, "{told}");
    assert!(told.contains("limits found out: requests"), "{told}");
}

#[test]
fn a_limit_told_ten_times_too_high_is_found_behind_nginx() {
    let calls = 400;
    let Some((told, took)) = run(calls, &["--limit", "requests=400/1s"]) else {
        return;
    };
    let optimum = Duration::from_millis(u64::from((calls - BURST) * 1_000 / RATE));
    assert!(
        took < optimum * 4 + Duration::from_secs(5),
        "{took:?}: {told}"
    );
    assert!(number(&told, "refusals,") < calls, "{told}");
}

//! A server that notes each request by its name, and when it came. It refuses nothing, so that what is
//! too much is seen.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rate_limited_sim::{ApiModel, Arrival, Outcome, Request, SimulatedApi, Ticket};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// A server that runs as long as its runtime.
#[derive(Clone)]
pub(crate) struct Logged {
    pub(crate) addr: SocketAddr,
    log: Arc<Mutex<Log>>,
    origin: Instant,
    /// Whether it tells clients their own keys, in answers and in errors.
    tells_keys: bool,
}

/// What came.
struct Log {
    api: SimulatedApi,
    calls: HashMap<String, Call>,
    /// When requests came, in nanoseconds.
    arrivals: Vec<u64>,
}

/// What came of one call.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Call {
    /// Its requests.
    pub(crate) hits: u32,
    /// Those of them that were answered with an error.
    pub(crate) failures: u32,
}

impl Call {
    /// The requests beyond the one that had to be, and those that had to follow an error.
    pub(crate) fn repeats(self) -> u32 {
        self.hits.saturating_sub(self.failures + 1)
    }
}

impl Logged {
    /// Starts one on the runtime that this is called in.
    pub(crate) async fn start(model: ApiModel, tells_keys: bool) -> Logged {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let log = Log {
            api: SimulatedApi::new(model),
            calls: HashMap::new(),
            arrivals: Vec::new(),
        };
        let server = Logged {
            addr: listener.local_addr().expect("it listens"),
            log: Arc::new(Mutex::new(log)),
            origin: Instant::now(),
            tells_keys,
        };
        let all = server.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let server = all.clone();
                tokio::spawn(async move {
                    // A client that was killed is what this is about.
                    let _ = server.serve(stream).await;
                });
            }
        });
        server
    }

    pub(crate) fn base_url(&self) -> String {
        format!("http://{}/v1", self.addr)
    }

    pub(crate) fn call(&self, name: &str) -> Call {
        self.lock().calls.get(name).copied().unwrap_or_default()
    }

    pub(crate) fn calls(&self) -> HashMap<String, Call> {
        self.lock().calls.clone()
    }

    /// The requests so far.
    pub(crate) fn arrivals(&self) -> usize {
        self.lock().arrivals.len()
    }

    /// The most requests that came within any time of this length.
    pub(crate) fn most_within(&self, time: Duration) -> usize {
        let log = self.lock();
        let length = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let until = |first: &u64| log.arrivals.partition_point(|at| *at < first + length);
        let counts = log.arrivals.iter().enumerate();
        counts
            .map(|(at, first)| until(first) - at)
            .max()
            .unwrap_or(0)
    }

    async fn serve(&self, stream: TcpStream) -> std::io::Result<()> {
        stream.set_nodelay(true)?;
        let mut stream = BufReader::new(stream);
        while let Some((key, body)) = read(&mut stream).await? {
            let key = if self.tells_keys { key } else { String::new() };
            let (status, answer) = self.answer(&key, &body).await;
            let text = format!(
                "HTTP/1.1 {status} x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{answer}",
                answer.len()
            );
            stream.write_all(text.as_bytes()).await?;
        }
        Ok(())
    }

    async fn answer(&self, key: &str, body: &[u8]) -> (u16, String) {
        let body: Value = serde_json::from_slice(body).expect("JSON");
        let name = body["user"].as_str().expect("a name").to_owned();
        let (ticket, ends_at, hit) = self.arrive(&name);
        let wait = Duration::from_nanos(ends_at.saturating_sub(self.now()));
        tokio::time::sleep(wait).await;
        let now = self.now();
        let log = &mut *self.lock();
        match log.api.complete(now, ticket).outcome {
            Outcome::Success => {
                let text = format!(
                    "{{\"id\":\"{name}-{hit}\",\"choices\":[{{\"message\":{{\"content\":\"an answer to {name} {key}\"}}}}],\
                     \"usage\":{{\"total_tokens\":9}}}}"
                );
                (200, text)
            }
            Outcome::Failure(status) => {
                log.calls.entry(name).or_default().failures += 1;
                (
                    status,
                    format!("{{\"error\":{{\"message\":\"not now {key}\"}}}}"),
                )
            }
        }
    }

    /// Notes a request: when it ends, and the how-manieth of its call it is.
    fn arrive(&self, name: &str) -> (Ticket, u64, u32) {
        let log = &mut *self.lock();
        // Taken inside the lock, so that time is in order.
        let now = self.now();
        log.arrivals.push(now);
        let call = log.calls.entry(name.to_owned()).or_default();
        call.hits += 1;
        let number = name
            .bytes()
            .fold(0, |number, byte| number * 31 + u64::from(byte));
        let request = Request {
            call: number,
            attempt: call.hits,
            ..Request::default()
        };
        match log.api.arrive(now, &request) {
            Arrival::Accepted {
                ticket, ends_at, ..
            } => (ticket, ends_at, call.hits),
            Arrival::Refused { .. } => unreachable!("it has no limits"),
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn lock(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The key and the body of the next request; `None` at the end.
async fn read(stream: &mut BufReader<TcpStream>) -> std::io::Result<Option<(String, Vec<u8>)>> {
    let (mut length, mut key) = (0, String::new());
    let mut line = String::new();
    loop {
        line.clear();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(None);
        }
        let Some((name, value)) = line.trim_end().split_once(':') else {
            if line.trim_end().is_empty() {
                break;
            }
            continue;
        };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().map_err(std::io::Error::other)?,
            "authorization" => value.trim().clone_into(&mut key),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    Ok(Some((key, body)))
}

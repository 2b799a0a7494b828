//! Rivals in Rust, as their users write them: `rivals governor WORK.json` or `rivals tower WORK.json`;
//! `rivals bare …` is a client loop without limits.

mod bare;

use governor::{Quota, RateLimiter};
use serde_json::Value;
use std::io::{BufRead, Write};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tower::{Service, ServiceExt};

const ATTEMPTS: u32 = 8;

type Error = Box<dyn std::error::Error + Send + Sync>;
type Limiter = governor::DefaultDirectRateLimiter;

struct Work {
    url: String,
    results: String,
    requests: Vec<Request>,
    limits: Vec<Told>,
    concurrency: usize,
}

struct Told {
    name: String,
    quota: u32,
    window: Duration,
}

#[derive(Clone)]
struct Request {
    id: String,
    body: String,
    /// Prompt and longest answer.
    bound: u32,
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let args: Vec<_> = std::env::args().collect();
    if args[1] == "bare" {
        return bare::run(&args[2..]).await;
    }
    let work = read(&args[2])?;
    println!("ready");
    std::io::stdout().flush()?;
    std::io::stdin().lock().read_line(&mut String::new())?;
    let results = match args[1].as_str() {
        "governor" => governor(&work).await,
        "tower" => tower(&work).await,
        other => return Err(format!("unknown rival: {other}").into()),
    };
    let mut out = std::io::BufWriter::new(std::fs::File::create(&work.results)?);
    for (id, tokens) in results.into_iter().flatten() {
        writeln!(
            out,
            "{}",
            serde_json::json!({"custom_id": id, "tokens": tokens})
        )?;
    }
    Ok(())
}

fn read(path: &str) -> Result<Work, Error> {
    let raw: Value = serde_json::from_str(&std::fs::read_to_string(path)?)?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let lines = std::fs::read_to_string(text(&raw["requests_file"]))?;
    let requests = lines.lines().map(|line| {
        let line: Value = serde_json::from_str(line)?;
        let body = &line["body"];
        let prompt = text(&body["messages"][0]["content"]).len().div_ceil(4) as u64;
        Ok(Request {
            id: text(&line["custom_id"]),
            body: body.to_string(),
            bound: (prompt + body["max_tokens"].as_u64().unwrap_or(0)) as u32,
        })
    });
    let told = |limit: &Value| Told {
        name: text(&limit["name"]),
        quota: limit["quota"].as_u64().unwrap_or(1) as u32,
        window: Duration::from_secs_f64(limit["window"].as_f64().unwrap_or(60.0)),
    };
    Ok(Work {
        url: text(&raw["url"]) + "/v1/chat/completions",
        results: text(&raw["results_file"]),
        requests: requests.collect::<Result<_, Error>>()?,
        limits: raw["limits"]
            .as_array()
            .into_iter()
            .flatten()
            .map(told)
            .collect(),
        concurrency: raw["concurrency"].as_u64().unwrap_or(64) as usize,
    })
}

/// A limiter for each resource, a semaphore, and retries by hand.
async fn governor(work: &Work) -> Vec<Option<(String, u64)>> {
    let limiters: Arc<Vec<(String, Limiter, u32)>> = Arc::new(
        work.limits
            .iter()
            .map(|told| {
                let burst = NonZeroU32::new(told.quota).expect("a quota");
                let quota = Quota::with_period(told.window / told.quota).expect("a period");
                (
                    told.name.clone(),
                    RateLimiter::direct(quota.allow_burst(burst)),
                    told.quota,
                )
            })
            .collect(),
    );
    each(work, move |request| {
        let limiters = Arc::clone(&limiters);
        async move {
            for (name, limiter, quota) in limiters.iter() {
                let cost = if name == "requests" {
                    1
                } else {
                    request.bound.min(*quota)
                };
                let cost = NonZeroU32::new(cost.max(1)).expect("at least 1");
                let _ = limiter.until_n_ready(cost).await;
            }
        }
    })
    .await
}

/// A stack of limits on concurrency and rate; it counts requests alone.
async fn tower(work: &Work) -> Vec<Option<(String, u64)>> {
    let requests = work.limits.iter().find(|it| it.name == "requests");
    let (quota, window) = requests.map_or((u32::MAX, Duration::from_secs(1)), |it| {
        (it.quota, it.window)
    });
    let client = reqwest::Client::new();
    let url = work.url.clone();
    let service = tower::ServiceBuilder::new()
        .buffer(work.concurrency)
        .concurrency_limit(work.concurrency)
        .rate_limit(quota.into(), window)
        .service(tower::service_fn(move |request: Request| {
            let (client, url) = (client.clone(), url.clone());
            async move { send(&client, &url, &request).await }
        }));
    let tasks = work.requests.iter().cloned().map(|request| {
        let mut service = service.clone();
        tokio::spawn(async move {
            for attempt in 0..ATTEMPTS {
                let sent = service
                    .ready()
                    .await
                    .ok()?
                    .call(request.clone())
                    .await
                    .ok()?;
                match sent {
                    Ok(tokens) => return Some((request.id, tokens)),
                    Err(wait) => tokio::time::sleep(wait.unwrap_or(backoff(attempt))).await,
                }
            }
            None
        })
    });
    gather(tasks.collect()).await
}

async fn each<F, W>(work: &Work, before: F) -> Vec<Option<(String, u64)>>
where
    F: Fn(Request) -> W + Send + Sync + 'static,
    W: Future<Output = ()> + Send + 'static,
{
    let (client, gate, before) = (
        reqwest::Client::new(),
        Arc::new(Semaphore::new(work.concurrency)),
        Arc::new(before),
    );
    let tasks = work.requests.iter().cloned().map(|request| {
        let (client, gate, before, url) = (
            client.clone(),
            Arc::clone(&gate),
            Arc::clone(&before),
            work.url.clone(),
        );
        tokio::spawn(async move {
            let _permit = gate.acquire_owned().await.ok()?;
            for attempt in 0..ATTEMPTS {
                before(request.clone()).await;
                match send(&client, &url, &request).await.ok()? {
                    Ok(tokens) => return Some((request.id, tokens)),
                    Err(wait) => tokio::time::sleep(wait.unwrap_or(backoff(attempt))).await,
                }
            }
            None
        })
    });
    gather(tasks.collect()).await
}

async fn gather(
    tasks: Vec<tokio::task::JoinHandle<Option<(String, u64)>>>,
) -> Vec<Option<(String, u64)>> {
    let mut results = Vec::with_capacity(tasks.len());
    for task in tasks {
        results.push(task.await.ok().flatten());
    }
    results
}

/// The tokens of a good answer, or how long a bad one says to wait.
async fn send(
    client: &reqwest::Client,
    url: &str,
    request: &Request,
) -> Result<Result<u64, Option<Duration>>, Error> {
    let head = ("content-type", "application/json");
    let response = client
        .post(url)
        .header(head.0, head.1)
        .body(request.body.clone())
        .send()
        .await?;
    if response.status().is_success() {
        let answer: Value = serde_json::from_slice(&response.bytes().await?)?;
        return Ok(Ok(answer["usage"]["total_tokens"].as_u64().unwrap_or(0)));
    }
    let wait = response
        .headers()
        .get("retry-after")
        .and_then(|it| it.to_str().ok()?.parse::<f64>().ok());
    response.bytes().await?;
    Ok(Err(wait.map(Duration::from_secs_f64)))
}

fn backoff(attempt: u32) -> Duration {
    Duration::from_secs(1 << attempt.min(6))
}

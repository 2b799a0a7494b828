//! The judge of the benchmarks: one API behind HTTP, whose limits may change while it runs.
//!
//! `judge MODEL.toml [--speed N] [--change SECONDS:LIMIT:QUOTA]…` writes its address to standard
//! output and serves until standard input ends. Changes are counted from the first arrival, in
//! seconds of the API's clock.

use rate_limited_sim::ApiModel;
use rate_limited_sim::http::{Dialect, Server};
use std::error::Error;
use std::io::Write;
use std::time::Duration;

#[derive(Clone)]
struct Change {
    at: Duration,
    limit: String,
    quota: u64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let (mut file, mut speed, mut changes) = (None, 1.0, Vec::new());
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or(format!("{arg} needs a value"));
        match arg.as_str() {
            "--speed" => speed = value()?.parse()?,
            "--change" => changes.push(change(&value()?)?),
            _ => file = Some(arg),
        }
    }
    let file = file.ok_or("usage: judge MODEL.toml [--speed N] [--change SECONDS:LIMIT:QUOTA]…")?;
    let model = ApiModel::from_toml(&std::fs::read_to_string(file)?)?;
    tokio::runtime::Runtime::new()?.block_on(serve(model, speed, changes))
}

fn change(text: &str) -> Result<Change, Box<dyn Error>> {
    let parts: Vec<_> = text.split(':').collect();
    let [at, limit, quota] = parts[..] else {
        return Err(format!("`{text}` is no change: write SECONDS:LIMIT:QUOTA").into());
    };
    Ok(Change {
        at: Duration::try_from_secs_f64(at.parse()?)?,
        limit: limit.into(),
        quota: quota.parse()?,
    })
}

async fn serve(model: ApiModel, speed: f64, changes: Vec<Change>) -> Result<(), Box<dyn Error>> {
    let addr = ([127, 0, 0, 1], 0).into();
    let server = Server::start_fast(Dialect::default(), model, addr, speed)?;
    let mut stdout = std::io::stdout();
    writeln!(stdout, "http://{}", server.addr())?;
    stdout.flush()?;
    tokio::select! {
        () = make(&server, speed, &changes) => {}
        _ = tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink())) => {}
    }
    server.shutdown().await;
    Ok(())
}

/// Makes the changes, each in its time; never returns.
async fn make(server: &Server, speed: f64, changes: &[Change]) {
    while server.stats().arrivals == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let start = tokio::time::Instant::now();
    for change in changes {
        tokio::time::sleep_until(start + change.at.div_f64(speed)).await;
        server.set_quota(&change.limit, change.quota);
    }
    std::future::pending::<()>().await;
}

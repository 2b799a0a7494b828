//! What a bare client loop does with the same file: reads lines, sends bodies, writes result lines.

use crate::Error;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Lines, Write};
use std::sync::{Arc, Mutex};

#[derive(Deserialize)]
struct Line<'a> {
    custom_id: &'a str,
    #[serde(borrow)]
    body: &'a RawValue,
}

#[derive(Serialize)]
struct Row<'a> {
    custom_id: &'a str,
    response: Response<'a>,
    error: Option<()>,
}

#[derive(Serialize)]
struct Response<'a> {
    status_code: u16,
    body: &'a RawValue,
}

/// `rivals bare INPUT OUTPUT URL CONCURRENCY`
pub async fn run(args: &[String]) -> Result<(), Error> {
    let [input, output, url, concurrency] = args else {
        return Err("usage: rivals bare INPUT OUTPUT URL CONCURRENCY".into());
    };
    let lines = Arc::new(Mutex::new(BufReader::new(File::open(input)?).lines()));
    let out = Arc::new(Mutex::new(BufWriter::new(File::create(output)?)));
    let client = reqwest::Client::new();
    let workers: Vec<_> = (0..concurrency.parse::<usize>()?)
        .map(|_| {
            tokio::spawn(work(
                client.clone(),
                url.clone(),
                Arc::clone(&lines),
                Arc::clone(&out),
            ))
        })
        .collect();
    for worker in workers {
        worker.await??;
    }
    out.lock().expect("no worker panicked").flush()?;
    Ok(())
}

async fn work(
    client: reqwest::Client,
    url: String,
    lines: Arc<Mutex<Lines<BufReader<File>>>>,
    out: Arc<Mutex<BufWriter<File>>>,
) -> Result<(), Error> {
    loop {
        let Some(text) = lines.lock().expect("no worker panicked").next() else {
            return Ok(());
        };
        let text = text?;
        let line: Line = serde_json::from_str(&text)?;
        let body = line.body.get().to_owned();
        let response = client
            .post(&url)
            .header("content-type", "application/json")
            .body(body)
            .send()
            .await?;
        let status_code = response.status().as_u16();
        let answer = response.bytes().await?;
        let response = Response {
            status_code,
            body: serde_json::from_slice(&answer)?,
        };
        let mut row = serde_json::to_vec(&Row {
            custom_id: line.custom_id,
            response,
            error: None,
        })?;
        row.push(b'\n');
        out.lock().expect("no worker panicked").write_all(&row)?;
    }
}

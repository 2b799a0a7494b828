//! What is sent.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use rate_limited::http::{BuildError, Client, Key};

use super::server::Server;
use super::{builder, reply};

/// A server that answers `{}` to all and remembers what it was sent.
async fn listening() -> (Server, Arc<Mutex<Vec<String>>>) {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let ear = Arc::clone(&heard);
    let server = Server::answering(move |request| {
        ear.lock().unwrap().push(request.to_owned());
        reply(200, "", "{}")
    });
    (server.await, heard)
}

#[tokio::test]
async fn a_request_as_the_server_sees_it() {
    let (server, heard) = listening().await;
    let client = builder(&server)
        .key(Key::new("sk-example-123456\n").unwrap())
        .header("X-Project", "demo")
        .header("accept", "*/*")
        .secret_header("api-key", Key::new("other-secret").unwrap())
        .build()
        .unwrap();
    client
        .post("/v1/chat/completions?a=b", r#"{"model":"m"}"#.into())
        .await
        .unwrap();
    let request = heard.lock().unwrap()[0].to_lowercase();
    for part in [
        "post /v1/chat/completions?a=b http/1.1\r\n",
        "\r\nauthorization: bearer sk-example-123456\r\n",
        "\r\ncontent-type: application/json\r\n",
        "\r\naccept: */*\r\n",
        "\r\naccept-encoding: gzip\r\n",
        "\r\nx-project: demo\r\n",
        "\r\napi-key: other-secret\r\n",
        "\r\ncontent-length: 13\r\n",
        concat!(
            "\r\nuser-agent: rate-limited/",
            env!("CARGO_PKG_VERSION"),
            "\r\n"
        ),
        "\r\n\r\n{\"model\":\"m\"}",
    ] {
        assert!(request.contains(part), "{part:?} is not in {request}");
    }
}

#[tokio::test]
async fn a_get_has_neither_a_body_nor_the_kind_of_one() {
    let (server, heard) = listening().await;
    let client = builder(&server)
        .key(Key::new("sk-example-123456").unwrap())
        .header("X-Project", "demo")
        .build()
        .unwrap();
    let answer = client.get("/repos/o/r/issues?page=2&q=a%20b").await;
    assert_eq!(answer.unwrap().status, 200);
    let request = heard.lock().unwrap()[0].to_lowercase();
    for part in [
        "get /repos/o/r/issues?page=2&q=a%20b http/1.1\r\n",
        "\r\nauthorization: bearer sk-example-123456\r\n",
        "\r\nx-project: demo\r\n",
    ] {
        assert!(request.contains(part), "{part:?} is not in {request}");
    }
    for part in ["content-type", "content-length", "transfer-encoding"] {
        assert!(!request.contains(part), "{part:?} is in {request}");
    }
    assert!(request.ends_with("\r\n\r\n"), "{request}");
}

#[tokio::test]
async fn the_kind_of_a_body_may_be_another_one() {
    let (server, heard) = listening().await;
    let form = "application/x-www-form-urlencoded";
    let client = builder(&server).header("Content-Type", form);
    let client = client.build().unwrap();
    client.post("/", "a=b".into()).await.unwrap();
    let request = heard.lock().unwrap()[0].to_lowercase();
    assert!(
        request.contains(&format!("\r\ncontent-type: {form}\r\n")),
        "{request}"
    );
    assert!(!request.contains("json\r\n\r\n"), "{request}");
}

#[tokio::test]
async fn connections_are_kept_and_shared_by_clones() {
    let (server, _) = listening().await;
    let client = builder(&server).build().unwrap();
    for _ in 0..5 {
        client.clone().post("/", "{}".into()).await.unwrap();
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn hundreds_at_a_time() {
    let (server, heard) = listening().await;
    let client = builder(&server).build().unwrap();
    let mut posts = tokio::task::JoinSet::new();
    for _ in 0..400 {
        let client = client.clone();
        posts.spawn(async move {
            client
                .post("/", "{}".into())
                .await
                .map(|answer| answer.status)
        });
    }
    while let Some(status) = posts.join_next().await {
        assert_eq!(status.unwrap().unwrap(), 200);
    }
    assert_eq!(heard.lock().unwrap().len(), 400);
}

#[tokio::test]
async fn a_dropped_future_closes_its_connection() {
    let (sent, mut closed) = tokio::sync::mpsc::unbounded_channel();
    let server = Server::new(move |mut stream| {
        let sent = sent.clone();
        async move {
            super::server::read_request(&mut stream).await.unwrap();
            let next = super::server::read_request(&mut stream).await;
            sent.send(next.is_none()).unwrap();
        }
    });
    let server = server.await;
    let client = builder(&server).build().unwrap();
    let post = client.post("/", "{}".into());
    tokio::time::timeout(Duration::from_millis(100), post)
        .await
        .unwrap_err();
    let closed = tokio::time::timeout(Duration::from_secs(2), closed.recv()).await;
    assert_eq!(closed, Ok(Some(true)));
}

#[test]
fn bad_builders_say_why_without_secrets() {
    let key = || Key::new("sk-CANARY-123").unwrap();
    let builders = [
        Client::builder("https://user:sk-CANARY-123@h"),
        Client::builder("ftp://h/?k=sk-CANARY-123"),
        Client::builder("https://h").header("a b", "sk-CANARY-123"),
        Client::builder("https://h").header("x", "sk-CANARY-123\r\ny: z"),
        Client::builder("https://h").secret_header("a\nb", key()),
        Client::builder("https://h").header("Content-Length", "5"),
        Client::builder("https://h").root_certificates("sk-CANARY-123"),
    ];
    for builder in builders {
        assert!(!format!("{builder:?}").contains("CANARY"));
        let error: BuildError = builder.key(key()).build().unwrap_err();
        assert!(!format!("{error} {error:?}").contains("CANARY"), "{error}");
    }
}

//! Redirects: only those that keep the request and the origin are followed.

use std::sync::{Arc, Mutex};

use rate_limited::http::{Answer, HttpError, Key};
use rate_limited_core::Class;

use super::server::Server;
use super::{builder, reply};

async fn post_with_key(server: &Server) -> Result<Answer, HttpError> {
    let client = builder(server)
        .key(Key::new("sk-CANARY-123").unwrap())
        .build()
        .unwrap();
    client.post("/0", "{\"a\":1}".into()).await
}

/// A server that sends each path `/n` on to `/n+1`, up to the one given.
async fn chain(status: u16, last: usize) -> Server {
    Server::answering(move |request| {
        let at: usize = request[6..].split(' ').next().unwrap().parse().unwrap();
        assert!(request.starts_with("POST /") && request.ends_with("\r\n\r\n{\"a\":1}"));
        assert!(request.contains("sk-CANARY-123"));
        if at == last {
            reply(200, "", "{}")
        } else {
            reply(
                status,
                &format!("Location: /{}?k=v\r\n", at + 1).replace("?k=v", ""),
                "",
            )
        }
    })
    .await
}

#[tokio::test]
async fn ten_that_keep_the_request_are_followed() {
    for status in [307, 308] {
        let server = chain(status, 10).await;
        assert_eq!(post_with_key(&server).await.unwrap().status, 200);
        let error = post_with_key(&chain(status, 11).await).await.unwrap_err();
        assert_eq!(
            (error.class(), error.code()),
            (Class::Permanent, "redirect")
        );
        assert!(
            error.message().contains("more than 10 redirects"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_get_follows_each_kind_within_its_origin() {
    for status in [301, 302, 303, 307, 308] {
        let server = Server::answering(move |request| {
            assert!(request.starts_with("GET /") && request.ends_with("\r\n\r\n"));
            if request.starts_with("GET /old?page=2 ") {
                reply(status, "Location: /new?page=2\r\n", "")
            } else {
                reply(200, "", "{\"new\":1}")
            }
        })
        .await;
        let client = builder(&server).build().unwrap();
        let answer = client.get("/old?page=2").await.unwrap();
        assert_eq!(&answer.body[..], b"{\"new\":1}", "{status}");
    }
    let away = Server::exact(reply(301, "Location: https://elsewhere.example/\r\n", "")).await;
    let client = builder(&away).build().unwrap();
    let error = client.get("/").await.unwrap_err();
    assert_eq!(
        (error.class(), error.code()),
        (Class::Permanent, "redirect")
    );
    assert!(error.message().contains("another origin"), "{error}");
}

#[tokio::test]
async fn a_post_is_never_turned_into_a_get() {
    for status in [301, 302, 303] {
        let error = post_with_key(&chain(status, 1).await).await.unwrap_err();
        assert_eq!(
            (error.class(), error.code()),
            (Class::Permanent, "redirect")
        );
        assert!(error.message().contains("/1 by a"), "{error}");
    }
}

#[tokio::test]
async fn another_origin_never_hears_of_us() {
    let heard = Arc::new(Mutex::new(0));
    let ear = Arc::clone(&heard);
    let stranger = Server::answering(move |_| {
        *ear.lock().unwrap() += 1;
        reply(200, "", "{}")
    })
    .await;
    for status in [301, 307, 308] {
        let location = format!(
            "Location: http://u:sk-SECRET@127.0.0.1:{}/p?key=sk-SECRET\r\n",
            stranger.port()
        );
        let server = Server::exact(reply(status, &location, "")).await;
        let error = post_with_key(&server).await.unwrap_err();
        assert_eq!(
            (error.class(), error.code()),
            (Class::Permanent, "redirect")
        );
        assert!(
            error.message().contains(&format!("{}/p", stranger.url())),
            "{error}"
        );
        assert!(!format!("{error} {error:?}").contains("SECRET"), "{error}");
    }
    assert_eq!((*heard.lock().unwrap(), stranger.connections()), (0, 0));
}

#[tokio::test]
async fn useless_addresses() {
    for location in [
        "",
        "Location: \r\n",
        "Location: http://[bad\r\n",
        "Location: \u{1}\r\n",
        "Location: data:x\r\n",
        "Location: http://u:p@\r\n",
    ] {
        let error = post_with_key(&Server::exact(reply(307, location, "")).await)
            .await
            .unwrap_err();
        assert!(
            matches!(error.class(), Class::Permanent | Class::Failure),
            "{location:?}: {error}"
        );
    }
}

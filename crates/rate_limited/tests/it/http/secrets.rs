//! A key never comes back out, wherever a server puts it.

use rate_limited::http::{HttpError, Key};
use rate_limited_core::Class;

use super::server::Server;
use super::{builder, reply};

const KEY: &str = "sk-CANARY+/0123456789";
const CANARIES: [&str; 3] = [
    KEY,
    "sk-CANARY%2B%2F0123456789",
    "c2stQ0FOQVJZKy8wMTIzNDU2Nzg5",
];

/// A server that puts the key of each request into its answer, wherever `{}` stands.
async fn echo(template: &'static str, status: u16) -> Server {
    Server::answering(move |request| {
        assert!(request.contains(KEY));
        let all = CANARIES.join(" and ");
        let body = template.replace("{}", &all);
        reply(status, &format!("x-request-id: {all}\r\n"), body)
    })
    .await
}

fn assert_clean(text: &str) {
    for canary in CANARIES {
        assert!(!text.contains(canary), "{text}");
    }
}

fn assert_error_clean(error: &HttpError) {
    assert_clean(&format!("{error} {error:?} {error:#?}"));
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        assert_clean(&format!("{cause} {cause:?}"));
        source = cause.source();
    }
    let answer = error.answer().unwrap();
    assert_clean(&String::from_utf8_lossy(&answer.body));
    assert_clean(&format!("{answer:?} {:?}", answer.request_id));
}

#[tokio::test]
async fn echoes_are_masked() {
    for (template, status) in [
        (
            r#"{"error":{"message":"bad key {}","code":"{}","type":"{}"}}"#,
            401,
        ),
        (r#"{"error":"{}"}"#, 400),
        ("<html>{}</html>", 500),
        ("text {}", 404),
        ("text {}", 200),
        (r#"{"error":{"message":"{}"}}"#, 200),
    ] {
        let server = echo(template, status).await;
        let client = builder(&server)
            .key(Key::new(KEY).unwrap())
            .build()
            .unwrap();
        assert_clean(&format!("{client:?}"));
        assert_error_clean(&client.post("/", "{}".into()).await.unwrap_err());
    }
}

#[tokio::test]
async fn even_a_good_answer_does_not_hold_the_key() {
    let server = echo(r#"{"headers":"{}"}"#, 200).await;
    let client = builder(&server)
        .secret_header("api-key", Key::new(KEY).unwrap())
        .build()
        .unwrap();
    let answer = client.post("/", "{}".into()).await.unwrap();
    assert_eq!(answer.body, r#"{"headers":"*** and *** and ***"}"#);
    assert_clean(&format!("{answer:?} {:?}", answer.request_id));
}

#[tokio::test]
async fn queries_are_not_shown() {
    let error = rate_limited::http::Client::builder(format!("http://127.0.0.1:1/x?key={KEY}"))
        .proxy_from_env(false)
        .build()
        .unwrap()
        .post("/y?token=sk-CANARY+/0123456789", "{}".into())
        .await
        .unwrap_err();
    assert_eq!(error.class(), Class::NotSent);
    let source = std::error::Error::source(&error).unwrap();
    assert_clean(&format!("{error} {error:?} {source} {source:?}"));
}

#[tokio::test]
async fn a_key_in_which_an_answer_breaks_off_is_masked() {
    for status in [200, 401, 500] {
        for canary in CANARIES {
            for left in [4, 10, canary.len() - 1] {
                let whole = reply(status, "", format!("the key {canary}"));
                let server = Server::exact(&whole[..whole.len() - canary.len() + left]).await;
                let client = builder(&server)
                    .key(Key::new(KEY).unwrap())
                    .build()
                    .unwrap();
                let error = client.post("/", "{}".into()).await.unwrap_err();
                assert_eq!(
                    error.answer().unwrap().body,
                    "the key ***",
                    "{status} {left}"
                );
                assert!(
                    !format!("{error} {error:?}").contains(&canary[..4]),
                    "{error}"
                );
            }
        }
    }
}

//! TLS that does not hold: certificates, ends without a word, garbage.

use rate_limited::http::{Client, HttpError, Key};
use rate_limited_core::Class;

use super::fault_server::{CERTIFICATE, FaultServer, Step};
use super::reply;

const EXPIRED: &[u8] = include_bytes!("expired.cert.pem");
const CANARY: &str = "sk-CANARY-0123456789";

async fn post(url: String, roots: &[u8]) -> Result<bytes::Bytes, HttpError> {
    let client = Client::builder(url)
        .key(Key::new(CANARY).unwrap())
        .root_certificates(roots)
        .proxy_from_env(false)
        .build()
        .unwrap();
    let answer = client.post(&format!("/?k={CANARY}"), "{}".into()).await;
    if let Err(error) = &answer {
        let mut causes = vec![format!("{error} {error:?}")];
        let mut below = std::error::Error::source(error);
        while let Some(cause) = below {
            causes.push(format!("{cause} {cause:?}"));
            below = cause.source();
        }
        assert!(!causes.concat().contains("CANARY"), "{causes:?}");
    }
    answer.map(|answer| answer.body)
}

#[tokio::test]
async fn a_certificate_is_refused_with_its_reason_and_gets_no_key() {
    for (certificate, host, reason) in [
        (EXPIRED, "localhost", "expired"),
        (CERTIFICATE, "127.0.0.1", "not valid for name"),
    ] {
        let server = FaultServer::start(vec![vec![Step::Read]], Some(certificate)).await;
        let url = format!("https://{host}:{}", server.address.port());
        let error = post(url, certificate).await.unwrap_err();
        assert_eq!(
            (error.class(), error.code()),
            (Class::Fatal, "connection"),
            "{error}"
        );
        assert!(error.message().contains("is not trusted"), "{error}");
        assert!(error.message().contains(reason), "{error}");
        assert_eq!(server.requests(), 0);
    }
}

#[tokio::test]
async fn an_end_without_a_word_is_no_end() {
    let bare = b"HTTP/1.1 200 OK\r\n\r\n{\"n\":1}".to_vec();
    // Where only the end of the connection tells the length, TLS has to say that it ends.
    for (steps, is_good) in [
        (
            vec![Step::Send(bare.clone()), Step::HalfClose, Step::Stall],
            true,
        ),
        (vec![Step::Send(bare)], false),
        (vec![Step::Send(reply(200, "", r#"{"n":1}"#))], true),
    ] {
        let script = [vec![Step::Read], steps].concat();
        let server = FaultServer::start(vec![script], Some(CERTIFICATE)).await;
        match post(server.url(), CERTIFICATE).await {
            Ok(body) => assert!(is_good && body == r#"{"n":1}"#),
            Err(error) => {
                assert!(!is_good, "{error}");
                assert_eq!(
                    (error.class(), error.code()),
                    (Class::Failure, "connection")
                );
            }
        }
    }
}

#[tokio::test]
async fn garbage_instead_of_a_handshake_is_no_request() {
    let hello = [&[0x16, 3, 3, 0x40, 0][..], &[2; 0x400]].concat();
    for bytes in [
        vec![0; 100],
        reply(400, "", "no TLS here"),
        hello,
        // An alert: handshake failure; and one that asks for another handshake.
        vec![0x15, 3, 3, 0, 2, 2, 40],
        vec![0x15, 3, 3, 0, 2, 1, 100],
        vec![0x16, 3, 3, 0xff, 0xff],
    ] {
        let script = vec![Step::Send(bytes), Step::HalfClose, Step::Stall];
        let server = FaultServer::start(vec![script], None).await;
        let url = server.url().replace("http:", "https:");
        let error = post(url, CERTIFICATE).await.unwrap_err();
        assert_eq!(error.class(), Class::NotSent, "{error}");
    }
}

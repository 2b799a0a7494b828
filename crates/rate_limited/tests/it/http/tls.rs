//! Whom the client trusts.

use std::env;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Command;
use std::sync::Arc;
use std::thread;

use rate_limited::http::{Answer, Client, HttpError};
use rate_limited_core::Class;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::reply;
use super::server::Server;

/// A certificate for `localhost`, signed by itself.
const CERTIFICATE: &[u8] = include_bytes!("localhost.cert.pem");
const KEY: &[u8] = include_bytes!("localhost.key.pem");

/// A TLS server that answers `{}` to one request of each connection.
fn serve() -> u16 {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(CERTIFICATE).unwrap()],
            PrivateKeyDer::from_pem_slice(KEY).unwrap(),
        )
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = StreamOwned::new(connection, stream.unwrap());
            // A client that does not trust us hangs up here.
            if stream.read(&mut [0; 4096]).is_ok() {
                let _ = stream.write_all(&reply(200, "Connection: close\r\n", "{}"));
                stream.conn.send_close_notify();
                let _ = stream.flush();
            }
        }
    });
    port
}

async fn post(url: String, roots: &[u8]) -> Result<Answer, HttpError> {
    let client = Client::builder(url).proxy_from_env(false);
    let client = if roots.is_empty() {
        client
    } else {
        client.root_certificates(roots)
    };
    client.build().unwrap().post("/", "{}".into()).await
}

#[tokio::test]
async fn trust() {
    let port = serve();
    let answer = post(format!("https://localhost:{port}"), CERTIFICATE)
        .await
        .unwrap();
    assert_eq!(answer.body, "{}");
    // Signed by nobody we know, and for another name.
    for (host, roots) in [("localhost", &[][..]), ("127.0.0.1", CERTIFICATE)] {
        let error = post(format!("https://{host}:{port}"), roots)
            .await
            .unwrap_err();
        assert_eq!(
            (error.class(), error.code()),
            (Class::Fatal, "connection"),
            "{error}"
        );
        assert!(
            error
                .message()
                .contains("is not trusted: invalid peer certificate"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_server_without_tls_is_no_server() {
    let plain = Server::new(|mut stream| async move {
        stream
            .write_all(&reply(400, "", "no TLS here"))
            .await
            .unwrap();
        let _ = stream.read(&mut [0; 4096]).await;
    })
    .await;
    let error = post(format!("https://127.0.0.1:{}", plain.port()), &[])
        .await
        .unwrap_err();
    assert_eq!(error.class(), Class::NotSent, "{error}");
    let closing = Server::new(|stream| async move { drop(stream) }).await;
    let error = post(format!("https://127.0.0.1:{}", closing.port()), &[])
        .await
        .unwrap_err();
    assert_eq!(error.class(), Class::NotSent, "{error}");
}

const CHILD: &str = "RATE_LIMITED_TEST_NO_ROOTS";

#[test]
fn roots_that_are_named_but_missing_are_an_error() {
    // The environment is of the whole process, so that the test needs one of its own.
    let child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "http::tls::child", "--nocapture"])
        .env("SSL_CERT_FILE", "/no/such/file")
        .env_remove("SSL_CERT_DIR")
        .env(CHILD, "1")
        .output()
        .unwrap();
    let output = String::from_utf8_lossy(&child.stdout);
    assert!(
        child.status.success() && output.contains("1 passed"),
        "{output}"
    );
}

/// The part of the test above that runs in a process of its own.
#[test]
fn child() {
    if env::var_os(CHILD).is_none() {
        return;
    }
    let error = Client::builder("https://localhost").build().unwrap_err();
    assert!(error.to_string().contains("SSL_CERT_FILE"), "{error}");
    assert!(Client::builder("http://localhost").build().is_ok());
}

//! The HTTP executor against servers that err in every way they can.

mod classes;
mod fault_server;
mod faults;
mod files;
mod hostile;
mod http2;
mod proxy;
mod redirects;
mod requests;
mod secrets;
mod server;
mod tls;
mod tls_faults;

use bytes::Bytes;
use rate_limited::http::{Answer, Client, ClientBuilder, HttpError};
use server::Server;

/// A builder for a test server, deaf to the proxies of the machine that runs the tests.
fn builder(server: &Server) -> ClientBuilder {
    Client::builder(server.url()).proxy_from_env(false)
}

async fn post_to(server: &Server) -> Result<Answer, HttpError> {
    builder(server)
        .build()
        .unwrap()
        .post("/v1/chat/completions", Bytes::from("{}"))
        .await
}

/// What one exact answer comes out as.
async fn post_for(reply: impl Into<Vec<u8>>) -> Result<Answer, HttpError> {
    post_to(&Server::exact(reply).await).await
}

/// An answer with this status line, headers and body.
fn reply(status: u16, headers: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let length = body.len();
    let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {length}\r\n{headers}\r\n");
    [head.as_bytes(), body].concat()
}

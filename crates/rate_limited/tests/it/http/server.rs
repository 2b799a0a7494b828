//! A server that sends exactly the bytes it is told to.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Serves until the runtime of its test ends.
pub(super) struct Server {
    address: SocketAddr,
    connections: Arc<Mutex<usize>>,
}

impl Server {
    /// Hands each connection to `serve`.
    pub(super) async fn new<F>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> Server
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(Mutex::new(0));
        let counted = Arc::clone(&connections);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                *counted.lock().unwrap() += 1;
                tokio::spawn(serve(stream));
            }
        });
        Server {
            address,
            connections,
        }
    }

    /// Answers one request of each connection with these bytes, and closes it.
    pub(super) async fn exact(reply: impl Into<Vec<u8>>) -> Server {
        let reply = Arc::new(reply.into());
        Server::new(move |mut stream| {
            let reply = Arc::clone(&reply);
            async move {
                if read_request(&mut stream).await.is_some() {
                    // The client may have cut the answer off.
                    let _ = stream.write_all(&reply).await;
                    let _ = stream.shutdown().await;
                    let _ = stream.read(&mut [0]).await;
                }
            }
        })
        .await
    }

    /// Answers all requests of each connection with what `answer` makes of them.
    pub(super) async fn answering(
        answer: impl Fn(&str) -> Vec<u8> + Clone + Send + Sync + 'static,
    ) -> Server {
        Server::new(move |mut stream| {
            let answer = answer.clone();
            async move {
                while let Some(request) = read_request(&mut stream).await {
                    if stream.write_all(&answer(&request)).await.is_err() {
                        break;
                    }
                }
            }
        })
        .await
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn port(&self) -> u16 {
        self.address.port()
    }

    pub(super) fn connections(&self) -> usize {
        *self.connections.lock().unwrap()
    }
}

/// The next request, head and body, as text.
pub(super) async fn read_request(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        if let Some(length) = length_of(&bytes)
            && bytes.len() >= length
        {
            return Some(String::from_utf8_lossy(&bytes).into_owned());
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}

pub(super) fn length_of(bytes: &[u8]) -> Option<usize> {
    let text = String::from_utf8_lossy(bytes).to_lowercase();
    let head = text.find("\r\n\r\n")? + 4;
    let length = text
        .split("content-length: ")
        .nth(1)
        .map_or("0", |rest| rest.lines().next().unwrap());
    Some(head + length.parse::<usize>().unwrap())
}

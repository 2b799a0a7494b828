//! Names that are unknown, slow, or lead nowhere. The look-up is the system's otherwise, so that only a test
//! inside the crate can stand in for it.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rate_limited_core::Class;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use super::{Client, HttpError};

/// What the look-up of a name brings, the number-th time.
type Look = dyn Fn(usize) -> Option<Vec<SocketAddr>> + Send + Sync;

#[derive(Clone)]
pub(super) struct Resolver {
    look: Arc<Look>,
    takes: Duration,
    looked: Arc<AtomicUsize>,
}

impl Resolver {
    fn new(look: impl Fn(usize) -> Option<Vec<SocketAddr>> + Send + Sync + 'static) -> Resolver {
        Resolver {
            look: Arc::new(look),
            takes: Duration::ZERO,
            looked: Arc::default(),
        }
    }
}

impl Resolve for Resolver {
    fn resolve(&self, _: Name) -> Resolving {
        let found = (self.look)(self.looked.fetch_add(1, Ordering::SeqCst));
        let takes = self.takes;
        Box::pin(async move {
            tokio::time::sleep(takes).await;
            let found = found.ok_or_else(|| std::io::Error::other("no such name"))?;
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

fn client(resolver: Resolver) -> Client {
    let builder = Client::builder("http://api.example/v1").proxy_from_env(false);
    let builder = builder.connect_timeout(Duration::from_millis(800));
    builder.resolver(resolver).build().unwrap()
}

async fn post(client: &Client) -> Result<(), HttpError> {
    client.post("/", "{}".into()).await.map(drop)
}

/// A server that answers each connection once, and where it is.
async fn honest() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let _ = stream.read(&mut [0; 4096]).await;
                let answer = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}";
                let _ = stream.write_all(answer).await;
            });
        }
    });
    address
}

/// An address that takes no more connections, and says nothing of it; what keeps it so lives as long.
async fn black_hole(address: SocketAddr) -> Option<(SocketAddr, TcpListener, Vec<TcpStream>)> {
    let socket = if address.is_ipv6() {
        TcpSocket::new_v6()
    } else {
        TcpSocket::new_v4()
    };
    let socket = socket.ok()?;
    socket.bind(address).ok()?;
    let listener = socket.listen(1).ok()?;
    let address = listener.local_addr().ok()?;
    let mut waiting = Vec::new();
    let patience = Duration::from_millis(50);
    while let Ok(stream) = tokio::time::timeout(patience, TcpStream::connect(address)).await {
        waiting.push(stream.ok()?);
    }
    Some((address, listener, waiting))
}

#[tokio::test]
async fn an_unknown_name_is_not_sent() {
    let error = post(&client(Resolver::new(|_| None))).await.unwrap_err();
    assert_eq!(
        (error.class(), error.code()),
        (Class::NotSent, "connection")
    );
    assert!(error.message().contains("no such name"), "{error}");
}

#[tokio::test]
async fn a_slow_look_up_ends_with_the_connect_timeout() {
    let server = honest().await;
    let mut resolver = Resolver::new(move |_| Some(vec![server]));
    resolver.takes = Duration::from_secs(30);
    let started = Instant::now();
    let error = post(&client(resolver)).await.unwrap_err();
    assert_eq!(
        (error.class(), error.code()),
        (Class::NotSent, "timeout"),
        "{error}"
    );
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_name_that_moves_is_looked_up_again() {
    let server = honest().await;
    // Nobody listens at port 1.
    let gone = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
    let client = client(Resolver::new(move |number| {
        Some(vec![if number == 0 { gone } else { server }])
    }));
    assert_eq!(post(&client).await.unwrap_err().class(), Class::NotSent);
    assert!(post(&client).await.is_ok());
}

#[tokio::test]
#[cfg(target_os = "linux")]
async fn an_address_that_swallows_all_does_not_hide_the_other_one() {
    let server = honest().await;
    let Some((hole, _listener, _waiting)) = black_hole((Ipv6Addr::LOCALHOST, 0).into()).await
    else {
        eprintln!("skipped: there is no IPv6 here");
        return;
    };
    let started = Instant::now();
    let both = client(Resolver::new(move |_| Some(vec![hole, server])));
    assert!(post(&both).await.is_ok());
    assert!(started.elapsed() < Duration::from_secs(5));
    let alone = client(Resolver::new(move |_| Some(vec![hole])));
    let error = post(&alone).await.unwrap_err();
    assert_eq!(
        (error.class(), error.code()),
        (Class::NotSent, "timeout"),
        "{error}"
    );
}

//! A server that does to each connection what a script says.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// A certificate for `localhost`, signed by itself.
pub(super) const CERTIFICATE: &[u8] = include_bytes!("localhost.cert.pem");
const KEY: &[u8] = include_bytes!("localhost.key.pem");

/// What is done to a connection; after the last step it is closed.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// Reads one request, head and body.
    Read,
    /// Reads so many bytes, and leaves the rest where it is.
    ReadBytes(usize),
    Send(Vec<u8>),
    /// Sends byte by byte, one each so often, from the start again at the end.
    Trickle(&'static [u8], Duration),
    /// Sends this again and again until the other side has had enough.
    Endless(Vec<u8>),
    Wait(Duration),
    /// Does nothing until the other side hangs up.
    Stall,
    /// Closes the sending half; what comes is still read.
    HalfClose,
    /// Closes with a reset (`RST`) instead of an end (`FIN`).
    Reset,
}

pub(super) type Script = Vec<Step>;

/// What came to a server.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) connections: AtomicUsize,
    /// Whole requests.
    pub(super) requests: AtomicUsize,
    pub(super) bytes_sent: AtomicUsize,
}

/// Serves until the runtime of its test ends.
pub(super) struct FaultServer {
    pub(super) address: SocketAddr,
    pub(super) seen: Arc<Seen>,
    scheme: &'static str,
}

impl FaultServer {
    /// Does the first script to the first connection, and so on; the last one to all further ones.
    pub(super) async fn start(scripts: Vec<Script>, tls: Option<&'static [u8]>) -> FaultServer {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Seen::default());
        let told = Arc::clone(&seen);
        let acceptor = tls.map(|certificate| TlsAcceptor::from(tls_config(certificate, &[])));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let number = told.connections.fetch_add(1, Ordering::SeqCst);
                let script = scripts[number.min(scripts.len() - 1)].clone();
                let (seen, acceptor) = (Arc::clone(&told), acceptor.clone());
                tokio::spawn(async move {
                    // The client may hang up at any moment.
                    let _ = match acceptor {
                        None => play(stream, &script, &seen).await,
                        Some(acceptor) => match acceptor.accept(stream).await {
                            Ok(stream) => play(stream, &script, &seen).await,
                            Err(error) => Err(error),
                        },
                    };
                });
            }
        });
        let scheme = if tls.is_some() { "https" } else { "http" };
        FaultServer {
            address,
            seen,
            scheme,
        }
    }

    pub(super) fn url(&self) -> String {
        // The certificate is for this name.
        format!("{}://localhost:{}", self.scheme, self.address.port())
    }

    pub(super) fn requests(&self) -> usize {
        self.seen.requests.load(Ordering::SeqCst)
    }
}

/// The TLS of a server with this certificate, which speaks these protocols.
pub(super) fn tls_config(certificate: &[u8], protocols: &[&str]) -> Arc<ServerConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(certificate).unwrap()],
            PrivateKeyDer::from_pem_slice(KEY).unwrap(),
        )
        .unwrap();
    config.alpn_protocols = protocols.iter().map(|&name| name.into()).collect();
    Arc::new(config)
}

/// A connection with TLS or without.
trait Wire: AsyncRead + AsyncWrite + Unpin + Send {
    fn tcp(&self) -> &TcpStream;
}

impl Wire for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }
}

impl Wire for TlsStream<TcpStream> {
    fn tcp(&self) -> &TcpStream {
        self.get_ref().0
    }
}

async fn play(mut wire: impl Wire, script: &Script, seen: &Seen) -> io::Result<()> {
    for step in script {
        match step {
            Step::Read => {
                read_request(&mut wire).await?;
                seen.requests.fetch_add(1, Ordering::SeqCst);
            }
            Step::ReadBytes(count) => {
                wire.read_exact(&mut vec![0; *count]).await?;
            }
            Step::Send(bytes) => send(&mut wire, bytes, seen).await?,
            Step::Trickle(bytes, pause) => {
                for byte in bytes.iter().cycle() {
                    send(&mut wire, &[*byte], seen).await?;
                    tokio::time::sleep(*pause).await;
                }
            }
            Step::Endless(bytes) => loop {
                send(&mut wire, bytes, seen).await?;
            },
            Step::Wait(time) => tokio::time::sleep(*time).await,
            Step::Stall => while wire.read(&mut [0; 4096]).await? > 0 {},
            Step::HalfClose => wire.shutdown().await?,
            Step::Reset => {
                wire.tcp().set_zero_linger()?;
                return Ok(());
            }
        }
    }
    Ok(())
}

async fn send(wire: &mut impl Wire, bytes: &[u8], seen: &Seen) -> io::Result<()> {
    wire.write_all(bytes).await?;
    wire.flush().await?;
    seen.bytes_sent.fetch_add(bytes.len(), Ordering::Relaxed);
    Ok(())
}

async fn read_request(wire: &mut impl Wire) -> io::Result<()> {
    let mut bytes = Vec::new();
    while super::server::length_of(&bytes).is_none_or(|length| bytes.len() < length) {
        if wire.read_buf(&mut bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(())
}

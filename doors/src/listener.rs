//! A bound address and the connections that arrive at it: TCP, TLS or a unix socket, behind one type.

use std::{
    fs, io,
    net::SocketAddr,
    os::unix::fs::{FileTypeExt, PermissionsExt},
    path::{Path, PathBuf},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream, UnixListener, UnixSocket, UnixStream},
    sync::{Semaphore, mpsc},
};
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;

use crate::{address::Address, fatal::Fatal, tls::DoorTls};

/// How long a TLS handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// How many handshakes may be in progress: a client that never finishes one holds a place for [`HANDSHAKE`] at most.
const HANDSHAKES: usize = 256;
/// How long to wait when accepting fails (no file descriptors left): connections wait in the kernel meanwhile.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What protects the doors that only Envoy and the operator may use (S2).
#[derive(Debug, Clone, Copy, Default)]
pub struct Protection {
    /// Whether mutual TLS is configured.
    pub tls: bool,
    /// `--allow-plaintext`.
    pub allow_plaintext: bool,
}

impl Protection {
    /// Refuses an address that others reach, unless mutual TLS or the operator's own word covers it (S2).
    ///
    /// # Errors
    /// Usage (status 2), naming the flag and the address.
    pub fn check(&self, flag: &str, address: &Address) -> Result<(), Fatal> {
        if address.is_private() || self.tls || self.allow_plaintext {
            return Ok(());
        }
        Err(Fatal::usage(format!(
            "{flag} {address}: others than this machine can connect there. Use loopback or unix:PATH, or TLS with a listed client name \
             (--grpc-tls-cert, --grpc-tls-key, --grpc-tls-client-ca, --grpc-tls-client-name), or say --allow-plaintext (S2)"
        )))
    }
}

/// A bound address.
#[derive(Debug)]
pub struct Listener {
    kind: Kind,
    tls: Option<DoorTls>,
}

#[derive(Debug)]
enum Kind {
    Tcp(TcpListener),
    // In this order, so that the file goes first: once the listener is closed another process may take the path, and its file is not ours.
    Unix(SocketFile, UnixListener),
}

impl Listener {
    /// Binds an address; with `tls`, what is not a unix socket speaks TLS.
    ///
    /// # Errors
    /// The address is in use or cannot be bound, naming it.
    pub async fn bind(address: &Address, tls: Option<DoorTls>) -> Result<Self, Fatal> {
        let failed = |why: io::Error| Fatal::failed(format!("cannot listen on {address}: {why}"));
        Ok(match address {
            Address::Tcp(address) => Self { kind: Kind::Tcp(TcpListener::bind(address).await.map_err(failed)?), tls },
            Address::Unix(path) => {
                let (file, listener) = bind_unix(path).map_err(failed)?;
                Self { kind: Kind::Unix(file, listener), tls: None }
            }
        })
    }

    /// Where it really listens (port 0 has become a port).
    ///
    /// # Errors
    /// The kernel does not say.
    pub fn address(&self) -> Result<Address, Fatal> {
        match &self.kind {
            Kind::Tcp(listener) => listener.local_addr().map(Address::Tcp).map_err(|why| Fatal::failed(why.to_string())),
            Kind::Unix(file, _) => Ok(Address::Unix(file.0.clone())),
        }
    }

    /// The connections, until the stream is dropped: then the address is closed, and a unix socket's file removed. It never ends on an
    /// error of one connection.
    #[must_use]
    pub fn incoming(self) -> ReceiverStream<io::Result<Conn>> {
        let (sender, receiver) = mpsc::channel(16);
        tokio::spawn(async move {
            let handshakes = Arc::new(Semaphore::new(HANDSHAKES));
            loop {
                let accepted = tokio::select! {
                    () = sender.closed() => return,
                    accepted = self.accept() => accepted,
                };
                match (accepted, &self.tls) {
                    (Err(error), _) => {
                        tracing::warn!(error = %error, "cannot accept a connection");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                    (Ok(Conn::Tcp(stream)), Some(tls)) => {
                        let Ok(place) = Arc::clone(&handshakes).acquire_owned().await else { return };
                        let (acceptor, sender) = (tls.acceptor(), sender.clone());
                        tokio::spawn(async move {
                            let done = tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await;
                            drop(place);
                            match done {
                                Ok(Ok(stream)) => drop(sender.send(Ok(Conn::Tls(Box::new(stream)))).await),
                                Ok(Err(error)) => tracing::info!(error = %error, "refused a TLS client"),
                                Err(_) => tracing::info!("a TLS client did not finish its handshake"),
                            }
                        });
                    }
                    (Ok(conn), _) => {
                        if sender.send(Ok(conn)).await.is_err() {
                            return;
                        }
                    }
                }
            }
        });
        ReceiverStream::new(receiver)
    }

    async fn accept(&self) -> io::Result<Conn> {
        match &self.kind {
            Kind::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                // A decision is one small frame: it must not wait for a full segment.
                let _ = stream.set_nodelay(true);
                Ok(Conn::Tcp(stream))
            }
            Kind::Unix(_, listener) => listener.accept().await.map(|(stream, _)| Conn::Unix(stream)),
        }
    }
}

/// Binds a unix socket that its owner and group alone may open. A socket that nobody listens on any more (a process that was killed) is
/// replaced; one in use, and a file that is no socket, is not.
fn bind_unix(path: &Path) -> io::Result<(SocketFile, UnixListener)> {
    if let Ok(found) = fs::symlink_metadata(path) {
        if !found.file_type().is_socket() {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "the path is taken by something that is no socket"));
        }
        match std::os::unix::net::UnixStream::connect(path) {
            Err(why) if why.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path)?,
            Err(why) => return Err(why),
            Ok(_) => return Err(io::Error::new(io::ErrorKind::AddrInUse, "another process listens on this socket")),
        }
    }
    let socket = UnixSocket::new_stream()?;
    socket.bind(path)?;
    let file = SocketFile(path.to_path_buf());
    // Between bind and listen nobody can connect: there is no moment at which the socket is open to all.
    fs::set_permissions(path, fs::Permissions::from_mode(0o660))?;
    Ok((file, socket.listen(1024)?))
}

/// The file of a unix socket, removed with its listener.
#[derive(Debug)]
struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// A connection, whatever it runs over.
#[derive(Debug)]
pub enum Conn {
    /// Plain TCP.
    Tcp(TcpStream),
    /// A unix socket.
    Unix(UnixStream),
    /// TLS whose client certificate was checked.
    Tls(Box<TlsStream<TcpStream>>),
}

impl tonic::transport::server::Connected for Conn {
    type ConnectInfo = Option<SocketAddr>;

    fn connect_info(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(stream) => stream.peer_addr().ok(),
            Self::Tls(stream) => stream.get_ref().0.peer_addr().ok(),
            Self::Unix(_) => None,
        }
    }
}

macro_rules! each {
    ($self:expr, $stream:ident => $call:expr) => {
        match $self.get_mut() {
            Conn::Tcp($stream) => $call,
            Conn::Unix($stream) => $call,
            Conn::Tls($stream) => $call,
        }
    };
}

impl AsyncRead for Conn {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        each!(self, stream => Pin::new(stream).poll_read(cx, buf))
    }
}

impl AsyncWrite for Conn {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        each!(self, stream => Pin::new(stream).poll_write(cx, buf))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, stream => Pin::new(stream).poll_shutdown(cx))
    }

    fn poll_write_vectored(self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        each!(self, stream => Pin::new(stream).poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Tcp(stream) => stream.is_write_vectored(),
            Self::Unix(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }
}

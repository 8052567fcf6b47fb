//! How the nodes of one store are spoken to: who we are to them, and TLS. One dialer serves every node that a store turns out to have.

mod bounded;
mod tls;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use futures::{FutureExt as _, future::select_ok};
use redis::{AsyncConnectionConfig, ErrorKind, RedisConnectionInfo, RedisError, aio::MultiplexedConnection};
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use secrecy::ExposeSecret as _;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream, lookup_host},
    time::timeout,
};
use tokio_rustls::TlsConnector;

use self::bounded::Bounded;
pub use self::tls::TlsFiles;
use super::address::{HostPort, Login};

/// Makes nodes that can be connected to.
#[derive(Clone)]
pub(super) struct Dialer {
    settings: RedisConnectionInfo,
    /// Absent: plaintext.
    tls: Option<Arc<ClientConfig>>,
}

/// A server, and how to speak to it.
pub(super) struct Node {
    place: Place,
    dialer: Dialer,
}

enum Place {
    Host(HostPort),
    Socket(PathBuf),
}

impl Dialer {
    /// Reads the files.
    ///
    /// # Errors
    /// When they are not what they should be.
    pub(super) fn new(login: &Login, database: i64, tls: Option<&TlsFiles>) -> Result<Self, tls::Unusable> {
        let mut settings = RedisConnectionInfo::default().set_db(database);
        if let Some(user) = &login.user {
            settings = settings.set_username(user);
        }
        if let Some(password) = &login.password {
            settings = settings.set_password(password.expose_secret());
        }
        let tls = tls.map(TlsFiles::config).transpose()?.map(Arc::new);
        Ok(Self { settings, tls })
    }

    /// A node at an address.
    pub(super) fn node(&self, node: &HostPort) -> Node {
        Node { place: Place::Host(node.clone()), dialer: self.clone() }
    }

    /// A server on a unix socket.
    pub(super) fn socket(&self, path: &Path) -> Node {
        Node { place: Place::Socket(path.to_owned()), dialer: self.clone() }
    }
}

impl Node {
    /// Connects and says who we are. Connecting, and each answer after that, may take so long.
    pub(super) async fn connect(&self, within: Duration) -> Result<MultiplexedConnection, RedisError> {
        let connecting = async {
            match &self.place {
                Place::Socket(path) => self.speak(UnixStream::connect(path).await?, within).await,
                Place::Host(node) => {
                    let stream = reach(node).await?;
                    match &self.dialer.tls {
                        None => self.speak(stream, within).await,
                        Some(tls) => {
                            let name = ServerName::try_from(node.host.to_string());
                            let name = name.map_err(|_| RedisError::from((ErrorKind::InvalidClientConfig, "no name for a certificate")))?;
                            self.speak(TlsConnector::from(Arc::clone(tls)).connect(name, stream).await?, within).await
                        }
                    }
                }
            }
        };
        timeout(within, connecting).await.unwrap_or_else(|_| Err((ErrorKind::Io, "connecting takes too long").into()))
    }

    async fn speak(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        within: Duration,
    ) -> Result<MultiplexedConnection, RedisError> {
        let config = AsyncConnectionConfig::new().set_response_timeout(Some(within));
        let opened = MultiplexedConnection::new_with_config(&self.dialer.settings, Bounded::new(stream), config).await;
        let (connection, driver) = opened?;
        // It ends once nobody holds the connection any more, or the stream fails.
        tokio::spawn(driver);
        Ok(connection)
    }
}

/// The first of a host's addresses that takes us.
async fn reach(node: &HostPort) -> Result<TcpStream, RedisError> {
    let addresses: Vec<SocketAddr> = lookup_host((&*node.host, node.port)).await?.collect();
    if addresses.is_empty() {
        return Err((ErrorKind::Io, "the host has no address").into());
    }
    let (stream, _) = select_ok(addresses.into_iter().map(|address| TcpStream::connect(address).boxed())).await?;
    // A batch is one write, and whoever waits for it must not wait for an acknowledgement of the one before.
    stream.set_nodelay(true)?;
    Ok(stream)
}

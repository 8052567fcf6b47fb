//! How the nodes of one store are spoken to: who we are to them, and TLS. One dialer serves every node that a store turns out to have.

use std::path::Path;

use redis::{
    Client, ClientTlsConfig, ConnectionAddr, ConnectionInfo, IntoConnectionInfo as _, RedisConnectionInfo, RedisError, TlsCertificates,
};
use secrecy::ExposeSecret as _;

use super::address::{HostPort, Login};

/// The PEM files of TLS: what the store's certificate must chain to (the system's authorities if absent), and our own certificate.
#[derive(Clone, Default)]
pub struct TlsFiles {
    /// The authority.
    pub ca: Option<Vec<u8>>,
    /// Our certificate and its private key.
    pub identity: Option<(Vec<u8>, Vec<u8>)>,
    /// Whether the store's certificate may bear any name, as long as it chains to the authority (stores that are reached by address).
    pub any_name: bool,
}

/// Makes clients of nodes.
#[derive(Clone)]
pub(super) struct Dialer {
    settings: RedisConnectionInfo,
    /// An address whose TLS parameters are read from the files once. Absent: plaintext.
    tls: Option<ConnectionAddr>,
}

impl Dialer {
    /// Reads the files.
    ///
    /// # Errors
    /// When they are not what they should be.
    pub(super) fn new(login: &Login, database: i64, tls: Option<&TlsFiles>) -> Result<Self, RedisError> {
        let mut settings = RedisConnectionInfo::default().set_db(database);
        if let Some(user) = &login.user {
            settings = settings.set_username(user);
        }
        if let Some(password) = &login.password {
            settings = settings.set_password(password.expose_secret());
        }
        let tls = tls.map(template).transpose()?;
        Ok(Self { settings, tls })
    }

    /// A client of a node.
    pub(super) fn client(&self, node: &HostPort) -> Result<Client, RedisError> {
        let (host, port) = (node.host.to_string(), node.port);
        let addr = match &self.tls {
            Some(ConnectionAddr::TcpTls { tls_params, .. }) => {
                ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: tls_params.clone() }
            }
            _ => ConnectionAddr::Tcp(host, port),
        };
        self.open(addr)
    }

    /// A client of a server on a unix socket.
    pub(super) fn socket(&self, path: &Path) -> Result<Client, RedisError> {
        self.open(ConnectionAddr::Unix(path.to_owned()))
    }

    fn open(&self, addr: ConnectionAddr) -> Result<Client, RedisError> {
        let info: ConnectionInfo = ("nowhere", 0).into_connection_info()?;
        Client::open(info.set_addr(addr).set_redis_settings(self.settings.clone()))
    }
}

fn template(files: &TlsFiles) -> Result<ConnectionAddr, RedisError> {
    let addr = ConnectionAddr::TcpTls { host: "nowhere".to_owned(), port: 0, insecure: false, tls_params: None };
    let info = ("nowhere", 0).into_connection_info()?.set_addr(addr);
    let client_tls = files.identity.clone().map(|(client_cert, client_key)| ClientTlsConfig { client_cert, client_key });
    let client = Client::build_with_tls(info, TlsCertificates { client_tls, root_cert: files.ca.clone() })?;
    let mut addr = client.get_connection_info().addr().clone();
    if files.any_name {
        addr.set_danger_accept_invalid_hostnames(true);
    }
    Ok(addr)
}

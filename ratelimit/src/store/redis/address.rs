//! Where a store is: one server, what Sentinel says is the primary, or a cluster.
//!
//! ```text
//! redis://[USER[:PASSWORD]@]HOST[:PORT][/DATABASE]                       one server, 6379; rediss:// with TLS
//! redis+unix:///PATH[?db=DATABASE&user=USER&pass=PASSWORD]               one server on a unix socket
//! redis-sentinel://[...@]HOST[:PORT],.../PRIMARY[/DATABASE]              Sentinel, 26379; rediss-sentinel:// with TLS
//! redis-cluster://[...@]HOST[:PORT],...                                  a cluster, 6379; rediss-cluster:// with TLS
//! ```
//! User and password are the data nodes'; they are percent-encoded. An error never repeats any of it: it may hold a password.

mod parse;

use std::{fmt, path::PathBuf, str::FromStr, sync::Arc};

use secrecy::SecretString;

/// The address of a store, read and known to be one.
#[derive(Debug, Clone)]
pub struct StoreAddress {
    /// How the store is found.
    pub place: StorePlace,
    /// Whether it is spoken to over TLS (the sentinels too).
    pub tls: bool,
    /// Who we are to the data nodes.
    pub login: Login,
    /// The database's index. A cluster has only 0.
    pub database: i64,
}

/// How a store is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StorePlace {
    /// One server.
    Host(HostPort),
    /// One server on a unix socket.
    Unix(PathBuf),
    /// Whoever the sentinels say is the primary of this name.
    Sentinel {
        /// At least one.
        sentinels: Vec<HostPort>,
        /// The name that the sentinels know the primary by.
        primary: Arc<str>,
    },
    /// The nodes of a cluster, some of which are named; at least one.
    Cluster(Vec<HostPort>),
}

/// A host (a name or an IP address, without brackets) and a port.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HostPort {
    /// The host.
    pub host: Arc<str>,
    /// The port, above 0.
    pub port: u16,
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') { write!(f, "[{}]:{}", self.host, self.port) } else { write!(f, "{}:{}", self.host, self.port) }
    }
}

impl HostPort {
    /// A host and a port as a store names them to us.
    ///
    /// # Errors
    /// When they are none.
    pub(super) fn of(host: &str, port: &str) -> Result<Self, AddressError> {
        let port: u16 = port.parse().map_err(|_| AddressError::Host)?;
        let bracketed = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        parse::host_port(&bracketed, port)
    }
}

/// Who we are. Without a user, a password is the default user's.
#[derive(Debug, Clone, Default)]
pub struct Login {
    /// The ACL user.
    pub user: Option<String>,
    /// Its password.
    pub password: Option<SecretString>,
}

/// A text that is no store's address. It never holds the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Another scheme, or none.
    #[error("must be redis://, rediss://, redis+unix://, redis-sentinel:// or redis-cluster:// and an address")]
    Scheme,
    /// A host or port that is none, or none at all.
    #[error("needs HOST[:PORT], several after commas for Sentinel and Cluster")]
    Host,
    /// Sentinel without the name of the primary, or with more than a database after it.
    #[error("needs /PRIMARY, the name that the sentinels know the primary by, and at the most /DATABASE after it")]
    Primary,
    /// A database that is no number, or one of a cluster.
    #[error("the database must be a number from 0, and a cluster has only 0")]
    Database,
    /// User or password are not percent-encoded UTF-8.
    #[error("user and password must be percent-encoded")]
    Login,
    /// `#insecure`, or anything else after `#`.
    #[error("#insecure is not taken; name the authority of the store's certificate with --store-tls-ca")]
    Fragment,
    /// An option that nobody reads.
    #[error("unknown option after `?` (a unix socket takes db, user and pass)")]
    Option,
}

impl FromStr for StoreAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse::address(text)
    }
}

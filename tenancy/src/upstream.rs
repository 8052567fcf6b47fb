//! Where a contract may send requests: origins and base paths in one canonical form (S3).

use std::fmt;

use crate::host::HostName;

/// `http` or `https`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scheme {
    /// Clear text.
    Http,
    /// TLS, with SNI and the certificate's name checked against the contract's host.
    Https,
}

impl Scheme {
    /// The port of an origin that states none.
    #[must_use]
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// Scheme, host and port: what is compared between tenants.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Origin {
    /// The scheme.
    pub scheme: Scheme,
    /// The host, canonical; numbers only as a strict dotted quad.
    pub host: HostName,
    /// The port, always stated.
    pub port: u16,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.scheme {
            Scheme::Http => "http",
            Scheme::Https => "https",
        };
        write!(f, "{scheme}://{}:{}", self.host, self.port)
    }
}

/// The upstream of an API: an origin and a base path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamUrl {
    /// Where.
    pub origin: Origin,
    /// What stands before the rest of the path: empty, or `/v1` (a leading slash, no trailing one), already safe as S6 wants it.
    pub base_path: String,
}

//! Where a contract may send requests: origins and base paths in one canonical form (S3).

use std::{fmt, str::FromStr};

use crate::host::{HostError, HostName, valid_port};

#[cfg(test)]
mod tests;

/// A URL longer than this is none that anybody wrote.
const MAX_BYTES: usize = 2048;

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

/// Why a text is not an origin or an upstream. The text itself is never quoted: userinfo may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UpstreamError {
    /// Neither `http://` nor `https://`.
    #[error("must start with `http://` or `https://`")]
    Scheme,
    /// `user:password@`.
    #[error("must not hold a user or a password")]
    UserInfo,
    /// A query or a fragment.
    #[error("must not have a query or a fragment")]
    QueryOrFragment,
    /// The host is none.
    #[error("has a host that is none: it {0}")]
    Host(#[from] HostError),
    /// The port is none.
    #[error("must have a port from 1 to 65535, or none")]
    Port,
    /// A path that a server could read as another one (S6), or that needs encoding.
    #[error("must have a path of plain segments: letters, digits and `-._~!$&'()*+,=:@`, none of them empty, `.` or `..`")]
    Path,
    /// An origin with a path.
    #[error("must end after the host and port")]
    NotAnOrigin,
    /// More than 2 KiB.
    #[error("must have at most 2048 bytes")]
    TooLong,
}

impl Origin {
    /// Why no contract may point here unless loopback is allowed ([`HostName::local`]).
    #[must_use]
    pub fn local(&self) -> Option<&'static str> {
        self.host.local()
    }
}

impl FromStr for Origin {
    type Err = UpstreamError;

    /// `scheme://host[:port]`, with a slash at the end or without.
    fn from_str(text: &str) -> Result<Self, UpstreamError> {
        let (origin, path) = split(text)?;
        if path.is_empty() || path == "/" { Ok(origin) } else { Err(UpstreamError::NotAnOrigin) }
    }
}

/// The origin of a URL, and what follows it.
fn split(text: &str) -> Result<(Origin, &str), UpstreamError> {
    if text.len() > MAX_BYTES {
        return Err(UpstreamError::TooLong);
    }
    let (scheme, rest) = text.split_once("://").ok_or(UpstreamError::Scheme)?;
    let scheme = match scheme.to_ascii_lowercase().as_str() {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        _ => return Err(UpstreamError::Scheme),
    };
    // Parsers differ over what ends an authority; without these it ends at the first slash for all of them.
    if rest.contains(['?', '#']) {
        return Err(UpstreamError::QueryOrFragment);
    }
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    if authority.contains('@') {
        return Err(UpstreamError::UserInfo);
    }
    let (host, port) = match authority.rsplit_once(':') {
        // The colons of an IPv6 address stand inside its brackets.
        Some((host, port)) if !port.ends_with(']') => {
            if !valid_port(port) {
                return Err(UpstreamError::Port);
            }
            (host, port.parse().map_err(|_| UpstreamError::Port)?)
        }
        _ => (authority, scheme.default_port()),
    };
    Ok((Origin { scheme, host: HostName::of_url(host)?, port }, path))
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

impl FromStr for UpstreamUrl {
    type Err = UpstreamError;

    /// A base path may hold no `%` and no `;`: nothing in it can be read as another path at any depth of decoding (S6).
    fn from_str(text: &str) -> Result<Self, UpstreamError> {
        let (origin, path) = split(text)?;
        let base_path = path.strip_suffix('/').unwrap_or(path);
        let mut segments = base_path.split('/').skip(1);
        if segments.all(plain) { Ok(Self { origin, base_path: base_path.to_owned() }) } else { Err(UpstreamError::Path) }
    }
}

/// Whether a segment is made of RFC 3986's `pchar` without `%` and `;`, and is no dot segment.
fn plain(segment: &str) -> bool {
    let fine = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,=:@".contains(&byte);
    !matches!(segment, "" | "." | "..") && segment.bytes().all(fine)
}

impl fmt::Display for UpstreamUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.origin, self.base_path)
    }
}

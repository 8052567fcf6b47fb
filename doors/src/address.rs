//! Where a door listens: a TCP address that needs no name server, or a unix socket.

use std::{
    fmt,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    str::FromStr,
};

/// Why a text is not an address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Neither `IP:PORT`, `localhost:PORT` nor `unix:PATH`.
    #[error("must be IP:PORT, localhost:PORT or unix:PATH (other host names are not looked up: what a name means can change, S2)")]
    NotAnAddress,
    /// `unix:` without a path.
    #[error("unix: needs a path")]
    NoPath,
}

/// Where a door listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A TCP address.
    Tcp(SocketAddr),
    /// A unix socket.
    Unix(PathBuf),
}

impl Address {
    /// Whether only this machine (or who may open the socket's file) reaches it: loopback or a unix socket (S2).
    #[must_use]
    pub fn is_private(&self) -> bool {
        match self {
            Self::Tcp(address) => address.ip().to_canonical().is_loopback(),
            Self::Unix(_) => true,
        }
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if let Some(path) = text.strip_prefix("unix:") {
            return if path.is_empty() { Err(AddressError::NoPath) } else { Ok(Self::Unix(PathBuf::from(path))) };
        }
        // `localhost` is a constant here, never a question to a name server that could answer with another machine's address (S2).
        if let Some(port) = text.strip_prefix("localhost:") {
            let port = port.parse().map_err(|_| AddressError::NotAnAddress)?;
            return Ok(Self::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, port))));
        }
        text.parse().map(Self::Tcp).map_err(|_| AddressError::NotAnAddress)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s2_only_loopback_and_unix_sockets_are_private() {
        let private = |text: &str| text.parse::<Address>().unwrap().is_private();
        for text in ["127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "[::ffff:127.0.0.1]:1", "localhost:1", "unix:/run/x.sock", "unix:x"] {
            assert!(private(text), "{text}");
        }
        for text in ["0.0.0.0:1", "[::]:1", "10.0.0.1:1", "[::ffff:10.0.0.1]:1", "[fe80::1]:1", "169.254.169.254:80"] {
            assert!(!private(text), "{text}");
        }
    }

    #[test]
    fn s2_no_host_name_is_ever_looked_up() {
        for text in ["example.com:80", "localhost.example.com:80", "LOCALHOST:80", "localhost", ":80", "", "unix:", "127.0.0.1", "127.1:80"]
        {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
        assert_eq!("localhost:80".parse(), Ok(Address::Tcp(SocketAddr::from(([127, 0, 0, 1], 80)))));
    }

    #[test]
    fn an_address_reads_back_as_it_prints() {
        for text in ["127.0.0.1:9191", "[::1]:9191", "unix:/run/bulkhead.sock"] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
    }
}

//! Where the original listens: HTTP, debug and gRPC.

use std::{path::PathBuf, time::Duration};

use super::variables::Variables;

/// The three listeners, and how connections of the last one end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doors {
    /// HOST and PORT: `/json`, `/healthcheck`.
    pub http: Listen,
    /// DEBUG_HOST and DEBUG_PORT: `/rlconfig`, `/stats`.
    pub debug: Listen,
    /// GRPC_HOST and GRPC_PORT.
    pub grpc: Listen,
    /// GRPC_UDS: a unix socket in place of `grpc`.
    pub grpc_unix: Option<PathBuf>,
    /// GRPC_MAX_CONNECTION_AGE: after it a connection is told to go away, and its calls are finished. 0 is for ever.
    pub max_connection_age: Option<Duration>,
    /// GRPC_SERVER_USE_TLS and its files; none where gRPC is in plaintext.
    pub tls: Option<ServerTls>,
}

/// A host as it may be bound (a name, an address, empty for every address) and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    /// The host.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// TLS of the gRPC listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerTls {
    /// GRPC_SERVER_TLS_CERT: the certificate chain (PEM).
    pub cert: PathBuf,
    /// GRPC_SERVER_TLS_KEY: its private key (PEM).
    pub key: PathBuf,
    /// GRPC_CLIENT_TLS_CACERT: clients must show a certificate of this authority.
    pub client_ca: Option<PathBuf>,
    /// GRPC_CLIENT_TLS_SAN: and this name in it.
    pub client_name: Option<String>,
}

impl Doors {
    pub(super) fn read(from: &mut Variables) -> Self {
        let mut listen = |host, port, default| Listen { host: from.text(host, "0.0.0.0"), port: from.port(port, default) };
        let (http, debug, grpc) =
            (listen("HOST", "PORT", 8080), listen("DEBUG_HOST", "DEBUG_PORT", 6070), listen("GRPC_HOST", "GRPC_PORT", 8081));
        Self {
            http,
            debug,
            grpc,
            grpc_unix: from.file("GRPC_UDS"),
            max_connection_age: Some(from.duration("GRPC_MAX_CONNECTION_AGE", Duration::from_secs(24 * 3600))).filter(|age| !age.is_zero()),
            tls: ServerTls::read(from),
        }
    }
}

impl ServerTls {
    fn read(from: &mut Variables) -> Option<Self> {
        let wanted = from.boolean("GRPC_SERVER_USE_TLS", false);
        let (cert, key) = (from.file("GRPC_SERVER_TLS_CERT"), from.file("GRPC_SERVER_TLS_KEY"));
        let (client_ca, client_name) = (from.file("GRPC_CLIENT_TLS_CACERT"), from.some_text("GRPC_CLIENT_TLS_SAN"));
        if !wanted {
            return None;
        }
        if client_name.is_some() && client_ca.is_none() {
            from.bad("GRPC_CLIENT_TLS_SAN", "asks for a client certificate that nothing vouches for: set GRPC_CLIENT_TLS_CACERT");
        }
        for (name, file) in [("GRPC_SERVER_TLS_CERT", &cert), ("GRPC_SERVER_TLS_KEY", &key)] {
            if file.is_none() {
                from.bad(name, "must name a file while GRPC_SERVER_USE_TLS is true");
            }
        }
        Some(Self { cert: cert?, key: key?, client_ca, client_name })
    }
}

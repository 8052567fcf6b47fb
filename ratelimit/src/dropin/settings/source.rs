//! Where rules come from: files below RUNTIME_ROOT, or an xDS management server.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use super::variables::Variables;

/// CONFIG_TYPE.
#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    /// `FILE`.
    Files(Runtime),
    /// `GRPC_XDS_SOTW`.
    Xds(Box<Xds>),
}

/// Files below RUNTIME_ROOT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Runtime {
    /// RUNTIME_ROOT.
    pub root: PathBuf,
    /// RUNTIME_SUBDIRECTORY; may be empty.
    pub subdirectory: PathBuf,
    /// RUNTIME_APPDIRECTORY.
    pub app_directory: String,
    /// RUNTIME_IGNOREDOTFILES: files and folders whose names begin with a dot are left out.
    pub ignore_dot_files: bool,
    /// RUNTIME_WATCH_ROOT: names count from the subdirectory (`config.basic`) and not from the app directory (`basic`).
    pub watch_root: bool,
}

/// An xDS management server, state of the world, over an aggregated stream.
#[derive(Debug, Clone, PartialEq)]
pub struct Xds {
    /// CONFIG_GRPC_XDS_SERVER_URL: `host:port`.
    pub server: String,
    /// CONFIG_GRPC_XDS_NODE_ID.
    pub node_id: String,
    /// CONFIG_GRPC_XDS_NODE_METADATA: `key=value,key=value`.
    pub node_metadata: BTreeMap<String, String>,
    /// CONFIG_GRPC_XDS_CLIENT_ADDITIONAL_HEADERS: sent with each stream.
    pub headers: BTreeMap<String, String>,
    /// CONFIG_GRPC_XDS_SERVER_USE_TLS and its files.
    pub tls: Option<ClientTls>,
    /// CONFIG_GRPC_XDS_SERVER_CONNECT_RETRY_INTERVAL: how long one attempt to connect may take.
    pub connect_interval: Duration,
    /// How long to wait after a stream that failed.
    pub backoff: Backoff,
    /// XDS_CLIENT_MAX_MSG_SIZE_IN_BYTES: the largest message taken.
    pub max_message_bytes: usize,
}

/// XDS_CLIENT_BACKOFF_*.
#[derive(Debug, Clone, PartialEq)]
pub struct Backoff {
    /// XDS_CLIENT_BACKOFF_INITIAL_INTERVAL.
    pub initial: Duration,
    /// XDS_CLIENT_BACKOFF_MAX_INTERVAL.
    pub max: Duration,
    /// XDS_CLIENT_BACKOFF_RANDOM_FACTOR: an interval is multiplied by a random number in 1 ± this.
    pub random_factor: f64,
    /// XDS_CLIENT_BACKOFF_JITTER.
    pub jitter: bool,
}

/// TLS towards the management server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientTls {
    /// CONFIG_GRPC_XDS_SERVER_TLS_CACERT, instead of the system's authorities.
    pub ca: Option<PathBuf>,
    /// CONFIG_GRPC_XDS_CLIENT_TLS_CERT and _KEY.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// CONFIG_GRPC_XDS_SERVER_TLS_SAN: the name expected in the server's certificate, instead of the host's.
    pub server_name: Option<String>,
}

/// gRPC's own bound in Go, where the original names none.
const MAX_MESSAGE_BYTES: u64 = 4 << 20;
/// No message above this is ever taken: a configuration larger than the bound of all files together.
const MOST_MESSAGE_BYTES: u64 = 64 << 20;

impl Source {
    pub(super) fn read(from: &mut Variables) -> Self {
        let runtime = Runtime::read(from);
        let xds = Xds::read(from);
        match from.text("CONFIG_TYPE", "FILE").as_str() {
            "FILE" => Self::Files(runtime),
            "GRPC_XDS_SOTW" => Self::Xds(Box::new(xds)),
            _ => {
                from.bad("CONFIG_TYPE", "must be FILE or GRPC_XDS_SOTW");
                Self::Files(runtime)
            }
        }
    }
}

impl Runtime {
    fn read(from: &mut Variables) -> Self {
        Self {
            root: from.text("RUNTIME_ROOT", "/srv/runtime_data/current").into(),
            subdirectory: from.text("RUNTIME_SUBDIRECTORY", "").into(),
            app_directory: from.text("RUNTIME_APPDIRECTORY", "config"),
            ignore_dot_files: from.boolean("RUNTIME_IGNOREDOTFILES", false),
            watch_root: from.boolean("RUNTIME_WATCH_ROOT", true),
        }
    }
}

impl Xds {
    fn read(from: &mut Variables) -> Self {
        let max_message_bytes = from.count("XDS_CLIENT_MAX_MSG_SIZE_IN_BYTES", MAX_MESSAGE_BYTES);
        if !(1..=MOST_MESSAGE_BYTES).contains(&max_message_bytes) {
            from.bad("XDS_CLIENT_MAX_MSG_SIZE_IN_BYTES", format!("must be from 1 to {MOST_MESSAGE_BYTES}"));
        }
        Self {
            server: from.text("CONFIG_GRPC_XDS_SERVER_URL", "localhost:18000"),
            node_id: from.text("CONFIG_GRPC_XDS_NODE_ID", "default"),
            node_metadata: from.parsed("CONFIG_GRPC_XDS_NODE_METADATA", BTreeMap::new(), node_metadata),
            headers: from.pairs("CONFIG_GRPC_XDS_CLIENT_ADDITIONAL_HEADERS"),
            tls: ClientTls::read(from),
            connect_interval: from.duration("CONFIG_GRPC_XDS_SERVER_CONNECT_RETRY_INTERVAL", Duration::from_secs(3)),
            backoff: Backoff::read(from),
            max_message_bytes: usize::try_from(max_message_bytes).unwrap_or(usize::MAX),
        }
    }
}

impl Backoff {
    fn read(from: &mut Variables) -> Self {
        Self {
            initial: from.duration("XDS_CLIENT_BACKOFF_INITIAL_INTERVAL", Duration::from_secs(10)),
            max: from.duration("XDS_CLIENT_BACKOFF_MAX_INTERVAL", Duration::from_secs(60)),
            random_factor: from.ratio("XDS_CLIENT_BACKOFF_RANDOM_FACTOR", 0.5),
            jitter: from.boolean("XDS_CLIENT_BACKOFF_JITTER", true),
        }
    }
}

impl ClientTls {
    fn read(from: &mut Variables) -> Option<Self> {
        let wanted = from.boolean("CONFIG_GRPC_XDS_SERVER_USE_TLS", false);
        let (cert, key) = (from.file("CONFIG_GRPC_XDS_CLIENT_TLS_CERT"), from.file("CONFIG_GRPC_XDS_CLIENT_TLS_KEY"));
        let (ca, server_name) = (from.file("CONFIG_GRPC_XDS_SERVER_TLS_CACERT"), from.some_text("CONFIG_GRPC_XDS_SERVER_TLS_SAN"));
        if !wanted {
            return None;
        }
        if cert.is_some() != key.is_some() {
            from.bad("CONFIG_GRPC_XDS_CLIENT_TLS_CERT", "needs CONFIG_GRPC_XDS_CLIENT_TLS_KEY beside it, and the other way round");
        }
        Some(Self { ca, identity: cert.zip(key), server_name })
    }
}

fn node_metadata(text: &str) -> Result<BTreeMap<String, String>, String> {
    if text.trim().is_empty() {
        return Ok(BTreeMap::new());
    }
    text.split(',')
        .map(|pair| match pair.split_once(['=', ':']) {
            Some((key, value)) if !key.trim().is_empty() => Ok((key.trim().to_owned(), value.trim().to_owned())),
            _ => Err("must be key=value,key=value".to_owned()),
        })
        .collect()
}

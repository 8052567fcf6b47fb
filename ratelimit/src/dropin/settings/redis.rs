//! Where counters live: REDIS_* and, for windows of a second, REDIS_PERSECOND_*.

use std::{path::PathBuf, time::Duration};

use secrecy::SecretString;

use super::variables::Variables;
use crate::store::redis::address::{AddressError, StoreAddress, StorePlace};

/// One store.
#[derive(Debug, Clone)]
pub struct Redis {
    /// REDIS_TYPE and REDIS_URL.
    pub topology: Topology,
    /// The user: in the URL, or before the `:` of REDIS_AUTH.
    pub user: Option<String>,
    /// The password: in the URL, or REDIS_AUTH.
    pub password: Option<SecretString>,
    /// REDIS_SENTINEL_AUTH's user, if it holds a `:`.
    pub sentinel_user: Option<String>,
    /// REDIS_SENTINEL_AUTH: the password of the sentinels themselves.
    pub sentinel_password: Option<SecretString>,
    /// The database's number, in a URL's path; 0 otherwise.
    pub database: i64,
    /// REDIS_TLS (or `rediss://`, or REDIS_SOCKET_TYPE=tls) and its files.
    pub tls: Option<StoreTls>,
    /// REDIS_TIMEOUT: the longest that a decision may take; a call's own deadline may be shorter.
    pub timeout: Duration,
}

/// REDIS_TYPE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Topology {
    /// `SINGLE`.
    Single(Endpoint),
    /// `SENTINEL`: REDIS_URL is `primary's name,sentinel,sentinel`.
    Sentinel {
        /// The primary's name at the sentinels.
        primary: String,
        /// The sentinels; at least one.
        sentinels: Vec<Endpoint>,
    },
    /// `CLUSTER`: REDIS_URL is `node,node`.
    Cluster(Vec<Endpoint>),
}

/// An address of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// A unix socket.
    Unix(PathBuf),
    /// A host and a port.
    Tcp(String, u16),
}

/// TLS towards a store. Its certificate is always verified.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoreTls {
    /// REDIS_TLS_CACERT, instead of the system's authorities.
    pub ca: Option<PathBuf>,
    /// REDIS_TLS_CLIENT_CERT and REDIS_TLS_CLIENT_KEY.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// REDIS_TLS_SKIP_HOSTNAME_VERIFICATION: its certificate may bear any name. Only together with `ca`: else whoever has a certificate of any
    /// public authority would be the store.
    pub any_name: bool,
}

/// What is wrong with a URL.
const URL: &str = "is a URL, but not redis://, rediss:// or redis+unix:// with what they take";

/// REDIS_TIMEOUT where it is not set, or 0.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The names of one store's variables.
struct Names {
    socket_type: &'static str,
    kind: &'static str,
    url: &'static str,
    auth: &'static str,
    sentinel_auth: &'static str,
    tls: &'static str,
    timeout: &'static str,
    default_url: &'static str,
}

const MAIN: Names = Names {
    socket_type: "REDIS_SOCKET_TYPE",
    kind: "REDIS_TYPE",
    url: "REDIS_URL",
    auth: "REDIS_AUTH",
    sentinel_auth: "REDIS_SENTINEL_AUTH",
    tls: "REDIS_TLS",
    timeout: "REDIS_TIMEOUT",
    default_url: "/var/run/nutcracker/ratelimit.sock",
};

const PER_SECOND: Names = Names {
    socket_type: "REDIS_PERSECOND_SOCKET_TYPE",
    kind: "REDIS_PERSECOND_TYPE",
    url: "REDIS_PERSECOND_URL",
    auth: "REDIS_PERSECOND_AUTH",
    sentinel_auth: "REDIS_PERSECOND_SENTINEL_AUTH",
    tls: "REDIS_PERSECOND_TLS",
    timeout: "REDIS_PERSECOND_TIMEOUT",
    default_url: "/var/run/nutcracker/ratelimitpersecond.sock",
};

impl Redis {
    /// The store, and the one of REDIS_PERSECOND.
    pub(super) fn read(from: &mut Variables) -> (Option<Self>, Option<Self>) {
        let second = from.boolean("REDIS_PERSECOND", false);
        let mut main = Self::read_one(from, &MAIN);
        let mut per_second = if second { Self::read_one(from, &PER_SECOND) } else { None };
        // The files are looked at for a store that speaks TLS, as in the original.
        let mut speaking: Vec<_> = [&mut main, &mut per_second].into_iter().flatten().filter_map(|store| store.tls.as_mut()).collect();
        if !speaking.is_empty() {
            let files = StoreTls::read(from);
            speaking.iter_mut().for_each(|tls| **tls = files.clone());
        }
        (main, per_second)
    }

    fn read_one(from: &mut Variables, names: &Names) -> Option<Self> {
        let url = from.text(names.url, names.default_url);
        let socket = from.text(names.socket_type, "unix");
        if !matches!(socket.as_str(), "unix" | "tcp" | "tls") {
            from.bad(names.socket_type, "must be unix, tcp or tls");
        }
        let (mut user, mut password) = credentials(from.some_text(names.auth));
        let sentinel_auth = from.some_text(names.sentinel_auth);
        let mut tls = from.boolean(names.tls, false) || socket == "tls";
        // 0 is for ever in the original: a call would wait as long as its caller.
        let timeout = Some(from.duration(names.timeout, TIMEOUT)).filter(|timeout| !timeout.is_zero()).unwrap_or(TIMEOUT);
        let mut database = 0;
        let mut found = |place: &str| {
            let place = Place::of(place, socket == "unix")?;
            tls |= place.tls;
            // As in the original, a password of the URL beats the variable's.
            if place.password.is_some() {
                (user, password) = (place.user, place.password);
            }
            database = place.database;
            Ok(place.endpoint)
        };
        let topology = match from.text(names.kind, "SINGLE").to_ascii_uppercase().as_str() {
            "SINGLE" => found(&url).map(Topology::Single),
            "CLUSTER" => url.split(',').map(&mut found).collect::<Result<_, _>>().map(Topology::Cluster),
            "SENTINEL" => sentinel(&url, &mut found),
            _ => {
                from.bad(names.kind, "must be SINGLE, SENTINEL or CLUSTER");
                return None;
            }
        };
        match topology {
            Ok(topology) => {
                let tls = tls.then(StoreTls::default);
                let sentinels = matches!(topology, Topology::Sentinel { .. });
                let (sentinel_user, sentinel_password) = credentials(sentinel_auth.filter(|_| sentinels));
                Some(Self { topology, user, password, sentinel_user, sentinel_password, database, tls, timeout })
            }
            Err(what) => {
                from.bad(names.url, what);
                None
            }
        }
    }
}

impl StoreTls {
    fn read(from: &mut Variables) -> Self {
        let (cert, key) = (from.file("REDIS_TLS_CLIENT_CERT"), from.file("REDIS_TLS_CLIENT_KEY"));
        if cert.is_some() != key.is_some() {
            from.bad("REDIS_TLS_CLIENT_CERT", "needs REDIS_TLS_CLIENT_KEY beside it, and the other way round");
        }
        let ca = from.file("REDIS_TLS_CACERT");
        let any_name = from.boolean("REDIS_TLS_SKIP_HOSTNAME_VERIFICATION", false);
        if any_name && ca.is_none() {
            from.bad(
                "REDIS_TLS_SKIP_HOSTNAME_VERIFICATION",
                "needs the store's own authority, or anybody may be the store: set REDIS_TLS_CACERT",
            );
        }
        Self { ca, identity: cert.zip(key), any_name }
    }
}

/// `password`, or `user:password`.
fn credentials(text: Option<String>) -> (Option<String>, Option<SecretString>) {
    match text {
        None => (None, None),
        Some(text) => match text.split_once(':') {
            Some((user, password)) if !user.is_empty() => (Some(user.to_owned()), Some(SecretString::from(password))),
            Some((_, password)) => (None, Some(SecretString::from(password))),
            None => (None, Some(SecretString::from(text))),
        },
    }
}

fn sentinel(url: &str, found: &mut impl FnMut(&str) -> Result<Endpoint, &'static str>) -> Result<Topology, &'static str> {
    let (primary, sentinels) = url.split_once(',').ok_or("must be the primary's name and the sentinels: primary,host:port,host:port")?;
    if primary.is_empty() {
        return Err("must begin with the primary's name at the sentinels");
    }
    let sentinels = sentinels.split(',').map(found).collect::<Result<_, _>>()?;
    Ok(Topology::Sentinel { primary: primary.to_owned(), sentinels })
}

/// What one address says: `host:port` or a path as in the original, or a URL (`redis://`, `rediss://`, `redis+unix://`).
struct Place {
    endpoint: Endpoint,
    tls: bool,
    user: Option<String>,
    password: Option<SecretString>,
    database: i64,
}

impl Place {
    fn of(text: &str, unix: bool) -> Result<Self, &'static str> {
        let text = text.trim();
        if text.contains("://") {
            return Self::of_url(text.parse());
        }
        let endpoint = if text.starts_with('/') || (unix && !text.is_empty()) {
            Endpoint::Unix(text.into())
        } else {
            let (host, port) = text.rsplit_once(':').ok_or("must be host:port, a path, or a redis:// URL")?;
            let host = host.trim_start_matches('[').trim_end_matches(']');
            if host.is_empty() {
                return Err("must be host:port, a path, or a redis:// URL");
            }
            Endpoint::Tcp(host.to_owned(), port.parse().map_err(|_| "must end in a port, 0 to 65535")?)
        };
        Ok(Self { endpoint, tls: false, user: None, password: None, database: 0 })
    }

    fn of_url(address: Result<StoreAddress, AddressError>) -> Result<Self, &'static str> {
        let address = address.map_err(|why| match why {
            AddressError::Fragment => "#insecure is not taken: name its authority with REDIS_TLS_CACERT",
            _ => URL,
        })?;
        let endpoint = match address.place {
            StorePlace::Host(node) => Endpoint::Tcp(node.host.to_string(), node.port),
            StorePlace::Unix(path) => Endpoint::Unix(path),
            StorePlace::Sentinel { .. } | StorePlace::Cluster(_) => return Err(URL),
        };
        let (user, password) = (address.login.user, address.login.password);
        Ok(Self { endpoint, tls: address.tls, user, password, database: address.database })
    }
}

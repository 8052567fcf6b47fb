//! Which store a URL names, so that two tenants' silos are not one store under two spellings (S17).

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use crate::host::HostName;

/// A database of a server, or of the primary that sentinels know by a name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StoreServer {
    host: String,
    port: u16,
    /// What the sentinels call it; absent where the server is the store itself, or a node of a cluster.
    primary: Option<String>,
    database: u64,
}

/// What a store's URL names, whoever logs in and whether over TLS: every server that it lists. It never holds the user or the password.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct StoreIdentity(BTreeSet<StoreServer>);

impl StoreIdentity {
    /// Reads what names the store and is lenient about the rest: whether the URL is right, who opens it says.
    #[must_use]
    pub fn of(url: &str) -> Self {
        let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
        let rest = rest.split(['?', '#']).next().unwrap_or_default();
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let hosts = authority.rsplit_once('@').map_or(authority, |(_, hosts)| hosts);
        let sentinel = scheme.to_ascii_lowercase().ends_with("-sentinel");
        let (primary, database) = if sentinel { path.split_once('/').unwrap_or((path, "")) } else { ("", path) };
        let primary = sentinel.then(|| percent_encoding::percent_decode_str(primary).decode_utf8_lossy().into_owned());
        let database = database.parse().unwrap_or(0);
        let default = if sentinel { 26379 } else { 6379 };
        let server = |text: &str| {
            let (host, port) = host_port(text, default);
            StoreServer { host, port, primary: primary.clone(), database }
        };
        Self(hosts.split(',').map(server).collect())
    }

    /// Every server that the URL lists.
    pub fn servers(&self) -> impl Iterator<Item = &StoreServer> {
        self.0.iter()
    }
}

/// What `localhost` stands for.
const LOCALHOST: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];

/// A host in the one spelling that all of its spellings have in common, and its port.
fn host_port(text: &str, default: u16) -> (String, u16) {
    let end_of_host = text.rfind(']').unwrap_or(0);
    let (host, port) = match text.rfind(':').filter(|colon| *colon > end_of_host) {
        Some(colon) => (text.get(..colon).unwrap_or(text), text.get(colon + 1..).and_then(|port| port.parse().ok())),
        None => (text, None),
    };
    let host = host.strip_suffix('.').unwrap_or(host);
    let host = match HostName::of_url(host) {
        // `localhost` and the addresses that it stands for are one server.
        Ok(name) if name.is_loopback() && name.address().is_none_or(|address| LOCALHOST.contains(&address)) => "localhost".to_owned(),
        Ok(name) => name.as_str().to_owned(),
        // Names that are none on the Internet (`acme_redis`) are names in a container's network.
        Err(_) => host.to_lowercase(),
    };
    (host, port.unwrap_or(default))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn same(one: &str, other: &str) {
        assert_eq!(StoreIdentity::of(one), StoreIdentity::of(other));
    }

    #[test]
    fn a_store_is_the_same_however_it_is_spelled() {
        for other in [
            "rediss://store.internal",
            "redis://user:hunter2@STORE.internal:6379/0",
            "redis://store.internal.:6379/",
            "redis-cluster://store.internal",
            "redis://store.internal/00",
        ] {
            same("redis://store.internal:6379", other);
        }
        same("redis://[::ffff:10.0.0.1]", "redis://10.0.0.1:6379");
        same("redis://[2001:DB8:0::1]:1", "redis://[2001:db8::1]:1");
        same("redis://localhost", "redis://127.0.0.1");
        same("redis://acme_redis", "redis://ACME_redis:6379");
        same("redis-sentinel://a,b:26379/acme", "rediss-sentinel://u:p@b,A./%61cme/0");
    }

    #[test]
    fn another_port_database_or_primary_is_another_store() {
        let stores = [
            "redis://s",
            "redis://s:6380",
            "redis://s/1",
            "redis://t",
            "redis-sentinel://s/a",
            "redis-sentinel://s/b",
            "redis-sentinel://s/a/1",
        ];
        for (at, one) in stores.iter().enumerate() {
            for other in stores.iter().skip(at + 1) {
                assert_ne!(StoreIdentity::of(one), StoreIdentity::of(other), "{one} {other}");
            }
        }
    }

    #[test]
    fn no_password_is_in_it() {
        assert!(!format!("{:?}", StoreIdentity::of("redis://u:hunter2@s,t/hunter")).contains("hunter2"));
    }
}

//! Reads addresses.

use std::{path::PathBuf, sync::Arc};

use bulkhead_tenancy::host::is_odd_address;
use percent_encoding::percent_decode_str;
use secrecy::SecretString;

use super::{AddressError, HostPort, Login, StoreAddress, StorePlace};

/// The kinds of address that name hosts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Single,
    Sentinel,
    Cluster,
}

pub(super) fn address(text: &str) -> Result<StoreAddress, AddressError> {
    let (scheme, rest) = text.split_once("://").ok_or(AddressError::Scheme)?;
    let (kind, tls) = match scheme {
        "redis" | "valkey" => (Kind::Single, false),
        "rediss" | "valkeys" => (Kind::Single, true),
        "redis+unix" | "valkey+unix" | "unix" => return socket(rest),
        "redis-sentinel" => (Kind::Sentinel, false),
        "rediss-sentinel" => (Kind::Sentinel, true),
        "redis-cluster" => (Kind::Cluster, false),
        "rediss-cluster" => (Kind::Cluster, true),
        _ => return Err(AddressError::Scheme),
    };
    if rest.contains('#') {
        return Err(AddressError::Fragment);
    }
    if rest.contains('?') {
        return Err(AddressError::Option);
    }
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (login, hosts) = match authority.rsplit_once('@') {
        Some((login, hosts)) => (self::login(login)?, hosts),
        None => (Login::default(), authority),
    };
    let port = if kind == Kind::Sentinel { 26379 } else { 6379 };
    let mut hosts = hosts.split(',').map(|host| host_port(host, port)).collect::<Result<Vec<_>, _>>()?;
    let (place, database) = match kind {
        Kind::Single => {
            let host = hosts.pop().filter(|_| hosts.is_empty()).ok_or(AddressError::Host)?;
            (StorePlace::Host(host), self::database(path)?)
        }
        Kind::Sentinel => {
            let (primary, database) = path.split_once('/').unwrap_or((path, ""));
            let primary = percent_decode_str(primary).decode_utf8().map_err(|_| AddressError::Primary)?;
            if primary.is_empty() || primary.chars().any(char::is_control) || database.contains('/') {
                return Err(AddressError::Primary);
            }
            (StorePlace::Sentinel { sentinels: hosts, primary: Arc::from(primary) }, self::database(database)?)
        }
        Kind::Cluster => match self::database(path)? {
            0 => (StorePlace::Cluster(hosts), 0),
            _ => return Err(AddressError::Database),
        },
    };
    Ok(StoreAddress { place, tls, login, database })
}

fn login(text: &str) -> Result<Login, AddressError> {
    let (user, password) = text.split_once(':').map_or((text, None), |(user, password)| (user, Some(password)));
    let decoded = |text: &str| percent_decode_str(text).decode_utf8().map(String::from).map_err(|_| AddressError::Login);
    let user = decoded(user)?;
    let password = password.map(decoded).transpose()?;
    Ok(Login { user: (!user.is_empty()).then_some(user), password: password.filter(|one| !one.is_empty()).map(SecretString::from) })
}

/// `HOST`, `HOST:PORT`, `[IPv6]` or `[IPv6]:PORT`.
pub(super) fn host_port(text: &str, default: u16) -> Result<HostPort, AddressError> {
    let (host, port) = if let Some(bracketed) = text.strip_prefix('[') {
        let (host, rest) = bracketed.split_once(']').ok_or(AddressError::Host)?;
        host.parse::<std::net::Ipv6Addr>().map_err(|_| AddressError::Host)?;
        (host, rest.strip_prefix(':').or(if rest.is_empty() { None } else { Some("none") }))
    } else {
        text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port)))
    };
    let named = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
    if host.is_empty() || host.len() > 255 || !host.chars().all(named) || host == "0.0.0.0" || host == "::" {
        return Err(AddressError::Host);
    }
    // 127.1 would be a second name of 127.0.0.1 (S17).
    if !host.contains(':') && is_odd_address(host) {
        return Err(AddressError::Host);
    }
    let port = match port {
        None => default,
        Some(port) if port.bytes().all(|b| b.is_ascii_digit()) => port.parse().map_err(|_| AddressError::Host)?,
        Some(_) => return Err(AddressError::Host),
    };
    if port == 0 {
        return Err(AddressError::Host);
    }
    Ok(HostPort { host: Arc::from(host), port })
}

fn database(text: &str) -> Result<i64, AddressError> {
    match text {
        "" => Ok(0),
        digits if digits.bytes().all(|b| b.is_ascii_digit()) => digits.parse::<u32>().map(i64::from).map_err(|_| AddressError::Database),
        _ => Err(AddressError::Database),
    }
}

fn socket(rest: &str) -> Result<StoreAddress, AddressError> {
    if rest.contains('#') {
        return Err(AddressError::Fragment);
    }
    let (path, options) = rest.split_once('?').unwrap_or((rest, ""));
    let path = percent_decode_str(path).decode_utf8().map_err(|_| AddressError::Host)?;
    if !path.starts_with('/') || path.contains('\0') {
        return Err(AddressError::Host);
    }
    let (mut login, mut database) = (Login::default(), 0);
    for option in options.split('&').filter(|option| !option.is_empty()) {
        let (name, value) = option.split_once('=').ok_or(AddressError::Option)?;
        let value = percent_decode_str(value).decode_utf8().map_err(|_| AddressError::Login)?;
        match name {
            "db" => database = self::database(&value)?,
            "user" => login.user = Some(value.into_owned()),
            "pass" => login.password = Some(SecretString::from(value.into_owned())),
            _ => return Err(AddressError::Option),
        }
    }
    Ok(StoreAddress { place: StorePlace::Unix(PathBuf::from(&*path)), tls: false, login, database })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use secrecy::ExposeSecret as _;

    use super::*;

    fn read(text: &str) -> StoreAddress {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn host(text: &str, port: u16) -> HostPort {
        HostPort { host: Arc::from(text), port }
    }

    #[test]
    fn one_server() {
        let one = read("redis://limiter:p%40ss@store.internal:7000/3");
        assert_eq!((one.place, one.tls, one.database), (StorePlace::Host(host("store.internal", 7000)), false, 3));
        assert_eq!((one.login.user.as_deref(), one.login.password.unwrap().expose_secret()), (Some("limiter"), "p@ss"));
        let tls = read("rediss://:secret@[::1]");
        assert_eq!((tls.place, tls.tls), (StorePlace::Host(host("::1", 6379)), true));
        assert!(tls.login.user.is_none() && tls.login.password.is_some());
    }

    #[test]
    fn a_unix_socket() {
        let socket = read("redis+unix:///run/valkey%20one.sock?db=2&user=u&pass=p");
        assert_eq!((socket.place, socket.database), (StorePlace::Unix("/run/valkey one.sock".into()), 2));
        assert_eq!(socket.login.user.as_deref(), Some("u"));
    }

    #[test]
    fn sentinel_and_cluster() {
        let sentinel = read("rediss-sentinel://u:p@s1,s2:26380,[::1]:5/mymaster/4");
        let sentinels = vec![host("s1", 26379), host("s2", 26380), host("::1", 5)];
        assert_eq!(sentinel.place, StorePlace::Sentinel { sentinels, primary: "mymaster".into() });
        assert_eq!((sentinel.tls, sentinel.database), (true, 4));
        assert_eq!(read("redis-cluster://a:1,b").place, StorePlace::Cluster(vec![host("a", 1), host("b", 6379)]));
    }

    #[test]
    fn what_is_no_address_is_told_why_and_never_shown() {
        for (text, why) in [
            ("", AddressError::Scheme),
            ("hunter2", AddressError::Scheme),
            ("http://u:hunter2@host", AddressError::Scheme),
            ("redis://:hunter2@host:port", AddressError::Host),
            ("redis://:hunter2@", AddressError::Host),
            ("redis://hunter2:0", AddressError::Host),
            ("redis://:hunter2@127.1", AddressError::Host),
            ("redis://:hunter2@0x7f.0.0.1", AddressError::Host),
            ("redis://:hunter2@2130706433", AddressError::Host),
            ("redis://:hunter2@0177.0.0.1", AddressError::Host),
            ("redis://a,b", AddressError::Host),
            ("redis://hunter2/x", AddressError::Database),
            ("redis-cluster://hunter2/1", AddressError::Database),
            ("redis-sentinel://hunter2", AddressError::Primary),
            ("redis-sentinel://hunter2/a/0/1", AddressError::Primary),
            ("rediss://u:hunter2@host:1/#insecure", AddressError::Fragment),
            ("redis://hunter2?protocol=resp3", AddressError::Option),
            ("redis+unix://hunter2", AddressError::Host),
            ("redis://%ff:hunter2@host", AddressError::Login),
        ] {
            let error = text.parse::<StoreAddress>().unwrap_err();
            assert_eq!(error, why, "{text}");
            assert!(!error.to_string().contains("hunter2"));
        }
        assert!(!format!("{:?}", read("redis://u:hunter2@host")).contains("hunter2"));
    }

    proptest! {
        #[test]
        fn no_text_is_too_strange(text in ".{0,60}", scheme in "(redis|rediss|redis-sentinel|redis-cluster|redis[+]unix)://", rest in "[-a-z0-9.:,/@%?#=\\[\\]]{0,40}") {
            drop(text.parse::<StoreAddress>());
            drop((scheme + &rest).parse::<StoreAddress>());
        }

        #[test]
        fn a_host_and_port_are_read_back(name in "[a-z][a-z0-9-]{0,20}", number in 1..=u16::MAX) {
            let written = host(&name, number);
            prop_assert_eq!(host_port(&written.to_string(), 1), Ok(written));
        }
    }
}

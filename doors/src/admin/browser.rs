//! Browsers stay out. A page that somebody opens on the operator's machine can make its browser ask at a loopback address, and after DNS
//! rebinding the browser takes the answer for the page's own. Neither knows a token, so neither gets past the guard; but the door serves no
//! page, so nothing is lost by not letting it come to that (S2).

use std::net::IpAddr;

use http::{HeaderMap, header};

/// Tells requests of browsers from those of tools.
#[derive(Debug, Clone, Copy)]
pub(super) struct Browser {
    /// Whether the door is on loopback: then no name but `localhost` leads to it.
    loopback: bool,
}

impl Browser {
    /// At a door that is on loopback, or is not.
    pub(super) fn at(loopback: bool) -> Self {
        Self { loopback }
    }

    /// Whether a page made its browser send this: it says where the page is from, or came under a name that somebody made lead here.
    pub(super) fn sent(self, headers: &HeaderMap) -> bool {
        let page = headers.contains_key(header::ORIGIN) || headers.contains_key("sec-fetch-site");
        page || (self.loopback && !headers.get_all(header::HOST).iter().all(|host| host.to_str().is_ok_and(is_local)))
    }
}

/// An address, or `localhost`; with a port or without.
fn is_local(host: &str) -> bool {
    if host.is_empty() {
        return true;
    }
    let name = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => host.split_once(':').map_or(host, |(name, _)| name),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s2_a_name_that_leads_to_loopback_is_a_rebound_one() {
        for host in ["127.0.0.1:9083", "127.0.0.1", "[::1]:9083", "[::1]", "localhost:9083", "LOCALHOST", "10.0.0.1:80", ""] {
            assert!(is_local(host), "{host}");
        }
        for host in
            ["evil.test", "evil.test:9083", "localhost.evil.test", "127.0.0.1.evil.test:9083", "[evil]:1", "127.0.0.1@evil.test", "a b"]
        {
            assert!(!is_local(host), "{host}");
        }
    }
}

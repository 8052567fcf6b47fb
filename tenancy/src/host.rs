//! Host names and the patterns that grant them, in one canonical form (S20, S21).

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
    sync::Arc,
};

use crate::address;

/// Why a text is not a host or a pattern of hosts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// No host at all.
    #[error("must not be empty")]
    Empty,
    /// More than 253 bytes, or a label of more than 63 (RFC 1035 section 2.3.4).
    #[error("is too long for a host name")]
    TooLong,
    /// A byte outside letters, digits and inner hyphens of a label: a trailing dot, a comma, userinfo, a port that is not one.
    #[error("must be labels of letters, digits and inner hyphens, joined by dots")]
    NotLdh,
    /// A wildcard anywhere but as one leading `*.`.
    #[error("may have one wildcard, as a leading `*.` before a domain name")]
    Wildcard,
    /// A number that resolvers read as an IPv4 address in one of its older spellings: `127.1`, `0x7f.1`, `2130706433`, `0177.0.0.1`.
    #[error("must write an IPv4 address as four decimal numbers without leading zeros")]
    OddAddress,
    /// Brackets around something else than an IPv6 address.
    #[error("must hold an IPv6 address between its brackets")]
    NotIpv6,
}

/// A host in canonical form: a name of lower-case letters, digits and hyphens without a trailing dot, an IPv4 address as a strict dotted
/// quad, or an IPv6 address in brackets as RFC 5952 writes it. No port.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HostName(Arc<str>);

impl HostName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A host that is an address; an IPv4-mapped one is the IPv4 address itself (S3).
    #[must_use]
    pub fn of_address(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self(Arc::from(address.to_string())),
            IpAddr::V6(address) => Self(Arc::from(format!("[{address}]"))),
        }
    }

    /// A host as a URL writes it (RFC 3986 section 3.2.2): a name, or an address, with brackets if it is IPv6.
    ///
    /// # Errors
    /// When it is neither.
    pub fn of_url(host: &str) -> Result<Self, HostError> {
        match host.strip_prefix('[') {
            None => host.parse(),
            Some(rest) => {
                let address: Option<Ipv6Addr> = rest.strip_suffix(']').and_then(|inner| inner.parse().ok());
                Ok(Self::of_address(address.ok_or(HostError::NotIpv6)?.into()))
            }
        }
    }

    /// The address, if the host is one.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        self.0.trim_start_matches('[').trim_end_matches(']').parse().ok()
    }

    /// Why no contract may name this host unless loopback is allowed, in words (S3); absent where it may.
    #[must_use]
    pub fn local(&self) -> Option<&'static str> {
        if let Some(address) = self.address() {
            return address::forbidden(address);
        }
        // Envoy's resolver answers loopback for every name below `localhost` (RFC 6761 section 6.3); the rest stands in common hosts files.
        let name = self.as_str().strip_suffix(".localdomain").unwrap_or(self.as_str());
        let local = name == "localhost" || name.ends_with(".localhost") || matches!(name, "ip6-localhost" | "ip6-loopback" | "localhost6");
        local.then_some("a name of the machine itself")
    }

    /// Whether it is this machine: where plain http leaves nothing to overhear (S18).
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        match self.address() {
            Some(address) => address.is_loopback(),
            None => self.local().is_some(),
        }
    }

    /// The host of a request's `:authority`: lower-cased, one valid port stripped. Whatever else it holds is refused (S20).
    ///
    /// # Errors
    /// When the rest is not a host name.
    pub fn of_authority(authority: &str) -> Result<Self, HostError> {
        let host = match authority.rsplit_once(':') {
            Some((host, port)) if valid_port(port) => host,
            Some(_) => return Err(HostError::NotLdh),
            None => authority,
        };
        host.parse()
    }
}

/// A port as an authority writes it: 1 to 65535, without leading zero or sign.
pub(crate) fn valid_port(port: &str) -> bool {
    port.bytes().all(|byte| byte.is_ascii_digit()) && !port.starts_with('0') && port.parse::<u16>().is_ok()
}

impl FromStr for HostName {
    type Err = HostError;

    fn from_str(text: &str) -> Result<Self, HostError> {
        if text.is_empty() {
            return Err(HostError::Empty);
        }
        if text.len() > 253 {
            return Err(HostError::TooLong);
        }
        for label in text.split('.') {
            if label.len() > 63 {
                return Err(HostError::TooLong);
            }
            let ldh = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
            if label.is_empty() || !ldh || label.starts_with('-') || label.ends_with('-') {
                return Err(HostError::NotLdh);
            }
        }
        if is_odd_address(text) {
            return Err(HostError::OddAddress);
        }
        Ok(Self(Arc::from(text.to_ascii_lowercase())))
    }
}

/// Whether a resolver may read a text as an IPv4 address that is no strict dotted quad: what ends in a number is one to it (WHATWG URL, "ends in a number"), in
/// spellings that differ between resolvers, and a second name of the same server.
#[must_use]
pub fn is_odd_address(host: &str) -> bool {
    ends_in_number(host.strip_suffix('.').unwrap_or(host)) && host.parse::<Ipv4Addr>().is_err()
}

fn ends_in_number(host: &str) -> bool {
    let last = host.rsplit('.').next().unwrap_or_default();
    let hexadecimal = last.strip_prefix("0x").or_else(|| last.strip_prefix("0X"));
    last.bytes().all(|byte| byte.is_ascii_digit()) || hexadecimal.is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A host, or `*.` and a domain: one or more labels before it, never the domain itself (S21).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HostPattern {
    /// This host alone.
    Exact(HostName),
    /// Every host below this domain.
    Below(HostName),
}

impl HostPattern {
    /// Whether a host is in the pattern.
    #[must_use]
    pub fn matches(&self, host: &HostName) -> bool {
        match self {
            Self::Exact(own) => own == host,
            Self::Below(domain) => is_below(host.as_str(), domain.as_str()),
        }
    }

    /// Whether some host is in both patterns: the test for a conflict (S21).
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Exact(host), pattern) | (pattern, Self::Exact(host)) => pattern.matches(host),
            (Self::Below(one), Self::Below(two)) => {
                one == two || is_below(one.as_str(), two.as_str()) || is_below(two.as_str(), one.as_str())
            }
        }
    }

    /// Whether every host of another pattern is in this one: what a tenant may claim inside what it was granted.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (pattern, Self::Exact(host)) => pattern.matches(host),
            (Self::Below(own), Self::Below(theirs)) => own == theirs || is_below(theirs.as_str(), own.as_str()),
            (Self::Exact(_), Self::Below(_)) => false,
        }
    }
}

impl HostPattern {
    /// Why no contract may name hosts of this pattern unless loopback is allowed ([`HostName::local`]).
    #[must_use]
    pub fn local(&self) -> Option<&'static str> {
        match self {
            Self::Exact(host) => host.local(),
            Self::Below(domain) => domain.local(),
        }
    }
}

fn is_below(host: &str, domain: &str) -> bool {
    host.strip_suffix(domain).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
}

impl FromStr for HostPattern {
    type Err = HostError;

    fn from_str(text: &str) -> Result<Self, HostError> {
        match text.strip_prefix("*.") {
            Some(domain) if domain.contains('*') => Err(HostError::Wildcard),
            Some(domain) => match domain.parse::<HostName>()? {
                // Nothing lies below an address.
                domain if domain.address().is_some() => Err(HostError::Wildcard),
                domain => Ok(Self::Below(domain)),
            },
            None if text.contains('*') => Err(HostError::Wildcard),
            None => Ok(Self::Exact(HostName::of_url(text)?)),
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(host) => write!(f, "{host}"),
            Self::Below(domain) => write!(f, "*.{domain}"),
        }
    }
}

#[cfg(test)]
mod tests;

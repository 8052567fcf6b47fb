//! Host names and the patterns that grant them, in one canonical form (S20, S21).

use std::{fmt, str::FromStr, sync::Arc};

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
    #[error("may have one wildcard, as a leading `*.`")]
    Wildcard,
}

/// A host name in canonical form: lower case, letters, digits and hyphens, no trailing dot, no port. A dotted quad is one, too.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HostName(Arc<str>);

impl HostName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
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
fn valid_port(port: &str) -> bool {
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
        Ok(Self(Arc::from(text.to_ascii_lowercase())))
    }
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

fn is_below(host: &str, domain: &str) -> bool {
    host.strip_suffix(domain).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
}

impl FromStr for HostPattern {
    type Err = HostError;

    fn from_str(text: &str) -> Result<Self, HostError> {
        match text.strip_prefix("*.") {
            Some(domain) if domain.contains('*') => Err(HostError::Wildcard),
            Some(domain) => Ok(Self::Below(domain.parse()?)),
            None if text.contains('*') => Err(HostError::Wildcard),
            None => Ok(Self::Exact(text.parse()?)),
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

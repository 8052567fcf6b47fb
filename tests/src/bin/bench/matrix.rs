//! Which situations are measured: a selection in which every dimension appears, or the cross product.

use std::fmt;

/// What decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    /// ext-authz, with tokens that were seen before.
    ExtAuthz,
    /// The same, with a record of each decision (`audit: full`): what is answered is written before.
    Audited,
    /// ext-authz, with API keys.
    ApiKey,
    /// ext-authz, with tokens that nobody has seen before: each costs a signature.
    FirstSight,
    /// ratelimit, each decision in the store.
    Exact,
    /// ratelimit, with tokens taken from the store in advance.
    Leased,
    /// ratelimit, with its buckets in its own memory.
    Memory,
}

/// What everything talks over: client and service, and service and store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sockets {
    /// TCP on loopback.
    Tcp,
    /// Unix sockets.
    Unix,
}

/// One service as it is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Setup {
    pub(crate) what: What,
    pub(crate) tenants: usize,
    /// Whether the limiter counts for bills (ext-authz never does).
    pub(crate) metering: bool,
    pub(crate) sockets: Sockets,
}

/// One situation: a row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Case {
    pub(crate) setup: Setup,
    /// Calls in flight.
    pub(crate) streams: usize,
}

const STREAMS: [usize; 2] = [1, 200];
const TENANTS: [usize; 3] = [1, 1_000, 10_000];
const LIMITERS: [What; 3] = [What::Exact, What::Leased, What::Memory];

impl What {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::ExtAuthz => "ext-authz",
            Self::Audited => "audited",
            Self::ApiKey => "api-key",
            Self::FirstSight => "first-sight",
            Self::Exact => "exact",
            Self::Leased => "leased",
            Self::Memory => "memory",
        }
    }

    /// Whether it is the authorizer.
    pub(crate) const fn is_authorizer(self) -> bool {
        matches!(self, Self::ExtAuthz | Self::Audited | Self::ApiKey | Self::FirstSight)
    }

    /// Whether a Redis or Valkey stands behind it.
    pub(crate) const fn has_store(self) -> bool {
        matches!(self, Self::Exact | Self::Leased)
    }
}

impl Sockets {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Unix => "unix",
        }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Setup { what, tenants, metering, sockets } = self.setup;
        let plural = |number| if number == 1 { "" } else { "s" };
        write!(f, "{} {tenants}-tenant{} {}-stream{}", what.as_str(), plural(tenants), self.streams, plural(self.streams))?;
        if !what.is_authorizer() {
            write!(f, " metering-{}", if metering { "on" } else { "off" })?;
        }
        write!(f, " {}", sockets.as_str())
    }
}

impl Case {
    /// Whether its name has every word of a pattern.
    pub(crate) fn is_named_by(&self, pattern: &str) -> bool {
        let name = self.to_string();
        pattern.split_whitespace().all(|wanted| name.split(' ').any(|word| word == wanted))
    }
}

/// Every dimension, around the situation that the targets are stated for: metering on, over TCP.
pub(crate) fn selected() -> Vec<Case> {
    let mut cases = authorizer();
    for tenants in TENANTS {
        for what in LIMITERS {
            cases.extend(both(Setup { what, tenants, metering: true, sockets: Sockets::Tcp }));
        }
    }
    for tenants in [1, 10_000] {
        cases.extend(LIMITERS.map(|what| Case { setup: Setup { what, tenants, metering: false, sockets: Sockets::Tcp }, streams: 200 }));
        for what in [What::Exact, What::Memory] {
            cases.extend(both(Setup { what, tenants, metering: true, sockets: Sockets::Unix }));
        }
    }
    cases
}

/// The cross product.
pub(crate) fn full() -> Vec<Case> {
    let mut cases = authorizer();
    for tenants in TENANTS {
        for what in LIMITERS {
            for metering in [true, false] {
                for sockets in [Sockets::Tcp, Sockets::Unix] {
                    cases.extend(both(Setup { what, tenants, metering, sockets }));
                }
            }
        }
    }
    cases
}

fn authorizer() -> Vec<Case> {
    let setup = |what, tenants| Setup { what, tenants, metering: false, sockets: Sockets::Tcp };
    let tokens = [1, 10_000].into_iter().flat_map(|tenants| both(setup(What::ExtAuthz, tenants)));
    let others = [What::Audited, What::ApiKey, What::FirstSight].map(|what| Case { setup: setup(what, 10_000), streams: 200 });
    tokens.chain(others).collect()
}

fn both(setup: Setup) -> [Case; 2] {
    STREAMS.map(|streams| Case { setup, streams })
}

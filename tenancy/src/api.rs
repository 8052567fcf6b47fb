//! One API of a tenant's contract.

use std::{collections::BTreeSet, sync::Arc};

use crate::{host::HostPattern, limit::RateLimit, name::ApiName, openapi::OpenApi, upstream::UpstreamUrl};

/// One API of a contract, with its policies resolved.
#[derive(Debug, Clone, PartialEq)]
pub struct Api {
    /// Its name inside the tenant.
    pub name: ApiName,
    /// Where its requests go (with contract routing), already inside the tenant's upstream list.
    pub upstream: UpstreamUrl,
    /// Which credentials it wants.
    pub auth: Auth,
    /// What is recorded of its decisions.
    pub audit: Audit,
    /// What it speaks.
    pub protocol: Protocol,
    /// The methods that may be used; empty: all.
    pub methods: Methods,
    /// Hosts that name this API, besides the platform's addressing.
    pub hosts: Vec<HostPattern>,
    /// Who may use it.
    pub access: Access,
    /// What the OpenAPI document beside the contract lets be reached; absent: every path.
    pub openapi: Option<Arc<OpenApi>>,
    /// Whether `Authorization` and `X-API-Key` reach the upstream (S13).
    pub forward_credentials: bool,
    /// The fourth level: this API only.
    pub rate_limit: Option<RateLimit>,
}

/// Which credentials an API wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Auth {
    /// A token; an API key alone is not enough.
    JwtKeycloak,
    /// An API key.
    ApiKey,
    /// Either.
    Any,
}

/// What is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audit {
    /// Every decision; no decision without a record.
    Full,
    /// Denials.
    Denied,
    /// Nothing.
    None,
}

/// What an API speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// Plain HTTP.
    Http,
    /// MCP: JSON-RPC over HTTP.
    Mcp,
}

/// HTTP methods (RFC 9110 section 9), upper case as on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Methods {
    /// Every method.
    All,
    /// Only these; `Allow` lists them.
    Only(BTreeSet<String>),
}

impl Methods {
    /// Whether a request with this method may pass. Methods are case sensitive (RFC 9110 section 9.1).
    #[must_use]
    pub fn allow(&self, method: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(methods) => methods.contains(method),
        }
    }
}

/// Who may use an API: roles any of, scopes all of.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Access {
    /// The caller needs one of these; empty: none is needed.
    pub roles: BTreeSet<String>,
    /// The caller needs all of these.
    pub scopes: BTreeSet<String>,
    /// Whether a subscription is required.
    pub subscription_required: bool,
}

//! What the operator decides for everybody: addressing, the global limit, regions, what issuers and upstreams may look like.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    str::FromStr,
};

use crate::{
    guardrail::TopicMatcher,
    host::{HostName, HostPattern},
    limit::RateLimit,
    name::{Region, TenantName},
    upstream::Origin,
};

/// The operator's one Platform resource, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Platform {
    /// The issuer of a tenant that states none; `{tenant}` stands for its name.
    pub issuer_template: Option<TenantTemplate>,
    /// Where such an issuer's keys are; absent: OIDC discovery.
    pub jwks_template: Option<TenantTemplate>,
    /// Whom tokens must be meant for where an issuer lists nobody itself (RFC 8725 section 3.9); empty: anybody.
    pub audiences: BTreeSet<String>,
    /// Whether Envoy's own routes or the tenants' contracts choose upstreams.
    pub routing: Routing,
    /// How a request names a tenant and an API.
    pub addressing: Addressing,
    /// The global limit, shared by all tenants.
    pub rate_limit: RateLimit,
    /// The one small bucket of what has no tenant yet (S5, S9).
    pub unresolved: RateLimit,
    /// How many failed authentications a source and an addressed name may have (S5).
    pub auth_failures: AuthFailures,
    /// What the labels in `blockedTopics` mean.
    pub topics: BTreeMap<String, TopicMatcher>,
    /// Whether plain http is allowed for an issuer or `jwksUri` that is not loopback (S18).
    pub allow_insecure_issuers: bool,
    /// Where each region's audit streams live.
    pub regions: BTreeMap<Region, PathBuf>,
    /// How the limiter shares tokens between replicas.
    pub limiter: LimiterSettings,
    /// The signed context token for upstreams.
    pub context_token: ContextToken,
    /// What an upstream may be in this environment.
    pub upstreams: UpstreamSettings,
}

/// A text with `{tenant}` in it, once or more; made concrete for a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantTemplate(pub(crate) String);

impl TenantTemplate {
    /// The text for one tenant.
    #[must_use]
    pub fn for_tenant(&self, tenant: &TenantName) -> String {
        self.0.replace(TENANT, tenant.as_str())
    }

    /// The template as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What stands for a tenant's name in templates.
const TENANT: &str = "{tenant}";

/// Why a text is not a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// Every tenant would have the same.
    #[error("must contain `{{tenant}}`: without it all tenants would share one")]
    NoTenant,
    /// Braces around something else.
    #[error("must contain no braces but `{{tenant}}`")]
    Braces,
    /// A host template that is none.
    #[error("must be a host name with `{{tenant}}` as one whole label and a domain after it: `{{tenant}}.api.example.com`")]
    NotAHost,
}

impl FromStr for TenantTemplate {
    type Err = TemplateError;

    fn from_str(text: &str) -> Result<Self, TemplateError> {
        if !text.contains(TENANT) {
            return Err(TemplateError::NoTenant);
        }
        if text.replace(TENANT, "").contains(['{', '}']) { Err(TemplateError::Braces) } else { Ok(Self(text.to_owned())) }
    }
}

/// Who chooses the upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Routing {
    /// The user's own Envoy routes: we only decide; we never set `:path` or a header that a route matches (S1).
    Own,
    /// The tenant's contract, through two headers and a rewritten path.
    Contract,
}

/// How a request names a tenant and an API: Platform `addressing`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addressing {
    /// A host template with `{tenant}` as one whole label, if hosts name tenants.
    pub host: Option<HostTemplate>,
    /// What the path names.
    pub path: PathTemplate,
}

/// `{tenant}.api.example.com`: what stands before and after the tenant's label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostTemplate {
    /// Labels before `{tenant}`, with their dots (`""` or `"eu."`).
    pub prefix: String,
    /// Labels after it, with their dots (`".api.example.com"`).
    pub suffix: String,
}

impl FromStr for HostTemplate {
    type Err = TemplateError;

    fn from_str(text: &str) -> Result<Self, TemplateError> {
        let (prefix, suffix) = text.split_once(TENANT).ok_or(TemplateError::NoTenant)?;
        let whole_label = (prefix.is_empty() || prefix.ends_with('.')) && suffix.starts_with('.');
        // The longest name that a tenant may have must still make a host name.
        let longest: Result<HostName, _> = text.replacen(TENANT, &"x".repeat(56), 1).parse();
        if !whole_label || longest.is_err() {
            return Err(TemplateError::NotAHost);
        }
        Ok(Self { prefix: prefix.to_ascii_lowercase(), suffix: suffix.to_ascii_lowercase() })
    }
}

/// The leading segments of a path that name something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathTemplate {
    /// `/{tenant}/{api}`
    TenantApi,
    /// `/{api}`: the token (or the host) alone names the tenant.
    Api,
}

/// S5: the failed authentications that are answered before further ones are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuthFailures {
    /// A minute, for each source (an IPv4 /32 or an IPv6 /64).
    pub per_source_minute: u64,
    /// A minute, for each addressed name, existing or not.
    pub per_tenant_minute: u64,
}

/// Platform `limiter`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimiterSettings {
    /// Exact decisions, or tokens taken in advance.
    pub mode: LimiterMode,
    /// How many replicas share the limits when each must answer alone (`onStoreFailure: local`); at least 1.
    pub replicas: u32,
}

/// How a replica takes tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimiterMode {
    /// Every decision is made by the store.
    Exact,
    /// A replica takes tokens in advance.
    Leased,
}

/// Platform `contextToken`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContextToken {
    /// Whether upstreams get one.
    pub enabled: bool,
    /// How long one is valid, in seconds.
    pub ttl_seconds: u64,
}

/// Platform `upstreams`, with the platform's own endpoints that no contract may reach (S3).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UpstreamSettings {
    /// Whether loopback, link-local and unspecified addresses may stand in contracts (tests, laptops).
    pub allow_loopback: bool,
    /// Where an origin is really reached in this environment.
    pub connect: BTreeMap<Origin, Origin>,
    /// Hosts of the gateway and of the platform's own services, which no contract may name.
    pub own_hosts: BTreeSet<HostPattern>,
}

impl Default for AuthFailures {
    fn default() -> Self {
        Self { per_source_minute: 300, per_tenant_minute: 3000 }
    }
}

impl Default for LimiterSettings {
    fn default() -> Self {
        Self { mode: LimiterMode::Exact, replicas: 1 }
    }
}

impl Default for ContextToken {
    fn default() -> Self {
        Self { enabled: false, ttl_seconds: 60 }
    }
}

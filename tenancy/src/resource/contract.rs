//! `kind: UniversalAPIContract`: what a tenant exposes.

use super::Metadata;
use crate::{
    api::{Access, Audit, Auth, Methods, Protocol},
    host::HostPattern,
    limit::RateLimit,
    name::{ApiName, PlanName, ResourceName},
    place::At,
    upstream::UpstreamUrl,
};

/// A contract as written. A tenant may have several; they add up.
#[derive(Debug, Clone)]
pub struct ContractManifest {
    /// `metadata`
    pub metadata: Metadata<ResourceName>,
    /// `spec.version`: the author's own, not compared with anything.
    pub version: Option<String>,
    /// `spec.apis`
    pub apis: Vec<At<ApiManifest>>,
}

/// One entry of `spec.apis`. Defaults are filled in; a default's place is the entry's.
#[derive(Debug, Clone)]
pub struct ApiManifest {
    /// `name`
    pub name: At<ApiName>,
    /// `upstream`, canonical. Whether it is local or inside the tenant's list is judged later.
    pub upstream: At<UpstreamUrl>,
    /// `policies: [{ rateLimit: tier-<plan> }]`, by the plan's name: the plan must exist; if it is not the tenant's own, a warning.
    pub tier: Option<At<PlanName>>,
    /// `policies: [{ auth }]`; default `jwt-keycloak`.
    pub auth: At<Auth>,
    /// `policies: [{ audit }]`; default `denied`.
    pub audit: At<Audit>,
    /// `protocol`; default `http`.
    pub protocol: At<Protocol>,
    /// `methods`; default all.
    pub methods: Methods,
    /// `hosts`: inside the tenant's, judged later.
    pub hosts: Vec<At<HostPattern>>,
    /// `access`
    pub access: Access,
    /// `openapi`: a file name beside the contract (no directory, no leading dot).
    pub openapi: Option<At<String>>,
    /// `forwardCredentials`; default false.
    pub forward_credentials: bool,
    /// `rateLimit`: the fourth level.
    pub rate_limit: Option<At<RateLimit>>,
}

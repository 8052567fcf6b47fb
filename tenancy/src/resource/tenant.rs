//! `kind: Tenant`: what the operator grants one tenant.

use secrecy::SecretString;

use super::Metadata;
use crate::{
    host::HostPattern,
    issuer::{Algorithm, ClaimPath, TenantClaim},
    name::{Namespace, PlanName, Region, TenantName, TenantUid},
    place::At,
    tenant::{Status, StoreFailure},
};

/// A tenant as written.
#[derive(Debug, Clone)]
pub struct TenantManifest {
    /// `metadata`
    pub metadata: Metadata<TenantName>,
    /// `spec.namespace`; default `tenant-<name>`.
    pub namespace: Option<At<Namespace>>,
    /// `spec.plan`
    pub plan: At<PlanName>,
    /// `spec.region`; default `default`.
    pub region: Option<At<Region>>,
    /// `spec.status`; default active.
    pub status: Status,
    /// `spec.issuers`; absent: the platform's templates make one.
    pub issuers: Option<Vec<At<IssuerManifest>>>,
    /// `spec.hosts`
    pub hosts: Vec<At<HostPattern>>,
    /// `spec.upstreams`
    pub upstreams: Vec<At<HostPattern>>,
    /// `spec.limiter.onStoreFailure`; default local.
    pub on_store_failure: StoreFailure,
    /// `spec.store`: it may hold a password.
    pub store: Option<At<SecretString>>,
    /// `spec.uid`
    pub uid: Option<At<TenantUid>>,
}

/// One entry of `spec.issuers`.
#[derive(Debug, Clone)]
pub struct IssuerManifest {
    /// `issuer`
    pub issuer: At<String>,
    /// `jwksUri`
    pub jwks_uri: Option<At<String>>,
    /// `jwks`: the members of `keys`, each kept as it is. They are public keys, but nothing prints them.
    pub jwks: Option<At<Vec<serde_json::Value>>>,
    /// `audiences`
    pub audiences: Vec<String>,
    /// `algorithms`; absent: all.
    pub algorithms: Option<Vec<Algorithm>>,
    /// `tenantClaim`; default `tenant_id`, not required.
    pub tenant_claim: TenantClaim,
    /// `rolesClaims`; absent: `roles` and `realm_access.roles`.
    pub roles_claims: Option<Vec<ClaimPath>>,
    /// `leewaySeconds`; default 30.
    pub leeway_seconds: u64,
}

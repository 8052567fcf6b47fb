//! What the operator grants one tenant, checked and complete: its Tenant resource under the platform's templates and defaults.

mod store;

use std::sync::Arc;

use secrecy::SecretString;

pub use store::{StoreIdentity, StoreServer};

use crate::{
    host::HostPattern,
    issuer::Issuer,
    name::{Namespace, PlanName, Region, TenantName, TenantUid},
    place::At,
    platform::LimiterMode,
    tenant::{Status, StoreFailure},
};

/// A checked Tenant resource. What only other resources can prove wrong keeps its place: the plan's name, and whatever two tenants could
/// claim both.
#[derive(Debug, Clone)]
pub struct TenantGrant {
    /// Its name; the place of a complaint about the whole tenant.
    pub name: At<TenantName>,
    /// `spec.uid`, else Kubernetes' `metadata.uid`; absent in files that write none ([`TenantUid::of_name`] then, and a warning).
    pub uid: Option<At<TenantUid>>,
    /// Its partition; a default's place is the name's.
    pub namespace: At<Namespace>,
    /// Its plan, by name.
    pub plan: At<PlanName>,
    /// Where its audit stream lives.
    pub region: At<Region>,
    /// Whether it is served.
    pub status: Status,
    /// Its issuers, no two alike; none where neither it nor the platform names one (then only API keys prove it).
    pub issuers: Vec<At<Arc<Issuer>>>,
    /// The hosts that its contract may claim.
    pub hosts: Vec<At<HostPattern>>,
    /// Where its contract may point (S3).
    pub upstreams: Vec<At<HostPattern>>,
    /// What the limiter does when the store is away.
    pub on_store_failure: StoreFailure,
    /// How replicas take its tokens; absent: as the platform says.
    pub limiter_mode: Option<LimiterMode>,
    /// A store of its own. It may hold a password.
    pub store: Option<At<SecretString>>,
}

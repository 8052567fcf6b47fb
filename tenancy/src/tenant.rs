//! A tenant as the operator grants it, joined with the policy that the tenant itself wrote.

use std::sync::Arc;

use secrecy::SecretString;

use crate::{
    host::HostPattern,
    issuer::Issuer,
    limit::{Quota, Rate, RateLimit},
    name::{Namespace, PlanName, Region, TenantName, TenantUid},
    platform::LimiterMode,
    policy::TenantPolicy,
};

/// One tenant of a snapshot: what the operator grants, and what the tenant wrote inside it.
#[derive(Debug)]
pub struct Tenant {
    /// Its name, as paths and hosts address it.
    pub name: TenantName,
    /// What stands in keys of the store, caches, audit and metering (S23).
    pub uid: TenantUid,
    /// Its configuration partition.
    pub namespace: Namespace,
    /// The plan it is on.
    pub plan: Arc<Plan>,
    /// Where its audit stream lives.
    pub region: Region,
    /// Whether it is served.
    pub status: Status,
    /// The issuers that are its own, contested ones left out (S17).
    pub issuers: Vec<Arc<Issuer>>,
    /// The host names that its contract may claim.
    pub hosts: Vec<HostPattern>,
    /// Where its contract may point (S3).
    pub upstreams: Vec<HostPattern>,
    /// What the limiter does when the store is away.
    pub on_store_failure: StoreFailure,
    /// How replicas take its tokens; absent: as the platform says.
    pub limiter_mode: Option<LimiterMode>,
    /// A store of its own (`isolation: silo`). It may hold a password.
    pub store: Option<SecretString>,
    /// The tenant's limit: its own guardrails' under its plan's.
    pub rate_limit: RateLimit,
    /// What it may reach, or why that is not known.
    pub policy: Policy,
}

/// The state of a tenant's own configuration.
#[derive(Debug, Clone)]
pub enum Policy {
    /// The policy that decides: the newest, or the last good one.
    Ready(Arc<TenantPolicy>),
    /// No policy was ever good (or the last good one is too old, S10): the tenant is closed, 503. The text is for the operator and
    /// names nothing of another tenant.
    Unavailable(Arc<str>),
}

/// Whether a tenant is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Served.
    Active,
    /// 403; nothing reaches an upstream.
    Suspended,
    /// 403; about to be deleted.
    Offboarding,
}

/// What the limiter answers for a tenant while the store is away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreFailure {
    /// Everything is admitted.
    Open,
    /// Everything is denied.
    Closed,
    /// This replica's share of each limit, in process.
    Local,
}

/// The operator's Plan, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Its name; `rateLimit: tier-<name>` in a contract means it.
    pub name: PlanName,
    /// The most that a tenant on this plan may use.
    pub rate_limit: RateLimit,
    /// What a tenant on this plan is always admitted for; absent: an equal share of half of what the stated ones leave.
    pub guaranteed: Option<Guarantee>,
    /// Quotas, each over another window.
    pub quotas: Vec<Quota>,
    /// How much is shared with other tenants.
    pub isolation: Isolation,
    /// Whether a token must carry the tenant claim.
    pub require_tenant_claim: bool,
}

impl Plan {
    /// The plan of a tenant that has none: it admits nothing and is guaranteed nothing.
    #[must_use]
    pub fn closed(name: &PlanName) -> Self {
        Self {
            name: name.clone(),
            rate_limit: RateLimit::DENY_ALL,
            guaranteed: Some(Guarantee { rate: Rate::per_minute(0), burst_seconds: 1 }),
            quotas: Vec::new(),
            isolation: Isolation::Bridge,
            require_tenant_claim: false,
        }
    }
}

/// A guaranteed allocation (HTB's `rate`, where the limit is its `ceil`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guarantee {
    /// How fast it refills.
    pub rate: Rate,
    /// Seconds' worth that its bucket holds, at least 1.
    pub burst_seconds: u64,
}

impl Guarantee {
    /// The bucket: one `burst_seconds` worth, at least 1 request. Its rate is never above the tenant's own limit.
    #[must_use]
    pub fn bucket(self, tenant: RateLimit) -> RateLimit {
        let worth = u128::from(self.rate.requests) * u128::from(self.burst_seconds) * 1_000_000 / u128::from(self.rate.period_us.max(1));
        let capacity = u64::try_from(worth).unwrap_or(u64::MAX).max(1);
        let own = RateLimit { rate: self.rate, capacity };
        if tenant.capacity == 0 {
            RateLimit::DENY_ALL
        } else {
            RateLimit { rate: own.least(tenant).rate, capacity: capacity.min(tenant.capacity) }
        }
    }
}

/// How much of the platform a plan's tenants share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// Upstreams may be shared where both tenants list them.
    Pool,
    /// Upstreams are never shared.
    Bridge,
    /// Also a store of its own.
    Silo,
}

//! `kind: Plan`: what a tenant on it may use.

use super::Metadata;
use crate::{
    limit::{Quota, RateLimit},
    name::PlanName,
    place::At,
    tenant::{Guarantee, Isolation},
};

/// A plan as written.
#[derive(Debug, Clone)]
pub struct PlanManifest {
    /// `metadata`
    pub metadata: Metadata<PlanName>,
    /// `spec.rateLimit`
    pub rate_limit: At<RateLimit>,
    /// `spec.guaranteed`
    pub guaranteed: Option<At<Guarantee>>,
    /// `spec.quotas`
    pub quotas: Vec<At<Quota>>,
    /// `spec.isolation`; default bridge.
    pub isolation: Isolation,
    /// `spec.requireTenantClaim`; default false.
    pub require_tenant_claim: bool,
}

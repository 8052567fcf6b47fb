//! The operator's Plan, and whether a tenant fits it.

use crate::{
    fault::Fault,
    grant::TenantGrant,
    resource::plan::PlanManifest,
    tenant::{Isolation, Plan},
};

/// The plan that a manifest states. Nothing is left that could be wrong with it alone: its manifest was read.
#[must_use]
pub fn judge(manifest: &PlanManifest) -> Plan {
    Plan {
        name: manifest.metadata.name.value.clone(),
        rate_limit: manifest.rate_limit.value,
        guaranteed: manifest.guaranteed.as_ref().map(|guaranteed| guaranteed.value),
        quotas: manifest.quotas.iter().map(|quota| quota.value.clone()).collect(),
        isolation: manifest.isolation,
        require_tenant_claim: manifest.require_tenant_claim,
    }
}

/// Whether a tenant brings what its plan asks of it: a silo is a store of its own, and only a silo has one.
pub fn fits(grant: &TenantGrant, plan: &Plan, faults: &mut Vec<Fault>) -> bool {
    match (plan.isolation, &grant.store) {
        (Isolation::Silo, None) => {
            faults.push(grant.plan.fault("is a plan with `isolation: silo`: the tenant must have a `store` of its own"));
            false
        }
        (Isolation::Pool | Isolation::Bridge, Some(store)) => {
            faults.push(store.fault("has a meaning only on a plan with `isolation: silo`"));
            false
        }
        _ => true,
    }
}

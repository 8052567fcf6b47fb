//! The hosts that contracts claim, searchable by host.

use std::sync::Arc;

use super::{HostClaim, Sharded};
use crate::{
    host::{HostName, HostPattern},
    name::{ApiName, TenantName},
    policy::TenantPolicy,
};

/// Claims by host, and claims of `*.` and a domain by that domain.
#[derive(Debug, Clone, Default)]
pub(crate) struct HostIndex {
    exact: Sharded<HostName, Arc<[HostClaim]>>,
    below: Sharded<HostName, Arc<[HostClaim]>>,
}

impl HostIndex {
    /// Every claim that a host falls under.
    pub(super) fn of(&self, host: &HostName) -> Vec<&HostClaim> {
        let mut claims: Vec<&HostClaim> = self.exact.get(host).into_iter().flat_map(|claims| claims.iter()).collect();
        let mut rest = host.as_str();
        while let Some((_, parent)) = rest.split_once('.') {
            claims.extend(self.below.get(parent).into_iter().flat_map(|claims| claims.iter()));
            rest = parent;
        }
        claims
    }

    /// Adds the claims of one tenant's contract.
    pub(crate) fn add(&mut self, tenant: &TenantName, policy: &TenantPolicy) {
        for claim in claims(tenant, policy) {
            let (index, host) = self.index(&claim.pattern);
            let others = index.get(&host).map(|claims| claims.to_vec()).unwrap_or_default();
            index.insert(host, others.into_iter().chain([claim]).collect());
        }
    }

    /// Takes the claims of one tenant's contract away.
    pub(crate) fn remove(&mut self, tenant: &TenantName, policy: &TenantPolicy) {
        for claim in claims(tenant, policy) {
            let (index, host) = self.index(&claim.pattern);
            let Some(claims) = index.get(&host) else { continue };
            let others: Arc<[HostClaim]> = claims.iter().filter(|claim| claim.tenant != *tenant).cloned().collect();
            if others.is_empty() {
                index.remove(&host);
            } else {
                index.insert(host, others);
            }
        }
    }

    fn index(&mut self, pattern: &HostPattern) -> (&mut Sharded<HostName, Arc<[HostClaim]>>, HostName) {
        match pattern {
            HostPattern::Exact(host) => (&mut self.exact, host.clone()),
            HostPattern::Below(domain) => (&mut self.below, domain.clone()),
        }
    }
}

fn claims(tenant: &TenantName, policy: &TenantPolicy) -> impl Iterator<Item = HostClaim> {
    let of = |pattern: &HostPattern, api: &ApiName| HostClaim { pattern: pattern.clone(), tenant: tenant.clone(), api: api.clone() };
    policy.apis().flat_map(move |api| api.hosts.iter().map(move |pattern| of(pattern, &api.name)))
}

//! The hosts that contracts claim, searchable by host.

use std::{collections::HashMap, sync::Arc};

use super::HostClaim;
use crate::{
    host::{HostName, HostPattern},
    name::TenantName,
    policy::TenantPolicy,
};

/// Claims by host, and claims of `*.` and a domain by that domain.
#[derive(Debug, Clone, Default)]
pub(crate) struct HostIndex {
    exact: HashMap<HostName, Arc<[HostClaim]>>,
    below: HashMap<HostName, Arc<[HostClaim]>>,
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
        for (pattern, claim) in claims(tenant, policy) {
            let (index, host) = self.index(&pattern);
            let claims = index.entry(host).or_insert_with(|| Arc::from([]));
            *claims = claims.iter().cloned().chain([claim]).collect();
        }
    }

    /// Takes the claims of one tenant's contract away.
    pub(crate) fn remove(&mut self, tenant: &TenantName, policy: &TenantPolicy) {
        for (pattern, _) in claims(tenant, policy) {
            let (index, host) = self.index(&pattern);
            if let Some(claims) = index.get_mut(&host) {
                *claims = claims.iter().filter(|claim| claim.tenant != *tenant).cloned().collect();
                if claims.is_empty() {
                    index.remove(&host);
                }
            }
        }
    }

    fn index(&mut self, pattern: &HostPattern) -> (&mut HashMap<HostName, Arc<[HostClaim]>>, HostName) {
        match pattern {
            HostPattern::Exact(host) => (&mut self.exact, host.clone()),
            HostPattern::Below(domain) => (&mut self.below, domain.clone()),
        }
    }
}

fn claims(tenant: &TenantName, policy: &TenantPolicy) -> impl Iterator<Item = (HostPattern, HostClaim)> {
    policy.apis().flat_map(move |api| {
        api.hosts
            .iter()
            .map(move |pattern| (pattern.clone(), HostClaim { pattern: pattern.clone(), tenant: tenant.clone(), api: api.name.clone() }))
    })
}

//! The snapshot: everything that decisions read, immutable, shared. A decision reads exactly one from start to end.

use std::{collections::HashMap, sync::Arc};

use arc_swap::ArcSwapOption;

use crate::{
    host::{HostName, HostPattern},
    issuer::{Issuer, IssuerId},
    limit::{Rate, RateLimit},
    name::{ApiName, Namespace, TenantName},
    platform::Platform,
    tenant::{Guarantee, Tenant},
};

mod hosts;
mod sharded;

pub(crate) use hosts::HostIndex;
pub(crate) use sharded::Sharded;

/// Whose each issuer is. The operator names them, and strangers only look them up.
pub(crate) type Issuers = HashMap<IssuerId, (TenantName, Arc<Issuer>), foldhash::fast::RandomState>;

/// Everything that decisions read. Tenants that did not change are the same allocation in the next snapshot.
#[derive(Debug)]
pub struct Snapshot {
    pub(crate) generation: u64,
    pub(crate) platform: Arc<Platform>,
    pub(crate) tenants: Sharded<TenantName, Arc<Tenant>>,
    pub(crate) issuers: Arc<Issuers>,
    pub(crate) namespaces: Arc<HashMap<Namespace, TenantName>>,
    pub(crate) hosts: HostIndex,
    pub(crate) default_guarantee: Rate,
}

/// An API that a host name belongs to: granted by the operator, claimed in the contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostClaim {
    /// What was claimed.
    pub pattern: HostPattern,
    /// Whose it is.
    pub tenant: TenantName,
    /// The API that it names.
    pub api: ApiName,
}

impl Snapshot {
    /// A decimal number of this process, larger for every later snapshot; for eyes only.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The operator's platform.
    #[must_use]
    pub fn platform(&self) -> &Arc<Platform> {
        &self.platform
    }

    /// The tenant of that name.
    #[must_use]
    pub fn tenant(&self, name: &str) -> Option<&Arc<Tenant>> {
        self.tenants.get(name)
    }

    /// The tenant whose partition or Kubernetes namespace this is (S21: namespaces are unique).
    #[must_use]
    pub fn by_namespace(&self, namespace: &str) -> Option<&Arc<Tenant>> {
        self.tenants.get(self.namespaces.get(namespace)?)
    }

    /// Every tenant, in no order.
    pub fn tenants(&self) -> impl Iterator<Item = &Arc<Tenant>> {
        self.tenants.iter().map(|(_, tenant)| tenant)
    }

    /// The one tenant that owns an issuer, by the whole text of `iss`: no prefix, suffix, case or slash is forgiven.
    #[must_use]
    pub fn by_issuer(&self, iss: &str) -> Option<(&Arc<Tenant>, &Arc<Issuer>)> {
        let (tenant, issuer) = self.issuers.get(iss)?;
        Some((self.tenants.get(tenant)?, issuer))
    }

    /// Every claim that a host name falls under. Several can only be of one tenant (conflicts are refused at load), for several APIs.
    #[must_use]
    pub fn host_claims(&self, host: &HostName) -> Vec<&HostClaim> {
        self.hosts.of(host)
    }

    /// The guarantee bucket of a tenant: its plan's, else the equal share, never above its own limit.
    #[must_use]
    pub fn guarantee(&self, tenant: &Tenant) -> RateLimit {
        let stated = tenant.plan.guaranteed.unwrap_or(Guarantee { rate: self.default_guarantee, burst_seconds: 1 });
        stated.bucket(tenant.rate_limit)
    }
}

impl std::borrow::Borrow<str> for HostName {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

/// The snapshot of the moment, for whoever decides: empty until the first one is there (not ready), then never empty again.
#[derive(Debug, Clone, Default)]
pub struct Live(Arc<ArcSwapOption<Snapshot>>);

impl Live {
    /// The snapshot to decide by, from start to end of one decision.
    #[must_use]
    pub fn load(&self) -> Option<Arc<Snapshot>> {
        self.0.load_full()
    }

    /// Puts a snapshot in place of the last one.
    pub fn publish(&self, snapshot: Arc<Snapshot>) {
        self.0.store(Some(snapshot));
    }
}

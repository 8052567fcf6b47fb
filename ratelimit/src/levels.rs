//! Which buckets a request pays, from one snapshot: global with the tenant's guarantee, tenant, subscription, API, the quotas of tenant and
//! subscription beside their buckets, and the limits of policies in shadow.

use std::sync::Arc;

use bulkhead_tenancy::{
    api::Api,
    platform::LimiterMode,
    snapshot::Snapshot,
    subscription::Subscription,
    tenant::{Policy, Tenant},
};

use crate::{
    bucket::Bucket,
    charge::{Charge, Scope, Shape},
    key::Keyspace,
    shapes::{Origin, Shapes},
};

/// Builds charges; both doors of the limiter use this, so the same request pays the same buckets through either. A clone shares what is known.
#[derive(Debug, Clone, Default)]
pub struct Levels {
    keys: Keyspace,
    unmetered: bool,
    shapes: Arc<Shapes>,
}

impl Levels {
    /// Charges below the keys of one deployment.
    #[must_use]
    pub fn new(keys: Keyspace) -> Self {
        Self { keys, ..Self::default() }
    }

    /// Whether what is charged is also counted at meters, by tenant, subscription, API and hour. It is, unless this says otherwise.
    #[must_use]
    pub fn metering(self, on: bool) -> Self {
        Self { keys: self.keys, unmetered: !on, shapes: Arc::default() }
    }

    /// What a request of a tenant pays: as [`Levels::of_tenant`], of a shape that is built once and then shared, so that equal requests are
    /// decided together.
    #[must_use]
    pub fn charge(
        &self,
        snapshot: &Snapshot,
        tenant: &Arc<Tenant>,
        subscription: Option<&Arc<Subscription>>,
        api: Option<&Arc<Api>>,
        cost: u64,
    ) -> Charge {
        Charge::of(self.shape_of(snapshot, tenant, subscription, api), cost)
    }

    /// The shape of that charge.
    pub(crate) fn shape_of(
        &self,
        snapshot: &Snapshot,
        tenant: &Arc<Tenant>,
        subscription: Option<&Arc<Subscription>>,
        api: Option<&Arc<Api>>,
    ) -> Arc<Shape> {
        let origin = Origin { snapshot, tenant, guarantee: snapshot.guarantee(tenant), subscription, api };
        self.shapes.get(origin, || self.shape(snapshot, tenant, subscription.map(Arc::as_ref), api.map(Arc::as_ref)))
    }

    /// What a request of a tenant pays. A level that is not known, or states no limit of its own, is left out.
    #[must_use]
    pub fn of_tenant(
        &self,
        snapshot: &Snapshot,
        tenant: &Tenant,
        subscription: Option<&Subscription>,
        api: Option<&Api>,
        cost: u64,
    ) -> Charge {
        Charge::of(Arc::new(self.shape(snapshot, tenant, subscription, api)), cost)
    }

    fn shape(&self, snapshot: &Snapshot, tenant: &Tenant, subscription: Option<&Subscription>, api: Option<&Api>) -> Shape {
        let guarantee = (self.keys.guarantee(&tenant.uid), Bucket::token(snapshot.guarantee(tenant)));
        let global = Bucket::token(snapshot.platform().rate_limit);
        let mut shape = Shape::new().shared(self.keys.global(), global, Some(guarantee)).hold(
            Scope::Tenant,
            self.keys.tenant(&tenant.uid),
            Bucket::token(tenant.rate_limit),
        );
        for quota in &tenant.plan.quotas {
            shape = shape.hold(Scope::Tenant, self.keys.quota(&tenant.uid, &quota.window.to_string()), Bucket::quota(quota));
        }
        if let Some((subscription, limit)) = subscription.and_then(|one| Some((one, one.rate_limit?))) {
            shape = shape.hold(Scope::Subscription, self.keys.subscription(&tenant.uid, &subscription.name), Bucket::token(limit));
        }
        for (subscription, quota) in subscription.iter().flat_map(|one| one.quotas.iter().map(move |quota| (one, quota))) {
            let key = self.keys.subscription_quota(&tenant.uid, &subscription.name, &quota.window.to_string());
            shape = shape.hold(Scope::Subscription, key, Bucket::quota(quota));
        }
        if let Some((api, limit)) = api.and_then(|one| Some((one, one.rate_limit?))) {
            shape = shape.hold(Scope::Api, self.keys.api(&tenant.uid, &api.name), Bucket::token(limit));
        }
        if let Policy::Ready(policy) = &tenant.policy {
            for (shadow, limit) in policy.guardrails().shadow.iter().filter_map(|one| Some((one, one.rate_limit?))) {
                // As it would be if it stood: under what stands.
                let bucket = Bucket::token(limit.least(tenant.rate_limit));
                shape = shape.shadow(&shadow.name, self.keys.shadow(&tenant.uid, &shadow.name), bucket);
            }
        }
        let limiter = snapshot.platform().limiter;
        if tenant.limiter_mode.unwrap_or(limiter.mode) == LimiterMode::Leased {
            // So that of what is left each replica finds something, when all take at once.
            shape = shape.leased(limiter.replicas.saturating_mul(2));
        }
        if self.unmetered {
            return shape;
        }
        let meter = self.keys.meter(&tenant.uid, subscription.map(|one| &one.name), api.map(|one| &one.name));
        shape.metered(meter)
    }

    /// What a request without a tenant pays: the one small bucket in the tenant's place, and global, without a guarantee (S9).
    #[must_use]
    pub fn unresolved(&self, snapshot: &Snapshot, cost: u64) -> Charge {
        let platform = snapshot.platform();
        let build = || {
            let shape = Shape::new().shared(self.keys.global(), Bucket::token(platform.rate_limit), None).hold(
                Scope::Tenant,
                self.keys.unresolved(),
                Bucket::token(platform.unresolved),
            );
            if self.unmetered { shape } else { shape.metered(self.keys.unresolved_meter()) }
        };
        Charge::of(self.shapes.unresolved(platform, build), cost)
    }
}

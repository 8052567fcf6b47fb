//! What a seed stands for: the platform, its tenants and their limits, how many replicas there are, and which faults may happen.

use std::sync::Arc;

use bulkhead_ratelimit::{
    bucket::{Bucket, Window},
    charge::{Scope, Shape},
    key::Keyspace,
};
use bulkhead_tenancy::{
    limit::{Rate, RateLimit},
    name::TenantUid,
};

use crate::chance::Chance;

/// A token bucket in requests a second, and requests.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limit {
    pub(crate) rate: u64,
    pub(crate) capacity: u64,
}

impl Limit {
    fn bucket(self) -> Bucket {
        Bucket::token(RateLimit { rate: Rate { requests: self.rate, period_us: 1_000_000 }, capacity: self.capacity })
    }

    pub(crate) fn most(self, other: Self) -> Self {
        Self { rate: self.rate.max(other.rate), capacity: self.capacity.max(other.capacity) }
    }
}

/// A tenant of a plan.
#[derive(Debug, Clone)]
pub(crate) struct Tenant {
    pub(crate) uid: TenantUid,
    pub(crate) limit: Limit,
    pub(crate) guarantee: Limit,
    /// Requests in each window of a length in microseconds.
    pub(crate) window: Option<(u64, u64)>,
    pub(crate) leased: bool,
    pub(crate) costs: u64,
}

/// Which faults may happen.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Faults {
    pub(crate) network: bool,
    pub(crate) store: bool,
    pub(crate) clock: bool,
    pub(crate) replicas: bool,
    pub(crate) configuration: bool,
}

/// What a seed stands for.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) replicas: usize,
    pub(crate) global: Limit,
    pub(crate) tenants: Vec<Tenant>,
    pub(crate) faults: Faults,
    /// Microseconds between bursts, on average.
    pub(crate) pause_us: u64,
    pub(crate) burst: u64,
}

impl Plan {
    pub(crate) fn of(chance: &mut Chance) -> Self {
        let count = chance.within(2, 24);
        let global = Limit { rate: chance.within(200, 4_000), capacity: chance.within(50, 4_000) };
        let over_committed = chance.one_in(4);
        let most = if over_committed { global.rate } else { (global.rate / count).max(1) };
        let leasing = chance.within(0, 3);
        let tenant = |index: u64, chance: &mut Chance| Tenant {
            uid: uid(index),
            limit: Limit { rate: chance.within(20, 2_000), capacity: chance.within(10, 3_000) },
            guarantee: Limit { rate: chance.within(1, most + 1), capacity: chance.within(8, 60) },
            window: chance.one_in(3).then(|| (chance.within(10, 2_000), chance.within(1, 5) * 1_000_000)),
            leased: leasing == 1 || (leasing == 2 && chance.one_in(2)),
            costs: if chance.one_in(3) { 7 } else { 1 },
        };
        let tenants = (0..count).map(|index| tenant(index, chance)).collect();
        let mut fault = || chance.one_in(2);
        let faults =
            Faults { network: fault(), store: fault() && fault(), clock: fault() && fault(), replicas: fault(), configuration: fault() };
        let replicas = usize::try_from(chance.within(1, 5)).unwrap_or(1);
        Self { replicas, global, tenants, faults, pause_us: chance.within(300, 3_000), burst: chance.within(2, 30) }
    }

    /// The buckets of a tenant's requests.
    pub(crate) fn shape(&self, keys: &Keyspace, tenant: &Tenant) -> Arc<Shape> {
        let guarantee = (keys.guarantee(&tenant.uid), tenant.guarantee.bucket());
        let mut shape = Shape::new().shared(keys.global(), self.global.bucket(), Some(guarantee)).hold(
            Scope::Tenant,
            keys.tenant(&tenant.uid),
            tenant.limit.bucket(),
        );
        if let Some((limit, length_us)) = tenant.window {
            shape = shape.hold(Scope::Tenant, keys.quota(&tenant.uid, "window"), Bucket::Window(Window::new(limit, length_us)));
        }
        let shape = shape.metered(keys.meter(&tenant.uid, None, None));
        let share = u32::try_from(2 * self.replicas).unwrap_or(u32::MAX);
        Arc::new(if tenant.leased { shape.leased(share) } else { shape })
    }
}

fn uid(index: u64) -> TenantUid {
    // A name of letters and digits is always one.
    format!("t{index}").parse().unwrap_or_else(|_| unreachable!("a tenant's name"))
}

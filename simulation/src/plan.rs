//! What a seed stands for: the platform, its tenants and their limits, how many replicas there are, and which faults may happen.

use std::sync::Arc;

use bulkhead_ratelimit::{
    bucket::{Bucket, CalendarQuota, Sliding, Window},
    charge::{Scope, Shape},
    key::Keyspace,
    limiter::Fallback,
};
use bulkhead_tenancy::{
    calendar::{Calendar, Per},
    limit::{Rate, RateLimit},
    name::TenantUid,
    tenant::StoreFailure,
};

use crate::chance::Chance;

/// Moments at which periods end, in seconds since 1970: a year; a month, a day before the clocks go forward, the hour that does not exist and the
/// hour that comes twice, all in Berlin.
const TURNS: [u64; 5] = [1_735_689_600, 1_738_364_400, 1_743_289_200, 1_743_296_400, 1_761_440_400];

/// For so long the operator changes one thing after the other, and for so long nothing: then the new limits alone hold.
const CHANGING_US: u64 = 8_000_000;

/// The most tenants that ever are.
const TENANTS: usize = 60;

/// A guarantee may be stated for so many seconds.
const SECONDS: [u64; 3] = [1, 3, 60];

/// A token bucket in requests a second, and requests.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Limit {
    pub(crate) rate: u64,
    pub(crate) capacity: u64,
}

impl Limit {
    pub(crate) fn bucket(self, seconds: u64) -> Bucket {
        let rate = Rate { requests: self.rate * seconds, period_us: seconds * 1_000_000 };
        Bucket::token(RateLimit { rate, capacity: self.capacity })
    }

    /// The same, stated for each time that there is.
    pub(crate) fn however_stated(self) -> impl Iterator<Item = Bucket> {
        SECONDS.into_iter().map(move |seconds| self.bucket(seconds))
    }

    pub(crate) fn most(self, other: Self) -> Self {
        Self { rate: self.rate.max(other.rate), capacity: self.capacity.max(other.capacity) }
    }

    pub(crate) fn least(self, other: Self) -> Self {
        Self { rate: self.rate.min(other.rate), capacity: self.capacity.min(other.capacity) }
    }
}

/// What an operator changed.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Change {
    /// The global limit, from this one.
    Global(Limit),
    /// A tenant's limit.
    Limit(usize),
    /// What a tenant's quota holds.
    Quota(usize),
    /// A tenant's guarantee, from this one.
    Guarantee(usize, Limit),
    /// A tenant's guarantee is the same, stated for another time: nothing may change.
    Restated,
    /// A tenant is no more.
    Left(usize),
    /// There is another one, the last.
    Came,
}

impl Change {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Global(_) => "global limits changed",
            Self::Limit(_) => "limits changed",
            Self::Quota(_) => "quotas changed",
            Self::Guarantee(..) => "guarantees changed",
            Self::Restated => "guarantees stated for another time",
            Self::Left(_) => "tenants deleted",
            Self::Came => "tenants added",
        }
    }
}

/// A tenant of a plan.
#[derive(Debug, Clone)]
pub(crate) struct Tenant {
    pub(crate) uid: TenantUid,
    pub(crate) limit: Limit,
    pub(crate) guarantee: Limit,
    /// The guarantee's rate is stated for so many seconds: what a unit of its bucket is changes with it.
    pub(crate) seconds: u64,
    pub(crate) quotas: Vec<Bucket>,
    pub(crate) leased: bool,
    pub(crate) costs: u64,
    pub(crate) failure: StoreFailure,
    /// It was deleted. Whoever comes later is another one (S23).
    pub(crate) gone: bool,
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
    /// When it begins: shortly before a turn.
    pub(crate) start_us: u64,
    pub(crate) replicas: usize,
    pub(crate) global: Limit,
    pub(crate) tenants: Vec<Tenant>,
    pub(crate) faults: Faults,
    /// Microseconds between bursts, on average.
    pub(crate) pause_us: u64,
    pub(crate) burst: u64,
    /// One request in so many has two descriptors.
    pub(crate) pairs: u64,
    over_committed: bool,
    leasing: u64,
}

impl Plan {
    pub(crate) fn of(chance: &mut Chance) -> Self {
        let global = global(chance);
        let turn = TURNS.get(chance.index(TURNS.len())).copied().unwrap_or_default();
        let start_us = turn * 1_000_000 - chance.within(0, 10_000_000);
        let over_committed = chance.one_in(4);
        let leasing = chance.within(0, 3);
        let mut fault = || chance.one_in(2);
        let faults =
            Faults { network: fault(), store: fault() && fault(), clock: fault() && fault(), replicas: fault(), configuration: fault() };
        let replicas = usize::try_from(chance.within(1, 5)).unwrap_or(1);
        let (pause_us, burst, pairs) = (chance.within(300, 3_000), chance.within(2, 30), chance.within(3, 40));
        // Half of them with less load, and so for longer.
        let pause_us = if chance.one_in(2) { pause_us } else { 8 * pause_us };
        let tenants = Vec::new();
        let mut plan = Self { start_us, replicas, global, tenants, faults, pause_us, burst, pairs, over_committed, leasing };
        let count = chance.within(2, 24);
        for _ in 0..count {
            let most = if over_committed { global.rate } else { (global.rate / count).max(1) };
            plan.join(chance, most);
        }
        plan
    }

    /// The operator changes something, if it is the time for it; tenants come and go.
    pub(crate) fn reconfigure(&mut self, chance: &mut Chance, now_us: u64) -> Option<Change> {
        if now_us / CHANGING_US % 2 == 1 {
            return None;
        }
        let (index, room) = (chance.index(self.tenants.len()), self.room());
        // Enough of them stay that there is load.
        let few = 2 * self.tenants.iter().filter(|of| !of.gone).count() <= self.tenants.len();
        match chance.within(0, 7) {
            0 => {
                let before = self.global;
                self.global = global(chance);
                return Some(Change::Global(before));
            }
            1 => return self.newcomer(chance).then_some(Change::Came),
            _ => {}
        }
        let of = self.tenants.get_mut(index).filter(|of| !of.gone)?;
        match chance.within(0, 7) {
            0 if !few => {
                of.gone = true;
                Some(Change::Left(index))
            }
            1 => {
                of.limit = Limit { rate: chance.within(20, 2_000), capacity: chance.within(10, 3_000) };
                Some(Change::Limit(index))
            }
            2 => {
                let quota = of.quotas.first_mut()?;
                *quota = holding(quota, chance.within(10, 2_000));
                Some(Change::Quota(index))
            }
            3 => {
                of.seconds = SECONDS.get(chance.index(3)).copied().unwrap_or(1);
                Some(Change::Restated)
            }
            // Raised or lowered, and perhaps stated for another time; together guarantees stay within the global limit.
            _ => {
                let before = of.guarantee;
                of.guarantee = Limit { rate: chance.within(1, before.rate + room + 1), capacity: chance.within(8, 60) };
                of.seconds = SECONDS.get(chance.index(3)).copied().unwrap_or(1);
                Some(Change::Guarantee(index, before))
            }
        }
    }

    /// Another tenant, if there is room: guarantees together stay within the global limit, unless the operator has over-committed it.
    fn newcomer(&mut self, chance: &mut Chance) -> bool {
        let room = self.room();
        let fits = self.tenants.len() < TENANTS && room > 0;
        if fits {
            self.join(chance, room);
        }
        fits
    }

    fn join(&mut self, chance: &mut Chance, most: u64) {
        let index = self.tenants.len();
        let requests = chance.within(10, 2_000);
        let quota = match chance.within(0, 6) {
            0 => Some(Bucket::Window(Window::new(requests, chance.within(1, 5) * 1_000_000))),
            1 => Some(Bucket::Sliding(Sliding::new(requests, chance.within(1, 5) * 1_000_000))),
            2 => Some(Bucket::Calendar(CalendarQuota::new(requests, calendar(chance)))),
            _ => None,
        };
        let failure = match chance.within(0, 4) {
            0 => StoreFailure::Open,
            1 => StoreFailure::Closed,
            _ => StoreFailure::Local,
        };
        self.tenants.push(Tenant {
            uid: uid(index),
            limit: Limit { rate: chance.within(20, 2_000), capacity: chance.within(10, 3_000) },
            guarantee: Limit { rate: chance.within(1, most + 1), capacity: chance.within(8, 60) },
            seconds: 1,
            quotas: quota.into_iter().collect(),
            leased: self.leasing == 1 || (self.leasing == 2 && chance.one_in(2)),
            costs: if chance.one_in(3) { 7 } else { 1 },
            failure,
            gone: false,
        });
    }

    /// What guarantees leave of the global limit, in requests a second.
    fn room(&self) -> u64 {
        let stated: u64 = self.tenants.iter().filter(|one| !one.gone).map(|one| one.guarantee.rate).sum();
        if self.over_committed { self.global.rate } else { self.global.rate.saturating_sub(stated) }
    }

    /// The buckets of a tenant's requests, while it is.
    pub(crate) fn shape(&self, keys: &Keyspace, tenant: &Tenant) -> Option<Arc<Shape>> {
        if tenant.gone {
            return None;
        }
        let guarantee = (keys.guarantee(&tenant.uid), tenant.guarantee.bucket(tenant.seconds));
        let mut shape = Shape::new().shared(keys.global(), self.global.bucket(1), Some(guarantee)).hold(
            Scope::Tenant,
            keys.tenant(&tenant.uid),
            tenant.limit.bucket(1),
        );
        for quota in &tenant.quotas {
            shape = shape.hold(Scope::Tenant, keys.quota(&tenant.uid, "quota"), quota.clone());
        }
        let shape = shape.metered(keys.meter(&tenant.uid, None, None));
        let share = u32::try_from(2 * self.replicas).unwrap_or(u32::MAX);
        Some(Arc::new(if tenant.leased { shape.leased(share) } else { shape }))
    }

    /// What answers for a tenant while the store does not.
    pub(crate) fn fallback(&self, tenant: &Tenant) -> Fallback {
        Fallback { mode: tenant.failure, replicas: u32::try_from(self.replicas).unwrap_or(1) }
    }
}

fn global(chance: &mut Chance) -> Limit {
    Limit { rate: chance.within(200, 4_000), capacity: chance.within(50, 4_000) }
}

/// A quota over the same window, for so many requests.
fn holding(quota: &Bucket, requests: u64) -> Bucket {
    match quota {
        Bucket::Window(window) => Bucket::Window(Window::new(requests, window.length_us())),
        Bucket::Sliding(sliding) => Bucket::Sliding(Sliding::new(requests, sliding.length_us())),
        Bucket::Calendar(quota) => Bucket::Calendar(CalendarQuota::new(requests, quota.calendar().clone())),
        Bucket::Token(token) => Bucket::Token(*token),
    }
}

fn calendar(chance: &mut Chance) -> Calendar {
    let per = match chance.within(0, 4) {
        0 => Per::Hour,
        1 => Per::Day,
        2 => Per::Week,
        _ => Per::Month,
    };
    // The zone is in every database.
    Calendar::new(per, None, "Europe/Berlin").unwrap_or_else(|_| unreachable!("a zone"))
}

fn uid(index: usize) -> TenantUid {
    // A name of letters and digits is always one.
    format!("t{index}").parse().unwrap_or_else(|_| unreachable!("a tenant's name"))
}

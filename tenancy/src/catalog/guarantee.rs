//! Guarantees add up to what there is (S17, S25): the ledger of who is guaranteed what.
//!
//! The sum of the stated guarantees stays at most the global limit, and below it while any tenant's plan states none, so that every tenant
//! is guaranteed something. A change past the total is refused, that one change only: what raises goes after what lowers, plans before
//! moves, moves before newcomers, each in the order of names.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{
    limit::{MINUTE_US, Rate, RateLimit},
    name::{PlanName, TenantName},
    tenant::Plan,
};

/// What the operator asks for, or what was granted.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ledger {
    /// The global limit; absent before the first platform.
    pub(crate) total: Option<RateLimit>,
    /// The plans.
    pub(crate) plans: BTreeMap<PlanName, Arc<Plan>>,
    /// The tenants that are served, with the plan of each: always one of `plans`.
    pub(crate) tenants: BTreeMap<TenantName, PlanName>,
}

/// What did not fit.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Refused {
    /// The global limit was to fall below what is guaranteed: the previous one holds.
    pub(crate) total: bool,
    /// These plans were to guarantee more: their previous version holds.
    pub(crate) plans: BTreeSet<PlanName>,
    /// These tenants were to move to another plan: the previous one holds.
    pub(crate) moves: BTreeSet<TenantName>,
    /// These tenants are new: they are closed.
    pub(crate) newcomers: BTreeSet<TenantName>,
}

/// The running sum.
#[derive(Debug, Clone, Copy)]
struct Sum {
    total: i128,
    stated: i128,
    unstated: i128,
}

impl Sum {
    fn fits(self) -> bool {
        self.stated < self.total || (self.stated == self.total && self.unstated == 0)
    }

    /// Adds so many tenants on a plan, or takes them away.
    fn with(mut self, plan: &Plan, tenants: i128) -> Self {
        match stated(plan) {
            Some(rate) => self.stated += rate * tenants,
            None => self.unstated += tenants,
        }
        self
    }
}

/// A plan's stated guarantee in requests a minute.
fn stated(plan: &Plan) -> Option<i128> {
    plan.guaranteed.map(|guarantee| a_minute(guarantee.rate))
}

fn a_minute(rate: Rate) -> i128 {
    i128::from(rate.requests) * i128::from(MINUTE_US) / i128::from(rate.period_us.max(1))
}

/// Grants what fits of what is asked for, beginning with what is there.
pub(crate) fn settle(before: &Ledger, asked: &Ledger) -> (Ledger, Refused) {
    if before.total.is_some() && before.guarantees_the_same(asked) {
        return (asked.clone(), Refused::default());
    }
    let mut refused = Refused::default();
    let mut granted = Ledger { total: asked.total, ..Ledger::default() };

    // What stays as it is: tenants that are still asked for, on a plan that still is; plans in their previous version.
    for (name, plan) in &asked.plans {
        granted.plans.insert(name.clone(), Arc::clone(before.plans.get(name).unwrap_or(plan)));
    }
    for (tenant, plan) in &before.tenants {
        if asked.tenants.contains_key(tenant) && asked.plans.contains_key(plan) {
            granted.tenants.insert(tenant.clone(), plan.clone());
        }
    }
    let minute = |limit: Option<RateLimit>| limit.map_or(0, |limit| a_minute(limit.rate));
    let mut sum = Sum { total: minute(asked.total).max(minute(before.total)), stated: 0, unstated: 0 };
    let mut on: BTreeMap<PlanName, i128> = BTreeMap::new();
    for plan in granted.tenants.values() {
        *on.entry(plan.clone()).or_default() += 1;
        if let Some(plan) = granted.plans.get(plan) {
            sum = sum.with(plan, 1);
        }
    }

    // Plans that change: those that lower first.
    let mut changes: Vec<_> =
        asked.plans.values().filter(|plan| granted.plans.get(&plan.name).is_some_and(|old| old.guaranteed != plan.guaranteed)).collect();
    changes.sort_by_key(|plan| raises(granted.plans.get(&plan.name), plan));
    for plan in changes {
        let tenants = on.get(&plan.name).copied().unwrap_or_default();
        let Some(old) = granted.plans.get(&plan.name) else { continue };
        let next = sum.with(old, -tenants).with(plan, tenants);
        if tenants == 0 || next.fits() {
            sum = next;
        } else {
            refused.plans.insert(plan.name.clone());
        }
    }
    for (name, plan) in &asked.plans {
        if !refused.plans.contains(name) {
            granted.plans.insert(name.clone(), Arc::clone(plan));
        }
    }

    // Tenants that move: those to a smaller guarantee first.
    let mut moves: Vec<_> =
        asked.tenants.iter().filter(|(tenant, plan)| granted.tenants.get(*tenant).is_some_and(|old| old != *plan)).collect();
    moves.sort_by_key(|(tenant, plan)| {
        let old = granted.tenants.get(*tenant).and_then(|old| granted.plans.get(old));
        granted.plans.get(*plan).is_some_and(|plan| raises(old, plan))
    });
    for (tenant, to) in moves {
        let from = granted.tenants.get(tenant).and_then(|from| granted.plans.get(from));
        let (Some(from), Some(plan)) = (from, granted.plans.get(to)) else { continue };
        let next = sum.with(from, -1).with(plan, 1);
        if next.fits() {
            sum = next;
            granted.tenants.insert(tenant.clone(), to.clone());
        } else {
            refused.moves.insert(tenant.clone());
        }
    }

    // A global limit that falls is judged before newcomers: room that is about to go is not given away.
    let lowered = Sum { total: minute(asked.total), ..sum };
    if lowered.fits() || granted.tenants.is_empty() {
        sum = lowered;
    } else {
        refused.total = true;
        granted.total = before.total;
        sum.total = minute(before.total);
    }

    let newcomers: Vec<_> = asked.tenants.iter().filter(|(tenant, _)| !granted.tenants.contains_key(*tenant)).collect();
    for (tenant, name) in newcomers {
        let Some(plan) = granted.plans.get(name) else { continue };
        let next = sum.with(plan, 1);
        if next.fits() {
            sum = next;
            granted.tenants.insert(tenant.clone(), name.clone());
        } else {
            refused.newcomers.insert(tenant.clone());
        }
    }
    (granted, refused)
}

/// Whether the second plan guarantees more than the first. None stated counts as nothing: it takes only what is left.
fn raises(old: Option<&Arc<Plan>>, new: &Plan) -> bool {
    stated(new).unwrap_or(0) > old.and_then(|old| stated(old)).unwrap_or(0)
}

impl Ledger {
    /// Whether the sum of what is guaranteed, and what it must fit into, are those of another ledger: what fitted then fits now.
    fn guarantees_the_same(&self, other: &Self) -> bool {
        let guaranteed = |ledger: &'_ Self| ledger.plans.iter().map(|(name, plan)| (name.clone(), plan.guaranteed)).collect::<Vec<_>>();
        self.total == other.total && self.tenants == other.tenants && guaranteed(self) == guaranteed(other)
    }

    /// The share of a tenant whose plan states none: an equal part of half of what the stated guarantees leave, as an exact fraction.
    pub(crate) fn default_share(&self) -> Rate {
        let total = self.total.map_or(0, |limit| a_minute(limit.rate));
        let (mut left, mut unstated) = (total, 0_u64);
        for plan in self.tenants.values().filter_map(|plan| self.plans.get(plan)) {
            match stated(plan) {
                Some(rate) => left -= rate,
                None => unstated += 1,
            }
        }
        let requests = u64::try_from(left).unwrap_or(0);
        let period = MINUTE_US.saturating_mul(2).saturating_mul(unstated.max(1));
        let divisor = greatest_common_divisor(requests, period);
        Rate { requests: requests / divisor, period_us: period / divisor }
    }
}

fn greatest_common_divisor(mut one: u64, mut two: u64) -> u64 {
    while two != 0 {
        (one, two) = (two, one % two);
    }
    one.max(1)
}

#[cfg(test)]
mod tests;

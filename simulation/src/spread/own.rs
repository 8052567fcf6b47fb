//! What is known of one tenant: its place, what it may be admitted, and what its meter must hold.

use bulkhead_ratelimit::{
    charge::{Charge, Scope},
    key::Keyspace,
    store::{Hour, Ledger as _, Micros, memory::MemoryStore, split::Way},
};
use futures::FutureExt as _;

use crate::{
    oracle::{Beyond, Counted, Shadow},
    plan::{Limit, Tenant},
};

/// A tenant's place, and what the oracle keeps beside it.
pub(super) struct Own {
    pub(super) store: MemoryStore,
    pub(super) bucket: Shadow,
    pub(super) quotas: Vec<Counted>,
    pub(super) guarantee: Shadow,
    /// What was admitted without a token: a guarantee must have held it.
    pub(super) lent: Shadow,
    pub(super) meter: Meter,
    /// The largest guarantee that it had.
    guaranteed: Limit,
}

/// A tenant's costs, as its meter must have them.
#[derive(Debug, Default)]
pub(super) struct Meter {
    /// Admitted, and told to whoever asked.
    pub(super) answered: u64,
    /// Admitted by the store.
    pub(super) decided: u64,
    pub(super) denied: u64,
    /// Admitted and denied in several places, and never told to the meter: that was lost, or its place was away.
    pub(super) untold: (u64, u64),
}

impl Own {
    pub(super) fn new(of: &Tenant, now_us: u64) -> Self {
        Self {
            store: super::store(),
            bucket: Shadow::new(of.limit, now_us),
            quotas: of.quotas.iter().map(|bucket| Counted::new(bucket, bucket.capacity())).collect(),
            guarantee: Shadow::new(of.guarantee, now_us),
            lent: Shadow::new(of.guarantee, now_us),
            meter: Meter::default(),
            guaranteed: of.guarantee,
        }
    }

    /// A cost was charged here: whether that is within every limit.
    pub(super) fn charged(&mut self, now_us: u64, store_us: u64, cost: u64, way: Way) -> Result<(), String> {
        self.guarantee.spend_at_most(now_us, cost);
        if !self.bucket.admit(now_us, cost) {
            return Err(format!("admitted beyond its limit: {:?}", self.bucket.worst));
        }
        if way == Way::Lent && !self.lent.admit(now_us, cost) {
            return Err("was lent more than its guarantee holds".to_owned());
        }
        let over = self.quotas.iter_mut().find_map(|quota| (!quota.admit(now_us, store_us, cost)).then_some(quota));
        over.map_or(Ok(()), |quota| Err(format!("admitted beyond a quota: {quota:?}")))
    }

    /// What was charged came back.
    pub(super) fn take_back(&mut self, now_us: u64, (at_us, store_us): (u64, u64), cost: u64, way: Way) {
        self.bucket.take_back(now_us, cost);
        match way {
            Way::Lent => self.lent.take_back(now_us, cost),
            // Its guarantee may have paid, been refilled since, and has that back besides.
            Way::Paid => self.lent.allow(now_us, cost),
        }
        self.quotas.iter_mut().for_each(|quota| quota.take_back(at_us, store_us, cost));
    }

    /// While a change reaches the replicas, the larger limits hold, and the smaller guarantee.
    pub(super) fn changes(&mut self, of: &Tenant, now_us: u64) {
        self.guaranteed = self.guaranteed.most(of.guarantee);
        self.bucket.change(now_us, self.bucket.limit().most(of.limit));
        self.lent.change(now_us, self.lent.limit().most(of.guarantee));
        self.guarantee.change(now_us, self.guarantee.limit().least(of.guarantee));
        for (quota, stated) in self.quotas.iter_mut().zip(&of.quotas) {
            quota.change(quota.limit().max(stated.capacity()));
        }
    }

    /// Everybody has heard of the changes.
    pub(super) fn settle(&mut self, of: &Tenant, now_us: u64) {
        self.bucket.change(now_us, of.limit);
        self.lent.change(now_us, of.guarantee);
        self.guarantee.change(now_us, of.guarantee);
        self.quotas.iter_mut().zip(&of.quotas).for_each(|(quota, stated)| quota.change(stated.capacity()));
    }

    /// What global may still be charged for what its guarantee admitted while global was away.
    pub(super) fn most_debt(&self) -> u64 {
        self.guaranteed.capacity + 8 * self.guaranteed.rate
    }

    pub(super) fn untold(&self) -> u64 {
        self.meter.untold.0
    }

    pub(super) fn worst(&self) -> impl Iterator<Item = Beyond> {
        self.quotas.iter().map(|quota| quota.worst).chain([self.bucket.worst])
    }

    /// In the end: the meter has what was decided, but for what was lost on the way to it, and quotas have counted what was admitted, and nothing of what was not.
    pub(super) fn judge(&self, of: &Tenant, keys: &Keyspace, start_us: u64, now: Micros) -> Result<(), String> {
        let first = Hour::of(Micros(start_us)).0;
        let lines = |hour| self.store.metered(&keys.account(&of.uid), Hour(hour)).now_or_never().and_then(Result::ok).unwrap_or_default();
        let all = (first..=Hour::of(now).0).flat_map(lines);
        let metered = all.fold((0, 0), |sum, line| (sum.0 + line.admitted, sum.1 + line.denied));
        let Meter { answered, decided, denied, untold } = self.meter;
        if (metered.0 + untold.0, metered.1 + untold.1) != (decided, denied) || metered.0 + untold.0 < answered {
            return Err(format!("{}: {metered:?} are metered, and of {:?}", of.uid, self.meter));
        }
        for (quota, bucket) in self.quotas.iter().zip(&of.quotas) {
            let look = Charge::new().hold(Scope::Tenant, keys.quota(&of.uid, "quota"), bucket.clone(), 0);
            let left = self.store.decide_one(Some(now), &look).standings().first().map_or(0, |one| one.remaining);
            let Some(used) = quota.used(now.0) else { continue };
            if left != bucket.capacity().saturating_sub(used) {
                return Err(format!("{}: a quota of {} has {left} left, and {used} were admitted", of.uid, bucket.capacity()));
            }
        }
        Ok(())
    }
}

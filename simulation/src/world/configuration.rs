//! The operator changes limits and guarantees; tenants come and go. Replicas hear of it one after the other, and meanwhile the larger limit holds.

use bulkhead_ratelimit::store::Micros;

use super::{Event, Violation, Watched, World, local};
use crate::{
    oracle::judge_restated,
    plan::{Change, Limit},
};

/// By then everybody has heard of a change, and what was leased before it is over.
pub(crate) const SETTLED_US: u64 = 5_000_000;

impl World {
    pub(super) fn configure(&mut self) {
        let Some(change) = self.plan.reconfigure(&mut self.chance, self.now_us) else { return };
        self.version += 1;
        self.count(change.name());
        self.take_note(change);
        for replica in 0..self.replicas.len() {
            let wait_us = self.chance.within(0, 300_000);
            self.after(wait_us, Event::Adopt(replica));
        }
        self.after(SETTLED_US, Event::Settle(self.version));
    }

    pub(super) fn judge_restated(&self) -> Result<(), Violation> {
        let (store, at) = (self.gate.store(), Micros(self.store_us()));
        self.plan.tenants.iter().filter(|of| !of.gone).try_for_each(|of| {
            let same = judge_restated(&store, &self.keys.guarantee(&of.uid), of.guarantee, at);
            same.map_err(|what| self.wrong(format!("{}: {what}", of.uid)))
        })
    }

    /// While a change reaches the replicas, the larger limit holds, and the smaller guarantee.
    fn take_note(&mut self, change: Change) {
        let (now_us, replicas) = (self.now_us, self.plan.replicas);
        match change {
            Change::Global(before) => self.global_changed(Some(before)),
            Change::Limit(index) => {
                let Some((of, watched)) = self.plan.tenants.get(index).zip(self.watched.get_mut(index)) else { return };
                watched.bucket.change(now_us, watched.bucket.limit().most(of.limit));
                watched.local.change(now_us, watched.local.limit().most(local(of.limit, replicas)));
            }
            Change::Quota(index) => {
                let Some((of, watched)) = self.plan.tenants.get(index).zip(self.watched.get_mut(index)) else { return };
                watched.quotas_hold(of, replicas, u64::max);
            }
            Change::Guarantee(index, before) => {
                let Some((of, watched)) = self.plan.tenants.get(index).zip(self.watched.get_mut(index)) else { return };
                watched.stated = watched.stated.most(of.guarantee);
                watched.guarantee.change(now_us, watched.guarantee.limit().least(of.guarantee));
                // Its former capacity may be in debt besides: a raised one holds back to when it last paid.
                self.global.allow(now_us, before.capacity);
                self.global_changed(None);
            }
            Change::Restated => {}
            Change::Left(index) => {
                // Its debt has nobody who pays it any more.
                let capacity = self.plan.tenants.get(index).map_or(0, |of| of.guarantee.capacity);
                self.global.allow(now_us, capacity);
            }
            Change::Came => {
                let watched = self.plan.tenants.last().map(|of| Watched::new(of, replicas, now_us));
                self.watched.extend(watched);
                self.global_changed(None);
            }
        }
    }

    /// What global admits at the most, while several configurations are in use: its largest limit, in debt by all guarantees.
    pub(super) fn global_changed(&mut self, before: Option<Limit>) {
        let stated = self
            .watched
            .iter()
            .fold(Limit::default(), |sum, one| Limit { rate: sum.rate + one.stated.rate, capacity: sum.capacity + one.stated.capacity });
        let most = before.map_or(self.plan.global, |before| before.most(self.plan.global)).most(self.global.limit());
        self.global.change(self.now_us, Limit { rate: most.rate.max(stated.rate), ..most });
        self.global.always = stated.capacity;
    }

    pub(super) fn adopt(&mut self, index: usize) {
        let shapes = self.plan.tenants.iter().map(|tenant| self.plan.shape(&self.keys, tenant)).collect();
        self.replicas.iter_mut().skip(index).take(1).for_each(|replica| replica.shapes = Clone::clone(&shapes));
    }

    /// Everybody has heard of the change, and what was leased before it is over: from now on the new limits alone hold.
    pub(super) fn settle(&mut self, version: u64) {
        if version != self.version {
            return;
        }
        let now_us = self.now_us;
        for (watched, of) in self.watched.iter_mut().zip(&self.plan.tenants) {
            watched.bucket.change(now_us, of.limit);
            watched.local.change(now_us, local(of.limit, self.plan.replicas));
            watched.quotas_hold(of, self.plan.replicas, |_, stated| stated);
            watched.stated = if of.gone { Limit::default() } else { of.guarantee };
            watched.guarantee.change(now_us, of.guarantee);
        }
        self.global.change(now_us, self.plan.global);
        self.global_changed(None);
    }
}

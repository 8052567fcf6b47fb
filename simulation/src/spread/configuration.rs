//! The operator changes limits, quotas and guarantees; tenants come and go. Replicas hear of it one after the other.

use super::{Event, Own, Spread};
use crate::{Violation, oracle::judge_restated, plan::Change, world::configuration::SETTLED_US};

impl Spread {
    pub(super) fn configure(&mut self) {
        let Some(change) = self.plan.reconfigure(&mut self.chance, self.now_us) else { return };
        self.version += 1;
        self.count(change.name());
        let now_us = self.now_us;
        if !matches!(change, Change::Restated) {
            self.doubt_until_us = now_us + SETTLED_US;
        }
        match change {
            Change::Global(_) => self.tokens.change(now_us, self.tokens.limit().most(self.plan.global)),
            Change::Limit(index) | Change::Quota(index) | Change::Guarantee(index, _) => {
                self.plan.tenants.get(index).zip(self.own.get_mut(index)).into_iter().for_each(|(of, own)| own.changes(of, now_us));
            }
            Change::Restated | Change::Left(_) => {}
            Change::Came => {
                self.own.extend(self.plan.tenants.last().map(|of| Own::new(of, now_us)));
                self.down_until_us.push(0);
            }
        }
        for replica in 0..self.replicas.len() {
            let wait_us = self.chance.within(0, 300_000);
            self.after(wait_us, Event::Adopt(replica));
        }
        self.after(SETTLED_US, Event::Settle(self.version));
    }

    pub(super) fn judge_restated(&self) -> Result<(), Violation> {
        let mut all = self.plan.tenants.iter().zip(&self.own).filter(|(of, _)| !of.gone);
        all.try_for_each(|(of, own)| {
            let same = judge_restated(&own.store, &self.keys.guarantee(&of.uid), of.guarantee, self.moment());
            same.map_err(|what| self.wrong(format!("{}: {what}", of.uid)))
        })
    }

    pub(super) fn adopt(&mut self, index: usize) {
        let shapes = self.plan.tenants.iter().map(|tenant| self.plan.shape(&self.keys, tenant)).collect();
        self.replicas.iter_mut().skip(index).take(1).for_each(|replica| replica.shapes = Clone::clone(&shapes));
    }

    /// Everybody has heard of the change, and what was taken before it is used or back: from now on the new limits alone hold.
    pub(super) fn settle_limits(&mut self, version: u64) {
        if version != self.version {
            return;
        }
        let now_us = self.now_us;
        self.tokens.change(now_us, self.plan.global);
        self.own.iter_mut().zip(&self.plan.tenants).for_each(|(own, of)| own.settle(of, now_us));
    }
}

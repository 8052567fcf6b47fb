//! The operator changes limits and guarantees; tenants come and go. Replicas hear of it one after the other, and meanwhile the larger limit holds.

use super::{Event, Watched, World, local};
use crate::plan::Limit;

/// By then everybody has heard of a change, and what was leased before it is over.
const SETTLED_US: u64 = 5_000_000;

impl World {
    pub(super) fn configure(&mut self) {
        self.version += 1;
        let index = self.chance.index(self.plan.tenants.len());
        match self.chance.within(0, 6) {
            0 => self.change_global(),
            1 => self.change_limit(index),
            2 => self.leave(index),
            3 => self.come(),
            _ => self.change_guarantee(index),
        }
        for replica in 0..self.replicas.len() {
            let wait_us = self.chance.within(0, 300_000);
            self.after(wait_us, Event::Adopt(replica));
        }
        self.after(SETTLED_US, Event::Settle(self.version));
    }

    fn change_global(&mut self) {
        self.count("global limits changed");
        let before = self.plan.global;
        let rate = (before.rate * self.chance.within(5, 20) / 10).max(1);
        self.plan.global = Limit { rate, capacity: before.capacity * self.chance.within(5, 20) / 10 + 1 };
        self.global_changed(Some(before));
    }

    fn change_limit(&mut self, index: usize) {
        self.count("limits changed");
        let limit = Limit { rate: self.chance.within(20, 2_000), capacity: self.chance.within(10, 3_000) };
        let (now_us, replicas) = (self.now_us, self.plan.replicas);
        let Some((of, watched)) = self.plan.tenants.get_mut(index).zip(self.watched.get_mut(index)) else { return };
        of.limit = limit;
        watched.bucket.change(now_us, watched.bucket.limit().most(limit));
        watched.local.change(now_us, watched.local.limit().most(local(limit, replicas)));
    }

    /// Raised or lowered, and perhaps stated for another time; together guarantees stay within the global limit.
    fn change_guarantee(&mut self, index: usize) {
        self.count("guarantees changed");
        let room = self.plan.room();
        let now_us = self.now_us;
        let Some((of, watched)) = self.plan.tenants.get_mut(index).zip(self.watched.get_mut(index)) else { return };
        if of.gone {
            return;
        }
        let before = of.guarantee;
        of.guarantee = Limit { rate: self.chance.within(1, before.rate + room + 1), capacity: self.chance.within(8, 60) };
        of.seconds = [1, 3, 60].get(self.chance.index(3)).copied().unwrap_or(1);
        watched.stated = watched.stated.most(of.guarantee);
        watched.guarantee.change(now_us, watched.guarantee.limit().least(of.guarantee));
        // Its former capacity may be in debt besides: a raised one holds back to when it last paid.
        self.global.allow(now_us, before.capacity);
        self.global_changed(None);
    }

    fn leave(&mut self, index: usize) {
        let now_us = self.now_us;
        let Some(of) = self.plan.tenants.get_mut(index).filter(|of| !of.gone) else { return };
        of.gone = true;
        let capacity = of.guarantee.capacity;
        self.count("tenants deleted");
        self.global.allow(now_us, capacity);
    }

    fn come(&mut self) {
        if self.plan.newcomer(&mut self.chance) {
            self.count("tenants added");
            let watched = self.plan.tenants.last().map(|of| Watched::new(of, self.plan.replicas, self.now_us));
            self.watched.extend(watched);
            self.global_changed(None);
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
            watched.stated = if of.gone { Limit::default() } else { of.guarantee };
            watched.guarantee.change(now_us, of.guarantee);
        }
        self.global.change(now_us, self.plan.global);
        self.global_changed(None);
    }
}

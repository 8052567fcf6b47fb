//! What goes wrong, and how much more may be admitted for it.

use std::sync::Arc;

use bulkhead_ratelimit::store::memory::MemoryStore;
use bulkhead_tenancy::clock::SystemClock;

use super::{Background, Event, World, plan::local, replica::Replica, store::metered};
use crate::plan::Limit;

impl World {
    pub(super) fn fault(&mut self) {
        let wait_us = self.chance.within(100_000, 3_000_000);
        self.after(wait_us, Event::Fault);
        let faults = self.plan.faults;
        match self.chance.within(0, 6) {
            0 if faults.store && self.standby.is_none() => {
                // From now on nothing reaches the standby.
                self.standby = Some(self.store.fork());
                self.global_lost = 0;
                self.watched.iter_mut().for_each(|one| one.lost = 0);
                let lag_us = self.chance.within(1, 200_000);
                self.after(lag_us, Event::FailOver);
            }
            1 if faults.store && self.standby.is_none() => self.restart_store(),
            2 if faults.clock => self.jump(),
            3 if faults.replicas => self.restart_replica(),
            4 if faults.configuration => self.configure(),
            _ => {}
        }
    }

    fn happened(&mut self, what: &'static str) {
        *self.report.faults.entry(what).or_default() += 1;
        self.tell(|| what.to_owned());
    }

    /// What replicas hold in advance, and what is on its way to them: the store that forgets that it is held may admit it again.
    fn in_hand(&self) -> u64 {
        let books: u64 = self.replicas.iter().map(|replica| replica.book.in_hand()).sum();
        let wanted = self.flights.values().flat_map(|flight| &flight.jobs).filter_map(|job| job.ahead).map(|ahead| u64::from(ahead.want));
        (books + wanted.sum::<u64>()) * 7
    }

    pub(super) fn fail_over(&mut self) {
        let Some(standby) = self.standby.take() else { return };
        self.happened("fail-overs");
        let sum = |store: &MemoryStore| metered(store, &self.plan, &self.keys);
        self.meter.lost += sum(&self.store).saturating_sub(sum(&standby));
        self.store = standby;
        self.down_until_us = self.now_us + self.chance.within(0, 300_000);
        // What global forgot, and the debts that guarantees may make again.
        self.global.bound += 2 * self.global_lost;
        for watched in &mut self.watched {
            watched.bucket.bound += watched.lost;
            watched.windows.bound += watched.lost;
        }
    }

    fn restart_store(&mut self) {
        self.happened("stores restarted empty");
        self.meter.lost += metered(&self.store, &self.plan, &self.keys);
        self.store = MemoryStore::new(Arc::new(SystemClock));
        self.down_until_us = self.now_us + self.chance.within(0, 300_000);
        let in_hand = self.in_hand();
        let bursts: u64 = self.watched.iter().map(|one| one.guarantee.limit().capacity).sum();
        self.global.bound += self.global.limit().capacity + 2 * bursts + in_hand;
        for (watched, of) in self.watched.iter_mut().zip(&self.plan.tenants) {
            watched.bucket.bound += watched.bucket.limit().capacity + in_hand;
            watched.windows.bound += of.window.map_or(0, |(limit, _)| limit) + in_hand;
        }
    }

    fn jump(&mut self) {
        let by_us = self.chance.within(1_000, 5_000_000);
        if self.chance.one_in(2) {
            self.happened("clocks set back");
            self.offset_us -= i64::try_from(by_us).unwrap_or(0);
            self.doubt_until_us = self.doubt_until_us.max(self.now_us + 30_000_000);
            return;
        }
        self.happened("clocks set forward");
        self.offset_us += i64::try_from(by_us).unwrap_or(0);
        let in_hand = self.in_hand();
        let refilled = |limit: Limit| limit.rate * by_us / 1_000_000 + 1;
        let guarantees: u64 = self.watched.iter().map(|one| refilled(one.guarantee.limit())).sum();
        self.global.bound += refilled(self.global.limit()) + guarantees + in_hand;
        for watched in &mut self.watched {
            watched.bucket.bound += refilled(watched.bucket.limit()) + in_hand;
        }
    }

    fn restart_replica(&mut self) {
        let index = self.chance.index(self.replicas.len());
        let crashes = self.chance.one_in(2);
        self.happened(if crashes { "replicas killed" } else { "replicas restarted" });
        let mut fresh = Replica::new(&self.plan, &self.keys, &mut self.chance);
        let Some(replica) = self.replicas.get_mut(index) else { return };
        let dues = Background::of(replica.book.drain());
        fresh.life = replica.life + 1;
        fresh.shapes = replica.shapes.clone();
        *replica = fresh;
        if crashes {
            self.meter.lost += dues.admitted();
        } else {
            let wait_us = self.delay();
            self.after(wait_us, Event::Background(dues));
        }
        for (watched, of) in self.watched.iter_mut().zip(&self.plan.tenants) {
            watched.local.bound += of.limit.capacity / self.plan.replicas as u64 + 1;
        }
    }

    /// The operator changes limits: replicas hear of it one after the other.
    fn configure(&mut self) {
        self.happened("configurations changed");
        self.version += 1;
        let index = self.chance.index(self.plan.tenants.len());
        if self.chance.one_in(3) {
            let rate = (self.plan.global.rate * self.chance.within(5, 20) / 10).max(1);
            self.plan.global = Limit { rate, capacity: self.plan.global.capacity * self.chance.within(5, 20) / 10 + 1 };
            let most = self.global.limit().most(self.plan.global);
            self.global.change(self.now_us, most);
        } else if let Some((of, watched)) = self.plan.tenants.get_mut(index).zip(self.watched.get_mut(index)) {
            of.limit = Limit { rate: self.chance.within(20, 2_000), capacity: self.chance.within(10, 3_000) };
            watched.bucket.change(self.now_us, watched.bucket.limit().most(of.limit));
            watched.local.change(self.now_us, watched.local.limit().most(local(of.limit, self.plan.replicas)));
        }
        for replica in 0..self.replicas.len() {
            let wait_us = self.chance.within(0, 300_000);
            self.after(wait_us, Event::Adopt(replica));
        }
        self.after(5_000_000, Event::Settle(self.version));
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
        let rates: u64 = self.plan.tenants.iter().map(|one| one.guarantee.rate).sum();
        self.global.change(self.now_us, Limit { rate: self.plan.global.rate.max(rates), ..self.plan.global });
        for (watched, of) in self.watched.iter_mut().zip(&self.plan.tenants) {
            watched.bucket.change(self.now_us, of.limit);
            watched.local.change(self.now_us, local(of.limit, self.plan.replicas));
        }
    }
}

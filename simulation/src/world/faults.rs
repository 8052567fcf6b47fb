//! What goes wrong, and how much more may be admitted for it.

use std::sync::Arc;

use bulkhead_ratelimit::lease::Dues;

use super::{
    Event, Job, Violation, World,
    replica::{Replica, in_order},
    store::{Gate, fresh},
};

/// What one decision costs at the most.
const COST: u64 = 7;

impl World {
    pub(super) fn fault(&mut self) -> Result<(), Violation> {
        let wait_us = self.chance.within(20_000, 1_200_000);
        self.after(wait_us, Event::Fault);
        let faults = self.plan.faults;
        match self.chance.within(0, 9) {
            0 if faults.store && self.standby.is_none() => {
                // From now on nothing reaches the standby.
                self.standby = Some(self.gate.store().fork());
                self.global_lost = 0;
                self.watched.iter_mut().for_each(|one| one.lost = 0);
                let lag_us = self.chance.within(1, 200_000);
                self.after(lag_us, Event::FailOver);
            }
            1 if faults.store && self.standby.is_none() => self.restart_store(),
            2 if faults.clock => self.jump(),
            3 if faults.replicas => self.restart_replica(),
            4 if faults.store => {
                self.count("stores away for a while");
                self.down_until_us = self.now_us + self.chance.within(10_000, 2_000_000);
            }
            5 if faults.network => {
                // What brings leases is large: a link may lose that, and carry all else.
                self.count("links that lose large answers");
                self.deaf = Some(self.chance.index(self.replicas.len()));
                self.deaf_until_us = self.now_us + self.chance.within(500_000, 20_000_000);
            }
            6.. if faults.configuration => self.configure(),
            _ => {}
        }
        self.judge_restated()
    }

    /// What replicas hold in advance, and what is on its way to them: the store that forgets that it is held may admit it again.
    fn in_hand(&self) -> u64 {
        let books: u64 = self.replicas.iter().map(|replica| replica.book.in_hand()).sum();
        let wanted = self.flights.values().flat_map(|flight| &flight.jobs).filter_map(|job| job.ahead).map(|ahead| u64::from(ahead.want));
        (books + wanted.sum::<u64>()) * COST
    }

    /// Meters that another store has less of than this one.
    fn forget_meters(&mut self, other: &bulkhead_ratelimit::store::memory::MemoryStore) {
        let store = self.gate.store();
        for index in 0..self.watched.len() {
            let lost = self.metered(&store, index).0.saturating_sub(self.metered(other, index).0);
            self.watched.iter_mut().skip(index).take(1).for_each(|one| one.meter.lost += lost);
        }
    }

    pub(super) fn fail_over(&mut self) {
        let Some(standby) = self.standby.take() else { return };
        self.count("fail-overs");
        self.forget_meters(&standby);
        self.gate.replace(standby);
        let now_us = self.now_us;
        self.down_until_us = now_us + self.chance.within(0, 300_000);
        // What global forgot, and the debts that guarantees may make again.
        self.global.allow(now_us, 2 * self.global_lost);
        for watched in &mut self.watched {
            watched.bucket.allow(now_us, watched.lost);
            watched.quotas.iter_mut().for_each(|quota| quota.allow(now_us, watched.lost));
        }
    }

    fn restart_store(&mut self) {
        self.count("stores restarted empty");
        let empty = fresh();
        self.forget_meters(&empty);
        self.gate.replace(empty);
        let now_us = self.now_us;
        self.down_until_us = now_us + self.chance.within(0, 300_000);
        let in_hand = self.in_hand();
        let bursts: u64 = self.watched.iter().map(|one| one.stated.capacity).sum();
        self.global.allow(now_us, self.global.limit().capacity + 2 * bursts + in_hand);
        for watched in &mut self.watched {
            watched.bucket.allow(now_us, watched.bucket.limit().capacity + in_hand);
            watched.quotas.iter_mut().for_each(|quota| quota.allow(now_us, quota.limit() + in_hand));
        }
    }

    fn jump(&mut self) {
        let by_us = self.chance.within(1_000, 5_000_000);
        let (now_us, in_hand) = (self.now_us, self.in_hand());
        // A period may end early, or be there again.
        for watched in &mut self.watched {
            watched.quotas.iter_mut().for_each(|quota| quota.allow(now_us, quota.limit() + in_hand));
        }
        if self.chance.one_in(2) {
            self.count("clocks set back");
            self.offset_us -= i64::try_from(by_us).unwrap_or(0);
            self.doubt_until_us = self.doubt_until_us.max(now_us + 30_000_000);
            return;
        }
        self.count("clocks set forward");
        self.offset_us += i64::try_from(by_us).unwrap_or(0);
        let refilled = |rate: u64| rate * by_us / 1_000_000 + 1;
        let guarantees: u64 = self.watched.iter().map(|one| refilled(one.stated.rate)).sum();
        self.global.allow(now_us, refilled(self.global.limit().rate) + guarantees + in_hand);
        for watched in &mut self.watched {
            watched.bucket.allow(now_us, refilled(watched.bucket.limit().rate) + in_hand);
        }
    }

    fn restart_replica(&mut self) {
        let index = self.chance.index(self.replicas.len());
        let crashes = self.chance.one_in(2);
        self.count(if crashes { "replicas killed" } else { "replicas restarted" });
        if !crashes {
            self.drain(index);
        }
        let Some(replica) = self.replicas.get_mut(index) else { return };
        self.unmetered += replica.later.waiting().0 + replica.book.drain().tallies.iter().map(|tally| tally.admitted).sum::<u64>();
        let lost: Vec<Job> = replica.waiting.drain(..).collect();
        let life = replica.life;
        let flying = self.flights.values().filter(|flight| (flight.replica, flight.life) == (index, life));
        let lost: Vec<Job> = flying.flat_map(|flight| flight.jobs.clone()).chain(lost).collect();
        lost.iter().for_each(|job| self.untold(job));
        let Some(replica) = self.replicas.get_mut(index) else { return };
        let mut fresh = Replica::new(Arc::<Gate>::clone(&self.gate), &self.wall, replica.shapes.clone(), &mut self.chance);
        fresh.life = replica.life + 1;
        *replica = fresh;
        let (now_us, replicas) = (self.now_us, self.plan.replicas as u64);
        for watched in &mut self.watched {
            watched.local.allow(now_us, watched.local.limit().capacity / replicas + 1);
            watched.local_quotas.iter_mut().for_each(|quota| quota.allow(now_us, quota.limit() / replicas + 1));
        }
    }

    /// A replica ends in order: what it holds goes back, and what it answered is told, if the store is there.
    pub(super) fn drain(&mut self, index: usize) {
        let Some(replica) = self.replicas.get_mut(index) else { return };
        let Dues { returns, tallies, .. } = replica.book.drain();
        replica.later.leased(replica.later.hour(), tallies);
        let (clock_us, life) = (replica.clock_us(self.now_us), replica.life);
        replica.unreturned.close();
        let returns = replica.unreturned.due(in_order(returns), clock_us);
        self.tell(index);
        let wait_us = self.delay();
        self.after(wait_us, Event::Returned(index, life, returns));
    }
}

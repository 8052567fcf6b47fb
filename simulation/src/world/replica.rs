//! A replica: its book of leases, what waits for the store, its batches, and what it answers alone.

use std::sync::Arc;

use bulkhead_ratelimit::{
    ask::Ask,
    charge::{Charge, Shape},
    key::Keyspace,
    lease::{Book, Claim, Step},
    outcome::Verdict,
    store::{Micros, memory::MemoryStore},
};

use super::{Answer, Background, Chance, DEADLINE_US, Event, Flight, Job, Load, Plan, START, Violation, World};

/// Calls in flight at a time, as the queue before the real store has them, and decisions of one call.
const CALLS: usize = 2;
const CALL: usize = 128;

pub(super) struct Replica {
    pub(super) book: Book,
    pub(super) local: MemoryStore,
    pub(super) shapes: Vec<Arc<Shape>>,
    pub(super) waiting: Vec<Job>,
    pub(super) flying: usize,
    /// How many times it was started.
    pub(super) life: u64,
    /// How fast its clock runs, in thousandths, and from where.
    speed: u64,
    since_us: u64,
}

impl Replica {
    pub(super) fn new(plan: &Plan, keys: &Keyspace, chance: &mut Chance) -> Self {
        Self {
            book: Book::default(),
            local: MemoryStore::new(super::standing_clock()),
            shapes: plan.tenants.iter().map(|tenant| plan.shape(keys, tenant)).collect(),
            waiting: Vec::new(),
            flying: 0,
            life: 0,
            speed: chance.within(990, 1_011),
            since_us: chance.within(0, 1_000_000_000),
        }
    }

    pub(super) fn clock_us(&self, now_us: u64) -> u64 {
        self.since_us + now_us * self.speed / 1_000
    }
}

impl World {
    pub(super) fn burst(&mut self, index: usize) -> Result<(), Violation> {
        let wait_us = self.chance.within(1, 2 * self.plan.pause_us);
        self.after(wait_us, Event::Burst(index));
        if self.load() == Load::Silence || (self.load == Load::Trickle && !self.chance.one_in(20)) {
            return Ok(());
        }
        let tenants = self.plan.tenants.len();
        // The first are asked for most.
        let tenant = self.chance.index(tenants).min(self.chance.index(tenants));
        let count = self.chance.within(1, self.plan.burst + 1);
        let Some(of) = self.plan.tenants.get(tenant) else { return Ok(()) };
        let cost = if of.costs > 1 { self.chance.within(1, of.costs + 1) } else { 1 };
        let Some(replica) = self.replicas.get_mut(index) else { return Ok(()) };
        let Some(shape) = replica.shapes.get(tenant).cloned() else { return Ok(()) };
        self.report.decisions += count;
        let clock_us = replica.clock_us(self.now_us);
        let ask = Ask::one(Charge::of(Arc::clone(&shape), cost));
        let job = Job { tenant, shape, cost, count: 1, ahead: None, arrived_us: self.now_us };
        let Some(claim) = Claim::of(&ask) else {
            let count = u32::try_from(count).unwrap_or(1);
            replica.waiting.push(Job { count, ..job });
            self.send(index);
            return Ok(());
        };
        let mut used = 0;
        for _ in 0..count {
            match replica.book.request(&claim, clock_us) {
                Step::Done(answer) => {
                    self.report.leased += 1;
                    used += u64::from(answer.admitted);
                }
                Step::Ask(ahead) => replica.waiting.push(Job { ahead, ..job.clone() }),
            }
        }
        self.use_leases(tenant, cost, used)?;
        self.send(index);
        Ok(())
    }

    /// The load of the moment. Each lasts for about as long as a lease, or much longer.
    fn load(&mut self) -> Load {
        if self.now_us >= self.load_until_us {
            self.load = match self.chance.within(0, 4) {
                0 => Load::Silence,
                1 => Load::Trickle,
                _ => Load::Flood,
            };
            let most_us = if self.chance.one_in(8) { 6_000_000 } else { 400_000 };
            self.load_until_us = self.now_us + self.chance.within(20_000, most_us);
        }
        self.load
    }

    /// Copies that were paid in advance were admitted.
    fn use_leases(&mut self, tenant: usize, cost: u64, copies: u64) -> Result<(), Violation> {
        self.meter.answered += cost * copies;
        self.meter.decided += cost * copies;
        for _ in 0..copies {
            self.admitted(tenant, cost)?;
        }
        Ok(())
    }

    /// Sends what waits, if a call is free. Whoever's deadline is over is not charged.
    pub(super) fn send(&mut self, index: usize) {
        let now_us = self.now_us;
        loop {
            let Some(replica) = self.replicas.get_mut(index).filter(|one| one.flying < CALLS && !one.waiting.is_empty()) else { return };
            let many = replica.waiting.len().min(CALL);
            let (jobs, over): (Vec<Job>, Vec<Job>) = replica.waiting.drain(..many).partition(|job| job.arrived_us + DEADLINE_US > now_us);
            let life = replica.life;
            if !jobs.is_empty() {
                replica.flying += 1;
                self.sequence += 1;
                let number = self.sequence;
                self.flights.insert(number, Flight { replica: index, life, jobs, sent_us: now_us });
                let lost = self.plan.faults.network && self.chance.one_in(200);
                let wait_us = self.delay();
                if lost {
                    *self.report.faults.entry("calls lost").or_default() += 1;
                } else {
                    self.after(wait_us, Event::AtStore(number));
                }
                self.after(DEADLINE_US, Event::Deadline(number));
            }
            for job in over {
                self.alone(index, &job);
            }
        }
    }

    /// How long a message takes.
    pub(super) fn delay(&mut self) -> u64 {
        if self.plan.faults.network && self.chance.one_in(100) {
            *self.report.faults.entry("messages late").or_default() += 1;
            return self.chance.within(5_000, 60_000);
        }
        self.chance.within(50, 1_500)
    }

    pub(super) fn reply(&mut self, number: u64, answers: Vec<Answer>) -> Result<(), Violation> {
        // What was answered by the failure mode meanwhile is not answered again.
        let Some(flight) = self.flights.remove(&number) else { return Ok(()) };
        let index = flight.replica;
        let now_us = self.now_us;
        for (job, answer) in flight.jobs.iter().zip(answers) {
            let Some(replica) = self.replicas.get_mut(index).filter(|one| one.life == flight.life) else { return Ok(()) };
            let ask = Ask::one(Charge::of(Arc::clone(&job.shape), job.cost));
            let claim = Claim::of(&ask);
            let clock_us = replica.clock_us(now_us);
            if now_us > job.arrived_us + DEADLINE_US {
                self.alone(index, job);
                continue;
            }
            let admitted = u64::from(answer.admitted);
            let Some(claim) = claim else {
                self.meter.answered += job.cost * admitted;
                continue;
            };
            let sent_us = replica.clock_us(flight.sent_us);
            let mut returned = replica.book.answered(&claim, job.ahead, sent_us, answer, clock_us);
            self.report.in_hand = self.report.in_hand.max(replica.book.in_hand());
            if admitted > 0 {
                self.meter.answered += job.cost * admitted;
                returned.admitted = 0;
            }
            if returned.admitted > 0 {
                self.use_leases(job.tenant, job.cost, 1)?;
            }
        }
        if let Some(replica) = self.replicas.get_mut(index) {
            replica.flying = replica.flying.saturating_sub(1);
        }
        self.send(index);
        Ok(())
    }

    /// A call was not answered in time.
    pub(super) fn late(&mut self, number: u64) -> Result<(), Violation> {
        let Some(flight) = self.flights.remove(&number) else { return Ok(()) };
        let Some(replica) = self.replicas.get_mut(flight.replica).filter(|one| one.life == flight.life) else { return Ok(()) };
        replica.flying = replica.flying.saturating_sub(1);
        for job in &flight.jobs {
            self.alone(flight.replica, job);
        }
        self.send(flight.replica);
        Ok(())
    }

    /// The failure mode `local` answers, from the replica's share.
    fn alone(&mut self, index: usize, job: &Job) {
        let (now_us, replicas) = (self.now_us, u32::try_from(self.plan.replicas).unwrap_or(1));
        let Some(replica) = self.replicas.get_mut(index) else { return };
        let charge = Charge::of(Arc::clone(&job.shape), job.cost);
        let clock_us = replica.clock_us(now_us);
        if let Some(claim) = Claim::of(&Ask::one(charge.clone())) {
            replica.book.abandoned(&claim, job.ahead, clock_us);
        }
        let share = charge.share(replicas);
        let moment = u64::try_from(START).unwrap_or(0) + now_us;
        for _ in 0..job.count {
            self.report.alone += 1;
            let admitted = replica.local.decide_one(Some(Micros(moment)), &share).verdict() == Verdict::Admitted;
            let Some(watched) = self.watched.get_mut(job.tenant).filter(|_| admitted) else { continue };
            if !watched.local.admit(now_us, job.cost) {
                let (worst, bound) = (watched.local.worst, watched.local.bound);
                let what = format!("replicas alone admitted {worst} beyond tenant {}'s limit, allowed are {bound}", job.tenant);
                self.broken = Some(Violation { at_us: now_us, what });
            }
        }
    }

    pub(super) fn flush(&mut self, index: usize) {
        self.after(100_000, Event::Flush(index));
        let Some(replica) = self.replicas.get_mut(index) else { return };
        let clock_us = replica.clock_us(self.now_us);
        let dues = Background::of(replica.book.tick(clock_us));
        if dues.is_empty() {
            return;
        }
        if self.plan.faults.network && self.chance.one_in(50) {
            *self.report.faults.entry("flushes lost").or_default() += 1;
            self.meter.lost += dues.admitted();
        } else {
            let wait_us = self.delay();
            self.after(wait_us, Event::Background(dues));
        }
    }
}

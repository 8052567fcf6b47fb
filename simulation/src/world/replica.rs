//! A replica: its book of leases, what waits for the store, its batches, and what it answers alone.

use std::sync::Arc;

use bulkhead_ratelimit::{
    ask::{Answer, Ask},
    charge::{Charge, Scope, Shape},
    lease::{Book, Claim, Dues, Ended, Step, unreturned},
    limiter::{Alone, Fallback, Ruling},
    metering::later::Later,
    outcome::Verdict,
    store::{Change, Store},
};
use bulkhead_tenancy::{clock::ManualClock, tenant::StoreFailure};
use futures::FutureExt as _;

use super::{
    DEADLINE_US, Event, Flight, Job, Load, Violation, World,
    hand::{Lately, Untold},
    store::Fate,
};
use crate::chance::Chance;

/// Calls in flight at a time, as the queue before the real store has them, and decisions of one call.
const CALLS: usize = 2;
const CALL: usize = 128;

/// All costs that a tenant's requests may have, and twice as much: so many copies a lease has at least.
pub(super) const COSTS: u64 = 2 * 28;

pub(super) struct Replica {
    pub(super) book: Book,
    pub(super) lately: Lately,
    pub(super) untold: Untold,
    pub(super) unreturned: unreturned::Waiting,
    pub(super) later: Arc<Later>,
    alone: Alone,
    /// By tenant, as this replica's configuration has them; none for one that it does not know, or no more.
    pub(super) shapes: Vec<Option<Arc<Shape>>>,
    pub(super) waiting: Vec<Job>,
    pub(super) flying: usize,
    /// How many times it was started.
    pub(super) life: u64,
    /// How fast its clock runs, in thousandths, and from where.
    speed: u64,
    since_us: u64,
}

impl Replica {
    pub(super) fn new(store: Arc<dyn Store>, wall: &ManualClock, shapes: Vec<Option<Arc<Shape>>>, chance: &mut Chance) -> Self {
        let later = Arc::new(Later::new(store, Arc::new(wall.clone())));
        Self {
            book: Book::default(),
            lately: Lately::default(),
            untold: Untold::default(),
            unreturned: unreturned::Waiting::default(),
            alone: Alone::new(Arc::new(wall.clone())).billing(Arc::clone(&later)),
            later,
            shapes,
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
        let count = self.chance.within(1, self.plan.burst + 1);
        let pair = self.chance.one_in(self.plan.pairs);
        let Some((first, cost, shape)) = self.asker(index) else { return Ok(()) };
        let charge = Charge::of(Arc::clone(&shape), cost);
        let job = Job { of: vec![(first, cost)], charge, count: 1, ahead: None, arrived_us: self.now_us };
        if pair {
            return self.pair(index, job);
        }
        self.report.decisions += count;
        let Some(replica) = self.replicas.get_mut(index) else { return Ok(()) };
        let clock_us = replica.clock_us(self.now_us);
        let Some(claim) = Claim::of(&Ask::one(job.charge.clone())) else {
            let count = u32::try_from(count).unwrap_or(1);
            replica.waiting.push(Job { count, ..job });
            return self.send(index);
        };
        let (mut used, mut refused, mut denied) = (0, 0, None);
        for _ in 0..count {
            match replica.book.request(&claim, clock_us) {
                Step::Done(answer) if answer.admitted > 0 => used += 1,
                Step::Done(answer) => {
                    refused += 1;
                    denied = Some(answer);
                }
                Step::Ask(ahead) => replica.waiting.push(Job { ahead, ..job.clone() }),
            }
        }
        replica.lately.admitted(first, self.now_us, used * cost);
        self.report.leased += used + refused;
        if let Some(answer) = denied {
            let outcome = answer.outcome(&job.charge, 0);
            let by_global = outcome.standings().iter().all(|one| one.passed || one.scope == Scope::Global);
            self.judge_denial(first, cost, &answer, by_global)?;
        }
        self.use_leases(first, cost, used)?;
        self.watched.iter_mut().skip(first).take(1).for_each(|watched| watched.meter.denied += refused * cost);
        self.send(index)
    }

    /// Whoever asks now: a tenant that the replica knows.
    fn asker(&mut self, index: usize) -> Option<(usize, u64, Arc<Shape>)> {
        let tenants = self.plan.tenants.len();
        // The first are asked for most.
        let tenant = self.chance.index(tenants).min(self.chance.index(tenants));
        let of = self.plan.tenants.get(tenant)?;
        let cost = if of.costs > 1 { self.chance.within(1, of.costs + 1) } else { 1 };
        let shape = self.replicas.get(index)?.shapes.get(tenant).cloned().flatten()?;
        Some((tenant, cost, shape))
    }

    /// A request of two descriptors, of one tenant or of two: both are charged, or neither.
    fn pair(&mut self, index: usize, mut job: Job) -> Result<(), Violation> {
        let Some((second, cost, shape)) = self.asker(index) else { return Ok(()) };
        self.report.decisions += 1;
        self.report.pairs += 1;
        job.charge.append(Charge::of(shape, cost));
        job.of.push((second, cost));
        self.replicas.iter_mut().skip(index).take(1).for_each(|replica| replica.waiting.push(job.clone()));
        self.send(index)
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
        let Some(watched) = self.watched.get_mut(tenant) else { return Ok(()) };
        watched.meter.answered += cost * copies;
        watched.meter.decided += cost * copies;
        for _ in 0..copies {
            self.admitted(&[(tenant, cost)])?;
        }
        Ok(())
    }

    /// Sends what waits, if a call is free. Whoever's deadline is over is not charged.
    pub(super) fn send(&mut self, index: usize) -> Result<(), Violation> {
        let now_us = self.now_us;
        loop {
            let Some(replica) = self.replicas.get_mut(index).filter(|one| one.flying < CALLS && !one.waiting.is_empty()) else {
                return Ok(());
            };
            let many = replica.waiting.len().min(CALL);
            let (jobs, over): (Vec<Job>, Vec<Job>) = replica.waiting.drain(..many).partition(|job| job.arrived_us + DEADLINE_US > now_us);
            let life = replica.life;
            for job in &over {
                self.tell_later(index, job);
                self.alone(index, job, false)?;
            }
            if now_us < self.down_until_us && !self.chance.one_in(4) {
                // The connection is refused: nothing was sent.
                for job in &jobs {
                    self.tell_later(index, job);
                    self.alone(index, job, true)?;
                }
                continue;
            }
            if jobs.is_empty() {
                continue;
            }
            self.replicas.iter_mut().skip(index).take(1).for_each(|replica| replica.flying += 1);
            self.sequence += 1;
            let number = self.sequence;
            self.flights.insert(number, Flight { replica: index, life, jobs, sent_us: now_us });
            let lost = self.plan.faults.network && self.chance.one_in(200);
            let wait_us = self.delay();
            if lost {
                self.count("calls lost");
            } else {
                self.after(wait_us, Event::AtStore(number));
            }
            self.after(DEADLINE_US, Event::Deadline(number));
        }
    }

    /// How long a message takes.
    pub(super) fn delay(&mut self) -> u64 {
        if self.plan.faults.network && self.chance.one_in(100) {
            self.count("messages late");
            return self.chance.within(5_000, 60_000);
        }
        self.chance.within(50, 1_500)
    }

    pub(super) fn reply(&mut self, number: u64, answers: Vec<Answer>) -> Result<(), Violation> {
        // What was answered by the failure mode meanwhile is not answered again.
        let Some(flight) = self.flights.remove(&number) else { return Ok(()) };
        let index = flight.replica;
        let now_us = self.now_us;
        for (place, (job, answer)) in flight.jobs.iter().zip(answers).enumerate() {
            let Some(replica) = self.replicas.get_mut(index).filter(|one| one.life == flight.life) else { return Ok(()) };
            let clock_us = replica.clock_us(now_us);
            if now_us > job.arrived_us + DEADLINE_US {
                self.untold(job);
                self.alone(index, job, false)?;
                continue;
            }
            let admitted = u64::from(answer.admitted);
            for (tenant, cost) in &job.of {
                self.watched.iter_mut().skip(*tenant).take(1).for_each(|watched| watched.meter.answered += cost * admitted);
            }
            let asked = Ask::of(job.charge.clone(), 1, None);
            let (Some(claim), [(tenant, cost)]) = (Claim::of(&asked), job.of.as_slice()) else { continue };
            let Some(replica) = self.replicas.get_mut(index) else { continue };
            let sent_us = replica.clock_us(flight.sent_us);
            replica.untold.told(number, place);
            replica.lately.admitted(*tenant, now_us, cost * admitted);
            if job.count == 0 {
                replica.book.renewed(&claim, sent_us, &answer, clock_us);
                self.report.renewed += 1;
                continue;
            }
            let returned = replica.book.answered(&claim, job.ahead, sent_us, answer, clock_us);
            self.report.in_hand = self.report.in_hand.max(replica.book.in_hand());
            if admitted == 0 && returned.admitted > 0 {
                self.use_leases(*tenant, *cost, 1)?;
            }
        }
        self.replicas.iter_mut().skip(index).take(1).for_each(|replica| replica.flying = replica.flying.saturating_sub(1));
        self.send(index)
    }

    /// A call was not answered in time.
    pub(super) fn late(&mut self, number: u64) -> Result<(), Violation> {
        let Some(flight) = self.flights.remove(&number) else { return Ok(()) };
        let Some(replica) = self.replicas.get_mut(flight.replica).filter(|one| one.life == flight.life) else { return Ok(()) };
        replica.flying = replica.flying.saturating_sub(1);
        for job in &flight.jobs {
            self.untold(job);
            self.alone(flight.replica, job, false)?;
        }
        self.send(flight.replica)
    }

    /// The tenant's failure mode answers: of several tenants the strictest. `untold`: nothing was sent to the store.
    fn alone(&mut self, index: usize, job: &Job, untold: bool) -> Result<(), Violation> {
        let now_us = self.now_us;
        let fallbacks = job.of.iter().filter_map(|(tenant, _)| self.plan.tenants.get(*tenant)).map(|of| self.plan.fallback(of));
        let Some(fallback) = fallbacks.reduce(Fallback::strictest) else { return Ok(()) };
        let Some(replica) = self.replicas.get_mut(index) else { return Ok(()) };
        if let Some(claim) = Claim::of(&Ask::one(job.charge.clone())) {
            replica.book.abandoned(&claim, job.ahead, replica.clock_us(now_us));
        }
        for _ in 0..job.count {
            self.report.alone += 1;
            let Some(replica) = self.replicas.get_mut(index) else { return Ok(()) };
            let admitted = match replica.alone.rule(&job.charge, fallback, untold) {
                Ruling::Open if fallback.mode == StoreFailure::Open => true,
                Ruling::Unavailable if fallback.mode == StoreFailure::Closed => continue,
                Ruling::Local(outcome) if fallback.mode == StoreFailure::Local => outcome.verdict() == Verdict::Admitted,
                ruling => return Err(self.wrong(format!("while the store was away {:?} answered {ruling:?}", fallback.mode))),
            };
            if untold {
                self.told_later(job, admitted);
            }
            if admitted && fallback.mode == StoreFailure::Local {
                self.judge_share(job)?;
            }
        }
        Ok(())
    }

    /// What was to be told with a job that was surely not sent is told later.
    pub(super) fn tell_later(&mut self, index: usize, job: &Job) {
        let Some(replica) = self.replicas.get(index) else { return };
        let ask = Ask::of(job.charge.clone(), job.count, job.ahead);
        replica.later.leased(replica.later.hour(), Vec::from_iter(ask.tally()));
    }

    /// What was told with a job whose answer did not come may be on the bill, or not.
    pub(super) fn untold(&mut self, job: &Job) {
        let admitted = job.ahead.map_or(0, |ahead| ahead.told.admitted);
        self.unmetered += admitted;
        self.report.unmetered += admitted;
    }

    fn told_later(&mut self, job: &Job, admitted: bool) {
        for (tenant, cost) in &job.of {
            let Some(watched) = self.watched.get_mut(*tenant) else { continue };
            if admitted {
                watched.meter.answered += cost;
                watched.meter.decided += cost;
            } else {
                watched.meter.denied += cost;
            }
        }
    }

    /// Replicas alone together admit no more than the limit, and a request each where it is smaller than their number.
    fn judge_share(&mut self, job: &Job) -> Result<(), Violation> {
        let (now_us, wall_us) = (self.now_us, self.plan.start_us + self.now_us);
        for (tenant, cost) in &job.of {
            let Some(watched) = self.watched.get_mut(*tenant) else { continue };
            let mut within = watched.local.admit(now_us, *cost);
            for quota in &mut watched.local_quotas {
                within &= quota.admit(now_us, wall_us, *cost);
            }
            if !within {
                let what = format!("replicas alone admitted tenant {tenant} more than its limit: {:?}", watched.local.worst);
                return Err(self.wrong(what));
            }
        }
        Ok(())
    }

    pub(super) fn flush(&mut self, index: usize) -> Result<(), Violation> {
        self.after(100_000, Event::Flush(index));
        let Some(replica) = self.replicas.get_mut(index) else { return Ok(()) };
        let clock_us = replica.clock_us(self.now_us);
        let Dues { returns, tallies, renewals } = replica.book.tick(clock_us);
        replica.later.leased(replica.later.hour(), tallies);
        let returns = replica.unreturned.due(in_order(returns), clock_us);
        let life = replica.life;
        self.renew(index, renewals)?;
        self.tell(index);
        self.judge_hand(index)?;
        if returns.is_empty() {
            return Ok(());
        }
        if self.plan.faults.network && self.chance.one_in(50) {
            self.count("returns lost");
        } else {
            let wait_us = self.delay();
            self.after(wait_us, Event::Returned(index, life, returns));
        }
        Ok(())
    }

    /// A replica tells the store what was answered without it.
    pub(super) fn tell(&mut self, index: usize) {
        let fate = match self.now_us < self.down_until_us {
            true => Fate::Away,
            false if self.plan.faults.network && self.chance.one_in(50) => Fate::Lost { done: self.chance.one_in(2) },
            false => Fate::Answered,
        };
        let Some(later) = self.replicas.get(index).map(|replica| Arc::clone(&replica.later)) else { return };
        let waiting = later.waiting().0;
        self.gate.next(fate);
        // Nothing in it waits.
        let _settled = later.settle().now_or_never();
        if let Fate::Lost { .. } = fate
            && waiting > 0
        {
            self.count("tallies lost");
            self.report.unmetered += waiting;
            self.unmetered += waiting;
        }
    }
}

/// Returns in an order that a seed determines.
pub(super) fn in_order(mut returns: Vec<Ended>) -> Vec<Ended> {
    let taken = |change: Change| if let Change::Return { taken_us, .. } = change { taken_us } else { 0 };
    let place = |ended: &Ended| (ended.adjustment.key.clone(), taken(ended.adjustment.change));
    returns.sort_by_cached_key(place);
    returns
}

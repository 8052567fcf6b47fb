//! What happens at the store.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bulkhead_ratelimit::{
    ask::{Answer, Ask},
    charge::{Charge, Scope},
    key::{Account, Keyspace},
    lease::unreturned::Unreturned,
    store::{Adjustment, Hour, Ledger, Metered, Micros, Store, StoreError, Tally, memory::MemoryStore},
};
use bulkhead_tenancy::clock::SystemClock;
use futures::FutureExt as _;

use super::{Event, Job, Violation, World};

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Answered,
    /// There is no connection: nothing was sent.
    Away,
    /// It was lost on its way there, or the answer on its way back.
    Lost {
        done: bool,
    },
}

/// The store as replicas reach it in the background. The store behind it may be another one after a fail-over.
pub(super) struct Gate(Mutex<(Arc<MemoryStore>, Fate)>);

impl Gate {
    pub(super) fn new() -> Self {
        Self(Mutex::new((Arc::new(fresh()), Fate::Answered)))
    }

    fn lock(&self) -> MutexGuard<'_, (Arc<MemoryStore>, Fate)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn store(&self) -> Arc<MemoryStore> {
        Arc::clone(&self.lock().0)
    }

    pub(super) fn replace(&self, store: MemoryStore) {
        self.lock().0 = Arc::new(store);
    }

    pub(super) fn next(&self, fate: Fate) {
        self.lock().1 = fate;
    }
}

pub(super) fn fresh() -> MemoryStore {
    MemoryStore::new(Arc::new(SystemClock))
}

#[async_trait]
impl Store for Gate {
    async fn decide(&self, _: Option<Micros>, _: &[Ask]) -> Result<Vec<Answer>, StoreError> {
        Err(StoreError::Away)
    }

    fn ledger(&self) -> &dyn Ledger {
        self
    }
}

#[async_trait]
impl Ledger for Gate {
    async fn adjust(&self, _: Option<Micros>, adjustments: &[Adjustment]) -> Vec<Result<bool, StoreError>> {
        vec![Err(StoreError::Away); adjustments.len()]
    }

    async fn tally(&self, now: Option<Micros>, tallies: &[Tally]) -> Vec<Result<(), StoreError>> {
        let (store, fate) = self.lock().clone();
        match fate {
            Fate::Away => return vec![Err(StoreError::Away); tallies.len()],
            Fate::Lost { done: false } => {}
            Fate::Answered | Fate::Lost { done: true } => drop(store.ledger().tally(now, tallies).await),
        }
        let told = if fate == Fate::Answered { Ok(()) } else { Err(StoreError::Late) };
        vec![told; tallies.len()]
    }

    async fn metered(&self, _: &Account, _: Hour) -> Result<Vec<Metered>, StoreError> {
        Err(StoreError::Away)
    }
}

impl World {
    pub(super) fn at_store(&mut self, number: u64) -> Result<(), Violation> {
        let Some(flight) = self.flights.get(&number) else { return Ok(()) };
        if self.now_us < self.down_until_us {
            return Ok(());
        }
        let jobs = flight.jobs.clone();
        let mut answers = Vec::with_capacity(jobs.len());
        let (replica, holds) = (flight.replica, jobs.iter().any(|job| job.ahead.is_some()));
        for (place, job) in jobs.iter().enumerate() {
            let answer = self.decide(job)?;
            self.took(number, place, answer.ahead);
            answers.push(answer);
        }
        let deaf = self.deaf == Some(replica) && self.now_us < self.deaf_until_us;
        if deaf && holds {
            self.count("answers with leases lost");
            return Ok(());
        }
        if self.plan.faults.network && self.chance.one_in(200) {
            self.count("replies lost");
            return Ok(());
        }
        let wait_us = self.delay();
        self.after(wait_us, Event::Reply(number, answers));
        Ok(())
    }

    fn decide(&mut self, job: &Job) -> Result<Answer, Violation> {
        let (store, moment) = (self.gate.store(), Some(Micros(self.store_us())));
        let ask = Ask::of(job.charge.clone(), job.count, job.ahead);
        let before = (job.of.len() > 1).then(|| self.levels(&store, &ask.charge));
        let answer = store.answer(moment, &ask);
        let copies = u64::from(answer.admitted);
        if copies == 0 && before.is_some_and(|before| before != self.levels(&store, &ask.charge)) {
            return Err(self.wrong(format!("a charge of {} parts was denied, and was charged all the same", job.of.len())));
        }
        for (tenant, cost) in &job.of {
            let written = (copies + u64::from(answer.ahead)) * cost;
            let lagging = self.standby.is_some();
            self.global_lost += if lagging { written } else { 0 };
            let Some(watched) = self.watched.get_mut(*tenant) else { continue };
            watched.meter.decided += copies * cost;
            watched.meter.denied += (u64::from(job.count) - copies) * cost;
            watched.lost += if lagging { written } else { 0 };
        }
        for _ in 0..copies {
            self.admitted(&job.of)?;
        }
        let denial = || answer.outcome(&ask.charge, answer.admitted).denial();
        let by_global = answer.admitted < job.count && denial().is_some_and(|denial| denial.scope == Scope::Global);
        if let ([(tenant, _)], true) =
            (job.of.as_slice(), copies < u64::from(job.count) && denial().is_some_and(|denial| denial.scope == Scope::Tenant))
        {
            let held = self.watched.get_mut(*tenant).map_or(0, |watched| watched.bucket.left(self.now_us));
            self.report.short = self.report.short.max(held);
        }
        self.judge_guarantees(job, copies, by_global)?;
        Ok(answer)
    }

    /// What every level of a charge holds, looked at and not touched.
    fn levels(&self, store: &MemoryStore, charge: &Charge) -> Vec<(u64, u64)> {
        let look = |part: &bulkhead_ratelimit::charge::Part| {
            let look = Charge::of(Arc::clone(part.shape()), 0);
            let standings = store.decide_one(Some(Micros(self.store_us())), &look);
            standings.standings().iter().map(|one| (one.remaining, one.reset_us)).collect::<Vec<_>>()
        };
        charge.parts().iter().flat_map(look).collect()
    }

    /// Whoever is inside its guarantee is never denied by global, whatever replicas hold in advance.
    fn judge_guarantees(&mut self, job: &Job, copies: u64, denied_by_global: bool) -> Result<(), Violation> {
        let now_us = self.now_us;
        for (tenant, cost) in &job.of {
            let (Some(of), Some(watched)) = (self.plan.tenants.get(*tenant), self.watched.get_mut(*tenant)) else { continue };
            for _ in 0..copies {
                watched.guarantee.spend_at_most(now_us, *cost);
            }
            let judged = job.of.len() == 1 && !of.gone && now_us >= self.doubt_until_us;
            if judged && denied_by_global && watched.guarantee.holds(now_us, cost + 1) {
                let what = format!("{} was inside its guarantee and denied by global", of.uid);
                return Err(self.wrong(what));
            }
        }
        Ok(())
    }

    /// What a replica gives back comes to the store, or finds it away.
    pub(super) fn returned(&mut self, index: usize, life: u64, returns: &[Unreturned]) {
        let moment = Some(Micros(self.store_us()));
        if self.now_us < self.down_until_us {
            let Some(replica) = self.replicas.get_mut(index).filter(|one| one.life == life) else { return };
            let clock_us = replica.clock_us(self.now_us);
            for one in returns {
                let _kept = replica.unreturned.keep(one, clock_us);
            }
            return self.count("returns that found the store away");
        }
        let adjustments: Vec<Adjustment> = returns.iter().map(|one| one.adjustment.clone()).collect();
        // The memory store answers at once.
        drop(self.gate.store().ledger().adjust(moment, &adjustments).now_or_never());
    }

    /// What the meters have of a tenant: admitted, and denied.
    pub(super) fn metered(&self, store: &MemoryStore, tenant: usize) -> (u64, u64) {
        let Some(of) = self.plan.tenants.get(tenant) else { return (0, 0) };
        let (account, first) = (Keyspace::account(&self.keys, &of.uid), Hour::of(Micros(self.plan.start_us)).0);
        let lines = |hour| store.ledger().metered(&account, Hour(hour)).now_or_never().and_then(Result::ok).unwrap_or_default();
        // A clock may have been wrong by minutes.
        let all = (first - 1..=Hour::of(Micros(self.plan.start_us + self.now_us)).0 + 1).flat_map(lines);
        all.fold((0, 0), |sum, line| (sum.0 + line.admitted, sum.1 + line.denied))
    }
}

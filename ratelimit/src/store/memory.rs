//! The store inside this process: `--store memory`, the `local` failure mode, and the model that the script is held against.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use bulkhead_tenancy::clock::Clock;

use super::{Adjustment, Change, Hour, Ledger, METER_DAY_FIELDS, METER_FIELDS, METER_KEPT_MS, Metered, Micros, Store, StoreError, Tally};
use crate::{
    ask::{Answer, Ask},
    bucket::{Bucket, EXACT},
    charge::Charge,
    key::{Account, Key, Keyed, Meter},
    metering::later::unnamed,
    model,
    outcome::Outcome,
    state::State,
};

/// As many as a word has bits: those that a charge touches are a set of bits.
const SHARDS: u32 = u64::BITS;

/// Below so many keys a shard is not worth sweeping.
const SWEEP_FROM: usize = 256;

/// Buckets in memory, in shards with a lock each. A charge locks the shards it touches in the order of their numbers, so two charges
/// never wait for each other in a circle; no lock is held across an await.
pub struct MemoryStore {
    shards: Vec<Mutex<Shard>>,
    meters: Mutex<Meters>,
    clock: Arc<dyn Clock>,
}

#[derive(Default, Clone)]
struct Shard {
    held: Keyed<Key, Kept>,
    sweep_at: usize,
}

#[derive(Clone)]
struct Kept {
    state: State,
    /// From then on it is the same as one that nobody has used.
    clears_us: u64,
}

/// Meters by hour: the oldest hours go first.
#[derive(Default, Clone)]
struct Meters {
    hours: BTreeMap<Hour, OneHour>,
    /// By day, of each account, how many amounts its hours have got.
    days: BTreeMap<u64, Keyed<Account, usize>>,
}

#[derive(Default, Clone)]
struct OneHour {
    lines: Keyed<Meter, (u64, u64)>,
    /// Of each account, how many amounts its lines hold: admitted and denied are one each.
    fields: Keyed<Account, usize>,
}

impl MemoryStore {
    /// An empty store: every bucket is full.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::new(Shard { sweep_at: SWEEP_FROM, ..Shard::default() })).collect();
        Self { shards, meters: Mutex::default(), clock }
    }

    /// A copy of everything as it stands, for simulations: what a replica of a store had when its primary died.
    #[must_use]
    pub fn fork(&self) -> Self {
        let shards = self.shards.iter().map(|shard| Mutex::new(lock(shard).clone())).collect();
        Self { shards, meters: Mutex::new(lock(&self.meters).clone()), clock: Arc::clone(&self.clock) }
    }

    /// Decides one charge once.
    #[must_use]
    pub fn decide_one(&self, now: Option<Micros>, charge: &Charge) -> Outcome {
        self.answer(now, &Ask::one(charge.clone())).outcome(charge, 0)
    }

    /// Decides one ask.
    #[must_use]
    pub fn answer(&self, now: Option<Micros>, ask: &Ask) -> Answer {
        let now_us = self.now_us(now);
        if ask.charge.is_oversized() {
            return Answer::faulty(now_us);
        }
        let mut locked = self.lock(ask.charge.levels().map(|(level, _)| level.key()));
        let decision = model::decide(ask, now_us, |key| {
            let shard = shard_of(key);
            locked.iter().find(|(index, _)| *index == shard).and_then(|(_, shard)| shard.held.get(key)).map(|kept| kept.state.clone())
        });
        for one in decision.touched.into_iter().filter(|one| one.paid) {
            Self::write(&mut locked, one.key, one.state, one.bucket, now_us);
        }
        drop(locked);
        self.meter(ask, &decision.answer);
        decision.answer
    }

    fn now_us(&self, now: Option<Micros>) -> u64 {
        now.map_or_else(|| self.clock.now_us(), |now| now.0).min(EXACT.unsigned_abs() - 1)
    }

    fn write(locked: &mut [(u32, MutexGuard<'_, Shard>)], key: &Key, state: State, bucket: &Bucket, now_us: u64) {
        let index = shard_of(key);
        if let Some((_, shard)) = locked.iter_mut().find(|(locked, _)| *locked == index) {
            let clears_us = state.clears_us(bucket, now_us);
            shard.write(key, Kept { state, clears_us }, now_us);
        }
    }

    fn meter(&self, ask: &Ask, answer: &Answer) {
        if let Some(tally) = ask.tally() {
            lock(&self.meters).count(Micros(answer.now_us), &tally.meter, tally.admitted, tally.denied);
        }
        if answer.faulty {
            return;
        }
        for part in ask.charge.parts() {
            let Some(meter) = part.shape().meter().filter(|_| part.cost() > 0) else { continue };
            let costs = |copies: u32| part.cost().saturating_mul(u64::from(copies)).min(EXACT.unsigned_abs());
            lock(&self.meters).count(Micros(answer.now_us), meter, costs(answer.admitted), costs(ask.count - answer.admitted));
        }
    }

    /// All that a tenant's meters counted, admitted and denied, in all hours.
    #[cfg(test)]
    pub(crate) fn lines(&self, uid: &bulkhead_tenancy::name::TenantUid) -> (u64, u64) {
        let account = crate::key::Keyspace::default().account(uid);
        let meters = lock(&self.meters);
        let lines = meters.hours.values().flat_map(|hour| &hour.lines).filter(|(meter, _)| *meter.account() == account);
        lines.fold((0, 0), |sum, (_, line)| (sum.0 + line.0, sum.1 + line.1))
    }

    /// How many buckets are held: those that were not full when they were last looked at.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).held.len()).sum()
    }

    /// Whether every bucket is full.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock<'k>(&self, keys: impl Iterator<Item = &'k Key>) -> Vec<(u32, MutexGuard<'_, Shard>)> {
        let touched = keys.fold(0_u64, |touched, key| touched | 1 << shard_of(key));
        let mut locked = Vec::with_capacity(touched.count_ones() as usize);
        let rests = std::iter::successors(Some(touched), |rest| Some(rest & rest.wrapping_sub(1)));
        for index in rests.take_while(|rest| *rest > 0).map(u64::trailing_zeros) {
            locked.extend(self.shards.get(index as usize).map(|shard| (index, lock(shard))));
        }
        locked
    }

    pub(crate) fn adjust_one(&self, now_us: u64, adjustment: &Adjustment) -> bool {
        let Adjustment { key, bucket, change } = adjustment;
        let mut locked = self.lock(std::iter::once(key));
        let Some((_, shard)) = locked.first_mut() else { return false };
        if *change == Change::Reset {
            match State::reset(bucket, now_us) {
                Some(state) => Self::write(&mut locked, key, state, bucket, now_us),
                None => drop(shard.held.remove(key)),
            }
            return true;
        }
        let known = shard.held.get(key).map(|kept| kept.state.clone());
        let mut state = known.unwrap_or_else(|| State::fresh(bucket, now_us));
        let returns = matches!(change, Change::Return { .. });
        let bucket = &if returns { state.returns_under(bucket) } else { bucket.clone() };
        if state.refresh(bucket, now_us).is_none() {
            return false;
        }
        if state.adjust(bucket, *change) {
            Self::write(&mut locked, key, state, bucket, now_us);
        }
        true
    }
}

fn shard_of(key: &Key) -> u32 {
    // By account, so that a tenant's buckets are under one lock; and not by the bits that a shard's own map goes by.
    u32::try_from((key.account().spread() >> 40) % u64::from(SHARDS)).unwrap_or(0)
}

/// A poisoned lock's content is whole all the same: it is written in one step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shard {
    /// Writes a bucket. When a new one finds that the shard has doubled since the last sweep, unused buckets are dropped first: memory follows
    /// the buckets in use, at a constant cost a write.
    fn write(&mut self, key: &Key, kept: Kept, now_us: u64) {
        if let Some(known) = self.held.get_mut(key) {
            *known = kept;
            return;
        }
        if self.held.len() >= self.sweep_at {
            self.held.retain(|_, kept| kept.clears_us > now_us);
            self.sweep_at = (self.held.len() * 2).max(SWEEP_FROM);
        }
        self.held.insert(key.clone(), kept);
    }
}

impl Meters {
    fn count(&mut self, now: Micros, meter: &Meter, admitted: u64, denied: u64) {
        let hour = Hour::of(now);
        if !self.hours.contains_key(&hour) {
            let kept = Hour(hour.0.saturating_sub(METER_KEPT_MS / 3_600_000));
            self.hours = self.hours.split_off(&kept);
            self.days = self.days.split_off(&(kept.0 / 24));
        }
        let today = self.days.entry(hour.0 / 24).or_default();
        let hour = self.hours.entry(hour).or_default();
        hour.add(meter, |line| &mut line.0, admitted, today);
        hour.add(meter, |line| &mut line.1, denied, today);
    }
}

impl OneHour {
    /// Counts one amount of a line; on the line without names where the meter has no room for one more.
    fn add(&mut self, meter: &Meter, amount: fn(&mut (u64, u64)) -> &mut u64, costs: u64, today: &mut Keyed<Account, usize>) {
        if costs == 0 {
            return;
        }
        let mut line = self.lines.get(meter).copied().unwrap_or_default();
        if *amount(&mut line) == 0 {
            let fields = self.fields.entry(meter.account().clone()).or_default();
            if !meter.is_unnamed() && (*fields >= METER_FIELDS || !has_room(today, meter)) {
                unnamed(costs);
                return self.add(&meter.unnamed(), amount, costs, today);
            }
            *fields += 1;
        }
        *amount(&mut line) = amount(&mut line).saturating_add(costs);
        self.lines.insert(meter.clone(), line);
    }
}

/// Takes room for one amount more of a day, if there is any.
fn has_room(today: &mut Keyed<Account, usize>, meter: &Meter) -> bool {
    let taken = today.entry(meter.account().clone()).or_default();
    *taken += 1;
    *taken <= METER_DAY_FIELDS
}

#[async_trait]
impl Store for MemoryStore {
    async fn decide(&self, now: Option<Micros>, asks: &[Ask]) -> Result<Vec<Answer>, StoreError> {
        Ok(asks.iter().map(|ask| self.answer(now, ask)).collect())
    }

    fn ledger(&self) -> &dyn Ledger {
        self
    }
}

#[async_trait]
impl Ledger for MemoryStore {
    async fn adjust(&self, now: Option<Micros>, adjustments: &[Adjustment]) -> Vec<Result<bool, StoreError>> {
        let now_us = self.now_us(now);
        adjustments.iter().map(|one| Ok(self.adjust_one(now_us, one))).collect()
    }

    async fn tally(&self, now: Option<Micros>, tallies: &[Tally]) -> Vec<Result<(), StoreError>> {
        let now = Micros(self.now_us(now));
        let mut meters = lock(&self.meters);
        tallies.iter().for_each(|tally| meters.count(now, &tally.meter, tally.admitted, tally.denied));
        vec![Ok(()); tallies.len()]
    }

    async fn metered(&self, account: &Account, hour: Hour) -> Result<Vec<Metered>, StoreError> {
        let meters = lock(&self.meters);
        let lines = meters.hours.get(&hour).into_iter().flat_map(|hour| &hour.lines).filter(|(meter, _)| meter.account() == account);
        Ok(lines.map(|(meter, &(admitted, denied))| Metered { line: meter.line().to_owned(), admitted, denied }).collect())
    }
}

#[cfg(test)]
mod tests {
    use bulkhead_tenancy::{clock::ManualClock, limit::RateLimit, name::TenantUid};

    use super::*;
    use crate::{bucket::Bucket, charge::Scope, key::Keyspace};

    #[test]
    fn full_buckets_are_swept_so_memory_follows_the_buckets_in_use() {
        let clock = ManualClock::at_us(1_000_000);
        let store = MemoryStore::new(Arc::new(clock.clone()));
        let keys = Keyspace::default();
        for round in 0..20 {
            for tenant in 0..SHARDS as usize * SWEEP_FROM / 4 {
                let uid: TenantUid = format!("t-{round}-{tenant}").parse().unwrap();
                let charge = Charge::new().hold(Scope::Tenant, keys.tenant(&uid), Bucket::token(RateLimit::per_minute(60, 1.0)), 1);
                let _ = store.decide_one(None, &charge);
            }
            clock.advance_us(60_000_000);
        }
        assert!(store.len() < SHARDS as usize * SWEEP_FROM * 2, "{} buckets are held", store.len());
    }
}

//! The store inside this process: `--store memory`, the `local` failure mode, and the model that the script is held against.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use bulkhead_tenancy::clock::Clock;

use super::{Micros, Store, StoreError};
use crate::{
    bucket::EXACT,
    charge::{Charge, MAX_ENTRIES},
    key::Key,
    model::{self, State},
    outcome::Outcome,
};

/// A power of two, so that a hash picks a shard with a mask.
const SHARDS: usize = 64;

/// Below so many keys a shard is not worth sweeping.
const SWEEP_FROM: usize = 256;

/// Buckets in memory, in shards with a lock each. A charge locks the shards it touches in the order of their numbers, so two charges
/// never wait for each other in a circle; no lock is held across an await.
pub struct MemoryStore {
    shards: Vec<Mutex<Shard>>,
    hasher: RandomState,
    clock: Arc<dyn Clock>,
}

#[derive(Default)]
struct Shard {
    held: HashMap<Key, Held>,
    sweep_at: usize,
}

#[derive(Clone, Copy)]
struct Held {
    state: State,
    /// From then on the bucket is full: the same as one that nobody has used.
    full_at_us: u64,
}

impl MemoryStore {
    /// An empty store: every bucket is full.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::new(Shard { sweep_at: SWEEP_FROM, ..Shard::default() })).collect();
        Self { shards, hasher: RandomState::new(), clock }
    }

    /// Decides one charge.
    #[must_use]
    pub fn decide_one(&self, now: Option<Micros>, charge: &Charge) -> Outcome {
        if charge.entries().len() > MAX_ENTRIES {
            return Outcome::faulty();
        }
        let now_us = now.map_or_else(|| self.clock.now_us(), |now| now.0).min(EXACT.unsigned_abs() - 1);
        let mut locked = self.lock(charge);
        let decision = model::decide(charge, now_us, |key| {
            let shard = self.shard_of(key);
            locked.iter().find(|(index, _)| *index == shard).and_then(|(_, shard)| shard.held.get(key)).map(|held| held.state)
        });
        for (key, state, bucket) in decision.writes {
            let index = self.shard_of(key);
            if let Some((_, shard)) = locked.iter_mut().find(|(locked, _)| *locked == index) {
                shard.write(key, Held { state, full_at_us: state.at_us.saturating_add(bucket.reset_us(state.credit)) }, now_us);
            }
        }
        decision.outcome
    }

    /// How many buckets are held: those that were not full when they were last looked at.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().unwrap_or_else(PoisonError::into_inner).held.len()).sum()
    }

    /// Whether every bucket is full.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn shard_of(&self, key: &Key) -> usize {
        usize::try_from(self.hasher.hash_one(key) % SHARDS as u64).unwrap_or(0)
    }

    fn lock(&self, charge: &Charge) -> Vec<(usize, MutexGuard<'_, Shard>)> {
        let mut indices: Vec<usize> = charge.entries().iter().map(|entry| self.shard_of(&entry.key)).collect();
        indices.sort_unstable();
        indices.dedup();
        // A poisoned shard holds whole states all the same: they are written in one step.
        let lock = |index: usize| self.shards.get(index).map(|shard| (index, shard.lock().unwrap_or_else(PoisonError::into_inner)));
        indices.into_iter().filter_map(lock).collect()
    }
}

impl Shard {
    /// Writes a bucket. When the shard has doubled since the last sweep, full buckets are dropped first: memory follows the buckets in
    /// use, at a constant cost a write.
    fn write(&mut self, key: &Key, held: Held, now_us: u64) {
        if self.held.len() >= self.sweep_at {
            self.held.retain(|_, held| held.full_at_us > now_us);
            self.sweep_at = (self.held.len() * 2).max(SWEEP_FROM);
        }
        self.held.insert(key.clone(), held);
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn decide(&self, now: Option<Micros>, charges: &[Charge]) -> Result<Vec<Outcome>, StoreError> {
        Ok(charges.iter().map(|charge| self.decide_one(now, charge)).collect())
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
            for tenant in 0..SHARDS * SWEEP_FROM / 4 {
                let uid: TenantUid = format!("t-{round}-{tenant}").parse().unwrap();
                let charge = Charge::new().hold(Scope::Tenant, keys.tenant(&uid), Bucket::token(RateLimit::per_minute(60, 1.0)), 1);
                let _ = store.decide_one(None, &charge);
            }
            clock.advance_us(60_000_000);
        }
        assert!(store.len() < SHARDS * SWEEP_FROM * 2, "{} buckets are held", store.len());
    }
}

//! Counts hits in windows: one question to the store for all descriptors of a call.
//!
//! As in the original each descriptor counts for itself, and goes on counting when its window is over ([`Role::Count`](crate::charge::Role::Count)).
//! With STOP_CACHE_KEY_INCREMENT_WHEN_OVERLIMIT a call that is over any of its limits counts in none of them, in one atomic step: they are one
//! charge, all or none. Limits that do not decide alone (shadow and quota mode) then stay out of that charge, or their being over would keep
//! the limits that do decide from ever counting.

use std::{sync::Arc, time::Duration};

use bulkhead_tenancy::clock::Clock;
use sha2::{Digest, Sha256};

use super::{
    cache::UsedUp,
    rules::{Limit, Rate, Unit},
    settings,
};
use crate::{
    ask::{Answer, Ask},
    bucket::{Bucket, Window},
    charge::{Charge, MAX_LEVELS, Role, Scope, Shape},
    key::{Key, Keyspace},
    store::{Store, StoreError},
};

/// The longest counter that stands in a key as it is; of a longer one its hash does, so that no caller chooses how large a key gets.
const PLAIN_BYTES: usize = 512;

/// Where windows live.
#[derive(Clone)]
pub struct Stores {
    /// All of them, or those of a minute and longer.
    pub main: Arc<dyn Store>,
    /// Those of a second (REDIS_PERSECOND).
    pub per_second: Option<Arc<dyn Store>>,
    /// How long the main store may take (REDIS_TIMEOUT); the caller's own deadline may be shorter.
    pub deadline: Duration,
    /// How long the one of a second may take (REDIS_PERSECOND_TIMEOUT).
    pub per_second_deadline: Duration,
}

impl Stores {
    /// One or both.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<dyn Store>> {
        std::iter::once(&self.main).chain(&self.per_second).cloned().collect()
    }
}

/// Counts.
pub struct Counting {
    stores: Stores,
    keys: Keyspace,
    clock: Arc<dyn Clock>,
    used_up: Option<UsedUp>,
    stop_when_over: bool,
}

/// Hits that meet a limit.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hit<'l> {
    /// The limit.
    pub(super) limit: &'l Limit,
    /// `requests_per_unit` of its rate.
    pub(super) requests: u32,
    /// Its unit.
    pub(super) unit: Unit,
    /// How many. 0 looks only.
    pub(super) hits: u64,
    /// Whether being over this limit alone makes the call over.
    pub(super) decides: bool,
}

/// How a window took its hits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counted {
    /// Whether they are over the limit.
    pub(super) over: bool,
    /// What the window held before; unknown (0) if the local cache answered.
    pub(super) before: u64,
    /// What still fits into it; none where it is over.
    pub(super) remaining: u32,
    /// Whether the hits were counted in the window.
    pub(super) charged: bool,
    /// Whether the local cache answered.
    pub(super) cached: bool,
    /// Microseconds to the window's end.
    pub(super) left_us: u64,
}

/// Why nothing was counted, as far as anybody knows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Uncounted {
    /// The store did not decide.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A key of the store holds something that is no counter.
    #[error("a key of the store holds something that is no counter")]
    Faulty,
    /// With STOP_CACHE_KEY_INCREMENT_WHEN_OVERLIMIT all limits of a call are one step, which has a bound.
    #[error("a call may meet at most {MAX_LEVELS} limits with STOP_CACHE_KEY_INCREMENT_WHEN_OVERLIMIT")]
    TooMany,
}

impl Counting {
    /// Counts as the settings say.
    #[must_use]
    pub fn new(stores: Stores, clock: Arc<dyn Clock>, settings: &settings::Counting) -> Self {
        Self {
            stores,
            keys: Keyspace::new(&format!("{}bulkhead", settings.key_prefix)),
            clock,
            used_up: (settings.local_cache_bytes > 0).then(|| UsedUp::new(settings.local_cache_bytes)),
            stop_when_over: settings.stop_when_over,
        }
    }

    /// Counts the hits of one call, each at its limit.
    ///
    /// # Errors
    /// See [`Uncounted`]. What was sent may be counted all the same; it is never sent again (S12, S24).
    pub(super) async fn count(&self, hits: &[Hit<'_>], budget: Option<Duration>) -> Result<Vec<Counted>, Uncounted> {
        let keys: Vec<Key> = hits.iter().map(|hit| self.key(hit.limit, hit.unit)).collect();
        let mut counted: Vec<Option<Counted>> = hits.iter().zip(&keys).map(|(hit, key)| self.known(hit, key)).collect();
        let blocked = hits.iter().zip(&counted).any(|(hit, known)| hit.decides && known.is_some());
        let mut questions = [Questions::default(), Questions::default()];
        for (place, (hit, key)) in hits.iter().zip(keys.iter().cloned()).enumerate() {
            if counted.get(place).is_none_or(Option::is_some) {
                continue;
            }
            let second = hit.unit == Unit::Second && self.stores.per_second.is_some();
            let Some(questions) = questions.get_mut(usize::from(second)) else { continue };
            let bucket = bucket(hit.requests, hit.unit);
            if !self.stop_when_over {
                questions.alone(place, Shape::new().count(Scope::Tenant, key, bucket), hit.hits);
            } else if hit.decides {
                // Another limit of the call is known to be used up: this one is only looked at.
                questions.together(place, Shape::new().hold(Scope::Tenant, key, bucket), if blocked { 0 } else { hit.hits })?;
            } else {
                questions.alone(place, Shape::new().hold(Scope::Tenant, key, bucket), hit.hits);
            }
        }
        let [main, second] = questions;
        let within = |deadline: Duration| budget.map_or(deadline, |budget| budget.min(deadline));
        let (main, second) = tokio::try_join!(
            ask(Some(&self.stores.main), main, within(self.stores.deadline)),
            ask(self.stores.per_second.as_ref(), second, within(self.stores.per_second_deadline)),
        )?;
        for (place, window) in main.into_iter().chain(second) {
            if let (Some(hit), Some(key), Some(slot)) = (hits.get(place), keys.get(place), counted.get_mut(place)) {
                self.remember(hit, key, window);
                *slot = Some(window);
            }
        }
        counted.into_iter().collect::<Option<_>>().ok_or(Uncounted::Store(StoreError::Garbled))
    }

    /// Where hits of a limit are counted; none if it counts nothing.
    pub(crate) fn window(&self, limit: &Limit) -> Option<(&Arc<dyn Store>, Key, Bucket)> {
        let Rate::Each { requests_per_unit, unit } = limit.rate else { return None };
        let second = self.stores.per_second.as_ref().filter(|_| unit == Unit::Second);
        Some((second.unwrap_or(&self.stores.main), self.key(limit, unit), bucket(requests_per_unit, unit)))
    }

    /// What this process remembers of a window that was used up is forgotten.
    pub(crate) fn forget(&self, limit: &Limit) {
        if let (Some(used_up), Rate::Each { requests_per_unit, unit }) = (&self.used_up, limit.rate) {
            used_up.forget(&self.key(limit, unit), requests_per_unit);
        }
    }

    /// The key of a counter: of its parts and its unit, as the same rule may change its unit.
    fn key(&self, limit: &Limit, unit: Unit) -> Key {
        let counter = limit.counter.as_str();
        if counter.len() <= PLAIN_BYTES {
            return self.keys.descriptor([unit.name(), counter]);
        }
        self.keys.descriptor([unit.name(), "sha256", &hex::encode(Sha256::digest(counter))])
    }

    /// What the local cache knows. A look always goes to the store: it costs nothing there, and its answer may differ.
    fn known(&self, hit: &Hit<'_>, key: &Key) -> Option<Counted> {
        let known = hit.hits > 0 && self.used_up.as_ref()?.knows(key, hit.requests);
        let length_us = hit.unit.seconds() * 1_000_000;
        let left_us = length_us - self.clock.now_us() % length_us;
        known.then_some(Counted { over: true, before: 0, remaining: 0, charged: false, cached: true, left_us })
    }

    /// A window that nothing more fits into is remembered until it ends.
    fn remember(&self, hit: &Hit<'_>, key: &Key, window: Counted) {
        let Some(used_up) = &self.used_up else { return };
        let limit = u64::from(hit.requests);
        // What was denied and not counted may only have been too large for what is left.
        let nothing_fits = window.before >= limit || (window.charged && window.before.saturating_add(hit.hits) > limit);
        if window.over && nothing_fits {
            used_up.remember(key, hit.requests, Duration::from_micros(window.left_us));
        }
    }
}

/// So many hits in each window of a unit.
fn bucket(requests: u32, unit: Unit) -> Bucket {
    Bucket::Window(Window::new(requests.into(), unit.seconds() * 1_000_000))
}

/// What one store is asked: charges, and which places of the call each of their parts answers for.
#[derive(Default)]
struct Questions {
    charges: Vec<(Charge, Vec<usize>)>,
    together: Option<usize>,
}

impl Questions {
    fn alone(&mut self, place: usize, shape: Shape, cost: u64) {
        self.charges.push((Charge::of(Arc::new(shape), cost), vec![place]));
    }

    fn together(&mut self, place: usize, shape: Shape, cost: u64) -> Result<(), Uncounted> {
        let charge = Charge::of(Arc::new(shape), cost);
        let Some((all, places)) = self.together.and_then(|index| self.charges.get_mut(index)) else {
            self.together = Some(self.charges.len());
            self.charges.push((charge, vec![place]));
            return Ok(());
        };
        if places.len() >= MAX_LEVELS {
            return Err(Uncounted::TooMany);
        }
        all.append(charge);
        places.push(place);
        Ok(())
    }
}

async fn ask(store: Option<&Arc<dyn Store>>, questions: Questions, within: Duration) -> Result<Vec<(usize, Counted)>, Uncounted> {
    let Some(store) = store.filter(|_| !questions.charges.is_empty()) else { return Ok(Vec::new()) };
    let asks: Vec<Ask> = questions.charges.iter().map(|(charge, _)| Ask::one(charge.clone())).collect();
    let answers = tokio::time::timeout(within, store.decide(None, &asks)).await.map_err(|_| StoreError::Late)??;
    if answers.len() != asks.len() {
        return Err(StoreError::Garbled.into());
    }
    let mut windows = Vec::with_capacity(asks.len());
    for ((charge, places), answer) in questions.charges.iter().zip(&answers) {
        windows.extend(places.iter().copied().zip(read(charge, answer)?));
    }
    Ok(windows)
}

/// What an answer says of each part of a charge.
fn read(charge: &Charge, answer: &Answer) -> Result<Vec<Counted>, Uncounted> {
    if answer.faulty {
        return Err(Uncounted::Faulty);
    }
    let outcome = answer.outcome(charge, 0);
    if outcome.standings().len() != charge.parts().len() || answer.seen.len() != charge.parts().len() {
        return Err(StoreError::Garbled.into());
    }
    let admitted = answer.admitted > 0;
    let parts = charge.levels().zip(&answer.seen).zip(outcome.standings());
    let counted = parts.map(|(((level, cost), seen), standing)| {
        let before = i64::try_from(level.bucket().capacity()).unwrap_or(i64::MAX).saturating_sub(seen.credit).try_into().unwrap_or(0);
        // A limit of zero that nobody hit yet is not over for who only looks.
        let passed = standing.passed || (cost, before) == (0, 0);
        Counted {
            over: !passed,
            before,
            remaining: if passed { u32::try_from(standing.remaining).unwrap_or(u32::MAX) } else { 0 },
            charged: admitted || level.role() == Role::Count,
            cached: false,
            left_us: standing.reset_us,
        }
    });
    Ok(counted.collect())
}

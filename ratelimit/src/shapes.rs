//! Shapes that were built before: requests of one tenant, subscription and API have one shape, which is then decided as one question.

use std::{
    collections::{HashMap, HashSet},
    hash::{BuildHasher, BuildHasherDefault, RandomState},
    sync::{Arc, PoisonError, RwLock},
};

use bulkhead_tenancy::{api::Api, limit::RateLimit, platform::Platform, snapshot::Snapshot, subscription::Subscription, tenant::Tenant};

use crate::{
    charge::Shape,
    key::{self, Key},
};

/// The cache's locks: requests of different tenants rarely meet at one.
const SHARDS: usize = 64;

/// The most shapes that are kept of one tenant: pairs of its subscriptions and APIs. Beyond that its cache begins anew (S12: nobody else's).
const TENANT: usize = 1_024;

/// A cache of shapes. What a shape was built from is compared by identity: a snapshot shares every tenant that did not change with the one
/// before, and what is kept here cannot be freed and its address used again.
#[derive(Debug)]
pub(crate) struct Shapes {
    hasher: RandomState,
    shards: Vec<RwLock<Shard>>,
    unresolved: RwLock<Option<(Arc<Platform>, Arc<Shape>)>>,
}

#[derive(Debug, Default)]
struct Shard {
    /// The newest snapshot that came by. The first request of a newer one drops the tenants which that no longer has.
    generation: u64,
    tenants: HashMap<usize, Known>,
}

/// The shapes of one tenant, and what they were all built from.
#[derive(Debug)]
struct Known {
    tenant: Arc<Tenant>,
    platform: Arc<Platform>,
    guarantee: RateLimit,
    /// Keys of its shapes: one that stands in several is one allocation, so that it is compared by its address.
    keys: HashSet<Key, BuildHasherDefault<key::Known>>,
    shapes: HashMap<(usize, usize), Built>,
}

#[derive(Debug)]
struct Built {
    shape: Arc<Shape>,
    _subscription: Option<Arc<Subscription>>,
    _api: Option<Arc<Api>>,
}

/// What one shape is built from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Origin<'o> {
    pub(crate) snapshot: &'o Snapshot,
    pub(crate) tenant: &'o Arc<Tenant>,
    pub(crate) guarantee: RateLimit,
    pub(crate) subscription: Option<&'o Arc<Subscription>>,
    pub(crate) api: Option<&'o Arc<Api>>,
}

impl Default for Shapes {
    fn default() -> Self {
        let shards = (0..SHARDS).map(|_| RwLock::default()).collect();
        Self { hasher: RandomState::new(), shards, unresolved: RwLock::default() }
    }
}

impl Shapes {
    /// The shape of an origin, built if it is not known.
    pub(crate) fn get(&self, origin: Origin<'_>, build: impl FnOnce() -> Shape) -> Arc<Shape> {
        let tenant = Arc::as_ptr(origin.tenant).addr();
        let index = usize::try_from(self.hasher.hash_one(tenant) % SHARDS as u64).unwrap_or(0);
        let Some(shard) = self.shards.get(index) else { return Arc::new(build()) };
        let known = shard.read().unwrap_or_else(PoisonError::into_inner).find(tenant, origin);
        known.unwrap_or_else(|| {
            let shape = build();
            shard.write().unwrap_or_else(PoisonError::into_inner).keep(tenant, origin, shape)
        })
    }

    /// The shape of whatever has no tenant.
    pub(crate) fn unresolved(&self, platform: &Arc<Platform>, build: impl FnOnce() -> Shape) -> Arc<Shape> {
        let known = self.unresolved.read().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, shape)) = known.as_ref().filter(|(of, _)| Arc::ptr_eq(of, platform)) {
            return Arc::clone(shape);
        }
        drop(known);
        let shape = Arc::new(build());
        *self.unresolved.write().unwrap_or_else(PoisonError::into_inner) = Some((Arc::clone(platform), Arc::clone(&shape)));
        shape
    }
}

impl Shard {
    fn find(&self, tenant: usize, origin: Origin<'_>) -> Option<Arc<Shape>> {
        if origin.snapshot.generation() > self.generation {
            return None;
        }
        let known = self.tenants.get(&tenant).filter(|known| known.holds(origin))?;
        known.shapes.get(&origin.pair()).map(|built| Arc::clone(&built.shape))
    }

    /// Keeps a shape, unless another thread was quicker: equal shapes are the same allocation.
    fn keep(&mut self, tenant: usize, origin: Origin<'_>, mut shape: Shape) -> Arc<Shape> {
        if origin.snapshot.generation() > self.generation {
            self.generation = origin.snapshot.generation();
            let current =
                |known: &Known| origin.snapshot.tenant(known.tenant.name.as_str()).is_some_and(|one| Arc::ptr_eq(one, &known.tenant));
            self.tenants.retain(|_, known| current(known));
        }
        let known = self.tenants.entry(tenant).or_insert_with(|| origin.known());
        if !known.holds(origin) {
            *known = origin.known();
        }
        if known.shapes.len() >= TENANT {
            known.shapes.clear();
            known.keys.clear();
        }
        shape.keys().for_each(|key| known.share(key));
        let built = Built { shape: Arc::new(shape), _subscription: origin.subscription.cloned(), _api: origin.api.cloned() };
        Arc::clone(&known.shapes.entry(origin.pair()).or_insert(built).shape)
    }
}

impl Known {
    fn holds(&self, origin: Origin<'_>) -> bool {
        Arc::ptr_eq(&self.platform, origin.snapshot.platform()) && self.guarantee == origin.guarantee
    }

    fn share(&mut self, key: &mut Key) {
        match self.keys.get(key) {
            Some(known) => key.clone_from(known),
            None => drop(self.keys.insert(key.clone())),
        }
    }
}

impl Origin<'_> {
    fn pair(&self) -> (usize, usize) {
        (self.subscription.map_or(0, |one| Arc::as_ptr(one).addr()), self.api.map_or(0, |one| Arc::as_ptr(one).addr()))
    }

    fn known(&self) -> Known {
        Known {
            tenant: Arc::clone(self.tenant),
            platform: Arc::clone(self.snapshot.platform()),
            guarantee: self.guarantee,
            keys: HashSet::default(),
            shapes: HashMap::new(),
        }
    }
}

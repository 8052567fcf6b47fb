//! What the names of a descriptor stand for. They are looked up in the snapshot once, and then remembered together: a request of a tenant, subscription and API
//! that one came from before finds all that its decision needs in one look.

use std::{
    cmp::Reverse,
    collections::{HashMap, HashSet},
    hash::{BuildHasher as _, Hasher as _, RandomState},
    sync::{Arc, PoisonError, RwLock, Weak},
};

use bulkhead_proto::contract::descriptor;
use bulkhead_tenancy::{
    api::{Api, Audit},
    snapshot::Snapshot,
    subscription::Subscription,
    tenant::{Policy, Tenant},
};

use crate::{charge::Shape, key::Keyed, levels::Levels};

/// Locks: requests of different tenants rarely meet at one.
const SHARDS: u64 = 64;

/// What stands behind each of the names that are remembered together: none holds it.
const SEPARATOR: &str = "\n";

/// The most that one shard remembers. What is forgotten is looked up again.
const REMEMBERED: usize = 1_024;

/// So much is forgotten at a time, at least: counting what each tenant has then takes little of each look.
const FORGOTTEN: usize = REMEMBERED / 8;

/// What the names of one descriptor stand for.
#[derive(Debug)]
pub(super) struct Named {
    pub(super) tenant: Arc<Tenant>,
    pub(super) subscription: Meaning<Subscription>,
    pub(super) api: Meaning<Api>,
    pub(super) shape: Arc<Shape>,
    /// The names, joined.
    names: Box<str>,
}

/// What one name stands for.
#[derive(Debug)]
pub(super) enum Meaning<T> {
    /// It says that there is none.
    Unnamed,
    /// Nobody of that name is known.
    Unknown,
    Known(Arc<T>),
}

impl<T> Meaning<T> {
    fn of(name: &str, find: impl FnOnce(&str) -> Option<Arc<T>>) -> Self {
        if name == descriptor::NONE { Self::Unnamed } else { find(name).map_or(Self::Unknown, Self::Known) }
    }

    pub(super) fn known(&self) -> Option<&Arc<T>> {
        match self {
            Self::Known(known) => Some(known),
            Self::Unnamed | Self::Unknown => None,
        }
    }

    pub(super) const fn is_unknown(&self) -> bool {
        matches!(self, Self::Unknown)
    }
}

impl Named {
    fn is_of(&self, names: Names<'_>) -> bool {
        let rest = names.iter().try_fold(&*self.names, |rest, name| rest.strip_prefix(name)?.strip_prefix(SEPARATOR));
        rest.is_some_and(str::is_empty)
    }

    /// Its tenant, within one snapshot.
    fn whose(&self) -> usize {
        Arc::as_ptr(&self.tenant).addr()
    }

    /// What is recorded of a request, as its API asks for it.
    pub(super) fn audit(&self) -> Option<Audit> {
        self.api.known().map(|api| api.audit)
    }
}

/// The names of a descriptor as they were sent: tenant, subscription and API.
pub(super) type Names<'n> = [&'n str; 3];

/// What was looked up before. Only names that a snapshot has are remembered, so no caller fills it with names of its own (S12).
pub(super) struct Remembered {
    hasher: RandomState,
    shards: Vec<RwLock<Shard>>,
}

#[derive(Default)]
struct Shard {
    /// The snapshot that all of it is of: in another one a name may stand for something else.
    snapshot: Weak<Snapshot>,
    known: Keyed<u64, Arc<Named>>,
}

impl Default for Remembered {
    fn default() -> Self {
        Self { hasher: RandomState::new(), shards: (0..SHARDS).map(|_| RwLock::default()).collect() }
    }
}

impl Remembered {
    /// What these names stand for; none if there is no such tenant.
    pub(super) fn look_up(&self, names: Names<'_>, snapshot: &Arc<Snapshot>, levels: &Levels) -> Option<Arc<Named>> {
        let hash = self.hash(names);
        // Not by the bits that a shard's own map goes by.
        let shard = self.shards.get(usize::try_from((hash >> 40) % SHARDS).unwrap_or(0))?;
        let known = shard.read().unwrap_or_else(PoisonError::into_inner).find(hash, names, snapshot);
        known.or_else(|| {
            let found = Arc::new(find(names, snapshot, levels)?);
            if !found.subscription.is_unknown() && !found.api.is_unknown() {
                shard.write().unwrap_or_else(PoisonError::into_inner).keep(hash, &found, snapshot);
            }
            Some(found)
        })
    }

    fn hash(&self, names: Names<'_>) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        for name in names {
            hasher.write(name.as_bytes());
            hasher.write(SEPARATOR.as_bytes());
        }
        hasher.finish()
    }
}

impl Shard {
    fn is_of(&self, snapshot: &Arc<Snapshot>) -> bool {
        std::ptr::eq(self.snapshot.as_ptr(), Arc::as_ptr(snapshot))
    }

    fn find(&self, hash: u64, names: Names<'_>, snapshot: &Arc<Snapshot>) -> Option<Arc<Named>> {
        if !self.is_of(snapshot) {
            return None;
        }
        self.known.get(&hash).filter(|known| known.is_of(names)).map(Arc::clone)
    }

    fn keep(&mut self, hash: u64, found: &Arc<Named>, snapshot: &Arc<Snapshot>) {
        if !self.is_of(snapshot) {
            if self.snapshot.upgrade().is_some_and(|newer| newer.generation() > snapshot.generation()) {
                return;
            }
            *self = Self { snapshot: Arc::downgrade(snapshot), known: Keyed::default() };
        }
        if self.known.len() >= REMEMBERED {
            self.make_room();
        }
        self.known.insert(hash, Arc::clone(found));
    }

    /// Forgets the tenants that have most here: nobody's many names are at the cost of whoever has few (S12).
    fn make_room(&mut self) {
        let mut counts: HashMap<usize, usize> = HashMap::new();
        for named in self.known.values() {
            *counts.entry(named.whose()).or_default() += 1;
        }
        let mut counts: Vec<(usize, usize)> = counts.into_iter().collect();
        counts.sort_unstable_by_key(|(_, count)| Reverse(*count));
        let mut room = 0;
        let most = counts.into_iter().take_while(|(_, count)| {
            let goes = room < FORGOTTEN;
            room += count;
            goes
        });
        let forgotten: HashSet<usize> = most.map(|(whose, _)| whose).collect();
        self.known.retain(|_, named| !forgotten.contains(&named.whose()));
    }
}

/// Looks names up in a snapshot.
fn find(names: Names<'_>, snapshot: &Snapshot, levels: &Levels) -> Option<Named> {
    let [tenant, subscription, api] = names;
    let tenant = snapshot.tenant(tenant)?;
    let policy = match &tenant.policy {
        Policy::Ready(policy) => Some(policy.as_ref()),
        Policy::Unavailable(_) => None,
    };
    let subscription = Meaning::of(subscription, |name| policy?.subscription(name).cloned());
    let api = Meaning::of(api, |name| policy?.api(name).cloned());
    let shape = levels.shape_of(snapshot, tenant, subscription.known(), api.known());
    Some(Named {
        tenant: Arc::clone(tenant),
        subscription,
        api,
        shape,
        names: names.map(|name| [name, SEPARATOR].concat()).concat().into(),
    })
}

#[cfg(test)]
mod tests;

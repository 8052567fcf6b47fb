//! What one tenant may use of this process while it proves its callers: key fetches, waits, verifications and memory, each bounded for
//! itself, so that one flooded tenant floods nobody else (S5).

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use bulkhead_tenancy::{
    issuer::{Issuer, IssuerId},
    name::TenantUid,
    snapshot::Snapshot,
};
use tokio::sync::Semaphore;

use super::{
    flight::Flights,
    keys::{Keyring, Standing, Supply},
    proof::Refused,
    verified::{TokenHash, Verified},
};
use crate::{
    purse::Allowance,
    shares::{Account, Pool, Shares},
};

/// The caps of every tenant, and the memory that they share.
#[derive(Debug, Clone, Copy)]
pub struct Caps {
    /// Requests that wait for the tenant's keys at a time.
    pub waiting: usize,
    /// Key fetches at a time.
    pub fetching: usize,
    /// Names of providers that are looked up at a time.
    pub lookups: usize,
    /// First-sight verifications that wait for their turn or run.
    pub first_sights: usize,
    /// First-sight verifications that run at a time.
    pub verifying: usize,
    /// Time of I/O threads that first-sight verifications may take.
    pub at_once: Allowance,
    /// Bytes of issuers' keys.
    pub keys: Shares,
    /// Bytes of verified tokens.
    pub tokens: Shares,
}

impl Default for Caps {
    fn default() -> Self {
        const KIB: usize = 1024;
        const MIB: usize = 1024 * KIB;
        Self {
            // Who waits takes memory alone. A queue of so many signatures is worked off in some tens of milliseconds.
            waiting: 1024,
            fetching: 2,
            lookups: 4,
            first_sights: 512,
            // Half of the processors, so that the other half answers calls.
            verifying: thread::available_parallelism().map_or(1, |all| (all.get() / 2).clamp(1, 4)),
            // A twentieth of a processor, and half a dozen signatures in one go.
            at_once: Allowance { a_second: Duration::from_millis(50), saved: Duration::from_micros(400) },
            keys: Shares { floor: 16 * KIB, ceiling: 512 * KIB, pool: 32 * MIB },
            tokens: Shares { floor: 16 * KIB, ceiling: 8 * MIB, pool: 128 * MIB },
        }
    }
}

/// The bounds of one tenant.
pub(super) struct Bounds {
    pub(super) waiting: Semaphore,
    /// The place of one fetch, which no other tenant can hold.
    pub(super) first: Semaphore,
    pub(super) fetching: Semaphore,
    /// Places of which fetches that nobody waits for leave some free.
    fetching_in_all: usize,
    pub(super) lookups: Arc<Semaphore>,
    pub(super) keys: Arc<Account>,
    pub(super) tokens: Arc<Account>,
}

impl Bounds {
    /// Whether a fetch that nobody waits for may be made: a tenant's dead providers never take the last place of its living ones.
    pub(super) fn may_fetch_ahead(&self) -> bool {
        self.fetching.available_permits() > self.fetching_in_all / 2
    }
}

/// The bounds of one tenant, and the keys of its issuers.
pub(super) struct Compartment {
    pub(super) bounds: Arc<Bounds>,
    /// Tokens that are being verified, by how whoever brings them stands and whether they may wait: what is looked for depends on it.
    pub(super) flights: Flights<(TokenHash, Standing, bool), Result<Arc<Verified>, Refused>>,
    rings: Mutex<HashMap<IssuerId, Arc<Keyring>>>,
}

/// Every tenant's compartment, by uid: a tenant that is made anew under an old name starts with an empty one (S23).
pub(super) struct Compartments {
    caps: Caps,
    keys: Arc<Pool>,
    tokens: Arc<Pool>,
    supply: Arc<Supply>,
    all: RwLock<HashMap<TenantUid, Arc<Compartment>, foldhash::fast::RandomState>>,
    /// The generation of the snapshot that it was last swept by.
    swept: AtomicU64,
}

impl Compartments {
    pub(super) fn new(caps: Caps, supply: Supply) -> Self {
        let (keys, tokens) = (Pool::new(caps.keys), Pool::new(caps.tokens));
        Self { caps, keys, tokens, supply: Arc::new(supply), all: RwLock::default(), swept: AtomicU64::new(0) }
    }

    /// The compartment of a tenant of the snapshot.
    pub(super) fn of(&self, tenant: &TenantUid) -> Arc<Compartment> {
        if let Some(known) = self.all.read().unwrap_or_else(PoisonError::into_inner).get(tenant) {
            return Arc::clone(known);
        }
        let mut all = self.all.write().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(all.entry(tenant.clone()).or_insert_with(|| Arc::new(self.empty())))
    }

    fn empty(&self) -> Compartment {
        let Caps { waiting, fetching, lookups, .. } = self.caps;
        let bounds = Bounds {
            waiting: Semaphore::new(waiting),
            first: Semaphore::new(1),
            fetching: Semaphore::new(fetching),
            fetching_in_all: fetching,
            lookups: Arc::new(Semaphore::new(lookups)),
            keys: self.keys.account(),
            tokens: self.tokens.account(),
        };
        Compartment { bounds: Arc::new(bounds), flights: Flights::new(), rings: Mutex::default() }
    }

    /// How long keys are believed that cannot be fetched anew.
    pub(super) fn longest_believed(&self) -> Duration {
        self.supply.pace.stale
    }

    /// The keys of an issuer as it is configured now: other places, keys or algorithms make a new ring.
    pub(super) fn ring(&self, compartment: &Compartment, issuer: &Arc<Issuer>) -> Arc<Keyring> {
        let mut rings = compartment.rings.lock().unwrap_or_else(PoisonError::into_inner);
        match rings.get(&issuer.id) {
            Some(ring) if ring.serves(issuer) => Arc::clone(ring),
            _ => {
                // The old keys go first, so that the new ones find their place in the tenant's share.
                rings.remove(&issuer.id);
                let ring = Keyring::new(Arc::clone(issuer), Arc::clone(&self.supply), Arc::clone(&compartment.bounds));
                rings.insert(issuer.id.clone(), Arc::clone(&ring));
                ring
            }
        }
    }

    /// Drops what belongs to tenants and issuers that are gone, once for each snapshot. Whoever makes compartments asks for it: a replica may do nothing but read bodies.
    pub(super) fn sweep(self: &Arc<Self>, snapshot: &Arc<Snapshot>) {
        let generation = snapshot.generation();
        if self.swept.fetch_max(generation, Ordering::AcqRel) < generation {
            let (compartments, snapshot) = (Arc::clone(self), Arc::clone(snapshot));
            tokio::task::spawn_blocking(move || compartments.drop_all_but(&snapshot));
        }
    }

    /// Drops what belongs to tenants and issuers that a snapshot does not have.
    pub(super) fn drop_all_but(&self, snapshot: &Snapshot) {
        let issuers: HashMap<&TenantUid, Vec<&IssuerId>> =
            snapshot.tenants().map(|tenant| (&tenant.uid, tenant.issuers.iter().map(|issuer| &issuer.id).collect())).collect();
        let mut all = self.all.write().unwrap_or_else(PoisonError::into_inner);
        all.retain(|uid, compartment| {
            let Some(own) = issuers.get(uid) else { return false };
            compartment.rings.lock().unwrap_or_else(PoisonError::into_inner).retain(|issuer, _| own.contains(&issuer));
            true
        });
    }
}

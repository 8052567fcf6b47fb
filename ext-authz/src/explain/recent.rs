//! The last decisions, to be explained: a bounded number, of which each tenant has a share of its own that no other's traffic takes (S11).

use std::{
    collections::{HashMap, VecDeque},
    hash::BuildHasher as _,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use bulkhead_tenancy::name::TenantUid;
use foldhash::fast::{FixedState, RandomState};

use super::told::Told;

/// Parts with a lock each, so that decisions of different tenants seldom meet.
const SHARDS: usize = 16;
/// Decisions of a part; with few tenants each keeps more of its own, and with many each keeps `LEAST`.
const OF_SHARD: usize = 2048;
/// The most decisions that one tenant keeps, and the least.
const MOST: usize = 256;
const LEAST: usize = 2;
/// How long a decision is remembered.
const RECENT: Duration = Duration::from_secs(3600);

/// By proven tenant; none: what is unresolved, together.
type Owner = Option<TenantUid>;
type Shard = HashMap<Owner, VecDeque<(Instant, Arc<Told>)>, RandomState>;

/// The last decisions.
#[derive(Default)]
pub struct Recent([Mutex<Shard>; SHARDS]);

impl Recent {
    /// Remembers a decision.
    pub fn add(&self, told: Told) {
        let owner = told.tenant().cloned();
        let told = Arc::new(told.bounded());
        let now = Instant::now();
        let mut shard = self.shard(&owner);
        let most = most(shard.len());
        let own = shard.entry(owner).or_default();
        own.push_back((now, told));
        // One goes for the one that came, and one more while a share grows smaller.
        let forgotten = [(); 2].map(|()| if own.len() > most { own.pop_front() } else { None });
        // Others wait for the lock, and what is forgotten is freed after it.
        drop(shard);
        drop(forgotten);
    }

    /// The decision with an id, of one tenant: only that tenant's are looked through.
    #[must_use]
    pub fn of(&self, tenant: &TenantUid, id: &str) -> Option<Arc<Told>> {
        let owner = Some(tenant.clone());
        find(self.shard(&owner).get(&owner)?, id)
    }

    /// The decision with an id, whoever's.
    #[must_use]
    pub fn of_anybody(&self, id: &str) -> Option<Arc<Told>> {
        self.0.iter().find_map(|shard| locked(shard).values().find_map(|own| find(own, id)))
    }

    /// Forgets what is no longer recent, and what is more than a share of now. Called from time to time.
    pub fn sweep(&self) {
        for shard in &self.0 {
            let mut shard = locked(shard);
            let most = most(shard.len());
            shard.retain(|_, own| {
                while own.len() > most || own.front().is_some_and(|(at, _)| at.elapsed() > RECENT) {
                    own.pop_front();
                }
                !own.is_empty()
            });
        }
    }

    fn shard(&self, owner: &Owner) -> MutexGuard<'_, Shard> {
        let [first, ..] = &self.0;
        let at = usize::try_from(FixedState::default().hash_one(owner) % SHARDS as u64).unwrap_or_default();
        locked(self.0.get(at).unwrap_or(first))
    }
}

fn locked(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What one tenant keeps where so many share a part.
fn most(tenants: usize) -> usize {
    (OF_SHARD / tenants.max(1)).clamp(LEAST, MOST)
}

fn find(own: &VecDeque<(Instant, Arc<Told>)>, id: &str) -> Option<Arc<Told>> {
    own.iter().rev().find(|(_, told)| told.id == id).map(|(_, told)| Arc::clone(told))
}

#[cfg(test)]
mod tests {
    use bulkhead_tenancy::tenant::Tenant;

    use super::*;
    use crate::{
        fixture,
        verdict::{Decision, Denial, Facts, Reason, Verdict},
    };

    fn told(id: &str, tenant: Option<&Arc<Tenant>>) -> Told {
        let mut verdict = Verdict::denied(Denial::new(Reason::Role, "x"));
        verdict.facts = Facts { tenant: tenant.cloned(), ..Facts::default() };
        Told::new(Decision { id: id.to_owned(), generation: None, verdict }, None)
    }

    #[test]
    fn s11_a_decision_that_is_remembered_keeps_no_policy_of_its_tenant() {
        let snapshot = fixture::own();
        let acme = Arc::clone(snapshot.tenant("acme").unwrap());
        drop(snapshot);
        let held = Arc::strong_count(&acme);
        let recent = Recent::default();
        (0..MOST).for_each(|nth| recent.add(told(&nth.to_string(), Some(&acme))));
        assert!(recent.of(&acme.uid, "0").is_some());
        assert_eq!(Arc::strong_count(&acme), held);
    }

    #[test]
    fn s11_a_flood_of_one_tenant_is_forgotten_before_anothers_decision() {
        let snapshot = fixture::own();
        let (acme, globex) = (snapshot.tenant("acme").unwrap(), snapshot.tenant("globex").unwrap());
        let recent = Recent::default();
        recent.add(told("globex", Some(globex)));
        for nth in 0..10 * MOST {
            recent.add(told(&nth.to_string(), Some(acme)));
            recent.add(told("stranger", None));
        }
        recent.sweep();
        assert!(recent.of(&globex.uid, "globex").is_some());
        let last = (10 * MOST - 1).to_string();
        assert!(recent.of(&acme.uid, &last).is_some() && recent.of_anybody(&last).is_some());
        assert!(recent.of(&globex.uid, &last).is_none(), "another's");
        assert!(recent.of(&acme.uid, "0").is_none(), "forgotten");
        let kept: usize = recent.0.iter().map(|shard| locked(shard).values().map(VecDeque::len).sum::<usize>()).sum();
        assert!(kept <= 2 * MOST + 1, "{kept}");
    }
}

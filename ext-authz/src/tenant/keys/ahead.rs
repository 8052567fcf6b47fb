//! Keys before anybody asks for them: fetched when a tenant appears, and refreshed though nobody comes, so that a first request finds keys
//! and a withdrawn key is gone after a known time. It goes slowly, and nothing waits for it: not readiness, not a request.

use std::{
    hash::{BuildHasher, RandomState},
    sync::Arc,
    time::Duration,
};

use bulkhead_tenancy::{snapshot::Live, tenant::Status};
use tokio::sync::Semaphore;

use crate::tenant::compartment::Compartments;

/// How keys are fetched ahead.
#[derive(Debug, Clone, Copy)]
pub struct Ahead {
    /// The least time from the start of one fetch to the start of the next: ten thousand issuers of one provider are no burst on it.
    pub between: Duration,
    /// Fetches on their way at a time; what requests wait for has places beside these.
    pub flying: usize,
    /// How often all issuers are looked at.
    pub round: Duration,
}

impl Default for Ahead {
    fn default() -> Self {
        Self { between: Duration::from_millis(10), flying: 64, round: Duration::from_secs(5) }
    }
}

impl Ahead {
    /// Looks after the keys of all tenants that are served, for as long as it is polled.
    pub(in crate::tenant) async fn run(self, compartments: Arc<Compartments>, live: Live) {
        let places = Arc::new(Semaphore::new(self.flying));
        let seed = RandomState::new();
        loop {
            self.round(&compartments, &live, &places, &seed).await;
            tokio::time::sleep(self.round).await;
        }
    }

    /// Fetches what is due, in an order of this process's own: replicas that start together do not ask the same provider for the same keys
    /// at the same moment.
    async fn round(&self, compartments: &Arc<Compartments>, live: &Live, places: &Arc<Semaphore>, seed: &RandomState) {
        let Some(snapshot) = live.load() else { return };
        compartments.sweep(&snapshot);
        let mut names: Vec<_> = snapshot.tenants().map(|tenant| tenant.name.clone()).collect();
        drop(snapshot);
        names.sort_by_cached_key(|name| seed.hash_one(name));
        for name in names {
            // The snapshot of this moment: a round may take minutes, and a tenant's issuers may change meanwhile.
            let Some(tenant) = live.load().and_then(|snapshot| snapshot.tenant(name.as_str()).cloned()) else { continue };
            if tenant.status != Status::Active {
                continue;
            }
            let compartment = compartments.of(&tenant.uid);
            for issuer in &tenant.issuers {
                let ring = compartments.ring(&compartment, issuer);
                if !ring.is_due() {
                    continue;
                }
                let Ok(place) = Arc::clone(places).acquire_owned().await else { return };
                ring.fetch_ahead(place);
                tokio::time::sleep(self.between).await;
            }
        }
    }
}

#[cfg(test)]
mod tests;

//! Where the host of a contract leads: Envoy is told the address, and resolves nothing itself (S3).
//!
//! Envoy shows its guard the first address of a name, and connects to the next one where that refuses (happy eyeballs): a name of two addresses would lead past
//! the guard to Envoy's own admin port. So names are resolved here, every address is judged, and one is handed over: what is connected to is what was judged.

use std::{io, net::IpAddr, sync::Arc, time::Duration};

use async_trait::async_trait;
use bulkhead_tenancy::{clock::Clock, host::HostName, name::TenantUid};
use moka::sync::Cache;
use tokio::{
    sync::{Semaphore, watch},
    time::Instant,
};

use self::{
    known::{Found, Known},
    lanes::{Lanes, Share},
};
use crate::verdict::{Denial, Reason};

mod known;
mod lanes;
#[cfg(test)]
mod tests;

/// Names that nobody asks for are forgotten.
const IDLE: Duration = Duration::from_secs(600);
/// Names, and tenants, that are known at most.
const KNOWN: u64 = 200_000;

/// Whoever knows where names lead.
#[async_trait]
pub trait Lookup: Send + Sync {
    /// All addresses of a name.
    ///
    /// # Errors
    /// There are none, or nobody knows.
    async fn lookup(&self, host: &str) -> io::Result<Vec<IpAddr>>;
}

/// The system's resolver.
#[derive(Debug, Clone, Copy)]
pub struct System;

#[async_trait]
impl Lookup for System {
    async fn lookup(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        Ok(tokio::net::lookup_host((host, 0)).await?.map(|address| address.ip().to_canonical()).collect())
    }
}

/// The resolver.
#[derive(Clone)]
pub struct Resolver(Arc<Inner>);

struct Inner {
    lookup: Box<dyn Lookup>,
    clock: Arc<dyn Clock>,
    names: Cache<(TenantUid, HostName), Arc<Name>>,
    tenants: Cache<TenantUid, Arc<Share>>,
    lanes: Lanes,
}

/// One name: what is known of it, and one lookup at a time.
struct Name {
    known: watch::Sender<Known>,
    looking: Arc<Semaphore>,
}

impl Resolver {
    /// A resolver that asks someone.
    pub fn new(lookup: impl Lookup + 'static, clock: Arc<dyn Clock>) -> Self {
        let names = Cache::builder().max_capacity(KNOWN).time_to_idle(IDLE).build();
        let tenants = Cache::builder().max_capacity(KNOWN).time_to_idle(IDLE).build();
        Self(Arc::new(Inner { lookup: Box::new(lookup), clock, names, tenants, lanes: Lanes::default() }))
    }

    /// The address of a contract's host, for the tenant whose contract it is; `anywhere`: also where no tenant may point, because the operator said so.
    ///
    /// # Errors
    /// `unavailable`: it leads nowhere, nobody has found out where by `until`, or one of its addresses is this machine's, its link's, or a metadata service's.
    pub async fn address(&self, tenant: &TenantUid, host: &HostName, anywhere: bool, until: Instant) -> Result<IpAddr, Denial> {
        // Apart for each tenant: a lookup that waits behind others of one tenant's is nobody else's.
        let name = self.0.names.get_with((tenant.clone(), host.clone()), || Arc::new(Name::default()));
        let mut known = *name.known.borrow();
        let now = self.0.clock.now_us();
        if known.is_due(now) {
            self.look_up(tenant, host, &name);
        }
        if known.usable(now).is_none() {
            // On what is known, and not on who looks: a lookup may end between any two steps here.
            let mut changes = name.known.subscribe();
            let before = known.tried;
            let found = changes.wait_for(|known| known.usable(now).is_some() || known.tried != before || !known.is_due(now));
            known = match tokio::time::timeout_at(until, found).await {
                Ok(Ok(known)) => *known,
                Ok(Err(_)) | Err(_) => return Err(nowhere("the host of the contract's upstream was not resolved in time")),
            };
        }
        match known.usable(now) {
            None => Err(nowhere("the host of the contract's upstream does not resolve")),
            Some(Found { forbidden: Some(what), .. }) if !anywhere => {
                Err(Denial::new(Reason::Unavailable, format!("the host of the contract's upstream resolves to {what}")))
            }
            Some(Found { address, .. }) => Ok(address),
        }
    }

    /// Looks a name up, unless somebody does. Spawned: whoever stops waiting ends no lookup, and a hung one keeps its places.
    fn look_up(&self, tenant: &TenantUid, host: &HostName, name: &Arc<Name>) {
        let Ok(looking) = Arc::clone(&name.looking).try_acquire_owned() else { return };
        let share = self.0.tenants.get_with_by_ref(tenant, || Arc::new(Share::default()));
        let Some(waiting) = share.wait() else { return };
        let (inner, host, name) = (Arc::clone(&self.0), host.clone(), Arc::clone(name));
        tokio::spawn(async move {
            let (_looking, _waiting) = (looking, waiting);
            let Some(found) = inner.lanes.look(&share, inner.lookup.lookup(host.as_str())).await else { return };
            let (addresses, now) = (found.unwrap_or_default(), inner.clock.now_us());
            name.known.send_modify(|known| known.learn(&addresses, now));
        });
    }
}

impl Default for Name {
    fn default() -> Self {
        Self { known: watch::Sender::new(Known::default()), looking: Arc::new(Semaphore::new(1)) }
    }
}

fn nowhere(detail: &'static str) -> Denial {
    Denial { retry_after: Some(1), ..Denial::new(Reason::Unavailable, detail) }
}

//! Where the host of a contract leads: Envoy is told the address, and resolves nothing itself (S3).
//!
//! Envoy shows its guard the first address of a name, and connects to the next one where that refuses (happy eyeballs): a name of two addresses would lead past
//! the guard to Envoy's own admin port. So names are resolved here, every address is judged, and one is handed over: what is connected to is what was judged.

use std::{io, net::IpAddr, sync::Arc, time::Duration};

use async_trait::async_trait;
use bulkhead_tenancy::{address::forbidden, clock::Clock, host::HostName, name::TenantUid};
use moka::sync::Cache;
use tokio::{
    sync::{Semaphore, watch},
    time::Instant,
};

use crate::verdict::{Denial, Reason};

#[cfg(test)]
mod tests;

/// For how many microseconds an answer holds; after that it is asked for again, and holds until there is another.
const FRESH_US: u64 = 15_000_000;
/// For how many at most while no other comes: as long as Envoy keeps a host that nobody resolves.
const STALE_US: u64 = 300_000_000;
/// Addresses of one name that Envoy is told within that time: it keeps a host and its connections for each, and their number is bounded for all tenants together (S4).
/// A name whose answers go on changing stays with the last of these, for as long as none of its answers is forbidden.
const LATELY: usize = 4;
/// After how many a name that was not found is looked up again.
const AGAIN_US: u64 = 1_000_000;
/// Names that nobody asks for are forgotten.
const IDLE: Duration = Duration::from_secs(600);
/// Names, and tenants, that are known at most.
const KNOWN: u64 = 200_000;
/// Lookups of one tenant at a time, and of all. One occupies a thread of the blocking pool until the system gives up.
const OF_TENANT: usize = 2;
const OF_ALL: usize = 128;

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
    tenants: Cache<TenantUid, Arc<Semaphore>>,
    places: Arc<Semaphore>,
}

/// One name: what is known of it, and one lookup at a time.
struct Name {
    known: watch::Sender<Known>,
    looking: Arc<Semaphore>,
}

/// What is known of a name.
#[derive(Debug, Clone, Copy, Default)]
struct Known {
    /// What was found last, and when.
    found: Option<(Found, u64)>,
    /// What Envoy was told lately, and until when at the least: the newest first.
    lately: [Option<(IpAddr, u64)>; LATELY],
    /// When it was looked up last, found or not.
    tried: Option<u64>,
}

/// The addresses of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Found {
    /// The one to connect to.
    address: IpAddr,
    /// Why no tenant may point at one of them.
    forbidden: Option<&'static str>,
}

impl Resolver {
    /// A resolver that asks someone.
    pub fn new(lookup: impl Lookup + 'static, clock: Arc<dyn Clock>) -> Self {
        let names = Cache::builder().max_capacity(KNOWN).time_to_idle(IDLE).build();
        let tenants = Cache::builder().max_capacity(KNOWN).time_to_idle(IDLE).build();
        Self(Arc::new(Inner { lookup: Box::new(lookup), clock, names, tenants, places: Arc::new(Semaphore::new(OF_ALL)) }))
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
            let found = changes.wait_for(|known| known.usable(now).is_some() || !known.is_due(now));
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
        let of_tenant = self.0.tenants.get_with_by_ref(tenant, || Arc::new(Semaphore::new(OF_TENANT)));
        let (inner, host, name) = (Arc::clone(&self.0), host.clone(), Arc::clone(name));
        tokio::spawn(async move {
            let _looking = looking;
            let Ok(_own) = of_tenant.acquire().await else { return };
            let Ok(_place) = inner.places.acquire().await else { return };
            let addresses = inner.lookup.lookup(host.as_str()).await.unwrap_or_default();
            let now = inner.clock.now_us();
            name.known.send_modify(|known| known.learn(&addresses, now));
        });
    }
}

impl Default for Name {
    fn default() -> Self {
        Self { known: watch::Sender::new(Known::default()), looking: Arc::new(Semaphore::new(1)) }
    }
}

impl Known {
    /// What a lookup found; nothing if there are no addresses.
    fn learn(&mut self, addresses: &[IpAddr], now: u64) {
        self.tried = Some(now);
        let Some(mut found) = Found::of(addresses) else { return };
        let lately = |address| self.lately.iter().flatten().any(|(known, at)| *known == address && now.abs_diff(*at) < STALE_US);
        let room = self.lately.iter().any(|known| known.is_none_or(|(_, at)| now.abs_diff(at) >= STALE_US));
        if !lately(found.address) && !room {
            let known = addresses.iter().copied().find(|address| lately(*address)).or(self.lately[0].map(|(address, _)| address));
            found.address = known.unwrap_or(found.address);
        }
        self.tell(found.address, now);
        self.found = Some((found, now));
    }

    /// Remembers what Envoy is told, in the place of the same or of the oldest.
    fn tell(&mut self, address: IpAddr, now: u64) {
        let is_it = |known: &Option<(IpAddr, u64)>| known.is_some_and(|(known, _)| known == address);
        let place = self.lately.iter().position(is_it).unwrap_or(LATELY - 1);
        self.lately[..=place].rotate_right(1);
        self.lately[0] = Some((address, now));
    }

    /// Whether it is time to look again.
    /// A clock that is set back makes nothing younger.
    fn is_due(self, now: u64) -> bool {
        let fresh = self.found.is_some_and(|(_, at)| now.abs_diff(at) < FRESH_US);
        let tried = self.tried.is_some_and(|at| now.abs_diff(at) < AGAIN_US);
        !fresh && !tried
    }

    /// What can be believed now.
    fn usable(self, now: u64) -> Option<Found> {
        self.found.filter(|(_, at)| now.abs_diff(*at) < STALE_US).map(|(found, _)| found)
    }
}

impl Found {
    /// IPv4 goes first, as everywhere here. One address that is forbidden spoils the name: nothing that leads here in part is an upstream.
    fn of(addresses: &[IpAddr]) -> Option<Self> {
        let address = addresses.iter().find(|address| address.is_ipv4()).or(addresses.first())?;
        Some(Self { address: *address, forbidden: addresses.iter().find_map(|address| forbidden(*address)) })
    }
}

fn nowhere(detail: &'static str) -> Denial {
    Denial { retry_after: Some(1), ..Denial::new(Reason::Unavailable, detail) }
}

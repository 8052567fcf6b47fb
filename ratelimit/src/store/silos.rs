//! Stores of tenants' own (`isolation: silo`) beside the platform's: each with its own link, breaker, queue and deadline, so that a silo's dead
//! store touches nobody else, and nobody else's touches the silo.
//!
//! The snapshot says who has one. A silo's store is opened when the snapshot first names it, and dropped when the tenant, or its store, is gone. What it
//! cannot be opened for (an address that is none) is a store that is away: never the platform's instead.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use arc_swap::{ArcSwap, ArcSwapOption};
use async_trait::async_trait;
use bulkhead_tenancy::{
    snapshot::{Live, Snapshot},
    tenant::Tenant,
};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::time::Instant;

use super::{
    Adjustment, Deciding, Hour, Ledger, Metered, Micros, Store, StoreError, Tally,
    apart::{apart, each},
    away::Away,
    batching::{Batching, Bounds},
    redis::{
        dial::TlsFiles,
        settings::{SettingsError, StoreSettings},
    },
    split::{Place, Places},
};
use crate::{
    ask::{Answer, Ask},
    charge::{Charge, Role},
    key::{Account, Keyspace},
};

/// The platform's place; those of silos follow.
const MAIN: Place = Place(0);

/// The platform's store, and those of silo tenants.
pub struct Silos {
    /// One place to us: a cluster splits what it must by itself.
    main: Arc<dyn Store>,
    live: Live,
    keys: Keyspace,
    tls: Option<TlsFiles>,
    deadline: Duration,
    own: ArcSwap<HashMap<Account, Arc<Silo>>>,
    /// The snapshot that `own` is of.
    followed: ArcSwapOption<Snapshot>,
    following: Mutex<u64>,
}

/// One tenant's store.
struct Silo {
    place: Place,
    address: SecretString,
    store: Arc<dyn Store>,
}

impl Silos {
    /// Silos beside a store. Their certificates are judged by the platform's own TLS files.
    #[must_use]
    pub fn beside(main: Arc<dyn Store>, live: Live, keys: Keyspace, tls: Option<TlsFiles>, deadline: Duration) -> Self {
        let (own, followed) = (ArcSwap::default(), ArcSwapOption::empty());
        let silos = Self { main, live, keys, tls, deadline, own, followed, following: Mutex::new(MAIN.0) };
        silos.follow();
        silos
    }

    /// Opens and drops what the snapshot of the moment says.
    fn follow(&self) {
        let Some(snapshot) = self.live.load() else { return };
        let is_followed = || self.followed.load().as_ref().is_some_and(|followed| Arc::ptr_eq(followed, &snapshot));
        if is_followed() {
            return;
        }
        // A number that only grows: whole whenever the lock is free.
        let mut next = self.following.lock().unwrap_or_else(PoisonError::into_inner);
        if is_followed() {
            return;
        }
        let before = self.own.load();
        let mut own = HashMap::new();
        for tenant in snapshot.tenants() {
            let Some(address) = &tenant.store else { continue };
            let account = self.keys.account(&tenant.uid);
            let kept = before.get(&account).filter(|silo| silo.address.expose_secret() == address.expose_secret());
            let silo = kept.map_or_else(
                || {
                    *next += 1;
                    Arc::new(Silo { place: Place(*next), address: address.clone(), store: self.open(tenant, address) })
                },
                Arc::clone,
            );
            own.insert(account, silo);
        }
        self.own.store(Arc::new(own));
        self.followed.store(Some(snapshot));
    }

    fn open(&self, tenant: &Tenant, address: &SecretString) -> Arc<dyn Store> {
        let opened = address.expose_secret().parse().map_err(|_| SettingsError::Address).and_then(|address| {
            let mut settings = StoreSettings::new(address, self.deadline);
            settings.tls = self.tls.clone().filter(|_| settings.address.tls);
            settings.name = Arc::from(tenant.name.as_str());
            settings.open()
        });
        match opened {
            Ok(store) => Arc::new(Batching::before(Arc::new(store), Bounds::default())),
            Err(why) => {
                // Never the address, which may hold a password.
                tracing::error!(tenant_id = tenant.name.as_str(), store.error = %why, "the tenant's own store cannot be used");
                Arc::new(Away)
            }
        }
    }

    fn own(&self, account: &Account) -> Option<Arc<Silo>> {
        let own = self.own.load();
        if own.is_empty() { None } else { own.get(account).cloned() }
    }

    /// The silo of a charge: of whatever in it is not the platform's global bucket.
    fn of(&self, charge: &Charge) -> Option<Arc<Silo>> {
        let mut levels = charge.levels().map(|(level, _)| level).filter(|level| level.role() != Role::Shared);
        levels.find_map(|level| self.own(level.key().account()))
    }

    async fn each<T, R, F>(
        &self,
        items: &[T],
        silo_of: impl Fn(&T) -> Option<Arc<Silo>>,
        of: impl Fn(Arc<dyn Store>, Vec<T>) -> F,
    ) -> Vec<Result<R, StoreError>>
    where
        T: Clone,
        F: Future<Output = Vec<Result<R, StoreError>>>,
    {
        let place = |item: &T| silo_of(item).map(|silo| silo.place);
        apart(items, place, |group| {
            let silo = group.first().and_then(&silo_of);
            of(silo.map_or_else(|| Arc::clone(&self.main), |silo| Arc::clone(&silo.store)), group)
        })
        .await
    }
}

impl Places for Silos {
    fn place(&self, account: &Account) -> Place {
        self.own(account).map_or(MAIN, |silo| silo.place)
    }

    fn is_one(&self) -> bool {
        self.follow();
        self.own.load().is_empty()
    }

    fn tend(&self) {
        // Nobody need ask before a store that is gone is let go.
        self.follow();
    }
}

#[async_trait]
impl Store for Silos {
    fn decide<'s, 'a, 'd>(&'s self, now: Option<Micros>, asks: &'a [Ask]) -> Deciding<'d, Result<Vec<Answer>, StoreError>>
    where
        's: 'd,
        'a: 'd,
        Self: 'd,
    {
        if self.own.load().is_empty() {
            return self.main.decide(now, asks);
        }
        Box::pin(async move {
            let of = |store: Arc<dyn Store>, group: Vec<Ask>| async move { each(store.decide(now, &group).await, group.len()) };
            self.each(asks, |ask| self.of(&ask.charge), of).await.into_iter().collect()
        })
    }

    async fn decide_apart(&self, asks: &[Ask]) -> Vec<Result<Answer, StoreError>> {
        if self.own.load().is_empty() {
            return self.main.decide_apart(asks).await;
        }
        self.each(asks, |ask| self.of(&ask.charge), |store, group| async move { store.decide_apart(&group).await }).await
    }

    fn stood_behind_own(&self, charge: &Charge, since: Instant) -> bool {
        let silo = self.of(charge);
        silo.as_ref().map_or(&self.main, |silo| &silo.store).stood_behind_own(charge, since)
    }

    fn ledger(&self) -> &dyn Ledger {
        self
    }
}

#[async_trait]
impl Ledger for Silos {
    async fn adjust(&self, now: Option<Micros>, adjustments: &[Adjustment]) -> Vec<Result<bool, StoreError>> {
        self.follow();
        let of = |store: Arc<dyn Store>, group: Vec<Adjustment>| async move { store.ledger().adjust(now, &group).await };
        self.each(adjustments, |one| self.own(one.key.account()), of).await
    }

    async fn tally(&self, now: Option<Micros>, tallies: &[Tally]) -> Vec<Result<(), StoreError>> {
        let of = |store: Arc<dyn Store>, group: Vec<Tally>| async move { store.ledger().tally(now, &group).await };
        self.each(tallies, |one| self.own(one.meter.account()), of).await
    }

    async fn metered(&self, account: &Account, hour: Hour) -> Result<Vec<Metered>, StoreError> {
        self.follow();
        let Some(silo) = self.own(account) else { return self.main.ledger().metered(account, hour).await };
        // What was counted before the tenant had a store of its own is on its bill, too.
        let (own, before) = (silo.store.ledger().metered(account, hour).await?, self.main.ledger().metered(account, hour).await?);
        let mut lines: HashMap<String, (u64, u64)> = HashMap::with_capacity(own.len() + before.len());
        for Metered { line, admitted, denied } in own.into_iter().chain(before) {
            let sum = lines.entry(line).or_default();
            *sum = (sum.0.saturating_add(admitted), sum.1.saturating_add(denied));
        }
        Ok(lines.into_iter().map(|(line, (admitted, denied))| Metered { line, admitted, denied }).collect())
    }
}

#[cfg(test)]
mod tests {
    use bulkhead_tenancy::{clock::SystemClock, name::TenantUid};

    use super::*;
    use crate::store::memory::MemoryStore;

    #[tokio::test]
    async fn a_tenant_that_moved_into_a_store_of_its_own_takes_its_bill_with_it() {
        let store = || -> Arc<dyn Store> { Arc::new(MemoryStore::new(Arc::new(SystemClock))) };
        let (keys, acme, globex) = (Keyspace::default(), "acme".parse::<TenantUid>().unwrap(), "globex".parse::<TenantUid>().unwrap());
        let silos = Silos::beside(store(), Live::default(), keys.clone(), None, Duration::from_secs(1));
        let now = Micros(1_700_000_000_000_000);
        let count = async |tenant: &TenantUid, admitted| {
            let tally = Tally { meter: keys.meter(tenant, None, None), admitted, denied: 1 };
            silos.tally(Some(now), &[tally]).await.remove(0).unwrap();
        };
        let bill = async |tenant: &TenantUid| {
            let lines = silos.metered(&keys.account(tenant), Hour::of(now)).await.unwrap();
            lines.iter().map(|line| (line.admitted, line.denied)).collect::<Vec<_>>()
        };
        count(&acme, 3).await;
        count(&globex, 5).await;
        let own = Arc::new(Silo { place: Place(1), address: SecretString::from(""), store: store() });
        silos.own.store(Arc::new(HashMap::from([(keys.account(&acme), own)])));
        count(&acme, 40).await;
        assert_eq!((bill(&acme).await, bill(&globex).await), (vec![(43, 2)], vec![(5, 1)]));
    }
}

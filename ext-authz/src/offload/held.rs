//! What a tenant has here beside places: the bytes of bodies that wait to be read, or are (as they arrived, decoded, folded), bounded for each tenant and for
//! all, and its time of the threads that others' calls wait for (S5).

use std::{
    cell::RefCell,
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
    time::Instant,
};

use bulkhead_content::{Room, Unscannable};
use bulkhead_tenancy::name::TenantUid;

use super::make_room;
use crate::{
    purse::{Allowance, Purse},
    shares::{Account, Charge, Pool, Shares},
};

/// Every tenant can have a body of some hundred KiB read, whatever the others do; one may take half of what all share.
const SHARES: Shares = Shares { floor: 4 << 20, ceiling: 256 << 20, pool: 512 << 20 };

/// The bytes, and who has them.
pub(super) struct Held {
    pool: Arc<Pool>,
    allowance: Allowance,
    /// By uid. It is kept as long as something is held or was spent not long ago: a new one would be the same.
    tabs: RwLock<HashMap<TenantUid, Arc<Tab>>>,
}

/// What one tenant has.
#[derive(Debug)]
pub(super) struct Tab {
    account: Arc<Account>,
    pub(super) at_once: Purse,
}

/// Bytes of a tenant, given back when it is dropped. It goes with the work, not with the request that waits for it, and grows with it.
#[derive(Debug)]
pub struct Hold {
    tab: Arc<Tab>,
    charges: RefCell<Vec<Charge>>,
}

impl Held {
    pub(super) fn new(allowance: Allowance) -> Self {
        Self { pool: Pool::new(SHARES), allowance, tabs: RwLock::default() }
    }

    /// Takes room for so many bytes.
    pub(super) fn take(&self, tenant: &TenantUid, bytes: usize) -> Result<Hold, Unscannable> {
        let hold = Hold { tab: self.of(tenant), charges: RefCell::default() };
        if hold.take(bytes) { Ok(hold) } else { Err(Unscannable::Crowded) }
    }

    /// What a tenant has. Whoever asks waits for nobody but a tenant that was not here of late.
    pub(super) fn of(&self, tenant: &TenantUid) -> Arc<Tab> {
        if let Some(tab) = self.tabs.read().unwrap_or_else(PoisonError::into_inner).get(tenant) {
            return Arc::clone(tab);
        }
        let mut tabs = self.tabs.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(tab) = tabs.get(tenant) {
            return Arc::clone(tab);
        }
        let now = Instant::now();
        make_room(&mut tabs, |tab| tab.is_needed(now));
        let tab = Arc::new(Tab { account: self.pool.account(), at_once: Purse::full(self.allowance) });
        tabs.insert(tenant.clone(), Arc::clone(&tab));
        tab
    }
}

impl Tab {
    fn is_needed(self: &Arc<Self>, now: Instant) -> bool {
        Arc::strong_count(self) > 1 || !self.at_once.is_full(now)
    }
}

impl Hold {
    /// What its tenant may spend at once.
    pub(super) fn at_once(&self) -> &Purse {
        &self.tab.at_once
    }
}

impl Room for Hold {
    fn take(&self, bytes: usize) -> bool {
        let charge = self.tab.account.charge(bytes);
        let is_taken = charge.is_some();
        self.charges.borrow_mut().extend(charge);
        is_taken
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn s5_a_tenant_that_holds_too_much_is_refused_alone_and_what_is_dropped_is_given_back() {
        let held = Held::new(Allowance::of_small_work());
        let uid = |name: &str| name.parse::<TenantUid>().unwrap();
        let hold = held.take(&uid("acme"), 1 << 20).unwrap();
        assert!(hold.take(SHARES.ceiling - (1 << 20)) && !hold.take(1));
        assert_eq!(held.take(&uid("acme"), 1).map(drop), Err(Unscannable::Crowded));
        let all: Vec<_> = ["one", "two", "three"].map(|other| held.take(&uid(other), SHARES.ceiling)).into_iter().collect();
        assert!(all.iter().any(Result::is_err), "the pool is finite");
        assert!(held.take(&uid("late"), SHARES.floor).is_ok(), "and leaves each its floor");
        drop((hold, all));
        assert!(held.take(&uid("acme"), SHARES.ceiling).is_ok());
        for nth in 0..10_000 {
            held.take(&uid(&format!("tenant-{nth}")), 1).unwrap();
        }
        assert!(held.tabs.read().unwrap().len() < 100, "nobody is remembered who holds nothing");
    }

    #[test]
    fn s5_who_has_spent_its_time_is_remembered_until_it_is_earned_again_however_many_others_come() {
        let held = Held::new(Allowance { a_second: Duration::from_secs(1), saved: Duration::from_millis(1) });
        let uid = |name: &str| name.parse::<TenantUid>().unwrap();
        held.of(&uid("hostile")).at_once.pay(Duration::from_secs(3600), Instant::now());
        let spent = Arc::downgrade(&held.of(&uid("hostile")));
        for nth in 0..50_000 {
            held.of(&uid(&format!("tenant-{nth}")));
        }
        assert!(spent.upgrade().is_some_and(|spent| Arc::ptr_eq(&spent, &held.of(&uid("hostile")))));
        assert!(held.tabs.read().unwrap().len() < 100);
        // Of as many who have all spent something none is forgotten, and all are when it is earned again.
        let spend = |tenant: &str| held.of(&uid(tenant)).at_once.pay(Duration::from_millis(1), Instant::now() + Duration::from_secs(3600));
        (0..20_000).for_each(|nth| spend(&format!("busy-{nth}")));
        assert!(held.tabs.read().unwrap().len() >= 20_000);
        let later = Instant::now() + Duration::from_secs(9_999);
        assert!(held.tabs.read().unwrap().values().all(|tab| !tab.is_needed(later)));
    }
}

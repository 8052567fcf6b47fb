//! The bytes of bodies that wait to be read, or are: as they arrived, decoded, folded. Bounded for each tenant and for all (S5).

use std::{
    cell::RefCell,
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use bulkhead_content::{Room, Unscannable};
use bulkhead_tenancy::name::TenantUid;

use crate::shares::{Account, Charge, Pool, Shares};

/// Every tenant can have a body of some hundred KiB read, whatever the others do; one may take half of what all share.
const SHARES: Shares = Shares { floor: 4 << 20, ceiling: 256 << 20, pool: 512 << 20 };

/// The bytes, and who has them.
pub(super) struct Held {
    pool: Arc<Pool>,
    /// By uid. An account lives as long as something is charged to it.
    accounts: Mutex<HashMap<TenantUid, Weak<Account>>>,
}

/// Bytes of a tenant, given back when it is dropped. It goes with the work, not with the request that waits for it, and grows with it.
#[derive(Debug)]
pub struct Hold {
    account: Arc<Account>,
    charges: RefCell<Vec<Charge>>,
}

impl Default for Held {
    fn default() -> Self {
        Self::new(SHARES)
    }
}

impl Held {
    pub(super) fn new(shares: Shares) -> Self {
        Self { pool: Pool::new(shares), accounts: Mutex::default() }
    }

    /// Takes room for so many bytes.
    pub(super) fn take(&self, tenant: &TenantUid, bytes: usize) -> Result<Hold, Unscannable> {
        let hold = Hold { account: self.account(tenant), charges: RefCell::default() };
        if hold.take(bytes) { Ok(hold) } else { Err(Unscannable::Crowded) }
    }

    fn account(&self, tenant: &TenantUid) -> Arc<Account> {
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(account) = accounts.get(tenant).and_then(Weak::upgrade) {
            return account;
        }
        // Those that hold nothing are dropped before the map would grow for a new one.
        if accounts.len() == accounts.capacity() {
            accounts.retain(|_, account| account.strong_count() > 0);
        }
        let account = self.pool.account();
        accounts.insert(tenant.clone(), Arc::downgrade(&account));
        account
    }
}

impl Room for Hold {
    fn take(&self, bytes: usize) -> bool {
        let charge = self.account.charge(bytes);
        let is_taken = charge.is_some();
        self.charges.borrow_mut().extend(charge);
        is_taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s5_a_tenant_that_holds_too_much_is_refused_alone_and_what_is_dropped_is_given_back() {
        let held = Held::default();
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
        assert!(held.accounts.lock().unwrap().len() < 100, "nobody is remembered who holds nothing");
    }
}

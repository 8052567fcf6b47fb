//! Bytes that tenants share: each has a floor that no other can take, and may borrow from one pool up to a ceiling (S5). So no
//! tenant's tokens, keys or bodies push out another's, and the total stays bounded.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

/// How the bytes of one kind of thing are shared.
#[derive(Debug, Clone, Copy)]
pub struct Shares {
    /// What every tenant has for itself.
    pub floor: usize,
    /// The most that one tenant has, floor included.
    pub ceiling: usize,
    /// What all tenants together have beyond their floors.
    pub pool: usize,
}

/// The pool of one kind of thing.
#[derive(Debug)]
pub(crate) struct Pool {
    shares: Shares,
    /// What stands above the floors of all accounts. Every account changes under this lock alone, which is held for a few instructions.
    lent: Mutex<usize>,
}

/// One tenant's account with a pool.
#[derive(Debug)]
pub(crate) struct Account {
    pool: Arc<Pool>,
    held: AtomicUsize,
}

/// Bytes that are accounted for; dropping it gives them back.
#[derive(Debug)]
pub(crate) struct Charge {
    account: Arc<Account>,
    bytes: usize,
}

impl Pool {
    pub(crate) fn new(shares: Shares) -> Arc<Self> {
        Arc::new(Self { shares, lent: Mutex::new(0) })
    }

    pub(crate) fn account(self: &Arc<Self>) -> Arc<Account> {
        Arc::new(Account { pool: Arc::clone(self), held: AtomicUsize::new(0) })
    }
}

impl Account {
    /// Takes bytes, or none where the tenant's ceiling or the pool does not hold them.
    pub(crate) fn charge(self: &Arc<Self>, bytes: usize) -> Option<Charge> {
        self.change(|held| held.checked_add(bytes)).then(|| Charge { account: Arc::clone(self), bytes })
    }

    /// Changes what is held, unless ceiling or pool would be exceeded by it.
    fn change(&self, next: impl FnOnce(usize) -> Option<usize>) -> bool {
        let Shares { floor, ceiling, pool } = self.pool.shares;
        let mut lent = self.pool.lent.lock().unwrap_or_else(PoisonError::into_inner);
        let held = self.held.load(Ordering::Relaxed);
        let Some(after) = next(held) else { return false };
        let lent_after = *lent - held.saturating_sub(floor) + after.saturating_sub(floor);
        let fits = after <= held || (after <= ceiling && lent_after <= pool);
        if fits {
            *lent = lent_after;
            self.held.store(after, Ordering::Relaxed);
        }
        fits
    }

    /// The bytes that the tenant holds.
    #[cfg(test)]
    pub(crate) fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.account.change(|held| Some(held.saturating_sub(self.bytes)));
    }
}

/// A charge that no tenant's share bounds.
#[cfg(test)]
pub(crate) fn unbounded(bytes: usize) -> Option<Charge> {
    Pool::new(Shares { floor: usize::MAX, ceiling: usize::MAX, pool: 0 }).account().charge(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SHARES: Shares = Shares { floor: 10, ceiling: 40, pool: 50 };

    #[test]
    fn s5_a_tenant_always_has_its_floor_whatever_the_others_hold() {
        let pool = Pool::new(SHARES);
        let greedy: Vec<_> = (0..3).map(|_| pool.account()).collect();
        let held: Vec<_> = greedy.iter().flat_map(|account| (0..100).map_while(|_| account.charge(1))).collect();
        assert_eq!(held.len(), 3 * 10 + 50);
        assert!(greedy.iter().all(|account| account.held() <= SHARES.ceiling));
        assert!(greedy[0].charge(1).is_none());
        let late = pool.account();
        let own = late.charge(10);
        assert!(own.is_some());
        assert!(late.charge(1).is_none());
        drop(held);
        assert!(late.charge(30).is_some());
    }

    proptest! {
        #[test]
        fn what_is_lent_is_what_stands_above_the_floors(steps in proptest::collection::vec((0_usize..3, 0_usize..30, any::<bool>()), 0..60)) {
            let pool = Pool::new(SHARES);
            let accounts: Vec<_> = (0..3).map(|_| pool.account()).collect();
            let mut held: Vec<Charge> = Vec::new();
            for (who, bytes, add) in steps {
                if add {
                    held.extend(accounts[who].charge(bytes));
                } else if !held.is_empty() {
                    held.swap_remove(bytes % held.len());
                }
                let above: usize = accounts.iter().map(|account| account.held().saturating_sub(SHARES.floor)).sum();
                prop_assert_eq!(*pool.lent.lock().unwrap(), above);
                prop_assert!(above <= SHARES.pool);
                prop_assert!(accounts.iter().all(|account| account.held() <= SHARES.ceiling));
            }
            drop(held);
            prop_assert_eq!(*pool.lent.lock().unwrap(), 0);
        }
    }
}

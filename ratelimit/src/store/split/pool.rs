//! One replica's tokens of the global bucket: fetched before they lack, given back when idle, and debts brought there.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bulkhead_tenancy::clock::{Clock as _, SystemClock};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

use super::{
    Places, Pools,
    prepaid::{Back, KEPT_US, Moment, Prepaid, Taken, Wish},
};
use crate::{
    ask::{Ahead, Ask},
    bucket::Bucket,
    charge::{Charge, Scope},
    key::Key,
    store::{Adjustment, Change, StoreError},
};

/// A replica takes at most one in so many of the tokens that are left: several replicas share an almost empty bucket.
const SHARE: u32 = 8;

/// How long a bucket that is empty, or away, is not asked again, at the most.
const DRY: Duration = Duration::from_millis(100);

/// How often idle tokens are looked for and debts are tried again.
const KEEP: Duration = Duration::from_millis(100);

/// How long a pool that nobody asks stays.
const UNUSED: Duration = Duration::from_secs(10);

/// The tokens of one bucket.
pub(super) struct Pool {
    store: Arc<dyn Places>,
    key: Key,
    bucket: Bucket,
    prepaid: Mutex<Prepaid>,
    used: Mutex<Instant>,
    /// One fetch at a time: whoever lacks tokens meanwhile waits for what it brings.
    fetching: Arc<Semaphore>,
    settling: AtomicBool,
    /// The bucket did not answer the last time that it was asked, or has not yet.
    away: AtomicBool,
    began: Instant,
}

impl Pool {
    pub(super) fn new(store: Arc<dyn Places>, key: Key, bucket: Bucket) -> Self {
        let now = Instant::now();
        let (prepaid, used) = (Mutex::default(), Mutex::new(now));
        let (settling, away, fetching) = (AtomicBool::new(false), AtomicBool::new(false), Arc::new(Semaphore::new(1)));
        Self { store, key, bucket, prepaid, used, fetching, settling, away, began: now }
    }

    /// The time by the service's own clock: for answers that no store gave.
    #[expect(clippy::unused_self, reason = "a pool's clock")]
    pub(super) fn clock_us(&self) -> u64 {
        SystemClock.now_us()
    }

    /// Takes tokens for as many copies of a cost as can be had in a time: how many, and the tokens. A cost that the bucket can never hold takes none.
    pub(super) async fn reserve(self: &Arc<Self>, copies: u32, cost: u64, patience: Duration) -> (u32, Taken) {
        *self.used.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        let until = Instant::now() + patience;
        let (mut open, mut taken) = (copies, Taken::NONE);
        if cost > self.bucket.capacity() {
            return (0, taken);
        }
        loop {
            self.take_from_hand(&mut open, cost, &mut taken);
            if open == 0 {
                self.fetch_early();
                break;
            }
            let Ok(Ok(permit)) = timeout(until - Instant::now().min(until), Arc::clone(&self.fetching).acquire_owned()).await else {
                self.away.store(true, Ordering::Relaxed);
                break;
            };
            // Whoever had the permit before us may have brought enough.
            self.take_from_hand(&mut open, cost, &mut taken);
            if open == 0 {
                break;
            }
            let Some(fetching) = self.fetch(permit, open, cost) else { break };
            let Ok(Ok(fetched)) = timeout(until - Instant::now().min(until), fetching).await else {
                self.away.store(true, Ordering::Relaxed);
                break;
            };
            let (came, tokens) = fetched.take();
            (open, taken) = (open.saturating_sub(came), taken.and(tokens));
        }
        (copies - open, taken)
    }

    /// Whether what could not be reserved may be there all the same: the bucket did not say that it is empty.
    pub(super) fn is_away(&self) -> bool {
        self.away.load(Ordering::Relaxed)
    }

    fn take_from_hand(&self, open: &mut u32, cost: u64, taken: &mut Taken) {
        let (copies, tokens) = self.prepaid().reserve(self.now(), *open, cost);
        (*open, *taken) = (open.saturating_sub(copies), taken.and(tokens));
    }

    /// Before anybody lacks any, and without waiting. The one copy that no ask is without comes into hand with those that are held.
    fn fetch_early(self: &Arc<Self>) {
        let low = self.prepaid().is_low(self.now());
        let Some(permit) = low.then(|| Arc::clone(&self.fetching).try_acquire_owned().ok()).flatten() else { return };
        let Some(fetching) = self.fetch(permit, 1, 1) else { return };
        let pool = Arc::clone(self);
        tokio::spawn(async move {
            if let Ok(fetched) = fetching.await {
                pool.give_back(fetched.take().1);
            }
        });
    }

    /// Asks the bucket for tokens, in a task of its own. What it holds for us comes into the pool; what it does not is for the caller
    /// alone, and goes back if that has stopped waiting. None: there is nothing to be had now.
    fn fetch(self: &Arc<Self>, permit: OwnedSemaphorePermit, missing: u32, cost: u64) -> Option<JoinHandle<Fetched>> {
        let asked = self.now();
        let wish = self.prepaid().lacks(asked, missing, cost)?;
        let pool = Arc::clone(self);
        Some(tokio::spawn(async move {
            let (copies, taken) = pool.ask(asked, wish, cost).await;
            drop(permit);
            Fetched { pool, copies, taken }
        }))
    }

    async fn ask(&self, asked: Moment, wish: Wish, cost: u64) -> (u32, Taken) {
        let charge = Charge::new().hold(Scope::Global, self.key.clone(), self.bucket.clone(), cost);
        let ahead = Ahead::of(wish.ahead, SHARE, KEPT_US);
        let ask = Ask::of(charge, wish.now, (wish.ahead > 0).then_some(ahead));
        let answer = self.store.decide_apart(std::slice::from_ref(&ask)).await.pop().unwrap_or(Err(StoreError::Garbled));
        let mut prepaid = self.prepaid();
        let most = u64::try_from(DRY.as_micros()).unwrap_or(0);
        match answer {
            Ok(answer) if !answer.faulty => {
                self.away.store(false, Ordering::Relaxed);
                prepaid.granted(asked, u64::from(answer.ahead).saturating_mul(cost), answer.now_us);
                if answer.admitted < wish.now {
                    let wait = answer.outcome(&ask.charge, answer.admitted).denial().and_then(|denial| denial.retry_after_us);
                    prepaid.dry(asked + wait.unwrap_or(most).clamp(100, most));
                }
                let tokens = u64::from(answer.admitted).saturating_mul(cost);
                (answer.admitted, Taken { tokens, taken_us: answer.now_us, until: asked + KEPT_US })
            }
            // Away, or a key that is no bucket: guarantees alone admit meanwhile.
            Ok(_) | Err(_) => {
                self.away.store(true, Ordering::Relaxed);
                prepaid.dry(self.now() + most / 2);
                (0, Taken::NONE)
            }
        }
    }

    /// What was reserved for a charge that was denied.
    pub(super) fn give_back(&self, taken: Taken) {
        self.prepaid().give_back(taken);
    }

    /// Something passed that was not decided: it is paid with tokens at hand, which came back from it, or owed.
    pub(super) fn pay(self: &Arc<Self>, cost: u64) {
        let (mut open, mut taken) = (1, Taken::NONE);
        self.take_from_hand(&mut open, cost, &mut taken);
        if open > 0 {
            self.owe(cost);
        }
    }

    /// A guarantee admitted requests that no token stands for: they are charged to the bucket now, which may go into debt for them.
    pub(super) fn owe(self: &Arc<Self>, requests: u64) {
        self.prepaid().owe(requests);
        let pool = Arc::clone(self);
        tokio::spawn(async move { pool.settle().await });
    }

    /// Charges what is owed. What was not sent stays owed; what was, and was not answered, is never sent again (S24).
    async fn settle(&self) {
        if self.settling.swap(true, Ordering::AcqRel) {
            return;
        }
        loop {
            let owed = self.prepaid().settle();
            if owed == 0 {
                break;
            }
            let charge =
                Charge::of(Arc::new(crate::charge::Shape::new().count(Scope::Global, self.key.clone(), self.bucket.clone())), owed);
            let answer = self.store.decide_apart(&[Ask::one(charge)]).await.pop().unwrap_or(Err(StoreError::Garbled));
            if let Err(StoreError::Away | StoreError::Busy) = answer {
                self.prepaid().owe(owed);
                break;
            }
            if answer.is_err() {
                metrics::counter!("bulkhead_ratelimit_guaranteed_uncharged_total").increment(owed);
            }
        }
        self.settling.store(false, Ordering::Release);
    }

    async fn keep(&self) {
        let backs = self.prepaid().backs(self.now());
        let change = |Back { unused, held, taken_us }| Change::Return { unused, held, taken_us };
        let back = |back| Adjustment { key: self.key.clone(), bucket: self.bucket.clone(), change: change(back) };
        let returned: Vec<Adjustment> = backs.into_iter().map(back).collect();
        if !returned.is_empty() {
            // Lost on the way they stay charged: less is admitted, never more.
            drop(self.store.ledger().adjust(None, &returned).await);
        }
        self.settle().await;
    }

    /// Nobody has asked it for long, nobody is at it, and nothing is owed: a debt is forgotten by nobody.
    fn is_done(self: &Arc<Self>) -> bool {
        let unused = self.used.lock().unwrap_or_else(PoisonError::into_inner).elapsed() > UNUSED;
        unused && Arc::strong_count(self) == 1 && !self.prepaid().owes()
    }

    fn prepaid(&self) -> MutexGuard<'_, Prepaid> {
        // Each step leaves it whole, and none panics.
        self.prepaid.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Moment {
        u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}

/// Copies that came for one caller, whose tokens the bucket does not hold: not taken, they go back.
struct Fetched {
    pool: Arc<Pool>,
    copies: u32,
    taken: Taken,
}

impl Fetched {
    fn take(mut self) -> (u32, Taken) {
        let taken = std::mem::replace(&mut self.taken, Taken::NONE);
        self.pool.prepaid().count(taken.tokens);
        (self.copies, taken)
    }
}

impl Drop for Fetched {
    fn drop(&mut self) {
        self.pool.prepaid().unneeded(self.taken);
    }
}

/// Gives idle tokens back, tries debts again and tends the store, for as long as it lives.
pub(super) async fn keep(pools: Arc<Pools>, store: Arc<dyn Places>) {
    loop {
        sleep(KEEP).await;
        store.tend();
        let all: Vec<Arc<Pool>> = {
            let mut pools = pools.lock().unwrap_or_else(PoisonError::into_inner);
            pools.retain(|pool| !pool.is_done());
            pools.values().cloned().collect()
        };
        for pool in all {
            pool.keep().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use bulkhead_tenancy::limit::RateLimit;

    use super::*;
    use crate::{key::Keyspace, store::split::tests::spread};

    #[tokio::test]
    async fn a_pool_that_owes_is_not_dropped() {
        let (store, _split) = spread();
        let pool = Arc::new(Pool::new(store, Keyspace::default().global(), Bucket::token(RateLimit::per_minute(60, 1.0))));
        *pool.used.lock().unwrap() = Instant::now().checked_sub(UNUSED * 2).unwrap();
        assert!(pool.is_done());
        pool.prepaid().owe(3);
        assert!(!pool.is_done());
        pool.keep().await;
        assert!(pool.is_done(), "paid");
    }
}

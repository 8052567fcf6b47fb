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
    time::{Instant, sleep, timeout},
};

use super::{
    Places, Pools,
    prepaid::{KEPT_US, Moment, Prepaid, Wish},
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
    began: Instant,
}

impl Pool {
    pub(super) fn new(store: Arc<dyn Places>, key: Key, bucket: Bucket) -> Self {
        let now = Instant::now();
        let (prepaid, used) = (Mutex::default(), Mutex::new(now));
        Self { store, key, bucket, prepaid, used, fetching: Arc::new(Semaphore::new(1)), settling: AtomicBool::new(false), began: now }
    }

    /// The time by the service's own clock: for answers that no store gave.
    #[expect(clippy::unused_self, reason = "a pool's clock")]
    pub(super) fn clock_us(&self) -> u64 {
        SystemClock.now_us()
    }

    /// Takes tokens for as many copies of a cost as can be had in a time.
    pub(super) async fn reserve(self: &Arc<Self>, copies: u32, cost: u64, patience: Duration) -> u32 {
        *self.used.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        let until = Instant::now() + patience;
        let mut taken = 0;
        loop {
            let lacking = {
                let (mut prepaid, now) = (self.prepaid(), self.now());
                taken += prepaid.reserve(now, copies - taken, cost);
                if taken == copies { prepaid.is_low(now) } else { true }
            };
            if !lacking {
                return taken;
            }
            if taken == copies {
                // Before anybody lacks any, and without waiting.
                if let Ok(permit) = Arc::clone(&self.fetching).try_acquire_owned() {
                    self.fetch(permit, 1);
                }
                return taken;
            }
            let Ok(Ok(permit)) = timeout(until - Instant::now().min(until), Arc::clone(&self.fetching).acquire_owned()).await else {
                return taken;
            };
            // Whoever had the permit before us may have brought enough.
            taken += self.prepaid().reserve(self.now(), copies - taken, cost);
            if taken == copies {
                return taken;
            }
            let missing = u64::from(copies - taken).saturating_mul(cost);
            let Some(fetched) = self.fetch(permit, missing) else { return taken };
            let left = until - Instant::now().min(until);
            if timeout(left, fetched).await.is_err() {
                return taken;
            }
        }
    }

    /// Asks the bucket for tokens, in a task of its own: what a caller that stops waiting does not see comes into the pool all the same. None: there is
    /// nothing to be had now.
    fn fetch(self: &Arc<Self>, permit: OwnedSemaphorePermit, missing: u64) -> Option<tokio::task::JoinHandle<()>> {
        let asked = self.now();
        let wish = self.prepaid().lacks(asked, missing)?;
        let pool = Arc::clone(self);
        Some(tokio::spawn(async move {
            pool.ask(asked, wish).await;
            drop(permit);
        }))
    }

    async fn ask(&self, asked: Moment, wish: Wish) {
        let charge = Charge::new().hold(Scope::Global, self.key.clone(), self.bucket.clone(), 1);
        let ahead = Ahead { want: wish.ahead, share: SHARE, ttl_us: KEPT_US };
        let ask = Ask { charge, count: wish.now, ahead: (wish.ahead > 0).then_some(ahead) };
        let answer = self.store.decide_apart(std::slice::from_ref(&ask)).await.pop().unwrap_or(Err(StoreError::Garbled));
        let mut prepaid = self.prepaid();
        let most = u64::try_from(DRY.as_micros()).unwrap_or(0);
        match answer {
            Ok(answer) if !answer.faulty => {
                prepaid.granted(asked, u64::from(answer.admitted) + u64::from(answer.ahead), answer.now_us);
                if answer.admitted < wish.now {
                    let wait = answer.outcome(&ask.charge, answer.admitted).denial().and_then(|denial| denial.retry_after_us);
                    prepaid.dry(asked + wait.unwrap_or(most).clamp(100, most));
                }
            }
            // Away, or a key that is no bucket: guarantees alone admit meanwhile.
            Ok(_) | Err(_) => prepaid.dry(self.now() + most / 2),
        }
    }

    /// What was reserved for a charge that was denied.
    pub(super) fn give_back(&self, tokens: u64) {
        if tokens > 0 {
            self.prepaid().give_back(tokens);
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
        let idle = self.prepaid().idle(self.now());
        let change = |grant: &super::prepaid::Grant| Change::Return { unused: grant.left, held: grant.total, taken_us: grant.taken_us };
        let back = |grant| Adjustment { key: self.key.clone(), bucket: self.bucket.clone(), change: change(grant) };
        let returned: Vec<Adjustment> = idle.iter().map(back).collect();
        if !returned.is_empty() {
            // Lost on the way they stay charged: less is admitted, never more.
            drop(self.store.adjust(None, &returned).await);
        }
        self.settle().await;
    }

    fn is_unused(&self) -> bool {
        self.used.lock().unwrap_or_else(PoisonError::into_inner).elapsed() > UNUSED
    }

    fn prepaid(&self) -> MutexGuard<'_, Prepaid> {
        // Each step leaves it whole, and none panics.
        self.prepaid.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Moment {
        u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}

/// Gives idle tokens back, tries debts again and tends the store, for as long as it lives.
pub(super) async fn keep(pools: Arc<Pools>, store: Arc<dyn Places>) {
    loop {
        sleep(KEEP).await;
        store.tend();
        let all: Vec<Arc<Pool>> = {
            let mut pools = pools.lock().unwrap_or_else(PoisonError::into_inner);
            pools.retain(|_, pool| !pool.is_unused());
            pools.values().cloned().collect()
        };
        for pool in all {
            pool.keep().await;
        }
    }
}

//! Concurrent decisions drained into one call of the store: the batch is as large as the concurrency makes it, and nothing waits for it to
//! grow. A call costs the store about the same whatever it holds, so this is where speed comes from, with every decision still exact.
//!
//! The queue is bounded, with a share for each payer, so that one tenant's flood finds its own share full and no other tenant's; and payers take
//! turns, so that whoever waits behind a flood waits for one decision of it, not for all (S12).

use std::{
    collections::{HashMap, VecDeque, hash_map::Entry},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use tokio::sync::{Notify, oneshot};
use tokio_util::task::AbortOnDropHandle;

use super::{Adjustment, Hour, Metered, Micros, Store, StoreError, Tally};
use crate::{
    ask::{Answer, Ask},
    key::{Account, Key},
};

/// The most decisions of one call: beyond it a call's cost grows with its size.
const CALL: usize = 128;

/// Calls in flight at a time: while one is answered the next is gathered and sent.
const WORKERS: usize = 2;

/// How many decisions may wait.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// In all.
    pub total: usize,
    /// For each payer: a tenant, or all that is unresolved.
    pub share: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { total: 32_768, share: 4_096 }
    }
}

/// A store behind a queue.
pub struct Batching {
    store: Arc<dyn Store>,
    queue: Arc<Queue>,
    bounds: Bounds,
    _workers: Vec<AbortOnDropHandle<()>>,
}

#[derive(Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    more: Notify,
}

/// A queue for each payer that has something to wait for, and whose turn it is. Every key of `queues` stands in `turns` once, and none is empty.
#[derive(Default)]
struct Waiting {
    jobs: usize,
    queues: HashMap<Option<Key>, VecDeque<Job>>,
    turns: VecDeque<Option<Key>>,
}

struct Job {
    ask: Ask,
    answer: oneshot::Sender<Result<Answer, StoreError>>,
}

impl Waiting {
    fn push(&mut self, payer: Option<Key>, job: Job, bounds: Bounds) -> Result<(), StoreError> {
        if self.jobs >= bounds.total {
            return Err(StoreError::Busy);
        }
        match self.queues.entry(payer) {
            Entry::Occupied(queue) if queue.get().len() >= bounds.share => return Err(StoreError::Busy),
            Entry::Occupied(queue) => queue.into_mut().push_back(job),
            Entry::Vacant(place) => {
                self.turns.push_back(place.key().clone());
                place.insert(VecDeque::from([job]));
            }
        }
        self.jobs += 1;
        Ok(())
    }

    /// One job of the payer whose turn it is.
    fn pop(&mut self) -> Option<Job> {
        let payer = self.turns.pop_front()?;
        let Entry::Occupied(mut queue) = self.queues.entry(payer) else { return None };
        let job = queue.get_mut().pop_front();
        if queue.get().is_empty() {
            queue.remove();
        } else {
            self.turns.push_back(queue.key().clone());
        }
        self.jobs -= 1;
        job
    }
}

impl Batching {
    /// Puts a queue before a store.
    #[must_use]
    pub fn before(store: Arc<dyn Store>, bounds: Bounds) -> Self {
        let queue = Arc::new(Queue::default());
        let worker = |_| AbortOnDropHandle::new(tokio::spawn(work(Arc::clone(&queue), Arc::clone(&store))));
        let workers = (0..WORKERS).map(worker).collect();
        Self { store, queue, bounds, _workers: workers }
    }

    fn enqueue(&self, ask: &Ask) -> Result<oneshot::Receiver<Result<Answer, StoreError>>, StoreError> {
        let (answer, answered) = oneshot::channel();
        let job = Job { ask: ask.clone(), answer };
        self.queue.lock().push(ask.charge.payer().cloned(), job, self.bounds)?;
        self.queue.more.notify_one();
        Ok(answered)
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Counts and jobs change together, without a step that panics between them.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next batch, without those whose caller has stopped waiting: they are answered by their failure mode, and must not be charged.
    fn take(&self) -> (Vec<Ask>, Vec<oneshot::Sender<Result<Answer, StoreError>>>) {
        let mut waiting = self.lock();
        let (mut asks, mut answers) = (Vec::new(), Vec::new());
        while asks.len() < CALL {
            let Some(job) = waiting.pop() else { break };
            if !job.answer.is_closed() {
                asks.push(job.ask);
                answers.push(job.answer);
            }
        }
        if waiting.jobs > 0 {
            self.more.notify_one();
        }
        (asks, answers)
    }
}

async fn work(queue: Arc<Queue>, store: Arc<dyn Store>) {
    loop {
        let (asks, answers) = queue.take();
        if asks.is_empty() {
            queue.more.notified().await;
            continue;
        }
        let decided = store.decide_apart(&asks).await;
        answers.into_iter().zip(decided).for_each(|(answer, decided)| drop(answer.send(decided)));
    }
}

#[async_trait]
impl Store for Batching {
    async fn decide(&self, now: Option<Micros>, asks: &[Ask]) -> Result<Vec<Answer>, StoreError> {
        if now.is_some() {
            // Decisions of different moments cannot share a call.
            return self.store.decide(now, asks).await;
        }
        self.decide_apart(asks).await.into_iter().collect()
    }

    async fn decide_apart(&self, asks: &[Ask]) -> Vec<Result<Answer, StoreError>> {
        let waiting: Vec<_> = asks.iter().map(|ask| self.enqueue(ask)).collect();
        let mut answers = Vec::with_capacity(waiting.len());
        for answered in waiting {
            answers.push(match answered {
                Ok(answered) => answered.await.unwrap_or(Err(StoreError::Garbled)),
                Err(error) => Err(error),
            });
        }
        answers
    }

    async fn adjust(&self, now: Option<Micros>, adjustments: &[Adjustment]) -> Result<Vec<bool>, StoreError> {
        self.store.adjust(now, adjustments).await
    }

    async fn tally(&self, now: Option<Micros>, tallies: &[Tally]) -> Result<(), StoreError> {
        self.store.tally(now, tallies).await
    }

    async fn metered(&self, account: &Account, hour: Hour) -> Result<Vec<Metered>, StoreError> {
        self.store.metered(account, hour).await
    }
}

#[cfg(test)]
mod tests {
    use bulkhead_tenancy::{limit::RateLimit, name::TenantUid};
    use tokio::sync::Semaphore;

    use super::*;
    use crate::{
        bucket::Bucket,
        charge::{Charge, Scope},
        key::Keyspace,
    };

    /// A store that waits for permits, and remembers how large its batches were.
    struct Slow {
        permits: Semaphore,
        sizes: Mutex<Vec<usize>>,
    }

    #[async_trait]
    impl Store for Slow {
        async fn decide(&self, _: Option<Micros>, asks: &[Ask]) -> Result<Vec<Answer>, StoreError> {
            self.sizes.lock().unwrap().push(asks.len());
            self.permits.acquire().await.unwrap().forget();
            Ok(asks.iter().map(|ask| Answer { admitted: ask.count, faulty: false, ..Answer::faulty(0) }).collect())
        }

        async fn adjust(&self, _: Option<Micros>, _: &[Adjustment]) -> Result<Vec<bool>, StoreError> {
            Err(StoreError::Away)
        }

        async fn tally(&self, _: Option<Micros>, _: &[Tally]) -> Result<(), StoreError> {
            Err(StoreError::Away)
        }

        async fn metered(&self, _: &Account, _: Hour) -> Result<Vec<Metered>, StoreError> {
            Err(StoreError::Away)
        }
    }

    fn ask(tenant: &str) -> Ask {
        let uid: TenantUid = tenant.parse().unwrap();
        Ask::one(Charge::new().hold(Scope::Tenant, Keyspace::default().tenant(&uid), Bucket::token(RateLimit::per_minute(1, 1.0)), 1))
    }

    fn slow(bounds: Bounds) -> (Arc<Slow>, Arc<Batching>) {
        let store = Arc::new(Slow { permits: Semaphore::new(0), sizes: Mutex::default() });
        let batching = Arc::new(Batching::before(Arc::clone(&store) as Arc<dyn Store>, bounds));
        (store, batching)
    }

    async fn until(condition: impl Fn() -> bool) {
        let poll = async {
            while !condition() {
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(30), poll).await.unwrap();
    }

    /// Occupies every worker with a call of one decision.
    async fn occupy(store: &Slow, batching: &Arc<Batching>) -> Vec<tokio::task::JoinHandle<()>> {
        let mut tasks = Vec::new();
        for worker in 1..=WORKERS {
            let batching = Arc::clone(batching);
            tasks.push(tokio::spawn(async move { drop(batching.decide(None, &[ask("first")]).await) }));
            until(|| store.sizes.lock().unwrap().len() == worker).await;
        }
        tasks
    }

    #[tokio::test]
    async fn what_comes_while_a_call_is_in_flight_shares_the_next_call() {
        let (store, batching) = slow(Bounds::default());
        let first = occupy(&store, &batching).await;
        let mut tasks = Vec::new();
        for _ in 0..50 {
            let batching = Arc::clone(&batching);
            tasks.push(tokio::spawn(async move { batching.decide(None, &[ask("acme")]).await.unwrap() }));
        }
        until(|| batching.queue.lock().jobs == 50).await;
        store.permits.add_permits(WORKERS + 50);
        for task in tasks {
            assert_eq!(task.await.unwrap()[0].admitted, 1);
        }
        for task in first {
            task.await.unwrap();
        }
        assert!(store.sizes.lock().unwrap().contains(&50));
        let waiting = batching.queue.lock();
        assert!(waiting.queues.is_empty() && waiting.turns.is_empty() && waiting.jobs == 0);
    }

    #[tokio::test]
    async fn s12_a_tenant_that_floods_fills_its_own_share_of_the_queue() {
        let (store, batching) = slow(Bounds { total: 100, share: 3 });
        let _first = occupy(&store, &batching).await;
        let acme: Vec<_> = (0..5).map(|_| batching.enqueue(&ask("acme"))).collect();
        assert_eq!(acme.iter().filter(|one| one.is_err()).count(), 2);
        assert!(batching.enqueue(&ask("globex")).is_ok());
    }

    #[tokio::test]
    async fn s12_a_tenant_that_waits_behind_a_flood_is_in_the_next_call() {
        let (store, batching) = slow(Bounds::default());
        let _first = occupy(&store, &batching).await;
        let acme: Vec<_> = (0..3 * CALL).map(|_| batching.enqueue(&ask("acme")).unwrap()).collect();
        let globex: Vec<_> = (0..3).map(|_| batching.enqueue(&ask("globex")).unwrap()).collect();
        let (asks, _) = batching.queue.take();
        assert_eq!((asks.len(), asks.iter().filter(|one| **one == ask("globex")).count()), (CALL, 3));
        drop((acme, globex));
        assert!(batching.queue.take().0.is_empty(), "nobody waits any more");
        assert_eq!(batching.queue.lock().jobs, 0);
    }

    #[tokio::test]
    async fn s24_whoever_stopped_waiting_is_not_charged() {
        let (store, batching) = slow(Bounds::default());
        let first = occupy(&store, &batching).await;
        drop(batching.enqueue(&ask("acme")).unwrap());
        let kept = batching.enqueue(&ask("globex")).unwrap();
        store.permits.add_permits(WORKERS + 1);
        assert!(kept.await.unwrap().is_ok());
        for task in first {
            task.await.unwrap();
        }
        assert_eq!(*store.sizes.lock().unwrap(), [1, 1, 1], "globex alone");
    }
}

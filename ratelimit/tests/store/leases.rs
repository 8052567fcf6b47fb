//! Replicas that lease, over both stores, in real time: they never admit more than the limit, give back what is idle and what they held at
//! the end, and all that they decided is metered.

mod callers;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;

use bulkhead_ratelimit::{
    ask::{Answer, Ask},
    bucket::{Bucket, CalendarQuota, Window},
    charge::{Charge, Scope, Shape},
    key::{Account, Keyspace},
    metering::later::Later,
    store::{
        Adjustment, Hour, Ledger, Metered, Micros, Store, StoreError, Tally,
        away::Away,
        batching::{Batching, Bounds},
        leasing::Leasing,
        memory::MemoryStore,
    },
};
use bulkhead_tenancy::{
    calendar::{Calendar, Per},
    clock::{Clock as _, SystemClock},
    limit::{Rate, RateLimit},
    name::TenantUid,
};

use tokio::sync::Semaphore;

use crate::support::{own_keys, valkey::Server};

/// Rates are zero or nothing next to the capacities: what is admitted does not depend on how fast the machine is.
const SLOW: Rate = Rate { requests: 1, period_us: 3_600_000_000 };
const CAPACITY: u64 = 3_000;

fn shape(keys: &Keyspace, bucket: Bucket) -> Arc<Shape> {
    let uid: TenantUid = "acme".parse().unwrap();
    let token = |capacity| Bucket::token(RateLimit { rate: SLOW, capacity });
    let shape = Shape::new()
        .shared(keys.global(), token(CAPACITY * 2), Some((keys.guarantee(&uid), token(50))))
        .hold(Scope::Tenant, keys.tenant(&uid), bucket)
        .metered(keys.meter(&uid, None, None));
    Arc::new(shape.leased(4))
}

async fn stores(server: &Server) -> [(&'static str, Arc<dyn Store>); 2] {
    let script: Arc<dyn Store> = Arc::new(server.store().await);
    [("memory", Arc::new(MemoryStore::new(Arc::new(SystemClock)))), ("script", Arc::new(Batching::before(script, Bounds::default())))]
}

fn leasing(store: Arc<dyn Store>) -> Leasing {
    let later = Arc::new(Later::new(Arc::clone(&store), Arc::new(SystemClock)));
    Leasing::before(store, later)
}

async fn ask(store: &dyn Store, shape: &Arc<Shape>) -> bool {
    store.decide(None, &[Ask::one(Charge::of(Arc::clone(shape), 1))]).await.unwrap()[0].admitted == 1
}

/// So many requests, from several tasks at once.
async fn flood(store: &Arc<Leasing>, shape: &Arc<Shape>, requests: usize) -> usize {
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let (store, shape) = (Arc::clone(store), Arc::clone(shape));
            tokio::spawn(async move {
                let mut admitted = 0;
                for _ in 0..requests / 8 {
                    admitted += usize::from(ask(&*store, &shape).await);
                }
                admitted
            })
        })
        .collect();
    let mut admitted = 0;
    for task in tasks {
        admitted += task.await.unwrap();
    }
    admitted
}

#[tokio::test]
async fn replicas_together_admit_the_limit_and_never_more() {
    let server = Server::get();
    for (name, store) in stores(&server).await {
        let buckets = [Bucket::token(RateLimit { rate: SLOW, capacity: CAPACITY }), Bucket::Window(Window::new(CAPACITY, u64::MAX))];
        for bucket in buckets {
            let shape = shape(&own_keys(), bucket);
            let replicas: Vec<_> = (0..2).map(|_| Arc::new(leasing(Arc::clone(&store)))).collect();
            let (one, other) = tokio::join!(flood(&replicas[0], &shape, 4_000), flood(&replicas[1], &shape, 4_000));
            let mut admitted = one + other;
            assert!(admitted <= 3_000, "{name}: {admitted}");
            let deadline = Instant::now() + Duration::from_secs(30);
            // What is in hand and idle comes back, and is admitted by whoever asks.
            while admitted < 3_000 {
                assert!(Instant::now() < deadline, "{name}: {admitted} admitted, the rest never came back");
                admitted += flood(&replicas[0], &shape, 8).await;
            }
            assert_eq!(flood(&replicas[1], &shape, 400).await, 0, "{name}");
        }
    }
}

/// A store that tells how many renewals it was asked for.
struct Renewed {
    store: Arc<dyn Store>,
    renewals: AtomicU64,
}

#[async_trait]
impl Store for Renewed {
    async fn decide(&self, now: Option<Micros>, asks: &[Ask]) -> Result<Vec<Answer>, StoreError> {
        let renewals = asks.iter().filter(|ask| ask.count == 0).count() as u64;
        self.renewals.fetch_add(renewals, Ordering::Relaxed);
        self.store.decide(now, asks).await
    }

    fn ledger(&self) -> &dyn Ledger {
        self.store.ledger()
    }
}

#[tokio::test]
async fn leases_are_renewed_before_anybody_needs_them_and_all_of_it_comes_back() {
    let server = Server::get();
    for (name, store) in stores(&server).await {
        let store = Arc::new(Renewed { store, renewals: AtomicU64::new(0) });
        let (leasing, shape) = (leasing(store.clone()), shape(&own_keys(), Bucket::token(RateLimit { rate: SLOW, capacity: CAPACITY })));
        let (deadline, mut asked) = (Instant::now() + Duration::from_secs(60), 0);
        while store.renewals.load(Ordering::Relaxed) < 3 {
            assert!(Instant::now() < deadline, "{name}: {asked} asked, and no lease was renewed");
            assert!(ask(&leasing, &shape).await);
            asked += 1;
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
        // The last renewal may be on its way yet: it comes back, too.
        let look = Charge::of(Arc::clone(&shape), 0);
        leasing.drain(Duration::from_secs(60)).await;
        let left = store.decide_each(None, std::slice::from_ref(&look)).await.unwrap()[0].standings()[1].remaining;
        assert_eq!(left, CAPACITY - asked, "{name}");
    }
}

/// A store whose answers wait until they are let through.
struct Gate {
    store: Arc<dyn Store>,
    open: Semaphore,
    asked: AtomicU64,
}

#[async_trait]
impl Store for Gate {
    async fn decide(&self, now: Option<Micros>, asks: &[Ask]) -> Result<Vec<Answer>, StoreError> {
        let answers = self.store.decide(now, asks).await;
        self.asked.fetch_add(1, Ordering::Relaxed);
        self.open.acquire().await.unwrap().forget();
        answers
    }

    fn ledger(&self) -> &dyn Ledger {
        self.store.ledger()
    }
}

#[tokio::test]
async fn what_was_taken_in_advance_is_in_hand_though_whoever_asked_has_gone() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new(Arc::new(SystemClock)));
    let gate = Arc::new(Gate { store, open: Semaphore::new(1), asked: AtomicU64::new(0) });
    let replica = Arc::new(leasing(Arc::clone(&gate) as Arc<dyn Store>));
    let shape = shape(&own_keys(), Bucket::token(RateLimit { rate: SLOW, capacity: CAPACITY }));
    assert!(ask(&*replica, &shape).await, "the first is exact");
    let gone = {
        let (replica, shape) = (Arc::clone(&replica), Arc::clone(&shape));
        tokio::spawn(async move { ask(&*replica, &shape).await })
    };
    until(|| gate.asked.load(Ordering::Relaxed) == 2).await;
    gone.abort();
    gate.open.add_permits(1);
    until(|| replica.in_hand() > 0).await;
}

/// A store one part of which is away for tallies.
struct HalfAway {
    store: MemoryStore,
    away: Account,
}

#[async_trait]
impl Store for HalfAway {
    async fn decide(&self, now: Option<Micros>, asks: &[Ask]) -> Result<Vec<Answer>, StoreError> {
        self.store.decide(now, asks).await
    }

    fn ledger(&self) -> &dyn Ledger {
        self
    }
}

#[async_trait]
impl Ledger for HalfAway {
    async fn adjust(&self, now: Option<Micros>, adjustments: &[Adjustment]) -> Vec<Result<bool, StoreError>> {
        self.store.ledger().adjust(now, adjustments).await
    }

    async fn tally(&self, now: Option<Micros>, tallies: &[Tally]) -> Vec<Result<(), StoreError>> {
        let mut told = Vec::new();
        for tally in tallies {
            let away = *tally.meter.account() == self.away;
            told.push(if away {
                Err(StoreError::Away)
            } else {
                self.store.ledger().tally(now, std::slice::from_ref(tally)).await.remove(0)
            });
        }
        told
    }

    async fn metered(&self, account: &Account, hour: Hour) -> Result<Vec<Metered>, StoreError> {
        self.store.ledger().metered(account, hour).await
    }
}

#[tokio::test]
async fn s24_one_part_of_a_store_that_is_away_bills_nobody_else_twice() {
    let keys = own_keys();
    let (acme, globex): (TenantUid, TenantUid) = ("acme".parse().unwrap(), "globex".parse().unwrap());
    let store = Arc::new(HalfAway { store: MemoryStore::new(Arc::new(SystemClock)), away: keys.account(&globex) });
    let replica = Arc::new(leasing(Arc::clone(&store) as Arc<dyn Store>));
    let of = |uid: &TenantUid| {
        let limit = Bucket::token(RateLimit { rate: SLOW, capacity: CAPACITY });
        Arc::new(Shape::new().hold(Scope::Tenant, keys.tenant(uid), limit).metered(keys.meter(uid, None, None)).leased(4))
    };
    let (of_acme, of_globex) = (of(&acme), of(&globex));
    let mut answered = 0;
    // Several flushes, each with something to tell of both.
    for _ in 0..4 {
        answered += flood(&replica, &of_acme, 80).await as u64;
        flood(&replica, &of_globex, 80).await;
        replica.drain(Duration::from_secs(20)).await;
    }
    let first = Hour::of(Micros(SystemClock.now_us())).0;
    let mut metered = 0;
    for hour in first - 1..=first {
        metered += store.ledger().metered(&keys.account(&acme), Hour(hour)).await.unwrap().iter().map(|line| line.admitted).sum::<u64>();
    }
    assert_eq!(metered, answered);
}

/// A store that can be away for returns.
struct Fickle {
    store: MemoryStore,
    away: AtomicBool,
}

#[async_trait]
impl Store for Fickle {
    async fn decide(&self, now: Option<Micros>, asks: &[Ask]) -> Result<Vec<Answer>, StoreError> {
        self.store.decide(now, asks).await
    }

    fn ledger(&self) -> &dyn Ledger {
        if self.away.load(Ordering::Relaxed) { &Away } else { self.store.ledger() }
    }
}

/// What a quota counted in advance would else be lost until its period ends.
#[tokio::test]
async fn what_found_the_store_away_comes_back_when_it_is_there_again() {
    let store = Arc::new(Fickle { store: MemoryStore::new(Arc::new(SystemClock)), away: AtomicBool::new(true) });
    let month = Bucket::Calendar(CalendarQuota::new(CAPACITY, Calendar::new(Per::Month, None, "UTC").unwrap()));
    let shape = shape(&own_keys(), month);
    let replica = Arc::new(leasing(Arc::clone(&store) as Arc<dyn Store>));
    assert_eq!(flood(&replica, &shape, 1_000).await, 1_000);
    until(|| replica.in_hand() == 0).await;
    let look = Ask::of(Charge::of(Arc::clone(&shape), 1), 10_000, None);
    let left = || store.store.fork().answer(None, &look).admitted;
    assert!(left() < 2_000, "something was in hand, and is not back");
    store.away.store(false, Ordering::Relaxed);
    until(|| left() == 2_000).await;
}

async fn until(condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(Instant::now() < deadline, "it never came to be");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn a_replica_that_ends_leaves_everything_to_the_others_and_everything_is_metered() {
    let server = Server::get();
    for (name, store) in stores(&server).await {
        let keys = own_keys();
        let shape = shape(&keys, Bucket::token(RateLimit { rate: SLOW, capacity: CAPACITY }));
        let ending = Arc::new(leasing(Arc::clone(&store)));
        let admitted = flood(&ending, &shape, 1_000).await;
        assert_eq!(admitted, 1_000, "{name}");
        assert!(ending.in_hand() > 0, "{name}: nothing was leased");
        ending.drain(Duration::from_secs(20)).await;
        assert_eq!(ending.in_hand(), 0);
        let other = Arc::new(leasing(Arc::clone(&store)));
        let admitted = flood(&other, &shape, 4_000).await;
        other.drain(Duration::from_secs(20)).await;
        assert_eq!(admitted, 2_000, "{name}: exactly what the first left");
        let mut sum = (0, 0);
        let hour =
            bulkhead_ratelimit::store::Hour::of(bulkhead_ratelimit::store::Micros(bulkhead_tenancy::clock::Clock::now_us(&SystemClock)));
        for hour in [hour.0 - 1, hour.0] {
            for line in store.ledger().metered(shape.meter().unwrap().account(), bulkhead_ratelimit::store::Hour(hour)).await.unwrap() {
                sum = (sum.0 + line.admitted, sum.1 + line.denied);
            }
        }
        assert_eq!(sum, (3_000, 2_000), "{name}");
    }
}

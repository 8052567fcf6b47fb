//! Callers who stop waiting, and payers whose renewals do not come: what nobody waits for is not charged, and nobody waits for another's.

use super::*;

/// A store that tells how many asks came to it for requests.
struct Entered {
    store: Arc<dyn Store>,
    asks: AtomicU64,
}

#[async_trait]
impl Store for Entered {
    async fn decide(&self, now: Option<Micros>, asks: &[Ask]) -> Result<Vec<Answer>, StoreError> {
        self.asks.fetch_add(asks.iter().filter(|ask| ask.count > 0).count() as u64, Ordering::Relaxed);
        self.store.decide(now, asks).await
    }

    fn ledger(&self) -> &dyn Ledger {
        self.store.ledger()
    }
}

fn gate(permits: usize) -> (Arc<dyn Store>, Arc<Gate>) {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new(Arc::new(SystemClock)));
    (Arc::clone(&store), Arc::new(Gate { store, open: Semaphore::new(permits), asked: AtomicU64::new(0) }))
}

fn asking(store: &Arc<dyn Store>, shape: &Arc<Shape>) -> tokio::task::JoinHandle<bool> {
    let (store, shape) = (Arc::clone(store), Arc::clone(shape));
    tokio::spawn(async move { ask(&*store, &shape).await })
}

fn of(keys: &Keyspace, uid: &str) -> Arc<Shape> {
    let limit = Bucket::token(RateLimit { rate: SLOW, capacity: CAPACITY });
    Arc::new(Shape::new().hold(Scope::Tenant, keys.tenant(&uid.parse().unwrap()), limit).leased(4))
}

async fn left(store: &dyn Store, shape: &Arc<Shape>) -> u64 {
    let look = Charge::of(Arc::clone(shape), 0);
    store.decide_each(None, &[look]).await.unwrap()[0].standings()[0].remaining
}

#[tokio::test]
async fn s24_what_was_not_sent_when_its_caller_went_is_not_charged_though_it_takes_in_advance() {
    let (store, gate) = gate(1);
    let batching: Arc<dyn Store> = Arc::new(Batching::before(Arc::clone(&gate) as Arc<dyn Store>, Bounds::default()));
    let entered = Arc::new(Entered { store: batching, asks: AtomicU64::new(0) });
    let leasing = Arc::new(leasing(Arc::clone(&entered) as Arc<dyn Store>));
    let replica: Arc<dyn Store> = leasing.clone();
    let keys = own_keys();
    let acme = of(&keys, "acme");
    assert!(ask(&*replica, &acme).await, "the first is exact");
    let mut others = Vec::new();
    for (number, other) in ["globex", "initech"].into_iter().enumerate() {
        others.push(asking(&replica, &of(&keys, other)));
        until(|| gate.asked.load(Ordering::Relaxed) == 2 + number as u64).await;
    }
    let gone = asking(&replica, &acme);
    // It stands in the queue: both calls are in flight.
    until(|| entered.asks.load(Ordering::Relaxed) == 4).await;
    gone.abort();
    assert!(gone.await.unwrap_err().is_cancelled());
    gate.open.add_permits(10);
    for other in others {
        assert!(other.await.unwrap());
    }
    leasing.drain(Duration::from_secs(60)).await;
    assert_eq!((gate.asked.load(Ordering::Relaxed), left(&*store, &acme).await), (3, CAPACITY - 1));
}

#[tokio::test]
async fn s24_a_denial_for_a_caller_who_went_uses_nothing_that_is_in_hand() {
    let deadline = Instant::now() + Duration::from_secs(60);
    // Now and then the lease is renewed before a request asks for the next.
    while !denied_when_gone().await {
        assert!(Instant::now() < deadline, "no request asked while there was something in hand");
    }
}

/// Whether there was something in hand that could have answered.
async fn denied_when_gone() -> bool {
    let (store, gate) = gate(1_000);
    let entered = Arc::new(Entered { store: Arc::clone(&gate) as Arc<dyn Store>, asks: AtomicU64::new(0) });
    let leasing = Arc::new(leasing(Arc::clone(&entered) as Arc<dyn Store>));
    let replica: Arc<dyn Store> = leasing.clone();
    let acme = of(&own_keys(), "acme");
    for _ in 0..400 {
        assert!(ask(&*replica, &acme).await);
    }
    let rest = u32::try_from(left(&*store, &acme).await).unwrap();
    let others = Ask::of(Charge::of(Arc::clone(&acme), 1), rest, None);
    assert_eq!(store.decide(None, &[others]).await.unwrap()[0].admitted, rest, "others take all that is left");
    gate.open.forget_permits(1_000);
    let asked = entered.asks.load(Ordering::Relaxed);
    let gone = loop {
        let asking = asking(&replica, &acme);
        until(|| asking.is_finished() || entered.asks.load(Ordering::Relaxed) > asked).await;
        if !asking.is_finished() {
            break asking;
        }
        assert!(asking.await.unwrap());
    };
    let in_hand = leasing.in_hand();
    gone.abort();
    assert!(gone.await.unwrap_err().is_cancelled());
    gate.open.add_permits(1);
    until(|| gate.open.available_permits() == 0).await;
    // Whoever waited for the permit goes on.
    tokio::task::yield_now().await;
    assert_eq!(leasing.in_hand(), in_hand);
    in_hand > 0
}

/// A store that never answers one payer's renewals, as where its share of the queue is full of what waits longer.
struct Stuck {
    store: MemoryStore,
    payer: Account,
    others: AtomicU64,
    stuck: AtomicU64,
}

#[async_trait]
impl Store for Stuck {
    async fn decide(&self, now: Option<Micros>, asks: &[Ask]) -> Result<Vec<Answer>, StoreError> {
        let renewals =
            |stuck| asks.iter().filter(|ask| ask.count == 0 && (ask.charge.payer() == Some(&self.payer)) == stuck).count() as u64;
        self.stuck.fetch_add(renewals(true), Ordering::Relaxed);
        if renewals(true) > 0 {
            std::future::pending::<()>().await;
        }
        self.others.fetch_add(renewals(false), Ordering::Relaxed);
        self.store.decide(now, asks).await
    }

    fn ledger(&self) -> &dyn Ledger {
        self.store.ledger()
    }
}

#[tokio::test]
async fn s12_nobodys_renewals_wait_for_those_of_another_payer() {
    let keys = own_keys();
    let payer = keys.account(&"globex".parse().unwrap());
    let store = MemoryStore::new(Arc::new(SystemClock));
    let store = Arc::new(Stuck { store, payer, others: AtomicU64::new(0), stuck: AtomicU64::new(0) });
    let leasing = leasing(Arc::clone(&store) as Arc<dyn Store>);
    let (acme, globex) = (of(&keys, "acme"), of(&keys, "globex"));
    let deadline = Instant::now() + Duration::from_secs(60);
    // They come to be renewed in the same ticks.
    while store.stuck.load(Ordering::Relaxed) == 0 || store.others.load(Ordering::Relaxed) < 3 {
        assert!(Instant::now() < deadline, "{:?} of globex, {:?} of acme", store.stuck, store.others);
        for shape in [&acme, &globex] {
            assert!(ask(&leasing, shape).await);
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A store that is away for whatever takes in advance.
struct Exact {
    store: MemoryStore,
    told: AtomicU64,
    away: AtomicBool,
}

#[async_trait]
impl Store for Exact {
    async fn decide(&self, now: Option<Micros>, asks: &[Ask]) -> Result<Vec<Answer>, StoreError> {
        let told = asks.iter().filter_map(|ask| ask.ahead).map(|ahead| ahead.told.admitted).sum::<u64>();
        if self.away.load(Ordering::Relaxed) && asks.iter().any(|ask| ask.ahead.is_some()) {
            self.told.fetch_add(told, Ordering::Relaxed);
            return Err(StoreError::Away);
        }
        self.store.decide(now, asks).await
    }

    fn ledger(&self) -> &dyn Ledger {
        self.store.ledger()
    }
}

#[tokio::test]
async fn s24_what_was_to_be_metered_with_a_lease_that_found_the_store_away_is_metered_later_and_once() {
    let keys = own_keys();
    let acme = keys.meter(&"acme".parse().unwrap(), None, None);
    let limit = Bucket::token(RateLimit { rate: SLOW, capacity: CAPACITY });
    let shape = Arc::new(Shape::new().hold(Scope::Tenant, keys.tenant(&"acme".parse().unwrap()), limit).metered(acme.clone()).leased(4));
    let store = MemoryStore::new(Arc::new(SystemClock));
    let store = Arc::new(Exact { store, told: AtomicU64::new(0), away: AtomicBool::new(false) });
    let leasing = leasing(Arc::clone(&store) as Arc<dyn Store>);
    let (mut answered, deadline) = (0, Instant::now() + Duration::from_secs(60));
    while leasing.in_hand() < 20 {
        assert!(ask(&leasing, &shape).await);
        answered += 1;
    }
    store.away.store(true, Ordering::Relaxed);
    while store.told.load(Ordering::Relaxed) == 0 {
        assert!(Instant::now() < deadline, "nothing was to be told with a lease");
        assert!(ask(&leasing, &shape).await);
        answered += 1;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    store.away.store(false, Ordering::Relaxed);
    leasing.drain(Duration::from_secs(20)).await;
    let first = Hour::of(Micros(SystemClock.now_us())).0;
    let mut metered = 0;
    for hour in first - 1..=first {
        metered += store.ledger().metered(acme.account(), Hour(hour)).await.unwrap().iter().map(|line| line.admitted).sum::<u64>();
    }
    assert_eq!(metered, answered);
}

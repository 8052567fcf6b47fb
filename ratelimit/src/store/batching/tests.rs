use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use bulkhead_tenancy::{limit::RateLimit, name::TenantUid};
use tokio::sync::Semaphore;

use super::{
    queue::{CALLS, CROWD, QUESTIONS, WEIGHT},
    *,
};
use crate::{
    bucket::{Bucket, Sliding},
    charge::{Charge, Scope},
    key::Keyspace,
    store::away::Away,
};

/// A store that waits for permits, and remembers what it was asked: the counts of each batch. It admits the first five copies.
struct Slow {
    permits: Semaphore,
    asked: Mutex<Vec<Vec<u32>>>,
}

impl Slow {
    fn sizes(&self) -> Vec<usize> {
        self.asked.lock().unwrap().iter().map(Vec::len).collect()
    }
}

#[async_trait]
impl Store for Slow {
    async fn decide(&self, _: Option<Micros>, asks: &[Ask]) -> Result<Vec<Answer>, StoreError> {
        self.asked.lock().unwrap().push(asks.iter().map(|ask| ask.count).collect());
        self.permits.acquire().await.unwrap().forget();
        Ok(asks.iter().map(|ask| Answer { admitted: ask.count.min(5), faulty: false, ..Answer::faulty(0) }).collect())
    }

    fn ledger(&self) -> &dyn Ledger {
        &Away
    }
}

/// A shape of its own each time: what is not the same shape is not the same question.
fn ask(tenant: &str) -> Ask {
    let uid: TenantUid = tenant.parse().unwrap();
    Ask::one(Charge::new().hold(Scope::Tenant, Keyspace::default().tenant(&uid), Bucket::token(RateLimit::per_minute(1, 1.0)), 1))
}

fn slow(bounds: Bounds) -> (Arc<Slow>, Arc<Batching>) {
    let store = Arc::new(Slow { permits: Semaphore::new(0), asked: Mutex::default() });
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

type Asking = tokio::task::JoinHandle<Result<Vec<Answer>, StoreError>>;

fn asking(batching: &Arc<Batching>, ask: Ask) -> Asking {
    let batching = Arc::clone(batching);
    tokio::spawn(async move { batching.decide(None, &[ask]).await })
}

/// Has every call in flight that there may be.
async fn occupy(store: &Slow, batching: &Arc<Batching>) -> VecDeque<Asking> {
    let mut tasks = VecDeque::new();
    for call in 1..=CALLS {
        tasks.push_back(asking(batching, ask("first")));
        until(|| store.sizes().len() == call).await;
    }
    tasks
}

/// Waits for a call.
fn wait(batching: &Batching, ask: &Ask) -> Result<queue::Replied, StoreError> {
    match batching.queue.enter(std::slice::from_ref(ask)) {
        Entered::Waits { mut replies, leads: false } => replies.remove(0),
        _ => panic!("every call is in flight"),
    }
}

#[tokio::test]
async fn what_comes_while_calls_are_in_flight_shares_the_next_call() {
    let (store, batching) = slow(Bounds::default());
    let first = occupy(&store, &batching).await;
    let tasks: Vec<_> = (0..50).map(|_| asking(&batching, ask("acme"))).collect();
    until(|| batching.queue.lock().jobs == 50).await;
    store.permits.add_permits(CALLS + 50);
    for task in tasks.into_iter().chain(first) {
        assert_eq!(task.await.unwrap().unwrap()[0].admitted, 1);
    }
    assert_eq!(store.sizes(), [1, 1, 50]);
    until(|| batching.queue.is_idle()).await;
}

#[tokio::test]
async fn in_a_crowd_one_call_is_in_flight_at_a_time_and_two_again_when_it_is_over() {
    let (store, batching) = slow(Bounds::default());
    let _first = occupy(&store, &batching).await;
    let _crowd: Vec<_> = (0..CROWD).map(|_| wait(&batching, &ask("acme")).unwrap()).collect();
    store.permits.add_permits(CALLS);
    until(|| store.sizes() == [1, 1, CROWD]).await;
    until(|| batching.queue.lock().calls() == 1).await;
    let late = wait(&batching, &ask("globex")).unwrap();
    store.permits.add_permits(2);
    assert!(late.await.unwrap().is_ok());
    assert_eq!(store.sizes(), [1, 1, CROWD, 1]);
    until(|| batching.queue.is_idle()).await;
    let _both = (asking(&batching, ask("acme")), asking(&batching, ask("globex")));
    until(|| store.sizes() == [1, 1, CROWD, 1, 1, 1]).await;
}

#[tokio::test]
async fn what_one_call_does_not_hold_goes_in_two() {
    let (store, batching) = slow(Bounds::default());
    let _first = occupy(&store, &batching).await;
    let _crowd: Vec<_> = (0..3 * QUESTIONS).map(|_| wait(&batching, &ask("acme")).unwrap()).collect();
    store.permits.add_permits(1);
    until(|| store.sizes() == [1, 1, QUESTIONS]).await;
    store.permits.add_permits(1);
    until(|| store.sizes() == [1, 1, QUESTIONS, QUESTIONS]).await;
    assert_eq!(batching.queue.lock().calls(), CALLS);
}

#[tokio::test]
async fn equal_charges_that_wait_together_are_one_question_and_each_gets_its_own_answer() {
    let (store, batching) = slow(Bounds::default());
    let _first = occupy(&store, &batching).await;
    let same = ask("acme");
    let tasks: Vec<_> = (0..50).map(|_| asking(&batching, same.clone())).collect();
    until(|| batching.queue.lock().jobs == 50).await;
    store.permits.add_permits(CALLS + 1);
    let mut admitted = 0;
    for task in tasks {
        admitted += task.await.unwrap().unwrap()[0].admitted;
    }
    assert_eq!(admitted, 5, "as many as the store admitted, and no more");
    assert_eq!(store.asked.lock().unwrap().last().unwrap(), &[50]);
}

#[tokio::test]
async fn s12_what_is_asked_once_is_decided_before_what_is_asked_often() {
    let (store, batching) = slow(Bounds::default());
    let _first = occupy(&store, &batching).await;
    let flood = ask("acme");
    let waiting: Vec<_> = (0..50).map(|_| wait(&batching, &flood)).chain([wait(&batching, &ask("globex"))]).collect();
    let batch = batching.queue.take();
    assert_eq!(batch.asks.iter().map(|ask| ask.count).collect::<Vec<_>>(), [1, 50]);
    drop(waiting);
}

#[tokio::test]
async fn s12_a_tenant_that_floods_fills_its_own_share_of_the_queue() {
    let (store, batching) = slow(Bounds { total: 100, share: 3 });
    let _first = occupy(&store, &batching).await;
    let acme: Vec<_> = (0..5).map(|_| wait(&batching, &ask("acme"))).collect();
    assert_eq!(acme.iter().filter(|one| one.is_err()).count(), 2);
    assert!(wait(&batching, &ask("globex")).is_ok());
}

#[tokio::test]
async fn s12_a_tenant_has_one_share_whichever_of_its_buckets_it_asks_for() {
    let (store, batching) = slow(Bounds { total: 100, share: 3 });
    let _first = occupy(&store, &batching).await;
    let look = |number: usize| {
        let key = Keyspace::default().subscription(&"acme".parse().unwrap(), &format!("s-{number}").parse().unwrap());
        Ask::one(Charge::new().hold(Scope::Subscription, key, Bucket::token(RateLimit::per_minute(1, 1.0)), 0))
    };
    let acme: Vec<_> = (0..5).map(|number| wait(&batching, &look(number))).collect();
    assert_eq!(acme.iter().filter(|one| one.is_err()).count(), 2);
}

#[tokio::test]
async fn s12_a_tenant_that_waits_behind_a_flood_is_in_the_next_call() {
    let (store, batching) = slow(Bounds::default());
    let _first = occupy(&store, &batching).await;
    let acme: Vec<_> = (0..3 * QUESTIONS).map(|_| wait(&batching, &ask("acme")).unwrap()).collect();
    let globex: Vec<_> = (0..3).map(|_| wait(&batching, &ask("globex")).unwrap()).collect();
    let batch = batching.queue.take();
    assert_eq!((batch.asks.len(), batch.asks.iter().filter(|one| **one == ask("globex")).count()), (QUESTIONS, 3));
    drop((acme, globex));
    assert!(batching.queue.take().asks.is_empty(), "nobody waits any more");
    assert_eq!(batching.queue.lock().jobs, 0);
}

/// A tenant states its quotas itself: a call of nothing but sliding windows would keep the store for ten times as long, and everybody's calls would be late.
#[tokio::test]
async fn s12_a_call_holds_no_more_than_the_store_decides_in_a_moment() {
    let (store, batching) = slow(Bounds::default());
    let calls = occupy(&store, &batching).await;
    let uid: TenantUid = "acme".parse().unwrap();
    let heavy = |number: usize| {
        let sliding =
            |kind: &str| (Keyspace::default().quota(&uid, &format!("{kind}/{number}")), Bucket::Sliding(Sliding::new(9, 60_000_000)));
        let levels = ["hour", "day", "week", "month"].map(sliding);
        Ask::one(levels.into_iter().fold(Charge::new(), |charge, (key, bucket)| charge.hold(Scope::Tenant, key, bucket, 1)))
    };
    let _flood: Vec<_> = (0..QUESTIONS).map(|number| wait(&batching, &heavy(number)).unwrap()).collect();
    let _other = wait(&batching, &ask("globex")).unwrap();
    let batch = batching.queue.take();
    assert_eq!(batch.asks.len(), WEIGHT.div_ceil(heavy(0).charge.weight()) + 1, "and what weighs little besides");
    assert!(batch.asks.contains(&ask("globex")), "its turn is the next");
    drop(calls);
}

#[tokio::test]
async fn s12_only_who_asks_more_than_a_call_takes_stands_behind_its_own() {
    let (store, batching) = slow(Bounds::default());
    let before = Instant::now();
    let _first = occupy(&store, &batching).await;
    let flood = |_| wait(&batching, &ask("acme")).unwrap();
    let (_acme, _globex): (Vec<_>, _) = ((0..3 * QUESTIONS).map(flood).collect(), wait(&batching, &ask("globex")).unwrap());
    let stands = |tenant: &str, since| batching.stood_behind_own(&ask(tenant).charge, since);
    assert!(!stands("acme", before), "nobody was answered: it may be the store that is late");
    store.permits.add_permits(1);
    until(|| store.sizes() == [1, 1, QUESTIONS]).await;
    assert_eq!(["acme", "globex", "first", "initech"].map(|tenant| stands(tenant, before)), [true, false, false, false]);
    assert!(!stands("acme", Instant::now()));
}

#[tokio::test]
async fn s12_more_payers_than_a_call_has_questions_are_all_decided_and_none_stands_behind_its_own() {
    let (store, batching) = slow(Bounds::default());
    let since = tokio::time::Instant::now();
    let first = occupy(&store, &batching).await;
    let payers: Vec<Ask> = (0..2 * QUESTIONS + 44).map(|number| ask(&format!("t{number}"))).collect();
    let tasks: Vec<_> = payers.iter().map(|ask| asking(&batching, ask.clone())).collect();
    until(|| batching.queue.lock().jobs == payers.len()).await;
    // One call has been through: most of them wait still, behind the others.
    store.permits.add_permits(1);
    until(|| store.sizes().len() > CALLS).await;
    assert!(batching.queue.lock().jobs >= payers.len() - QUESTIONS);
    assert!(payers.iter().all(|ask| !batching.stood_behind_own(&ask.charge, since)), "each asked once");
    store.permits.add_permits(CALLS + payers.len());
    for task in tasks.into_iter().chain(first) {
        assert_eq!(task.await.unwrap().unwrap()[0].admitted, 1);
    }
    let calls = store.sizes().split_off(CALLS);
    assert!(calls.iter().all(|size| *size <= QUESTIONS), "{calls:?}");
    assert_eq!(calls.iter().sum::<usize>(), payers.len());
}

#[tokio::test]
async fn s24_whoever_stopped_waiting_is_not_charged() {
    let (store, batching) = slow(Bounds::default());
    let first = occupy(&store, &batching).await;
    drop(wait(&batching, &ask("acme")).unwrap());
    let kept = wait(&batching, &ask("globex")).unwrap();
    store.permits.add_permits(CALLS + 1);
    assert!(kept.await.unwrap().is_ok());
    for task in first {
        task.await.unwrap().unwrap();
    }
    assert_eq!(store.sizes(), [1, 1, 1], "globex alone");
}

#[tokio::test]
async fn whoever_called_and_stopped_waiting_leaves_nobody_behind() {
    let (store, batching) = slow(Bounds::default());
    let first = occupy(&store, &batching).await;
    let kept = wait(&batching, &ask("globex")).unwrap();
    first.iter().for_each(Asking::abort);
    for task in first {
        assert!(task.await.unwrap_err().is_cancelled());
    }
    assert_eq!(store.sizes(), [1, 1], "their calls are still in flight");
    store.permits.add_permits(CALLS + 1);
    assert!(kept.await.unwrap().is_ok());
    until(|| batching.queue.is_idle()).await;
}

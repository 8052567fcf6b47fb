//! What waits for a store is told once, in its hour, or not at all.

use async_trait::async_trait;
use bulkhead_tenancy::clock::ManualClock;

use super::*;
use crate::{
    ask::{Answer, Ask},
    charge::Shape,
    key::{Account, Keyspace},
    store::{Adjustment, Metered, memory::MemoryStore},
};

/// A memory store that may fail before or after it counted.
struct Failing {
    store: MemoryStore,
    before: Mutex<Option<StoreError>>,
    after: Mutex<Option<StoreError>>,
}

#[async_trait]
impl Store for Failing {
    async fn decide(&self, _: Option<Micros>, _: &[Ask]) -> Result<Vec<Answer>, StoreError> {
        Err(StoreError::Away)
    }

    async fn adjust(&self, _: Option<Micros>, _: &[Adjustment]) -> Result<Vec<bool>, StoreError> {
        Err(StoreError::Away)
    }

    async fn tally(&self, now: Option<Micros>, tallies: &[Tally]) -> Result<(), StoreError> {
        if let Some(error) = self.before.lock().unwrap().clone() {
            return Err(error);
        }
        self.store.tally(now, tallies).await?;
        self.after.lock().unwrap().clone().map_or(Ok(()), Err)
    }

    async fn metered(&self, account: &Account, hour: Hour) -> Result<Vec<Metered>, StoreError> {
        self.store.metered(account, hour).await
    }
}

const HOUR_US: u64 = 3_600_000_000;

fn charge(subscription: &str, cost: u64) -> Charge {
    let meter = Keyspace::default().meter(&"u-acme".parse().unwrap(), Some(&subscription.parse().unwrap()), None);
    Charge::of(Arc::new(Shape::new().metered(meter)), cost)
}

fn later() -> (Arc<Failing>, ManualClock, Later) {
    let clock = ManualClock::at_us(1_000 * HOUR_US - 1);
    let store = MemoryStore::new(Arc::new(clock.clone()));
    let failing = Arc::new(Failing { store, before: Mutex::new(Some(StoreError::Away)), after: Mutex::default() });
    let later = Later::new(Arc::<Failing>::clone(&failing), Arc::new(clock.clone()));
    (failing, clock, later)
}

async fn bill(store: &Failing, hour: u64) -> Vec<(String, u64, u64)> {
    let account = Keyspace::default().account(&"u-acme".parse().unwrap());
    let mut lines: Vec<_> =
        store.metered(&account, Hour(hour)).await.unwrap().into_iter().map(|one| (one.line, one.admitted, one.denied)).collect();
    lines.sort();
    lines
}

#[tokio::test]
async fn it_is_told_in_the_hour_it_was_answered_in() {
    let (store, clock, later) = later();
    later.count(&charge("a", 2), true, true);
    later.count(&charge("a", 3), false, true);
    clock.advance_us(1);
    later.count(&charge("a", 5), true, true);
    later.count(&charge("b", 1), true, true);
    later.count(&charge("b", 0), true, true);
    later.settle().await;
    assert!(bill(&store, 999).await.is_empty());
    *store.before.lock().unwrap() = None;
    clock.advance_us(5 * HOUR_US);
    later.settle().await;
    assert_eq!(bill(&store, 999).await, [("1:a:0:".to_owned(), 2, 3)]);
    assert_eq!(bill(&store, 1_000).await, [("1:a:0:".to_owned(), 5, 0), ("1:b:0:".to_owned(), 1, 0)]);
    later.settle().await;
    assert_eq!(bill(&store, 999).await, [("1:a:0:".to_owned(), 2, 3)], "once");
}

#[tokio::test]
async fn s24_what_may_have_been_counted_is_never_told_again() {
    let (store, _, later) = later();
    later.count(&charge("a", 2), true, false);
    *store.before.lock().unwrap() = None;
    *store.after.lock().unwrap() = Some(StoreError::Late);
    later.count(&charge("b", 2), true, true);
    later.settle().await;
    *store.after.lock().unwrap() = None;
    later.settle().await;
    assert_eq!(bill(&store, 999).await, [("1:b:0:".to_owned(), 2, 0)]);
}

#[tokio::test]
async fn s24_what_was_sent_over_a_connection_that_broke_is_never_told_again() {
    let (store, _, later) = later();
    *store.before.lock().unwrap() = None;
    *store.after.lock().unwrap() = Some(StoreError::Broken);
    later.count(&charge("a", 2), true, true);
    later.settle().await;
    *store.after.lock().unwrap() = None;
    later.settle().await;
    assert_eq!(bill(&store, 999).await, [("1:a:0:".to_owned(), 2, 0)]);
}

#[tokio::test]
async fn so_much_waits_and_no_more() {
    let (store, _, later) = later();
    let later = Later { most: 2, ..later };
    for name in ["a", "b", "c", "a"] {
        later.count(&charge(name, 1), true, true);
    }
    later.settle().await;
    *store.before.lock().unwrap() = None;
    later.settle().await;
    assert_eq!(bill(&store, 999).await, [("1:a:0:".to_owned(), 2, 0), ("1:b:0:".to_owned(), 1, 0)]);
}

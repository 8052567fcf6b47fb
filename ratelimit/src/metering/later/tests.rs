//! What waits for a store is told once, in its hour, or not at all.

use async_trait::async_trait;
use bulkhead_tenancy::clock::ManualClock;

use super::*;
use crate::{
    ask::{Answer, Ask},
    charge::Shape,
    key::{Account, Keyspace},
    store::{Adjustment, Ledger, Metered, memory::MemoryStore},
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

    fn ledger(&self) -> &dyn Ledger {
        self
    }
}

#[async_trait]
impl Ledger for Failing {
    async fn adjust(&self, _: Option<Micros>, adjustments: &[Adjustment]) -> Vec<Result<bool, StoreError>> {
        vec![Err(StoreError::Away); adjustments.len()]
    }

    async fn tally(&self, now: Option<Micros>, tallies: &[Tally]) -> Vec<Result<(), StoreError>> {
        if let Some(error) = self.before.lock().unwrap().clone() {
            return vec![Err(error); tallies.len()];
        }
        let told = self.store.ledger().tally(now, tallies).await;
        self.after.lock().unwrap().clone().map_or(told, |error| vec![Err(error); tallies.len()])
    }

    async fn metered(&self, account: &Account, hour: Hour) -> Result<Vec<Metered>, StoreError> {
        self.store.ledger().metered(account, hour).await
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
    later.lock().share = 2;
    for name in ["a", "b", "c", "a"] {
        later.count(&charge(name, 1), true, true);
    }
    later.settle().await;
    *store.before.lock().unwrap() = None;
    later.settle().await;
    assert_eq!(bill(&store, 999).await, [("1:a:0:".to_owned(), 2, 0), ("1:b:0:".to_owned(), 1, 0)]);
}

#[test]
fn s12_nobodys_many_lines_take_the_last_of_anothers() {
    let (_, _, later) = later();
    later.lock().most = 20;
    let count = |uid: &str, line: usize| {
        let subscription = format!("s-{line}").parse().unwrap();
        let meter = Keyspace::default().meter(&uid.parse().unwrap(), Some(&subscription), None);
        let before = later.waiting().0;
        later.count(&Charge::of(Arc::new(Shape::new().metered(meter)), 1), true, true);
        later.waiting().0 > before
    };
    assert_eq!((0..100).filter(|line| count("many", *line)).count(), 20);
    assert_eq!((0..100).filter(|line| count("few", *line)).count(), 16, "its own, though all that is shared is taken");
    assert!(count("many", 3), "a line that is there goes on");
}

#[tokio::test]
async fn an_account_whose_store_is_away_is_left_alone_for_a_second_and_nobody_else() {
    let (store, clock, later) = later();
    later.count(&charge("a", 1), true, true);
    later.settle().await;
    assert!(later.lock().due(clock.now_us()).is_empty());
    let meter = Keyspace::default().meter(&"u-globex".parse().unwrap(), None, None);
    later.leased(later.hour(), vec![Tally { meter: meter.clone(), admitted: 1, denied: 0 }]);
    assert_eq!(later.lock().due(clock.now_us()), [(Hour(999), vec![meter])]);
    clock.advance_us(1_000_000);
    assert_eq!(later.lock().due(clock.now_us()).iter().map(|(_, meters)| meters.len()).sum::<usize>(), 2);
    drop(store);
}

#[test]
fn what_was_refused_and_may_be_on_the_bill_is_told() {
    let metrics = bulkhead_doors::metrics::Metrics::install().unwrap();
    let (_, clock, later) = later();
    let alone = crate::limiter::Alone::new(Arc::new(clock)).billing(Arc::new(later));
    let closed = crate::limiter::Fallback { mode: bulkhead_tenancy::tenant::StoreFailure::Closed, replicas: 1 };
    for (cost, untold) in [(2, false), (3, true), (5, false)] {
        assert!(matches!(alone.rule(&charge("a", cost), closed, untold), crate::limiter::Ruling::Unavailable));
    }
    assert!(metrics.render().contains(r#"bulkhead_ratelimit_unmetered_total{why="unanswered"} 7"#), "{}", metrics.render());
}

//! Sentinel: a primary that dies or hangs is left for the one that takes its place, without a restart and within the bound.

use bulkhead_tenancy::tenant::StoreFailure;
use bulkhead_tests::valkey::sentinel::Sentinel;

use crate::load::{Load, charge, limiter, of, once};

const CAPACITY: u64 = 2_000;

#[tokio::test(flavor = "multi_thread")]
async fn s12_a_primary_killed_under_load_is_followed_by_its_replica() {
    let mut sentinel = Sentinel::start().await;
    let limiter = limiter(&sentinel.url()).await;
    let load = Load::start(&limiter, &charge("acme", once(CAPACITY)), StoreFailure::Closed);
    load.until_decided(300).await;
    sentinel.kill_sentinel(0);
    sentinel.servers[0].kill();
    load.until_fallen_back(1).await;
    sentinel.until_primary(1).await;
    load.until("the new primary to deny", |counts| of(&counts.denied) > 100).await;
    let admitted = of(&load.counts.admitted);
    // What was replicated is remembered: the whole bucket twice is the bound, and a lag of moments the rule.
    assert!((CAPACITY..=2 * CAPACITY).contains(&admitted) || admitted + of(&load.counts.unavailable) >= CAPACITY, "{:?}", load.counts);
    assert!(admitted <= 2 * CAPACITY, "{:?}", load.counts);
    assert_eq!(of(&load.counts.open) + of(&load.counts.locally_admitted), 0, "closed lets nobody through");
}

#[tokio::test(flavor = "multi_thread")]
async fn s12_a_primary_that_hangs_is_left_and_is_a_replica_when_it_wakes() {
    let sentinel = Sentinel::start().await;
    let limiter = limiter(&sentinel.url()).await;
    let load = Load::start(&limiter, &charge("acme", once(CAPACITY)), StoreFailure::Local);
    load.until_decided(300).await;
    sentinel.servers[0].pause();
    load.until_fallen_back(100).await;
    sentinel.until_primary(1).await;
    load.until_decided(300).await;
    sentinel.servers[0].resume();
    load.until("the new primary to deny", |counts| of(&counts.denied) > 100).await;
    let counts = &load.counts;
    assert!(of(&counts.admitted) <= 2 * CAPACITY, "{counts:?}");
    assert!(of(&counts.locally_admitted) <= CAPACITY, "local admits its own share once: {counts:?}");
}

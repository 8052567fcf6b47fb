//! One server that fails in every way we know; each failure mode; recovery without a restart.

use std::time::Duration;

use bulkhead_ratelimit::limiter::{Fallback, Ruling};
use bulkhead_tenancy::tenant::StoreFailure;
use bulkhead_tests::valkey::{Valkey, slow::Slow};

use crate::load::{DEADLINE, Load, charge, limiter, of, once};

const CAPACITY: u64 = 1_000;

#[tokio::test(flavor = "multi_thread")]
async fn s12_a_store_that_hangs_admits_nothing_twice_whatever_the_failure_mode() {
    let valkey = Valkey::start().await;
    let limiter = limiter(&valkey.url()).await;
    let modes = [("open", StoreFailure::Open), ("closed", StoreFailure::Closed), ("local", StoreFailure::Local)];
    let loads = modes.map(|(tenant, mode)| Load::start(&limiter, &charge(tenant, once(CAPACITY)), mode));
    for load in &loads {
        load.until_decided(100).await;
    }
    valkey.pause();
    for load in &loads {
        load.until_fallen_back(200).await;
    }
    valkey.resume();
    for load in &loads {
        load.until("all of the limit to be used", |counts| of(&counts.denied) > 100).await;
        assert!(of(&load.counts.admitted) <= CAPACITY, "{:?}", load.counts);
    }
    let [open, closed, local] = loads.map(|load| load.counts);
    assert!(of(&open.open) >= 200 && of(&open.unavailable) == 0, "{open:?}");
    assert!(of(&closed.unavailable) >= 200 && of(&closed.open) + of(&closed.locally_admitted) == 0, "{closed:?}");
    assert!((1..=CAPACITY).contains(&of(&local.locally_admitted)) && of(&local.open) == 0, "{local:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_slow_is_waited_for_no_longer_than_its_deadline() {
    let valkey = Valkey::start().await;
    let slow = Slow::to(valkey.address()).await;
    let limiter = limiter(&slow.url()).await;
    let load = Load::start(&limiter, &charge("acme", once(CAPACITY)), StoreFailure::Closed);
    load.until_decided(100).await;
    slow.delay(4 * DEADLINE);
    load.until_fallen_back(100).await;
    // Now the circuit is open, and nobody waits at all: a call with a budget far below the deadline is answered by the failure mode, not by the budget.
    let before = std::time::Instant::now();
    let ruling = limiter.decide(&charge("acme", once(CAPACITY)), Fallback { mode: StoreFailure::Closed, replicas: 1 }, None).await;
    assert!(ruling == Ruling::Unavailable && before.elapsed() < DEADLINE, "{ruling:?}");
    slow.delay(Duration::ZERO);
    load.until("all of the limit to be used", |counts| of(&counts.denied) > 100).await;
    assert!(of(&load.counts.admitted) <= CAPACITY, "{:?}", load.counts);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_comes_back_empty_gives_each_limit_once_more() {
    let mut valkey = Valkey::start().await;
    let limiter = limiter(&valkey.url()).await;
    let load = Load::start(&limiter, &charge("acme", once(CAPACITY)), StoreFailure::Closed);
    load.until("all of the limit to be used", |counts| of(&counts.denied) > 10).await;
    assert_eq!(of(&load.counts.admitted), CAPACITY, "exact, before anything fails");
    let denied = of(&load.counts.denied);
    valkey.restart().await;
    load.until("the limit to be used again", |counts| of(&counts.admitted) == 2 * CAPACITY && of(&counts.denied) > denied + 100).await;
    assert_eq!(of(&load.counts.admitted), 2 * CAPACITY);
}

#[tokio::test(flavor = "multi_thread")]
async fn scripts_flushed_again_and_again_cost_no_decision() {
    let valkey = Valkey::start().await;
    let limiter = limiter(&valkey.url()).await;
    let load = Load::start(&limiter, &charge("acme", once(CAPACITY)), StoreFailure::Closed);
    while of(&load.counts.denied) < 50 {
        let _: () = valkey.ask(&["SCRIPT", "FLUSH"]).await;
    }
    assert_eq!((of(&load.counts.admitted), load.counts.fallen_back()), (CAPACITY, 0), "{:?}", load.counts);
}

#[tokio::test(flavor = "multi_thread")]
async fn s12_a_key_of_a_wrong_type_is_its_tenants_trouble_alone() {
    let valkey = Valkey::start().await;
    let limiter = limiter(&valkey.url()).await;
    let wrong = charge("acme", once(CAPACITY));
    let account = wrong.levels().next().map(|(level, _)| level.key().account().to_string()).expect("a level");
    let _: () = valkey.ask(&["SET", &account, "not a hash"]).await;
    let acme = Load::start(&limiter, &wrong, StoreFailure::Closed);
    let globex = Load::start(&limiter, &charge("globex", once(CAPACITY)), StoreFailure::Closed);
    acme.until_fallen_back(100).await;
    globex.until("all of the limit to be used", |counts| of(&counts.denied) > 10).await;
    assert_eq!((of(&globex.counts.admitted), globex.counts.fallen_back(), acme.counts.exact()), (CAPACITY, 0, 0));
    let kept: String = valkey.ask(&["GET", &account]).await;
    assert_eq!(kept, "not a hash");
    let _: () = valkey.ask(&["DEL", &account]).await;
    acme.until("all of the limit to be used", |counts| of(&counts.denied) > 10).await;
    assert_eq!(of(&acme.counts.admitted), CAPACITY);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_becomes_a_replica_is_left_until_it_is_one_no_more() {
    let valkey = Valkey::start().await;
    let limiter = limiter(&valkey.url()).await;
    let load = Load::start(&limiter, &charge("acme", once(CAPACITY)), StoreFailure::Closed);
    load.until_decided(100).await;
    // READONLY: of a primary that will never answer, so what it holds stays.
    let _: () = valkey.ask(&["REPLICAOF", "127.0.0.1", "1"]).await;
    load.until_fallen_back(100).await;
    let _: () = valkey.ask(&["REPLICAOF", "NO", "ONE"]).await;
    load.until("all of the limit to be used", |counts| of(&counts.denied) > 100).await;
    assert_eq!(of(&load.counts.admitted), CAPACITY, "{:?}", load.counts);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_loading_is_not_there_yet_and_remembers() {
    let mut valkey = Valkey::with(&["--enable-debug-command", "yes"]).await;
    let limiter = limiter(&valkey.url()).await;
    let load = Load::start(&limiter, &charge("acme", once(CAPACITY)), StoreFailure::Closed);
    load.until("all of the limit to be used", |counts| of(&counts.denied) > 10).await;
    let _: () = valkey.ask(&["DEBUG", "POPULATE", "3000"]).await;
    let _: () = valkey.ask(&["SAVE"]).await;
    // Each key takes half a millisecond to load, and LOADING is what it says meanwhile.
    valkey.restart_with(&["--key-load-delay", "500", "--loading-process-events-interval-bytes", "1024"]).await;
    load.until_fallen_back(100).await;
    load.until_decided(100).await;
    assert_eq!(of(&load.counts.admitted), CAPACITY, "what was saved is remembered: {:?}", load.counts);
}

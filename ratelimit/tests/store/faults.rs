//! Values that are no buckets, and what the store keeps for how long.

use std::{sync::Arc, time::Duration};

use bulkhead_doors::metrics::Metrics;
use bulkhead_ratelimit::{
    ask::Ask,
    bucket::Bucket,
    charge::{Charge, Scope, Shape},
    outcome::Verdict,
    store::{Hour, Micros, Store, Tally, redis::RedisStore},
};
use bulkhead_tenancy::{limit::RateLimit, name::TenantUid};
use redis::AsyncCommands;

use crate::support::{
    own_keys,
    valkey::{Server, Valkey},
};

#[tokio::test]
async fn s12_a_value_that_is_no_bucket_fails_only_the_decisions_that_touch_it() {
    let server = Server::get();
    let store = server.store().await;
    let keys = own_keys();
    let mut connection = server.client().get_multiplexed_async_connection().await.unwrap();
    let limit = Bucket::token(RateLimit::per_minute(10, 1.0));
    let of = |name: &str| {
        let uid: TenantUid = name.parse().unwrap();
        Charge::new().shared(keys.global(), limit.clone(), None, 1).hold(Scope::Tenant, keys.tenant(&uid), limit.clone(), 1)
    };
    let account = |name: &str| keys.account(&name.parse().unwrap()).as_str().to_owned();
    let doubles = |numbers: [f64; 4]| numbers.iter().flat_map(|number| number.to_le_bytes()).chain([0]).collect::<Vec<u8>>();
    let _: () = connection.lpush(account("list"), "x").await.unwrap();
    let _: () = connection.hset(account("short"), "tenant", "x").await.unwrap();
    let _: () = connection.hset(account("nan"), "tenant", doubles([f64::NAN, 1.0, 1.0, 1.0])).await.unwrap();
    let _: () = connection.hset(account("infinite"), "tenant", doubles([1.0, f64::INFINITY, 1.0, 1.0])).await.unwrap();
    let _: () = connection.hset(account("fraction"), "tenant", doubles([1.5, 1.0, 1.0, 1.0])).await.unwrap();
    let _: () = connection.hset(account("zero"), "tenant", doubles([1.0, 1.0, 0.0, 1.0])).await.unwrap();

    let names = ["acme", "list", "short", "nan", "infinite", "fraction", "zero", "globex"];
    let batch: Vec<Charge> = names.iter().map(|name| of(name)).collect();
    let outcomes = store.decide_each(None, &batch).await.unwrap();
    for (name, outcome) in names.iter().zip(&outcomes) {
        let expected = if ["acme", "globex"].contains(name) { Verdict::Admitted } else { Verdict::Faulty };
        assert_eq!(outcome.verdict(), expected, "{name}");
    }
    let look = store.decide_each(None, &[Charge::new().shared(keys.global(), limit.clone(), None, 0)]).await.unwrap();
    assert_eq!(look[0].standings()[0].remaining, 8, "a faulty decision charges no other level");
    let kind: String = redis::cmd("TYPE").arg(account("list")).query_async(&mut connection).await.unwrap();
    assert_eq!(kind, "list", "what is not ours to read is not ours to overwrite");
}

#[tokio::test]
async fn accounts_expire_after_their_buckets_are_full_again_a_debt_included() {
    let server = Server::get();
    let store = server.store().await;
    let keys = own_keys();
    let mut connection = server.client().get_multiplexed_async_connection().await.unwrap();
    let uid: TenantUid = "acme".parse().unwrap();
    let limit = Bucket::token(RateLimit::per_minute(60, 1.0));
    let guarantee = Bucket::token(RateLimit::per_minute(120, 1.0));
    // 90 seconds' worth of a platform that holds 60: a debt of 30.
    let charge = Charge::new().shared(keys.global(), limit.clone(), Some((keys.guarantee(&uid), guarantee)), 90);
    let outcomes = store.decide_each(None, &[charge]).await.unwrap();
    assert_eq!(outcomes[0].verdict(), Verdict::Admitted);
    let global: i64 = connection.pttl(keys.platform().as_str()).await.unwrap();
    let own: i64 = connection.pttl(keys.account(&uid).as_str()).await.unwrap();
    assert!((89_000..=180_004).contains(&global), "{global} ms: at least until the debt is paid and the bucket full");
    assert!((44_000..=90_004).contains(&own), "{own} ms");
}

#[tokio::test]
async fn a_look_and_a_denial_write_nothing() {
    let server = Server::get();
    let store = server.store().await;
    let keys = own_keys();
    let mut connection = server.client().get_multiplexed_async_connection().await.unwrap();
    let limit = Bucket::token(RateLimit::per_minute(60, 1.0));
    let of = |cost| Charge::new().hold(Scope::Tenant, keys.unresolved(), limit.clone(), cost);
    store.decide_each(None, &[of(0), of(61)]).await.unwrap();
    let exists: bool = connection.exists(keys.platform().as_str()).await.unwrap();
    assert!(!exists);
}

#[tokio::test]
async fn a_store_that_lost_the_script_is_given_it_again() {
    let server = Server::get();
    let store = server.store().await;
    let keys = own_keys();
    let mut connection = server.client().get_multiplexed_async_connection().await.unwrap();
    let charge = Charge::new().hold(Scope::Tenant, keys.unresolved(), Bucket::token(RateLimit::per_minute(1, 1.0)), 1);
    let _: () = redis::cmd("SCRIPT").arg("FLUSH").query_async(&mut connection).await.unwrap();
    let outcomes = store.decide_each(Some(Micros(5)), std::slice::from_ref(&charge)).await.unwrap();
    assert_eq!(outcomes[0].verdict(), Verdict::Admitted);
    let outcomes = store.decide_each(Some(Micros(5)), &[charge]).await.unwrap();
    assert_eq!(outcomes[0].verdict(), Verdict::Denied, "the first one was charged exactly once");
}

#[tokio::test]
async fn a_store_that_takes_no_writes_is_not_there() {
    let valkey = Valkey::start();
    let client = redis::Client::open(valkey.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    // A replica, as after a fail-over that nobody told us of. Its primary need not exist.
    let _: () = redis::cmd("REPLICAOF").arg("127.0.0.1").arg("1").query_async(&mut connection).await.unwrap();
    let store = RedisStore::start(&valkey.url(), Duration::from_secs(20)).unwrap();
    assert!(!store.ready(Duration::from_millis(300)).await);
    let _: () = redis::cmd("REPLICAOF").arg("NO").arg("ONE").query_async(&mut connection).await.unwrap();
    assert!(store.ready(Duration::from_secs(30)).await);
}

#[tokio::test]
async fn nobody_there_is_an_error_at_once() {
    let store = RedisStore::start("redis+unix:///nonexistent/socket", Duration::from_secs(20)).unwrap();
    assert!(!store.ready(Duration::from_millis(1)).await);
    assert!(store.decide_each(None, &[]).await.is_ok(), "an empty batch asks nobody");
    let charge = Charge::new().hold(Scope::Tenant, own_keys().unresolved(), Bucket::token(RateLimit::per_minute(1, 1.0)), 1);
    assert_eq!(store.decide_each(None, &[charge]).await, Err(bulkhead_ratelimit::store::StoreError::Away));
}

#[tokio::test]
async fn what_a_store_that_takes_no_writes_did_not_count_is_told_again() {
    let valkey = Valkey::start();
    let client = redis::Client::open(valkey.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let [store, teller] = [(); 2].map(|()| RedisStore::start(&valkey.url(), Duration::from_secs(20)).unwrap());
    assert!(store.ready(Duration::from_secs(30)).await && teller.ready(Duration::from_secs(30)).await);
    let (keys, acme) = (own_keys(), "acme".parse::<TenantUid>().unwrap());
    let once = Bucket::token(RateLimit::per_minute(1, 1.0));
    let shape = Arc::new(Shape::new().hold(Scope::Tenant, keys.tenant(&acme), once).metered(keys.meter(&acme, None, None)));
    let now = Micros(1_700_000_000_000_000);
    let ask = async || store.decide(Some(now), &[Ask::one(Charge::of(Arc::clone(&shape), 1))]).await;
    assert_eq!(ask().await.unwrap()[0].admitted, 1);
    let tally = Tally { meter: keys.meter(&acme, None, None), admitted: 0, denied: 5 };

    let _: () = redis::cmd("CONFIG").arg("SET").arg("maxmemory").arg("1").query_async(&mut connection).await.unwrap();
    // A denial pays nothing, so that the meter is all there is to write: it is not answered as counted.
    let denied = ask().await.unwrap_err();
    assert!(!denied.is_unknown() && denied.to_string().contains("OOM"), "{denied}");
    let told = teller.ledger().tally(Some(now), std::slice::from_ref(&tally)).await.remove(0).unwrap_err();
    assert!(!told.is_unknown() && told.to_string().contains("OOM"), "{told}: it is told again");

    let _: () = redis::cmd("CONFIG").arg("SET").arg("maxmemory").arg("0").query_async(&mut connection).await.unwrap();
    assert!(store.ready(Duration::from_secs(30)).await);
    store.ledger().tally(Some(now), &[tally]).await.remove(0).unwrap();
    assert_eq!(ask().await.unwrap()[0].admitted, 0);
    let lines = store.ledger().metered(&keys.account(&acme), Hour::of(now)).await.unwrap();
    assert_eq!(lines.iter().map(|line| (line.admitted, line.denied)).collect::<Vec<_>>(), [(1, 6)]);
}

#[tokio::test]
async fn s12_costs_that_a_meter_does_not_take_are_decided_all_the_same_and_told() {
    // Of this process: no other test loses what a meter does not take.
    let metrics = Metrics::install().unwrap();
    let server = Server::get();
    let store = server.store().await;
    let keys = own_keys();
    let mut connection = server.client().get_multiplexed_async_connection().await.unwrap();
    let now = Micros(1_700_000_000_000_000);
    let uids: [TenantUid; 3] = ["list", "word", "fine"].map(|name| name.parse().unwrap());
    let meter = |uid: &TenantUid| format!("{}:meter:{}", keys.account(uid).as_str(), Hour::of(now).0);
    let _: () = connection.lpush(meter(&uids[0]), "x").await.unwrap();
    let _: () = connection.hset(meter(&uids[1]), "0::0::a", "word").await.unwrap();
    let limit = Bucket::token(RateLimit::per_minute(60, 1.0));
    let shape = |uid: &TenantUid| Shape::new().hold(Scope::Tenant, keys.tenant(uid), limit.clone()).metered(keys.meter(uid, None, None));
    let asks: Vec<Ask> = uids.iter().map(|uid| Ask::one(Charge::of(Arc::new(shape(uid)), 7))).collect();
    assert!(store.decide(Some(now), &asks).await.unwrap().iter().all(|answer| answer.admitted == 1));
    let lost = r#"bulkhead_ratelimit_unmetered_total{why="meter"} 14"#;
    assert!(metrics.render().contains(lost), "{}", metrics.render());
    let lines = store.ledger().metered(&keys.account(&uids[2]), Hour::of(now)).await.unwrap();
    assert_eq!(lines.iter().map(|line| line.admitted).collect::<Vec<_>>(), [7]);
}

/// Whoever hangs up in the middle of an answer says nothing of the store.
#[tokio::test]
async fn s12_calls_that_nobody_waits_for_do_not_make_a_store_look_away() {
    let server = Server::get();
    let store = server.store().await;
    let keys = own_keys();
    let acme: TenantUid = "acme".parse().unwrap();
    let charge = Charge::new().hold(Scope::Tenant, keys.tenant(&acme), Bucket::token(RateLimit::per_minute(60, 1.0)), 1);
    for _ in 0..20 {
        let account = keys.account(&acme);
        let mut reading = store.ledger().metered(&account, Hour(1));
        assert!(futures::poll!(&mut reading).is_pending());
        drop(reading);
    }
    assert!(store.decide_each(None, &[charge]).await.is_ok());
}

//! While the store is away each tenant's failure mode answers, within the deadline, and recovery needs no restart.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bulkhead_proto::pb::envoy::service::ratelimit::v3::rate_limit_response::Code;
use bulkhead_ratelimit::{
    ask::{Answer, Ask},
    key::Keyspace,
    levels::Levels,
    store::{
        Ledger, Micros, Store, StoreError,
        away::Away,
        batching::{Batching, Bounds},
        redis::RedisStore,
    },
};
use bulkhead_tenancy::clock::ManualClock;
use redis::AsyncCommands;
use tonic::Code as Grpc;

use crate::{
    support::{
        own_keys,
        valkey::{Server, Valkey},
    },
    world::{World, code, costing, descriptor, header, of, request},
};

/// Nothing here waits this long: it only ends a test that hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// A store that always fails the same way.
struct Failing(StoreError);

#[async_trait]
impl Store for Failing {
    async fn decide(&self, _: Option<Micros>, _: &[Ask]) -> Result<Vec<Answer>, StoreError> {
        Err(self.0.clone())
    }

    fn ledger(&self) -> &dyn Ledger {
        &Away
    }
}

/// A store that never answers.
struct Hanging;

#[async_trait]
impl Store for Hanging {
    async fn decide(&self, _: Option<Micros>, _: &[Ask]) -> Result<Vec<Answer>, StoreError> {
        std::future::pending().await
    }

    fn ledger(&self) -> &dyn Ledger {
        &Away
    }
}

/// A store that takes a while for each call, however much it holds.
struct Slow(RedisStore, Duration);

#[async_trait]
impl Store for Slow {
    async fn decide(&self, now: Option<Micros>, asks: &[Ask]) -> Result<Vec<Answer>, StoreError> {
        tokio::time::sleep(self.1).await;
        self.0.decide(now, asks).await
    }

    fn ledger(&self) -> &dyn Ledger {
        &Away
    }
}

fn over(store: impl Store, deadline: Duration) -> World {
    World::over(Arc::new(store), Levels::new(own_keys()), ManualClock::at_us(1_700_000_000_000_000), deadline)
}

fn away() -> World {
    over(Failing(StoreError::Away), PATIENCE)
}

#[tokio::test]
async fn open_admits_uncharged_and_is_counted() {
    let world = away();
    let answer = world.ask(request(&[of("initech")])).await.unwrap();
    assert_eq!(code(&answer), Code::Ok);
    assert_eq!(header(&answer, "ratelimit-limit"), None, "nothing is known to tell");
    assert_eq!(world.counted(r#"bulkhead_ratelimit_fallbacks_total{tenant_id="initech",mode="open"}"#), 1);
}

#[tokio::test]
async fn what_a_limit_of_zero_denies_is_denied_even_where_the_tenant_is_open() {
    let world = away();
    let answer = world.ask(request(&[descriptor("initech", "__none__", "stopped-api")])).await.unwrap();
    assert_eq!((code(&answer), header(&answer, "retry-after")), (Code::OverLimit, None));
}

#[tokio::test]
async fn closed_is_unavailable_and_never_over_a_limit() {
    let world = away();
    assert_eq!(world.ask(request(&[of("globex")])).await.unwrap_err().code(), Grpc::Unavailable);
    assert_eq!(world.counted(r#"bulkhead_ratelimit_fallbacks_total{tenant_id="globex",mode="closed"}"#), 1);
}

#[tokio::test]
async fn local_decides_by_this_replicas_share_of_each_limit() {
    let world = away();
    assert_eq!(world.admitted_of(10, &[descriptor("acme", "s-01", "__none__")]).await, 3, "half of 6: there are two replicas");
    assert_eq!(world.admitted_of(90, &[of("acme")]).await, 27, "half of 60, three of them used");
    let answer = world.ask(request(&[of("acme")])).await.unwrap();
    assert_eq!((code(&answer), header(&answer, "ratelimit-limit")), (Code::OverLimit, Some("30")));
    world.clock.advance_us(2_000_000);
    assert_eq!(world.admitted_of(9, &[of("acme")]).await, 1, "half the rate: one in two seconds");
    assert_eq!(world.counted(r#"bulkhead_ratelimit_fallbacks_total{tenant_id="acme",mode="local"}"#), 110);
}

#[tokio::test]
async fn s9_unresolved_requests_are_limited_locally() {
    let world = away();
    assert_eq!(world.admitted_of(9, &[of("__unresolved__")]).await, 1, "half of 3");
}

#[tokio::test]
async fn of_several_tenants_the_strictest_mode_answers() {
    let world = away();
    assert!(world.ask(request(&[of("initech"), of("globex")])).await.is_err());
    assert_eq!(world.admitted_of(90, &[of("initech"), of("acme")]).await, 30);
}

#[tokio::test]
async fn every_failure_of_the_store_is_answered_by_the_failure_mode() {
    for error in [StoreError::Away, StoreError::Late, StoreError::Garbled, StoreError::Refused("OOM".to_owned())] {
        let world = over(Failing(error), PATIENCE);
        assert!(world.admits(&[of("initech")]).await);
        assert!(world.ask(request(&[of("globex")])).await.is_err());
        assert_eq!(world.admitted_of(90, &[of("acme")]).await, 30);
    }
}

#[tokio::test]
async fn s12_a_flooded_queue_is_unavailable_even_for_a_tenant_that_is_open() {
    let world = over(Failing(StoreError::Busy), PATIENCE);
    for tenant in ["acme", "globex", "initech"] {
        assert_eq!(world.ask(request(&[of(tenant)])).await.unwrap_err().code(), Grpc::Unavailable);
    }
}

#[tokio::test]
async fn a_store_that_hangs_is_answered_within_the_deadline() {
    let world = over(Hanging, Duration::from_millis(5));
    assert!(tokio::time::timeout(PATIENCE, world.admits(&[of("initech")])).await.unwrap());
}

#[tokio::test]
async fn the_calls_own_deadline_is_kept_where_it_is_shorter() {
    use bulkhead_proto::pb::envoy::service::ratelimit::v3::rate_limit_service_server::RateLimitService;
    let world = over(Hanging, Duration::from_secs(3600));
    let mut asked = tonic::Request::new(request(&[of("initech")]));
    asked.metadata_mut().insert("grpc-timeout", "8m".parse().unwrap());
    let answer = tokio::time::timeout(PATIENCE, world.rls.should_rate_limit(asked)).await.unwrap();
    assert!(answer.is_ok());
}

#[tokio::test]
async fn s12_a_key_that_is_no_bucket_is_answered_by_the_failure_mode_of_its_tenant_alone() {
    let server = Server::get();
    let keys = own_keys();
    let world = World::over(Arc::new(server.store().await), Levels::new(keys.clone()), ManualClock::default(), PATIENCE);
    let mut connection = server.client().get_multiplexed_async_connection().await.unwrap();
    let _: () = connection.set(keys.account(&"u-globex".parse().unwrap()).as_str(), "garbage").await.unwrap();
    assert!(world.ask(request(&[of("globex")])).await.is_err(), "closed");
    assert_eq!(header(&world.ask(request(&[of("acme")])).await.unwrap(), "ratelimit-limit"), Some("60"), "decided by the store");
}

/// A service over a real store behind the queue, as `serve` has it.
async fn real(valkey: &Valkey, keys: Keyspace, deadline: Duration) -> World {
    let store = RedisStore::start(&valkey.url(), deadline).unwrap();
    assert!(store.ready(PATIENCE).await);
    let store = Batching::before(Arc::new(store), Bounds::default());
    World::over(Arc::new(store), Levels::new(keys), ManualClock::at_us(1_700_000_000_000_000), deadline)
}

/// Waits until the store decides again: a look is answered with the whole limit, not with a share.
async fn until_exact(world: &World, tenant: &str) {
    let poll = async {
        loop {
            let answer = world.ask(request(&[costing(of(tenant), 0)])).await;
            if answer.is_ok_and(|answer| header(&answer, "ratelimit-limit") == Some("60")) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, poll).await.expect("the store decides again");
}

#[tokio::test]
async fn a_store_killed_and_restarted_under_traffic_never_admits_beyond_the_stated_bound() {
    let mut valkey = Valkey::start();
    let started = std::time::Instant::now();
    // Whatever a machine's load makes late is answered by the share, so the bound holds for any speed.
    let world = Arc::new(real(&valkey, own_keys(), Duration::from_secs(2)).await);
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let traffic: Vec<_> = (0..4)
        .map(|_| {
            let (world, stop) = (Arc::clone(&world), Arc::clone(&stop));
            tokio::spawn(async move {
                let mut admitted = 0_u64;
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    admitted += u64::from(world.admits(&[of("acme")]).await);
                    tokio::task::yield_now().await;
                }
                admitted
            })
        })
        .collect();
    const RESTARTS: u64 = 3;
    for _ in 0..RESTARTS {
        until_exact(&world, "acme").await;
        let before = world.counted(r#"bulkhead_ratelimit_fallbacks_total{tenant_id="acme",mode="local"}"#);
        valkey.kill();
        let local = async {
            while world.counted(r#"bulkhead_ratelimit_fallbacks_total{tenant_id="acme",mode="local"}"#) == before {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(PATIENCE, local).await.expect("the share answers");
        valkey.restart();
    }
    until_exact(&world, "acme").await;
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    let mut admitted = 0;
    for task in traffic {
        admitted += task.await.unwrap();
    }
    // A store that lost everything is full again each time; the share's clock stands still, so its 30 are there once; the rate is one a second.
    let bound = (1 + RESTARTS) * 60 + 30 + started.elapsed().as_secs() + 1;
    // How much of it this traffic got, beside the looks that waited for the store, is a matter of the machine's load.
    assert!(admitted > 0, "none were admitted");
    assert!(admitted <= bound, "{admitted} were admitted, of at most {bound}");
}

#[tokio::test]
async fn s24_a_hung_store_is_answered_by_the_failure_mode_and_what_was_sent_is_never_sent_again() {
    let valkey = Valkey::start();
    let world = real(&valkey, own_keys(), Duration::from_millis(200)).await;
    until_exact(&world, "globex").await;
    valkey.pause();
    for _ in 0..10 {
        let answer = tokio::time::timeout(PATIENCE, world.ask(request(&[of("globex")]))).await.expect("an answer within the deadline");
        assert_eq!(answer.unwrap_err().code(), Grpc::Unavailable, "globex is closed while the store is away");
    }
    valkey.resume();
    until_exact(&world, "globex").await;
    let look = world.ask(request(&[costing(of("globex"), 0)])).await.unwrap();
    let left: u64 = header(&look, "ratelimit-remaining").unwrap().parse().unwrap();
    // Three failures in a row open the circuit. What was sent by then may be charged when the store wakes, once each; nothing else is sent.
    assert!((55..=60).contains(&left), "{left} left of 60");
}

/// As many requests at once as one tenant's share of the queue holds, each of another cost, so that no call holds them all: how many were refused, and
/// what the admitted ones cost together.
async fn flood(world: World) -> (usize, u64) {
    let world = Arc::new(world);
    let ask = |cost: u64| {
        let world = Arc::clone(&world);
        tokio::spawn(async move { (cost, world.ask(request(&[costing(of("initech"), cost)])).await) })
    };
    let asking: Vec<_> = (1..=4_000).map(ask).collect();
    let (mut refused, mut admitted) = (0, 0);
    for one in asking {
        match one.await.unwrap() {
            (cost, Ok(answer)) if code(&answer) == Code::Ok => admitted += cost,
            (_, Ok(_)) => {}
            (_, Err(error)) => refused += usize::from(error.code() == Grpc::Unavailable),
        }
    }
    (refused, admitted)
}

#[tokio::test]
async fn s12_a_flood_that_waits_in_vain_is_refused_and_not_let_through_by_open() {
    const DEADLINE: Duration = Duration::from_secs(2);
    let valkey = Valkey::start();
    let store = RedisStore::start(&valkey.url(), DEADLINE).unwrap();
    assert!(store.ready(PATIENCE).await);
    let queue = Batching::before(Arc::new(Slow(store, Duration::from_millis(150))), Bounds::default());
    let started = std::time::Instant::now();
    let (refused, admitted) = flood(over(queue, DEADLINE)).await;
    // 600 at once, and ten a second.
    let bound = 600 + 10 * (started.elapsed().as_secs() + 1);
    assert!(refused > 0, "more waited than the store decides in that time");
    assert!((1..=bound).contains(&admitted), "{admitted} were admitted of at most {bound}");
}

#[tokio::test]
async fn what_waits_behind_a_call_that_hangs_is_answered_by_the_failure_mode() {
    let world = over(Batching::before(Arc::new(Hanging), Bounds::default()), Duration::from_millis(50));
    assert_eq!(flood(world).await, (0, (1..=4_000).sum()), "initech is open");
}

//! A cluster: tenants on every node, a master that dies, a slot that moves, and the global bucket, which no slot shares with a tenant.

use std::sync::Arc;

use bulkhead_ratelimit::{
    charge::{Charge, Scope, Shape},
    key::Keyspace,
};
use bulkhead_tenancy::tenant::StoreFailure;
use bulkhead_tests::{
    deadline::{self, PATIENCE},
    valkey::{Valkey, cluster::Cluster},
};

use crate::load::{Load, charge, limiter, of, once, uid};

const CAPACITY: u64 = 1_000;

/// A tenant whose account is on a master.
async fn tenant_on(cluster: &Cluster, master: usize) -> String {
    for number in 0..1_000 {
        let tenant = format!("tenant-{number}");
        let account = Keyspace::default().account(&uid(&tenant));
        if cluster.home(account.as_str()).await == master {
            return tenant;
        }
    }
    panic!("a thousand tenants are on every master");
}

#[tokio::test(flavor = "multi_thread")]
async fn s12_a_master_that_dies_stops_its_own_tenants_and_only_until_its_replica_takes_over() {
    let mut cluster = Cluster::start(1).await;
    let limiter = limiter(&cluster.url()).await;
    let charges = [charge(&tenant_on(&cluster, 0).await, once(CAPACITY)), charge(&tenant_on(&cluster, 1).await, once(1_000_000))];
    let [first, second] = charges.map(|charge| Load::start(&limiter, &charge, StoreFailure::Closed));
    first.until_decided(200).await;
    cluster.masters[0].kill();
    first.until_fallen_back(20).await;
    let others = second.counts.fallen_back();
    second.until_decided(200).await;
    first.until("the replica to decide until all of the limit is used", |counts| of(&counts.denied) > 100).await;
    assert!(of(&first.counts.admitted) <= 2 * CAPACITY, "{:?}", first.counts);
    assert_eq!((others, second.counts.fallen_back()), (0, 0), "the others' masters live: {:?}", second.counts);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_that_moves_under_load_takes_its_tenant_along() {
    let cluster = Cluster::start(0).await;
    let limiter = limiter(&cluster.url()).await;
    let tenant = tenant_on(&cluster, 0).await;
    let account = Keyspace::default().account(&uid(&tenant)).to_string();
    let slot = cluster.slot(&account).await.to_string();
    let load = Load::start(&limiter, &charge(&tenant, once(CAPACITY)), StoreFailure::Closed);
    load.until_decided(200).await;

    let (from, to) = (&cluster.masters[0], &cluster.masters[1]);
    let (from_id, to_id): (String, String) = (from.ask(&["CLUSTER", "MYID"]).await, to.ask(&["CLUSTER", "MYID"]).await);
    let _: () = to.ask(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &from_id]).await;
    let _: () = from.ask(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &to_id]).await;
    load.until_decided(50).await;
    migrate(from, to, &slot).await;
    // The key is there, and the slot still here: ASK.
    load.until_decided(50).await;
    for node in [to, from, &cluster.masters[2]] {
        let _: () = node.ask(&["CLUSTER", "SETSLOT", &slot, "NODE", &to_id]).await;
    }
    load.until("all of the limit to be used", |counts| of(&counts.denied) > 100).await;
    assert_eq!((of(&load.counts.admitted), load.counts.fallen_back()), (CAPACITY, 0), "{:?}", load.counts);
    let told: u64 = to.ask(&["CLUSTER", "COUNTKEYSINSLOT", &slot]).await;
    assert_eq!(told, 1);
}

/// Moves what a slot holds.
async fn migrate(from: &Valkey, to: &Valkey, slot: &str) {
    let (host, port) = (to.address().ip().to_string(), to.address().port().to_string());
    deadline::until("the slot to be empty", PATIENCE, || async {
        let keys: Vec<String> = from.ask(&["CLUSTER", "GETKEYSINSLOT", slot, "100"]).await;
        if keys.is_empty() {
            return Some(());
        }
        let mut command = vec!["MIGRATE", &host, &port, "", "0", "5000", "KEYS"];
        command.extend(keys.iter().map(String::as_str));
        let _: String = from.ask(&command).await;
        None
    })
    .await;
}

/// A charge as the service makes it: global with the tenant's guarantee, and the tenant.
fn hierarchical(tenant: &str, global: u64, guarantee: u64, limit: u64) -> Charge {
    let (keys, uid) = (Keyspace::default(), uid(tenant));
    let guarantee = (keys.guarantee(&uid), once(guarantee));
    let shape = Shape::new().shared(keys.global(), once(global), Some(guarantee)).hold(Scope::Tenant, keys.tenant(&uid), once(limit));
    Charge::of(Arc::new(shape), 1)
}

#[tokio::test(flavor = "multi_thread")]
async fn global_is_never_exceeded_by_more_than_the_guarantees_and_no_guarantee_is_lost() {
    let cluster = Cluster::start(0).await;
    // Two replicas of the service, each with a lease of its own.
    let limiters = [limiter(&cluster.url()).await, limiter(&cluster.url()).await];
    let (global, guarantee) = (900, 50);
    let mut loads = Vec::new();
    for master in 0..3 {
        let tenant = tenant_on(&cluster, master).await;
        for limiter in &limiters {
            loads.push(Load::start(limiter, &hierarchical(&tenant, global, guarantee, 100_000), StoreFailure::Closed));
        }
    }
    for load in &loads {
        load.until("global to be used up", |counts| of(&counts.denied) > 200).await;
    }
    let admitted: u64 = loads.iter().map(|load| of(&load.counts.admitted)).sum();
    // Idle leases come back within a second, so nothing of global is lost; the guarantees' share of it is charged like anything else.
    assert!(
        (global..=global + 3 * guarantee).contains(&admitted),
        "{admitted}: {:?}",
        loads.iter().map(|load| &load.counts).collect::<Vec<_>>()
    );
    assert_eq!(loads.iter().map(|load| load.counts.fallen_back()).sum::<u64>(), 0);

    // Global is empty now: a newcomer has its guarantee, and nothing besides.
    let newcomer = Load::start(&limiters[0], &hierarchical("newcomer", global, guarantee, 100_000), StoreFailure::Closed);
    newcomer.until("the guarantee to be used up", |counts| of(&counts.denied) > 100).await;
    assert_eq!(of(&newcomer.counts.admitted), guarantee);
    // And what is denied below global is not lost to it.
    let denied = Load::start(&limiters[0], &hierarchical("denied", global, guarantee, 0), StoreFailure::Closed);
    denied.until_decided(50).await;
    assert_eq!(of(&denied.counts.admitted), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn s12_without_the_platforms_node_each_tenant_has_its_guarantee_and_its_failure_mode() {
    let mut cluster = Cluster::start(0).await;
    let limiter = limiter(&cluster.url()).await;
    let platform = cluster.home(Keyspace::default().platform().as_str()).await;
    let tenant = tenant_on(&cluster, (platform + 1) % 3).await;
    cluster.masters[platform].kill();
    let load = Load::start(&limiter, &hierarchical(&tenant, 1_000, 40, 100_000), StoreFailure::Closed);
    load.until_fallen_back(100).await;
    let counts = &load.counts;
    assert_eq!((of(&counts.admitted), of(&counts.denied)), (40, 0), "nobody knows what global holds: {counts:?}");
}

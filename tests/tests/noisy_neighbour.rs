//! One tenant sends ten times its limit on all its subscriptions; another stays inside its guarantee and loses nothing.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use bulkhead_tests::{
    client::{Connection, Request},
    config::Config,
    deadline::{self, PATIENCE},
    world::World,
};
use serde_json::json;
use tokio::task::JoinSet;

const INVOICES: &str = "/acme/billing-api/invoices";
const PRODUCTS: &str = "/globex/inventory-api/products";

/// What the platform admits in a minute, and globex is allowed: all of it.
const GLOBAL: u64 = 300;
/// What acme's guarantee holds: 30 seconds' worth of 120 a minute.
const GUARANTEED: u64 = 60;
/// globex's subscriptions, each with the whole of globex's limit.
const SUBSCRIPTIONS: u64 = 3;
/// Connections of each.
const CONNECTIONS: u64 = 4;

fn crowded(config: &Config) {
    config.edit("platform.yaml", |platform| platform["spec"]["rateLimit"] = json!({ "requestsPerMinute": GLOBAL }));
    config.edit_all("plans.yaml", |plans| {
        plans[0]["spec"]["guaranteed"] = json!({ "requestsPerMinute": 120, "burstSeconds": 30 });
        plans[1]["spec"]["rateLimit"] = json!({ "requestsPerMinute": GLOBAL });
        plans[1]["spec"]["guaranteed"] = json!({ "requestsPerMinute": 60 });
    });
    for number in 0..SUBSCRIPTIONS {
        let subscription = json!({
            "apiVersion": "gostoa.dev/v1alpha1",
            "kind": "Subscription",
            "metadata": { "name": format!("noisy-{number}"), "namespace": "tenant-globex" },
            "spec": { "clientId": format!("noisy-{number}"), "rateLimit": { "requestsPerMinute": GLOBAL } },
        });
        config.put(&format!("namespaces/tenant-globex/noisy-{number}.yaml"), &subscription);
    }
}

/// Sends a request so often; gives how many were served, and tells when the platform's own limit denied.
async fn flood(to: SocketAddr, request: Request, times: u64, saturated: Arc<AtomicBool>) -> u64 {
    let mut connection = Connection::open(to).await;
    let mut served = 0;
    for _ in 0..times {
        let answer = connection.send(&request).await;
        match answer.status {
            200 => served += 1,
            429 if answer.json()["scope"] == "global" => saturated.store(true, Ordering::Relaxed),
            429 => {}
            other => panic!("{other}: {}", answer.text()),
        }
    }
    served
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_inside_its_guarantee_loses_nothing_to_one_that_sends_ten_times_its_limit() {
    let world = World::builder().valkey().config(crowded).start().await;
    let started = Instant::now();
    let (to, saturated) = (world.envoy.address(), Arc::new(AtomicBool::new(false)));
    let mut noise = JoinSet::new();
    for number in 0..SUBSCRIPTIONS {
        let token = world.globex.issuer.token().claim("azp", format!("noisy-{number}")).sign();
        for _ in 0..CONNECTIONS {
            let times = 10 * GLOBAL / (SUBSCRIPTIONS * CONNECTIONS);
            noise.spawn(flood(to, Request::get(PRODUCTS).bearer(&token), times, Arc::clone(&saturated)));
        }
    }
    deadline::until("the platform to have nothing left", PATIENCE, || async { saturated.load(Ordering::Relaxed).then_some(()) }).await;

    let acme = Request::get(INVOICES).bearer(&world.acme.issuer.token().sign());
    let mut connection = Connection::open(to).await;
    for request in 0..GUARANTEED {
        let answer = connection.send(&acme).await;
        assert_eq!(answer.status, 200, "request {request}: {}", answer.text());
    }
    assert_eq!(world.acme.requests(), GUARANTEED);
    // It was the guarantee that carried it: beyond, it waits like everybody.
    let denied = deadline::until("acme's guarantee to end", PATIENCE, || async {
        let answer = world.send(&acme).await;
        (answer.status == 429).then_some(answer)
    })
    .await;
    assert_eq!(denied.json()["scope"], "global");

    let mut noisy = 0;
    while let Some(served) = noise.join_next().await {
        noisy += served.expect("a flood");
    }
    assert_eq!(world.globex.requests(), noisy, "what was refused reached no upstream");
    // All that the platform admitted: its bucket, what refilled, and a debt of at most both guarantees.
    let refilled = GLOBAL * (started.elapsed().as_secs() + 1) / 60;
    let most = GLOBAL + refilled + GUARANTEED + 1;
    let all = noisy + world.acme.requests();
    assert!(all <= most, "{all} of at most {most} in {:?}", started.elapsed());
}

//! A tenant's limit and its subscription's, end to end.

use bulkhead_tests::{
    client::{Answer, Connection, Request},
    world::World,
};
use serde_json::json;

use super::{INVOICES, PRODUCTS};

/// Sends a request many times over a few connections; how many answers had each of 200 and 429, and the last 429.
async fn burst(world: &World, request: &Request, times: usize) -> (usize, usize, Option<Answer>) {
    const CONNECTIONS: usize = 8;
    let mut running = Vec::new();
    for part in 0..CONNECTIONS {
        let (to, request) = (world.envoy.address(), request.clone());
        let share = times / CONNECTIONS + usize::from(part < times % CONNECTIONS);
        running.push(tokio::spawn(async move {
            let mut connection = Connection::open(to).await;
            let (mut served, mut refused, mut last) = (0, 0, None);
            for _ in 0..share {
                let answer = connection.send(&request).await;
                match answer.status {
                    200 => served += 1,
                    429 => {
                        refused += 1;
                        last = Some(answer);
                    }
                    other => panic!("{other}: {}", answer.text()),
                }
            }
            (served, refused, last)
        }));
    }
    let mut total = (0, 0, None);
    for part in running {
        let (served, refused, last) = part.await.expect("a connection's requests");
        total = (total.0 + served, total.1 + refused, last.or(total.2));
    }
    total
}

/// acme: 60 a minute, 10 of them at once.
fn a_small_limit(builder: bulkhead_tests::world::Builder<'_>) -> bulkhead_tests::world::Builder<'_> {
    builder.config(|config| {
        config.edit("namespaces/tenant-acme/guardrails.yaml", |policy| {
            policy["spec"]["rateLimit"] = json!({ "requestsPerMinute": 10, "burstMultiplier": 1.0 });
        });
    })
}

async fn a_burst_of_one_tenant(world: World) {
    let acme = Request::get(INVOICES).bearer(&world.acme.issuer.token().sign());
    let globex = Request::get(PRODUCTS).bearer(&world.globex.issuer.token().sign());
    let (served, refused, last) = burst(&world, &acme, 60).await;
    // 10 at once, and one more each six seconds that the burst takes.
    assert!((10..20).contains(&served), "{served} served, {refused} refused");
    assert_eq!(world.acme.requests(), served as u64, "what was refused reached nobody");
    let refused = last.expect("a 429");
    assert_eq!(refused.reason(), "over_limit");
    assert_eq!(refused.json()["scope"], "tenant");
    assert!(refused.json()["decision_id"].as_str().is_some_and(|id| !id.is_empty() && id != "__none__"));
    assert!(
        refused.header("retry-after").and_then(|after| after.parse().ok()).is_some_and(|after: u64| (1..=6).contains(&after)),
        "{refused:?}"
    );
    assert_eq!(refused.header("ratelimit-limit"), Some("10"));
    assert_eq!(refused.header("ratelimit-remaining"), Some("0"));
    assert!(!refused.text().contains("globex"));
    for _ in 0..20 {
        assert_eq!(world.send(&globex).await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_of_one_tenant_is_its_own_429_with_limits_in_memory() {
    a_burst_of_one_tenant(a_small_limit(World::builder()).start().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_of_one_tenant_is_its_own_429_with_limits_in_valkey() {
    a_burst_of_one_tenant(a_small_limit(World::builder().valkey()).start().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_has_its_own_limit_inside_the_tenants() {
    let world = World::builder()
        .config(|config| {
            config.edit("namespaces/tenant-acme/subscriptions.yaml", |subscription| {
                subscription["spec"]["rateLimit"] = json!({ "requestsPerMinute": 5 });
            });
        })
        .start()
        .await;
    let subscribed = Request::get(INVOICES).bearer(&world.acme.issuer.token().claim("azp", "acme-billing-app").sign());
    let (served, _, last) = burst(&world, &subscribed, 30).await;
    assert!((5..10).contains(&served), "{served}");
    assert_eq!(last.expect("a 429").json()["scope"], "subscription");
    let others = Request::get(INVOICES).bearer(&world.acme.issuer.token().sign());
    assert_eq!(world.send(&others).await.status, 200, "the tenant's others do not pay for it");
}

//! The path of a request, end to end: client, real Envoy, ext-authz, ratelimit, store, upstream.

use std::time::Duration;

use bulkhead_proto::contract::header;
use bulkhead_tests::{
    client::{Answer, Request},
    deadline::{self, PATIENCE},
    world::World,
};
use serde_json::json;

#[path = "path/limits.rs"]
mod limits;
#[path = "path/policies.rs"]
mod policies;
#[path = "../../examples/verify-context/verify.rs"]
mod verify;

const INVOICES: &str = "/acme/billing-api/invoices";
const PRODUCTS: &str = "/globex/inventory-api/products";
/// `examples/config` prints it for everybody.
const GLOBEX_KEY: &str = "globex.demo-key-b2f4c1d09e7a4c55";

/// Waits until a request is answered with this status.
async fn until_status(world: &World, request: &Request, status: u16) -> Answer {
    let what = format!("{status} to {request:?}");
    deadline::until(&what, PATIENCE, || async {
        let answer = world.send(request).await;
        (answer.status == status).then_some(answer)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proven_tenant_reaches_the_upstream_of_its_own_contract() {
    let world = World::start().await;
    let token = world.acme.issuer.token().sign();
    let answer = world.send(&Request::post(&format!("{INVOICES}?page=2&q=a%20b"), "{}").bearer(&token)).await;
    assert!(answer.header("ratelimit-limit").is_some(), "{answer:?}");
    let seen = answer.seen();
    assert_eq!((seen.upstream.as_str(), seen.method.as_str()), ("acme-billing", "POST"));
    assert_eq!(seen.path, "/v1/invoices?page=2&q=a%20b");
    assert_eq!(seen.body, "{}");
    assert_eq!(seen.header(header::TENANT), ["acme"]);
    assert_eq!(seen.header(header::API), ["billing-api"]);
    assert_eq!(seen.header(header::SUBJECT), ["user-123"]);
    assert_eq!(seen.header(header::HOP), ["1"]);
    assert_eq!(seen.header(header::DECISION).len(), 1);
    for gone in ["authorization", header::API_KEY, header::CLUSTER, header::UPSTREAM] {
        assert_eq!(seen.header(gone), [""; 0], "{gone}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_decision_id_is_the_same_for_upstream_and_access_log() {
    let world = World::start().await;
    let token = world.acme.issuer.token().sign();
    let seen = world.send(&Request::get(INVOICES).bearer(&token)).await.seen();
    let decision = seen.header(header::DECISION)[0].to_owned();
    // Envoy writes its log when the stream is done, and flushes it every second.
    let line = deadline::until("Envoy's access log", PATIENCE, || async {
        let log = world.envoy.log();
        log.lines().find(|line| line.contains(&decision)).map(str::to_owned)
    })
    .await;
    assert!(line.contains(r#""tenant_id":"acme""#), "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_credentials_401_says_what_is_wanted() {
    let world = World::start().await;
    let answer = world.send(&Request::get(INVOICES)).await;
    assert_eq!((answer.status, answer.reason().as_str()), (401, "no_credentials"));
    assert!(answer.header("www-authenticate").is_some_and(|challenge| challenge.starts_with("Bearer")), "{answer:?}");
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    assert_eq!(answer.json()["status"], 401);
    assert!(answer.json()["decision_id"].as_str().is_some_and(|id| !id.is_empty()));
    assert_eq!(world.acme.requests(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_tenants_address_is_401_and_so_is_one_of_nobody() {
    let world = World::start().await;
    let token = world.acme.issuer.token().sign();
    let told = |answer: Answer| {
        let mut problem = answer.json();
        problem["decision_id"] = json!(null);
        (answer.status, problem)
    };
    let foreign = told(world.send(&Request::get(PRODUCTS).bearer(&token)).await);
    let nobody = told(world.send(&Request::get("/initech/inventory-api/products").bearer(&token)).await);
    assert_eq!(foreign.0, 401);
    assert_eq!(foreign.1["type"], "urn:bulkhead:wrong_tenant");
    assert_eq!(foreign, nobody, "the answer does not tell whether the tenant exists");
    assert_eq!(world.globex.requests(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_outside_the_contract_is_404_whether_or_not_it_exists_elsewhere() {
    let world = World::start().await;
    let token = world.acme.issuer.token().sign();
    for api in ["inventory-api", "nothing-api"] {
        let answer = world.send(&Request::get(&format!("/acme/{api}/products")).bearer(&token)).await;
        assert_eq!((answer.status, answer.reason().as_str()), (404, "unknown_api"), "{api}");
    }
    assert_eq!(world.globex.requests(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_method_outside_the_contract_is_405_with_allow() {
    let world = World::start().await;
    let token = world.globex.issuer.token().sign();
    let answer = world.send(&Request::post("/globex/catalog-api/items", "{}").bearer(&token)).await;
    assert_eq!((answer.status, answer.reason().as_str()), (405, "method"));
    let allow = answer.header("allow").expect("an Allow header");
    assert!(allow.contains("GET") && allow.contains("HEAD") && !allow.contains("POST"), "{allow}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_key_reaches_what_it_is_for_and_nothing_else() {
    let world = World::start().await;
    let seen = world.send(&Request::get("/globex/catalog-api/items").key(GLOBEX_KEY)).await.seen();
    assert_eq!((seen.upstream.as_str(), seen.header(header::SUBSCRIPTION)), ("globex-catalog", vec!["globex-sub-001"]));
    assert_eq!(seen.header(header::API_KEY), [""; 0]);
    for (path, key) in [
        ("/globex/catalog-api/items", "globex.another-key"),
        ("/globex/catalog-api/items", "acme.demo-key-b2f4c1d09e7a4c55"),
        (INVOICES, GLOBEX_KEY),
        (PRODUCTS, GLOBEX_KEY),
    ] {
        let status = world.send(&Request::get(path).key(key)).await.status;
        assert!(matches!(status, 401 | 403), "{path}: {status}");
    }
    assert_eq!((world.acme.requests(), world.globex.requests()), (0, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contract_edited_on_disk_is_live() {
    let world = World::start().await;
    let request = Request::get("/acme/orders-api/open").bearer(&world.acme.issuer.token().sign());
    assert_eq!(world.send(&request).await.seen().path, "/v2/open");
    world.config.replace("namespaces/tenant-acme/contract.yaml", "https://orders.acme.internal/v2", "https://billing.acme.internal/v7");
    deadline::until("the edited contract", PATIENCE, || async {
        let seen = world.send(&request).await.seen();
        (seen.upstream == "acme-billing" && seen.path == "/v7/open").then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_contract_leaves_its_tenant_with_the_last_good_one_and_others_untouched() {
    let world = World::start().await;
    let acme = Request::get(INVOICES).bearer(&world.acme.issuer.token().sign());
    let globex = Request::get(PRODUCTS).bearer(&world.globex.issuer.token().sign());
    let file = "namespaces/tenant-acme/contract.yaml";
    let good = world.config.read(file);
    world.config.write(file, &format!("{good}broken: ["));
    world.ext_authz.until_tenant("acme", "last_good").await;
    world.ratelimit.until_tenant("acme", "last_good").await;
    assert_eq!(world.send(&acme).await.seen().path, "/v1/invoices");
    assert_eq!(world.send(&globex).await.seen().upstream, "globex-inventory");
    world.config.write(file, &good.replace("internal/v1", "internal/v9"));
    deadline::until("the mended contract", PATIENCE, || async { (world.send(&acme).await.seen().path == "/v9/invoices").then_some(()) })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_tenant_is_403_at_once_and_an_active_one_served_again() {
    let world = World::start().await;
    let request = Request::get(INVOICES).bearer(&world.acme.issuer.token().sign());
    assert_eq!(world.send(&request).await.status, 200);
    world.config.edit("tenants/acme.yaml", |tenant| tenant["spec"]["status"] = "suspended".into());
    assert_eq!(until_status(&world, &request, 403).await.reason(), "suspended");
    world.config.edit("tenants/acme.yaml", |tenant| tenant["spec"]["status"] = "active".into());
    until_status(&world, &request, 200).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_contract_reaches_nothing() {
    let world = World::start().await;
    let request = Request::get(INVOICES).bearer(&world.acme.issuer.token().sign());
    assert_eq!(world.send(&request).await.status, 200);
    // The subscription still names its APIs: an error of the newest version, which does not keep what was deleted (S10).
    world.config.remove("namespaces/tenant-acme/contract.yaml");
    until_status(&world, &request, 404).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn both_services_come_back_after_a_kill_and_meanwhile_nobody_is_let_in() {
    let mut world = World::builder().valkey().start().await;
    let request = Request::get(INVOICES).bearer(&world.acme.issuer.token().sign());
    assert_eq!(world.send(&request).await.status, 200);

    world.ext_authz.kill();
    assert_eq!(world.send(&request).await.status, 503);
    world.ext_authz.restart().await;
    until_status(&world, &request, 200).await;

    world.ratelimit.kill();
    let before = world.acme.requests();
    assert_eq!(world.send(&request).await.status, 503);
    assert_eq!(world.acme.requests(), before);
    world.ratelimit.restart().await;
    until_status(&world, &request, 200).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn both_services_end_in_order_when_asked() {
    let mut world = World::start().await;
    assert!(world.ext_authz.terminate().await.success());
    assert!(world.ratelimit.terminate().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_users_own_routes_the_services_decide_and_the_route_forwards() {
    let world = World::builder().own_routes().start().await;
    let acme = world.acme.issuer.token().sign();
    let seen = world.send(&Request::get(INVOICES).bearer(&acme)).await.seen();
    assert_eq!((seen.upstream.as_str(), seen.path.as_str()), ("acme-billing", "/v1/invoices"));
    assert_eq!(seen.header(header::TENANT), ["acme"]);
    assert_eq!(seen.header(header::HOP), ["1"]);
    assert_eq!(seen.header("authorization"), [""; 0]);
    let answer = world.send(&Request::get(PRODUCTS).bearer(&acme)).await;
    assert_eq!((answer.status, answer.reason().as_str()), (401, "wrong_tenant"));
    assert_eq!(world.send(&Request::get(INVOICES)).await.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_of_ones_own_binds_tenant_and_api_without_a_path_that_names_them() {
    let world = World::builder().own_routes().start().await;
    let acme = Request::get("/billing/invoices").bearer(&world.acme.issuer.token().sign());
    let seen = world.send(&acme).await.seen();
    assert_eq!((seen.upstream.as_str(), seen.header(header::API)), ("acme-billing", vec!["billing-api"]));
    let globex = Request::get("/billing/invoices").bearer(&world.globex.issuer.token().sign());
    let answer = world.send(&globex).await;
    assert_eq!((answer.status, answer.reason().as_str()), (401, "wrong_tenant"));
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_found_by_discovery_where_no_place_is_configured() {
    let issuer = bulkhead_tests::issuer::Issuer::discoverable("acme").await;
    let world = World::builder()
        .config(|config| {
            config.edit("tenants/acme.yaml", |tenant| tenant["spec"]["issuers"] = json!([{ "issuer": issuer.issuer() }]));
        })
        .start()
        .await;
    let answer = world.send(&Request::get(INVOICES).bearer(&issuer.token().sign())).await;
    assert_eq!(answer.seen().upstream, "acme-billing");
    assert_eq!(issuer.discoveries(), 1);
    let old = world.acme.issuer.token().sign();
    assert_eq!(world.send(&Request::get(INVOICES).bearer(&old)).await.reason(), "invalid_token");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_examples_pass_validate() {
    let config = bulkhead_tests::config::Config::examples();
    for service in ["bulkhead-ext-authz", "bulkhead-ratelimit"] {
        let output = bulkhead_tests::service::run(service, &["validate", "--config", &config.path().display().to_string()]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{service}: {said}");
        assert!(!said.contains("warning"), "{service}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_issuer_slows_its_own_tenant_only() {
    let world = World::start().await;
    world.acme.issuer.mood(bulkhead_tests::issuer::Mood::Hanging);
    let globex = Request::get(PRODUCTS).bearer(&world.globex.issuer.token().sign());
    let acme = Request::get(INVOICES).bearer(&world.acme.issuer.token().sign());
    let (to, waiting) = (world.envoy.address(), acme.clone());
    let hanging = tokio::spawn(async move { waiting.send(to).await });
    for _ in 0..10 {
        assert_eq!(world.send(&globex).await.status, 200);
    }
    assert_eq!(tokio::time::timeout(Duration::from_secs(10), hanging).await.expect("an answer").expect("a task").status, 503);
    world.acme.issuer.mood(bulkhead_tests::issuer::Mood::Well);
    until_status(&world, &acme, 200).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_can_verify_what_was_decided_and_nobody_else_can_say_it() {
    let world = World::builder()
        .config(|config| {
            config.edit("platform.yaml", |platform| platform["spec"]["contextToken"] = json!({ "enabled": true, "ttlSeconds": 30 }));
        })
        .start()
        .await;
    let jwks = reqwest::get(format!("http://{}/.well-known/jwks.json", world.ext_authz.health())).await.unwrap();
    assert_eq!(jwks.headers()["content-type"], "application/jwk-set+json");
    let keys: jsonwebtoken::jwk::JwkSet = serde_json::from_slice(&jwks.bytes().await.unwrap()).unwrap();
    let billing = "https://billing.acme.internal";
    let token = world.acme.issuer.token().claim("azp", "acme-billing-app").sign();
    let seen = world.send(&Request::get(INVOICES).bearer(&token).header(header::CONTEXT, "forged.by.client")).await.seen();
    let [first] = seen.header(header::CONTEXT)[..] else { panic!("one context token: {seen:?}") };
    let context = verify::verify(first, &keys, billing).unwrap();
    let decision_id = seen.header(header::DECISION)[0].to_owned();
    let expected = verify::Context {
        tenant: "acme".to_owned(),
        sub: Some("user-123".to_owned()),
        subscription: Some("acme-sub-001".to_owned()),
        api: "billing-api".to_owned(),
        decision_id,
    };
    assert_eq!(context, expected);
    // One decision, one token; at another upstream it is worth nothing, and at the gateway no credential.
    let again = world.send(&Request::get(INVOICES).bearer(&token)).await.seen();
    assert_ne!(again.header(header::CONTEXT), [first]);
    assert!(matches!(verify::verify(first, &keys, "https://inventory.globex.internal"), Err(verify::Refused::Invalid(_))));
    assert!(matches!(verify::verify(&token, &keys, billing), Err(verify::Refused::Kind)));
    assert_eq!(world.send(&Request::get(INVOICES).bearer(first)).await.status, 401);

    // Switched off while it runs: none of ours, and no client's own either.
    world.config.edit("platform.yaml", |platform| platform["spec"]["contextToken"] = json!({ "enabled": false }));
    deadline::until("no context token", PATIENCE, || async {
        let seen = world.send(&Request::get(INVOICES).bearer(&token).header(header::CONTEXT, first)).await.seen();
        seen.header(header::CONTEXT).is_empty().then_some(())
    })
    .await;
}

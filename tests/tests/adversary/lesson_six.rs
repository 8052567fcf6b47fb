//! Lesson 6 of "Multi-tenant gateway on Kubernetes", its four lines: "tests that specifically try to violate tenant boundaries".

use bulkhead_proto::contract::header;
use bulkhead_tests::{
    client::Request,
    deadline::{self, PATIENCE},
    world::World,
};
use serde_json::json;

use crate::stage::{INVOICES, PRODUCTS, Stage, answered, denied, once, served, told, unhurried};

#[tokio::test(flavor = "multi_thread")]
async fn authenticated_as_tenant_a_it_cannot_access_tenant_bs_resources() {
    for stage in [Stage::contract().await, Stage::own_routes().await] {
        let (acme, globex) = (stage.acme.issuer.token().sign(), stage.globex.issuer.token().sign());
        denied(&stage, &Request::get(PRODUCTS).bearer(&acme), 401, "wrong_tenant").await;
        denied(&stage, &Request::get(INVOICES).bearer(&globex), 401, "wrong_tenant").await;
        assert_eq!(served(&stage, &Request::get(INVOICES).bearer(&acme)).await.upstream, "acme-billing");
        assert_eq!(served(&stage, &Request::get(PRODUCTS).bearer(&globex)).await.upstream, "globex-inventory");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn manipulated_tenant_headers_change_nothing() {
    for stage in [Stage::contract().await, Stage::own_routes().await] {
        let acme = stage.acme.issuer.token().sign();
        for name in [header::TENANT, "X-Tenant-ID", "X-Tenant", "X-Scope-OrgID", "Tenant", "X-Namespace"] {
            denied(&stage, &Request::get(PRODUCTS).header(name, "acme").bearer(&acme), 401, "wrong_tenant").await;
            denied(&stage, &Request::get(PRODUCTS).header(name, "globex").bearer(&acme), 401, "wrong_tenant").await;
            denied(&stage, &Request::get(PRODUCTS).header(name, "globex"), 401, "no_credentials").await;
            let seen = served(&stage, &Request::get(INVOICES).header(name, "globex").bearer(&acme)).await;
            assert_eq!((seen.upstream.as_str(), seen.header(header::TENANT)), ("acme-billing", vec!["acme"]), "{name}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn resources_created_in_one_namespace_are_invisible_from_another() {
    let world = World::builder().config(unhurried).start().await;
    let (acme, globex) = (world.acme.issuer.token().sign(), world.globex.issuer.token().sign());
    let at = |tenant: &str, token: &str| Request::get(&format!("/{tenant}/secret-api/plans")).bearer(token);
    let before = told(&denied(&world, &at("globex", &globex), 404, "unknown_api").await);
    denied(&world, &at("acme", &acme), 404, "unknown_api").await;

    let contract = |namespace: &str, upstream: &str| {
        json!({ "apiVersion": "gostoa.dev/v1alpha1", "kind": "UniversalAPIContract", "metadata": { "name": "more", "namespace": namespace },
                "spec": { "version": "1.0", "apis": [{ "name": "secret-api", "upstream": upstream }] } })
    };
    world.config.edit("namespaces/tenant-acme/guardrails.yaml", |policy| {
        policy["spec"]["toolAllowlist"].as_array_mut().unwrap().push(json!("secret-api"));
    });
    world.config.put("namespaces/tenant-acme/more.yaml", &contract("tenant-acme", "https://orders.acme.internal/secret"));
    let created = deadline::until("acme's new API", PATIENCE, || async {
        let answer = answered(&world, &at("acme", &acme)).await;
        (answer.status == 200).then_some(answer)
    });
    assert_eq!(created.await.seen().path, "/secret/plans");

    assert_eq!(told(&denied(&world, &at("globex", &globex), 404, "unknown_api").await), before, "as if it did not exist");
    denied(&world, &at("acme", &globex), 401, "wrong_tenant").await;
    denied(&world, &at("globex", &acme), 401, "wrong_tenant").await;

    // A resource that acme writes for globex's namespace, or towards globex's upstream, is acme's own fault, and takes effect nowhere.
    for (file, hostile) in [
        ("for-globex.yaml", contract("tenant-globex", "https://orders.acme.internal/secret")),
        (
            "to-globex.yaml",
            json!({ "apiVersion": "gostoa.dev/v1alpha1", "kind": "UniversalAPIContract",
            "metadata": { "name": "to-globex", "namespace": "tenant-acme" },
            "spec": { "version": "1.0", "apis": [{ "name": "stolen-api", "upstream": "https://inventory.globex.internal/v1" }] } }),
        ),
        (
            "plan.yaml",
            json!({ "apiVersion": "gostoa.dev/v1alpha1", "kind": "Plan", "metadata": { "name": "unlimited" },
            "spec": { "rateLimit": { "requestsPerMinute": 100_000 } } }),
        ),
        (
            "tenant.yaml",
            json!({ "apiVersion": "gostoa.dev/v1alpha1", "kind": "Tenant", "metadata": { "name": "globex" },
            "spec": { "namespace": "tenant-globex", "plan": "starter", "issuers": [{ "issuer": world.acme.issuer.issuer() }] } }),
        ),
    ] {
        let file = format!("namespaces/tenant-acme/{file}");
        world.config.put(&file, &hostile);
        world.ext_authz.until_tenant("acme", "last_good").await;
        assert_eq!(world.ext_authz.tenant_state("globex").await.as_deref(), Some("ready"));
        denied(&world, &at("globex", &globex), 404, "unknown_api").await;
        denied(&world, &Request::get("/acme/stolen-api/products").bearer(&acme), 404, "unknown_api").await;
        denied(&world, &Request::get(PRODUCTS).bearer(&acme), 401, "wrong_tenant").await;
        assert_eq!(served(&world, &Request::get(INVOICES).bearer(&acme)).await.upstream, "acme-billing");
        assert_eq!(served(&world, &Request::get(PRODUCTS).bearer(&globex)).await.upstream, "globex-inventory");
        world.config.remove(&file);
        world.ext_authz.until_tenant("acme", "ready").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_tenants_exhausted_rate_limit_leaves_the_others_theirs() {
    let world = World::builder()
        .valkey()
        .config(unhurried)
        .config(|config| {
            config.edit("namespaces/tenant-acme/guardrails.yaml", |policy| policy["spec"]["rateLimit"] = json!({ "requestsPerMinute": 5 }));
        })
        .start()
        .await;
    let acme = Request::get(INVOICES).bearer(&world.acme.issuer.token().sign());
    let globex = Request::get(PRODUCTS).bearer(&world.globex.issuer.token().sign());
    let exhausted = deadline::until("acme to be over its limit", PATIENCE, || async {
        let (answer, hits) = once(&world, &acme).await;
        assert_eq!(hits, u64::from(answer.status == 200));
        (answer.status == 429).then_some(answer)
    })
    .await;
    assert_eq!((exhausted.reason().as_str(), exhausted.json()["scope"].clone()), ("over_limit", json!("tenant")));
    // Neither headers, nor another address, client or API of its own finds another bucket.
    for elsewhere in [
        Request::get(INVOICES).header(header::TENANT, "globex").header("x-tenant-id", "globex").bearer(&world.acme.issuer.token().sign()),
        Request::get("/acme/orders-api/open").bearer(&world.acme.issuer.token().claim("sub", "another").sign()),
        Request::get(INVOICES).host("other.example.com").header("x-forwarded-for", "203.0.113.9").bearer(&world.acme.issuer.token().sign()),
        Request::get(INVOICES).bearer(&world.acme.issuer.token().claim("azp", "acme-billing-app").sign()),
    ] {
        let mut passed = 0;
        for _ in 0..4 {
            let (answer, hits) = once(&world, &elsewhere).await;
            assert_eq!(hits, u64::from(answer.status == 200));
            passed += hits;
        }
        // Twelve seconds refill one request: at the most one of four may meet that moment.
        assert!(passed <= 1, "{elsewhere:?}: {passed}");
    }
    // globex's own answers, and its own count: nothing of acme's shows in either.
    for _ in 0..30 {
        let answer = answered(&world, &globex).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_ne!(answer.header("ratelimit-limit"), exhausted.header("ratelimit-limit"));
    }
}

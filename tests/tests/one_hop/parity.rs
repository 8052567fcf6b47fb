//! The same requests along both paths.

use bulkhead_tests::{
    client::{Answer, Request},
    config::Config,
    deadline::{self, PATIENCE},
    world::{Builder, World},
};
use serde_json::{Value, json};

use super::{GUARDRAILS, INVOICES, world};

/// Limits that the table meets one after the other: a subscription's bucket, the tenant's, an API's, and a quota.
fn limited(config: &Config) {
    config.edit(GUARDRAILS, |policy| policy["spec"]["rateLimit"] = json!({ "requestsPerMinute": 1, "burstMultiplier": 9.0 }));
    config.edit("namespaces/tenant-acme/subscriptions.yaml", |subscription| {
        subscription["spec"]["rateLimit"] = json!({ "requestsPerMinute": 1, "burstMultiplier": 3.0 });
    });
    let counted = json!({
        "apiVersion": "gostoa.dev/v1alpha1",
        "kind": "Subscription",
        "metadata": { "name": "counted", "namespace": "tenant-globex" },
        "spec": { "clientId": "globex-counted-app", "quotas": [{ "requests": 2, "per": "month", "anchorDay": 17 }] },
    });
    config.put("namespaces/tenant-globex/counted.yaml", &counted);
}

/// What a caller can see of an answer, less what differs between any two: ids and moments.
fn told(answer: &Answer) -> (u16, Vec<(&'static str, Option<String>)>, Value) {
    let header = |name: &'static str| (name, answer.header(name).map(str::to_owned));
    let is_there = |name: &'static str| (name, answer.header(name).map(|text| (text.parse::<u64>().expect("seconds") > 0).to_string()));
    let mut headers = ["content-type", "ratelimit-limit", "ratelimit-remaining", "x-envoy-ratelimited", "grpc-status"].map(header).to_vec();
    headers.extend(["ratelimit-reset", "retry-after"].map(is_there));
    let problem = answer.header("content-type") == Some("application/problem+json");
    let mut body = if problem { answer.json() } else { Value::Null };
    if let Some(id) = body.as_object_mut().and_then(|body| body.remove("decision_id")) {
        assert_eq!(id.as_str().map(str::len), Some(36), "{answer:?}");
    }
    (answer.status, headers, body)
}

/// Every request of the table, in order.
async fn table(world: &World) -> Vec<(u16, Vec<(&'static str, Option<String>)>, Value)> {
    let acme = world.acme.issuer.token().sign();
    let app = world.acme.issuer.token().claim("azp", "acme-billing-app").sign();
    let globex = world.globex.issuer.token().claim("azp", "globex-counted-app").sign();
    let products = Request::get("/globex/inventory-api/products").bearer(&globex);
    let (plain, by_app) = (Request::get(INVOICES).bearer(&acme), Request::get(INVOICES).bearer(&app));
    let grpc = Request::post(INVOICES, "").bearer(&acme).header("content-type", "application/grpc");
    let requests = [
        Request::get(INVOICES),
        Request::get("/globex/inventory-api/products").bearer(&acme),
        Request::get("/acme/nothing-api/x").bearer(&acme),
        plain.clone(),
        by_app.clone(),
        by_app.clone(),
        by_app.clone(),
        by_app.clone(),
        by_app.clone(),
        plain.clone(),
        products.clone(),
        products.clone(),
        products.clone(),
        products,
        plain.clone(),
        plain.clone(),
        plain.clone(),
        plain.clone(),
        plain.clone(),
        plain,
        by_app,
        grpc,
    ];
    let mut answers = Vec::new();
    for request in &requests {
        answers.push(told(&world.send(request).await));
    }
    answers
}

/// What is used of every counter, by its path, and what was metered of each line.
async fn counted(tenant: &str, admin: impl AsyncFn(&str) -> Answer) -> (Vec<Value>, Vec<Value>) {
    let page = admin(&format!("/counters?tenant={tenant}")).await.json();
    let of = |counter: &Value| json!([counter["path"], counter["limit"], counter["used"]]);
    // All others fill again within moments.
    let steady = |counter: &&Value| counter["limit"].as_u64().is_some_and(|limit| (2..=9).contains(&limit));
    let counters = page["counters"].as_array().unwrap_or_else(|| panic!("{page}")).iter().filter(steady).map(of).collect();
    let lines = deadline::until("what was charged to be metered", PATIENCE, || async {
        let page = admin(&format!("/metering?tenant={tenant}")).await.json();
        let lines = page["lines"].as_array()?.clone();
        (!lines.is_empty()).then_some(lines)
    })
    .await;
    let of = |line: &Value| json!([line["subscription"], line["api"], line["admitted"], line["denied"]]);
    (counters, lines.iter().map(of).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn both_paths_answer_and_count_alike() {
    let two = |builder: Builder<'static>| builder.config(limited);
    let (one, two) = tokio::join!(two(world()).start(), two(World::builder().own_routes().valkey()).start());
    let (of_one, of_two) = (table(&one).await, table(&two).await);
    for (number, (of_one, of_two)) in of_one.iter().zip(&of_two).enumerate() {
        assert_eq!(of_one, of_two, "request {number}");
    }
    let statuses: Vec<u16> = of_two.iter().map(|(status, ..)| *status).collect();
    let scopes: Vec<&str> = of_two.iter().filter_map(|(_, _, body)| body["scope"].as_str()).collect();
    assert_eq!(
        statuses,
        [401, 401, 404, 200, 200, 200, 200, 429, 429, 200, 200, 200, 429, 429, 200, 200, 200, 200, 429, 429, 429, 200],
        "{of_two:#?}"
    );
    assert_eq!(scopes, ["subscription", "subscription", "subscription", "subscription", "tenant", "tenant", "tenant"]);
    for tenant in ["acme", "globex"] {
        let through = counted(tenant, async |path| two.ratelimit.admin_page(path).await).await;
        let itself = counted(tenant, async |path| one.ext_authz.admin_page(path).await).await;
        assert_eq!(itself, through, "{tenant}");
        // Whoever runs beside it sees the same store.
        assert_eq!(counted(tenant, async |path| one.ratelimit.admin_page(path).await).await, through, "{tenant}");
    }
    let asked = one.ratelimit.metrics().await;
    assert!(!asked.contains("bulkhead_ratelimit_decisions_total{"), "nobody asks ratelimit");
    let own = one.ext_authz.metrics().await;
    for series in [
        r#"bulkhead_ratelimit_decisions_total{tenant_id="acme",verdict="ok"} 9"#,
        r#"bulkhead_ratelimit_over_limit_total{tenant_id="acme",scope="tenant"} 4"#,
    ] {
        assert!(own.contains(series), "{series}: {own}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_changes_counters_at_ext_authz_and_is_told_how_a_limit_was_decided() {
    let world = world().config(super::holding(1)).start().await;
    let request = super::invoices(&world);
    assert_eq!(world.send(&request).await.status, 200);
    let denied = world.send(&request).await;
    assert_eq!(denied.status, 429);
    let id = denied.json()["decision_id"].as_str().expect("an id").to_owned();
    let told = world.ext_authz.admin_page(&format!("/explain/{id}")).await.json();
    let last = told["steps"].as_array().and_then(|steps| steps.last()).expect("steps").clone();
    assert_eq!((&last["step"], &last["verdict"], &last["reason"]), (&"limits".into(), &"denies".into(), &"over_limit".into()));
    assert!(last["learnt"].as_str().is_some_and(|learnt| learnt.ends_with("tenant 0 of 1 left") && !learnt.contains("global")), "{last}");

    let reset = Request::post(&format!("{}/reset", super::COUNTER), "{}").header("content-type", "application/json");
    let answer = world.ext_authz.admin_request(reset).await;
    assert_eq!((answer.status, &answer.json()["outcome"]), (200, &"done".into()), "{}", answer.text());
    assert_eq!(world.send(&request).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_explanation_looks_at_the_limits_and_charges_nothing() {
    let world = world().config(super::holding(1)).start().await;
    let request = super::invoices(&world);
    let token = world.acme.issuer.token().sign();
    let recorded = json!({ "attributes": { "request": { "http": {
        "method": "GET", "host": "gateway.example.com", "path": INVOICES, "headers": { "authorization": format!("Bearer {token}") },
    } } } });
    let explained = async || {
        let post = Request::post("/explain", recorded.to_string()).header("content-type", "application/json");
        let told = world.ext_authz.admin_request(post).await.json();
        let last = told["steps"].as_array().and_then(|steps| steps.last()).expect("steps").clone();
        assert_eq!(last["step"], "limits", "{told}");
        let body = told["response"]["deniedResponse"]["body"].as_str().unwrap_or_default().to_owned();
        (told["verdict"].as_str().expect("a verdict").to_owned(), last["learnt"].as_str().unwrap_or_default().to_owned(), body)
    };
    for _ in 0..3 {
        let (verdict, learnt, _) = explained().await;
        assert_eq!(verdict, "allow", "{learnt}");
        assert!(learnt.contains("not charged for an explanation") && learnt.ends_with("tenant 0 of 1 left"), "{learnt}");
        assert!(!learnt.contains("global"), "{learnt}");
    }
    assert_eq!(world.send(&request).await.status, 200);
    let (verdict, learnt, body) = explained().await;
    assert_eq!(verdict, "over_limit");
    assert!(body.contains(r#""scope":"tenant""#), "the limiter's own words: {body}");
    assert!(learnt.ends_with("tenant 0 of 1 left"), "{learnt}");
}

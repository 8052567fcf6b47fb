use bulkhead_tenancy::clock::SystemClock;

use super::*;
use crate::{
    attributes::{Context, RouteOwner},
    fixture::{self, Asked, Stand, get},
};

async fn decided(snapshot: &Arc<Snapshot>, asked: &Asked) -> Verdict {
    let judge = Judge::new(Stand, Arc::new(SystemClock), Declared::default());
    match Attributes::of(asked.request()) {
        Ok(attributes) => judge.decide(snapshot, &attributes, Due::at(Instant::now() + std::time::Duration::from_secs(5))).await,
        Err(denial) => Verdict::denied(denial),
    }
}

async fn verdict(asked: Asked) -> &'static str {
    decided(&fixture::own(), &asked).await.name()
}

#[tokio::test]
async fn a_tenant_reaches_its_own_api_and_nobody_elses() {
    let allowed = decided(&fixture::own(), &get("/acme/billing-api/x").by("acme client:app")).await;
    let facts = &allowed.facts;
    assert_eq!(facts.tenant.as_ref().unwrap().name.as_str(), "acme");
    assert_eq!(facts.api.as_ref().unwrap().name.as_str(), "billing-api");
    assert_eq!(facts.subscription.as_ref().unwrap().name.as_str(), "by-client");
    let outcome = allowed.outcome.unwrap();
    assert_eq!((outcome.cost, outcome.obligations.upstream), (1, None));

    assert_eq!(verdict(get("/globex/inventory-api").by("acme")).await, "wrong_tenant");
    assert_eq!(verdict(get("/acme/inventory-api").by("acme")).await, "unknown_api");
    assert_eq!(verdict(get("/acme/nowhere").by("acme")).await, "unknown_api");
    assert_eq!(verdict(get("/").by("acme")).await, "unknown_api");
}

#[tokio::test]
async fn s22_a_tenants_state_is_told_only_to_a_token_that_is_proven_for_it() {
    for path in ["/sleepy/sleepy-api", "/broken/any", "/acme/nowhere", "/nobody/any"] {
        assert_eq!(verdict(get(path)).await, "no_credentials", "{path}");
        assert_eq!(verdict(get(path).by("nobody")).await, "invalid_token", "{path}");
        assert_eq!(verdict(get(path).by("globex")).await, "wrong_tenant", "{path}");
    }
    assert_eq!(verdict(get("/sleepy/sleepy-api").by("sleepy")).await, "suspended");
    assert_eq!(verdict(get("/broken/any").by("broken")).await, "unavailable");
    assert_eq!(verdict(get("/acme/nowhere").by("acme")).await, "unknown_api");
}

#[tokio::test]
async fn s22_a_verified_token_at_a_foreign_address_is_a_fact_of_its_own_tenant() {
    let refused = decided(&fixture::own(), &get("/globex/inventory-api").by("acme")).await;
    assert_eq!(refused.facts.tenant.unwrap().name.as_str(), "acme");
    assert!(refused.facts.api.is_none());
    let unproven = decided(&fixture::own(), &get("/globex/inventory-api").by("nobody")).await;
    assert!(unproven.facts.tenant.is_none());
}

#[tokio::test]
async fn the_first_judgement_in_the_order_of_precedence_answers() {
    // Each request is wrong in this way and in every later way.
    let wrong = |path: &str| get(path).method("PATCH").on("bad_host");
    assert_eq!(verdict(wrong("/acme/../x").with(header::HOP, "1")).await, "loop");
    assert_eq!(verdict(wrong("/globex/../x")).await, "bad_path");
    assert_eq!(verdict(get("/globex/x").method("PATCH").on("bad_host")).await, "bad_path");
    assert_eq!(verdict(get("/sleepy/x").method("PATCH")).await, "no_credentials");
    assert_eq!(verdict(get("/sleepy/nowhere").method("PATCH").by("sleepy")).await, "suspended");
    assert_eq!(verdict(get("/acme/nowhere").method("PATCH").by("acme client:old-app")).await, "unknown_api");
    assert_eq!(verdict(get("/acme/billing-api").method("PATCH").by("acme key-only")).await, "no_credentials");
    assert_eq!(verdict(get("/acme/billing-api").method("PATCH").by("acme client:old-app")).await, "method");
    assert_eq!(verdict(get("/acme/roles-api").by("acme client:old-app")).await, "subscription");
    assert_eq!(verdict(get("/acme/roles-api").by("acme")).await, "role");
    assert_eq!(verdict(get("/acme/unlisted-api").by("acme client:old-app")).await, "subscription");
    assert_eq!(verdict(get("/acme/unlisted-api").by("acme")).await, "tool");
}

#[tokio::test]
async fn what_an_openapi_document_does_not_hold_is_not_reached() {
    let asked = |method, path: &str| decided_owned(get(&format!("/acme/documented-api{path}")).method(method).by("acme"));
    for (method, path, verdict, allow) in [
        ("GET", "/invoices", "allow", ""),
        ("GET", "/invoices?x=/admin", "allow", ""),
        ("DELETE", "/invoices/7", "allow", ""),
        ("GET", "/admin", "unknown_api", ""),
        ("GET", "", "unknown_api", ""),
        ("GET", "/", "unknown_api", ""),
        ("GET", "/invoices/7/8", "unknown_api", ""),
        // The contract's methods first, then those of the path that both allow.
        ("PATCH", "/admin", "method", "DELETE GET POST"),
        ("PUT", "/invoices", "method", "DELETE GET POST"),
        ("POST", "/invoices", "method", "GET"),
        ("DELETE", "/invoices/latest", "method", "GET"),
        ("DELETE", "/invoices/lat%65st", "method", "GET"),
    ] {
        let found = asked(method, path).await;
        let allowed = found.outcome.as_ref().map_or_else(|denial| denial.allow.join(" "), |_| String::new());
        assert_eq!((found.name(), allowed.as_str()), (verdict, allow), "{method} {path}");
    }
}

async fn decided_owned(asked: Asked) -> Verdict {
    decided(&fixture::own(), &asked).await
}

#[tokio::test]
async fn s24_a_request_that_already_passed_through_us_is_508_in_any_spelling() {
    for name in [header::HOP, "Bulkhead-Hop", "bulkhead_hop", "BULKHEAD_HOP"] {
        assert_eq!(verdict(get("/acme/billing-api").by("acme").with(name, "")).await, "loop", "{name}");
    }
}

#[tokio::test]
async fn a_405_lists_the_methods() {
    let refused = decided(&fixture::own(), &get("/acme/billing-api").method("DELETE").by("acme")).await;
    assert_eq!(refused.outcome.unwrap_err().allow, ["GET", "POST"]);
    assert_eq!(verdict(get("/acme/billing-api").method("get").by("acme")).await, "method");
}

#[tokio::test]
async fn s13_context_binds_where_the_operator_wrote_it() {
    let bound = |asked: Asked| asked.context("tenant", "acme").context("api", "billing-api");
    assert_eq!(verdict(bound(get("/any/path/here").by("acme"))).await, "allow");
    assert_eq!(verdict(bound(get("/any/path/here").by("globex"))).await, "wrong_tenant");
    assert_eq!(verdict(bound(get("/globex/inventory-api").by("acme"))).await, "wrong_tenant");
    assert_eq!(verdict(bound(get("/globex/inventory-api").by("globex"))).await, "wrong_tenant");
}

#[test]
fn s13_a_route_of_another_namespace_catches_nobody() {
    let snapshot = fixture::own();
    let acme = snapshot.tenant("acme").unwrap();
    let owned = |context: &Context<'_>, namespaces: &[&str]| {
        let route = RouteOwner::Namespaces(namespaces.iter().map(|text| (*text).to_owned()).collect());
        route::owned(&snapshot, acme, context, &route).is_ok()
    };
    let bound = Context { tenant: Some("acme"), ..Context::default() };
    let plain = Context::default();
    assert!(owned(&bound, &["tenant-acme"]));
    assert!(!owned(&bound, &["tenant-globex"]));
    assert!(!owned(&bound, &["tenant-acme", "tenant-globex"]));
    assert!(!owned(&bound, &["elsewhere"]));
    assert!(!owned(&bound, &[]));
    // Without binding context a route of the operator's serves everybody, and another tenant's nobody but itself.
    assert!(owned(&plain, &["gateway-system"]));
    assert!(owned(&plain, &["tenant-acme"]));
    assert!(!owned(&plain, &["tenant-globex"]));
    assert!(route::owned(&snapshot, acme, &bound, &RouteOwner::Unstated).is_ok());
}

#[tokio::test]
async fn s1_with_the_users_own_routes_nothing_says_where_a_request_goes() {
    let allowed = decided(&fixture::own(), &get("/acme/billing-api/x?y").by("acme")).await.outcome.unwrap();
    assert_eq!(allowed.obligations.upstream, None);
}

#[tokio::test]
async fn contract_routing_sends_under_the_contracts_base_path_to_where_the_origin_is_reached() {
    let snapshot = fixture::contract_routed();
    let upstream = async |asked: Asked| decided(&snapshot, &asked).await.outcome.unwrap().obligations.upstream.unwrap();
    let billing = upstream(get("/acme/billing-api/invoices?month=%2e%2e").by("acme")).await;
    assert_eq!((billing.cluster, billing.host.as_str(), billing.port), ("contract-http", "127.0.0.1", 18081));
    assert_eq!(billing.path, "/v1/invoices?month=%2e%2e");
    let paid = upstream(get("/acme/paid-api").by("acme client:app")).await;
    assert_eq!((paid.cluster, paid.host.as_str(), paid.port, paid.path.as_str()), ("contract-http", "paid.acme.internal", 80, "/"));
}

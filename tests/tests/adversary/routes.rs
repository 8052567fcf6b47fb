//! A token of acme at globex's path, host and route, in both ways of routing.

use bulkhead_tests::{client::Request, world::World};
use serde_json::json;

use crate::stage::{INVOICES, PRODUCTS, Stage, denied, served, told, unhurried};

/// The same to whoever asks at `path`, so that nobody learns who lives there.
async fn as_foreign(stage: &Stage, path: &str) {
    let acme = stage.acme.issuer.token().roles(&["tenant-admin"]).sign();
    let foreign = denied(stage, &Request::get(PRODUCTS).bearer(&acme), 401, "wrong_tenant").await;
    let answer = denied(stage, &Request::get(path).bearer(&acme), 401, "wrong_tenant").await;
    assert_eq!(told(&foreign), told(&answer), "{path}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_at_another_tenants_path_learns_only_that_it_is_not_its_own() {
    for stage in [Stage::contract().await, Stage::own_routes().await] {
        for path in ["/globex/inventory-api", "/globex/inventory-api/", "/globex/inventory-api/x?tenant=acme&api=billing-api"] {
            as_foreign(&stage, path).await;
        }
        let acme = stage.acme.issuer.token().roles(&["tenant-admin"]).sign();
        for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND"] {
            denied(&stage, &Request::new(method, PRODUCTS).bearer(&acme), 401, "wrong_tenant").await;
        }
        served(&stage, &Request::get(INVOICES).bearer(&acme)).await;
    }
    // The user's own routes lead to no other path; with contract routing every path is asked about.
    let stage = Stage::contract().await;
    for path in [
        "/globex/catalog-api/items",
        "/globex/no-such-api/x",
        "/globex",
        "/initech/inventory-api/products",
        "/hollow/billing-api/invoices",
        "/frozen/billing-api/invoices",
        "/Acme/billing-api/invoices",
        "/tenant-acme/billing-api/invoices",
        "/acme%20/billing-api/invoices",
    ] {
        as_foreign(&stage, path).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_at_another_tenants_host_is_refused() {
    for stage in [Stage::contract().await, Stage::own_routes().await] {
        let acme = stage.acme.issuer.token().sign();
        for path in [INVOICES, PRODUCTS, "/globex/inventory-api"] {
            denied(&stage, &Request::get(path).host("inventory.globex.example.com").bearer(&acme), 401, "wrong_tenant").await;
        }
        // Its own host does not lend its name to another's path either.
        denied(&stage, &Request::get(PRODUCTS).host("billing.acme.example.com").bearer(&acme), 401, "wrong_tenant").await;
        let seen = served(&stage, &Request::get(INVOICES).host("billing.acme.example.com").bearer(&acme)).await;
        assert_eq!((seen.upstream.as_str(), seen.path.as_str()), ("acme-billing", "/v1/invoices"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_names_its_api_where_the_path_names_nobody() {
    let stage = Stage::contract().await;
    let (acme, globex) = (stage.acme.issuer.token().sign(), stage.globex.issuer.token().sign());
    let at = |path: &str| Request::get(path).host("inventory.globex.example.com");
    let seen = served(&stage, &at("/products").bearer(&globex)).await;
    assert_eq!((seen.upstream.as_str(), seen.path.as_str()), ("globex-inventory", "/v1/products"));
    for path in ["/products", "/acme", "/"] {
        denied(&stage, &at(path).bearer(&acme), 401, "wrong_tenant").await;
    }
    denied(&stage, &at("/products"), 401, "no_credentials").await;
    denied(&stage, &at(INVOICES).bearer(&globex), 401, "wrong_tenant").await;
    // A host of one API is no way to another of the same tenant, where the path names that one.
    let orders = Request::get("/acme/orders-api/open").host("billing.acme.example.com");
    denied(&stage, &orders.bearer(&acme), 401, "wrong_tenant").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_at_another_tenants_route_is_refused_whatever_path_and_host_say() {
    let stage = Stage::own_routes().await;
    let (acme, globex) = (stage.acme.issuer.token().sign(), stage.globex.issuer.token().sign());
    // The route `/billing` is acme's billing-api by its context_extensions.
    assert_eq!(served(&stage, &Request::get("/billing/invoices").bearer(&acme)).await.upstream, "acme-billing");
    denied(&stage, &Request::get("/billing/invoices"), 401, "no_credentials").await;
    denied(&stage, &Request::get("/billing/invoices").key(crate::stage::GLOBEX_KEY), 401, "wrong_tenant").await;
    for path in ["/billing", "/billing/invoices", "/billing/globex/inventory-api", "/billing?tenant=globex&api=inventory-api"] {
        denied(&stage, &Request::get(path).bearer(&globex), 401, "wrong_tenant").await;
    }
    let elsewhere = Request::get("/billing/invoices").host("inventory.globex.example.com");
    denied(&stage, &elsewhere.clone().bearer(&globex), 401, "wrong_tenant").await;
    denied(&stage, &elsewhere.bearer(&acme), 401, "wrong_tenant").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_that_forwards_to_globex_is_no_way_in_for_a_path_that_names_acme() {
    // Paths that Envoy's route match and ext-authz could read differently: the one picks the upstream, the other the tenant.
    let stage = Stage::own_routes().await;
    let acme = stage.acme.issuer.token().sign();
    for path in [
        "/globex/inventory-api/../../acme/billing-api/invoices",
        "/acme/billing-api/../../globex/inventory-api/products",
        "/acme/billing-api/%2e%2e/%2e%2e/globex/inventory-api/products",
        "/acme/billing-api/..;/..;/globex/inventory-api/products",
        "//globex/inventory-api/products",
        "/acme//billing-api/../../../globex/inventory-api/products",
        "/./globex/inventory-api/products",
        "/globex/inventory-api/products?/acme/billing-api/invoices",
        "/globex/inventory-api;/acme/billing-api",
    ] {
        let answer = crate::stage::answered(&stage, &Request::get(path).bearer(&acme)).await;
        let home = answer.status == 200 && answer.seen().upstream == "acme-billing";
        assert!(home || [400, 401, 404].contains(&answer.status), "{path}: {}", answer.status);
    }
}

/// The user's own routes where the token alone names the tenant, with one more route, to globex's upstream.
async fn unnamed_paths() -> World {
    World::builder()
        .own_routes()
        .config(unhurried)
        .config(|config| {
            config.edit("platform.yaml", |platform| platform["spec"]["addressing"] = json!({ "path": "/{api}" }));
            config.edit("tenants/acme.yaml", |tenant| tenant["spec"]["hosts"] = json!(["*.acme.example.com"]));
            config.edit("namespaces/tenant-acme/contract.yaml", |contract| {
                contract["spec"]["apis"][0]["hosts"] = json!(["billing.acme.example.com"]);
                // acme may call its own APIs what it likes.
                contract["spec"]["apis"][1]["name"] = "inventory-api".into();
            });
            config.edit("namespaces/tenant-acme/guardrails.yaml", |policy| {
                policy["spec"]["toolAllowlist"] = json!(["billing-api", "inventory-api"]);
            });
        })
        .bootstrap(|bootstrap| {
            let manager = &mut bootstrap["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"];
            let routes = manager["route_config"]["virtual_hosts"][0]["routes"].as_array_mut().unwrap();
            let mut route = routes[2].clone();
            route["match"]["path_separated_prefix"] = "/inventory-api".into();
            route["route"]["cluster"] = "globex-inventory".into();
            let extensions = &mut route["typed_per_filter_config"]["envoy.filters.http.ext_authz"]["check_settings"]["context_extensions"];
            *extensions = json!({ "tenant": "globex", "api": "inventory-api" });
            // Before the last, which is for all the rest.
            routes.insert(routes.len() - 1, route);
        })
        .start()
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bound_route_is_its_tenants_alone_however_others_call_their_apis_and_hosts() {
    let world = unnamed_paths().await;
    let (acme, globex) = (world.acme.issuer.token().sign(), world.globex.issuer.token().sign());
    assert_eq!(served(&world, &Request::get("/inventory-api/products").bearer(&globex)).await.upstream, "globex-inventory");
    denied(&world, &Request::get("/inventory-api/products").bearer(&acme), 401, "wrong_tenant").await;
    denied(&world, &Request::get("/inventory-api/products").host("billing.acme.example.com").bearer(&acme), 401, "wrong_tenant").await;
    denied(&world, &Request::get("/billing/invoices").bearer(&globex), 401, "wrong_tenant").await;
    assert_eq!(world.globex.requests(), 1);
}

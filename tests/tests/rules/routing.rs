//! Where a request goes: S1, S3, S6, S8, S20, S24's loop, and S14 where nobody may read what must be read.

use bulkhead_proto::contract::{cluster, header};
use bulkhead_tenancy::address::FORBIDDEN_RANGES;
use bulkhead_tests::{
    client::{Answer, Request},
    config::Config,
    deadline::{self, PATIENCE},
    double::{Authorizer, Limiter, allow, with_headers},
    envoy::{
        Envoy,
        shipped::{Shipped, filter, manager, patient},
    },
    service,
    upstream::Upstream,
};
use serde_json::{Value, json};

use super::{ACME_CONTRACT, INVOICES, PRODUCTS, until, world};

#[tokio::test(flavor = "multi_thread")]
async fn s1_a_contracts_path_that_is_another_tenants_address_stays_at_its_own_upstream() {
    let world = world()
        .config(|config| config.replace(ACME_CONTRACT, "billing.acme.internal/v1", "billing.acme.internal/globex/inventory-api"))
        .start()
        .await;
    let acme = world.acme.issuer.token().sign();
    let seen = world.send(&Request::get("/acme/billing-api/products").bearer(&acme)).await.seen();
    assert_eq!((seen.upstream.as_str(), seen.path.as_str()), ("acme-billing", "/globex/inventory-api/products"));
    assert_eq!(world.globex.requests(), 0);
}

/// Envoy is set up as carelessly as it can be: it would take any header of ext-authz, and match its routes again.
#[tokio::test(flavor = "multi_thread")]
async fn s1_ext_authz_moves_nothing_between_the_users_own_routes_even_where_envoy_would_let_it() {
    let world = world()
        .own_routes()
        .config(|config| config.replace(ACME_CONTRACT, "billing.acme.internal/v1", "billing.acme.internal/globex/inventory-api"))
        .bootstrap(|bootstrap| {
            let authorizer = filter(bootstrap, "ext_authz");
            authorizer.as_object_mut().expect("a filter's configuration").remove("decoder_header_mutation_rules");
            authorizer["clear_route_cache"] = true.into();
        })
        .start()
        .await;
    let acme = world.acme.issuer.token().sign();
    let seen = world.send(&Request::get("/acme/billing-api/products?q=1").bearer(&acme)).await.seen();
    assert_eq!((seen.upstream.as_str(), seen.path.as_str()), ("acme-billing", "/v1/products?q=1"));
    assert_eq!((seen.header(header::CLUSTER), seen.header(header::UPSTREAM)), (vec![], vec![]));
    assert_eq!(world.globex.requests(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn s3_a_contract_may_not_name_this_machine_nor_another_tenants_upstream() {
    for upstream in [
        "http://localhost:9191",
        "http://foo.localhost",
        "http://127.0.0.1:9191",
        "http://127.1",
        "http://2130706433",
        "http://0x7f.0.0.1",
        "http://0177.0.0.1",
        "http://0.0.0.0:9191",
        "http://[::1]:9193",
        "http://[::ffff:127.0.0.1]",
        "http://[fe80::1]",
        "http://169.254.169.254/latest/meta-data",
        "https://inventory.globex.internal/v1",
        "https://INVENTORY.globex.INTERNAL/v1",
        "https://inventory.globex.internal./v1",
        "https://x.acme.internal@inventory.globex.internal/v1",
        "https://inventory.globex.internal#.acme.internal/v1",
        "https://acme.internal/v1",
        "https://billing.acme.internal.globex.internal/v1",
    ] {
        let config = Config::examples();
        config.replace(ACME_CONTRACT, "https://billing.acme.internal/v1", upstream);
        let output = service::run("bulkhead-ext-authz", &["validate", "--config", &config.path().display().to_string()]);
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{upstream}: {said}");
        assert!(said.contains("namespaces/tenant-acme/contract.yaml:"), "{upstream}: {said}");
    }
    // And whoever serves it all the same serves nobody but the others.
    let world = world()
        .config(|config| config.replace(ACME_CONTRACT, "https://billing.acme.internal/v1", "https://inventory.globex.internal/v1"))
        .start()
        .await;
    let (acme, globex) = (world.acme.issuer.token().sign(), world.globex.issuer.token().sign());
    let answer = world.send(&Request::get(INVOICES).bearer(&acme)).await;
    assert_eq!((answer.status, answer.reason().as_str()), (503, "unavailable"));
    assert_eq!((world.acme.requests(), world.globex.requests()), (0, 0));
    assert_eq!(world.send(&Request::get(PRODUCTS).bearer(&globex)).await.status, 200);
}

/// Past every check of ext-authz: a double in its place sends each request to the address that its path names.
#[tokio::test(flavor = "multi_thread")]
async fn s3_envoys_guard_stops_every_address_of_this_machine() {
    let upstream = Upstream::everywhere("upstream").await;
    let port = upstream.address().port();
    let authorizer = Authorizer::start(move |check| {
        let http = check.attributes.as_ref().and_then(|attributes| attributes.request.as_ref()).and_then(|request| request.http.as_ref());
        let address = http.map(|http| http.path.trim_start_matches('/').to_owned()).unwrap_or_default();
        let to = format!("{address}:{port}");
        let headers = [(header::CLUSTER, cluster::HTTP), (header::UPSTREAM, "billing.invalid:80"), (header::ADDRESS, &*to)];
        Ok(with_headers(allow(&[("tenant", "acme")], Some(1.0)), &headers))
    })
    .await;
    let limiter = Limiter::admitting().await;
    let start = async |shipped: Shipped| Envoy::start(shipped.edit(patient).bootstrap()).await;
    let guarded = start(Shipped::guarded(authorizer.address(), limiter.address())).await;
    let open = start(Shipped::contract_routing(authorizer.address(), limiter.address())).await;

    for address in ["127.0.0.1", "127.9.9.9"] {
        let request = Request::get(&format!("/{address}"));
        let answer = request.send(open.address()).await;
        assert_eq!(answer.status, 200, "{address} leads to this machine, or this test proves nothing");
        assert_eq!(answer.seen().header("host"), ["billing.invalid:80"], "the contract's host, which Envoy resolves nowhere");
        assert_eq!(request.send(guarded.address()).await.status, 403, "{address}");
    }
    assert_eq!(upstream.requests(), 2, "behind the guard none of them was reached");
    for address in ["0.0.0.0", "[::1]", "[::]", "[::ffff:127.0.0.1]"] {
        let status = Request::get(&format!("/{address}")).send(guarded.address()).await.status;
        assert!(matches!(status, 403 | 503), "{address}: {status}");
    }
    for range in FORBIDDEN_RANGES {
        let address = range.split_once('/').expect("a prefix and its length").0;
        let address = if address.contains(':') { format!("[{address}]") } else { address.to_owned() };
        let status = Request::get(&format!("/{address}")).send(guarded.address()).await.status;
        assert_eq!(status, 403, "{address}");
    }
    assert_eq!(upstream.requests(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn s3_not_even_the_operators_own_mapping_leads_past_the_guard() {
    let world = world().guarded().start().await;
    let answer = world.send(&Request::get(INVOICES).bearer(&world.acme.issuer.token().sign())).await;
    assert_eq!((answer.status, world.acme.requests()), (403, 0), "{answer:?}");
}

/// Envoy hands every path on as it came.
fn unnormalised(bootstrap: &mut Value) {
    let manager = manager(bootstrap);
    manager["normalize_path"] = false.into();
    manager["merge_slashes"] = false.into();
    manager["path_with_escaped_slashes_action"] = "KEEP_UNCHANGED".into();
}

#[tokio::test(flavor = "multi_thread")]
async fn s6_with_envoys_normalisation_switched_off_no_path_of_two_meanings_passes() {
    let contract = world().bootstrap(unnormalised).start().await;
    // Every path finds a route, so that none is refused for want of one.
    let catch_all = |bootstrap: &mut Value| {
        let routes = manager(bootstrap)["route_config"]["virtual_hosts"][0]["routes"].as_array_mut().expect("routes");
        let last = routes.last_mut().expect("the route for all the rest");
        *last = json!({ "match": { "prefix": "/" }, "route": { "cluster": "acme-billing" } });
    };
    let own = world().own_routes().bootstrap(unnormalised).bootstrap(catch_all).start().await;
    for world in [&contract, &own] {
        let acme = world.acme.issuer.token().sign();
        for path in [
            "/acme/billing-api/../../globex/inventory-api/products",
            "/acme/billing-api/..",
            "/acme/billing-api/.",
            "/acme/billing-api/./invoices",
            "/acme/billing-api/..;/admin",
            "/acme/billing-api/..;a=b/admin",
            "/acme/billing-api/%2e%2e/admin",
            "/acme/billing-api/.%2E/admin",
            "/acme/billing-api/%2e%2e;a=b/admin",
            "/acme/billing-api/%2E",
            r"/acme/billing-api/..\admin",
            r"/acme/billing-api\admin",
            "/acme/billing-api/%5cadmin",
            "/acme/billing-api/..%5Cadmin",
            "/acme/billing-api/..%2fadmin",
            "/acme/billing-api/a%2Fb",
            "/acme/billing-api/a%00b",
            "/acme/billing-api/%252e%252e/admin",
            "/acme/billing-api/%25252e/admin",
            "/acme/billing-api/a%252fb",
            "/acme/billing-api/a%255cb",
            "/acme/billing-api/a%0ab",
            "/acme/billing-api/%c0%ae%c0%ae/admin",
            "/acme/billing-api/a%",
            "/acme/billing-api/a%zz",
            "/acme/billing-api//admin",
            "/acme//billing-api/invoices",
            "//acme/billing-api/invoices",
        ] {
            let answer = world.send(&Request::get(path).bearer(&acme)).await;
            assert_eq!(answer.status, 400, "{path}: {}", answer.text());
            // Whether or not somebody has proven who he is.
            assert_eq!(world.send(&Request::get(path)).await.status, 400, "{path}");
        }
        assert_eq!((world.acme.requests(), world.globex.requests()), (0, 0));
        let odd = "?next=/../..;/%2e%2e%2f//%5c%00&again=%252e";
        let seen = world.send(&Request::get(&format!("{INVOICES}{odd}")).bearer(&acme)).await.seen();
        assert_eq!(seen.path, format!("/v1/invoices{odd}"), "a query is not judged, and not changed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s6_what_envoy_folds_is_judged_as_it_was_folded() {
    let world = world().start().await;
    let request = Request::get("/acme/billing-api/../../globex/inventory-api/products").bearer(&world.acme.issuer.token().sign());
    let answer = world.send(&request).await;
    assert_eq!((answer.status, answer.reason().as_str()), (401, "wrong_tenant"));
    assert_eq!(world.globex.requests(), 0);
}

/// Whatever Envoy stripped before: here it strips nothing, and takes headers with underscores.
#[tokio::test(flavor = "multi_thread")]
async fn s8_a_clients_identity_headers_are_overwritten_or_removed_in_every_spelling() {
    let careless = |bootstrap: &mut Value| {
        let manager = manager(bootstrap);
        manager.as_object_mut().expect("a manager").remove("early_header_mutation_extensions");
        manager["common_http_protocol_options"]["headers_with_underscores_action"] = "ALLOW".into();
    };
    let contract = world().bootstrap(careless).start().await;
    let own = world().own_routes().bootstrap(careless).start().await;
    for world in [&contract, &own] {
        let mut request = Request::get(INVOICES).bearer(&world.acme.issuer.token().sign());
        for name in header::IDENTITY.iter().chain(&header::FOREIGN).copied().chain(["x-bulkhead-anything"]) {
            for spelt in
                [name.to_owned(), name.to_ascii_uppercase(), name.replace('-', "_"), name.replacen('-', "_", 1), name.replace('-', ".")]
            {
                request = request.header(&spelt, "globex");
            }
        }
        request = request.header("X_API_Key", "globex.secret").header("x-bulkhead_upstream", "globex");
        request = request.header(header::CLUSTER, cluster::HTTP);
        request = request.header(header::UPSTREAM, &world.globex.upstream("inventory").address().to_string());
        let seen = world.send(&request).await.seen();
        assert_eq!(seen.upstream, "acme-billing");
        for (name, expected) in [(header::TENANT, "acme"), (header::API, "billing-api"), (header::SUBJECT, "user-123"), (header::HOP, "1")]
        {
            assert_eq!(seen.header(name), [expected], "{name}");
        }
        assert!(!seen.headers.iter().any(|(_, value)| value.contains("globex")), "{:?}", seen.headers);
        assert_eq!(seen.header(header::SUBSCRIPTION), [""; 0]);
        assert_eq!(world.globex.requests(), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s20_host_and_path_must_name_the_same_tenant_and_api() {
    let world = world()
        .config(|config| {
            config.edit("tenants/acme.yaml", |tenant| tenant["spec"]["hosts"] = json!(["*.acme.example.com"]));
            config.edit(ACME_CONTRACT, |contract| contract["spec"]["apis"][0]["hosts"] = json!(["billing.acme.example.com"]));
        })
        .start()
        .await;
    let (acme, globex) = (world.acme.issuer.token().sign(), world.globex.issuer.token().sign());
    let send = async |host: &str, path: &str, token: &str| world.send(&Request::get(path).host(host).bearer(token)).await;
    let home = "billing.acme.example.com";
    for (host, path, forwarded) in [
        (home, "/invoices", "/v1/invoices"),
        ("BILLING.Acme.Example.COM:8443", "/invoices", "/v1/invoices"),
        (home, INVOICES, "/v1/invoices"),
        // Nobody's name, so an ordinary path.
        (home, "/initech/inventory-api/products", "/v1/initech/inventory-api/products"),
    ] {
        assert_eq!(send(host, path, &acme).await.seen().path, forwarded, "{host}{path}");
    }
    for (path, token) in [
        ("/acme/orders-api/open", &acme),
        ("/globex/inventory-api/products", &acme),
        ("/globex/inventory-api/products", &globex),
        ("/globex/billing-api/invoices", &acme),
        ("/invoices", &globex),
    ] {
        let answer = send(home, path, token).await;
        assert_eq!((answer.status, answer.reason().as_str()), (401, "wrong_tenant"), "{path}");
    }
    for host in [
        "billing.acme.example.com.",
        "billing.acme.example.com,globex.example.com",
        "acme@billing.acme.example.com",
        "billing_.acme.example.com",
        "billing.acme.example.com:port",
        "b\u{ef}lling.acme.example.com",
    ] {
        assert_eq!(send(host, "/invoices", &acme).await.status, 400, "{host}");
    }
    assert_eq!((world.acme.requests(), world.globex.requests()), (4, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn s20_context_extensions_and_path_must_name_the_same_tenant_and_api() {
    let world = world()
        .own_routes()
        .bootstrap(|bootstrap| {
            let routes = manager(bootstrap)["route_config"]["virtual_hosts"][0]["routes"].as_array_mut().expect("routes");
            let bound = routes.iter().find(|route| route["match"]["path_separated_prefix"] == "/billing").expect("the bound route").clone();
            for prefix in ["/globex/inventory-api", "/acme/orders-api"] {
                let mut route = bound.clone();
                route["match"]["path_separated_prefix"] = prefix.into();
                routes.insert(0, route);
            }
        })
        .start()
        .await;
    let (acme, globex) = (world.acme.issuer.token().sign(), world.globex.issuer.token().sign());
    for (path, token) in [(PRODUCTS, &acme), (PRODUCTS, &globex), ("/acme/orders-api/open", &acme)] {
        let answer = world.send(&Request::get(path).bearer(token)).await;
        assert_eq!((answer.status, answer.reason().as_str()), (401, "wrong_tenant"), "{path}");
    }
    assert_eq!(world.acme.requests(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn s24_a_contract_that_leads_back_to_the_gateway_ends_with_508_at_the_first_turn() {
    let world = world().start().await;
    let acme = world.acme.issuer.token().sign();
    for (name, value) in [(header::HOP, "1"), ("Bulkhead-Hop", "0"), (header::HOP, "")] {
        let answer = world.send(&Request::get(INVOICES).bearer(&acme).header(name, value)).await;
        assert_eq!((answer.status, answer.reason().as_str()), (508, "loop"), "{name}: {value:?}");
    }
    let (billing, gateway) = (world.acme.upstream("billing").origin(), format!("http://{}", world.envoy.address()));
    world.config.replace("platform.yaml", &billing, &gateway);
    let looped = Request::get(INVOICES).bearer(&acme);
    let answer: Answer = until("the loop", &world, &looped, |answer| answer.status != 200).await;
    assert_eq!((answer.status, answer.reason().as_str()), (508, "loop"));
    deadline::until("both turns in Envoy's counters", PATIENCE, || async {
        (world.envoy.stat("cluster.contract-http.upstream_rq_508").await == 1).then_some(())
    })
    .await;
}

#[tokio::test]
async fn s8_what_is_set_for_an_upstream_alone_does_not_come_back_from_it() {
    let world = world().start().await;
    let token = world.acme.issuer.token().sign();
    world.acme.upstream("billing").answers(|seen| {
        let back = seen.headers.iter().filter(|(name, _)| name.starts_with("x-bulkhead-"));
        let answer = back.fold(http::Response::builder().header("x-own", "stays"), |answer, (name, value)| answer.header(name, value));
        answer
            .header("X-Bulkhead-Context", "a.b.c")
            .header("x_bulkhead_tenant", "globex")
            .body(axum::body::Body::from("echo"))
            .expect("an answer")
    });
    let answer = world.send(&Request::get(INVOICES).bearer(&token)).await;
    let names: Vec<&str> = answer.headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(answer.status, 200);
    assert!(names.contains(&"x-own") && !names.iter().any(|name| name.contains("bulkhead")), "{names:?}");
    let traced = world.send(&Request::new("TRACE", INVOICES).bearer(&token)).await;
    assert_eq!((traced.status, traced.reason().as_str()), (405, "method"));
}

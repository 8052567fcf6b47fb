//! Headers that pretend: identity, routing, hop mark, method; in any spelling, number and place.

use bulkhead_proto::contract::{cluster, header};
use bulkhead_tests::{client::Request, upstream::Seen, world::World};

use crate::stage::{INVOICES, PRODUCTS, Stage, denied, refused_by_envoy, served, unhurried};

/// What acme's upstream must see, whatever the client said.
fn is_acmes(seen: &Seen) {
    assert_eq!(seen.upstream, "acme-billing");
    assert_eq!(seen.header(header::TENANT), ["acme"]);
    assert_eq!(seen.header(header::API), ["billing-api"]);
    assert_eq!(seen.header(header::SUBJECT), ["user-123"]);
    assert_eq!(seen.header(header::SUBSCRIPTION), [""; 0]);
    assert_eq!(seen.header(header::DECISION).len(), 1);
    assert_eq!(seen.header(header::HOP), ["1"]);
    for gone in [header::CLUSTER, header::UPSTREAM, header::FOREIGN[0], header::FOREIGN[1], "authorization", header::API_KEY] {
        assert_eq!(seen.header(gone), [""; 0], "{gone}");
    }
    assert!(!format!("{seen:?}").contains("globex"), "{seen:?}");
}

fn names() -> impl Iterator<Item = &'static str> {
    header::IDENTITY.into_iter().chain(header::FOREIGN).chain(["x-bulkhead-plan", "x-bulkhead-anything"])
}

/// `x-bulkhead-tenant` as `X-Bulkhead-Tenant`.
fn titled(name: &str) -> String {
    let word = |word: &str| word[..1].to_ascii_uppercase() + &word[1..];
    name.split('-').map(word).collect::<Vec<_>>().join("-")
}

#[tokio::test(flavor = "multi_thread")]
async fn identity_headers_of_a_client_reach_nobody_in_any_case_or_number() {
    for stage in [Stage::contract().await, Stage::own_routes().await, Stage::bare().await, Stage::bare_own_routes().await] {
        let acme = Request::get(INVOICES).bearer(&stage.acme.issuer.token().sign());
        let forged = names().fold(acme.clone(), |request, name| {
            request
                .header(name, "globex")
                .header(&name.to_ascii_uppercase(), "globex")
                .header(&titled(name), "globex, acme")
                .header(name, "")
                .header(name, "globex")
        });
        is_acmes(&served(&stage, &forged).await);
        is_acmes(&served(&stage, &acme).await);
        // Nor do they lead anywhere else, with a token or without.
        denied(&stage, &names().fold(Request::get(PRODUCTS), |request, name| request.header(name, "globex")), 401, "no_credentials").await;
        let foreign = Request::get(PRODUCTS).bearer(&stage.acme.issuer.token().sign());
        denied(&stage, &names().fold(foreign, |request, name| request.header(name, "globex")), 401, "wrong_tenant").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn identity_headers_spelt_with_underscores_stop_at_envoy() {
    let stage = Stage::contract().await;
    let acme = Request::get(INVOICES).bearer(&stage.acme.issuer.token().sign());
    for name in names().flat_map(|name| [name.replace('-', "_"), name.replacen('-', "_", 1), titled(name).replace('-', "_")]) {
        refused_by_envoy(&stage, &acme.clone().header(&name, "globex")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn identity_headers_spelt_with_underscores_stop_at_ext_authz_where_envoy_allows_them() {
    for stage in [Stage::bare().await, Stage::bare_own_routes().await] {
        let acme = Request::get(INVOICES).bearer(&stage.acme.issuer.token().sign());
        let spellings = names().chain([header::CLUSTER, header::UPSTREAM]).flat_map(|name| {
            [
                name.replace('-', "_"),
                name.replacen('-', "_", 1),
                titled(name).replace('-', "_"),
                name.to_ascii_uppercase().replace('-', "_"),
            ]
        });
        let forged = spellings.fold(acme.clone(), |request, name| request.header(&name, "globex"));
        let seen = served(&stage, &forged).await;
        is_acmes(&seen);
        assert!(seen.headers.iter().all(|(name, _)| !name.contains('_')), "{seen:?}");
        // Credentials that nobody verified do not reach an upstream that takes `_` for `-`.
        for name in ["x_api_key", "x-api_key", "X_API-KEY"] {
            let seen = served(&stage, &acme.clone().header(name, crate::stage::GLOBEX_KEY)).await;
            is_acmes(&seen);
            denied(&stage, &Request::get(INVOICES).header(name, crate::stage::ACME_KEY), 401, "no_credentials").await;
        }
        for name in ["bulkhead_hop", "BULKHEAD_HOP"] {
            denied(&stage, &acme.clone().header(name, "1"), 508, "loop").await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn identity_headers_in_http2_trailers_reach_nobody() {
    // Envoy hands trailers on only to an upstream that speaks HTTP/2.
    let world = World::builder()
        .own_routes()
        .config(unhurried)
        .bootstrap(|bootstrap| {
            let clusters = bootstrap["static_resources"]["clusters"].as_array_mut().unwrap();
            let grpc = clusters.iter().find(|cluster| cluster["name"] == "ext-authz").unwrap()["typed_extension_protocol_options"].clone();
            clusters.iter_mut().find(|cluster| cluster["name"] == "acme-billing").unwrap()["typed_extension_protocol_options"] = grpc;
        })
        .start()
        .await;
    let acme = Request::post(INVOICES, "{}").bearer(&world.acme.issuer.token().sign()).trailer("x-checksum", "kept");
    let kept = [("x-checksum".to_owned(), "kept".to_owned())];
    served(&world, &Request::get(INVOICES).bearer(&world.acme.issuer.token().sign())).await;
    assert_eq!(acme.send_http2(world.envoy.address()).await.seen().trailers, kept, "trailers do pass, or this proves nothing");
    for name in names().chain([header::CLUSTER, header::UPSTREAM, header::HOP]) {
        let seen = acme.clone().trailer(name, "globex").trailer(name, "globex").send_http2(world.envoy.address()).await.seen();
        assert_eq!(seen.trailers, kept, "{name}");
        assert_eq!(seen.header(header::TENANT), ["acme"]);
    }
    assert_eq!(world.globex.requests(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_does_not_choose_its_upstream() {
    for stage in [Stage::contract().await, Stage::bare().await] {
        let inventory = stage.globex.upstream("inventory").address().to_string();
        for (to_cluster, to_upstream) in [(header::CLUSTER, header::UPSTREAM), ("X-Bulkhead-Cluster", "X-BULKHEAD-UPSTREAM")] {
            for cluster_name in [cluster::HTTP, cluster::HTTPS, "ext-authz", "ratelimit"] {
                let routed = |request: Request| request.header(to_cluster, cluster_name).header(to_upstream, &inventory);
                let acme = stage.acme.issuer.token().sign();
                is_acmes(&served(&stage, &routed(Request::get(INVOICES)).bearer(&acme)).await);
                denied(&stage, &routed(Request::get(INVOICES)), 401, "no_credentials").await;
                denied(&stage, &routed(Request::get(PRODUCTS)).bearer(&acme), 401, "wrong_tenant").await;
                denied(&stage, &routed(Request::get("/")).bearer(&acme), 404, "unknown_api").await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_already_passed_through_us_is_a_loop() {
    for stage in [Stage::contract().await, Stage::own_routes().await, Stage::bare().await] {
        let acme = Request::get(INVOICES).bearer(&stage.acme.issuer.token().sign());
        for (name, value) in [(header::HOP, "1"), ("Bulkhead-Hop", "0"), ("BULKHEAD-HOP", "")] {
            denied(&stage, &acme.clone().header(name, value), 508, "loop").await;
        }
        denied(&stage, &Request::get(PRODUCTS).header(header::HOP, "1"), 508, "loop").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_cannot_have_our_headers_dropped_on_the_way() {
    // A proxy that honours `Connection` strips what it names, after we have set it.
    for stage in [Stage::contract().await, Stage::own_routes().await] {
        let acme = Request::get(INVOICES).bearer(&stage.acme.issuer.token().sign());
        for named in ["close, x-bulkhead-tenant, bulkhead-hop", "X-Bulkhead-Tenant", "keep-alive, x-bulkhead-subject, x-bulkhead-upstream"]
        {
            is_acmes(&served(&stage, &acme.clone().header("connection", named)).await);
        }
        let seen = served(&stage, &acme.clone().header("te", "trailers").header("connection", "te, x-bulkhead-tenant")).await;
        is_acmes(&seen);
        // Envoy drops what is named before anybody judges: a token that is named away is none.
        denied(&stage, &acme.clone().header("connection", "authorization"), 401, "no_credentials").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_that_renames_method_path_or_host_changes_neither_judgement_nor_request() {
    let names = [
        "x-http-method-override",
        "x-http-method",
        "x-method-override",
        "x-original-url",
        "x-rewrite-url",
        "x-forwarded-host",
        "x-forwarded-prefix",
    ];
    for stage in [Stage::contract().await, Stage::own_routes().await] {
        let acme = Request::get(INVOICES).bearer(&stage.acme.issuer.token().sign());
        let renamed = acme
            .header("X-HTTP-Method-Override", "DELETE")
            .header("X-HTTP-Method", "DELETE")
            .header("X-Method-Override", "DELETE")
            .header("X-Original-URL", "/globex/inventory-api/products")
            .header("X-Rewrite-URL", "/globex/inventory-api/products")
            .header("X-Forwarded-Host", "inventory.globex.example.com")
            .header("X-Forwarded-Prefix", "/globex/inventory-api")
            .header("X-Envoy-Original-Path", "/acme/billing-api/invoices")
            .header("X-Forwarded-Uri", "/acme/orders-api/open");
        let seen = served(&stage, &renamed).await;
        assert_eq!((seen.upstream.as_str(), seen.method.as_str(), seen.path.as_str()), ("acme-billing", "GET", "/v1/invoices"));
        for name in names {
            assert_eq!(seen.header(name), [""; 0], "{name}");
        }
    }
    let stage = Stage::contract().await;
    let globex = stage.globex.issuer.token().sign();
    let posted = Request::post("/globex/catalog-api/items", "{}").header("X-HTTP-Method-Override", "GET").bearer(&globex);
    let answer = denied(&stage, &posted, 405, "method").await;
    assert!(answer.header("allow").is_some_and(|allow| allow.contains("GET") && !allow.contains("POST")), "{answer:?}");
    for method in ["get", "GET2", "DELETE", "PATCH", "PUT", "OPTIONS"] {
        let answer = crate::stage::answered(&stage, &Request::new(method, "/globex/catalog-api/items").bearer(&globex)).await;
        assert!([400, 405].contains(&answer.status), "{method}: {}", answer.status);
    }
}

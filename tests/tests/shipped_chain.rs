//! What the shipped Envoy files do by themselves, whatever the services answer: doubles stand in for both services, and for once they are
//! wrong, slow, dead or hostile.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use bulkhead_proto::{
    contract::{DOMAIN, cluster, descriptor, header},
    pb::envoy::service::auth::v3::CheckResponse,
};
use bulkhead_tests::{
    client::Request,
    double::{Authorizer, Limiter, allow, with_headers},
    envoy::{Envoy, shipped::Shipped},
    port::free_address,
    upstream::Upstream,
};
use tonic::Status;

/// An allow as ext-authz makes it for contract routing.
fn routed(upstream: &str) -> CheckResponse {
    let metadata = [("tenant", "acme"), ("subscription", "acme-sub-001"), ("api", "billing-api"), ("decision_id", "0190-d")];
    let headers =
        [(header::CLUSTER, cluster::HTTP), (header::UPSTREAM, upstream), (header::ADDRESS, upstream), (":path", "/v1/invoices?page=2")];
    with_headers(allow(&metadata, Some(3.0)), &headers)
}

struct Gateway {
    envoy: Envoy,
    upstream: Upstream,
    authorizer: Authorizer,
    limiter: Limiter,
}

impl Gateway {
    async fn contract_routing(answer: impl Fn(&Upstream) -> CheckResponse, shipped: fn(SocketAddr, SocketAddr) -> Shipped) -> Self {
        let upstream = Upstream::start("upstream").await;
        let check = answer(&upstream);
        let authorizer = Authorizer::start(move |_| Ok(check.clone())).await;
        let limiter = Limiter::admitting().await;
        let envoy = Envoy::start(shipped(authorizer.address(), limiter.address()).bootstrap()).await;
        Self { envoy, upstream, authorizer, limiter }
    }

    async fn get(&self, path: &str) -> u16 {
        Request::get(path).send(self.envoy.address()).await.status
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_contracts_upstream_gets_the_path_that_was_judged_and_none_of_the_routing_headers() {
    let gateway = Gateway::contract_routing(|upstream| routed(&upstream.address().to_string()), Shipped::contract_routing).await;
    let seen = Request::get("/acme/billing-api/invoices?page=2").send(gateway.envoy.address()).await.seen();
    assert_eq!(seen.path, "/v1/invoices?page=2");
    assert_eq!(seen.header("host"), [gateway.upstream.address().to_string()]);
    assert_eq!(seen.header(header::CLUSTER), [""; 0]);
    assert_eq!(seen.header(header::UPSTREAM), [""; 0]);
    assert_eq!(seen.header(header::ADDRESS), [""; 0]);

    let judged =
        gateway.authorizer.requests()[0].attributes.clone().and_then(|attributes| attributes.request).and_then(|request| request.http);
    assert_eq!(judged.map(|http| http.path).as_deref(), Some("/acme/billing-api/invoices?page=2"));
}

#[tokio::test(flavor = "multi_thread")]
async fn ratelimit_is_asked_once_with_the_four_entries_and_the_cost() {
    let gateway = Gateway::contract_routing(|upstream| routed(&upstream.address().to_string()), Shipped::contract_routing).await;
    assert_eq!(gateway.get("/acme/billing-api/invoices").await, 200);
    let asked = gateway.limiter.requests();
    assert_eq!(asked.len(), 1);
    assert_eq!((asked[0].domain.as_str(), asked[0].descriptors.len()), (DOMAIN, 1));
    let entries: Vec<(&str, &str)> =
        asked[0].descriptors[0].entries.iter().map(|entry| (entry.key.as_str(), entry.value.as_str())).collect();
    let expected = [
        (descriptor::TENANT, "acme"),
        (descriptor::SUBSCRIPTION, "acme-sub-001"),
        (descriptor::API, "billing-api"),
        (descriptor::DECISION, "0190-d"),
    ];
    assert_eq!(entries, expected);
    assert_eq!(asked[0].descriptors[0].hits_addend.as_ref().map(|cost| cost.value), Some(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn s9_metadata_without_a_tenant_still_reaches_ratelimit_as_unresolved() {
    let nobody = |upstream: &Upstream| CheckResponse {
        dynamic_metadata: allow(&[], Some(1.0)).dynamic_metadata,
        ..routed(&upstream.address().to_string())
    };
    let gateway = Gateway::contract_routing(nobody, Shipped::contract_routing).await;
    assert_eq!(gateway.get("/acme/billing-api/invoices").await, 200);
    let asked = gateway.limiter.requests();
    let tenants: Vec<&str> = asked.iter().flat_map(|request| &request.descriptors).map(|asked| asked.entries[0].value.as_str()).collect();
    assert_eq!(tenants, [descriptor::UNRESOLVED]);
}

#[tokio::test(flavor = "multi_thread")]
async fn s1_an_allow_that_routes_nowhere_or_to_no_host_reaches_nothing() {
    for headers in [
        &[][..],
        &[(header::CLUSTER, cluster::HTTP)],
        &[(header::UPSTREAM, "127.0.0.1:1")],
        &[(header::CLUSTER, cluster::HTTP), (header::UPSTREAM, "127.0.0.1:1")],
        &[(header::CLUSTER, cluster::HTTP), (header::ADDRESS, "127.0.0.1:1")],
        &[(header::CLUSTER, "ext-authz-not"), (header::UPSTREAM, "127.0.0.1:1"), (header::ADDRESS, "127.0.0.1:1")],
    ] {
        let gateway = Gateway::contract_routing(|_| with_headers(allow(&[], Some(1.0)), headers), Shipped::contract_routing).await;
        assert_eq!(gateway.get("/acme/billing-api/invoices").await, 503, "{headers:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s8_a_client_cannot_route_itself() {
    let gateway = Gateway::contract_routing(|_| allow(&[], Some(1.0)), Shipped::contract_routing).await;
    let own = gateway.upstream.address().to_string();
    for (cluster_name, upstream_name) in [(header::CLUSTER, header::UPSTREAM), ("X-Bulkhead-Cluster", "X-BULKHEAD-UPSTREAM")] {
        let request = Request::get("/").header(cluster_name, cluster::HTTP).header(upstream_name, &own);
        assert_eq!(request.send(gateway.envoy.address()).await.status, 503);
    }
    assert_eq!(gateway.upstream.requests(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn s8_headers_with_underscores_are_refused() {
    let gateway = Gateway::contract_routing(|upstream| routed(&upstream.address().to_string()), Shipped::contract_routing).await;
    for name in ["x_bulkhead_tenant", "X_Tenant_Id", "x-bulkhead_tenant"] {
        assert_eq!(Request::get("/").header(name, "globex").send(gateway.envoy.address()).await.status, 400, "{name}");
    }
    assert_eq!(gateway.authorizer.requests().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn s8_identity_headers_in_any_case_never_reach_ext_authz_or_the_upstream() {
    let gateway = Gateway::contract_routing(|upstream| routed(&upstream.address().to_string()), Shipped::contract_routing).await;
    let forged = header::IDENTITY.iter().chain(&header::FOREIGN).copied();
    let request =
        forged.fold(Request::get("/"), |request, name| request.header(name, "globex").header(&name.to_ascii_uppercase(), "globex"));
    let seen = request.send(gateway.envoy.address()).await.seen();
    assert!(!seen.headers.iter().any(|(_, value)| value.contains("globex")), "{seen:?}");
    assert!(!format!("{:?}", gateway.authorizer.requests()).contains("globex"));
}

/// The user's own routes, with an upstream cluster that speaks HTTP/2: only then does Envoy hand trailers on.
#[tokio::test(flavor = "multi_thread")]
async fn s8_our_names_in_http2_trailers_are_removed_in_any_spelling() {
    let upstream = Upstream::start("upstream").await;
    let authorizer = Authorizer::start(|_| Ok(allow(&[("tenant", "acme")], Some(1.0)))).await;
    let limiter = Limiter::admitting().await;
    let shipped = Shipped::own_routes(authorizer.address(), limiter.address(), upstream.address(), upstream.address()).edit(|bootstrap| {
        let clusters = bootstrap["static_resources"]["clusters"].as_array_mut().expect("clusters");
        let grpc = clusters.iter().find(|cluster| cluster["name"] == "ext-authz").expect("the service")["typed_extension_protocol_options"]
            .clone();
        clusters.iter_mut().find(|cluster| cluster["name"] == "acme-billing").expect("the upstream")["typed_extension_protocol_options"] =
            grpc;
    });
    let envoy = Envoy::start(shipped.bootstrap()).await;
    let request = Request::post("/acme/billing-api/invoices", "{}").trailer("x-checksum", "kept");
    let seen = request.clone().send_http2(envoy.address()).await.seen();
    assert_eq!(seen.path, "/v1/invoices");
    assert_eq!(seen.trailers, [("x-checksum".to_owned(), "kept".to_owned())], "trailers do pass, or this test proves nothing");

    for name in ["x-bulkhead-tenant", "x-tenant-id", "x-subscription-id", "bulkhead-hop", "x.bulkhead.tenant", "x-tenant.id"] {
        let seen = request.clone().trailer(name, "globex").send_http2(envoy.address()).await.seen();
        assert_eq!(seen.trailers, [("x-checksum".to_owned(), "kept".to_owned())], "{name}");
    }
    // Spelled with underscores they are refused, as such headers are; the stream has begun, so it is reset.
    for name in ["x_bulkhead_tenant", "x-bulkhead_tenant", "x_tenant_id"] {
        let answer = request.clone().trailer(name, "globex").try_http2(envoy.address()).await;
        assert!(answer.is_err(), "{name}: {answer:?}");
    }
    assert!(!format!("{:?}", upstream.last()).contains("globex"));
}

#[tokio::test(flavor = "multi_thread")]
async fn s3_with_the_guard_whole_no_name_of_this_machine_is_an_upstream() {
    for host in ["127.0.0.1", "localhost", "0.0.0.0", "[::1]", "[::ffff:127.0.0.1]", "169.254.169.254"] {
        let to = move |upstream: &Upstream| routed(&format!("{host}:{}", upstream.address().port()));
        let gateway = Gateway::contract_routing(to, Shipped::guarded).await;
        let status = gateway.get("/acme/billing-api/invoices").await;
        assert!(matches!(status, 403 | 503), "{host}: {status}");
        assert_eq!(gateway.upstream.requests(), 0, "{host}");
    }
    let to = |upstream: &Upstream| routed(&upstream.address().to_string());
    let gateway = Gateway::contract_routing(to, Shipped::guarded).await;
    assert_eq!(gateway.get("/").await, 403, "the guard itself answers");
}

#[tokio::test(flavor = "multi_thread")]
async fn s9_a_dead_service_is_no_permission() {
    let upstream = Upstream::start("upstream").await;
    let to = upstream.address().to_string();
    let authorizer = Authorizer::start(move |_| Ok(routed(&to))).await;
    let limiter = Limiter::admitting().await;
    for (ext_authz, ratelimit) in [(free_address(), limiter.address()), (authorizer.address(), free_address())] {
        let envoy = Envoy::start(Shipped::contract_routing(ext_authz, ratelimit).bootstrap()).await;
        assert_eq!(Request::get("/").send(envoy.address()).await.status, 503);
    }
    assert_eq!(upstream.requests(), 0);
}

/// Envoy makes the longest back-off of `retry_policy` the time-out of each try: 25 ms there would end every decision that fetches keys.
#[tokio::test(flavor = "multi_thread")]
async fn ext_authz_has_its_whole_time_out_for_one_answer() {
    let upstream = Upstream::start("upstream").await;
    let to = upstream.address().to_string();
    let authorizer = Authorizer::start(move |_| {
        std::thread::sleep(Duration::from_millis(120));
        Ok(routed(&to))
    })
    .await;
    let limiter = Limiter::admitting().await;
    let envoy = Envoy::start(Shipped::contract_routing(authorizer.address(), limiter.address()).bootstrap()).await;
    assert_eq!(Request::get("/").send(envoy.address()).await.status, 200);
    assert_eq!(authorizer.requests().len(), 1, "asked once, and waited for");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_hangs_is_no_permission_and_costs_its_time_out_only() {
    let upstream = Upstream::start("upstream").await;
    let to = upstream.address().to_string();
    let slow = Authorizer::start(|_| {
        std::thread::sleep(Duration::from_secs(3));
        Ok(CheckResponse::default())
    })
    .await;
    let authorizer = Authorizer::start(move |_| Ok(routed(&to))).await;
    let limiter = Limiter::admitting().await;
    let slow_limiter = Limiter::start(|_| {
        std::thread::sleep(Duration::from_secs(3));
        Err(Status::unavailable("too late"))
    })
    .await;
    for (ext_authz, ratelimit) in [(slow.address(), limiter.address()), (authorizer.address(), slow_limiter.address())] {
        let envoy = Envoy::start(Shipped::contract_routing(ext_authz, ratelimit).bootstrap()).await;
        assert_eq!(Request::get("/").send(envoy.address()).await.status, 503);
    }
    assert_eq!(upstream.requests(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn s24_ratelimit_is_asked_once_even_where_it_fails() {
    let upstream = Upstream::start("upstream").await;
    let to = upstream.address().to_string();
    let authorizer = Authorizer::start(move |_| Ok(routed(&to))).await;
    let limiter = Limiter::start(|_| Err(Status::unavailable("no"))).await;
    let envoy = Envoy::start(Shipped::contract_routing(authorizer.address(), limiter.address()).bootstrap()).await;
    assert_eq!(Request::get("/").send(envoy.address()).await.status, 503);
    assert_eq!((limiter.requests().len(), upstream.requests()), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn s1_with_the_users_own_routes_ext_authz_cannot_choose_the_upstream() {
    let acme = Upstream::start("acme-billing").await;
    let globex = Upstream::start("globex-inventory").await;
    let limiter = Limiter::admitting().await;
    for name in [":path", ":authority", "host", "x-route-me"] {
        let hostile = with_headers(allow(&[("tenant", "acme")], Some(1.0)), &[(name, "/globex/inventory-api/products")]);
        let authorizer = Authorizer::start(move |_| Ok(hostile.clone())).await;
        let shipped = Shipped::own_routes(authorizer.address(), limiter.address(), acme.address(), globex.address());
        let envoy = Envoy::start(shipped.bootstrap()).await;
        assert_eq!(Request::get("/acme/billing-api/invoices").send(envoy.address()).await.status, 500, "{name}");
    }
    assert_eq!((acme.requests(), globex.requests()), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_binds_tenant_and_api_by_its_context_extensions() {
    let upstream = Upstream::start("acme-billing").await;
    let authorizer = Authorizer::start(|_| Ok(allow(&[("tenant", "acme")], Some(1.0)))).await;
    let limiter = Limiter::admitting().await;
    let shipped =
        Shipped::own_routes(authorizer.address(), limiter.address(), upstream.address(), SocketAddr::from((Ipv4Addr::LOCALHOST, 1)));
    let envoy = Envoy::start(shipped.bootstrap()).await;
    assert_eq!(Request::get("/billing/invoices").send(envoy.address()).await.seen().path, "/v1/invoices");
    let extensions = authorizer.requests()[0].attributes.clone().expect("attributes").context_extensions;
    assert_eq!(extensions.get("tenant").map(String::as_str), Some("acme"));
    assert_eq!(extensions.get("api").map(String::as_str), Some("billing-api"));
}

/// An allow for `contract-https`, with `localhost` as the contract's host, against an upstream whose certificate names another host or this one.
async fn over_tls(certified: &str) -> (u16, u64) {
    let (upstream, pem) = Upstream::start_tls("upstream", certified).await;
    let trusted = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(trusted.path(), pem).expect("a writable file");
    let (host, address) = (format!("localhost:{}", upstream.address().port()), upstream.address().to_string());
    let headers = [(header::CLUSTER, cluster::HTTPS), (header::UPSTREAM, &*host), (header::ADDRESS, &*address)];
    let check = with_headers(allow(&[("tenant", "acme")], Some(1.0)), &headers);
    let authorizer = Authorizer::start(move |_| Ok(check.clone())).await;
    let limiter = Limiter::admitting().await;
    let shipped = Shipped::contract_routing(authorizer.address(), limiter.address()).edit(|bootstrap| {
        let clusters = bootstrap["static_resources"]["clusters"].as_array_mut().expect("clusters");
        let https = clusters.iter_mut().find(|cluster| cluster["name"] == cluster::HTTPS).expect("the TLS cluster");
        let trust = &mut https["transport_socket"]["typed_config"]["common_tls_context"]["validation_context"]["trusted_ca"];
        assert!(trust["filename"].is_string(), "the shipped file trusts the machine's own authorities");
        trust["filename"] = trusted.path().display().to_string().into();
    });
    let envoy = Envoy::start(shipped.bootstrap()).await;
    (Request::get("/").send(envoy.address()).await.status, upstream.requests())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_over_tls_must_prove_the_contracts_own_host() {
    assert_eq!(over_tls("localhost").await, (200, 1));
    assert_eq!(over_tls("billing.globex.internal").await, (503, 0), "a certificate of another host is no upstream of this contract");
}

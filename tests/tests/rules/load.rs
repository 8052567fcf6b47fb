//! Who may use how much, and what one tenant's load does to another: S4, S5, S9, S12, S24.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use axum::body::Bytes;
use bulkhead_proto::{
    contract::{DOMAIN, cluster, descriptor, header},
    pb::envoy::{
        extensions::common::ratelimit::v3::{RateLimitDescriptor, rate_limit_descriptor::Entry},
        service::ratelimit::v3::{RateLimitRequest, rate_limit_response::Code, rate_limit_service_client::RateLimitServiceClient},
    },
};
use bulkhead_tests::{
    client::{Connection, Request},
    config::Config,
    deadline::{self, PATIENCE},
    double::{Authorizer, Limiter, allow, with_headers},
    envoy::{
        Envoy,
        shipped::{Shipped, patient},
    },
    issuer::Issuer,
    service::Service,
    upstream::Upstream,
    world::World,
};
use serde_json::json;
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use super::{ACME, INVOICES, PRODUCTS, until_status, world};

/// As many as Envoy's defaults hold in all, and more.
const SLOW: u64 = 2_400;

/// As many as Envoy's file allows on one connection.
const STREAMS: u64 = 100;

/// What Envoy has sent, or would send, to the contracts' upstreams at this moment.
async fn in_flight(envoy: &Envoy) -> u64 {
    envoy.stat("cluster.contract-http.upstream_rq_active").await + envoy.stat("cluster.contract-http.upstream_rq_pending_active").await
}

#[tokio::test(flavor = "multi_thread")]
async fn s4_one_tenants_hung_upstream_with_thousands_of_requests_in_flight_costs_nobody_else_anything() {
    let world = world()
        .config(|config| {
            config.edit("namespaces/tenant-acme/guardrails.yaml", |policy| {
                policy["spec"]["rateLimit"] = json!({ "requestsPerMinute": 10_000, "burstMultiplier": 2.0 });
            });
        })
        .start()
        .await;
    world.acme.upstream("billing").hang();
    let authorization = format!("Bearer {}", world.acme.issuer.token().sign());
    let mut slow = JoinSet::new();
    let mut sent = 0;
    while sent < SLOW {
        let socket = TcpStream::connect(world.envoy.address()).await.expect("a connection");
        let (mut client, connection) = h2::client::handshake(socket).await.expect("HTTP/2");
        slow.spawn(async move { connection.await.map_err(|error| error.to_string()) });
        for _ in 0..STREAMS {
            client = client.ready().await.expect("room for a stream");
            let request = http::Request::get(format!("http://gateway{INVOICES}")).header("authorization", &authorization);
            let (answer, _) = client.send_request(request.body(()).expect("a request"), true).expect("a stream");
            slow.spawn(async move { Err(format!("answered: {:?}", answer.await.map(|answer| answer.status()))) });
        }
        sent += STREAMS;
        deadline::until("all of them to be in flight", PATIENCE, || async { (in_flight(&world.envoy).await >= sent).then_some(()) }).await;
    }

    let globex = Request::get(PRODUCTS).bearer(&world.globex.issuer.token().sign());
    for _ in 0..50 {
        assert_eq!(world.send(&globex).await.status, 200);
    }
    let orders = Request::get("/acme/orders-api/open").header("authorization", &authorization);
    assert_eq!(world.send(&orders).await.status, 200, "not even the same tenant's other upstream");
    assert!(in_flight(&world.envoy).await >= SLOW, "all this time they were in flight");
    assert!(world.acme.upstream("billing").requests() <= 128, "one host has its own bound on connections, and the rest waits");
    assert!(slow.try_join_next().is_none(), "none was answered");
}

/// Tenants with as many upstream hosts as a tenant may have.
const TENANTS: u8 = 32;
const HOSTS: u8 = 63;

/// Every host is an address of its own in 127.0.0.0/8, all of them at one server.
fn many_hosts(config: &Config, issuer: &Issuer, port: u16) {
    let origin = |tenant: u8, host: u8| format!("https://h{host}.many-{tenant}.internal");
    for tenant in 0..TENANTS {
        let name = format!("many-{tenant}");
        config.put(
            &format!("tenants/{name}.yaml"),
            &json!({
                "apiVersion": "gostoa.dev/v1alpha1",
                "kind": "Tenant",
                "metadata": { "name": name },
                "spec": {
                    "plan": "professional",
                    "uid": format!("uid-{name}"),
                    "issuers": [{ "issuer": format!("https://auth.gostoa.dev/realms/{name}"), "jwks": { "keys": [issuer.key().jwk()] } }],
                    "upstreams": [format!("*.{name}.internal")],
                },
            }),
        );
        let apis: Vec<_> =
            (0..HOSTS).map(|host| json!({ "name": format!("api-{host}"), "upstream": format!("{}/v1", origin(tenant, host)) })).collect();
        config.put(
            &format!("namespaces/tenant-{name}/contract.yaml"),
            &json!({
                "apiVersion": "gostoa.dev/v1alpha1",
                "kind": "UniversalAPIContract",
                "metadata": { "name": "contract", "namespace": format!("tenant-{name}") },
                "spec": { "version": "1.0", "apis": apis },
            }),
        );
    }
    config.edit("platform.yaml", |platform| {
        for (tenant, host) in (0..TENANTS).flat_map(|tenant| (0..HOSTS).map(move |host| (tenant, host))) {
            platform["spec"]["upstreams"]["connect"][origin(tenant, host)] = format!("http://127.1.{tenant}.{host}:{port}").into();
        }
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn s4_two_thousand_distinct_upstreams_leave_room_for_the_next_one() {
    let upstream = Upstream::everywhere("many").await;
    let issuer = Issuer::start("many").await;
    let world = world().config(|config| many_hosts(config, &issuer, upstream.address().port())).start().await;
    let mut running = JoinSet::new();
    for tenant in 0..TENANTS {
        let name = format!("many-{tenant}");
        let token = issuer.token().claim("iss", format!("https://auth.gostoa.dev/realms/{name}")).claim("tenant_id", name.as_str()).sign();
        let to = world.envoy.address();
        running.spawn(async move {
            let mut connection = Connection::open(to).await;
            for host in 0..HOSTS {
                let answer = connection.send(&Request::get(&format!("/{name}/api-{host}/x")).bearer(&token)).await;
                assert_eq!(
                    answer.seen().header("host"),
                    [format!("127.1.{tenant}.{host}:{}", answer.seen().header("host")[0].rsplit_once(':').expect("a port").1)]
                );
            }
        });
        // Eight at a time.
        if running.len() == 8 {
            running.join_next().await.expect("one is running").expect("every host answers");
        }
    }
    while let Some(done) = running.join_next().await {
        done.expect("every host answers");
    }
    let distinct = u64::from(TENANTS) * u64::from(HOSTS);
    assert_eq!(upstream.requests(), distinct);
    assert!(world.envoy.stat("dns_cache.contract.num_hosts").await >= distinct);
    for (path, token) in [(INVOICES, world.acme.issuer.token()), (PRODUCTS, world.globex.issuer.token())] {
        assert_eq!(world.send(&Request::get(path).bearer(&token.sign())).await.status, 200, "{path}");
    }
    assert_eq!(world.envoy.stat("dns_cache.contract.host_overflow").await, 0);
}

/// Failed authentications are counted: so many a minute for a source, so many for a name.
async fn counting(per_source: u32, per_tenant: u32) -> World {
    world()
        .config(|config| {
            config.edit("platform.yaml", |platform| {
                platform["spec"]["authFailures"] = json!({ "perSourceMinute": per_source, "perTenantMinute": per_tenant });
            });
        })
        .start()
        .await
}

const HONEST: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const FLOODING: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);
const BLAMING: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 4);

#[tokio::test(flavor = "multi_thread")]
async fn s5_a_source_that_floods_with_wrong_credentials_is_429_and_no_other_source_is() {
    let world = counting(10, 1_000_000).await;
    let to = world.envoy.address();
    let right = Request::get(INVOICES).bearer(&world.acme.issuer.token().sign());
    let wrong = Request::get(INVOICES).bearer("wrong");
    for _ in 0..10 {
        assert_eq!(wrong.send_from(FLOODING, to).await.status, 401);
        // This one says that it is somebody else: Envoy knows better.
        assert_eq!(wrong.clone().header("x-forwarded-for", &HONEST.to_string()).send_from(BLAMING, to).await.status, 401);
    }
    for request in [&wrong, &right, &wrong.clone().header("x-forwarded-for", "203.0.113.7"), &Request::get(PRODUCTS)] {
        let answer = request.send_from(FLOODING, to).await;
        assert_eq!((answer.status, answer.reason().as_str()), (429, "too_many_failures"), "{request:?}");
        assert!(answer.header("retry-after").is_some());
    }
    assert_eq!(wrong.send_from(BLAMING, to).await.status, 429);
    assert_eq!(right.send_from(HONEST, to).await.status, 200);
    assert_eq!(wrong.send_from(HONEST, to).await.status, 401);
    let globex = Request::get(PRODUCTS).bearer(&world.globex.issuer.token().sign());
    assert_eq!(globex.send_from(HONEST, to).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn s5_valid_credentials_are_never_refused_at_a_name_that_many_sources_flood() {
    let world = counting(1_000_000, 20).await;
    let to = world.envoy.address();
    for (tenant, path) in [("acme", INVOICES), ("nobody", "/nobody/any-api/x")] {
        for number in 0..30 {
            let from = Ipv4Addr::new(127, 0, 1, number);
            let answer = Request::get(path).bearer("wrong").send_from(from, to).await;
            let expected = if number < 20 { (401, "invalid_token") } else { (429, "too_many_failures") };
            assert_eq!((answer.status, answer.reason().as_str()), expected, "{tenant}: failure {number}");
        }
    }
    let acme = &world.acme.issuer;
    let remembered = acme.token().sign();
    for token in [&remembered, &remembered, &acme.token().claim("jti", "first sight").sign()] {
        assert_eq!(world.send(&Request::get(INVOICES).bearer(token)).await.status, 200);
    }
    assert_eq!(world.send(&Request::get(PRODUCTS).bearer("wrong")).await.status, 401, "another name has its own count");
}

/// The real limiter, and a double that stands for an ext-authz gone wrong: it says of itself what the request's path says.
#[tokio::test(flavor = "multi_thread")]
async fn s9_whatever_ext_authz_leaves_out_somebody_pays() {
    let config = Config::examples();
    config.edit("platform.yaml", |platform| platform["spec"]["unresolved"] = json!({ "requestsPerMinute": 1 }));
    let ratelimit = Service::ratelimit(&config.path(), "memory", &[]).await;
    let upstream = Upstream::start("upstream").await;
    let to = upstream.address().to_string();
    let authorizer = Authorizer::start(move |check| {
        let http = check.attributes.as_ref().and_then(|attributes| attributes.request.as_ref()).and_then(|request| request.http.as_ref());
        let metadata: &[(&str, &str)] = match http.map(|http| http.path.as_str()) {
            Some("/acme") => &[("tenant", "acme")],
            Some("/acme/unknown") => &[("tenant", "acme"), ("subscription", "nobodys"), ("api", "nobodys")],
            Some("/nobody") => &[("tenant", "nobody")],
            Some("/empty") => &[("tenant", "")],
            Some("/odd") => &[("tenant", "acme\u{0}"), ("api", "billing-api")],
            Some("/default") => &[("tenant", descriptor::UNRESOLVED)],
            _ => &[],
        };
        Ok(with_headers(allow(metadata, Some(1.0)), &[(header::CLUSTER, cluster::HTTP), (header::UPSTREAM, &to)]))
    })
    .await;
    let envoy = Envoy::start(Shipped::contract_routing(authorizer.address(), ratelimit.grpc()).edit(patient).bootstrap()).await;
    let get = async |path: &str| Request::get(path).send(envoy.address()).await;
    assert_eq!(get("/nothing").await.status, 200, "unresolved holds one");
    for path in ["/nothing", "/nobody", "/empty", "/odd", "/default"] {
        assert_eq!(get(path).await.status, 429, "{path}");
    }
    for (path, left) in [("/acme", "1999"), ("/acme/unknown", "1998")] {
        let answer = get(path).await;
        assert_eq!((answer.status, answer.header("ratelimit-remaining")), (200, Some(left)), "{path}");
    }

    let entry = |key: &str, value: &str| Entry { key: key.to_owned(), value: value.to_owned() };
    let whole = [entry("tenant", "acme"), entry("subscription", "__none__"), entry("api", "__none__")];
    let twice = [&whole[..], &[entry("tenant", "globex")]].concat();
    let mut client = RateLimitServiceClient::connect(format!("http://{}", ratelimit.grpc())).await.expect("ratelimit listens");
    for entries in
        [None, Some(vec![]), Some(whole[..1].to_vec()), Some(whole[1..].to_vec()), Some(twice), Some(vec![entry("generic_key", "acme")])]
    {
        let descriptors = entries.into_iter().map(|entries| RateLimitDescriptor { entries, ..RateLimitDescriptor::default() }).collect();
        let request = RateLimitRequest { domain: DOMAIN.to_owned(), descriptors, hits_addend: 0 };
        let shown = format!("{request:?}");
        let answer = client.should_rate_limit(request).await.expect("an answer").into_inner();
        assert_eq!(answer.overall_code(), Code::OverLimit, "{shown}");
    }
    let foreign = RateLimitRequest { domain: "another".to_owned(), ..RateLimitRequest::default() };
    assert!(client.should_rate_limit(foreign).await.is_err(), "no silent OK for another domain either");
}

#[tokio::test(flavor = "multi_thread")]
async fn s9_a_killed_ratelimit_is_503_for_everybody_and_no_way_around_a_limit() {
    let mut world = world().start().await;
    let request = Request::get(INVOICES).bearer(&world.acme.issuer.token().sign());
    assert_eq!(world.send(&request).await.status, 200);
    world.ratelimit.kill();
    for _ in 0..20 {
        assert_eq!(world.send(&request).await.status, 503);
    }
    assert_eq!(world.acme.requests(), 1);
    world.ratelimit.restart().await;
    until_status(&world, &request, 200).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s12_a_value_of_the_wrong_type_fails_the_decisions_of_its_own_tenant_only() {
    let world = world()
        .valkey()
        .config(|config| config.edit(ACME, |tenant| tenant["spec"]["limiter"] = json!({ "onStoreFailure": "closed" })))
        .start()
        .await;
    let acme = Request::get(INVOICES).bearer(&world.acme.issuer.token().sign());
    let globex = Request::get(PRODUCTS).bearer(&world.globex.issuer.token().sign());
    assert_eq!((world.send(&acme).await.status, world.send(&globex).await.status), (200, 200));

    let client = redis::Client::open(world.valkey.as_ref().expect("a store").url()).expect("its URL");
    let mut store = client.get_multiplexed_async_connection().await.expect("the store listens");
    let keys: Vec<String> = redis::cmd("KEYS").arg("*01JDACMEEXAMPLE0000000000A*").query_async(&mut store).await.expect("keys");
    assert!(!keys.is_empty(), "acme's keys carry its uid");
    for key in &keys {
        let () = redis::pipe().del(key).ignore().lpush(key, "no bucket").ignore().query_async(&mut store).await.expect("planted");
    }
    // At the same time, so that both are in the same batches.
    let mut both = JoinSet::new();
    for (request, expected) in [(&acme, 503), (&globex, 200)] {
        for _ in 0..4 {
            let (request, to) = (request.clone(), world.envoy.address());
            both.spawn(async move {
                for _ in 0..15 {
                    assert_eq!(request.send(to).await.status, expected, "{request:?}");
                }
            });
        }
    }
    while let Some(done) = both.join_next().await {
        done.expect("every answer as expected");
    }
    assert_eq!(world.acme.requests(), 1);
    for key in &keys {
        let () = redis::cmd("DEL").arg(key).query_async(&mut store).await.expect("removed");
    }
    assert_eq!(world.send(&acme).await.status, 200);
}

/// A service that is healthy, takes a call, and dies of it: its connection ends without an answer.
async fn dying() -> (SocketAddr, Arc<AtomicU64>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
    let address = listener.local_addr().expect("a bound listener has an address");
    let calls = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&calls);
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let count = Arc::clone(&count);
            tokio::spawn(async move {
                let Ok(mut connection) = h2::server::handshake(socket).await else { return };
                while let Some(Ok((request, mut answer))) = connection.accept().await {
                    if !request.uri().path().starts_with("/grpc.health.v1.Health/") {
                        count.fetch_add(1, Ordering::SeqCst);
                        return;
                    }
                    let head = http::Response::builder().header("content-type", "application/grpc").body(()).expect("a head");
                    let Ok(mut stream) = answer.send_response(head, false) else { return };
                    // A HealthCheckResponse that says SERVING, in one gRPC frame.
                    drop(stream.send_data(Bytes::from_static(&[0, 0, 0, 0, 2, 8, 1]), false));
                    let mut trailers = http::HeaderMap::new();
                    trailers.insert("grpc-status", http::HeaderValue::from_static("0"));
                    drop(stream.send_trailers(trailers));
                }
            });
        }
    });
    (address, calls)
}

#[tokio::test(flavor = "multi_thread")]
async fn s24_a_service_that_dies_of_a_call_is_not_asked_again() {
    let upstream = Upstream::start("upstream").await;
    let to = upstream.address().to_string();
    let authorizer = Authorizer::start(move |_| {
        Ok(with_headers(allow(&[("tenant", "acme")], Some(1.0)), &[(header::CLUSTER, cluster::HTTP), (header::UPSTREAM, &to)]))
    })
    .await;
    let limiter = Limiter::admitting().await;
    let (dying, calls) = dying().await;
    for (ext_authz, ratelimit) in [(authorizer.address(), dying), (dying, limiter.address())] {
        let envoy = Envoy::start(Shipped::contract_routing(ext_authz, ratelimit).edit(patient).bootstrap()).await;
        calls.store(0, Ordering::SeqCst);
        assert_eq!(Request::get("/").send(envoy.address()).await.status, 503);
        assert_eq!(calls.load(Ordering::SeqCst), 1);
    }
    assert_eq!(upstream.requests(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn s24_a_limiter_that_is_killed_in_the_middle_of_a_decision_has_charged_once_at_the_most() {
    let mut world = world()
        .valkey()
        .config(|config| {
            config.edit("namespaces/tenant-acme/guardrails.yaml", |policy| {
                policy["spec"]["rateLimit"] = json!({ "requestsPerMinute": 1, "burstMultiplier": 8.0 });
            });
        })
        .start()
        .await;
    let request = Request::get(INVOICES).bearer(&world.acme.issuer.token().sign());
    assert_eq!(world.send(&request).await.header("ratelimit-remaining"), Some("7"));

    world.valkey.as_ref().expect("a store").pause();
    let (waiting, to) = (request.clone(), world.envoy.address());
    let waiting = tokio::spawn(async move { waiting.send(to).await.status });
    deadline::until("the limiter to be in the middle of it", PATIENCE, || async {
        (world.envoy.stat("cluster.ratelimit.upstream_rq_active").await > 0).then_some(())
    })
    .await;
    world.ratelimit.kill();
    assert_eq!(waiting.await.expect("an answer"), 503);
    world.valkey.as_ref().expect("a store").resume();
    world.ratelimit.restart().await;
    let answer = until_status(&world, &request, 200).await;
    let left = answer.header("ratelimit-remaining").expect("what is left").to_owned();
    assert!(left == "6" || left == "5", "{left}");
    assert_eq!(world.acme.requests(), 2);
}

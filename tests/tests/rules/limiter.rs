//! Who may use how much, when something is missing, wrong or dead: S9, S12, S24, S25.

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
    client::Request,
    config::Config,
    deadline::{self, PATIENCE},
    double::{Authorizer, Limiter, allow, with_headers},
    envoy::{
        Envoy,
        shipped::{Shipped, patient},
    },
    service::Service,
    upstream::Upstream,
};
use serde_json::json;
use tokio::{net::TcpListener, task::JoinSet};

use super::{ACME, INVOICES, PRODUCTS, until_status, world};

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
        Ok(with_headers(allow(metadata, Some(1.0)), &[(header::CLUSTER, cluster::HTTP), (header::UPSTREAM, &to), (header::ADDRESS, &to)]))
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
async fn s9_a_killed_ext_authz_is_503_on_the_users_own_routes_too() {
    let mut world = world().own_routes().start().await;
    let request = Request::get(INVOICES).bearer(&world.acme.issuer.token().sign());
    assert_eq!(world.send(&request).await.status, 200);
    world.ext_authz.kill();
    for request in [&request, &Request::get(INVOICES), &Request::get(PRODUCTS), &Request::get("/billing/invoices")] {
        assert_eq!(world.send(request).await.status, 503, "{request:?}");
    }
    assert_eq!((world.acme.requests(), world.globex.requests()), (1, 0));
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
        Ok(with_headers(
            allow(&[("tenant", "acme")], Some(1.0)),
            &[(header::CLUSTER, cluster::HTTP), (header::UPSTREAM, &to), (header::ADDRESS, &to)],
        ))
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

/// Neither acme's plan nor globex's states a guarantee: each has an equal share of half of the whole, ten a minute, and so one at any moment.
#[tokio::test(flavor = "multi_thread")]
async fn s25_a_tenant_without_a_stated_guarantee_is_served_while_another_saturates_the_platform() {
    let world = world()
        .config(|config| {
            config.edit("platform.yaml", |platform| {
                platform["spec"]["rateLimit"] = json!({ "requestsPerMinute": 40, "burstMultiplier": 1.0 });
            });
            config.edit_all("plans.yaml", |plans| {
                for plan in plans {
                    plan["spec"].as_object_mut().expect("a spec").remove("guaranteed");
                }
            });
        })
        .start()
        .await;
    let globex = Request::get(PRODUCTS).bearer(&world.globex.issuer.token().sign());
    let refused = until_status(&world, &globex, 429).await;
    assert_eq!(refused.json()["scope"], "global");
    let acme = Request::get(INVOICES).bearer(&world.acme.issuer.token().sign());
    assert_eq!(world.send(&acme).await.status, 200, "its own share is nobody else's to use up");
}

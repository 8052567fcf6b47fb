//! Chains and services of both kinds beside each other, on one store.

use std::net::SocketAddr;

use bulkhead_tests::{
    client::{Connection, Request},
    envoy::{
        Envoy,
        shipped::{Shipped, manager, patient},
    },
    service::Service,
    world::World,
};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::{holding, invoices, world};

/// How many requests acme has.
const HELD: u64 = 40;

/// The chain with the rate limit filter, before this ext-authz.
async fn with_filter(world: &World, ext_authz: SocketAddr, change: impl FnOnce(&mut Value)) -> Envoy {
    let (billing, inventory) = (world.acme.upstream("billing").address(), world.globex.upstream("inventory").address());
    let file = Shipped::own_routes(ext_authz, world.ratelimit.grpc(), billing, inventory);
    Envoy::start(file.edit(patient).edit(change).bootstrap()).await
}

/// An ext-authz without a store.
async fn without_store(world: &World) -> Service {
    Service::ext_authz(&world.config.path(), &["--body", "on", "--process", "on", "--keys-ahead", "off"]).await
}

/// Sends so often, and gives how many were let through; all others were over the limit.
async fn flood(to: SocketAddr, request: Request, times: u64) -> u64 {
    let mut connection = Connection::open(to).await;
    let mut served = 0;
    for _ in 0..times {
        match connection.send(&request).await.status {
            200 => served += 1,
            429 => {}
            other => panic!("{other}"),
        }
    }
    served
}

/// Each gateway is flooded along three connections; how many were let through in all.
async fn floods(gateways: &[&Envoy], request: &Request) -> u64 {
    let mut floods = JoinSet::new();
    for envoy in gateways {
        for _ in 0..3 {
            floods.spawn(flood(envoy.address(), request.clone(), 25));
        }
    }
    floods.join_all().await.into_iter().sum()
}

/// How often Envoy asked ratelimit, its health left out.
async fn asked(envoy: &Envoy) -> u64 {
    envoy.stat("cluster.ratelimit.upstream_rq_total").await
}

/// One Envoy each: neither hop, both services with and without a store behind the filter, and both of them behind one filter.
#[tokio::test(flavor = "multi_thread")]
async fn a_mixed_fleet_takes_each_request_from_the_store_once() {
    let world = world().config(holding(u32::try_from(HELD).expect("few"))).start().await;
    let plain = without_store(&world).await;
    let charging = with_filter(&world, world.ext_authz.grpc(), |_| {}).await;
    let uncharging = with_filter(&world, plain.grpc(), |_| {}).await;
    let (one, two) = (world.ext_authz.grpc(), plain.grpc());
    let both = with_filter(&world, one, |bootstrap| {
        let cluster = bulkhead_tests::envoy::shipped::cluster(bootstrap, "ext-authz");
        let endpoints = &mut cluster["load_assignment"]["endpoints"][0]["lb_endpoints"];
        let mut second = endpoints[0].clone();
        second["endpoint"]["address"]["socket_address"]["port_value"] = two.port().into();
        endpoints.as_array_mut().expect("endpoints").push(second);
    })
    .await;

    // One after the other first, where each answer must say what is left.
    let request = invoices(&world);
    for (envoy, left) in [(&world.envoy, 39), (&charging, 38), (&uncharging, 37), (&charging, 36), (&world.envoy, 35)] {
        let answer = request.send(envoy.address()).await;
        assert_eq!((answer.status, answer.header("ratelimit-remaining")), (200, Some(left.to_string().as_str())));
    }
    let served = 5 + floods(&[&world.envoy, &charging, &uncharging, &both], &request).await;
    assert_eq!((served, world.acme.requests()), (HELD, HELD), "one token a request: none twice, none for nothing");
    assert_eq!(asked(&charging).await, 0, "what is charged already makes no descriptor");
    assert!(asked(&uncharging).await >= 75, "and what is not makes one");
    let asked_of_both = asked(&both).await;
    assert!((1..75).contains(&asked_of_both), "{asked_of_both} of 75");
    // What is over the limit is told so, and nobody is asked a second time.
    let denied = request.send(charging.address()).await;
    assert_eq!((denied.status, denied.json()["scope"].as_str()), (429, Some("tenant")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mixed_fleet_with_leases_admits_no_more_than_the_limit() {
    let world = world()
        .config(holding(u32::try_from(HELD).expect("few")))
        .config(|config| config.edit("platform.yaml", |platform| platform["spec"]["limiter"] = json!({ "mode": "leased", "replicas": 2 })))
        .start()
        .await;
    let plain = without_store(&world).await;
    let uncharging = with_filter(&world, plain.grpc(), |_| {}).await;
    let served = floods(&[&world.envoy, &uncharging], &invoices(&world)).await;
    assert_eq!(served, world.acme.requests());
    assert!((1..=HELD).contains(&served), "{served} of {HELD}");
}

/// A chain that leaves limits to Check, before an ext-authz that was given no store: everybody would pass.
#[tokio::test(flavor = "multi_thread")]
async fn a_chain_that_nobody_charges_is_closed() {
    let world = world().start().await;
    let plain = without_store(&world).await;
    let (billing, inventory) = (world.acme.upstream("billing").address(), world.globex.upstream("inventory").address());
    let envoy = Envoy::start(Shipped::one_hop(plain.grpc(), billing, inventory).edit(patient).bootstrap()).await;
    let request = invoices(&world);
    let answer = request.send(envoy.address()).await;
    assert_eq!((answer.status, answer.reason().as_str()), (503, "unavailable"));
    // A route's own context is added to what is said of all routes, and unsays nothing.
    let bound = request.clone().at("/billing/invoices");
    assert_eq!(bound.send(envoy.address()).await.status, 503);
    assert_eq!(world.acme.requests(), 0);
    for request in [request, bound] {
        assert_eq!(world.send(&request).await.status, 200);
    }
}

/// Neither service is asked there: `check-envoy` names such a route.
#[tokio::test(flavor = "multi_thread")]
async fn a_route_that_switches_ext_authz_off_is_charged_by_nobody() {
    let world = world().start().await;
    let off = json!({ "@type": "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute", "disabled": true });
    let change = move |bootstrap: &mut Value| {
        manager(bootstrap)["route_config"]["virtual_hosts"][0]["typed_per_filter_config"] = json!({ "envoy.filters.http.ext_authz": off });
    };
    let envoy = with_filter(&world, world.ext_authz.grpc(), change).await;
    let answer = Request::get(super::INVOICES).send(envoy.address()).await;
    assert_eq!((answer.status, asked(&envoy).await), (200, 0));
}

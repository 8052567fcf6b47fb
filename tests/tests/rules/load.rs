//! What one tenant's load does to another, and a flood of strangers to everybody: S4, S5.

use std::net::Ipv4Addr;

use bulkhead_tests::{
    client::{Connection, Request},
    config::Config,
    deadline::{self, PATIENCE},
    envoy::{Envoy, shipped::manager},
    issuer::Issuer,
    upstream::Upstream,
    world::World,
};
use serde_json::{Value, json};
use tokio::{net::TcpStream, task::JoinSet};

use super::{INVOICES, PRODUCTS, world};

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
    // The token is known from here on: a hundred of its first sights at once would be over acme's cap on those (S5).
    let orders = Request::get("/acme/orders-api/open").header("authorization", &authorization);
    assert_eq!(world.send(&orders).await.status, 200);
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
    assert_eq!(world.send(&orders).await.status, 200, "not even the same tenant's other upstream");
    assert!(in_flight(&world.envoy).await >= SLOW, "all this time they were in flight");
    // 128, and what Envoy's two threads open at the same moment.
    let reached = world.acme.upstream("billing").requests();
    assert!((1..=160).contains(&reached), "one host has its own bound on connections, and the rest waits: {reached}");
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
    counting_with(per_source, per_tenant, |_| ()).await
}

async fn counting_with(per_source: u32, per_tenant: u32, change: fn(&mut Value)) -> World {
    world()
        .bootstrap(change)
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

/// Envoy shows ext_authz the peer of the connection, and nothing that a header says, whatever it is told to trust. So a count is a wall
/// for whoever stands behind one address: behind a balancer, PROXY protocol tells the addresses apart.
#[tokio::test(flavor = "multi_thread")]
async fn s5_the_source_is_the_peer_even_where_envoy_trusts_the_hop_before_it() {
    let world = counting_with(10, 1_000_000, |bootstrap| manager(bootstrap)["xff_num_trusted_hops"] = 1.into()).await;
    let to = world.envoy.address();
    let wrong = Request::get(INVOICES).bearer("wrong");
    for number in 0..10 {
        let answer = wrong.clone().header("x-forwarded-for", &format!("203.0.113.{number}")).send_from(FLOODING, to).await;
        assert_eq!(answer.status, 401);
    }
    assert_eq!(wrong.clone().header("x-forwarded-for", "203.0.113.99").send_from(FLOODING, to).await.status, 429);
    assert_eq!(wrong.clone().header("x-forwarded-for", "203.0.113.1").send_from(HONEST, to).await.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn s5_behind_a_balancer_the_proxy_protocol_tells_sources_apart() {
    let world = counting_with(10, 1_000_000, |bootstrap| {
        let filter = "type.googleapis.com/envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol";
        bootstrap["static_resources"]["listeners"][0]["listener_filters"] =
            json!([{ "name": "envoy.filters.listener.proxy_protocol", "typed_config": { "@type": filter } }]);
    })
    .await;
    let token = world.acme.issuer.token().sign();
    let send = async |from: &str, token: &str| {
        let wire = format!(
            "PROXY TCP4 {from} 127.0.0.1 40000 80\r\nGET {INVOICES} HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {token}\r\n\r\n"
        );
        Connection::open(world.envoy.address()).await.send_raw(wire.as_bytes()).await.status
    };
    for _ in 0..10 {
        assert_eq!(send("203.0.113.7", "wrong").await, 401);
    }
    assert_eq!((send("203.0.113.7", "wrong").await, send("203.0.113.7", &token).await), (429, 429));
    assert_eq!((send("203.0.113.8", "wrong").await, send("203.0.113.8", &token).await), (401, 200));
}

#[tokio::test(flavor = "multi_thread")]
async fn s5_strangers_share_one_small_bucket_and_drown_no_tenant() {
    let world = world()
        .config(|config| config.edit("platform.yaml", |platform| platform["spec"]["unresolved"] = json!({ "requestsPerMinute": 3 })))
        .start()
        .await;
    let strangers = [
        Request::get(INVOICES),
        Request::get(PRODUCTS).bearer("nonsense"),
        Request::get("/nobody/any-api/x").bearer(&Issuer::start("stranger").await.token().sign()),
    ];
    for request in &strangers {
        assert_eq!(world.send(request).await.status, 401, "{request:?}");
    }
    for request in &strangers {
        let answer = world.send(request).await;
        assert_eq!((answer.status, answer.reason().as_str()), (429, "too_many_failures"), "{request:?}");
    }
    let acme = world.acme.issuer.token();
    assert_eq!(world.send(&Request::get(INVOICES).bearer(&acme.sign())).await.status, 200);
    assert_eq!(
        world.send(&Request::get(INVOICES).bearer(&acme.claim("exp", 1).sign())).await.status,
        401,
        "an own expired token is told so"
    );
    assert_eq!(world.send(&Request::get(PRODUCTS).bearer(&world.globex.issuer.token().sign())).await.status, 200);
}

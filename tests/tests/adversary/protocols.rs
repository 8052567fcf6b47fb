//! The same boundary in other protocols: HTTP/2, gRPC, upgrades.

use bulkhead_proto::contract::header;
use bulkhead_tests::{
    client::Request,
    deadline::{self, PATIENCE},
    world::World,
};
use tokio::net::TcpStream;

use crate::{
    paths::ESCAPES,
    stage::{INVOICES, PRODUCTS, Stage, answered, denied, once, reached, refused_by_envoy, served},
};

/// Sends a request over HTTP/2 that has both an `:authority` and a `host`; the status.
async fn with_authority(world: &World, authority: &str, host: &str, path: &str, token: &str) -> Result<u16, h2::Error> {
    let stream = TcpStream::connect(world.envoy.address()).await.unwrap();
    let (client, connection) = h2::client::handshake(stream).await?;
    let driving = tokio::spawn(connection);
    let request = http::Request::get(format!("http://{authority}{path}"))
        .header("host", host)
        .header("authorization", format!("Bearer {token}"))
        .header("x-test-mark", "with-authority")
        .body(())
        .unwrap();
    let status = client.ready().await?.send_request(request, true)?.0.await?.status().as_u16();
    driving.abort();
    Ok(status)
}

#[tokio::test(flavor = "multi_thread")]
async fn over_http2_the_authority_decides_and_a_host_beside_it_does_not() {
    let stage = Stage::contract().await;
    let acme = stage.acme.issuer.token().sign();
    let (own, other) = ("billing.acme.example.com", "inventory.globex.example.com");
    for (authority, host, path) in [(other, own, "/invoices"), (other, own, INVOICES), (own, other, PRODUCTS), (own, own, PRODUCTS)] {
        let status = deadline::until("an answer", PATIENCE, || async {
            let status = with_authority(&stage, authority, host, path, &acme).await;
            (!matches!(status, Ok(503))).then_some(status)
        });
        // Envoy answers, or resets a stream that contradicts itself.
        let status = status.await;
        assert!(matches!(status, Ok(400 | 401) | Err(_)), "{authority} {host} {path}: {status:?}");
    }
    assert_eq!(reached(&stage, "with-authority"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn over_http2_forged_headers_and_odd_paths_fare_no_better() {
    let stage = Stage::bare().await;
    let acme = stage.acme.issuer.token().sign();
    let answer = |request: Request| {
        let stage = &stage;
        async move {
            deadline::until("an answer over HTTP/2", PATIENCE, || async {
                let answer = request.send_http2(stage.envoy.address()).await;
                (answer.status != 503).then_some(answer)
            })
            .await
        }
    };
    let forged = header::IDENTITY.iter().chain(&header::FOREIGN).fold(Request::get(INVOICES).bearer(&acme), |request, name| {
        request.header(name, "globex").header(name, "globex").header(&name.replace('-', "_"), "globex")
    });
    let seen = answer(forged).await.seen();
    assert_eq!((seen.upstream.as_str(), seen.header(header::TENANT)), ("acme-billing", vec!["acme"]));
    assert!(!format!("{seen:?}").contains("globex"), "{seen:?}");
    let before = stage.globex.requests();
    let refused = answer(Request::get(PRODUCTS).bearer(&acme).header(header::TENANT, "globex")).await;
    assert_eq!((refused.status, refused.reason().as_str()), (401, "wrong_tenant"));
    for path in ESCAPES {
        let refused = answer(Request::get(path).bearer(&acme)).await;
        assert_eq!((refused.status, refused.reason().as_str()), (400, "bad_path"), "{path}");
    }
    assert_eq!(stage.globex.requests(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denied_grpc_call_is_denied_though_its_status_is_200() {
    for stage in [Stage::contract().await, Stage::own_routes().await] {
        let acme = stage.acme.issuer.token().sign();
        for kind in ["application/grpc", "application/grpc+proto"] {
            let call = |path: &str| Request::post(path, vec![0; 5]).header("content-type", kind).header("te", "trailers");
            for request in [call(PRODUCTS), call(PRODUCTS).bearer(&acme), call(INVOICES).bearer("a.b.c")] {
                let refused = deadline::until("an answer", PATIENCE, || async {
                    let (answer, hits) = once(&stage, &request).await;
                    assert_eq!(hits, 0, "{request:?}");
                    // gRPC's UNAVAILABLE is Envoy's 503.
                    (answer.header("grpc-status") != Some("14")).then_some(answer)
                })
                .await;
                assert!(refused.header("grpc-status").is_some_and(|status| status != "0"), "{refused:?}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_is_no_way_around_the_decision() {
    for stage in [Stage::contract().await, Stage::own_routes().await] {
        let acme = stage.acme.issuer.token().sign();
        for protocol in ["websocket", "h2c", "connect-udp", "anything"] {
            let upgrade = |path: &str| {
                let request = Request::get(path).header("connection", "Upgrade, HTTP2-Settings").header("upgrade", protocol);
                request.header("http2-settings", "AAMAAABkAAQCAAAAAAIAAAAA").header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
            };
            for request in [upgrade(PRODUCTS), upgrade(PRODUCTS).bearer(&acme)] {
                let answer = answered(&stage, &request).await;
                assert!([400, 401, 403, 404].contains(&answer.status), "{protocol}: {} {}", answer.status, answer.text());
            }
            let answer = answered(&stage, &upgrade(INVOICES).bearer(&acme)).await;
            let plain = answer.status == 200 && answer.seen().header("upgrade").is_empty();
            assert!(plain || [400, 403, 404].contains(&answer.status), "{protocol}: {}", answer.status);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_the_client_claims_is_not_its_own() {
    let stage = Stage::contract().await;
    let acme = stage.acme.issuer.token().sign();
    let claimed = |request: Request| {
        let request = request.header("x-forwarded-for", "10.0.0.1, 127.0.0.1").header("x-real-ip", "127.0.0.1");
        request.header("x-envoy-internal", "true").header("x-envoy-external-address", "127.0.0.1").header("forwarded", "for=127.0.0.1")
    };
    // Until the keys are there a foreign address is told no more than that the token is not valid (S22).
    let seen = served(&stage, &claimed(Request::get(INVOICES)).bearer(&acme)).await;
    denied(&stage, &claimed(Request::get(PRODUCTS)).bearer(&acme), 401, "wrong_tenant").await;
    denied(&stage, &claimed(Request::get(INVOICES)), 401, "no_credentials").await;
    assert_ne!(seen.header("x-envoy-internal"), ["true"]);
    refused_by_envoy(&stage, &claimed(Request::get(INVOICES)).header("x_forwarded_for", "127.0.0.1").bearer(&acme)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_request_that_is_paid_for_reaches_its_upstream_once() {
    // Headers by which Envoy lets an internal client ask for retries: even of an answer that is well.
    for stage in [Stage::contract().await, Stage::own_routes().await] {
        let retried = Request::get(INVOICES)
            .bearer(&stage.acme.issuer.token().sign())
            .header("x-envoy-retry-on", "5xx,gateway-error,retriable-status-codes")
            .header("x-envoy-retriable-status-codes", "200")
            .header("x-envoy-retry-grpc-on", "unavailable")
            .header("x-envoy-max-retries", "5")
            .header("x-envoy-hedge-on-per-try-timeout", "true")
            .header("x-envoy-upstream-rq-per-try-timeout-ms", "1")
            .header("x-envoy-upstream-rq-timeout-ms", "1")
            .header("x-envoy-decorator-operation", "globex");
        // `served` counts what reached the upstream.
        served(&stage, &retried).await;
    }
}

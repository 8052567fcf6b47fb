//! The other ports: `/json`, `/healthcheck`, `/rlconfig`, `/stats`.

use bulkhead_tests::{
    client::{Connection, Request},
    deadline::{self, PATIENCE},
    valkey::Valkey,
};
use serde_json::json;
use tonic::transport::Channel;
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};

use crate::standing_in::StandIn;

const RULES: &str = "domain: d\ndescriptors: [{ key: k, rate_limit: { unit: year, requests_per_unit: 1 } }]\n";

#[tokio::test]
async fn json_answers_as_the_original_does() {
    let service = StandIn::in_memory(&[], RULES).await;
    let ask = |body: &str| {
        let (request, to) = (Request::post("/json", body), service.http);
        async move { request.send(to).await }
    };
    let call = r#"{"domain": "d", "descriptors": [{"entries": [{"key": "k", "value": "a"}]}], "hitsAddend": 1}"#;
    let ok = ask(call).await;
    assert_eq!((ok.status, ok.header("content-type")), (200, Some("application/json")));
    let told = ok.json();
    assert_eq!(told["overallCode"], "OK");
    assert_eq!(told["statuses"][0]["currentLimit"], json!({ "requestsPerUnit": 1, "unit": "YEAR" }));
    let over = ask(&call.replace("hitsAddend", "hits_addend")).await;
    assert_eq!((over.status, over.json()["overallCode"].as_str()), (429, Some("OVER_LIMIT")));
    for body in ["", "{", "[]", r#"{"nonsense": 1}"#, r#"{"domain": "", "descriptors": [{}]}"#, r#"{"domain": "d"}"#, "\u{1}"] {
        assert_eq!(ask(body).await.status, 400, "{body:?}");
    }
    assert_eq!(Request::post("/json", vec![0xff, 0xfe]).send(service.http).await.status, 400);
    assert_eq!(
        ask(r#"{"domain": "bulkhead", "descriptors": [{"entries": [{"key": "tenant", "value": "acme"}]}]}"#).await.status,
        400,
        "S2"
    );
}

#[tokio::test]
async fn one_connection_may_ask_many_times() {
    let service = StandIn::in_memory(&[], RULES).await;
    let mut connection = Connection::open(service.http).await;
    for value in ["a", "b", "c"] {
        let body = json!({ "domain": "d", "descriptors": [{ "entries": [{ "key": "k", "value": value }] }] }).to_string();
        assert_eq!(connection.send(&Request::post("/json", body)).await.status, 200);
    }
}

#[tokio::test]
async fn the_debug_port_shows_rules_and_statistics() {
    let service = StandIn::in_memory(&[], RULES).await;
    assert!(service.rlconfig().await.starts_with("d.k: unit=YEAR requests_per_unit=1, shadow_mode: false"), "{}", service.rlconfig().await);
    let root = Request::get("/").send(service.debug).await.text();
    assert!(root.contains("/rlconfig: ") && root.contains("/stats: "), "{root}");
    assert_eq!(service.stat("ratelimit.service.config_load_success").await, 1);
}

#[tokio::test]
async fn health_turns_500_when_it_is_asked_to_end() {
    let mut service = StandIn::start_with(&[("BULKHEAD_RATELIMIT_DRAIN_DELAY", "60s")], &[("d.yaml", RULES)], &["--store", "memory"]).await;
    let health = |to| async move { Request::get("/healthcheck").send(to).await };
    let ok = health(service.http).await;
    assert_eq!((ok.status, ok.text().as_str()), (200, "OK"));
    let mut grpc = HealthClient::new(Channel::from_shared(format!("http://{}", service.grpc)).unwrap().connect().await.unwrap());
    let ask = HealthCheckRequest { service: "ratelimit".to_owned() };
    deadline::until("gRPC health", PATIENCE, || {
        let (mut grpc, ask) = (grpc.clone(), ask.clone());
        async move { (grpc.check(ask).await.unwrap().into_inner().status() == ServingStatus::Serving).then_some(()) }
    })
    .await;
    let asked = std::process::Command::new("kill").arg("-TERM").arg(service.process.id().to_string()).status();
    assert!(asked.unwrap().success());
    let to = service.http;
    deadline::until("500", PATIENCE, || async move { (health(to).await.status == 500).then_some(()) }).await;
    deadline::until("NOT_SERVING", PATIENCE, || {
        let (mut grpc, ask) = (grpc.clone(), ask.clone());
        async move { (grpc.check(ask).await.unwrap().into_inner().status() == ServingStatus::NotServing).then_some(()) }
    })
    .await;
    assert!(service.process.ended().is_none(), "it drains");
    let _ = grpc.check(ask).await;
}

#[tokio::test]
async fn health_may_ask_for_rules() {
    let empty = StandIn::start_with(&[("HEALTHY_WITH_AT_LEAST_ONE_CONFIG_LOADED", "true")], &[], &["--store", "memory"]).await;
    assert_eq!(Request::get("/healthcheck").send(empty.http).await.status, 500);
    empty.write("d.yaml", RULES);
    deadline::until("health", PATIENCE, || async { (Request::get("/healthcheck").send(empty.http).await.status == 200).then_some(()) })
        .await;
}

async fn healthy(service: &StandIn) -> bool {
    Request::get("/healthcheck").send(service.http).await.status == 200
}

#[tokio::test]
async fn nobody_is_healthy_before_its_stores_decided_once() {
    let (mut main, mut second) = (Valkey::start().await, Valkey::start().await);
    let (main_url, second_url) = (main.url(), second.url());
    let stores = [("REDIS_URL", main_url.as_str()), ("REDIS_PERSECOND", "true"), ("REDIS_PERSECOND_URL", second_url.as_str())];
    second.kill();
    let once = StandIn::start(&stores, &[("d.yaml", RULES)]).await;
    assert!(!healthy(&once).await, "one of its stores never decided");
    let mut grpc = HealthClient::new(Channel::from_shared(format!("http://{}", once.grpc)).unwrap().connect().await.unwrap());
    let told = grpc.check(HealthCheckRequest { service: "ratelimit".to_owned() }).await.unwrap();
    assert_eq!(told.into_inner().status(), ServingStatus::NotServing);
    second.restart().await;
    deadline::until("health", PATIENCE, || async { healthy(&once).await.then_some(()) }).await;
    let watching = [&stores[..], &[("REDIS_HEALTH_CHECK_ACTIVE_CONNECTION", "true")]].concat();
    let watching = StandIn::start(&watching, &[("d.yaml", RULES)]).await;
    deadline::until("health", PATIENCE, || async { healthy(&watching).await.then_some(()) }).await;
    main.kill();
    deadline::until("no health", PATIENCE, || async { (!healthy(&watching).await).then_some(()) }).await;
    assert!(healthy(&once).await, "it asked no more than that");
}

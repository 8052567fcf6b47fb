//! Rules from a management server, as Envoy Gateway runs the original: xDS, and a start that need not wait for it.

#[path = "../dropin_config/xds/server.rs"]
#[allow(dead_code, reason = "a part of it is for the client's own tests")]
mod server;

use bulkhead_proto::pb::ratelimit::config::ratelimit::v3::RateLimitUnit;
use bulkhead_tests::{
    deadline::{self, PATIENCE},
    port::free_address,
};

use self::server::{Server, config, descriptor, limited, resource, type_url};
use crate::{
    case::{call, told},
    standing_in::StandIn,
};

#[tokio::test]
async fn it_waits_for_its_first_rules_and_follows_the_next() {
    let address = free_address();
    let mut server = Server::start(address, None).await;
    let url = address.to_string();
    let rules = |limit| vec![resource(&config("one", "default/limits", &[limited(descriptor("k", ""), limit, RateLimitUnit::Year)]))];
    let variables = [("CONFIG_TYPE", "GRPC_XDS_SOTW"), ("CONFIG_GRPC_XDS_SERVER_URL", url.as_str()), ("RUNTIME_ROOT", "")];
    // It listens only once there are rules: the server sends them when it is asked.
    let starting = StandIn::start_with(&variables, &[], &["--store", "memory"]);
    let (service, ()) = tokio::join!(starting, server.send(type_url(), "v1", rules(5)));
    assert_eq!(told(&service.ask(call("default/limits: k=a")).await.unwrap()), "ok ok4");
    server.send(type_url(), "v2", rules(9)).await;
    service.until_stat("ratelimit.service.config_load_success", 2).await;
    assert_eq!(told(&service.ask(call("default/limits: k=a")).await.unwrap()), "ok ok7");
}

#[tokio::test]
async fn a_forced_start_serves_without_rules_until_they_come() {
    let address = free_address();
    let url = address.to_string();
    let variables = [
        ("CONFIG_TYPE", "GRPC_XDS_SOTW"),
        ("CONFIG_GRPC_XDS_SERVER_URL", url.as_str()),
        ("XDS_CLIENT_BACKOFF_INITIAL_INTERVAL", "50ms"),
        ("XDS_CLIENT_BACKOFF_MAX_INTERVAL", "100ms"),
        ("FORCE_START_WITHOUT_INITIAL_CONFIG", "true"),
    ];
    let service = StandIn::start_with(&variables, &[], &["--store", "memory"]).await;
    let status = service.ask(call("d: k=a")).await.unwrap_err();
    assert_eq!(status.message(), "no rate limit configuration loaded");
    let mut server = Server::start(address, None).await;
    server.send(type_url(), "v1", vec![resource(&config("one", "d", &[limited(descriptor("k", ""), 5, RateLimitUnit::Year)]))]).await;
    let first = deadline::until("rules", PATIENCE, || async { service.ask(call("d: k=a")).await.ok() }).await;
    assert_eq!(told(&first), "ok ok4");
}

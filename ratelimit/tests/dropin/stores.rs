//! Stores by the original's variables: away, back, and a second one for windows of a second.

use bulkhead_tests::{
    deadline::{self, PATIENCE},
    valkey::Valkey,
};

use crate::{
    case::{call, told},
    standing_in::StandIn,
};

const RULES: &str = "domain: d
descriptors:
- { key: second, rate_limit: { unit: second, requests_per_unit: 1000000 } }
- { key: year, rate_limit: { unit: year, requests_per_unit: 5 } }
";

const REDIS_ERROR: &str = "ratelimit.service.call.should_rate_limit.redis_error";

/// `127.0.0.1:PORT`.
fn host(valkey: &Valkey) -> String {
    valkey.url().trim_start_matches("redis://").to_owned()
}

#[tokio::test]
async fn a_store_that_is_away_is_a_plain_error_and_comes_back() {
    let mut valkey = Valkey::start().await;
    let url = valkey.url();
    // Both forms of REDIS_URL are taken; this is the one with a scheme.
    let service = StandIn::start(&[("REDIS_SOCKET_TYPE", "tcp"), ("REDIS_URL", &url)], &[("d.yaml", RULES)]).await;
    assert_eq!(told(&service.ask(call("d: year=a")).await.unwrap()), "ok ok4");
    valkey.kill();
    let status = service.ask(call("d: year=a")).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::Unknown, "{status}");
    assert_eq!(service.stat(REDIS_ERROR).await, 1);
    assert_eq!(told(&service.ask(call("d: other=a")).await.unwrap()), "ok -", "what meets no limit asks no store");
    valkey.restart().await;
    let counted = deadline::until("the store to be used again", PATIENCE, || async { service.ask(call("d: year=b")).await.ok() }).await;
    assert_eq!(told(&counted), "ok ok4");
}

#[tokio::test]
async fn windows_of_a_second_have_a_store_of_their_own() {
    let (main, mut second) = (Valkey::start().await, Valkey::start().await);
    let (main_host, second_host) = (host(&main), host(&second));
    let variables = [
        ("REDIS_SOCKET_TYPE", "tcp"),
        ("REDIS_URL", main_host.as_str()),
        ("REDIS_PERSECOND", "true"),
        ("REDIS_PERSECOND_SOCKET_TYPE", "tcp"),
        ("REDIS_PERSECOND_URL", second_host.as_str()),
    ];
    let service = StandIn::start(&variables, &[("d.yaml", RULES)]).await;
    assert!(told(&service.ask(call("d: second=a | year=a")).await.unwrap()).starts_with("ok ok"));
    second.kill();
    assert!(service.ask(call("d: second=a")).await.is_err(), "nobody but the second store counts seconds");
    assert_eq!(told(&service.ask(call("d: year=a")).await.unwrap()), "ok ok3", "and it counts nothing else");
    assert!(service.ask(call("d: second=a | year=a")).await.is_err());
}

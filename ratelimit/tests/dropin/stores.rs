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
async fn redis_timeout_is_how_long_a_store_may_take() {
    let valkey = Valkey::start().await;
    let url = valkey.url();
    let store = [("REDIS_SOCKET_TYPE", "tcp"), ("REDIS_URL", url.as_str())];
    // 10 seconds unless it is said otherwise.
    let service = StandIn::start(&store, &[("d.yaml", RULES)]).await;
    // Longer than the second that connecting to it may take.
    let short = [&store[..], &[("REDIS_TIMEOUT", "1500ms")]].concat();
    let hasty = StandIn::start(&short, &[("d.yaml", RULES)]).await;
    valkey.pause();
    let mut client = service.client().await;
    let waiting = tokio::spawn(async move { client.should_rate_limit(call("d: year=a")).await });
    assert!(hasty.ask(call("d: year=b")).await.is_err(), "its time is over");
    assert!(!waiting.is_finished(), "it waits");
    valkey.resume();
    assert_eq!(told(waiting.await.unwrap().unwrap().get_ref()), "ok ok4");
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

/// A hundred calls at the same time on a limit of 40, and a sibling of 60; gives how many passed.
async fn rush(service: &StandIn) -> usize {
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let mut client = service.client().await;
        calls.spawn(async move { client.should_rate_limit(call("d: narrow=a | wide=b")).await.unwrap().into_inner() });
    }
    calls.join_all().await.iter().filter(|answer| told(answer).starts_with("ok")).count()
}

#[tokio::test]
async fn a_rush_passes_exactly_what_fits() {
    let rules = "domain: d\ndescriptors:\n- { key: narrow, rate_limit: { unit: year, requests_per_unit: 40 } }\n- { key: wide, rate_limit: { unit: year, requests_per_unit: 60 } }\n";
    let valkey = Valkey::start().await;
    let url = valkey.url();
    let store = [("REDIS_SOCKET_TYPE", "tcp"), ("REDIS_URL", url.as_str())];
    let counting = StandIn::start(&store, &[("d.yaml", rules)]).await;
    assert_eq!(rush(&counting).await, 40);
    assert_eq!(told(&counting.ask(call("d: wide=b +0")).await.unwrap()), "over over", "what was denied counted all the same");
    for (counter, value) in [("total_hits", 100), ("within_limit", 40), ("near_limit", 8), ("over_limit", 60)] {
        let counted = counting.stat(&format!("ratelimit.service.rate_limit.d.narrow.{counter}")).await;
        assert_eq!(counted, value, "{counter}, though calls that wait together are one question to the store");
    }
    // In one atomic step: the original reads first and counts then, and lets a rush through in between.
    let stopping = [&store[..], &[("STOP_CACHE_KEY_INCREMENT_WHEN_OVERLIMIT", "true"), ("CACHE_KEY_PREFIX", "stop:")]].concat();
    let stopping = StandIn::start(&stopping, &[("d.yaml", rules)]).await;
    assert_eq!(rush(&stopping).await, 40);
    assert_eq!(told(&stopping.ask(call("d: wide=b +0")).await.unwrap()), "ok ok20", "what was denied counted nowhere");
}

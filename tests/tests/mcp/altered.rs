//! S14: messages that are not what Check was shown: as text with bytes replaced, and in every coding.

use std::net::SocketAddr;

use bulkhead_tests::{client::Request, envoy::shipped};
use serde_json::json;

use super::{Server, Stage};

/// A call of `weather`, in a city that is these bytes.
fn call(city: &[u8]) -> Vec<u8> {
    let message =
        json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": { "name": "weather", "arguments": { "city": "CITY" } } });
    let text = message.to_string();
    let (before, after) = text.split_once("CITY").expect("the city");
    [before.as_bytes(), city, after.as_bytes()].concat()
}

async fn as_text(process: bool) -> (Stage, impl AsyncFn(&Stage, &[u8]) -> (u16, u64)) {
    let servers = vec![Server::start(&["weather"], false).await, Server::start(&["weather"], false).await];
    let addresses: [SocketAddr; 2] = [servers[0].address, servers[1].address];
    let text =
        |bootstrap: &mut serde_json::Value| shipped::filter(bootstrap, "ext_authz")["with_request_body"]["pack_as_bytes"] = false.into();
    let world = Stage::builder(addresses, 10_000, process).bootstrap(text).start().await;
    let send = async |stage: &Stage, city: &[u8]| {
        let request = Request::post("/acme/tools-api", call(city)).bearer(&stage.token("acme", "nobody"));
        let request = request.header("content-type", "application/json").header("accept", "application/json, text/event-stream");
        let before = stage.world.envoy.stat("cluster.contract-http.upstream_rq_total").await;
        let status = stage.world.send(&request).await.status;
        (status, stage.world.envoy.stat("cluster.contract-http.upstream_rq_total").await - before)
    };
    (Stage { world, _servers: servers }, send)
}

#[tokio::test(flavor = "multi_thread")]
async fn s14_a_message_that_envoy_altered_is_passed_only_where_ext_proc_saw_that_it_did_not() {
    let (stage, send) = as_text(true).await;
    assert_eq!(send(&stage, b"Paris").await, (200, 1));
    assert_eq!(send(&stage, b"Yahoo!").await, (200, 1), "it is what was sent");
    assert_eq!(send(&stage, b"Par\xffis").await, (400, 0), "judged as `Par!is`");
    assert_eq!(send(&stage, b"Par\xc0\xaeis").await, (400, 0));
    let (stage, send) = as_text(false).await;
    assert_eq!(send(&stage, b"Paris").await, (200, 1));
    assert_eq!(send(&stage, b"Yahoo!").await, (400, 0), "nobody knows what was sent");
    assert_eq!(send(&stage, b"Par\xffis").await, (400, 0));
}

//! One hop and contract routing together, and bodies that are denied after what was charged.

use bulkhead_proto::contract::header;
use bulkhead_tests::{
    client::Request,
    config::Config,
    deadline::{self, PATIENCE},
    envoy::shipped,
    world::World,
};
use serde_json::{Value, json};

use super::{COUNTER, GUARDRAILS, holding};

fn signed(config: &Config) {
    config.edit("platform.yaml", |platform| platform["spec"]["contextToken"] = json!({ "enabled": true }));
}

#[tokio::test(flavor = "multi_thread")]
async fn contract_routing_reaches_the_contracts_upstream_and_charges_each_request_once() {
    let world = World::builder().contract_one_hop().valkey().config(holding(2)).config(signed).start().await;
    let token = world.acme.issuer.token().sign();
    // Of contracts alone: no route of Envoy's names it.
    let request = Request::get("/acme/orders-api/list").bearer(&token);
    let answers = [world.send(&request).await, world.send(&request).await, world.send(&request).await];
    assert_eq!(answers.each_ref().map(|answer| answer.status), [200, 200, 429]);
    assert_eq!(answers[0].seen().upstream, "acme-orders");
    assert_eq!(answers[0].seen().header(header::CONTEXT).len(), 1, "signed when it was charged");
    assert_eq!(answers.each_ref().map(|answer| answer.header("ratelimit-remaining")), [Some("1"), Some("0"), Some("0")]);
    assert_eq!(answers[2].json()["scope"], "tenant");
    assert!(!world.ratelimit.metrics().await.contains("bulkhead_ratelimit_decisions_total{"), "nobody asks ratelimit");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_denied_on_its_way_was_charged_and_is_on_record_as_both() {
    let blocked = |config: &Config| {
        config.edit(GUARDRAILS, |policy| {
            policy["spec"]["contentFilter"] = json!({
                "piiDetection": "redact", "blockedTopics": ["rivals"], "topics": { "rivals": { "phrases": ["Initech"] } },
            });
        });
    };
    // Where Envoy shows Check a text, only ext_proc sees what was sent.
    let text = |bootstrap: &mut Value| shipped::filter(bootstrap, "ext_authz")["with_request_body"]["pack_as_bytes"] = false.into();
    let world = World::builder().as_shipped().contract_one_hop().valkey().bootstrap(text);
    let world = world.config(holding(100)).config(blocked).start().await;
    let token = world.acme.issuer.token().sign();
    let post = |body: &[u8]| Request::post("/acme/billing-api/invoices", body).bearer(&token).header("content-type", "application/json");
    let late = world.send(&post(b"{\"q\":\"Ini\xfftech\"}")).await;
    assert_eq!((late.status, late.reason().as_str(), world.acme.requests()), (400, "unreadable", 0), "{}", late.text());
    let early = world.send(&post(br#"{"q":"Initech"}"#)).await;
    assert_eq!((early.status, early.reason().as_str()), (403, "topic"));
    let used = world.ext_authz.admin_page(COUNTER).await.json()["used"].clone();
    assert_eq!(used, 1, "what ext_proc denies was charged, and what Check denies was not");
    let metered = deadline::until("the charge on the bill", PATIENCE, || async {
        let page = world.ext_authz.admin_page("/metering?tenant=acme").await.json();
        page["lines"].as_array()?.first().cloned()
    })
    .await;
    assert_eq!((&metered["admitted"], &metered["denied"]), (&json!(1), &json!(0)), "{metered}");
    // One decision, three records: authorized, charged, denied on its way.
    let id = late.json()["decision_id"].as_str().expect("an id").to_owned();
    let records: Vec<(String, String)> = deadline::until("its records", PATIENCE, || async {
        let records: Vec<Value> = records(&world).into_iter().filter(|record| record["id"] == id.as_str()).collect();
        (records.len() >= 3).then(|| {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            records.iter().map(|record| (text(&record["event"]), text(&record["decision"]["verdict"]))).collect()
        })
    })
    .await;
    let expected = [("authorization", "allow"), ("limit", "allow"), ("process", "request_denied")];
    assert_eq!(records, expected.map(|(event, verdict)| (event.to_owned(), verdict.to_owned())));
}

/// What ext-authz has on record of acme, in order.
fn records(world: &World) -> Vec<Value> {
    let folder = world.audit.as_ref().expect("an audit folder").path().join("default/tenant-acme");
    let files = std::fs::read_dir(folder).into_iter().flatten().map(|entry| entry.expect("an entry").path());
    let own = files.filter(|file| file.file_name().is_some_and(|name| name.to_string_lossy().starts_with("ext-authz")));
    let text: String = own.map(|file| std::fs::read_to_string(file).expect("a stream")).collect();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

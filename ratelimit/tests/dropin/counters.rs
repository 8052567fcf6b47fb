//! An operator holds the drop-in's counters on the admin door, by the descriptor that a request would send.

use bulkhead_proto::pb::envoy::{
    extensions::common::ratelimit::v3::{RateLimitDescriptor, rate_limit_descriptor::Entry},
    service::ratelimit::v3::{RateLimitRequest, rate_limit_response::Code},
};
use serde_json::{Value, json};

use crate::standing_in::StandIn;

const RULES: &str = "
domain: shop
descriptors:
- { key: user, rate_limit: { unit: hour, requests_per_unit: 3 } }
- { key: free, rate_limit: { unlimited: true } }
";

async fn over(stands: &StandIn, user: &str) -> bool {
    let entries = vec![Entry { key: "user".into(), value: user.into() }];
    let descriptors = vec![RateLimitDescriptor { entries, ..RateLimitDescriptor::default() }];
    let answer = stands.ask(RateLimitRequest { domain: "shop".into(), descriptors, hits_addend: 1 }).await.unwrap();
    answer.overall_code() == Code::OverLimit
}

fn query(domain: &str, entries: &Value) -> String {
    let encoded: String = entries.to_string().bytes().map(|byte| format!("%{byte:02X}")).collect();
    format!("domain={domain}&entries={encoded}")
}

#[tokio::test]
async fn a_descriptors_window_is_peeked_granted_and_reset() {
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "operator-token").unwrap();
    let variables = [("BULKHEAD_RATELIMIT_ADMIN_TOKEN_FILE", token.to_str().unwrap()), ("LOCAL_CACHE_SIZE_IN_BYTES", "100000")];
    let stands = StandIn::in_memory(&variables, RULES).await;
    let listening: Value = stands
        .process
        .log()
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .find(|line: &Value| line["message"] == "listening")
        .unwrap();
    let admin = listening["door.admin"].as_str().unwrap().to_owned();
    let client = reqwest::Client::new();
    let get = async |path: &str| {
        let answer = client.get(format!("http://{admin}{path}")).bearer_auth("operator-token").send().await.unwrap();
        (answer.status().as_u16(), answer.json_value().await)
    };
    let post = async |path: &str, body: Value| {
        let request = client.post(format!("http://{admin}{path}")).bearer_auth("operator-token").header("content-type", "application/json");
        let answer = request.body(body.to_string()).send().await.unwrap();
        (answer.status().as_u16(), answer.json_value().await)
    };

    for _ in 0..3 {
        assert!(!over(&stands, "a").await);
    }
    assert!(over(&stands, "a").await && over(&stands, "a").await, "the local cache knows it now");
    let entries = json!([{ "key": "user", "value": "a" }]);
    let (status, seen) = get(&format!("/counters/platform/descriptor?{}", query("shop", &entries))).await;
    assert_eq!((status, &seen["kind"], &seen["limit"], &seen["remaining"]), (200, &json!("fixed_window"), &json!(3), &json!(0)));
    assert_eq!((&seen["domain"], &seen["entries"]), (&json!("shop"), &entries));
    assert_eq!(get(seen["path"].as_str().unwrap()).await.1["kind"], "fixed_window", "its path names it");

    let debt = seen["debt"].as_u64().unwrap();
    let (status, record) =
        post(&format!("/counters/platform/descriptor/grant?{}", query("shop", &entries)), json!({ "requests": debt + 1 })).await;
    assert_eq!((status, &record["after"]["remaining"]), (200, &json!(1)), "{record}");
    assert!(!over(&stands, "a").await && over(&stands, "a").await);
    let (status, _) = post(&format!("/counters/platform/descriptor/reset?{}", query("shop", &entries)), json!({})).await;
    assert_eq!(status, 200);
    assert!(!over(&stands, "a").await);
    assert_eq!(get("/counters/changes").await.1["changes"].as_array().unwrap().len(), 2);

    for (domain, entries) in [
        ("shop", json!([{ "key": "nothing", "value": "a" }])),
        ("shop", json!([{ "key": "free", "value": "a" }])),
        ("shops", json!([{ "key": "user", "value": "a" }])),
        ("bulkhead", json!([{ "key": "user", "value": "a" }])),
    ] {
        assert_eq!(get(&format!("/counters/platform/descriptor?{}", query(domain, &entries))).await.0, 404, "{domain} {entries}");
    }
    for bad in ["", "?domain=shop", "?domain=shop&entries=x", "?domain=shop&entries=[1]"] {
        assert_eq!(get(&format!("/counters/platform/descriptor{bad}")).await.0, 400, "{bad}");
    }
}

trait JsonValue {
    async fn json_value(self) -> Value;
}

impl JsonValue for reqwest::Response {
    async fn json_value(self) -> Value {
        serde_json::from_str(&self.text().await.unwrap()).unwrap_or(Value::Null)
    }
}

//! Resets and grants: what they do, who may, and that each is recorded.

use bulkhead_ratelimit::store::StoreError;
use serde_json::{Value, json};

use crate::{
    stage::{NOW_US, Stage, descriptor, told},
    support::valkey::Server,
};

async fn changed(stage: &Stage, path: &str, body: &Value) -> (u16, Value) {
    let (status, text) = told(stage.post("operator-token", path, body)).await;
    (status, serde_json::from_str(&text).unwrap_or(Value::Null))
}

async fn spend(stage: &Stage, subscription: &str, api: &str, cost: u64) -> bool {
    stage.ask(descriptor("acme", subscription, api, cost)).await.unwrap()
}

#[tokio::test]
async fn a_reset_is_as_if_nobody_had_used_it_and_is_recorded() {
    let stage = Stage::memory().await;
    assert!(spend(&stage, "s-01", "__none__", 6).await && !spend(&stage, "s-01", "__none__", 1).await);
    let (status, record) = changed(&stage, "/counters/acme/subscription/s-01/reset", &json!({ "reason": "ticket 7" })).await;
    assert_eq!(status, 200, "{record}");
    assert_eq!((&record["by"], &record["action"], &record["outcome"]), (&json!("operator"), &json!("reset"), &json!("done")));
    assert_eq!((&record["counter"], &record["tenant_uid"]), (&json!("acme/subscription/s-01"), &json!("u-acme")));
    assert_eq!((&record["before"]["remaining"], &record["after"]["remaining"]), (&json!(0), &json!(6)));
    assert_eq!((&record["at"], &record["reason"]), (&json!("2026-11-22T05:01:00Z"), &json!("ticket 7")));
    assert!(spend(&stage, "s-01", "__none__", 6).await);
    assert_eq!(stage.see("/counters/changes").await, json!({ "changes": [record] }));
}

#[tokio::test]
async fn a_grant_fills_a_bucket_at_most_and_a_quota_beyond_its_limit() {
    let stage = Stage::memory().await;
    assert!(spend(&stage, "s-01", "__none__", 5).await);
    let (_, record) = changed(&stage, "/counters/acme/subscription/s-01/grant", &json!({ "requests": 2 })).await;
    assert_eq!((&record["requests"], &record["after"]["remaining"]), (&json!(2), &json!(3)));
    let (_, record) = changed(&stage, "/counters/acme/subscription/s-01/grant", &json!({ "requests": 100 })).await;
    assert_eq!(record["after"]["remaining"], 6);
    let (_, record) = changed(&stage, "/counters/acme/quota/month.1.Europe.Berlin/grant", &json!({ "requests": 100 })).await;
    assert_eq!((&record["after"]["remaining"], &record["after"]["limit"]), (&json!(1095), &json!(1000)));
    let changes = stage.see("/counters/changes").await;
    assert_eq!(changes["changes"].as_array().unwrap().len(), 3);
    assert_eq!(changes["changes"][0]["requests"], 100, "the newest first");
    assert_eq!(stage.see("/counters/changes?limit=1").await["changes"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn s22_only_the_operator_changes_counters() {
    let stage = Stage::memory().await;
    for path in ["/counters/acme/tenant/reset", "/counters/globex/tenant/grant", "/counters/nobody/tenant/reset"] {
        assert_eq!(told(stage.post("acme", path, &json!({}))).await.0, 403, "{path}");
        assert_eq!(told(stage.post("nobody", path, &json!({}))).await.0, 401, "{path}");
    }
    assert_eq!(stage.see("/counters/changes").await, json!({ "changes": [] }));
}

#[tokio::test]
async fn what_is_no_change_is_refused_and_changes_nothing() {
    let stage = Stage::memory().await;
    assert!(spend(&stage, "s-01", "__none__", 5).await);
    let (reset, grant) = ("/counters/acme/subscription/s-01/reset", "/counters/acme/subscription/s-01/grant");
    for (path, body, status) in [
        (grant, json!({}), 400),
        (grant, json!({ "requests": 0 }), 400),
        (grant, json!({ "requests": 100_000_001 }), 400),
        (grant, json!({ "requests": -1 }), 422),
        (grant, json!({ "requests": 1, "until": 7 }), 422),
        (reset, json!({ "requests": 1 }), 400),
        (reset, json!({ "reason": "x".repeat(257) }), 400),
        ("/counters/acme/subscription/s-01/refill", json!({}), 404),
        ("/counters/acme/subscription/s-01", json!({}), 404),
        ("/counters/acme/subscription/s-99/reset", json!({}), 404),
        ("/counters/nobody/tenant/reset", json!({}), 404),
    ] {
        assert_eq!(changed(&stage, path, &body).await.0, status, "{path} {body}");
    }
    let form = stage.bare_post("operator-token", reset).header("content-type", "text/plain").body("{}");
    let (status, problem) = told(form).await;
    assert_eq!(status, 415, "what a browser's form can send (S2)");
    assert!(problem.contains("\"status\":415"), "{problem}");
    let broken = stage.bare_post("operator-token", reset).header("content-type", "application/json").body("{");
    let (status, problem) = told(broken).await;
    assert!(status == 400 && problem.contains("urn:bulkhead:bad_request"), "{status} {problem}");
    assert_eq!(stage.see("/counters/acme/subscription/s-01").await["remaining"], 1);
    assert_eq!(stage.see("/counters/changes").await, json!({ "changes": [] }));
}

#[tokio::test]
async fn a_store_that_does_not_answer_is_503_and_recorded() {
    let stage = Stage::memory().await;
    *stage.store.broken.lock().unwrap() = Some(StoreError::Late);
    assert_eq!(told(stage.get("operator-token", "/counters?tenant=acme")).await.0, 503);
    assert_eq!(told(stage.get("operator-token", "/counters/acme/tenant")).await.0, 503);
    let (status, record) = changed(&stage, "/counters/acme/tenant/reset", &json!({})).await;
    assert_eq!((status, &record["outcome"]), (503, &json!("not_done")), "it was never asked to change anything");
    *stage.store.late_changes.lock().unwrap() = true;
    *stage.store.broken.lock().unwrap() = None;
    let (status, record) = changed(&stage, "/counters/acme/tenant/reset", &json!({})).await;
    assert_eq!((status, &record["outcome"]), (503, &json!("unknown")));
    assert_eq!(stage.see("/counters/changes").await["changes"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn s12_a_key_that_holds_no_bucket_is_shown_and_a_reset_heals_it() {
    let server = Server::get();
    let clock = bulkhead_tenancy::clock::ManualClock::at_us(NOW_US);
    let stage = Stage::over(Box::new(server.store().await), clock).await;
    assert!(spend(&stage, "s-01", "__none__", 5).await);
    let key = stage.keys.subscription(&"u-acme".parse().unwrap(), &"s-01".parse().unwrap());
    let mut connection = server.client().get_multiplexed_async_connection().await.unwrap();
    let write = redis::cmd("HSET").arg(key.account().as_str()).arg(key.field()).arg("no bucket").to_owned();
    let _: u32 = write.query_async(&mut connection).await.unwrap();

    let path = "/counters/acme/subscription/s-01";
    let seen = stage.see(path).await;
    assert_eq!((&seen["no_bucket"], &seen["remaining"]), (&json!(true), &Value::Null));
    let (status, record) = changed(&stage, &format!("{path}/grant"), &json!({ "requests": 1 })).await;
    assert_eq!((status, &record["outcome"]), (409, &json!("no_bucket")));
    let (status, record) = changed(&stage, &format!("{path}/reset"), &json!({})).await;
    assert_eq!((status, &record["after"]["remaining"]), (200, &json!(6)), "{record}");
}

#[tokio::test]
async fn the_real_store_is_changed_the_same() {
    let server = Server::get();
    let clock = bulkhead_tenancy::clock::ManualClock::at_us(NOW_US);
    let stage = Stage::over(Box::new(server.store().await), clock).await;
    assert!(spend(&stage, "s-01", "billing-api", 6).await && !spend(&stage, "s-01", "billing-api", 1).await);
    for (path, remaining) in [("subscription/s-01", 6), ("quota/month.1.Europe.Berlin", 1000), ("tenant", 60), ("guarantee", 10)] {
        let (status, record) = changed(&stage, &format!("/counters/acme/{path}/reset"), &json!({})).await;
        assert_eq!((status, &record["after"]["remaining"]), (200, &json!(remaining)), "{path}: {record}");
    }
    assert_eq!(changed(&stage, "/counters/platform/global/reset", &json!({})).await.1["before"]["used"], 6);
    let (_, record) = changed(&stage, "/counters/acme/subscription/s-01/quota/sliding.86400/grant", &json!({ "requests": 4 })).await;
    assert_eq!((&record["before"]["used"], &record["after"]["used"]), (&json!(6), &json!(2)));
}

//! The store away, records that cannot be kept, and bodies that are denied later.

use std::{fs, path::Path};

use bulkhead_tests::{client::Request, config::Config, service::run};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{GUARDRAILS, INVOICES, holding, invoices, until_status, world};

fn failing(mode: &'static str) -> impl Fn(&Config) {
    move |config| config.edit("tenants/acme.yaml", |tenant| tenant["spec"]["limiter"] = json!({ "onStoreFailure": mode }))
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_store_is_away_each_failure_mode_answers_and_it_comes_back() {
    for (mode, expected) in [("open", vec![200; 6]), ("closed", vec![503; 3]), ("local", vec![200, 200, 200, 429, 429])] {
        let mut world = world()
            .config(holding(6))
            .config(failing(mode))
            .config(|config| config.edit("platform.yaml", |platform| platform["spec"]["limiter"] = json!({ "replicas": 2 })))
            .start()
            .await;
        let request = invoices(&world);
        assert_eq!(world.send(&request).await.header("ratelimit-remaining"), Some("5"), "{mode}");
        world.valkey.as_mut().expect("a store").kill();
        let mut seen = Vec::new();
        for _ in &expected {
            let answer = world.send(&request).await;
            if answer.status != 200 {
                assert!(answer.json()["decision_id"].is_string(), "it is our denial: {}", answer.text());
            }
            seen.push(answer.status);
        }
        assert_eq!(seen, expected, "{mode}");
        let counted = format!("bulkhead_ratelimit_fallbacks_total{{tenant_id=\"acme\",mode=\"{mode}\"}}");
        assert!(world.ext_authz.metrics().await.contains(&counted), "{counted}");
        // Nobody saved it, so it comes back full, without a restart of ours.
        world.valkey.as_mut().expect("a store").restart().await;
        bulkhead_tests::deadline::until("the store's own answer", bulkhead_tests::deadline::PATIENCE, || async {
            let answer = world.send(&request).await;
            (answer.status == 200 && answer.header("ratelimit-limit") == Some("6")).then_some(())
        })
        .await;
    }
}

/// A store that answers too late is the tenant's failure mode too, inside Envoy's own 250 ms.
#[tokio::test(flavor = "multi_thread")]
async fn a_hung_store_is_answered_before_envoy_stops_waiting() {
    let world = bulkhead_tests::world::World::builder().punctual().one_hop().valkey().config(failing("closed")).start().await;
    let request = invoices(&world);
    until_status(&world, &request, 200).await;
    world.valkey.as_ref().expect("a store").pause();
    let answer = world.send(&request).await;
    world.valkey.as_ref().expect("a store").resume();
    assert_eq!((answer.status, answer.reason().as_str()), (503, "unavailable"), "a denial of ours, with a decision's id");
    until_status(&world, &request, 200).await;
}

fn records(directory: &Path) -> Vec<Value> {
    let text = fs::read_to_string(directory.join("default/tenant-acme/ext-authz-a.jsonl")).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).expect("a record")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn s11_audit_full_has_the_authorization_and_the_limit_of_every_request_or_takes_nothing() {
    let directory = TempDir::new().expect("a temporary directory");
    let folder = directory.path().display().to_string();
    let full = |contract: &mut Value| contract["spec"]["apis"][0]["policies"][2]["audit"] = "full".into();
    let world = world()
        .config(holding(3))
        .config(move |config| config.edit("namespaces/tenant-acme/contract.yaml", full))
        .ext_authz(&["--audit-dir", &folder, "--audit-instance", "a"])
        .start()
        .await;
    let request = invoices(&world);
    assert_eq!(world.send(&request).await.header("ratelimit-remaining"), Some("2"));
    let kept: Vec<Value> = records(directory.path());
    let told: Vec<_> = kept.iter().map(|record| (&record["event"], &record["decision"]["verdict"], &record["id"])).collect();
    let id = &kept[0]["id"];
    assert_eq!(told, [(&"authorization".into(), &"allow".into(), id), (&"limit".into(), &"allow".into(), id)]);

    let (own, aside) = (directory.path().join("default/tenant-acme"), directory.path().join("aside"));
    fs::rename(&own, &aside).expect("renamed");
    fs::write(&own, "").expect("written");
    until_status(&world, &request, 503).await;
    fs::remove_file(&own).expect("removed");
    fs::rename(&aside, &own).expect("renamed");
    until_status(&world, &request, 200).await;
    until_status(&world, &request, 429).await;
    let denied = records(directory.path()).into_iter().find(|record| record["decision"]["verdict"] == "over_limit").expect("its record");
    assert_eq!(
        (&denied["event"], &denied["decision"]["scope"], &denied["decision"]["cost"]),
        (&"limit".into(), &"tenant".into(), &1.into())
    );
    let verified = run("bulkhead-ext-authz", &["verify", &folder]);
    assert_eq!(verified.status.code(), Some(0), "{}", String::from_utf8_lossy(&verified.stderr));
}

/// As along two hops: bodies are read by Check before the limits, and on their way after them.
#[tokio::test(flavor = "multi_thread")]
async fn what_check_denies_for_its_body_costs_nothing() {
    let world = world()
        .config(holding(3))
        .config(|config| config.edit(GUARDRAILS, |policy| policy["spec"]["contentFilter"] = json!({ "piiDetection": "block" })))
        .start()
        .await;
    let token = world.acme.issuer.token().sign();
    let post = |body: &str| Request::post(INVOICES, body).bearer(&token).header("content-type", "application/json");
    for _ in 0..3 {
        let denied = world.send(&post(r#"{"to": "alice@example.com"}"#)).await;
        assert_eq!((denied.status, denied.reason().as_str()), (403, "pii"));
    }
    assert_eq!(world.send(&post(r#"{"to": "alice"}"#)).await.header("ratelimit-remaining"), Some("2"));
}

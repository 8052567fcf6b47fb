//! What is on record, through the real Envoy: S11.

use std::{
    fs,
    path::{Path, PathBuf},
};

use bulkhead_tests::{
    client::{Answer, Request},
    config::Config,
    deadline::{self, PATIENCE},
    service::run,
    world::World,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{ACME_CONTRACT, INVOICES, PRODUCTS, until_status, world};

/// A world that keeps records, acme's billing-api all of them.
async fn audited(directory: &TempDir) -> World {
    let folder = directory.path().display().to_string();
    let flags = ["--audit-dir", folder.as_str(), "--audit-instance", "a"];
    let full = |contract: &mut Value| contract["spec"]["apis"][0]["policies"][2]["audit"] = "full".into();
    world().config(move |config| config.edit(ACME_CONTRACT, full)).ext_authz(&flags).ratelimit(&flags).start().await
}

fn records(directory: &TempDir, namespace: &str, service: &str) -> Vec<Value> {
    let text = fs::read_to_string(folder(directory, namespace).join(format!("{service}-a.jsonl"))).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).expect("a record")).collect()
}

fn folder(directory: &TempDir, namespace: &str) -> PathBuf {
    directory.path().join("default").join(namespace)
}

fn decision(answer: &Answer) -> Value {
    answer.json()["decision_id"].clone()
}

/// Everything that was written below a folder.
fn all_text(folder: &Path) -> String {
    let mut text = String::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        text += &if path.is_dir() { all_text(&path) } else { fs::read_to_string(path).expect("text") };
    }
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn s11_audit_full_answers_with_a_record_of_both_services_or_not_at_all_and_for_its_tenant_alone() {
    let directory = TempDir::new().expect("a temporary directory");
    let world = audited(&directory).await;
    let (acme, globex) = (world.acme.issuer.token().sign(), world.globex.issuer.token().sign());
    let invoices = Request::get(&format!("{INVOICES}?password=query-secret")).bearer(&acme).header("x-api-key-of-mine", "header-secret");
    let products = Request::get(PRODUCTS).bearer(&globex);

    assert_eq!(world.send(&invoices).await.status, 200);
    let (authorized, limited) = (records(&directory, "tenant-acme", "ext-authz"), records(&directory, "tenant-acme", "ratelimit"));
    let (last, limit) = (authorized.last().expect("a record"), limited.last().expect("a record"));
    assert_eq!((&last["decision"]["verdict"], &last["request"]["path"]), (&"allow".into(), &INVOICES.into()));
    assert_eq!((&limit["event"], &limit["decision"]["verdict"], &limit["id"]), (&"limit".into(), &"allow".into(), &last["id"]));

    // Nobody, root neither, can write into a folder that is a file. Globex is in the same region.
    let (own, aside) = (folder(&directory, "tenant-acme"), directory.path().join("aside"));
    fs::rename(&own, &aside).expect("renamed");
    fs::write(&own, "").expect("written");
    for _ in 0..3 {
        let denied = world.send(&invoices).await;
        assert_eq!((denied.status, &denied.json()["type"]), (503, &"urn:bulkhead:unavailable".into()));
        assert!(!denied.text().contains("audit"), "the reason is the operator's: {}", denied.text());
        assert_eq!(world.send(&products).await.status, 200);
    }
    fs::remove_file(&own).expect("removed");
    fs::rename(&aside, &own).expect("renamed");
    until_status(&world, &invoices, 200).await;

    // A foreign address is in the token's tenant's stream alone, and nobody's request in nobody's.
    let foreign = world.send(&Request::get(PRODUCTS).bearer(&acme)).await;
    assert_eq!(foreign.status, 401);
    assert_eq!(world.send(&Request::get(PRODUCTS).bearer("not-a-token-secret")).await.status, 401);
    let noted = |namespace: &'static str, verdict: &'static str| {
        let directory = &directory;
        deadline::until("the record of a denial", PATIENCE, move || async move {
            records(directory, namespace, "ext-authz").into_iter().find(|record| record["decision"]["verdict"] == verdict)
        })
    };
    assert_eq!(noted("tenant-acme", "wrong_tenant").await["id"], decision(&foreign));
    assert!(noted("_unresolved", "invalid_token").await.get("tenant").is_none());
    assert!(!folder(&directory, "tenant-globex").exists());

    let text = all_text(directory.path());
    for secret in [acme.as_str(), globex.as_str(), "query-secret", "header-secret", "not-a-token-secret"] {
        assert!(!text.contains(secret), "a secret is on record");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_outlives_its_killed_writer_and_verify_names_what_was_changed() {
    let directory = TempDir::new().expect("a temporary directory");
    let mut world = audited(&directory).await;
    let invoices = Request::get(INVOICES).bearer(&world.acme.issuer.token().sign());
    for _ in 0..3 {
        assert_eq!(world.send(&invoices).await.status, 200);
    }
    // What was answered is there, however the writer ends; and half a line is told.
    world.ext_authz.kill();
    let file = folder(&directory, "tenant-acme").join("ext-authz-a.jsonl");
    let killed = fs::read_to_string(&file).expect("a stream");
    fs::write(&file, format!("{killed}{{\"seq\":4,\"ti")).expect("written");
    world.ext_authz.restart().await;
    until_status(&world, &invoices, 200).await;
    let all = records(&directory, "tenant-acme", "ext-authz");
    assert!(all.len() >= 5 && all.iter().any(|record| record["event"] == "recovered"), "{all:?}");

    let verify = || run("bulkhead-ext-authz", &["verify", &directory.path().display().to_string()]);
    let whole = verify();
    assert_eq!(whole.status.code(), Some(0), "{}", String::from_utf8_lossy(&whole.stderr));
    let changed = fs::read_to_string(&file).expect("a stream").replacen("\"allow\"", "\"role\"", 1);
    fs::write(&file, changed).expect("written");
    let told = verify();
    assert_eq!(told.status.code(), Some(2));
    let faults = String::from_utf8_lossy(&told.stderr).into_owned();
    assert!(faults.contains(&format!("{}:1: was changed", file.display())), "{faults}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_that_denies_is_on_record_with_the_decision_that_was_authorized() {
    let directory = TempDir::new().expect("a temporary directory");
    let folder = directory.path().display().to_string();
    let flags = ["--audit-dir", folder.as_str(), "--audit-instance", "a"];
    let least = |policy: &mut Value| policy["spec"]["rateLimit"] = json!({ "requestsPerMinute": 1 });
    let world = world()
        .config(move |config| config.edit("namespaces/tenant-acme/guardrails.yaml", least))
        .ext_authz(&flags)
        .ratelimit(&flags)
        .start()
        .await;
    let invoices = Request::get(INVOICES).bearer(&world.acme.issuer.token().sign());
    let denied = until_status(&world, &invoices, 429).await;
    let record = deadline::until("the record of the 429", PATIENCE, || async {
        records(&directory, "tenant-acme", "ratelimit").into_iter().find(|record| record["id"] == decision(&denied))
    })
    .await;
    assert_eq!((&record["decision"]["verdict"], &record["decision"]["scope"]), (&"over_limit".into(), &"tenant".into()));
    assert_eq!(record["action"]["api"], "billing-api");
}

#[tokio::test(flavor = "multi_thread")]
async fn s11_a_path_in_which_something_is_found_stands_in_no_record() {
    let directory = TempDir::new().expect("a temporary directory");
    let folder = directory.path().display().to_string();
    let content = json!({ "piiDetection": "detect", "blockedTopics": ["rivals"], "topics": { "rivals": { "phrases": ["Initech"] } } });
    let config = move |config: &Config| {
        config.edit(ACME_CONTRACT, |contract| contract["spec"]["apis"][0]["policies"][2]["audit"] = "full".into());
        config.edit("namespaces/tenant-acme/guardrails.yaml", |policy| policy["spec"]["contentFilter"] = content.clone());
    };
    let flags = ["--audit-dir", folder.as_str(), "--audit-instance", "a"];
    let world = world().config(config).ext_authz(&flags).ratelimit(&flags).start().await;
    let token = world.acme.issuer.token().sign();
    for (path, status) in [("/jane.doe@corp.example", 200), ("/%49nitech", 403), ("/4111%201111%201111%201111", 200), ("/plain", 200)] {
        assert_eq!(world.send(&Request::get(&format!("{INVOICES}{path}")).bearer(&token)).await.status, status, "{path}");
    }
    let paths: Vec<Value> =
        records(&directory, "tenant-acme", "ext-authz").iter().map(|record| record["request"]["path"].clone()).collect();
    assert_eq!(paths, [json!("[redacted]"), json!("[redacted]"), json!("[redacted]"), json!(format!("{INVOICES}/plain"))]);
    let text = all_text(directory.path());
    assert!(!text.contains("jane") && !text.contains("nitech") && !text.contains("1111"), "{text}");
}

use std::path::Path;

use bulkhead_audit::{
    chain::Seal,
    settings::{Bounds, Rotation, Settings, Sync},
    verify::verify,
};
use bulkhead_proto::pb::envoy::service::auth::v3::{CheckResponse, check_response::HttpResponse};
use bulkhead_tenancy::{clock::SystemClock, snapshot::Live};
use serde_json::Value;
use tempfile::TempDir;

use super::*;
use crate::{
    decide::{Declared, Judge},
    fixture::{self, Asked, Stand, get},
    service::CheckService,
};

struct Stage {
    directory: TempDir,
    service: CheckService<Stand>,
    ledger: Arc<Ledger>,
}

impl Stage {
    fn new(audited: bool) -> Self {
        let directory = TempDir::new().unwrap();
        let settings = Settings {
            service: "ext-authz",
            instance: Some("a".parse().unwrap()),
            directory: audited.then(|| directory.path().to_path_buf()),
            sync: Sync::Each,
            rotation: Rotation::default(),
            stream_bytes: 1 << 30,
            seal: Seal::Plain,
            queue: Bounds::default(),
            open_streams: 100,
        };
        let streams = Arc::new(Streams::new(settings, Arc::new(SystemClock), Arc::new(|_, _, _| {})));
        let metrics = Metrics::with_tenant_series(10).unwrap();
        let ledger = Arc::new(Ledger::new(&metrics, log::DenialLog::new(Arc::new(SystemClock)), streams));
        let live = Live::default();
        live.publish(fixture::own());
        let judge = Judge::new(Stand, Arc::new(SystemClock), Declared::default());
        let service = CheckService::new(live, judge, Arc::<Ledger>::clone(&ledger));
        Self { directory, service, ledger }
    }

    async fn status(&self, asked: &Asked) -> i32 {
        let response: CheckResponse = self.service.answer(asked.request(), Duration::from_secs(30)).await.read().unwrap();
        match response.http_response.unwrap() {
            HttpResponse::OkResponse(_) => 200,
            HttpResponse::DeniedResponse(denied) => denied.status.unwrap().code,
            HttpResponse::ErrorResponse(_) => panic!("an error response"),
        }
    }

    fn records(&self, stream: &str) -> Vec<Value> {
        let text = std::fs::read_to_string(self.file(stream)).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn file(&self, stream: &str) -> std::path::PathBuf {
        self.directory.path().join(stream).join("ext-authz-a.jsonl")
    }
}

/// Everything that was written below a folder.
fn all_text(folder: &Path) -> String {
    let mut text = String::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            text += &all_text(&path);
        } else {
            text += &std::fs::read_to_string(path).unwrap();
        }
    }
    text
}

#[tokio::test]
async fn under_audit_full_an_answer_has_its_record_with_all_that_it_is_about() {
    let stage = Stage::new(true);
    let asked = get("/acme/full-api/x?password=hunter2").by("acme client:app").with("x-other", "a-header");
    assert_eq!(stage.status(&asked).await, 200);
    let records = stage.records("eu/tenant-acme");
    let [record] = records.as_slice() else { panic!("{records:?}") };
    let own = fixture::own();
    let policy = crate::route::policy(own.tenant("acme").unwrap()).unwrap().hash().as_str().to_owned();
    for (pointer, value) in [
        ("/seq", Value::from(1)),
        ("/service", "ext-authz".into()),
        ("/event", "authorization".into()),
        ("/tenant", "acme".into()),
        ("/namespace", "tenant-acme".into()),
        ("/uid", "uid-acme".into()),
        ("/request/method", "GET".into()),
        ("/request/path", "/acme/full-api/x".into()),
        ("/actor/subject", "alice".into()),
        ("/actor/client", "app".into()),
        ("/actor/subscription", "by-client".into()),
        ("/action/api", "full-api".into()),
        ("/decision/verdict", "allow".into()),
        ("/shadow/0/policy", "trial".into()),
        ("/policy", policy.into()),
    ] {
        assert_eq!(record.pointer(pointer), Some(&value), "{pointer} of {record}");
    }
    assert!(record["id"].is_string() && record["time"].is_string() && record["generation"].is_u64());
    let text = all_text(stage.directory.path());
    for secret in ["hunter2", "password", "a-header", "client:app"] {
        assert!(!text.contains(secret), "{secret}");
    }
    assert_eq!(verify(&[stage.directory.path().to_path_buf()], &Seal::Plain, &[]).unwrap().faults, []);
}

#[tokio::test]
async fn s11_without_a_record_audit_full_denies_its_tenant_alone() {
    let stage = Stage::new(true);
    // Where acme's folder should be is a file: nobody, root neither, can write in it. Globex is in the same region.
    std::fs::create_dir(stage.directory.path().join("eu")).unwrap();
    let blocked = stage.directory.path().join("eu/tenant-acme");
    std::fs::write(&blocked, "").unwrap();
    for _ in 0..3 {
        assert_eq!(stage.status(&get("/acme/full-api").by("acme")).await, 503);
        assert_eq!(stage.status(&get("/acme/full-api").method("GET").by("acme client:old-app")).await, 503, "denials too");
        assert_eq!(stage.status(&get("/acme/billing-api").by("acme")).await, 200, "it asks for no record");
        assert_eq!(stage.status(&get("/globex/inventory-api").by("globex")).await, 200);
    }
    std::fs::remove_file(&blocked).unwrap();
    assert_eq!(stage.status(&get("/acme/full-api").by("acme")).await, 200);
    assert_eq!(stage.records("eu/tenant-acme").last().unwrap()["decision"]["verdict"], "allow");
}

#[tokio::test]
async fn without_any_folder_audit_full_denies_and_the_rest_is_served() {
    let stage = Stage::new(false);
    assert_eq!(stage.status(&get("/acme/full-api").by("acme")).await, 503);
    assert_eq!(stage.status(&get("/acme/billing-api").by("acme")).await, 200);
    assert_eq!(stage.status(&get("/acme/roles-api").by("acme")).await, 403);
    assert_eq!(std::fs::read_dir(stage.directory.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_denial_is_in_the_stream_of_whoever_is_proven_and_nobodys_is_apart() {
    let stage = Stage::new(true);
    for (asked, status) in [
        (get("/acme/roles-api").by("acme"), 403),
        (get("/acme/billing-api").by("acme"), 200),
        // A verified token at a foreign address is the token's tenant's alone.
        (get("/globex/inventory-api").by("acme"), 401),
        (get("/acme/billing-api").by("mallory"), 401),
        (get("/acme/..;/x").by("acme"), 400),
    ] {
        assert_eq!(stage.status(&asked).await, status, "{}", asked.path);
    }
    stage.ledger.flush(Duration::from_secs(30));
    let verdicts = |stream: &str| -> Vec<String> {
        let records = stage.records(stream);
        records.iter().map(|record| record["decision"]["verdict"].as_str().unwrap_or_default().to_owned()).collect()
    };
    assert_eq!(verdicts("eu/tenant-acme"), ["role", "wrong_tenant"]);
    assert_eq!(verdicts("default/_unresolved"), ["invalid_token", "bad_path"]);
    assert!(!stage.file("eu/tenant-globex").exists());
    assert!(stage.records("default/_unresolved").iter().all(|record| record.get("tenant").is_none()));
}

#[test]
fn what_was_asked_over_mcp_stands_in_the_record_under_that_name() {
    let mut verdict = Verdict::denied(Denial::new(Reason::Tool, "the arguments do not fit"));
    verdict.facts.findings.action = Some("tools/call weather".to_owned());
    let decision = Decision { id: "a-decision".to_owned(), generation: None, verdict };
    let record = serde_json::to_value(audit::record(&Noted { decision: &decision, seen: None, platform: None })).unwrap();
    assert_eq!(record["action"], serde_json::json!({ "mcp": "tools/call weather" }));
}

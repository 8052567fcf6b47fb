use std::{fs::File, io, time::Duration};

use bulkhead_audit::{
    chain::Seal,
    file::{Disk, RealDisk},
    settings::{Bounds, Rotation, Settings, Sync},
};
use bulkhead_proto::pb::envoy::{
    extensions::common::ratelimit::v3::{RateLimitDescriptor, rate_limit_descriptor::Entry},
    service::ratelimit::v3::RateLimitRequest,
};
use bulkhead_tenancy::{
    catalog::{Catalog, changes_of},
    clock::SystemClock,
};
use serde_json::{Value, json};

use super::*;
use crate::rls::{names::Remembered, question::Question, request::Known};
use crate::{key::Keyspace, levels::Levels, store::memory::MemoryStore};

/// A disk on which nothing is made to last, where it is broken.
struct Loose {
    broken: bool,
}

impl Disk for Loose {
    fn append(&self, file: &File, bytes: &[u8]) -> io::Result<()> {
        RealDisk.append(file, bytes)
    }

    fn sync(&self, _: &File) -> io::Result<()> {
        if self.broken { Err(io::Error::other("the disk is broken")) } else { Ok(()) }
    }
}

const FILES: [(&str, &str); 2] = [
    (
        "platform.yaml",
        "
apiVersion: gostoa.dev/v1alpha1
kind: Platform
metadata: { name: platform }
spec: { issuerTemplate: 'https://auth.example.com/realms/tenant-{tenant}', rateLimit: { requestsPerMinute: 600 } }
---
apiVersion: gostoa.dev/v1alpha1
kind: Plan
metadata: { name: plain }
spec: { rateLimit: { requestsPerMinute: 60 } }
---
apiVersion: gostoa.dev/v1alpha1
kind: Tenant
metadata: { name: acme }
spec: { plan: plain, uid: u-acme }
",
    ),
    (
        "namespaces/tenant-acme/contract.yaml",
        "
apiVersion: gostoa.dev/v1alpha1
kind: UniversalAPIContract
metadata: { name: contract, namespace: tenant-acme }
spec: { apis: [ { name: full-api, upstream: 'https://full.acme.internal', policies: [ { audit: full } ] }, { name: plain-api, upstream: 'https://plain.acme.internal' } ] }
---
apiVersion: gostoa.dev/v1alpha1
kind: GuardrailPolicy
metadata: { name: trial, namespace: tenant-acme }
spec: { shadow: true, rateLimit: { requestsPerMinute: 0 } }
",
    ),
];

/// What becomes of the record of an admitted request of acme's at an API, and what is on record at the end: id, verdict, and what was marked in shadow.
async fn recorded(api: &str, broken: bool) -> (Result<(), Refused>, Vec<(String, String, Value)>) {
    let directory = tempfile::tempdir().unwrap();
    let settings = Settings {
        service: "ratelimit",
        instance: Some("a".parse().unwrap()),
        directory: Some(directory.path().to_path_buf()),
        sync: Sync::Each,
        rotation: Rotation::default(),
        stream_bytes: 1 << 30,
        seal: Seal::Plain,
        queue: Bounds::default(),
        open_streams: 100,
    };
    let streams = Arc::new(Streams::on(settings, Arc::new(SystemClock), Arc::new(|_, _, _| {}), Arc::new(Loose { broken })));
    let snapshot = Catalog::new(Arc::new(SystemClock)).apply(changes_of(&FILES)).unwrap();
    let entry = |(key, value): (&str, &str)| Entry { key: key.to_owned(), value: value.to_owned() };
    let entries = [("tenant", "acme"), ("subscription", "__none__"), ("api", api), ("decision", "0193-abc")].map(entry);
    let descriptor = RateLimitDescriptor { entries: entries.into(), ..RateLimitDescriptor::default() };
    let request = RateLimitRequest { descriptors: vec![descriptor], ..RateLimitRequest::default() };
    let (levels, remembered) = (Levels::new(Keyspace::default()), Remembered::default());
    let known = Known { snapshot: &snapshot, levels: &levels, remembered: &remembered };
    let asked = Asked::read(&Question::from(&request), known).unwrap();
    let ruling = Ruling::Exact(MemoryStore::new(Arc::new(SystemClock)).decide_one(None, asked.charge()));
    assert!(Records::default().keep(&asked, snapshot.platform(), &ruling, Instant::now()).await.is_ok() || asked.audit() == Audit::Full);

    let until = Instant::now() + Duration::from_secs(30);
    let kept = Records::on(Arc::clone(&streams)).keep(&asked, snapshot.platform(), &ruling, until).await;
    streams.close(Duration::from_secs(30));
    let text = std::fs::read_to_string(directory.path().join("default/tenant-acme/ratelimit-a.jsonl")).unwrap_or_default();
    let records = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let word = |value: &Value| value.as_str().unwrap().to_owned();
    (kept, records.map(|record| (word(&record["id"]), word(&record["decision"]["verdict"]), record["shadow"].clone())).collect())
}

fn told(verdict: &str, shadow: Value) -> (String, String, Value) {
    ("0193-abc".to_owned(), verdict.to_owned(), shadow)
}

fn marked() -> Value {
    json!([{ "policy": "trial", "verdict": "over_limit" }])
}

#[tokio::test]
async fn s11_an_allow_that_may_stand_and_was_not_answered_is_followed_by_what_was() {
    let (kept, records) = recorded("full-api", true).await;
    assert!(matches!(kept, Err(Refused::Unsynced(_))), "{kept:?}");
    assert_eq!(records, [told("allow", marked()), told("unavailable", Value::Null)]);
}

#[tokio::test]
async fn what_a_limit_in_shadow_would_have_denied_is_recorded_like_a_denial() {
    let (kept, records) = recorded("plain-api", false).await;
    assert!(kept.is_ok(), "{kept:?}");
    assert_eq!(records, [told("allow", marked())]);
}

#[tokio::test]
async fn what_is_not_known_here_is_recorded_as_if_everything_were_asked_for() {
    let (kept, records) = recorded("newer-api", true).await;
    assert!(matches!(kept, Err(Refused::Unsynced(_))), "it waits for its record: {kept:?}");
    assert_eq!(records, [told("allow", marked()), told("unavailable", Value::Null)]);
}

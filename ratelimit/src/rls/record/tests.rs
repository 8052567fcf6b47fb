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
use serde_json::Value;

use super::*;
use crate::{key::Keyspace, levels::Levels};

/// A disk on which nothing is made to last.
struct Loose;

impl Disk for Loose {
    fn append(&self, file: &File, bytes: &[u8]) -> io::Result<()> {
        RealDisk.append(file, bytes)
    }

    fn sync(&self, _: &File) -> io::Result<()> {
        Err(io::Error::other("the disk is broken"))
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
spec: { apis: [ { name: full-api, upstream: 'https://full.acme.internal', policies: [ { audit: full } ] } ] }
",
    ),
];

#[tokio::test]
async fn s11_an_allow_that_may_stand_and_was_not_answered_is_followed_by_what_was() {
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
    };
    let streams = Arc::new(Streams::on(settings, Arc::new(SystemClock), Arc::new(|_, _, _| {}), Arc::new(Loose)));
    let snapshot = Catalog::new(Arc::new(SystemClock)).apply(changes_of(&FILES)).unwrap();
    let entry = |(key, value): (&str, &str)| Entry { key: key.to_owned(), value: value.to_owned() };
    let entries = [("tenant", "acme"), ("subscription", "__none__"), ("api", "full-api"), ("decision", "0193-abc")].map(entry);
    let descriptor = RateLimitDescriptor { entries: entries.into(), ..RateLimitDescriptor::default() };
    let request = RateLimitRequest { descriptors: vec![descriptor], ..RateLimitRequest::default() };
    let asked = Asked::read(&request, &snapshot, &Levels::new(Keyspace::default())).unwrap();
    assert_eq!(asked.audit(), Audit::Full);

    let until = Instant::now() + Duration::from_secs(30);
    let kept = Records::on(Arc::clone(&streams)).keep(&asked, snapshot.platform(), Verdict::Allow, until).await;
    assert!(matches!(kept, Err(Refused::Unsynced(_))), "{kept:?}");
    streams.close(Duration::from_secs(30));
    let text = std::fs::read_to_string(directory.path().join("default/tenant-acme/ratelimit-a.jsonl")).unwrap();
    let records: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told: Vec<_> = records.iter().map(|record| (record["id"].as_str(), record["decision"]["verdict"].as_str())).collect();
    assert_eq!(told, [(Some("0193-abc"), Some("allow")), (Some("0193-abc"), Some("unavailable"))]);
}

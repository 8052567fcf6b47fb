use std::{
    io,
    sync::{Arc, Mutex},
};

use tracing_subscriber::fmt::MakeWriter;

use super::*;
use crate::{
    catalog::Catalog,
    clock::ManualClock,
    source::{Change, Content, PartitionKey, SourceFile},
};

/// What was logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Log {
    /// The lines since the last call.
    fn lines(&self) -> Vec<String> {
        let bytes = std::mem::take(&mut *self.0.lock().unwrap());
        String::from_utf8(bytes).unwrap().lines().map(str::to_owned).collect()
    }

    fn of<T>(&self, work: impl FnOnce() -> T) -> Vec<String> {
        let subscriber = tracing_subscriber::fmt().with_writer(self.clone()).without_time().with_ansi(false).finish();
        tracing::subscriber::with_default(subscriber, work);
        self.lines()
    }
}

fn snapshot() -> Arc<Snapshot> {
    let text = "\
apiVersion: gostoa.dev/v1alpha1
kind: Platform
metadata: { name: platform }
spec: { issuerTemplate: 'https://auth.example.com/{tenant}', rateLimit: { requestsPerMinute: 6000 } }
---
apiVersion: gostoa.dev/v1alpha1
kind: Plan
metadata: { name: professional }
spec: { rateLimit: { requestsPerMinute: 1000 } }
---
apiVersion: gostoa.dev/v1alpha1
kind: Tenant
metadata: { name: acme }
spec: { plan: professional }
";
    let files = vec![SourceFile { path: Arc::from("platform.yaml"), text: text.to_owned() }];
    let change = Change { partition: PartitionKey::Operator, content: Content::Files { files, faults: Vec::new() } };
    Catalog::new(Arc::new(ManualClock::at_us(1))).apply(vec![change]).unwrap()
}

fn fault(file: &str, line: u32, message: &str) -> Fault {
    Fault { file: Arc::from(file), line, column: 7, field: "spec.apis".to_owned(), message: message.to_owned(), severity: Severity::Error }
}

#[test]
fn a_fault_is_said_once_with_its_tenant_and_once_more_when_it_is_resolved() {
    let (log, snapshot, mut journal) = (Log::default(), snapshot(), Journal::default());
    let one = fault("namespaces/tenant-acme/contract.yaml", 3, "is wrong");
    let lines = log.of(|| journal.note(std::slice::from_ref(&one), &snapshot));
    assert_eq!(lines.len(), 1);
    for part in ["ERROR", "is wrong", "file=namespaces/tenant-acme/contract.yaml", "line=3", "spec.apis", "tenant_id=\"acme\""] {
        assert!(lines[0].contains(part), "{part} is missing: {}", lines[0]);
    }
    assert!(log.of(|| journal.note(std::slice::from_ref(&one), &snapshot)).is_empty());
    let moved = Fault { line: 4, ..one };
    assert!(log.of(|| journal.note(&[moved], &snapshot)).is_empty(), "an edit above it is no news");
    let lines = log.of(|| journal.note(&[], &snapshot));
    assert!(lines.len() == 1 && lines[0].contains("INFO") && lines[0].contains("resolved: is wrong"), "{lines:?}");
    assert!(log.of(|| journal.note(&[], &snapshot)).is_empty());
}

#[test]
fn s16_one_partition_does_not_drown_the_others_in_the_log() {
    let (log, snapshot, mut journal) = (Log::default(), snapshot(), Journal::default());
    let mut faults: Vec<Fault> = (0..5_000).map(|index| fault("namespaces/hostile/a.yaml", index, &format!("fault {index}"))).collect();
    faults.push(fault("namespaces/tenant-acme/contract.yaml", 1, "of acme"));
    faults.push(fault("platform.yaml", 1, "of the operator"));
    let lines = log.of(|| journal.note(&faults, &snapshot));
    assert!(lines.len() <= LINES_A_PARTITION + 3, "{}", lines.len());
    assert!(lines[0].contains("of the operator"));
    assert!(lines.iter().any(|line| line.contains("of acme")));
    assert!(lines.iter().any(|line| line.contains("more=4980")), "{lines:?}");
}

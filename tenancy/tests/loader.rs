//! The loader on real folders: what it starts with, what it publishes, and what stays when something breaks.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a folder that cannot be prepared fails its test")]

#[path = "loader/start.rs"]
mod start;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use bulkhead_tenancy::{
    catalog::{MAX_LAST_GOOD_US, State, TenantReport},
    clock::ManualClock,
    loader::{self, Loader},
    snapshot::Snapshot,
    tenant::{Policy, Tenant},
};
use tempfile::TempDir;

pub(crate) const PLATFORM: &str = "\
apiVersion: gostoa.dev/v1alpha1
kind: Platform
metadata: { name: platform }
spec:
  issuerTemplate: https://auth.example.com/realms/{tenant}
  rateLimit: { requestsPerMinute: 60000 }
  audiences: [gateway]
---
apiVersion: gostoa.dev/v1alpha1
kind: Plan
metadata: { name: professional }
spec:
  rateLimit: { requestsPerMinute: 10000 }
  guaranteed: { requestsPerMinute: 600 }
";

pub(crate) fn tenant_file(name: &str, status: &str) -> String {
    format!(
        "apiVersion: gostoa.dev/v1alpha1\nkind: Tenant\nmetadata: {{ name: {name} }}\nspec: {{ uid: uid-of-{name}, plan: professional, status: {status}, upstreams: [\"*.{name}.internal\"] }}\n"
    )
}

pub(crate) fn contract(name: &str, apis: &[&str]) -> String {
    let apis: String = apis.iter().map(|api| format!("\n  - {{ name: {api}, upstream: \"https://{api}.{name}.internal\" }}")).collect();
    format!(
        "apiVersion: gostoa.dev/v1alpha1\nkind: UniversalAPIContract\nmetadata: {{ name: contract, namespace: tenant-{name} }}\nspec:\n  version: \"1.0\"\n  apis:{apis}\n"
    )
}

/// A folder with acme and globex, an API each.
pub(crate) fn folder() -> (TempDir, PathBuf) {
    let temp = TempDir::new().unwrap();
    let path = temp.path().join("config");
    write(&path.join("platform.yaml"), PLATFORM);
    for (name, api) in [("acme", "billing"), ("globex", "inventory")] {
        write(&path.join(format!("tenants/{name}.yaml")), &tenant_file(name, "active"));
        write(&path.join(format!("namespaces/tenant-{name}/contract.yaml")), &contract(name, &[api]));
    }
    (temp, path)
}

pub(crate) fn write(path: &Path, text: &str) {
    let folder = path.parent().unwrap();
    fs::create_dir_all(folder).unwrap();
    fs::write(folder.join(".new"), text).unwrap();
    fs::rename(folder.join(".new"), path).unwrap();
}

/// A loader that follows a folder.
struct Run {
    temp: TempDir,
    path: PathBuf,
    clock: ManualClock,
    loader: Loader,
}

const NOW: u64 = 1_800_000_000_000_000;

impl Run {
    fn start() -> Self {
        let (temp, path) = folder();
        let clock = ManualClock::at_us(NOW);
        let loader = loader::start(&path, Arc::new(clock.clone())).unwrap();
        let run = Self { temp, path, clock, loader };
        assert_eq!(run.apis("acme"), ["billing"]);
        assert_eq!(run.apis("globex"), ["inventory"]);
        run
    }

    fn snapshot(&self) -> Arc<Snapshot> {
        self.loader.live().load().unwrap()
    }

    fn tenant(&self, name: &str) -> Arc<Tenant> {
        Arc::clone(self.snapshot().tenant(name).unwrap())
    }

    fn apis(&self, name: &str) -> Vec<String> {
        match &self.tenant(name).policy {
            Policy::Ready(policy) => policy.apis().map(|api| api.name.to_string()).collect(),
            Policy::Unavailable(why) => panic!("{name} is closed: {why}"),
        }
    }

    fn report(&self, name: &str) -> TenantReport {
        self.loader.report().tenants.into_iter().find(|report| report.tenant.as_str() == name).unwrap()
    }

    fn edit(&self, file: &str, text: &str) {
        write(&self.path.join(file), text);
    }

    fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !holds(self) {
            assert!(Instant::now() < deadline, "never seen: {what}; {:?}", self.loader.report());
            let _ = self.loader.wait_beyond(self.snapshot().generation(), Duration::from_millis(20));
        }
    }
}

#[test]
fn an_edit_is_published_and_leaves_every_other_tenant_the_same_allocation() {
    let run = Run::start();
    let (before, globex) = (run.snapshot().generation(), run.tenant("globex"));
    run.edit("namespaces/tenant-acme/contract.yaml", &contract("acme", &["billing", "orders"]));
    run.until("the edit", |run| run.apis("acme") == ["billing", "orders"]);
    assert!(run.snapshot().generation() > before);
    assert!(Arc::ptr_eq(&globex, &run.tenant("globex")));
}

#[test]
fn a_hook_sees_each_snapshot_after_it_was_published() {
    let run = Run::start();
    let (send, seen) = std::sync::mpsc::channel();
    let live = run.loader.live();
    run.loader.on_publish(move |snapshot| {
        assert_eq!(live.load().unwrap().generation(), snapshot.generation());
        send.send(snapshot.generation()).unwrap();
    });
    run.edit("namespaces/tenant-acme/contract.yaml", &contract("acme", &["orders"]));
    let generation = seen.recv_timeout(Duration::from_secs(20)).unwrap();
    assert_eq!(run.loader.wait_beyond(generation - 1, Duration::ZERO), generation);
}

#[test]
fn s10_a_broken_contract_keeps_the_last_good_one_and_touches_nobody_else() {
    let run = Run::start();
    let globex = run.tenant("globex");
    run.edit("namespaces/tenant-acme/contract.yaml", &contract("acme", &["billing"]).replace("upstream:", "upstraem:"));
    run.until("the report", |run| run.report("acme").state == State::LastGood);
    assert_eq!(run.apis("acme"), ["billing"]);
    assert!(run.report("acme").last_error.unwrap().starts_with("namespaces/tenant-acme/contract.yaml:7:"));
    assert_eq!(run.report("globex").state, State::Ready);
    assert!(Arc::ptr_eq(&globex, &run.tenant("globex")));
    run.edit("namespaces/tenant-acme/contract.yaml", &contract("acme", &["orders"]));
    run.until("it is mended", |run| run.apis("acme") == ["orders"] && run.report("acme").last_error.is_none());
}

#[test]
fn s10_a_key_whose_file_is_deleted_is_revoked_while_another_file_is_broken() {
    let run = Run::start();
    let hash = "ab".repeat(32);
    let subscription = format!(
        "apiVersion: gostoa.dev/v1alpha1\nkind: Subscription\nmetadata: {{ name: partner, namespace: tenant-acme }}\nspec: {{ keyHash: \"sha256:{hash}\", apis: [billing] }}\n"
    );
    let known = |run: &Run| match &run.tenant("acme").policy {
        Policy::Ready(policy) => policy.subscription("partner").is_some(),
        Policy::Unavailable(why) => panic!("{why}"),
    };
    run.edit("namespaces/tenant-acme/subscription.yaml", &subscription);
    run.until("the subscription", known);
    run.edit("namespaces/tenant-acme/guardrails.yaml", "broken: [");
    run.until("the report", |run| run.report("acme").state == State::LastGood);
    assert!(known(&run));
    fs::remove_file(run.path.join("namespaces/tenant-acme/subscription.yaml")).unwrap();
    run.until("the key is revoked", |run| !known(run));
    assert_eq!(run.report("acme").state, State::LastGood);
    assert_eq!(run.apis("acme"), ["billing"]);
}

#[test]
fn s10_the_last_good_one_becomes_too_old_without_any_change() {
    let run = Run::start();
    run.edit("namespaces/tenant-acme/contract.yaml", "broken: [");
    run.until("the report", |run| run.report("acme").state == State::LastGood);
    run.clock.advance_us(MAX_LAST_GOOD_US);
    run.until("acme is closed", |run| matches!(run.tenant("acme").policy, Policy::Unavailable(_)));
    assert_eq!(run.apis("globex"), ["inventory"]);
    run.until("the report", |run| run.report("acme").state == State::Closed);
}

#[test]
fn s10_a_deleted_partition_applies_at_once() {
    let run = Run::start();
    fs::remove_dir_all(run.path.join("namespaces/tenant-acme")).unwrap();
    run.until("the deletion", |run| run.apis("acme").is_empty());
    assert_eq!(run.apis("globex"), ["inventory"]);
}

#[test]
fn s10_a_deleted_tenant_applies_at_once() {
    let run = Run::start();
    fs::remove_file(run.path.join("tenants/acme.yaml")).unwrap();
    run.until("the deletion", |run| run.snapshot().tenant("acme").is_none());
    assert_eq!(run.apis("globex"), ["inventory"]);
}

#[test]
fn s10_a_configuration_folder_that_vanishes_keeps_everything_and_says_so() {
    let run = Run::start();
    fs::rename(&run.path, run.temp.path().join("away")).unwrap();
    run.until("the report", |run| run.report("acme").last_error.is_some_and(|error| error.contains("does not exist")));
    assert_eq!(run.apis("acme"), ["billing"]);
    assert_eq!(run.apis("globex"), ["inventory"]);
    fs::rename(run.temp.path().join("away"), &run.path).unwrap();
    run.until("it is back", |run| run.report("acme").last_error.is_none() && run.loader.report().faults.is_empty());
    assert_eq!(run.apis("acme"), ["billing"]);
}

#[test]
fn s10_a_broken_platform_keeps_the_last_good_one_and_changes_are_still_followed() {
    let run = Run::start();
    let platform = Arc::clone(run.snapshot().platform());
    run.edit("platform.yaml", &PLATFORM.replace("requestsPerMinute: 60000", "requestsPerMinute: many"));
    run.until("the fault", |run| run.loader.report().faults.iter().any(|fault| &*fault.file == "platform.yaml" && fault.line == 6));
    run.edit("namespaces/tenant-acme/contract.yaml", &contract("acme", &["orders"]));
    run.until("acme's change", |run| run.apis("acme") == ["orders"]);
    assert_eq!(run.snapshot().platform(), &platform);
    run.edit("tenants/globex.yaml", &tenant_file("globex", "suspended"));
    run.until("globex is suspended", |run| run.tenant("globex").status == bulkhead_tenancy::tenant::Status::Suspended);
}

#[test]
fn s16_a_refused_file_takes_no_guardrail_away() {
    let run = Run::start();
    let guardrails = "apiVersion: gostoa.dev/v1alpha1\nkind: GuardrailPolicy\nmetadata: { name: g, namespace: tenant-acme }\nspec: { toolAllowlist: [] }\n";
    run.edit("namespaces/tenant-acme/guardrails.yaml", guardrails);
    let strict = |run: &Run| match &run.tenant("acme").policy {
        Policy::Ready(policy) => policy.guardrails().allowlist.as_ref().is_some_and(|list| list.is_empty()),
        Policy::Unavailable(_) => false,
    };
    run.until("the guardrail", strict);
    fs::remove_file(run.path.join("namespaces/tenant-acme/guardrails.yaml")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", run.path.join("namespaces/tenant-acme/guardrails.yaml")).unwrap();
    run.until("the refusal", |run| run.report("acme").last_error.is_some_and(|error| error.contains("leads outside")));
    assert!(strict(&run), "what the refused file would have said is unknown, so the last good policy holds");
}

#[test]
fn s16_a_hostile_partition_stops_nobody() {
    let run = Run::start();
    let evil = run.path.join("namespaces/tenant-acme");
    for index in 0..2_000 {
        fs::write(evil.join(format!("{index}.yaml")), "&a [*a, *a]").unwrap();
    }
    std::os::unix::fs::symlink("../tenant-globex/contract.yaml", evil.join("stolen.yaml")).unwrap();
    run.edit("namespaces/tenant-globex/contract.yaml", &contract("globex", &["inventory", "catalog"]));
    run.until("globex's change", |run| run.apis("globex") == ["catalog", "inventory"]);
    run.until("acme's fault", |run| run.report("acme").state == State::LastGood);
    assert!(run.loader.is_following());
}

#[test]
fn the_age_of_a_policy_grows_with_the_clock() {
    let run = Run::start();
    let before = run.report("acme").age_seconds;
    run.clock.advance_us(90_000_000);
    assert_eq!(run.report("acme").age_seconds, before + 90);
}

#[test]
fn dropping_the_loader_ends_its_thread_and_leaves_the_snapshot() {
    let run = Run::start();
    let live = run.loader.live();
    assert!(run.loader.is_following());
    drop(run.loader);
    assert!(live.load().is_some());
}

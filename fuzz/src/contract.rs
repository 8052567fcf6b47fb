//! A tenant's partition: whatever stands in it, it is the tenant's own affair (S16, S17).

use std::sync::{Arc, LazyLock};

use bulkhead_tenancy::{
    catalog::{Catalog, changes_of},
    clock::SystemClock,
    resource,
    snapshot::Snapshot,
    tenant::{Policy, Tenant},
};

const OPERATOR: &str = "
apiVersion: gostoa.dev/v1alpha1
kind: Platform
metadata: { name: platform }
spec:
  routing: contract
  issuerTemplate: https://auth.example/realms/{tenant}
  addressing: { path: \"/{tenant}/{api}\" }
  rateLimit: { requestsPerMinute: 600 }
---
apiVersion: gostoa.dev/v1alpha1
kind: Plan
metadata: { name: plan }
spec: { rateLimit: { requestsPerMinute: 60 } }
---
apiVersion: gostoa.dev/v1alpha1
kind: Tenant
metadata: { name: acme }
spec: { plan: plan, uid: u-acme, upstreams: [ \"*.acme.example\" ] }
";

const OTHER: &str = "
apiVersion: gostoa.dev/v1alpha1
kind: Tenant
metadata: { name: globex }
spec: { plan: plan, uid: u-globex, upstreams: [ \"*.globex.example\" ] }
";

const GLOBEX: &str = "
apiVersion: gostoa.dev/v1alpha1
kind: UniversalAPIContract
metadata: { name: globex-contract, namespace: tenant-globex }
spec:
  version: \"1.0\"
  apis:
  - { name: orders-api, upstream: \"https://orders.globex.example/v1\" }
";

/// What one file reports at the most, and a last line about the rest.
const FAULTS: usize = 201;

/// Two tenants, of whom one has this partition.
pub(crate) fn snapshot(acme: &str) -> Option<Arc<Snapshot>> {
    served(acme, &[("other.yaml", OTHER), ("namespaces/tenant-globex/a.yaml", GLOBEX)])
}

/// That one without the other.
pub(crate) fn alone(acme: &str) -> Option<Arc<Snapshot>> {
    served(acme, &[])
}

fn served(acme: &str, others: &[(&str, &str)]) -> Option<Arc<Snapshot>> {
    let files = [&[("platform.yaml", OPERATOR), ("namespaces/tenant-acme/a.yaml", acme)], others].concat();
    // What the operator wrote is good: whatever stands in a partition, its tenant is there.
    Catalog::new(Arc::new(SystemClock)).apply(changes_of(&files)).ok().filter(|snapshot| snapshot.tenant("acme").is_some())
}

/// What is served for a tenant: everything but counts that only tell versions apart.
fn seen(snapshot: &Snapshot, tenant: &str) -> String {
    let of = |tenant: &Arc<Tenant>| {
        let policy = match &tenant.policy {
            Policy::Ready(policy) => policy.hash().as_str().to_owned(),
            other => format!("{other:?}"),
        };
        format!("{} {} {:?} {:?} {policy}", tenant.name, tenant.uid, tenant.rate_limit, snapshot.guarantee(tenant))
    };
    snapshot.tenant(tenant).map(of).unwrap_or_default()
}

static ALONE: LazyLock<String> = LazyLock::new(|| seen(&snapshot("").expect("the operator's files are good"), "globex"));

/// The other tenant is served as if nothing were there, the tenant itself reaches nothing that it was not granted, and faults name this file alone.
pub(crate) fn contract(data: &[u8]) {
    let Some(text) = super::text(data) else { return };
    let name = Arc::from("a.yaml");
    let (resources, faults) = resource::read(&name, text);
    assert!(faults.len() <= FAULTS, "{} faults", faults.len());
    // As YAML breaks lines: a carriage return alone does too.
    let lines = u32::try_from(text.split(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}']).count()).unwrap_or(u32::MAX);
    assert!(faults.iter().all(|fault| fault.file == name && fault.line <= lines.saturating_add(1)));
    let (again, _) = resource::read(&name, text);
    assert_eq!(resources.len(), again.len(), "read twice, it says the same");
    let snapshot = snapshot(text).expect("no partition takes the snapshot with it");
    assert_eq!(seen(&snapshot, "globex"), *ALONE, "another tenant is touched");
    let Some(Policy::Ready(policy)) = snapshot.tenant("acme").map(|tenant| &tenant.policy) else { return };
    for api in policy.apis() {
        let upstream = api.upstream.to_string();
        let host = upstream.strip_prefix("https://").or_else(|| upstream.strip_prefix("http://")).unwrap_or_default();
        let host = host.split(['/', ':']).next().unwrap_or_default();
        assert!(host.ends_with(".acme.example"), "{upstream} is not in the tenant's grant (S3)");
    }
}

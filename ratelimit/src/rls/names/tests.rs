use bulkhead_tenancy::{
    catalog::{Catalog, changes_of},
    clock::SystemClock,
    source::PartitionKey,
};

use super::*;

const OPERATOR: &str = "
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
---
apiVersion: gostoa.dev/v1alpha1
kind: Tenant
metadata: { name: hooli }
spec: { plan: plain, uid: u-hooli }
";

const CONTRACT: &str = "
apiVersion: gostoa.dev/v1alpha1
kind: UniversalAPIContract
metadata: { name: contract, namespace: tenant-acme }
spec: { apis: [ { name: billing, upstream: 'https://billing.acme.internal', policies: [ { audit: none } ] } ] }
";

const BILLING: Names<'static> = ["acme", descriptor::NONE, "billing"];

/// A catalog with its first snapshot, and what remembers.
struct Stage {
    catalog: Catalog,
    levels: Levels,
    remembered: Remembered,
}

impl Stage {
    fn new() -> (Self, Arc<Snapshot>) {
        let mut catalog = Catalog::new(Arc::new(SystemClock));
        let snapshot = catalog.apply(changes_of(&[("platform.yaml", OPERATOR), ("namespaces/tenant-acme/contract.yaml", CONTRACT)]));
        (Self { catalog, levels: Levels::default(), remembered: Remembered::default() }, snapshot.unwrap())
    }

    /// The snapshot in which acme's contract is another.
    fn changed(&mut self, contract: &str) -> Arc<Snapshot> {
        let mut changes = changes_of(&[("namespaces/tenant-acme/contract.yaml", contract)]);
        changes.retain(|change| change.partition != PartitionKey::Operator);
        self.catalog.apply(changes).unwrap()
    }

    fn look_up(&self, names: Names<'_>, snapshot: &Arc<Snapshot>) -> Option<Arc<Named>> {
        self.remembered.look_up(names, snapshot, &self.levels)
    }

    fn count(&self) -> usize {
        self.remembered.shards.iter().map(|shard| shard.read().unwrap().known.len()).sum()
    }
}

#[test]
fn names_stand_for_what_the_snapshot_has_that_a_decision_reads() {
    let (mut stage, before) = Stage::new();
    let first = stage.look_up(BILLING, &before).unwrap();
    assert_eq!(first.audit(), Some(Audit::None));
    assert!(Arc::ptr_eq(&first, &stage.look_up(BILLING, &before).unwrap()), "it is looked up once");
    let hooli = ["hooli", descriptor::NONE, descriptor::NONE];
    let other = stage.look_up(hooli, &before).unwrap();

    let after = stage.changed(&CONTRACT.replace("audit: none", "audit: full"));
    let second = stage.look_up(BILLING, &after).unwrap();
    assert_eq!(second.audit(), Some(Audit::Full), "a change is live with the next snapshot");
    assert!(Arc::ptr_eq(&other.shape, &stage.look_up(hooli, &after).unwrap().shape), "nothing of another tenant is built anew");

    assert_eq!(stage.look_up(BILLING, &before).unwrap().audit(), Some(Audit::None), "a decision reads one snapshot from start to end");
    assert!(Arc::ptr_eq(&second, &stage.look_up(BILLING, &after).unwrap()), "the latest is remembered");
}

#[test]
fn s12_names_of_a_callers_own_are_not_remembered() {
    let (stage, snapshot) = Stage::new();
    for number in 0..1_000 {
        let own = format!("billing-{number}");
        assert!(stage.look_up([own.as_str(), descriptor::NONE, "billing"], &snapshot).is_none());
        assert!(stage.look_up(["acme", descriptor::NONE, &own], &snapshot).unwrap().api.is_unknown());
        assert!(stage.look_up(["acme", &own, "billing"], &snapshot).unwrap().subscription.is_unknown());
    }
    assert_eq!(stage.count(), 0);
}

#[test]
fn s12_names_that_read_the_same_when_they_are_joined_are_others() {
    let (stage, snapshot) = Stage::new();
    let named = stage.look_up(BILLING, &snapshot).unwrap();
    assert!(named.is_of(BILLING));
    for others in [["acm", "e__none__", "billing"], ["acme\n__none__", "billing", ""], ["acme", "__none__\nbilling", ""], ["", "", ""]] {
        assert!(!named.is_of(others), "{others:?}");
    }
}

#[test]
fn s12_many_names_of_one_tenant_do_not_make_those_of_another_forgotten() {
    let (stage, snapshot) = Stage::new();
    let of = |names| stage.look_up(names, &snapshot).unwrap();
    let (acme, hooli) = (of(BILLING), of(["hooli", descriptor::NONE, descriptor::NONE]));
    let mut shard = Shard::default();
    shard.keep(u64::MAX, &hooli, &snapshot);
    for hash in 0..10 * REMEMBERED as u64 {
        shard.keep(hash, &acme, &snapshot);
        assert!(shard.known.len() <= REMEMBERED);
        assert!(shard.find(hash, BILLING, &snapshot).is_some(), "the latest is there");
    }
    assert!(shard.find(u64::MAX, ["hooli", descriptor::NONE, descriptor::NONE], &snapshot).is_some());
}

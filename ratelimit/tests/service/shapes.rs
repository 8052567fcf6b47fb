//! Shapes are shared for as long as what they were built from stays the same.

use std::sync::Arc;

use bulkhead_ratelimit::{
    charge::{Charge, Shape},
    levels::Levels,
};
use bulkhead_tenancy::{
    catalog::{Catalog, changes_of},
    clock::SystemClock,
    snapshot::Snapshot,
    source::PartitionKey,
    tenant::Policy,
};

use crate::{
    support::own_keys,
    world::{ACME, HOOLI, PLATFORM, TENANTS},
};

fn shape(levels: &Levels, snapshot: &Snapshot, tenant: &str, subscription: Option<&str>) -> Arc<Shape> {
    let tenant = snapshot.tenant(tenant).unwrap();
    let Policy::Ready(policy) = &tenant.policy else { panic!("no policy") };
    let subscription = subscription.map(|name| policy.subscription(name).unwrap());
    let charge = levels.charge(snapshot, tenant, subscription, None, 1);
    assert_eq!(charge, levels.of_tenant(snapshot, tenant, subscription.map(Arc::as_ref), None, 1), "as if it were built anew");
    of(&charge)
}

fn of(charge: &Charge) -> Arc<Shape> {
    Arc::clone(charge.parts()[0].shape())
}

#[test]
fn a_shape_is_built_once_and_anew_only_where_something_of_it_changed() {
    let levels = Levels::new(own_keys());
    let mut catalog = Catalog::new(Arc::new(SystemClock));
    let acme = "namespaces/tenant-acme/contract.yaml";
    let files = [("platform.yaml", PLATFORM), ("tenants.yaml", TENANTS), (acme, ACME), ("namespaces/tenant-hooli/contract.yaml", HOOLI)];
    let before = catalog.apply(changes_of(&files)).expect("a platform");
    let (one, other) = (shape(&levels, &before, "acme", Some("s-01")), shape(&levels, &before, "hooli", None));
    assert!(Arc::ptr_eq(&one, &shape(&levels, &before, "acme", Some("s-01"))));
    assert!(!Arc::ptr_eq(&one, &shape(&levels, &before, "acme", None)));
    let nobody = of(&levels.unresolved(&before, 1));
    assert!(Arc::ptr_eq(&nobody, &of(&levels.unresolved(&before, 5))));

    let changed = ACME.replace("requestsPerMinute: 6 }", "requestsPerMinute: 7 }");
    assert_ne!(changed, ACME);
    let mut changes = changes_of(&[(acme, changed.as_str())]);
    changes.retain(|change| change.partition != PartitionKey::Operator);
    let after = catalog.apply(changes).expect("a platform");
    assert_ne!(one, shape(&levels, &after, "acme", Some("s-01")), "another limit");
    assert!(Arc::ptr_eq(&other, &shape(&levels, &after, "hooli", None)), "nothing of it changed");
    assert_eq!(one, shape(&levels, &before, "acme", Some("s-01")), "a decision reads one snapshot from start to end");

    let platform = PLATFORM.replacen("requestsPerMinute: ", "requestsPerMinute: 1", 1);
    let last = catalog.apply(changes_of(&[("platform.yaml", platform.as_str()), ("tenants.yaml", TENANTS)])).expect("a platform");
    assert_ne!(other, shape(&levels, &last, "hooli", None), "another global limit");
    assert!(!Arc::ptr_eq(&nobody, &of(&levels.unresolved(&last, 1))));
}

#[test]
fn a_service_that_does_not_meter_names_no_meter() {
    let levels = Levels::new(own_keys()).metering(false);
    let mut catalog = Catalog::new(Arc::new(SystemClock));
    let files = [("platform.yaml", PLATFORM), ("tenants.yaml", TENANTS), ("namespaces/tenant-acme/contract.yaml", ACME)];
    let snapshot = catalog.apply(changes_of(&files)).expect("a platform");
    assert!(shape(&levels, &snapshot, "acme", None).meter().is_none());
    assert!(shape(&levels.metering(true), &snapshot, "acme", None).meter().is_some());
}

use super::*;
use crate::clock::ManualClock;

mod world;

use world::*;

#[test]
fn files_in_memory_become_a_snapshot() {
    let snapshot = from_files(&[
        ("platform.yaml", PLATFORM),
        ("plans.yaml", PLANS),
        ("tenants/acme.yaml", &tenant("acme")),
        ("tenants/globex.yaml", &tenant("globex")),
        ("namespaces/tenant-acme/contract.yaml", &contract("acme", "billing-api")),
        ("namespaces/tenant-globex/contract.yaml", &contract("globex", "inventory-api")),
    ])
    .unwrap();
    let acme = snapshot.tenant("acme").unwrap();
    let Policy::Ready(policy) = &acme.policy else { panic!("{:?}", acme.policy) };
    assert!(policy.api("billing-api").is_some());
    assert!(policy.api("inventory-api").is_none());
    let (owner, _) = snapshot.by_issuer("https://auth.example.com/realms/acme").unwrap();
    assert!(Arc::ptr_eq(owner, acme));
    assert_eq!(snapshot.host_claims(&"billing-api.acme.example.com".parse().unwrap()).len(), 1);
}

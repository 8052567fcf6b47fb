//! A change rebuilds what it touches, and nothing else.

use std::sync::Arc;

use super::world::*;

#[test]
fn a_change_of_one_partition_rebuilds_its_tenant_alone() {
    let mut world = World::of(&["acme", "globex", "initech"]);
    let before = Arc::clone(world.snapshot());
    world.write(&[(&contract_file("acme"), &contract("acme", "new-api"))]);
    let after = world.snapshot();
    assert!(!Arc::ptr_eq(before.tenant("acme").unwrap(), after.tenant("acme").unwrap()));
    for name in ["globex", "initech"] {
        assert!(Arc::ptr_eq(before.tenant(name).unwrap(), after.tenant(name).unwrap()), "{name}");
    }
    assert!(after.generation() > before.generation());
    // The snapshot before still says what it said.
    assert_eq!(before.host_claims(&"acme-api.acme.example.com".parse().unwrap()).len(), 1);
    assert_eq!(after.host_claims(&"acme-api.acme.example.com".parse().unwrap()).len(), 0);
    assert_eq!(after.host_claims(&"new-api.acme.example.com".parse().unwrap()).len(), 1);
    assert_eq!(after.host_claims(&"globex-api.globex.example.com".parse().unwrap()).len(), 1);
}

#[test]
fn what_did_not_change_is_the_same_snapshot() {
    let mut world = World::of(&["acme", "globex"]);
    let before = Arc::clone(world.snapshot());
    world.reload();
    assert!(Arc::ptr_eq(&before, world.snapshot()));
    world.apply(vec![]).unwrap();
    assert!(Arc::ptr_eq(&before, world.snapshot()));
}

#[test]
fn a_change_of_one_tenants_grant_rebuilds_that_tenant_alone() {
    let mut world = World::of(&["acme", "globex"]);
    let globex = Arc::clone(world.tenant("globex"));
    world.write(&[(&tenant_file("acme"), &format!("\n\n{}  status: suspended\n", tenant("acme")))]);
    assert!(Arc::ptr_eq(world.tenant("globex"), &globex));
    let acme = Arc::clone(world.tenant("acme"));
    assert_eq!(acme.status, crate::tenant::Status::Suspended);
    // The same words at other lines change nothing.
    world.write(&[(&tenant_file("acme"), &format!("{}  status: suspended\n", tenant("acme")))]);
    assert!(Arc::ptr_eq(world.tenant("acme"), &acme));
}

#[test]
fn a_plan_that_changes_rebuilds_the_tenants_on_it() {
    let mut world = World::of(&["acme", "globex"]);
    world.write(&[
        ("gold.yaml", &plan("gold", "rateLimit: { requestsPerMinute: 10 }")),
        (&tenant_file("globex"), &tenant_on("gold", "globex")),
    ]);
    let acme = Arc::clone(world.tenant("acme"));
    world.write(&[("gold.yaml", &plan("gold", "rateLimit: { requestsPerMinute: 20 }"))]);
    assert_eq!(world.tenant("globex").rate_limit.capacity, 20);
    assert!(Arc::ptr_eq(world.tenant("acme"), &acme));
}

#[test]
fn a_plan_that_comes_mends_a_contract_that_names_it() {
    let mut world = World::of(&["acme"]);
    let text = contract("acme", "acme-api").replace("    hosts", "    policies: [ { rateLimit: tier-gold } ]\n    hosts");
    world.write(&[(&contract_file("acme"), &text.replace("acme-api", "new-api"))]);
    assert!(!world.has_api("acme", "new-api"));
    world.assert_fault(&contract_file("acme"), "no such plan");
    world.write(&[("gold.yaml", &plan("gold", "rateLimit: { requestsPerMinute: 10 }"))]);
    assert!(world.has_api("acme", "new-api"));
    world.assert_fault(&contract_file("acme"), "is not the tenant's own plan, whose limit holds");
    assert_eq!(world.tenant("acme").rate_limit.capacity, 2000);
}

#[test]
fn the_hash_of_a_policy_tells_contents_apart_and_nothing_else() {
    let mut world = World::of(&["acme"]);
    let first = world.policy("acme").hash().clone();
    world.write(&[(&contract_file("acme"), &format!("# the same\n{}", contract("acme", "acme-api")))]);
    assert_eq!(*world.policy("acme").hash(), first);
    let mut seen = vec![first];
    let key = |digit: &str| own("Subscription", "sub", &format!("keyHash: sha256:{}", digit.repeat(64)));
    for text in
        [key("a"), key("b"), own("GuardrailPolicy", "g", "toolAllowlist: [acme-api]"), own("GuardrailPolicy", "g", "toolAllowlist: []")]
    {
        world.write(&[("namespaces/tenant-acme/more.yaml", &text)]);
        let hash = world.policy("acme").hash().clone();
        assert!(!seen.contains(&hash), "{text}");
        seen.push(hash);
    }
}

#[test]
fn a_thousand_tenants_load_and_one_change_keeps_the_others() {
    let names: Vec<_> = (0..1000).map(|one| format!("t{one}")).collect();
    let files: Vec<_> = names
        .iter()
        .flat_map(|name| [(tenant_file(name), tenant_on("free", name)), (contract_file(name), contract(name, "api"))])
        .chain([("free.yaml".to_owned(), plan("free", "rateLimit: { requestsPerMinute: 10 }"))])
        .collect();
    let mut world = World::of(&[]);
    world.write(&files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect::<Vec<_>>());
    assert_eq!(world.snapshot().tenants().count(), 1000);
    assert!(names.iter().all(|name| world.has_api(name, "api")));
    let before = Arc::clone(world.snapshot());
    world.write(&[(&contract_file("t7"), &contract("t7", "new-api"))]);
    assert!(world.has_api("t7", "new-api"));
    let kept = names.iter().filter(|name| Arc::ptr_eq(before.tenant(name).unwrap(), world.tenant(name))).count();
    assert_eq!(kept, 999);
}

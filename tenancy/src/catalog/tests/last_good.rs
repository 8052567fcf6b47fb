//! S10: what is broken keeps its last good version, under the operator's resources as they stand; S23: nobody inherits it.

use std::sync::Arc;

use super::world::*;
use crate::{
    catalog::{Catalog, CatalogError, MAX_LAST_GOOD_US, State, changes_of},
    clock::ManualClock,
    source::PartitionKey,
    tenant::Status,
};

const BROKEN: &str = "kind: [";

fn state(world: &World, tenant: &str) -> State {
    world.catalog.report().iter().find(|report| report.tenant.as_str() == tenant).unwrap().state
}

#[test]
fn s10_a_broken_partition_keeps_its_last_good_policy_and_touches_nobody() {
    let mut world = World::of(&["acme", "globex"]);
    let globex = Arc::clone(world.tenant("globex"));
    world.write(&[(&contract_file("acme"), BROKEN)]);
    assert!(world.has_api("acme", "acme-api"));
    assert_eq!(state(&world, "acme"), State::LastGood);
    assert!(Arc::ptr_eq(world.tenant("globex"), &globex));
    assert_eq!(state(&world, "globex"), State::Ready);
    let report = world.catalog.report();
    assert!(report[0].last_error.as_ref().unwrap().contains(&contract_file("acme")));
    assert_eq!(report[1].last_error, None);
    world.write(&[(&contract_file("acme"), &contract("acme", "new-api"))]);
    assert!(world.has_api("acme", "new-api"));
    assert_eq!(state(&world, "acme"), State::Ready);
}

#[test]
fn s10_a_partition_that_never_was_good_is_closed() {
    let mut world = World::of(&["acme"]);
    world.write(&[(&tenant_file("globex"), &tenant("globex")), (&contract_file("globex"), BROKEN)]);
    assert!(world.is_closed("globex"));
    assert_eq!(world.owner(&issuer("globex")), Some("globex"), "its own token is told 503, not 401");
    assert!(world.has_api("acme", "acme-api"));
}

#[test]
fn s10_the_last_good_policy_is_judged_under_the_newest_status() {
    let mut world = World::of(&["acme"]);
    world.write(&[(&contract_file("acme"), BROKEN)]);
    world.write(&[(&tenant_file("acme"), &format!("{}  status: suspended\n", tenant("acme")))]);
    assert_eq!(world.tenant("acme").status, Status::Suspended);
    assert!(world.has_api("acme", "acme-api"));
}

#[test]
fn s10_the_last_good_policy_closes_once_its_upstream_is_taken_away() {
    let mut world = World::of(&["acme"]);
    world.write(&[(&contract_file("acme"), BROKEN)]);
    let elsewhere = tenant("acme").replace("*.acme.internal", "*.elsewhere.internal");
    world.write(&[(&tenant_file("acme"), &elsewhere)]);
    assert!(world.is_closed("acme"));
    world.write(&[(&tenant_file("acme"), &tenant("acme"))]);
    assert!(world.has_api("acme", "acme-api"), "granted again");
}

#[test]
fn s10_a_policy_that_does_not_fit_a_new_grant_is_closed_even_though_it_is_the_newest() {
    let mut world = World::of(&["acme"]);
    world.write(&[(&tenant_file("acme"), &tenant("acme").replace("*.acme.example.com", "*.other.example.com"))]);
    assert!(world.is_closed("acme"));
    world.assert_fault(&contract_file("acme"), "is not inside the hosts that the operator grants this tenant");
}

#[test]
fn s10_the_last_good_policy_follows_a_new_plan_and_lost_issuers() {
    let mut world = World::of(&["acme"]);
    world.write(&[(&contract_file("acme"), BROKEN)]);
    world.write(&[("plans.yaml", &PLANS.replace("1000", "500"))]);
    assert_eq!(world.tenant("acme").rate_limit.capacity, 1000);
    world.write(&[(&tenant_file("acme"), &tenant("acme").replace("realms/acme", "realms/new"))]);
    assert_eq!(world.owner(&issuer("acme")), None);
    assert_eq!(world.owner(&issuer("new")), Some("acme"));
    assert!(world.has_api("acme", "acme-api"));
}

#[test]
fn s10_the_last_good_policy_has_a_greatest_age() {
    let mut world = World::of(&["acme"]);
    world.write(&[(&contract_file("acme"), BROKEN)]);
    world.clock.advance_us(MAX_LAST_GOOD_US - 1);
    world.apply(vec![]).unwrap();
    assert!(!world.is_closed("acme"));
    // Another broken content does not make it young again.
    world.write(&[(&contract_file("acme"), "kind: {")]);
    world.clock.advance_us(1);
    world.apply(vec![]).unwrap();
    assert!(world.is_closed("acme"));
    world.write(&[(&contract_file("acme"), &contract("acme", "acme-api"))]);
    assert!(!world.is_closed("acme"));
    // And the newest policy never becomes too old.
    world.clock.advance_us(10 * MAX_LAST_GOOD_US);
    world.apply(vec![]).unwrap();
    assert!(!world.is_closed("acme"));
}

#[test]
fn s10_a_clock_that_jumps_back_closes_nobody() {
    let mut world = World::of(&["acme"]);
    world.write(&[(&contract_file("acme"), BROKEN)]);
    world.clock.set_us(1);
    world.apply(vec![]).unwrap();
    assert!(!world.is_closed("acme"));
}

#[test]
fn s10_a_read_error_is_not_a_deletion_and_a_deletion_applies_at_once() {
    let mut world = World::of(&["acme"]);
    world.unreadable(namespace("tenant-acme"));
    assert!(world.has_api("acme", "acme-api"));
    assert_eq!(state(&world, "acme"), State::LastGood);
    world.delete(&[&contract_file("acme")]);
    assert!(!world.has_api("acme", "acme-api"), "without a contract it reaches nothing");
    world.write(&[(&contract_file("acme"), BROKEN)]);
    assert!(world.is_closed("acme"), "what was deleted is nobody's last good version");
}

#[test]
fn s10_the_operators_folder_that_cannot_be_read_changes_nothing() {
    let mut world = World::of(&["acme"]);
    let acme = Arc::clone(world.tenant("acme"));
    world.unreadable(PartitionKey::Operator);
    assert!(Arc::ptr_eq(world.tenant("acme"), &acme));
    world.assert_fault("the folder", "permission denied");
}

#[test]
fn s10_a_file_of_the_operator_that_was_refused_takes_nothing_away() {
    let mut world = World::of(&["acme", "globex"]);
    let mut changes = changes_of(&[("platform.yaml", PLATFORM), ("plans.yaml", PLANS)]);
    let crate::source::Content::Files { faults, .. } = &mut changes[0].content else { panic!() };
    faults.push(crate::place::Place::file(&Arc::from("tenants")).fault("cannot be read"));
    world.apply(changes).unwrap();
    assert_eq!(world.owner(&issuer("acme")), Some("acme"));
    assert_eq!(world.owner(&issuer("globex")), Some("globex"));
}

#[test]
fn s10_a_broken_tenant_keeps_its_last_good_version() {
    let mut world = World::of(&["acme"]);
    for broken in [BROKEN.to_owned(), tenant("acme").replace("plan:", "paln:"), tenant("acme").replace("realms/acme", "realms/ac me")] {
        world.write(&[(&tenant_file("acme"), &broken)]);
        assert_eq!(world.owner(&issuer("acme")), Some("acme"), "{broken}");
        assert!(world.has_api("acme", "acme-api"));
        assert!(world.faults().iter().any(|fault| fault.starts_with("tenants/acme.yaml:")), "loudly: {broken}");
    }
    world.delete(&[&tenant_file("acme")]);
    assert_eq!(world.owner(&issuer("acme")), None, "a deletion applies at once");
}

#[test]
fn s10_a_broken_plan_keeps_its_last_good_version_and_one_never_good_closes_its_tenants() {
    let mut world = World::of(&["acme"]);
    world.write(&[("plans.yaml", BROKEN)]);
    assert!(world.has_api("acme", "acme-api"));
    assert_eq!(world.tenant("acme").rate_limit.capacity, 2000);
    world.write(&[("more.yaml", &plan("gold", "rateLimit: {}")), (&tenant_file("globex"), &tenant_on("gold", "globex"))]);
    assert!(world.is_closed("globex"));
    assert_eq!(world.tenant("globex").rate_limit.capacity, 0);
    world.assert_fault(&tenant_file("globex"), "no such plan");
    assert!(world.has_api("acme", "acme-api"));
}

#[test]
fn s10_a_broken_or_missing_platform_keeps_the_last_good_one() {
    let mut world = World::of(&["acme"]);
    world.write(&[("platform.yaml", BROKEN)]);
    assert_eq!(world.snapshot().platform().rate_limit.capacity, 10_000);
    world.delete(&["platform.yaml"]);
    assert_eq!(world.snapshot().platform().rate_limit.capacity, 10_000);
    assert!(world.has_api("acme", "acme-api"));
    world.assert_fault(".", "there is no Platform: the last good one holds");
}

#[test]
fn without_a_platform_there_is_no_snapshot_until_one_is_good() {
    let mut catalog = Catalog::new(Arc::new(ManualClock::at_us(1)));
    let broken = [("platform.yaml", BROKEN), ("plans.yaml", PLANS), ("tenants/acme.yaml", &tenant("acme"))];
    let error = catalog.apply(changes_of(&broken)).unwrap_err();
    let CatalogError::NoPlatform(faults) = error;
    assert!(faults.iter().any(|fault| &*fault.file == "platform.yaml"), "{faults:?}");
    let text = contract("acme", "acme-api");
    assert!(catalog.apply(changes_of(&[("namespaces/tenant-acme/contract.yaml", &text)])[1..].to_vec()).is_err());
    let mut good = broken;
    good[0].1 = PLATFORM;
    let snapshot = catalog.apply(changes_of(&good)).unwrap();
    assert!(
        snapshot
            .tenant("acme")
            .is_some_and(|acme| matches!(&acme.policy, crate::tenant::Policy::Ready(policy) if policy.api("acme-api").is_some()))
    );
}

#[test]
fn s23_a_tenant_made_anew_inherits_no_last_good_policy() {
    let mut world = World::of(&["acme"]);
    world.write(&[(&contract_file("acme"), BROKEN)]);
    world.delete(&[&tenant_file("acme")]);
    assert!(world.snapshot().tenant("acme").is_none());
    world.write(&[(&tenant_file("acme"), &tenant("acme").replace("uid-acme", "uid-of-another-acme"))]);
    assert!(world.is_closed("acme"));
    assert_eq!(world.tenant("acme").uid.as_str(), "uid-of-another-acme");
}

#[test]
fn s23_a_tenant_whose_uid_is_replaced_in_place_inherits_no_last_good_policy() {
    let mut world = World::of(&["acme"]);
    world.write(&[(&contract_file("acme"), BROKEN)]);
    assert!(world.has_api("acme", "acme-api"));
    world.write(&[(&tenant_file("acme"), &tenant("acme").replace("uid-acme", "uid-of-another-acme"))]);
    assert!(world.is_closed("acme"));
}

#[test]
fn s23_not_even_one_without_a_uid_inherits_the_last_good_policy() {
    let mut world = World::of(&[]);
    let nameless = tenant("acme").replace("  uid: uid-acme\n", "");
    world.write(&[(&tenant_file("acme"), &nameless), (&contract_file("acme"), &contract("acme", "acme-api"))]);
    assert!(world.has_api("acme", "acme-api"));
    world.write(&[(&contract_file("acme"), BROKEN)]);
    world.delete(&[&tenant_file("acme")]);
    world.write(&[(&tenant_file("acme"), &nameless)]);
    assert!(world.is_closed("acme"));
}

#[test]
fn a_tenant_that_is_gone_leaves_no_faults_of_its_grant() {
    let mut world = World::of(&["acme"]);
    world.write(&[(&tenant_file("acme"), &tenant("acme").replace("*.acme.example.com", "*.other.example.com"))]);
    world.assert_fault(&contract_file("acme"), "is not inside the hosts");
    world.delete(&[&tenant_file("acme")]);
    assert!(!world.faults().iter().any(|fault| fault.contains("is not inside the hosts")), "{:?}", world.faults());
    world.assert_fault("namespaces/tenant-acme", "belongs to no Tenant");
}

#[test]
fn s23_a_tenant_without_a_uid_has_one_of_its_name_and_validate_says_so() {
    let mut world = World::of(&["acme"]);
    world.write(&[(&tenant_file("globex"), &tenant("globex").replace("  uid: uid-globex\n", ""))]);
    assert!(world.tenant("globex").uid.as_str().starts_with("name-"));
    world.assert_fault(&tenant_file("globex"), "inherits its counters");
}

//! S17, S21, S23, S25 and S3: the incumbent keeps what it holds, and guarantees add up to what there is.

use std::sync::Arc;

use super::world::*;
use crate::{
    limit::{MINUTE_US, Rate},
    tenant::Tenant,
};

/// Globex arrives, asking for something of acme's.
fn arrives(asking: &str, instead_of: &str) -> (World, Arc<Tenant>) {
    let mut world = World::of(&["acme"]);
    let acme = Arc::clone(world.tenant("acme"));
    let text = tenant("globex").replace(instead_of, asking);
    assert_ne!(text, tenant("globex"), "the attack changed nothing");
    world.write(&[(&tenant_file("globex"), &text), (&contract_file("globex"), &contract("globex", "globex-api"))]);
    (world, acme)
}

#[test]
fn s17_a_newcomer_does_not_get_an_issuer_and_is_served_otherwise() {
    let both = format!("issuers: [ {{ issuer: {} }}, {{ issuer: {} }} ]", issuer("acme"), issuer("globex"));
    let (world, acme) = arrives(&both, &format!("issuers: [ {{ issuer: {} }} ]", issuer("globex")));
    assert!(Arc::ptr_eq(world.tenant("acme"), &acme));
    assert_eq!(world.owner(&issuer("acme")), Some("acme"));
    assert_eq!(world.owner(&issuer("globex")), Some("globex"));
    assert!(world.has_api("globex", "globex-api"));
    world.assert_fault(&tenant_file("globex"), "spec.issuers[0].issuer: this issuer is another tenant's");
    assert!(world.faults().iter().all(|fault| !fault.starts_with("tenants/acme.yaml")), "only the newcomer's file is named");
}

#[test]
fn s17_a_tie_at_a_cold_start_closes_only_the_contested_issuer() {
    let mut world = World::of(&[]);
    let acme = tenant("acme").replace(" } ]", &format!(" }}, {{ issuer: {} }} ]", issuer("shared")));
    let globex = tenant("globex").replace(" } ]", &format!(" }}, {{ issuer: {} }} ]", issuer("shared")));
    world.write(&[(&tenant_file("acme"), &acme), (&tenant_file("globex"), &globex)]);
    assert_eq!(world.owner(&issuer("shared")), None);
    assert_eq!(world.owner(&issuer("acme")), Some("acme"));
    assert_eq!(world.owner(&issuer("globex")), Some("globex"));
    for name in ["acme", "globex"] {
        world.assert_fault(&tenant_file(name), "this issuer is another tenant's, or asked for by another tenant too");
    }
}

#[test]
fn s17_an_issuer_that_its_holder_gives_up_goes_to_who_still_asks() {
    let (mut world, _) = arrives(&issuer("acme"), &issuer("globex"));
    assert_eq!(world.owner(&issuer("acme")), Some("acme"));
    world.delete(&[&tenant_file("acme")]);
    assert_eq!(world.owner(&issuer("acme")), Some("globex"));
}

#[test]
fn s21_a_newcomers_wildcard_does_not_take_an_incumbents_hosts() {
    let (world, acme) = arrives("*.example.com", "*.globex.example.com");
    assert!(Arc::ptr_eq(world.tenant("acme"), &acme));
    assert!(world.tenant("globex").hosts.is_empty());
    let claims = world.snapshot().host_claims(&"acme-api.acme.example.com".parse().unwrap());
    assert_eq!(claims.iter().map(|claim| claim.tenant.as_str()).collect::<Vec<_>>(), ["acme"]);
    world.assert_fault(&tenant_file("globex"), "spec.hosts[0]: this host is another tenant's");
}

#[test]
fn s17_a_tie_for_a_host_closes_that_host_and_not_the_contract() {
    let mut world = World::of(&[]);
    let grant = |name: &str| tenant(name).replace("hosts: [", "hosts: [shared.example.net, ");
    let text = contract("acme", "acme-api").replace("hosts: [", "hosts: [shared.example.net, ");
    world.write(&[(&tenant_file("acme"), &grant("acme")), (&tenant_file("globex"), &grant("globex")), (&contract_file("acme"), &text)]);
    assert!(world.has_api("acme", "acme-api"));
    assert_eq!(world.snapshot().host_claims(&"shared.example.net".parse().unwrap()), Vec::<&crate::snapshot::HostClaim>::new());
    assert_eq!(world.snapshot().host_claims(&"acme-api.acme.example.com".parse().unwrap()).len(), 1);
    world.assert_fault(&contract_file("acme"), "spec.apis[0].hosts[0]: the operator's grant of shared.example.net is contested");
}

#[test]
fn s21_a_host_of_the_platforms_template_is_granted_to_nobody_else() {
    let mut world = World::of(&["acme"]);
    world.write(&[("platform.yaml", &format!("{PLATFORM}  addressing: {{ host: '{{tenant}}.api.example.com' }}\n"))]);
    let evil = tenant("globex").replace("*.globex.example.com", "acme.api.example.com");
    world.write(&[(&tenant_file("globex"), &evil)]);
    assert!(world.tenant("globex").hosts.is_empty());
    world.assert_fault(&tenant_file("globex"), "overlaps the platform's addressing");
}

#[test]
fn s3_a_newcomer_does_not_get_an_incumbents_upstream() {
    let (world, acme) = arrives("'*.globex.internal', acme-api.acme.internal", "'*.globex.internal'");
    assert!(Arc::ptr_eq(world.tenant("acme"), &acme));
    assert_eq!(world.tenant("globex").upstreams, ["*.globex.internal".parse().unwrap()]);
    assert!(world.has_api("globex", "globex-api"));
}

#[test]
fn s3_an_api_at_a_contested_upstream_is_closed_and_no_other() {
    let (mut world, _) = arrives("'*.globex.internal', acme-api.acme.internal", "'*.globex.internal'");
    let stolen = "  - { name: stolen-api, upstream: 'https://acme-api.acme.internal/v1' }\n";
    world.write(&[(&contract_file("globex"), &format!("{}{stolen}", contract("globex", "globex-api")))]);
    assert!(world.has_api("globex", "globex-api"));
    assert!(!world.has_api("globex", "stolen-api"));
    world.assert_fault(&contract_file("globex"), "spec.apis[1].upstream: the operator's grant of this upstream is contested");
}

#[test]
fn s3_tenants_share_an_upstream_only_where_both_are_in_the_pool() {
    let pool = plan("pooled", "rateLimit: { requestsPerMinute: 10 }, isolation: pool");
    let sharing = |name: &str| tenant_on("pooled", name).replace(&format!("*.{name}.internal"), "*.shared.internal");
    let mut world = World::of(&[]);
    world.write(&[("pool.yaml", &pool), (&tenant_file("acme"), &sharing("acme")), (&tenant_file("globex"), &sharing("globex"))]);
    assert_eq!(world.tenant("acme").upstreams.len(), 1);
    assert_eq!(world.tenant("globex").upstreams.len(), 1);
    let acme = Arc::clone(world.tenant("acme"));
    let bridge = sharing("initech").replace("pooled", "standard");
    world.write(&[(&tenant_file("initech"), &bridge)]);
    assert!(world.tenant("initech").upstreams.is_empty());
    // Who leaves the pool leaves what the pool shares.
    world.write(&[(&tenant_file("globex"), &sharing("globex").replace("pooled", "standard"))]);
    assert!(world.tenant("globex").upstreams.is_empty());
    assert!(Arc::ptr_eq(world.tenant("acme"), &acme));
}

#[test]
fn s21_a_namespace_belongs_to_one_tenant() {
    let (world, acme) = arrives("plan: standard\n  namespace: tenant-acme", "plan: standard");
    assert!(Arc::ptr_eq(world.tenant("acme"), &acme));
    assert!(world.snapshot().tenant("globex").is_none());
    assert_eq!(world.owner(&issuer("globex")), None);
    world.assert_fault(&tenant_file("globex"), "spec.namespace: this namespace is another tenant's");
}

#[test]
fn s23_a_uid_belongs_to_one_tenant() {
    let (world, acme) = arrives("uid-acme", "uid-globex");
    assert!(Arc::ptr_eq(world.tenant("acme"), &acme));
    assert!(world.snapshot().tenant("globex").is_none());
    world.assert_fault(&tenant_file("globex"), "spec.uid: this uid is another tenant's");
}

#[test]
fn s17_a_second_resource_of_one_name_does_not_replace_the_first() {
    let mut world = World::of(&["acme"]);
    let acme = Arc::clone(world.tenant("acme"));
    // It sorts before the incumbent's file.
    world.write(&[("a.yaml", &tenant("acme").replace("realms/acme", "realms/evil"))]);
    assert!(Arc::ptr_eq(world.tenant("acme"), &acme));
    assert_eq!(world.owner(&issuer("evil")), None);
    world.assert_fault("a.yaml", "another resource of this kind has this name");
    world.write(&[("b.yaml", &PLATFORM.replace("name: platform", "name: another"))]);
    world.assert_fault("b.yaml", "there is another Platform, in platform.yaml, and there can be only one: that one holds");
}

#[test]
fn s17_of_two_platforms_at_a_start_none_governs_whatever_their_files_are_called() {
    let other = PLATFORM.replace("10000", "5000");
    for other in [other.clone(), other.replace("name: platform", "name: another")] {
        let mut world =
            World::start(&[("b.yaml", PLATFORM), ("a.yaml", &other), ("plans.yaml", PLANS), (&tenant_file("acme"), &tenant("acme"))]);
        assert!(world.apply(vec![]).is_err());
        let both = world.faults();
        assert_eq!(both.len(), 2, "{both:#?}");
        world.assert_fault("a.yaml", "there is another Platform, in b.yaml, and there can be only one: none of them governs");
        world.assert_fault("b.yaml", "there is another Platform, in a.yaml, and there can be only one: none of them governs");
        // In one file, too.
        world.delete(&["a.yaml"]);
        assert_eq!(world.snapshot().platform().rate_limit.rate, Rate::per_minute(10_000));
    }
    let world = World::start(&[("a.yaml", &format!("{PLATFORM}---{other}"))]);
    assert_eq!(world.faults().len(), 2);
}

#[test]
fn s17_later_no_second_platform_takes_the_first_ones_place() {
    let governs = |world: &World| assert_eq!(world.snapshot().platform().rate_limit.rate, Rate::per_minute(10_000));
    let other = PLATFORM.replace("10000", "5000");
    let mut world = World::of(&["acme"]);
    let acme = Arc::clone(world.tenant("acme"));
    // Before it in its own file, before it in the order of files, and two in its place.
    world.write(&[("platform.yaml", &format!("{other}---{PLATFORM}"))]);
    governs(&world);
    world.assert_fault("platform.yaml", "in platform.yaml, and there can be only one: the last good one holds");
    world.write(&[("platform.yaml", PLATFORM), ("a.yaml", &other)]);
    governs(&world);
    world.write(&[("b.yaml", &other.replace("name: platform", "name: another"))]);
    world.delete(&["platform.yaml"]);
    governs(&world);
    world.assert_fault("a.yaml", "in b.yaml, and there can be only one: the last good one holds");
    assert!(Arc::ptr_eq(world.tenant("acme"), &acme));
    // Only one is left: that one is meant.
    world.delete(&["b.yaml"]);
    assert_eq!(world.snapshot().platform().rate_limit.rate, Rate::per_minute(5_000));
    assert!(world.faults().is_empty(), "{:?}", world.faults());
}

#[test]
fn s17_a_name_is_not_taken_while_its_incumbents_file_is_broken() {
    let mut world = World::of(&["acme"]);
    let acme = Arc::clone(world.tenant("acme"));
    world.write(&[(&tenant_file("acme"), "kind: ["), ("a.yaml", &tenant("acme").replace("realms/acme", "realms/evil"))]);
    assert!(Arc::ptr_eq(world.tenant("acme"), &acme));
    world.assert_fault("a.yaml", "another resource of this kind has this name");
    // Gone at last, it may be taken.
    world.delete(&[&tenant_file("acme")]);
    assert_eq!(world.owner(&issuer("evil")), Some("acme"));
}

#[test]
fn s17_a_guarantee_past_the_total_refuses_that_newcomer_alone() {
    let mut world = World::of(&["acme"]);
    let acme = Arc::clone(world.tenant("acme"));
    let big = plan("big", "rateLimit: { requestsPerMinute: 9901 }, guaranteed: { requestsPerMinute: 9901 }");
    world.write(&[("big.yaml", &big), (&tenant_file("globex"), &tenant_on("big", "globex"))]);
    assert!(world.is_closed("globex"));
    assert!(Arc::ptr_eq(world.tenant("acme"), &acme));
    world.assert_fault(&tenant_file("globex"), "spec.plan: the global limit leaves no guarantee for this tenant");
    world.write(&[("big.yaml", &big.replace("9901", "9900"))]);
    assert!(!world.is_closed("globex"), "at most the total");
}

#[test]
fn s17_a_move_past_the_total_leaves_the_previous_plan() {
    let mut world = World::of(&["acme", "globex"]);
    let big = plan("big", "rateLimit: { requestsPerMinute: 9901 }, guaranteed: { requestsPerMinute: 9901 }");
    world.write(&[("big.yaml", &big), (&tenant_file("globex"), &tenant_on("big", "globex"))]);
    assert_eq!(world.tenant("globex").plan.name.as_str(), "standard");
    assert!(world.has_api("globex", "globex-api"));
    world.assert_fault(&tenant_file("globex"), "the previous plan holds");
}

#[test]
fn s17_a_plan_that_guarantees_past_the_total_keeps_its_previous_version() {
    let mut world = World::of(&["acme", "globex"]);
    world.write(&[("plans.yaml", &PLANS.replace("100 }", "5001 }").replace("1000,", "6000,"))]);
    assert_eq!(world.tenant("acme").plan.guaranteed.unwrap().rate, Rate::per_minute(100));
    world.assert_fault("plans.yaml", "spec.guaranteed: guarantees more than the global limit leaves");
}

#[test]
fn s17_a_global_limit_below_the_guarantees_leaves_the_previous_one() {
    let mut world = World::of(&["acme", "globex"]);
    world.write(&[("platform.yaml", &PLATFORM.replace("10000", "199"))]);
    assert_eq!(world.snapshot().platform().rate_limit.rate, Rate::per_minute(10_000));
    world.assert_fault("platform.yaml", "spec.rateLimit: is below what the plans guarantee");
    world.write(&[("platform.yaml", &PLATFORM.replace("10000", "200"))]);
    assert_eq!(world.snapshot().platform().rate_limit.rate, Rate::per_minute(200));
}

#[test]
fn s25_every_tenant_has_a_guarantee_above_zero() {
    let mut world = World::of(&["acme"]);
    let free = plan("free", "rateLimit: { requestsPerMinute: 600 }");
    world.write(&[("free.yaml", &free), (&tenant_file("globex"), &tenant_on("free", "globex"))]);
    // Half of what the stated guarantees leave: (10000 - 100) / 2, for one.
    assert_eq!(world.snapshot().default_guarantee, reduced(9900, 2));
    let acme = Arc::clone(world.tenant("acme"));
    let globex = Arc::clone(world.tenant("globex"));
    world.write(&[(&tenant_file("initech"), &tenant_on("free", "initech"))]);
    assert_eq!(world.snapshot().default_guarantee, reduced(9900, 4));
    assert!(Arc::ptr_eq(world.tenant("acme"), &acme), "a tenant that comes rebuilds no other");
    assert!(Arc::ptr_eq(world.tenant("globex"), &globex));
    for tenant in world.snapshot().tenants() {
        let guarantee = world.snapshot().guarantee(tenant);
        assert!(guarantee.capacity > 0 && guarantee.rate.requests > 0, "{}", tenant.name);
    }
    // Stated guarantees may not take the last of it while a tenant's plan states none.
    let all = plan("all", "rateLimit: { requestsPerMinute: 9900 }, guaranteed: { requestsPerMinute: 9900 }");
    world.write(&[("all.yaml", &all), (&tenant_file("hooli"), &tenant_on("all", "hooli"))]);
    assert!(world.is_closed("hooli"));
    assert_eq!(world.snapshot().default_guarantee, reduced(9900, 4));
}

/// So many requests in so many minutes, in lowest terms.
fn reduced(requests: u64, minutes: u64) -> Rate {
    let (mut divisor, mut rest) = (requests, minutes * MINUTE_US);
    while rest != 0 {
        (divisor, rest) = (rest, divisor % rest);
    }
    Rate { requests: requests / divisor, period_us: minutes * MINUTE_US / divisor }
}

/// A tenant in a silo with this store.
fn silo(name: &str, store: &str) -> String {
    tenant_on("apart", name).replace("  uid:", &format!("  store: {store}\n  uid:"))
}

const APART: &str = "rateLimit: { requestsPerMinute: 10 }, isolation: silo";

#[test]
fn s17_a_newcomer_does_not_get_another_silos_store_however_it_is_spelled() {
    let mut world = World::of(&["initech"]);
    world.write(&[("apart.yaml", &plan("apart", APART)), (&tenant_file("acme"), &silo("acme", "redis://:hunter2@store.internal"))]);
    let (acme, initech) = (Arc::clone(world.tenant("acme")), Arc::clone(world.tenant("initech")));
    for spelling in ["rediss://u:p@STORE.internal.:6379/0", "redis-cluster://other.internal,store.internal:6379"] {
        world.write(&[(&tenant_file("globex"), &silo("globex", spelling))]);
        assert!(world.is_closed("globex"), "{spelling}");
        world.assert_fault(&tenant_file("globex"), "spec.store: this store is another tenant's");
        assert!(world.faults().iter().all(|fault| !fault.starts_with("tenants/acme.yaml") && !fault.contains("hunter2")));
        assert!(Arc::ptr_eq(world.tenant("acme"), &acme) && Arc::ptr_eq(world.tenant("initech"), &initech));
    }
    world.write(&[(&tenant_file("globex"), &silo("globex", "redis://store.internal/1"))]);
    assert!(!world.is_closed("globex"), "another database is another store: {:#?}", world.faults());
}

#[test]
fn s17_a_store_that_its_holder_gives_up_goes_to_who_still_asks() {
    let mut world = World::of(&[]);
    world.write(&[("apart.yaml", &plan("apart", APART)), (&tenant_file("acme"), &silo("acme", "redis://store"))]);
    world.write(&[(&tenant_file("globex"), &silo("globex", "redis://store"))]);
    assert!(world.is_closed("globex") && !world.is_closed("acme"));
    world.delete(&[&tenant_file("acme")]);
    assert!(!world.is_closed("globex"), "{:#?}", world.faults());
}

#[test]
fn s17_a_tie_for_a_store_at_a_cold_start_closes_both_silos_and_nobody_else() {
    let mut world = World::of(&["initech"]);
    let (acme, globex) = (silo("acme", "redis://store"), silo("globex", "rediss://store:6379"));
    world.write(&[("apart.yaml", &plan("apart", APART)), (&tenant_file("acme"), &acme), (&tenant_file("globex"), &globex)]);
    assert!(world.is_closed("acme") && world.is_closed("globex") && !world.is_closed("initech"));
}

#[test]
fn s17_of_two_tenants_of_one_name_at_a_start_neither_counts_whatever_their_files_are_called() {
    let evil = tenant("acme").replace("realms/acme", "realms/evil");
    let mut world = World::start(&[
        ("platform.yaml", PLATFORM),
        ("plans.yaml", PLANS),
        ("a.yaml", &evil),
        (&tenant_file("acme"), &tenant("acme")),
        (&tenant_file("globex"), &tenant("globex")),
    ]);
    assert!(world.snapshot().tenant("acme").is_none() && world.snapshot().tenant("globex").is_some());
    assert_eq!((world.owner(&issuer("evil")), world.owner(&issuer("acme"))), (None, None));
    for file in ["a.yaml", &tenant_file("acme")] {
        world.assert_fault(file, "another resource of this kind has this name, and which is meant cannot be known: neither counts");
    }
    world.delete(&["a.yaml"]);
    assert_eq!(world.owner(&issuer("acme")), Some("acme"));
    // Later, two in the place of one, in its own file or in others, leave it what it was.
    let acme = Arc::clone(world.tenant("acme"));
    world.write(&[(&tenant_file("acme"), &format!("{evil}---{}", tenant("acme")))]);
    assert!(Arc::ptr_eq(world.tenant("acme"), &acme));
    world.write(&[("a.yaml", &evil), ("b.yaml", &tenant("acme"))]);
    world.delete(&[&tenant_file("acme")]);
    assert!(Arc::ptr_eq(world.tenant("acme"), &acme));
    world.assert_fault("b.yaml", "the last good one holds");
}

#[test]
fn s10_of_two_files_that_are_shown_alike_none_takes_the_place_of_the_other() {
    let mut world = World::of(&["acme"]);
    let acme = Arc::clone(world.tenant("acme"));
    let files = [
        ("platform.yaml", PLATFORM.to_owned()),
        ("plans.yaml", PLANS.to_owned()),
        ("tenants/acme.yaml", tenant("acme")),
        ("tenants/acme.yaml", "# nobody\n".to_owned()),
    ];
    let files = files.map(|(path, text)| crate::source::SourceFile { path: path.into(), text }).to_vec();
    let content = crate::source::Content::Files { files, faults: vec![] };
    world.apply(vec![crate::source::Change { partition: crate::source::PartitionKey::Operator, content }]).unwrap();
    assert!(Arc::ptr_eq(world.tenant("acme"), &acme));
    world.assert_fault("tenants/acme.yaml", "is shown as another file is");
}

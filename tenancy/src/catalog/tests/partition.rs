//! S16 and S3: a partition is hostile input, and what it says stays inside what the operator grants.

use super::world::*;
use crate::judge::bound::{ENOUGH_FAULTS, MAX_APIS, MAX_SUBSCRIPTIONS, MAX_UPSTREAM_HOSTS};

/// Asserts that acme's partition is refused for this, and that globex notices nothing.
#[track_caller]
fn refused(text: &str, says: &str) {
    let mut world = World::of(&["acme", "globex"]);
    let globex = std::sync::Arc::clone(world.tenant("globex"));
    world.write(&[("namespaces/tenant-acme/more.yaml", text)]);
    world.assert_fault("namespaces/tenant-acme/more.yaml", says);
    assert!(world.has_api("acme", "acme-api"), "the last good policy holds");
    assert!(std::sync::Arc::ptr_eq(world.tenant("globex"), &globex));
}

#[test]
fn s16_the_operators_kinds_in_a_partition_are_refused() {
    refused(&tenant("acme").replace("realms/acme", "realms/globex"), "Tenant is the operator's to write");
    refused(PLATFORM, "Platform is the operator's to write");
    refused(&PLANS.replace("1000,", "99999,"), "Plan is the operator's to write");
}

#[test]
fn s16_a_resource_of_another_namespace_is_refused() {
    refused(&contract("globex", "evil-api"), "metadata.namespace: must be tenant-acme");
}

#[test]
fn s16_a_partition_without_a_tenant_affects_itself_alone() {
    let mut world = World::of(&["acme"]);
    world.write(&[("namespaces/nobody/contract.yaml", &contract("acme", "evil-api").replace("tenant-acme", "nobody"))]);
    world.assert_fault("namespaces/nobody", "belongs to no Tenant");
    assert!(world.has_api("acme", "acme-api"));
}

#[test]
fn s16_what_belongs_to_tenants_is_refused_among_the_operators_files() {
    let mut world = World::of(&["acme"]);
    world.write(&[("contract.yaml", &contract("acme", "evil-api"))]);
    world.assert_fault("contract.yaml", "UniversalAPIContract is a tenant's own");
    assert!(!world.has_api("acme", "evil-api"));
}

fn apis(count: usize, upstream: impl Fn(usize) -> String) -> String {
    let apis: String = (0..count).map(|one| format!("  - {{ name: api-{one}, upstream: 'https://{}' }}\n", upstream(one))).collect();
    format!("apiVersion: gostoa.dev/v1alpha1\nkind: UniversalAPIContract\nmetadata: {{ name: more }}\nspec:\n  apis:\n{apis}")
}

#[test]
fn s16_the_number_of_apis_is_bounded() {
    refused(&apis(MAX_APIS, |_| "a.acme.internal".to_owned()), "at most 500 APIs");
}

#[test]
fn s4_the_distinct_upstream_hosts_of_a_tenant_are_bounded() {
    refused(&apis(MAX_UPSTREAM_HOSTS, |one| format!("h{one}.acme.internal")), "at most 64 distinct upstream hosts and ports");
}

#[test]
fn s16_the_number_of_subscriptions_is_bounded() {
    let mut world = World::of(&["acme"]);
    let files: Vec<_> = (0..=MAX_SUBSCRIPTIONS / 500)
        .map(|file| {
            let text = (0..500).map(|one| own("Subscription", &format!("s-{file}-{one}"), &format!("clientId: c-{file}-{one}")));
            (format!("namespaces/tenant-acme/subscriptions-{file}.yaml"), text.collect::<String>())
        })
        .collect();
    world.write(&files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect::<Vec<_>>());
    assert!(world.faults().iter().any(|fault| fault.contains("at most 10000 subscriptions")), "{:?}", world.faults().first());
    assert_eq!(world.policy("acme").subscriptions().count(), 0, "the last good policy holds");
}

#[test]
fn s16_a_partition_that_is_wrong_everywhere_does_not_say_everything() {
    let mut world = World::of(&["acme"]);
    let apis = (0..900).map(|one| format!("x{one}")).collect::<Vec<_>>().join(",");
    let text: String = (0..100).map(|one| own("Subscription", &format!("s{one}"), &format!("clientId: c{one}, apis: [{apis}]"))).collect();
    world.write(&[("namespaces/tenant-acme/more.yaml", &text)]);
    let faults = world.faults();
    assert!(faults.len() <= ENOUGH_FAULTS + 1, "{}", faults.len());
    assert!(faults.iter().any(|fault| fault.contains("more faults in this partition")));
    assert!(world.has_api("acme", "acme-api"));
}

#[test]
fn s16_what_is_wrong_in_each_of_many_thousands_is_not_said_of_each() {
    let api = "{ name: a, upstream: 'https://a.acme.internal', hosts: [a.acme.example.com], openapi: gone.yaml }";
    let twice = format!("apis: [{}]", vec![api; 20_000].join(","));
    let platforms: String = (0..5_000).map(|_| format!("{}---\n", PLATFORM.trim_start())).collect();
    let elsewhere: String =
        (0..5_000).map(|_| own("GuardrailPolicy", "g", "").replace("{ name: g }", "{ name: g, namespace: tenant-globex }")).collect();
    for text in [own("UniversalAPIContract", "more", &twice), platforms, elsewhere] {
        let mut world = World::of(&["acme"]);
        world.write(&[("namespaces/tenant-acme/more.yaml", &text)]);
        assert!(world.has_api("acme", "acme-api"), "the last good policy holds");
        let more = world.faults().iter().find_map(|fault| fault.split_once("and ")?.1.split_once(" more faults")?.0.parse::<usize>().ok());
        assert!(more.is_some_and(|more| more <= 3 * ENOUGH_FAULTS), "{more:?}");
    }
}

#[test]
fn s16_the_values_in_all_schemas_are_bounded() {
    let mut world = World::of(&["acme"]);
    let numbers = (0..10_000).map(|number: usize| number.to_string()).collect::<Vec<_>>().join(",");
    let contract = contract("acme", "acme-api") + "    protocol: mcp\n";
    let tools = |count: usize| -> String {
        let tool = |nth| own("Tool", &format!("t{nth}"), &format!("api: acme-api, description: d, inputSchema: {{ enum: [{numbers}] }}"));
        (0..count).map(tool).collect()
    };
    world.write(&[(&contract_file("acme"), &contract), ("namespaces/tenant-acme/more.yaml", &tools(9))]);
    assert_eq!(world.faults(), [""; 0]);
    world.write(&[("namespaces/tenant-acme/more.yaml", &tools(10))]);
    world.assert_fault("namespaces/tenant-acme/more.yaml", "at most 100000 values in the schemas of a tenant, not 100020");
}

#[test]
fn s10_a_file_that_is_emptied_while_it_is_written_takes_nothing_away() {
    let mut world = World::of(&["acme"]);
    for file in [tenant_file("acme"), contract_file("acme"), "platform.yaml".to_owned(), "plans.yaml".to_owned()] {
        for nothing in ["", "\n  \n", "\u{feff}\n"] {
            world.write(&[(&file, nothing)]);
            world.assert_fault(&file, "is empty");
            assert!(world.has_api("acme", "acme-api"), "{file}: what it held holds");
        }
    }
    world.write(&[(&contract_file("acme"), "# nothing any more\n")]);
    assert!(!world.has_api("acme", "acme-api"), "whoever says so has it gone");
}

#[test]
fn s3_upstreams_outside_the_grant_are_refused() {
    let mut world = World::of(&["acme", "globex"]);
    for upstream in ["globex-api.globex.internal", "other.internal", "acme.internal", "acme-api.acme.internal.evil.com", "auth.example.com"]
    {
        let text = contract("acme", "acme-api").replace("acme-api.acme.internal", upstream);
        world.write(&[(&contract_file("acme"), &text)]);
        world.assert_fault(&contract_file("acme"), "spec.apis[0].upstream: is not inside the upstreams");
        assert_eq!(world.policy("acme").api("acme-api").unwrap().upstream.origin.host.as_str(), "acme-api.acme.internal");
    }
}

#[test]
fn s3_a_tenant_without_upstreams_has_none() {
    let mut world = World::of(&[]);
    let none = tenant("acme").replace("  upstreams: ['*.acme.internal']\n", "");
    world.write(&[(&tenant_file("acme"), &none), (&contract_file("acme"), &contract("acme", "acme-api"))]);
    assert!(world.is_closed("acme"));
}

#[test]
fn s3_the_platforms_own_endpoints_are_no_upstream_even_if_they_are_granted() {
    let mut world = World::of(&[]);
    let wide = tenant("acme").replace("'*.acme.internal'", "'*.com', '*.internal'");
    world.write(&[
        ("platform.yaml", &format!("{PLATFORM}  issuerTemplate: https://keycloak.internal/realms/{{tenant}}\n  addressing: {{ host: '{{tenant}}.api.internal' }}\n")),
        (&tenant_file("acme"), &wide),
    ]);
    for endpoint in ["auth.example.com", "keycloak.internal", "globex.api.internal", "www.acme.example.com"] {
        let text = contract("acme", "acme-api").replace("acme-api.acme.internal", endpoint);
        world.write(&[(&contract_file("acme"), &text)]);
        world.assert_fault(&contract_file("acme"), "is an endpoint of the platform itself");
        assert!(world.is_closed("acme"), "{endpoint}");
    }
}

#[test]
fn s3_the_machine_itself_is_no_upstream() {
    let mut world = World::of(&[]);
    world.write(&[(&tenant_file("acme"), &tenant("acme"))]);
    for host in ["127.0.0.1", "169.254.169.254", "localhost", "0.0.0.0"] {
        let text = contract("acme", "acme-api").replace("acme-api.acme.internal", host);
        world.write(&[(&contract_file("acme"), &text)]);
        assert!(world.is_closed("acme"), "{host}");
        world.assert_fault(&contract_file("acme"), "which no contract may point at");
    }
}

#[test]
fn with_the_users_own_routes_the_upstream_is_documentation() {
    let mut world = World::of(&[]);
    world.write(&[
        ("platform.yaml", &PLATFORM.replace("routing: contract", "routing: own")),
        (&tenant_file("acme"), &tenant("acme")),
        (&contract_file("acme"), &contract("acme", "acme-api").replace("acme-api.acme.internal", "anywhere.example.net")),
    ]);
    assert!(world.has_api("acme", "acme-api"));
}

#[test]
fn s16_faults_name_nothing_of_another_tenant() {
    let mut world = World::of(&["acme", "globex"]);
    let text = contract("acme", "acme-api").replace("acme-api.acme.internal", "globex-api.globex.internal");
    world.write(&[(&contract_file("acme"), &text)]);
    let own: Vec<_> = world.faults().into_iter().filter(|fault| fault.starts_with("namespaces/tenant-acme/")).collect();
    assert!(!own.is_empty());
    assert!(own.iter().all(|fault| !fault.contains("globex")), "{own:?}");
}

#[test]
fn the_operator_may_keep_every_tenant_in_one_large_file_and_a_partition_may_not() {
    let mut world = World::of(&["acme"]);
    let padding = "# a tenant more\n".repeat((4 << 20) / 16 + 1);
    world.write(&[("tenants/all.yaml", &format!("{padding}{}", tenant("globex")))]);
    assert_eq!(world.tenant("globex").name.as_str(), "globex");
    world.write(&[("namespaces/tenant-acme/large.yaml", &padding)]);
    world.assert_fault("namespaces/tenant-acme/large.yaml", "has more than 4194304 bytes");
}

#[test]
fn a_partition_whose_tenant_is_broken_is_not_said_to_have_none() {
    let mut world = World::of(&["acme"]);
    let globex = (contract_file("globex"), contract("globex", "globex-api"));
    world.write(&[(&globex.0, &globex.1), (&tenant_file("globex"), "kind: [")]);
    let says = "whether a Tenant has it cannot be known while tenants/globex.yaml is broken: nothing in it is served";
    world.assert_fault("namespaces/tenant-globex", says);
    // It can be read, and is refused.
    world.write(&[(&tenant_file("globex"), &tenant("globex").replace("https://auth", "ftp://auth"))]);
    world.assert_fault("namespaces/tenant-globex", "its Tenant in tenants/globex.yaml is refused: nothing in it is served");
    world.delete(&[&tenant_file("globex")]);
    world.assert_fault("namespaces/tenant-globex", "belongs to no Tenant: nothing in it is served");
}

#[test]
fn a_platform_that_is_broken_is_not_said_to_be_missing() {
    let mut world = World::without_platform();
    let broken = PLATFORM.replace("spec:", "spec: [");
    assert!(world.apply(crate::catalog::changes_of(&[("platform.yaml", &broken)])).is_err());
    world.assert_fault(".", "no Platform was found, and whether there is one cannot be known while platform.yaml is broken");
    assert!(world.apply(crate::catalog::changes_of(&[("plans.yaml", PLANS)])).is_err());
    assert!(world.faults().iter().any(|fault| fault.ends_with(": there is no Platform")), "{:#?}", world.faults());
}

#[test]
fn s16_many_small_files_are_bounded_as_one_large_file_is() {
    let mut world = World::of(&["acme"]);
    // 30,000 values each, of 300 bytes.
    let tool = |nth: usize| {
        let tower = "{ a: &a [x, x, x, x, x, x, x, x, x, x], b: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a, *a], c: &c [*b, *b, *b, *b, *b, *b, *b, *b, *b], d: [*c, *c, *c, *c, *c, *c, *c, *c, *c, *c] }";
        own("Tool", &format!("tool-{nth}"), &format!("api: acme-api, inputSchema: {tower}"))
    };
    let files: Vec<_> = (0..40).map(|nth| (format!("namespaces/tenant-acme/tool-{nth}.yaml"), tool(nth))).collect();
    world.write(&files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect::<Vec<_>>());
    assert!(world.faults().iter().any(|fault| fault.contains("more than 400000 values")), "{:?}", world.faults().first());
    assert!(world.has_api("acme", "acme-api"), "the last good policy holds");
}

#[test]
fn s16_patterns_are_counted_before_they_are_compiled() {
    let mut world = World::of(&["acme"]);
    let policy = |nth: usize| {
        let patterns: Vec<_> = (0..200).map(|one| format!("a{nth}b{one}")).collect();
        own(
            "GuardrailPolicy",
            &format!("policy-{nth}"),
            &format!("contentFilter: {{ topics: {{ t{nth}: {{ patterns: [{}] }} }} }}", patterns.join(", ")),
        )
    };
    let files: Vec<_> = (0..6).map(|nth| (format!("namespaces/tenant-acme/policy-{nth}.yaml"), policy(nth))).collect();
    let some = |world: &mut World, many: usize| {
        world.write(&files.iter().take(many).map(|(path, text)| (path.as_str(), text.as_str())).collect::<Vec<_>>());
        world.faults().iter().filter(|fault| fault.contains("comes after as many patterns")).count()
    };
    assert_eq!(some(&mut world, 5), 0, "{:?}", world.faults().first());
    assert!(some(&mut world, 6) > 0);
}

#[test]
fn s11_a_message_is_one_line_whatever_it_quotes() {
    let mut world = World::of(&["acme"]);
    let schema = r##"inputSchema: { "$ref": "x\nnamespaces/tenant-zzz/contract.yaml:1:1: spec: forged\u001b[31m\u202e" }"##;
    let long = format!("inputSchema: {{ \"$ref\": \"{}\" }}", "y".repeat(5_000));
    let hidden = format!("inputSchema: {{ \"$ref\": \"{}\" }}", "\\u061c".repeat(3_000));
    for spec in [schema, &long, &hidden] {
        world.write(&[("namespaces/tenant-acme/tool.yaml", &own("Tool", "tool", &format!("api: acme-api, {spec}")))]);
        let faults = world.faults();
        assert!(!faults.is_empty());
        assert!(faults.iter().all(|fault| !fault.contains(['\n', '\u{1b}', '\u{202e}', '\u{61c}']) && fault.len() < 2_000), "{faults:?}");
    }
}

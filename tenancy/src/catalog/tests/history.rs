//! Non-interference: whatever happens to the other tenants, in whatever order, one tenant stays what it is, to the allocation.

use std::sync::Arc;

use proptest::prelude::*;

use super::world::*;
use crate::source::PartitionKey;

/// Something that happens to a tenant other than the victim.
#[derive(Debug, Clone)]
enum Event {
    /// Its Tenant resource says this.
    Grant(&'static str, String),
    /// Its partition says this.
    Own(&'static str, String),
    DeleteTenant(&'static str),
    DeletePartition(&'static str),
    UnreadablePartition(&'static str),
    UnreadableOperator,
    Plan(String),
    Time(u64),
}

const OTHERS: [&str; 3] = ["aaa", "globex", "zzz"];

fn event() -> impl Strategy<Value = Event> {
    let other = prop::sample::select(OTHERS.to_vec());
    let grant = other.clone().prop_flat_map(|name| {
        let texts = vec![
            tenant(name),
            tenant_on("extra", name),
            tenant_on("nothing", name),
            tenant(name).replace(&format!("realms/{name}"), "realms/victim"),
            tenant(name).replace(&format!("*.{name}.example.com"), "*.example.com"),
            tenant(name).replace(&format!("*.{name}.example.com"), "victim-api.victim.example.com"),
            tenant(name).replace(&format!("*.{name}.internal"), "*.internal"),
            tenant(name).replace(&format!("uid-{name}"), "uid-victim"),
            tenant(name).replace("plan: standard", "plan: standard\n  namespace: tenant-victim"),
            tenant("victim").replace("realms/victim", "realms/evil"),
            "kind: [".to_owned(),
            String::new(),
        ];
        (Just(name), prop::sample::select(texts)).prop_map(|(name, text)| Event::Grant(name, text))
    });
    let own_text = other.clone().prop_flat_map(|name| {
        let texts = vec![
            contract(name, "some-api"),
            contract(name, "some-api").replace(&format!(".{name}."), ".victim."),
            contract("victim", "victim-api"),
            tenant("victim"),
            PLATFORM.to_owned(),
            own("GuardrailPolicy", "g", "rateLimit: { requestsPerMinute: 1 }, toolAllowlist: []"),
            "a: &a [*a, *a]".to_owned(),
            "\u{0}\u{1}".to_owned(),
        ];
        (Just(name), prop::sample::select(texts)).prop_map(|(name, text)| Event::Own(name, text))
    });
    prop_oneof![
        4 => grant,
        4 => own_text,
        1 => other.clone().prop_map(Event::DeleteTenant),
        1 => other.clone().prop_map(Event::DeletePartition),
        1 => other.prop_map(Event::UnreadablePartition),
        1 => Just(Event::UnreadableOperator),
        1 => prop::sample::select(vec!["", ", guaranteed: { requestsPerMinute: 50 }", ", guaranteed: { requestsPerMinute: 9900 }", ", isolation: pool", "]"])
            .prop_map(|more| Event::Plan(plan("extra", &format!("rateLimit: {{ requestsPerMinute: 9900 }}{more}")))),
        1 => (0_u64..200_000_000_000).prop_map(Event::Time),
    ]
}

fn happens(world: &mut World, event: &Event) {
    match event {
        Event::Grant(name, text) => world.write(&[(&tenant_file(name), text)]),
        Event::Own(name, text) => world.write(&[(&contract_file(name), text)]),
        Event::DeleteTenant(name) => world.delete(&[&tenant_file(name)]),
        Event::DeletePartition(name) => world.delete(&[&contract_file(name)]),
        Event::UnreadablePartition(name) => world.unreadable(namespace(&format!("tenant-{name}"))),
        Event::UnreadableOperator => world.unreadable(PartitionKey::Operator),
        Event::Plan(text) => world.write(&[("extra.yaml", text)]),
        Event::Time(by) => {
            world.clock.advance_us(*by);
            world.apply(vec![]).unwrap();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn no_history_of_other_tenants_changes_one(events in prop::collection::vec(event(), 1..24)) {
        let mut world = World::of(&["victim"]);
        let victim = Arc::clone(world.tenant("victim"));
        let guarantee = world.snapshot().guarantee(&victim);
        for event in &events {
            happens(&mut world, event);
            prop_assert!(Arc::ptr_eq(world.tenant("victim"), &victim), "{event:?}");
            prop_assert_eq!(world.owner(&issuer("victim")), Some("victim"));
            prop_assert_eq!(world.snapshot().guarantee(&victim), guarantee);
            let claims = world.snapshot().host_claims(&"victim-api.victim.example.com".parse().unwrap());
            prop_assert_eq!(claims.iter().map(|claim| claim.tenant.as_str()).collect::<Vec<_>>(), ["victim"]);
            for other in world.snapshot().tenants().filter(|other| other.name.as_str() != "victim") {
                let origin = "victim-api.victim.internal".parse().unwrap();
                prop_assert!(!other.upstreams.iter().any(|upstream| upstream.matches(&origin)), "{event:?}");
                prop_assert!(world.snapshot().guarantee(other).rate.requests > 0 || world.is_closed(other.name.as_str()));
            }
        }
    }

    /// Whatever is written, by whomever: an answer, never a panic, and faults that can be printed.
    #[test]
    fn the_catalog_never_panics(files in prop::collection::vec(("[a-z]{1,3}", any::<bool>(), words()), 1..6)) {
        let mut world = World::of(&["acme"]);
        let files: Vec<_> = files
            .into_iter()
            .map(|(name, operators, text)| (if operators { format!("{name}.yaml") } else { format!("namespaces/tenant-acme/{name}.yaml") }, text))
            .collect();
        world.write(&files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect::<Vec<_>>());
        drop(world.faults());
        drop(world.catalog.report());
        prop_assert!(world.has_api("acme", "acme-api") || world.is_closed("acme") || !world.faults().is_empty());
    }
}

/// Pieces of resources in any order, and noise.
fn words() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "apiVersion: gostoa.dev/v1alpha1\n",
        "kind: Tenant\n",
        "kind: Plan\n",
        "kind: Platform\n",
        "kind: UniversalAPIContract\n",
        "kind: GuardrailPolicy\n",
        "kind: Subscription\n",
        "kind: Tool\n",
        "kind: ToolSet\n",
        "metadata: { name: acme }\n",
        "metadata: { name: platform }\n",
        "spec: {}\n",
        "spec:\n",
        "  plan: standard\n",
        "  rateLimit: { requestsPerMinute: 0 }\n",
        "  apis: []\n",
        "  apis: [ { name: acme-api, upstream: 'http://x.acme.internal' } ]\n",
        "  clientId: x\n",
        "  api: acme-api\n",
        "  tools: [x]\n",
        "---\n",
        "  - ",
        "&a *a",
        "{",
        "\t",
        "\u{feff}",
        "\u{85}",
    ]);
    prop::collection::vec(piece, 0..14).prop_map(|pieces| pieces.concat())
}

//! What a tenant wrote, judged: a fixture and an assertion for each error, how several policies join, and what is not served yet.

use std::sync::Arc;

use crate::{
    catalog::{Catalog, changes_of},
    clock::ManualClock,
    fault::{Fault, Severity},
    limit::Rate,
    policy::TenantPolicy,
    snapshot::Snapshot,
    tenant::Policy,
};

mod errors;
mod joined;
mod openapi;
mod unread;

const OPERATOR: &str = "
apiVersion: gostoa.dev/v1alpha1
kind: Platform
metadata: { name: platform }
spec:
  routing: contract
  rateLimit: { requestsPerMinute: 10000 }
  topics: { rivals: { phrases: [Initech] } }
---
apiVersion: gostoa.dev/v1alpha1
kind: Plan
metadata: { name: standard }
spec: { rateLimit: { requestsPerMinute: 1000, burstMultiplier: 2.0 } }
---
apiVersion: gostoa.dev/v1alpha1
kind: Plan
metadata: { name: other }
spec: { rateLimit: { requestsPerMinute: 10 } }
---
apiVersion: gostoa.dev/v1alpha1
kind: Tenant
metadata: { name: acme }
spec:
  plan: standard
  uid: uid-acme
  issuers: [ { issuer: https://auth.example.com/realms/acme } ]
  hosts: ['*.acme.example.com']
  upstreams: ['*.acme.internal']
";

/// A resource of acme's, its spec in flow style on the line after `spec:`.
fn own(kind: &str, name: &str, spec: &str) -> String {
    format!("---\napiVersion: gostoa.dev/v1alpha1\nkind: {kind}\nmetadata: {{ name: {name} }}\nspec: {{ {spec} }}\n")
}

fn api(name: &str, more: &str) -> String {
    format!("{{ name: {name}, upstream: 'https://a.acme.internal'{more} }}")
}

fn contract(apis: &[String]) -> String {
    own("UniversalAPIContract", "contract", &format!("apis: [ {} ]", apis.join(", ")))
}

/// A contract with an http API and one that speaks MCP.
fn base() -> String {
    contract(&[api("billing", ""), api("tools", ", protocol: mcp")])
}

fn load(operator: &str, own: &str, beside: &[(&str, &str)]) -> (Arc<Snapshot>, Vec<Fault>) {
    let mut files = vec![("operator.yaml", operator), ("namespaces/tenant-acme/own.yaml", own)];
    files.extend(beside);
    let mut catalog = Catalog::new(Arc::new(ManualClock::at_us(1)));
    let snapshot = catalog.apply(changes_of(&files)).unwrap();
    (snapshot, catalog.faults())
}

/// Acme's policy, which must be without errors, with the warnings.
#[track_caller]
fn good(own: &str) -> (Arc<TenantPolicy>, Rate, Vec<Fault>) {
    let (snapshot, faults) = load(OPERATOR, own, &[]);
    assert!(faults.iter().all(|fault| fault.severity == Severity::Warning), "{faults:#?}");
    let tenant = snapshot.tenant("acme").unwrap();
    let Policy::Ready(policy) = &tenant.policy else { panic!("closed") };
    (Arc::clone(policy), tenant.rate_limit.rate, faults)
}

/// Asserts that this is refused with exactly this one error (the partition is closed), and with a line and a column.
#[track_caller]
fn refused(own: &str, says: &str) {
    let (snapshot, faults) = load(OPERATOR, own, &[]);
    let errors: Vec<_> = faults.iter().filter(|fault| fault.severity == Severity::Error).collect();
    assert_eq!(errors.len(), 1, "{errors:#?}");
    let text = format!("{}: {}", errors[0].field, errors[0].message);
    assert_eq!(text, says);
    assert!(errors[0].line > 0 && errors[0].column > 0 && &*errors[0].file == "namespaces/tenant-acme/own.yaml", "{}", errors[0]);
    assert!(matches!(snapshot.tenant("acme").unwrap().policy, Policy::Unavailable(_)));
}

/// Asserts that this loads, with a warning.
#[track_caller]
fn warned(own: &str, says: &str) {
    let (_, _, faults) = good(own);
    let texts: Vec<_> = faults.iter().map(|fault| format!("{}: {}", fault.field, fault.message)).collect();
    assert!(texts.iter().any(|text| text == says), "{texts:#?}");
}

#[test]
fn a_tool_is_called_by_the_name_that_its_own_server_knows_it_by() {
    let apis = contract(&[api("tools", ", protocol: mcp"), api("more", ", protocol: mcp")]);
    let (one, two) = (own("Tool", "weather", "api: tools, name: get_weather"), own("Tool", "other", "api: more, name: get_weather"));
    let (policy, ..) = good(&(apis + &one + &two + &own("Tool", "plain", "api: tools")));
    let called = |api: &str, wire: &str| policy.tool(&api.parse().unwrap(), wire).map(|tool| tool.name.as_str());
    assert_eq!((called("tools", "get_weather"), called("more", "get_weather")), (Some("weather"), Some("other")));
    assert_eq!((called("tools", "weather"), called("tools", "GET_WEATHER"), called("tools", "plain")), (None, None, Some("plain")));
}

/// What of these faults says that something asked for is not served.
fn unserved(faults: &[Fault]) -> Vec<&str> {
    faults.iter().map(|fault| fault.message.as_str()).filter(|message| message.contains("not served")).collect()
}

#[test]
fn every_guardrail_that_is_not_in_shadow_is_served() {
    let apis = contract(&[
        api("plain", ", policies: [ { audit: none } ]"),
        api("loud", ", policies: [ { audit: full } ]"),
        api("mcp", ", protocol: mcp"),
    ]);
    assert_eq!(unserved(&good(&apis).2), Vec::<&str>::new());
    for served in [
        "contentFilter: { piiDetection: redact, blockedTopics: [rivals] }",
        "toolAllowlist: [billing]",
        "rules: 'allow { true }'",
        "rateLimit: { requestsPerMinute: 1 }",
    ] {
        let (.., faults) = good(&(base() + &own("GuardrailPolicy", "g", served)));
        assert_eq!(unserved(&faults), Vec::<&str>::new(), "{served}");
    }
}

#[test]
fn rules_are_compiled_at_load_and_a_fault_in_them_is_told_at_its_line() {
    let article = "spec:\n  rules: |\n    allow {\n      input.resource.namespace == input.caller.tenant_namespace\n      input.caller.roles[_] == \"tenant-admin\"\n    }\n";
    let policy = |spec: &str| {
        format!("apiVersion: gostoa.dev/v1alpha1\nkind: GuardrailPolicy\nmetadata: {{ name: g, namespace: tenant-acme }}\n{spec}")
    };
    let (with_rules, _, faults) = good(&(base() + "---\n" + &policy(article)));
    assert_eq!(with_rules.guardrails().rules.len(), 1);
    assert_eq!(unserved(&faults), Vec::<&str>::new(), "{faults:?}");
    for (spec, line, says) in [
        ("spec:\n  rules: |\n    allow if {\n      http.send({})\n    }\n", 7, "`http.send`"),
        ("spec:\n  rules: |\n\n    # why\n    allow if\n", 9, ""),
        ("spec: { rules: 'allow if data.x' }\n", 4, "`data`"),
        ("spec:\n  regoVersion: v0\n  rules: |\n    allow if { false }\n", 7, "stands alone"),
        ("spec:\n  regoVersion: v1\n  rules: |\n    allow { true }\n", 7, ""),
    ] {
        let (snapshot, faults) = load(OPERATOR, &base(), &[("namespaces/tenant-acme/g.yaml", &policy(spec))]);
        assert!(matches!(snapshot.tenant("acme").unwrap().policy, Policy::Unavailable(_)), "{spec}");
        let fault = faults.iter().find(|fault| fault.severity == Severity::Error).unwrap();
        assert_eq!((&*fault.file, fault.line, fault.field.as_str()), ("namespaces/tenant-acme/g.yaml", line, "spec.rules"), "{fault}");
        assert!(fault.message.contains(says), "{fault}");
    }
}

/// The hash tells contents apart by what was written, not by what became of it.
#[test]
fn the_hash_of_a_policy_follows_the_text_of_its_rules() {
    let hash = |rules: &str| good(&(base() + &own("GuardrailPolicy", "g", &format!("rules: '{rules}'")))).0.hash().clone();
    assert_eq!(hash("allow { true }"), hash("allow { true }"));
    assert_ne!(hash("allow { true }"), hash("allow { false }"));
}

#[test]
fn what_a_policy_in_shadow_asks_for_denies_nothing_but_is_said() {
    let shadow = own(
        "GuardrailPolicy",
        "g",
        "shadow: true, rateLimit: { requestsPerMinute: 1 }, rules: 'allow { false }', contentFilter: { piiDetection: block, blockedTopics: [rivals] }",
    );
    let (_, rate, faults) = good(&(base() + &shadow));
    assert_eq!(unserved(&faults), Vec::<&str>::new(), "{faults:?}");
    assert_eq!(rate, Rate::per_minute(1000));
    let answers = own("GuardrailPolicy", "g", "shadow: true, contentFilter: { piiDetection: block, apply: [response] }");
    assert_eq!(unserved(&good(&(base() + &answers)).2).len(), 1);
}

#[test]
fn a_limit_in_shadow_is_kept_apart_and_there_are_only_so_many() {
    let policies = |count: usize| -> String {
        (0..count)
            .map(|number| own("GuardrailPolicy", &format!("g-{number}"), "shadow: true, rateLimit: { requestsPerMinute: 1 }"))
            .collect()
    };
    let (policy, rate, _) = good(&(base() + &policies(4)));
    assert_eq!(rate, Rate::per_minute(1000));
    let limits: Vec<_> = policy.guardrails().shadow.iter().filter_map(|one| one.rate_limit).map(|limit| limit.rate).collect();
    assert_eq!(limits, [Rate::per_minute(1); 4]);
    let (snapshot, _) = load(OPERATOR, &(base() + &policies(5)), &[]);
    assert!(matches!(snapshot.tenant("acme").unwrap().policy, Policy::Unavailable(_)));
}

#[test]
fn a_silo_with_a_store_of_its_own_is_served() {
    let operator = OPERATOR
        .replace("burstMultiplier: 2.0 } }", "burstMultiplier: 2.0 }, isolation: silo }")
        .replace("  uid:", "  store: 'redis-sentinel://:hunter2@s1:26379,s2:26379/acme'\n  uid:");
    let (snapshot, faults) = load(&operator, &base(), &[]);
    let tenant = snapshot.tenant("acme").unwrap();
    assert!(matches!(tenant.policy, Policy::Ready(_)), "closed: {faults:#?}");
    assert_eq!(unserved(&faults), Vec::<&str>::new());
    assert!(tenant.store.is_some() && !format!("{tenant:?}").contains("hunter2"));
}

#[test]
fn a_silo_without_a_store_is_closed() {
    let operator = OPERATOR.replace("burstMultiplier: 2.0 } }", "burstMultiplier: 2.0 }, isolation: silo }");
    let (snapshot, faults) = load(&operator, &base(), &[]);
    assert!(matches!(snapshot.tenant("acme").unwrap().policy, Policy::Unavailable(_)));
    assert!(faults.iter().any(|fault| fault.severity == Severity::Error && fault.message.contains("store")), "{faults:#?}");
}

#[test]
fn subscriptions_are_found_by_key_and_by_client() {
    use crate::subscription::KeyHash;
    let hash = hex::encode(KeyHash::of("acme.secret").0);
    let own = base()
        + &own("Subscription", "by-key", &format!("keyHash: 'sha256:{hash}', apis: [billing], expiresAt: 2027-01-01T00:00:00Z"))
        + &own("Subscription", "by-client", "clientId: app");
    let (policy, ..) = good(&own);
    let by_key = policy.subscription_of_key(&KeyHash::of("acme.secret")).unwrap();
    assert_eq!(by_key.name.as_str(), "by-key");
    assert!(by_key.expired(1_798_761_600) && !by_key.expired(1_798_761_599));
    assert!(by_key.covers(&"billing".parse().unwrap()) && !by_key.covers(&"tools".parse().unwrap()));
    assert_eq!(policy.subscription_of_client("app").unwrap().name.as_str(), "by-client");
    assert!(policy.subscription_of_key(&KeyHash::of("acme.other")).is_none());
    assert_eq!(policy.subscriptions().count(), 2);
}

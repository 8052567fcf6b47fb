//! What a tenant wrote, judged: a fixture and an assertion for each error, how several policies join, and what is not served yet.

use std::sync::Arc;

use crate::{
    catalog::{Catalog, changes_of},
    clock::ManualClock,
    fault::{Fault, Severity},
    guardrail::{Detector, PiiDetection},
    limit::Rate,
    policy::TenantPolicy,
    snapshot::Snapshot,
    tenant::Policy,
};

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
fn every_error_of_contracts_is_found() {
    refused(&contract(&[api("a", ""), api("a", "")]), "spec.apis[1].name: another API of this tenant has this name");
    let another = own("UniversalAPIContract", "another", &format!("apis: [ {} ]", api("billing", "")));
    refused(&(base() + &another), "spec.apis[0].name: another API of this tenant has this name");
    let again = own("UniversalAPIContract", "contract", &format!("apis: [ {} ]", api("orders", "")));
    refused(&(base() + &again), "metadata.name: another resource of this kind has this name");
    refused(&contract(&[api("a", ", policies: [ { rateLimit: tier-gone } ]")]), "spec.apis[0].policies[0].rateLimit: no such plan");
    refused(
        &contract(&[api("a", ", hosts: [www.example.org]")]),
        "spec.apis[0].hosts[0]: is not inside the hosts that the operator grants this tenant",
    );
    refused(
        &contract(&[api("a", ", hosts: ['*.acme.example.com']"), api("b", ", hosts: [b.acme.example.com]")]),
        "spec.apis[1].hosts[0]: another API of this tenant claims this host, or one that overlaps it",
    );
    refused(
        &contract(&[api("a", "").replace("a.acme.internal", "globex.internal")]),
        "spec.apis[0].upstream: is not inside the upstreams that the operator grants this tenant",
    );
    refused(&contract(&[api("a", ", openapi: gone.yaml")]), "spec.apis[0].openapi: no such file beside this one");
    let roles = (0..65).map(|one| format!("r{one}")).collect::<Vec<_>>().join(", ");
    refused(&contract(&[api("a", &format!(", access: {{ roles: [{roles}] }}"))]), "spec.apis[0].access.roles: at most 64 roles, not 65");
    let hosts = (0..33).map(|one| format!("h{one}.acme.example.com")).collect::<Vec<_>>().join(", ");
    refused(&contract(&[api("a", &format!(", hosts: [{hosts}]"))]), "spec.apis[0].hosts: at most 32 hosts of an API, not 33");
    // What is over the bound is not compared with what others claim: a partition could make that take minutes.
    let last = api("b", ", hosts: [h32.acme.example.com]");
    refused(&contract(&[api("a", &format!(", hosts: [{hosts}]")), last]), "spec.apis[0].hosts: at most 32 hosts of an API, not 33");
}

#[test]
fn every_error_of_subscriptions_is_found() {
    let with = |subscriptions: &[(&str, &str)]| {
        base() + &subscriptions.iter().map(|(name, spec)| own("Subscription", name, spec)).collect::<String>()
    };
    refused(&with(&[("s", "clientId: app, apis: [gone]")]), "spec.apis[0]: no such API in this tenant's contracts");
    refused(
        &with(&[("s", "clientId: app"), ("t", "clientId: app")]),
        "spec.clientId: another subscription of this tenant has the same client",
    );
    let key = format!("keyHash: 'sha256:{}'", "a".repeat(64));
    refused(&with(&[("s", &key), ("t", &key)]), "spec.keyHash: another subscription of this tenant has the same key");
    refused(&with(&[("s", "clientId: app"), ("s", "clientId: other")]), "metadata.name: another resource of this kind has this name");
}

#[test]
fn every_error_of_tools_is_found() {
    let with = |kind: &str, spec: &str| base() + &own("Tool", "weather", "api: tools") + &own(kind, "x", spec);
    refused(&with("Tool", "api: gone"), "spec.api: no such API in this tenant's contracts");
    refused(&with("Tool", "api: billing"), "spec.api: this API does not speak MCP (protocol: mcp)");
    refused(&with("ToolSet", "tools: [weather, gone]"), "spec.tools[1]: no such tool in this tenant's registry");
    let long = format!("api: tools, inputSchema: {{ description: {} }}", "x".repeat(65_520));
    refused(&with("Tool", &long), "spec.inputSchema: at most 65536 bytes in a schema, not 65538");
    refused(&with("Tool", "api: tools, name: weather"), "spec.name: the tools weather and x of one API have the same name at its server");
    refused(&with("Tool", "api: tools, name: 'get weather'"), "spec.name: must be letters, digits, `_`, `-`, `.` and `/`");
    refused(&with("Tool", &format!("api: tools, name: {}", "x".repeat(129))), "spec.name: must have at most 128 bytes, not 129");
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

#[test]
fn every_error_of_guardrails_is_found() {
    let with = |spec: &str| base() + &own("GuardrailPolicy", "g", spec);
    refused(
        &with("contentFilter: { blockedTopics: [rivals, gone] }"),
        "spec.contentFilter.blockedTopics[1]: no topic has this label, neither in this tenant's policies nor at the platform",
    );
    // In shadow, too: what it means is not known.
    refused(
        &with("shadow: true, contentFilter: { blockedTopics: [gone] }"),
        "spec.contentFilter.blockedTopics[0]: no topic has this label, neither in this tenant's policies nor at the platform",
    );
    let many = (0..33).map(|one| own("GuardrailPolicy", &format!("g{one}"), "toolAllowlist: [billing]")).collect::<String>();
    refused(&(base() + &many), "metadata.name: at most 32 guardrail policies of a tenant, not 33");
}

#[test]
fn s16_sizes_of_rules_and_patterns_are_bounded() {
    for (spec, says) in [
        (format!("contentFilter: {{ topics: {{ t: {{ patterns: [{}] }} }} }}", "x".repeat(5000)), "bytes"),
        ("contentFilter: { topics: { t: { patterns: ['a('] } } }".to_owned(), "is not a regular expression: unclosed group"),
        ("contentFilter: { topics: { t: { patterns: ['(\\w{99}){99}'] } } }".to_owned(), "bytes when compiled"),
        ("contentFilter: { topics: { t: { phrases: ['--'] } } }".to_owned(), "must hold a letter or a digit"),
        (format!("rules: {}", "x".repeat(70_000)), "bytes"),
    ] {
        let (snapshot, faults) = load(OPERATOR, &(base() + &own("GuardrailPolicy", "g", &spec)), &[]);
        assert!(faults.iter().any(|fault| fault.severity == Severity::Error && fault.message.contains(says)), "{faults:?}");
        assert!(faults.iter().all(|fault| fault.message.len() < 500), "a fault quotes little");
        assert!(matches!(snapshot.tenant("acme").unwrap().policy, Policy::Unavailable(_)));
    }
}

#[test]
fn every_warning_is_given() {
    warned(
        &contract(&[api("a", ", policies: [ { rateLimit: tier-other } ]")]),
        "spec.apis[0].policies[0].rateLimit: is not the tenant's own plan, whose limit holds",
    );
    let guardrail = |spec: &str| base() + &own("GuardrailPolicy", "g", spec);
    warned(&guardrail("rateLimit: { requestsPerMinute: 1001 }"), "spec.rateLimit: is above the plan's limit, which holds");
    warned(
        &guardrail("rateLimit: { requestsPerMinute: 900, burstMultiplier: 5.0 }"),
        "spec.rateLimit: is above the plan's limit, which holds",
    );
    warned(&guardrail("toolAllowlist: [billing, gone]"), "spec.toolAllowlist[1]: names neither an API nor a tool of this tenant");
}

#[test]
fn several_contracts_add_up() {
    let another = own("UniversalAPIContract", "another", &format!("apis: [ {} ]", api("orders", "")));
    let (policy, ..) = good(&(base() + &another));
    assert_eq!(policy.apis().map(|api| api.name.as_str()).collect::<Vec<_>>(), ["billing", "orders", "tools"]);
}

#[test]
fn of_several_guardrails_the_stricter_wins() {
    let policies = own(
        "GuardrailPolicy",
        "one",
        "rateLimit: { requestsPerMinute: 500, burstMultiplier: 1.0 }, toolAllowlist: [billing, tools]",
    ) + &own(
        "GuardrailPolicy",
        "two",
        "rateLimit: { requestsPerMinute: 100, burstMultiplier: 8.0 }, toolAllowlist: [billing]",
    ) + &own(
        "GuardrailPolicy",
        "three",
        "contentFilter: { piiDetection: detect, detectors: [email], blockedTopics: [rivals], unscannable: allow }",
    ) + &own(
        "GuardrailPolicy",
        "four",
        "contentFilter: { piiDetection: block, detectors: [card], apply: [response], topics: { rivals: { phrases: [Hooli] } } }, rules: 'allow { true }'",
    ) + &own(
        "GuardrailPolicy",
        "five",
        "shadow: true, rateLimit: { requestsPerMinute: 1 }, toolAllowlist: [], contentFilter: { piiDetection: redact }",
    );
    let (policy, rate, _) = good(&(base() + &policies));
    let guardrails = policy.guardrails();
    assert_eq!(rate, Rate::per_minute(100));
    assert_eq!(guardrails.allowlist, Some(["billing".to_owned()].into()));
    assert_eq!(guardrails.content.pii, PiiDetection::Block);
    assert_eq!(*guardrails.content.filter.detectors(), [Detector::Email, Detector::Card].into());
    assert!(guardrails.content.requests && guardrails.content.responses && !guardrails.content.allow_unscannable);
    assert_eq!(
        guardrails.content.filter.topics().matcher("rivals").unwrap().phrases,
        ["Initech", "Hooli"],
        "a label means all that anybody says it means"
    );
    assert_eq!(guardrails.rules.len(), 1);
    assert_eq!(guardrails.shadow.len(), 1);
    assert_eq!((guardrails.shadow[0].name.as_str(), guardrails.shadow[0].allowlist.as_ref().map(|list| list.len())), ("five", Some(0)));
}

#[test]
fn all_detectors_and_some_are_all() {
    let policies = own("GuardrailPolicy", "one", "contentFilter: { piiDetection: detect, detectors: [email] }")
        + &own("GuardrailPolicy", "two", "contentFilter: { piiDetection: detect }")
        + &own("GuardrailPolicy", "zzz", "contentFilter: { piiDetection: detect, detectors: [card] }");
    let (policy, ..) = good(&(base() + &policies));
    assert_eq!(*policy.guardrails().content.filter.detectors(), Detector::ALL.into(), "no list means all");
}

#[test]
fn the_tenants_limit_is_the_least_of_each_field() {
    let (_, rate, _) = good(&(base() + &own("GuardrailPolicy", "g", "rateLimit: { requestsPerMinute: 5000 }")));
    assert_eq!(rate, Rate::per_minute(1000), "never above the plan's");
    let (snapshot, _) = load(OPERATOR, &(base() + &own("GuardrailPolicy", "g", "rateLimit: { requestsPerMinute: 0 }")), &[]);
    assert_eq!(snapshot.tenant("acme").unwrap().rate_limit.capacity, 0);
    assert_eq!(snapshot.guarantee(snapshot.tenant("acme").unwrap()).capacity, 0, "what is denied is not guaranteed");
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
fn an_openapi_document_beside_the_contract_is_no_resource() {
    let own = contract(&[api("a", ", openapi: a.yaml")]);
    let document = "openapi: 3.1.0\npaths: { \"/b/{id}\": { get: {} } }\n";
    let (snapshot, faults) = load(OPERATOR, &own, &[("namespaces/tenant-acme/a.yaml", document)]);
    assert!(faults.iter().all(|fault| fault.severity == Severity::Warning), "{faults:?}");
    let Policy::Ready(policy) = &snapshot.tenant("acme").unwrap().policy else { panic!("closed") };
    assert_eq!(unserved(&faults), Vec::<&str>::new());
    let document = policy.api("a").unwrap().openapi.as_ref().unwrap();
    assert!(document.methods("/b/1").is_some() && document.methods("/b").is_none());
    // Elsewhere, or not referred to, it is a file that is no resource.
    for beside in [("namespaces/tenant-acme/b.yaml", "openapi: 3.1.0\n"), ("namespaces/tenant-acme/sub/a.yaml", "openapi: 3.1.0\n")] {
        let files = [("namespaces/tenant-acme/a.yaml", "openapi: 3.1.0\npaths: {}\n"), beside];
        let (_, faults) = load(OPERATOR, &own, &files);
        assert!(faults.iter().any(|fault| &*fault.file == beside.0 && fault.severity == Severity::Error), "{faults:?}");
    }
    let (_, faults) = load(OPERATOR, &own, &[("namespaces/tenant-acme/a.yaml", "paths: {}\n")]);
    assert!(faults.iter().any(|fault| fault.message.starts_with("is not an OpenAPI document")), "{faults:?}");
}

#[test]
fn an_openapi_document_may_be_json_and_other_json_is_nobodys() {
    let own = contract(&[api("a", ", openapi: a.json")]);
    let document = ("namespaces/tenant-acme/a.json", "{\n\t\"swagger\": \"2.0\",\n\t\"paths\": { \"/b\": { \"get\": {} } }\n}\n");
    let (snapshot, faults) = load(OPERATOR, &own, &[document, ("namespaces/tenant-acme/package.json", "{ not even json")]);
    assert!(faults.iter().all(|fault| fault.severity == Severity::Warning), "{faults:?}");
    let Policy::Ready(policy) = &snapshot.tenant("acme").unwrap().policy else { panic!("closed") };
    assert!(policy.api("a").unwrap().openapi.as_ref().unwrap().methods("/b").is_some());
    for text in ["[1, 2", "{}", "{\"openapi\": \"4.0\", \"paths\": {}}", "{\"openapi\": \"3.0.0\"}"] {
        let (snapshot, faults) = load(OPERATOR, &own, &[(document.0, text)]);
        assert!(matches!(snapshot.tenant("acme").unwrap().policy, Policy::Unavailable(_)), "{text}: {faults:?}");
    }
    let (_, faults) = load(OPERATOR, &own, &[]);
    assert!(faults.iter().any(|fault| fault.message == "no such file beside this one"), "{faults:?}");
}

#[test]
fn a_policy_does_not_vanish_because_it_shares_a_file_with_an_openapi_document() {
    let own_file = contract(&[api("a", ", openapi: more.yaml")]);
    let policy = own("GuardrailPolicy", "g", "toolAllowlist: []");
    for more in [
        format!("openapi: 3.1.0\n{policy}"),
        format!("{policy}---\nopenapi: 3.1.0\n"),
        format!("{policy}...\nopenapi: 3.1.0\n"),
        policy.clone(),
    ] {
        let (snapshot, faults) = load(OPERATOR, &own_file, &[("namespaces/tenant-acme/more.yaml", &more)]);
        assert!(faults.iter().any(|fault| fault.severity == Severity::Error), "{more}");
        assert!(matches!(snapshot.tenant("acme").unwrap().policy, Policy::Unavailable(_)), "{more}");
    }
    // Nor because a contract names its own file.
    let (snapshot, _) = load(OPERATOR, &(contract(&[api("a", ", openapi: own.yaml")]) + &policy), &[]);
    assert!(matches!(snapshot.tenant("acme").unwrap().policy, Policy::Unavailable(_)));
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

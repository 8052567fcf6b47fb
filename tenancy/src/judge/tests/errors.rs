//! A fixture and an assertion for each error and each warning.

use super::*;

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
fn s16_control_characters_are_refused_with_the_name_of_their_field() {
    let says = "must not hold control characters";
    for (text, field) in [
        (contract(&[api("a", ", access: { roles: [\"a\\nb\"] }")]), "spec.apis[0].access.roles[0]"),
        (contract(&[api("a", ", access: { scopes: [\"a\\u0085b\"] }")]), "spec.apis[0].access.scopes[0]"),
        (base() + &own("Subscription", "s", "clientId: \"app\\0\""), "spec.clientId"),
        (base() + &own("Tool", "t", "api: tools, description: \"\\e[2J\""), "spec.description"),
        (
            base() + &own("GuardrailPolicy", "g", "contentFilter: { topics: { t: { phrases: [\"a\\tb\"] } } }"),
            "spec.contentFilter.topics.t.phrases[0]",
        ),
        (
            base() + &own("GuardrailPolicy", "g", "contentFilter: { topics: { t: { patterns: [\"a\\n\"] } } }"),
            "spec.contentFilter.topics.t.patterns[0]",
        ),
        (
            base() + &own("GuardrailPolicy", "g", "contentFilter: { topics: { \"t\\n\": { phrases: [a] } } }"),
            "spec.contentFilter.topics[\"t\\n\"]",
        ),
    ] {
        refused(&text, &format!("{field}: {says}"));
    }
    let operator = OPERATOR
        .replace("  hosts:", "  region: default\n  hosts:")
        .replace("https://auth.example.com/realms/acme", "\"https://auth.example.com/\\n\"");
    let (_, faults) = load(&operator, &base(), &[]);
    assert!(faults.iter().any(|fault| fault.field == "spec.issuers[0].issuer" && fault.message == says), "{faults:?}");
    // Rules and descriptions have lines.
    good(&(base() + &own("GuardrailPolicy", "g", "rules: \"allow if {\\n\\ttrue\\r\\n}\"")));
    good(&(base() + &own("Tool", "t", "api: tools, description: \"a\\n\\tb\"")));
}

#[test]
fn s16_faults_are_bounded_where_they_are_found() {
    let count = |text: &str, beside: &[(&str, &str)]| {
        let (snapshot, faults) = load(OPERATOR, text, beside);
        let served = matches!(snapshot.tenant("acme").unwrap().policy, Policy::Ready(_));
        (served, faults.iter().filter(|fault| fault.file.starts_with("namespaces/")).count())
    };
    let names = |most: usize| (0..most).map(|one| format!("n{one}")).collect::<Vec<_>>().join(", ");
    // Sets of tools, and allowlists, of names that name nothing.
    let sets: String = (0..20).map(|one| own("ToolSet", &format!("s{one}"), &format!("tools: [{}]", names(10_000)))).collect();
    let (mut read, mut found) = (vec![], vec![]);
    for resource in crate::resource::read(&"f".into(), &sets).0 {
        if let crate::resource::Resource::ToolSet(set) = resource {
            read.push(set);
        }
    }
    assert_eq!(read.len(), 20);
    crate::judge::tool::judge(vec![], read, &std::collections::BTreeMap::new(), &crate::judge::unread::Unread::default(), &mut found);
    assert!(found.len() < 1_100, "{}", found.len());
    let lists: String =
        (0..32).map(|one| own("GuardrailPolicy", &format!("g{one}"), &format!("toolAllowlist: [{}]", names(1_000)))).collect();
    let (served, faults) = count(&(base() + &lists), &[]);
    assert!(served, "each is a warning, and together they are no error");
    assert_eq!(faults, 501);
    let (mut read, mut found) = (vec![], vec![]);
    for resource in crate::resource::read(&"f".into(), &lists).0 {
        if let crate::resource::Resource::Guardrail(policy) = resource {
            read.push(policy);
        }
    }
    let (apis, tools, unread) =
        (std::collections::BTreeMap::new(), crate::policy::Tools::default(), crate::judge::unread::Unread::default());
    crate::judge::guardrail::judge(read, &apis, &tools, &unread, &mut found);
    assert_eq!(found.len(), 501);
    // What the operator's resources prove wrong, too.
    let operator_routes = (0..500).map(|one| api(&format!("a{one}"), ", policies: [ { rateLimit: tier-gone } ]")).collect::<Vec<_>>();
    let labels =
        (0..32).map(|one| own("GuardrailPolicy", &format!("g{one}"), &format!("contentFilter: {{ blockedTopics: [{}] }}", names(64))));
    let (served, faults) = count(&(contract(&operator_routes) + &labels.collect::<String>()), &[]);
    assert!(!served && faults <= 501, "{faults}");
}

#[test]
fn many_warnings_are_no_error() {
    let warning = crate::place::Place::file(&"namespaces/tenant-acme/a.YAML".into()).warning("is not read");
    let mut changes = changes_of(&[("operator.yaml", OPERATOR), ("namespaces/tenant-acme/own.yaml", &base())]);
    for change in &mut changes {
        if let (crate::source::PartitionKey::Namespace(_), crate::source::Content::Files { faults, .. }) =
            (&change.partition, &mut change.content)
        {
            faults.extend(vec![warning.clone(); 600]);
        }
    }
    let mut catalog = Catalog::new(Arc::new(ManualClock::at_us(1)));
    let snapshot = catalog.apply(changes).unwrap();
    assert!(matches!(snapshot.tenant("acme").unwrap().policy, Policy::Ready(_)), "{:#?}", catalog.faults().last());
}

#[test]
fn a_number_that_json_does_not_hold_is_refused_where_it_stands() {
    for number in ["18446744073709551616", "-9223372036854775809", ".inf"] {
        let text = base() + &own("Tool", "t", &format!("api: tools, inputSchema: {{ const: {number} }}"));
        let (_, faults) = load(OPERATOR, &text, &[]);
        let errors: Vec<_> = faults.iter().filter(|fault| fault.severity == Severity::Error).collect();
        assert!(errors.len() == 1 && errors[0].field == "spec.inputSchema.const" && errors[0].line > 0, "{errors:?}");
    }
    for number in ["18446744073709551615", "-9223372036854775808"] {
        good(&(base() + &own("Tool", "t", &format!("api: tools, inputSchema: {{ const: {number} }}"))));
    }
}

#[test]
fn s16_quotas_past_the_bound_are_not_read() {
    let one = "{ requests: 1, per: hour }, ";
    let text = base() + &own("Subscription", "s", &format!("clientId: app, quotas: [ {}{{ requests: wrong }} ]", one.repeat(4)));
    let (_, faults) = load(OPERATOR, &text, &[]);
    let fields: Vec<_> = faults
        .iter()
        .filter(|fault| fault.severity == Severity::Error)
        .map(|fault| (fault.field.as_str(), fault.message.as_str()))
        .collect();
    assert!(fields.contains(&("spec.quotas", "must have at most 4 quotas, not 5")), "{fields:?}");
    assert!(fields.iter().all(|(field, _)| !field.starts_with("spec.quotas[4]")), "{fields:?}");
}

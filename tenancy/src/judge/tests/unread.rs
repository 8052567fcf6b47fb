//! What is said of one file while another is broken, and of what has no effect.

use super::*;

/// Acme's faults: errors, then warnings.
fn said(own: &str, beside: &[(&str, &str)]) -> (Vec<String>, Vec<String>) {
    let (snapshot, faults) = load(OPERATOR, own, beside);
    assert!(matches!(snapshot.tenant("acme").unwrap().policy, Policy::Unavailable(_)), "what is broken decides nothing");
    let of = |severity| {
        faults.iter().filter(move |fault| fault.severity == severity && fault.file.starts_with("namespaces/")).map(Fault::to_string)
    };
    (of(Severity::Error).collect(), of(Severity::Warning).collect())
}

fn references() -> String {
    own("Subscription", "s", "clientId: app, apis: [billing]")
        + &own("Tool", "t", "api: tools")
        + &own("ToolSet", "set", "tools: [gone]")
        + &own("GuardrailPolicy", "g", "toolAllowlist: [billing]")
}

#[test]
fn a_broken_contract_is_the_only_error_and_what_refers_to_it_cannot_be_checked() {
    let path = "namespaces/tenant-acme/contract.yaml";
    let broken = base().replace("name: billing,", "name: billing, surprise: 1,");
    let (errors, warnings) = said(&references(), &[(path, &broken)]);
    assert_eq!(errors.len(), 1, "{errors:#?}");
    assert!(errors[0].starts_with(path), "{errors:#?}");
    let fields = ["spec.apis[0]", "spec.api", "spec.tools[0]", "spec.toolAllowlist[0]"];
    for field in fields {
        let says = format!(": {field}: cannot be checked while {path} is broken");
        assert!(warnings.iter().any(|warning| warning.ends_with(&says)), "{says}: {warnings:#?}");
    }
}

#[test]
fn what_refers_to_nothing_is_an_error_as_soon_as_everything_is_read() {
    let (errors, _) = said(&references(), &[]);
    for says in ["no such API in this tenant's contracts", "no such tool in this tenant's registry"] {
        assert!(errors.iter().any(|error| error.ends_with(says)), "{errors:#?}");
    }
}

#[test]
fn a_broken_openapi_document_hides_no_missing_name() {
    let text = contract(&[api("billing", ", openapi: doc.yaml"), api("tools", ", protocol: mcp")]) + &own("Tool", "t", "api: gone");
    let (errors, _) = said(&text, &[("namespaces/tenant-acme/doc.yaml", "openapi: 3.0.0\npaths: 1\n")]);
    assert!(errors.iter().any(|error| error.ends_with("no such API in this tenant's contracts")), "{errors:#?}");
}

#[test]
fn with_routes_of_the_operators_own_an_upstream_that_would_be_refused_is_a_warning() {
    let operator = OPERATOR.replace("routing: contract", "routing: own");
    let warnings = |operator: &str, upstream: &str| {
        let text = contract(&[api("billing", "").replace("https://a.acme.internal", upstream)]);
        let (snapshot, faults) = load(operator, &text, &[]);
        assert!(matches!(snapshot.tenant("acme").unwrap().policy, Policy::Ready(_)), "{faults:#?}");
        let own = faults.into_iter().filter(|fault| fault.file.starts_with("namespaces/"));
        own.map(|fault| format!("{}: {}", fault.field, fault.message)).collect::<Vec<_>>()
    };
    let decide = "; with `routing: own` the operator's routes decide where requests go";
    assert_eq!(
        warnings(&operator, "https://globex.internal"),
        [format!("spec.apis[0].upstream: is not inside the upstreams that the operator grants this tenant{decide}")]
    );
    assert_eq!(warnings(&operator, "https://a.acme.internal"), Vec::<String>::new());
    let nothing_granted = operator.replace("  upstreams: ['*.acme.internal']\n", "");
    assert_eq!(warnings(&nothing_granted, "https://globex.internal"), Vec::<String>::new());
    assert_eq!(
        warnings(&nothing_granted, "https://auth.example.com"),
        [format!("spec.apis[0].upstream: is an endpoint of the platform itself, which no contract may point at{decide}")]
    );
}

//! OpenAPI documents beside contracts: no resources, and no place where a policy vanishes.

use super::*;

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

/// The errors of acme's partition, as lines.
fn errors(own: &str, beside: &[(&str, &str)]) -> Vec<String> {
    let (snapshot, faults) = load(OPERATOR, own, beside);
    let errors: Vec<_> = faults.iter().filter(|fault| fault.severity == Severity::Error).map(Fault::to_string).collect();
    assert_eq!(errors.is_empty(), matches!(snapshot.tenant("acme").unwrap().policy, Policy::Ready(_)), "{errors:#?}");
    errors
}

const DOCUMENT: &str = "openapi: 3.1.0\ninfo: { title: t, version: v }\npaths: { /b: { get: {} } }\n";

#[test]
fn while_its_contract_is_broken_a_document_is_not_told_that_it_is_no_resource() {
    let document = [("namespaces/tenant-acme/a.yaml", DOCUMENT)];
    let broken = contract(&[api("a", ", openapi: a.yaml, surprise: 1")]);
    let said = errors(&broken, &document);
    assert!(said.len() == 1 && said[0].contains("surprise"), "{said:#?}");
    // Once every contract is read, one that nobody names is one error, with its place.
    let said = errors(&base(), &document);
    let says = "namespaces/tenant-acme/a.yaml:1:1: openapi: is an OpenAPI document that no contract beside it names, and no resource";
    assert_eq!(said, [says]);
    assert_eq!(errors(&contract(&[api("a", ", openapi: a.yaml")]), &document), Vec::<String>::new());
}

#[test]
fn a_document_that_is_no_yaml_is_told_that_alone() {
    let text = "openapi: 3.1.0\npaths: { /b: [\n";
    let said = errors(&contract(&[api("a", ", openapi: a.yaml")]), &[("namespaces/tenant-acme/a.yaml", text)]);
    assert!(said.len() == 1 && said[0].starts_with("namespaces/tenant-acme/a.yaml:") && said[0].contains("is not YAML"), "{said:#?}");
}

#[test]
fn a_resource_that_says_openapi_besides_does_not_vanish() {
    let policy = own("GuardrailPolicy", "g", "toolAllowlist: []");
    let named = contract(&[api("a", ", openapi: more.yaml")]);
    // In flow style no line begins with the field.
    let flow = "{ openapi: 3.1.0, paths: {}, apiVersion: gostoa.dev/v1alpha1, kind: GuardrailPolicy, metadata: { name: g }, spec: {} }\n";
    for text in [format!("{policy}openapi: 3.1.0\npaths: {{}}\n"), flow.to_owned()] {
        for contract in [&named, &base()] {
            let said = errors(contract, &[("namespaces/tenant-acme/more.yaml", &text)]);
            assert!(said.iter().any(|error| error.contains("more.yaml:") && error.contains(": openapi: is not a field here")), "{said:#?}");
        }
    }
    let json = "{ \"openapi\": \"3.1.0\", \"paths\": {},\n  \"kind\": \"GuardrailPolicy\" }";
    let said = errors(&contract(&[api("a", ", openapi: a.json")]), &[("namespaces/tenant-acme/a.json", json)]);
    assert_eq!(said, ["namespaces/tenant-acme/a.json:2:3: kind: is a resource's field: an OpenAPI document has none"]);
}

#[test]
fn s16_documents_and_resources_share_one_budget() {
    // 250,000 values each.
    let many = "1,".repeat(249_990);
    let policy = own("GuardrailPolicy", "g", "").replace("{ name: g }", &format!("{{ name: g, labels: [{many}1] }}"));
    let text = contract(&[api("b", ", openapi: b.json")]) + &policy;
    let path = "namespaces/tenant-acme/b.json";
    assert_eq!(errors(&text, &[(path, "{ \"openapi\": \"3.1.0\", \"paths\": {} }")]), Vec::<String>::new());
    let large = format!("{{ \"openapi\": \"3.1.0\", \"paths\": {{}}, \"x-many\": [{many}1] }}");
    let said = errors(&text, &[(path, &large)]);
    assert!(said.len() == 1 && said[0].contains("more than 400000 values, aliases expanded, with the files before it"), "{said:#?}");
}

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

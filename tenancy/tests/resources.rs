//! What files say, read: the manifests of the articles, every field of every kind, and the text of every error.

use std::{path::Path, sync::Arc};

use bulkhead_tenancy::{
    fault::Fault,
    guardrail::{Detector, PiiDetection, RegoVersion},
    limit::{Rate, RateLimit},
    resource::{self, Resource},
};

fn fixture(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(path)).unwrap()
}

fn read(path: &str) -> (Vec<Resource>, Vec<Fault>) {
    resource::read(&Arc::from(path), &fixture(path))
}

fn read_one(path: &str) -> Resource {
    let (mut resources, faults) = read(path);
    assert_eq!(faults, [], "{path}");
    assert_eq!(resources.len(), 1, "{path}");
    resources.remove(0)
}

#[test]
fn the_contract_that_the_article_prints_loads_unchanged() {
    let Resource::Contract(contract) = read_one("articles/tenant-acme-uac.yaml") else { panic!("not a contract") };
    assert_eq!(contract.metadata.name.as_str(), "acme-contract");
    assert_eq!(contract.metadata.namespace.unwrap().as_str(), "tenant-acme");
    assert_eq!(contract.version.as_deref(), Some("1.0"));
    let apis: Vec<_> =
        contract.apis.iter().map(|api| (api.name.as_str(), api.upstream.to_string(), api.tier.as_ref().unwrap().as_str())).collect();
    assert_eq!(
        apis,
        [
            ("billing-api", "https://billing.acme.internal:443/v1".to_owned(), "professional"),
            ("orders-api", "https://orders.acme.internal:443/v2".to_owned(), "professional"),
        ]
    );
    use bulkhead_tenancy::api::{Audit, Auth};
    assert_eq!(
        contract.apis.iter().map(|api| (*api.auth, *api.audit)).collect::<Vec<_>>(),
        [(Auth::JwtKeycloak, Audit::Full), (Auth::JwtKeycloak, Audit::Denied)]
    );
}

#[test]
fn the_guardrails_that_the_article_prints_load_unchanged() {
    let Resource::Guardrail(policy) = read_one("articles/guardrail-policy.yaml") else { panic!("not a policy") };
    assert_eq!(policy.metadata.name.as_str(), "acme-guardrails");
    assert_eq!(policy.rate_limit.unwrap().value, RateLimit { rate: Rate::per_minute(1000), capacity: 2000 });
    let filter = policy.content_filter.unwrap().value;
    assert_eq!(filter.pii_detection.unwrap().value, PiiDetection::Redact);
    assert_eq!(filter.blocked_topics.iter().map(|label| label.as_str()).collect::<Vec<_>>(), ["competitor-names", "internal-pricing"]);
    assert_eq!(policy.tool_allowlist.unwrap().iter().map(|name| name.as_str()).collect::<Vec<_>>(), ["billing-api", "orders-api"]);
    let _ = (Detector::Card, RegoVersion::V0);
}

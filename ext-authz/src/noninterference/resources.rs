//! The files of the world: what the operator and each tenant write, beside the resources that all tests have.

use bulkhead_tenancy::subscription::KeyHash;

/// Failed authentications of a source and at a name: few, so that histories reach them.
const SOURCE_A_MINUTE: u64 = 6;
pub(super) const NAME_A_MINUTE: u64 = 12;

pub(super) fn tenant_file(name: &str) -> String {
    format!("tenants/{name}.yaml")
}

pub(super) fn contract_file(name: &str) -> String {
    format!("namespaces/tenant-{name}/contract.yaml")
}

pub(super) fn guardrails_file(name: &str) -> String {
    format!("namespaces/tenant-{name}/guardrails.yaml")
}

pub(super) fn platform(strangers_a_minute: u64) -> String {
    format!(
        "
apiVersion: gostoa.dev/v1alpha1
kind: Platform
metadata: {{ name: platform }}
spec:
  routing: contract
  addressing: {{ path: '/{{tenant}}/{{api}}' }}
  rateLimit: {{ requestsPerMinute: 10000 }}
  topics: {{ rivals: {{ phrases: [Initech] }} }}
  authFailures: {{ perSourceMinute: {SOURCE_A_MINUTE}, perTenantMinute: {NAME_A_MINUTE} }}
  unresolved: {{ requestsPerMinute: {strangers_a_minute} }}
"
    )
}

pub(super) fn contract(name: &str) -> String {
    let KeyHash(hash) = KeyHash::of(&api_key(name));
    format!(
        "
apiVersion: gostoa.dev/v1alpha1
kind: UniversalAPIContract
metadata: {{ name: contract }}
spec:
  apis:
  - {{ name: api, upstream: 'https://api.{name}.internal/v1', hosts: [api.{name}.example.com], methods: [GET, POST], policies: [ {{ auth: any }} ] }}
  - {{ name: admin, upstream: 'https://admin.{name}.internal', access: {{ roles: [admin] }} }}
  - {{ name: tools, upstream: 'https://tools.{name}.internal', protocol: mcp }}
---
apiVersion: gostoa.dev/v1alpha1
kind: Tool
metadata: {{ name: weather }}
spec: {{ api: tools, inputSchema: {{ type: object, required: [city] }} }}
---
apiVersion: gostoa.dev/v1alpha1
kind: Subscription
metadata: {{ name: by-key }}
spec: {{ keyHash: 'sha256:{}' }}
",
        hex::encode(hash)
    )
}

pub(super) fn api_key(tenant: &str) -> String {
    format!("{tenant}.0123456789abcdef")
}

//! The resources that these tests begin with.

pub(super) const PLATFORM: &str = "
apiVersion: gostoa.dev/v1alpha1
kind: Platform
metadata: { name: platform }
spec:
  routing: contract
  rateLimit: { requestsPerMinute: 100000 }
";

pub(super) const PLANS: &str = "
apiVersion: gostoa.dev/v1alpha1
kind: Plan
metadata: { name: standard }
spec:
  rateLimit: { requestsPerMinute: 1000, burstMultiplier: 2.0 }
  guaranteed: { requestsPerMinute: 100 }
";

pub(super) fn tenant(name: &str) -> String {
    format!(
        "
apiVersion: gostoa.dev/v1alpha1
kind: Tenant
metadata: {{ name: {name} }}
spec:
  plan: standard
  uid: uid-{name}
  issuers: [ {{ issuer: https://auth.example.com/realms/{name} }} ]
  hosts: ['*.{name}.example.com']
  upstreams: ['*.{name}.internal']
"
    )
}

pub(super) fn contract(tenant: &str, api: &str) -> String {
    format!(
        "
apiVersion: gostoa.dev/v1alpha1
kind: UniversalAPIContract
metadata: {{ name: contract, namespace: tenant-{tenant} }}
spec:
  apis:
  - name: {api}
    upstream: https://{api}.{tenant}.internal/v1
    hosts: [{api}.{tenant}.example.com]
"
    )
}

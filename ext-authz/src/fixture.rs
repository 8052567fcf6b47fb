//! What tests of the steps begin with: two tenants, a request, and a stand-in for the identity step.

use std::sync::Arc;

use bulkhead_proto::pb::envoy::{
    config::core::v3::{HeaderMap, HeaderValue},
    service::auth::v3::{AttributeContext, CheckRequest, attribute_context},
};
use bulkhead_tenancy::{
    catalog::{Catalog, changes_of},
    clock::SystemClock,
    fault::Severity,
    snapshot::Snapshot,
    subscription::KeyHash,
    tenant::{Policy, Tenant},
};

use prost::Message as _;

use crate::{
    attributes::Attributes,
    decide::Identify,
    tenant::{Addressed, Presented, Refusal, Sender},
    verdict::{Caller, Denial, Reason},
};

/// The key of acme's subscription `by-key`.
pub(crate) const ACME_KEY: &str = "acme.0123456789abcdef";

/// The plan of all tenants.
pub(crate) const PLAN: &str = "
apiVersion: gostoa.dev/v1alpha1
kind: Plan
metadata: { name: standard }
spec: { rateLimit: { requestsPerMinute: 1000 }, guaranteed: { requestsPerMinute: 100 } }
";

/// Envoy's own routes, `/{tenant}/{api}`.
const OWN: &str = "  addressing: { path: '/{tenant}/{api}' }";

/// Who signs a tenant's tokens.
pub(crate) fn issuer(tenant: &str) -> String {
    format!("https://auth.example.com/realms/{tenant}")
}

/// The operator's resource of a tenant, to which it grants the names under its own.
pub(crate) fn tenant(name: &str, status: &str) -> String {
    let issuer = issuer(name);
    format!(
        "
apiVersion: gostoa.dev/v1alpha1
kind: Tenant
metadata: {{ name: {name} }}
spec:
  plan: standard
  uid: uid-{name}
  status: {status}
  region: eu
  issuers: [ {{ issuer: {issuer}, jwksUri: {issuer}/certs }} ]
  hosts: ['*.{name}.example.com', '{name}.example.com']
  upstreams: ['*.{name}.internal']
"
    )
}

const ACME: &str = "
apiVersion: gostoa.dev/v1alpha1
kind: UniversalAPIContract
metadata: { name: contract, namespace: tenant-acme }
spec:
  apis:
  - { name: billing-api, upstream: 'https://billing.acme.internal/v1', methods: [GET, POST] }
  - { name: hosted-api, upstream: 'http://hosted.acme.internal:8080', hosts: [hosted.acme.example.com], access: { scopes: [read, write] } }
  - { name: wild-api, upstream: 'http://wild.acme.internal', hosts: ['*.wild.acme.example.com'] }
  - { name: roles-api, upstream: 'http://roles.acme.internal/r', access: { roles: [reader, admin] } }
  - { name: paid-api, upstream: 'http://paid.acme.internal', access: { subscription: required } }
  - { name: key-api, upstream: 'http://key.acme.internal', policies: [ { auth: api-key } ], forwardCredentials: true }
  - { name: any-api, upstream: 'http://any.acme.internal', policies: [ { auth: any } ] }
  - { name: unlisted-api, upstream: 'http://unlisted.acme.internal' }
  - { name: shadowed-api, upstream: 'http://shadowed.acme.internal', policies: [ { audit: none } ] }
  - { name: full-api, upstream: 'http://full.acme.internal', policies: [ { audit: full } ] }
  - { name: documented-api, upstream: 'http://documented.acme.internal', methods: [GET, POST, DELETE], openapi: documented.yaml }
---
apiVersion: gostoa.dev/v1alpha1
kind: GuardrailPolicy
metadata: { name: lists, namespace: tenant-acme }
spec: { toolAllowlist: [billing-api, hosted-api, wild-api, roles-api, paid-api, key-api, any-api, shadowed-api, full-api, documented-api] }
---
apiVersion: gostoa.dev/v1alpha1
kind: GuardrailPolicy
metadata: { name: trial, namespace: tenant-acme }
spec: { shadow: true, toolAllowlist: [billing-api] }
";

const DOCUMENT: &str = "
openapi: 3.1.0
paths:
  /invoices: { get: {}, put: {} }
  /invoices/{id}: { get: {}, delete: {} }
  /invoices/latest: { get: {} }
";

fn subscriptions() -> String {
    let hash = hex::encode(KeyHash::of(ACME_KEY).0);
    format!(
        "
apiVersion: gostoa.dev/v1alpha1
kind: Subscription
metadata: {{ name: by-key, namespace: tenant-acme }}
spec: {{ keyHash: 'sha256:{hash}' }}
---
apiVersion: gostoa.dev/v1alpha1
kind: Subscription
metadata: {{ name: by-client, namespace: tenant-acme }}
spec: {{ clientId: app }}
---
apiVersion: gostoa.dev/v1alpha1
kind: Subscription
metadata: {{ name: narrow, namespace: tenant-acme }}
spec: {{ clientId: narrow-app, apis: [paid-api] }}
---
apiVersion: gostoa.dev/v1alpha1
kind: Subscription
metadata: {{ name: over, namespace: tenant-acme }}
spec: {{ clientId: old-app, expiresAt: 2020-01-01T00:00:00Z }}
"
    )
}

fn contract(tenant: &str, api: &str) -> String {
    format!(
        "
apiVersion: gostoa.dev/v1alpha1
kind: UniversalAPIContract
metadata: {{ name: contract, namespace: tenant-{tenant} }}
spec: {{ apis: [ {{ name: {api}, upstream: 'http://x.{tenant}.internal', hosts: [{tenant}.example.com] }} ] }}
"
    )
}

/// acme with many APIs, globex with `inventory-api`, `sleepy` suspended, `broken` without a contract that loads. `platform` is what
/// stands in the Platform's spec beside the global limit.
pub(crate) fn snapshot(platform: &str) -> Arc<Snapshot> {
    loaded(platform, "")
}

/// Envoy's own routes, with what a GuardrailPolicy of globex's says.
pub(crate) fn guarded(spec: &str) -> Arc<Snapshot> {
    loaded(OWN, spec)
}

/// What a tenant says in a GuardrailPolicy.
pub(crate) fn guardrails(tenant: &str, spec: &str) -> String {
    format!(
        "apiVersion: gostoa.dev/v1alpha1\nkind: GuardrailPolicy\nmetadata: {{ name: g, namespace: tenant-{tenant} }}\nspec: {{ {spec} }}\n"
    )
}

fn loaded(platform: &str, of_globex: &str) -> Arc<Snapshot> {
    let platform = format!(
        "
apiVersion: gostoa.dev/v1alpha1
kind: Platform
metadata: {{ name: platform }}
spec:
  rateLimit: {{ requestsPerMinute: 100000 }}
{platform}
"
    );
    let files = [
        ("platform.yaml", platform.as_str()),
        ("plans.yaml", PLAN),
        ("tenants/acme.yaml", &tenant("acme", "active")),
        ("tenants/globex.yaml", &tenant("globex", "active")),
        ("tenants/sleepy.yaml", &tenant("sleepy", "suspended")),
        ("tenants/broken.yaml", &tenant("broken", "active")),
        ("namespaces/tenant-acme/contract.yaml", ACME),
        ("namespaces/tenant-acme/subscriptions.yaml", &subscriptions()),
        ("namespaces/tenant-acme/documented.yaml", DOCUMENT),
        ("namespaces/tenant-globex/contract.yaml", &contract("globex", "inventory-api")),
        ("namespaces/tenant-globex/guardrails.yaml", &guardrails("globex", of_globex)),
        ("namespaces/tenant-sleepy/contract.yaml", &contract("sleepy", "sleepy-api")),
        ("namespaces/tenant-broken/contract.yaml", "not: [a, resource"),
    ];
    // Broken files are faults, and no reason for anybody else's snapshot not to be there.
    let mut catalog = Catalog::new(Arc::new(SystemClock));
    let snapshot = catalog.apply(changes_of(&files)).unwrap();
    for fault in catalog.faults() {
        assert!(fault.severity == Severity::Warning || fault.file.contains("broken"), "{fault}");
    }
    snapshot
}

/// Envoy's own routes, and no GuardrailPolicy of globex's that says anything.
pub(crate) fn own() -> Arc<Snapshot> {
    snapshot(OWN)
}

/// Contract routing, `/{tenant}/{api}`; billing is reached in clear text elsewhere.
pub(crate) fn contract_routed() -> Arc<Snapshot> {
    snapshot(
        "
  routing: contract
  addressing: { path: '/{tenant}/{api}' }
  upstreams: { connect: { 'https://billing.acme.internal': 'http://127.0.0.1:18081' } }",
    )
}

/// A CheckRequest as Envoy would send it.
pub(crate) struct Asked {
    pub(crate) method: &'static str,
    pub(crate) host: &'static str,
    pub(crate) path: String,
    pub(crate) headers: Vec<(&'static str, &'static str)>,
    pub(crate) context: Vec<(&'static str, &'static str)>,
}

/// A GET of a path.
pub(crate) fn get(path: &str) -> Asked {
    Asked { method: "GET", host: "gateway.example.com", path: path.to_owned(), headers: Vec::new(), context: Vec::new() }
}

impl Asked {
    /// By the caller that [`Stand`] proves: `acme`, or with its parts `acme key client:app role:reader scope:read`.
    pub(crate) fn by(mut self, caller: &'static str) -> Self {
        self.headers.push(("authorization", caller));
        self
    }

    pub(crate) fn with(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.push((name, value));
        self
    }

    pub(crate) fn on(mut self, host: &'static str) -> Self {
        self.host = host;
        self
    }

    pub(crate) fn method(mut self, method: &'static str) -> Self {
        self.method = method;
        self
    }

    pub(crate) fn context(mut self, key: &'static str, value: &'static str) -> Self {
        self.context.push((key, value));
        self
    }

    pub(crate) fn request(&self) -> CheckRequest {
        let header = |(name, value): &(&str, &str)| HeaderValue {
            key: (*name).to_owned(),
            raw_value: value.as_bytes().to_vec(),
            ..HeaderValue::default()
        };
        let http = attribute_context::HttpRequest {
            method: self.method.to_owned(),
            host: self.host.to_owned(),
            path: self.path.clone(),
            scheme: "https".to_owned(),
            header_map: Some(HeaderMap { headers: self.headers.iter().map(header).collect() }),
            ..attribute_context::HttpRequest::default()
        };
        CheckRequest {
            attributes: Some(AttributeContext {
                request: Some(attribute_context::Request { http: Some(http), ..attribute_context::Request::default() }),
                context_extensions: self.context.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
                ..AttributeContext::default()
            }),
        }
    }
}

impl Attributes<'static> {
    /// Those of a request, whose bytes stay for ever.
    pub(crate) fn of(request: CheckRequest) -> Result<Self, Denial> {
        Self::read(request.encode_to_vec().leak()).unwrap()
    }
}

/// Proves whomever the Authorization header names, if the address agrees: the identity step without its cryptography.
pub(crate) struct Stand;

impl Identify for Stand {
    async fn identify(
        &self,
        snapshot: &Arc<Snapshot>,
        presented: &Presented<'_>,
        addressed: Addressed<'_>,
        _sender: Sender,
    ) -> Result<Caller, Refusal> {
        let [credential] = presented.authorization.as_slice() else {
            return Err(Denial::new(Reason::NoCredentials, "none").into());
        };
        let caller = caller(snapshot, std::str::from_utf8(credential).unwrap_or_default())
            .ok_or_else(|| Refusal::from(Denial::new(Reason::InvalidToken, "nobody")))?;
        if !addressed.consistent || addressed.name.is_some_and(|name| name != caller.tenant.name.as_str()) {
            let denial = Denial::new(Reason::WrongTenant, "somebody else");
            return Err(Refusal { denial, proven: Some(caller.tenant) });
        }
        Ok(caller)
    }
}

/// The caller that words describe; see [`Asked::by`].
pub(crate) fn caller(snapshot: &Snapshot, words: &str) -> Option<Caller> {
    let mut words = words.split(' ');
    let tenant: &Arc<Tenant> = snapshot.tenant(words.next()?)?;
    let mut caller = Caller {
        tenant: tenant.clone(),
        subject: Some("alice".into()),
        client: None,
        roles: Arc::default(),
        scopes: Arc::default(),
        by_token: true,
        expires: None,
        signed_by: None,
        by_key: None,
    };
    for word in words {
        match word.split_once(':').unwrap_or((word, "")) {
            ("client", client) => caller.client = Some(client.into()),
            ("role", role) => caller.roles = caller.roles.iter().cloned().chain([role.to_owned()]).collect(),
            ("scope", scope) => caller.scopes = caller.scopes.iter().cloned().chain([scope.to_owned()]).collect(),
            ("subject", subject) => caller.subject = Some(subject.into()),
            ("key", _) | ("key-only", _) => {
                let Policy::Ready(policy) = &tenant.policy else { return None };
                caller.by_key = policy.subscription_of_key(&KeyHash::of(ACME_KEY)).cloned();
                caller.by_token = word == "key";
            }
            _ => return None,
        }
    }
    Some(caller)
}

//! Where the attacks are played: worlds that many cases share, and what every case asserts.

use std::{
    ops::Deref,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bulkhead_tests::{
    client::{Answer, Request},
    config::Config,
    deadline::{self, PATIENCE},
    issuer::{Issuer, key::Key},
    shared::Shared,
    upstream::{MARK, Seen},
    world::{Builder, World},
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// What acme may reach.
pub(crate) const INVOICES: &str = "/acme/billing-api/invoices";
/// What globex may reach.
pub(crate) const PRODUCTS: &str = "/globex/inventory-api/products";
/// A key of globex, for its catalog-api alone; `examples/config` prints it for everybody.
pub(crate) const GLOBEX_KEY: &str = "globex.demo-key-b2f4c1d09e7a4c55";
/// A key of acme, for its partner-api alone.
pub(crate) const ACME_KEY: &str = "acme.an-adversary-of-the-tests";
/// A key of acme without a tenant part.
pub(crate) const BARE_KEY: &str = "a-key-that-names-nobody";

/// A world, with more tenants in it and more to attack.
pub(crate) struct Stage {
    world: World,
    /// Of a tenant that has no policy at all.
    pub(crate) hollow: Issuer,
    /// Of a tenant that is suspended.
    pub(crate) frozen: Issuer,
    /// A second key of globex, on an elliptic curve.
    pub(crate) curve: Key,
}

impl Deref for Stage {
    type Target = World;

    fn deref(&self) -> &World {
        &self.world
    }
}

impl Stage {
    /// Contract routing.
    pub(crate) async fn contract() -> Arc<Self> {
        static STAGE: Shared<Stage> = Shared::new();
        STAGE.get(|| Self::start(World::builder().valkey())).await
    }

    /// The user's own routes.
    pub(crate) async fn own_routes() -> Arc<Self> {
        static STAGE: Shared<Stage> = Shared::new();
        STAGE.get(|| Self::start(World::builder().valkey().own_routes())).await
    }

    /// Contract routing behind an Envoy that cleans nothing up: what holds here, ext-authz holds alone.
    pub(crate) async fn bare() -> Arc<Self> {
        static STAGE: Shared<Stage> = Shared::new();
        STAGE.get(|| Self::start(World::builder().valkey().bootstrap(clean_nothing))).await
    }

    /// The user's own routes behind such an Envoy.
    pub(crate) async fn bare_own_routes() -> Arc<Self> {
        static STAGE: Shared<Stage> = Shared::new();
        STAGE.get(|| Self::start(World::builder().valkey().own_routes().bootstrap(clean_nothing))).await
    }

    async fn start(builder: Builder<'_>) -> Self {
        let (hollow, frozen) = (Issuer::start("hollow").await, Issuer::start("frozen").await);
        let world = builder.config(unhurried).config(|config| more_to_attack(config, &hollow, &frozen)).start().await;
        let curve = Key::es256("globex-curve");
        world.globex.issuer.publish(vec![world.globex.issuer.key().jwk(), curve.jwk()]);
        Self { world, hollow, frozen, curve }
    }
}

/// Every attack comes from 127.0.0.1: the counts of failures, which have tests of their own, would answer for all other defences (S5).
pub(crate) fn unhurried(config: &Config) {
    config.edit("platform.yaml", |platform| {
        platform["spec"]["unresolved"] = json!({ "requestsPerMinute": 10_000_000 });
        platform["spec"]["authFailures"] = json!({ "perSourceMinute": 10_000_000, "perTenantMinute": 10_000_000 });
    });
}

fn more_to_attack(config: &Config, hollow: &Issuer, frozen: &Issuer) {
    for (tenant, api) in [("acme", "billing"), ("globex", "inventory")] {
        let host = format!("{tenant}.example.com");
        config.edit(&format!("tenants/{tenant}.yaml"), |resource| resource["spec"]["hosts"] = json!([format!("*.{host}")]));
        config.edit(&format!("namespaces/tenant-{tenant}/contract.yaml"), |contract| {
            contract["spec"]["apis"][0]["hosts"] = json!([format!("{api}.{host}")]);
        });
    }
    config.edit("namespaces/tenant-acme/contract.yaml", |contract| {
        let more = json!([
            { "name": "reports-api", "upstream": "https://orders.acme.internal/reports", "access": { "roles": ["reports-reader"] } },
            { "name": "unlisted-api", "upstream": "https://orders.acme.internal/unlisted" },
            { "name": "partner-api", "upstream": "https://orders.acme.internal/partner", "policies": [{ "auth": "any" }],
              "access": { "subscription": "required" } },
        ]);
        contract["spec"]["apis"].as_array_mut().unwrap().extend(more.as_array().unwrap().clone());
    });
    config.edit("namespaces/tenant-acme/guardrails.yaml", |policy| {
        policy["spec"]["toolAllowlist"].as_array_mut().unwrap().extend([json!("reports-api"), json!("partner-api")]);
    });
    let subscription = |name: &str, holder: (&str, &str), expires: &str| {
        json!({ "apiVersion": "gostoa.dev/v1alpha1", "kind": "Subscription", "metadata": { "name": name, "namespace": "tenant-acme" },
                "spec": { "apis": ["partner-api"], holder.0: holder.1, "expiresAt": expires } })
    };
    config.edit_all("namespaces/tenant-acme/subscriptions.yaml", |subscriptions| {
        subscriptions.push(subscription("partner-key", ("keyHash", &hash(ACME_KEY)), "2090-01-01T00:00:00Z"));
        subscriptions.push(subscription("bare-key", ("keyHash", &hash(BARE_KEY)), "2090-01-01T00:00:00Z"));
        subscriptions.push(subscription("partner-client", ("clientId", "acme-partner-app"), "2090-01-01T00:00:00Z"));
        subscriptions.push(subscription("former-client", ("clientId", "acme-former-app"), "2020-01-01T00:00:00Z"));
    });
    config.edit_all("namespaces/tenant-globex/subscriptions.yaml", |subscriptions| {
        let mut client = subscription("globex-client", ("clientId", "globex-app"), "2090-01-01T00:00:00Z");
        client["metadata"]["namespace"] = "tenant-globex".into();
        client["spec"]["apis"] = json!(["inventory-api"]);
        subscriptions.push(client);
    });
    for (name, issuer, status) in [("hollow", hollow, "active"), ("frozen", frozen, "suspended")] {
        config.put(&format!("tenants/{name}.yaml"), &tenant(name, issuer, status));
    }
    config.put(
        "namespaces/tenant-frozen/contract.yaml",
        &json!({ "apiVersion": "gostoa.dev/v1alpha1", "kind": "UniversalAPIContract",
                 "metadata": { "name": "frozen-contract", "namespace": "tenant-frozen" },
                 "spec": { "version": "1.0", "apis": [{ "name": "billing-api", "upstream": "https://billing.frozen.internal/v1" }] } }),
    );
}

fn tenant(name: &str, issuer: &Issuer, status: &str) -> Value {
    json!({ "apiVersion": "gostoa.dev/v1alpha1", "kind": "Tenant", "metadata": { "name": name },
            "spec": { "plan": "starter", "uid": format!("01J{name}"), "status": status, "upstreams": [format!("*.{name}.internal")],
                      "issuers": [{ "issuer": issuer.issuer(), "jwksUri": issuer.jwks_uri(), "audiences": ["gateway"],
                                    "tenantClaim": { "name": "tenant_id", "required": true } }] } })
}

fn hash(key: &str) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(key)))
}

/// Takes every line out of the shipped file by which Envoy itself stops an odd path or a forged header.
fn clean_nothing(bootstrap: &mut Value) {
    let manager = &mut bootstrap["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"];
    manager["normalize_path"] = false.into();
    manager["merge_slashes"] = false.into();
    manager["path_with_escaped_slashes_action"] = "KEEP_UNCHANGED".into();
    manager["strip_any_host_port"] = false.into();
    manager["common_http_protocol_options"]["headers_with_underscores_action"] = "ALLOW".into();
    assert!(manager.as_object_mut().unwrap().remove("early_header_mutation_extensions").is_some());
    let filters = manager["http_filters"].as_array_mut().unwrap();
    let before = filters.len();
    filters.retain(|filter| filter["name"] != "envoy.filters.http.header_mutation");
    assert_eq!(filters.len() + 1, before);
}

/// A request with a mark of its own.
fn marked(request: &Request) -> (Request, String) {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let mark = format!("adversary-{}", NEXT.fetch_add(1, Ordering::Relaxed));
    (request.clone().header(MARK, &mark), mark)
}

/// How many requests of that mark reached an upstream, whoever's.
pub(crate) fn reached(world: &World, mark: &str) -> u64 {
    world.acme.requests_marked(mark) + world.globex.requests_marked(mark)
}

/// Sends a request once; how many times it reached an upstream.
pub(crate) async fn once(world: &World, request: &Request) -> (Answer, u64) {
    let (request, mark) = marked(request);
    let answer = world.send(&request).await;
    let hits = reached(world, &mark);
    (answer, hits)
}

/// Sends a request until it is answered: on a busy machine a service may answer too late for Envoy, and 503 says so. It is no permission either.
pub(crate) async fn answered(world: &World, request: &Request) -> Answer {
    deadline::until(&format!("an answer to {request:?}"), PATIENCE, || async {
        let (answer, hits) = once(world, request).await;
        assert_eq!(hits, u64::from(answer.status == 200), "{request:?} was answered {} {}", answer.status, answer.text());
        (answer.status != 503).then_some(answer)
    })
    .await
}

/// The attack is answered with this problem, and reaches nobody.
pub(crate) async fn denied(world: &World, request: &Request, status: u16, reason: &str) -> Answer {
    let answer = answered(world, request).await;
    assert_eq!(answer.status, status, "{request:?} was answered {}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{request:?}");
    assert_eq!(answer.reason(), reason, "{request:?}");
    let problem = answer.json();
    assert_eq!(problem["status"], status);
    assert!(problem["decision_id"].as_str().is_some_and(|id| !id.is_empty()), "{problem}");
    answer
}

/// The attack never gets past Envoy's own rules, and reaches nobody.
pub(crate) async fn refused_by_envoy(world: &World, request: &Request) {
    let answer = answered(world, request).await;
    assert_eq!(answer.status, 400, "{request:?} was answered {}", answer.text());
}

/// The request is served; what the upstream saw.
pub(crate) async fn served(world: &World, request: &Request) -> Seen {
    let answer = answered(world, request).await;
    assert_eq!(answer.status, 200, "{request:?} was answered {}", answer.text());
    answer.seen()
}

/// All that a caller can learn from a denial, but for what is new in each.
pub(crate) fn told(answer: &Answer) -> (u16, Vec<(String, String)>, Value) {
    let mut problem = answer.json();
    problem["decision_id"] = Value::Null;
    let headers = answer.headers.iter().filter(|(name, _)| name != "date").cloned().collect();
    (answer.status, headers, problem)
}

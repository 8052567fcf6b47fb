//! The contract between Envoy and the two services: every metadata key, descriptor entry and header name, once (S15).

/// The namespace that Envoy puts a CheckResponse's dynamic metadata into, whatever the filter is called.
pub const METADATA_NAMESPACE: &str = "envoy.filters.http.ext_authz";

/// The rate limit domain that Bulkhead serves.
pub const DOMAIN: &str = "bulkhead";

/// Keys of the metadata that ext-authz writes.
pub mod metadata {
    /// The tenant's name.
    pub const TENANT: &str = "tenant";
    /// The tenant's namespace.
    pub const NAMESPACE: &str = "namespace";
    /// The subscription's name.
    pub const SUBSCRIPTION: &str = "subscription";
    /// The API's name.
    pub const API: &str = "api";
    /// The plan's name.
    pub const PLAN: &str = "plan";
    /// The tenant's region.
    pub const REGION: &str = "region";
    /// The caller inside the tenant.
    pub const SUBJECT: &str = "subject";
    /// The decision's id, as problem bodies, logs and audit have it.
    pub const DECISION_ID: &str = "decision_id";
    /// The generation of the snapshot that decided.
    pub const GENERATION: &str = "generation";
    /// What the request costs: a number, there unless Check has charged the limits itself. Without it Envoy makes no descriptor (fact 5), and the rate limit
    /// service is not asked: that is how a request is charged once in a chain that has both.
    pub const COST: &str = "cost";
    /// `allow`, or the name of the reason.
    pub const VERDICT: &str = "verdict";
    /// What ext_proc must read: none, request, response, both.
    pub const PROCESS: &str = "process";
    /// A hash of the tenant's policy content.
    pub const POLICY: &str = "policy";
    /// What an answer to MCP's `tools/list` may show: `list` (every result is one) or `any`, then the names of tools, parted by spaces. Only
    /// where ext_proc must take the rest out of the answer.
    pub const TOOLS: &str = "tools";
    /// From when on the caller's token proves nobody, or its subscription is over, in seconds since 1970: no stream of events outlives it. Only where
    /// ext_proc reads a body.
    pub const EXPIRES: &str = "expires";
    /// The fingerprint of the key that the caller's token was verified by, and after a space its issuer: no stream of events outlives that key. Only where
    /// ext_proc reads a body.
    pub const SIGNED_BY: &str = "signed_by";
}

/// Entries of the one descriptor that the rate limit filter sends.
pub mod descriptor {
    /// The tenant's name.
    pub const TENANT: &str = "tenant";
    /// The subscription's name.
    pub const SUBSCRIPTION: &str = "subscription";
    /// The API's name.
    pub const API: &str = "api";
    /// The decision's id: never part of a key, so that a 429 carries it.
    pub const DECISION: &str = "decision";
    /// What Envoy sends for a tenant where there is no metadata (fact 4).
    pub const UNRESOLVED: &str = "__unresolved__";
    /// What Envoy sends for any other entry where there is no metadata.
    pub const NONE: &str = "__none__";
}

/// Header names, lower case as Envoy has them.
pub mod header {
    /// Everything below this prefix is ours: a client's never reaches anything (S8).
    pub const PREFIX: &str = "x-bulkhead-";
    /// The tenant's name, for the upstream.
    pub const TENANT: &str = "x-bulkhead-tenant";
    /// The subscription's name, for the upstream.
    pub const SUBSCRIPTION: &str = "x-bulkhead-subscription";
    /// The API's name, for the upstream.
    pub const API: &str = "x-bulkhead-api";
    /// The caller, for the upstream.
    pub const SUBJECT: &str = "x-bulkhead-subject";
    /// The decision's id, for the upstream.
    pub const DECISION: &str = "x-bulkhead-decision";
    /// The context token (Platform `contextToken`), for the upstream.
    pub const CONTEXT: &str = "x-bulkhead-context";
    /// Which of Envoy's two contract clusters takes the request; removed before the upstream.
    pub const CLUSTER: &str = "x-bulkhead-cluster";
    /// `host:port` of the contract's upstream; removed before the upstream.
    pub const UPSTREAM: &str = "x-bulkhead-upstream";
    /// `address:port` that this upstream was resolved to and judged (S3), so that Envoy resolves nothing itself; removed before the upstream.
    pub const ADDRESS: &str = "x-bulkhead-address";
    /// What contract routing alone sets.
    pub const ROUTING: [&str; 3] = [CLUSTER, UPSTREAM, ADDRESS];
    /// Marks what has passed through us (S24). Outside the stripped prefix on purpose: it identifies nobody.
    pub const HOP: &str = "bulkhead-hop";
    /// Old names of a tenant, which a client's own never survives in.
    pub const FOREIGN: [&str; 2] = ["x-tenant-id", "x-subscription-id"];
    /// What ext-authz sets on an allow for the upstream.
    pub const IDENTITY: [&str; 6] = [TENANT, SUBSCRIPTION, API, SUBJECT, DECISION, CONTEXT];
    /// An API key.
    pub const API_KEY: &str = "x-api-key";
}

/// The clusters of contract routing.
pub mod cluster {
    /// Clear text.
    pub const HTTP: &str = "contract-http";
    /// TLS with the contract's host as SNI and name to verify.
    pub const HTTPS: &str = "contract-https";
}

/// Keys of a route's `context_extensions` that the operator may set (S13).
pub mod context {
    /// The tenant that the route belongs to.
    pub const TENANT: &str = "tenant";
    /// The API that the route belongs to.
    pub const API: &str = "api";
    /// Whether Envoy buffers the body for this route: `on`, or `off` where the filter does and the route switches it off.
    pub const BODY: &str = "bulkhead.body";
    /// Whether ext_proc stands in this route's chain: `on`, or `off` where the route switches it off.
    pub const PROCESS: &str = "bulkhead.process";
    /// That no rate limit filter stands in this route's chain, so that Check must charge the limits: `on`.
    pub const LIMITS: &str = "bulkhead.limits";
}

/// The gRPC methods that Envoy calls for every request.
pub mod method {
    /// Of ext_authz.
    pub const CHECK: &str = "/envoy.service.auth.v3.Authorization/Check";
    /// Of the rate limit filter.
    pub const SHOULD_RATE_LIMIT: &str = "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit";
}

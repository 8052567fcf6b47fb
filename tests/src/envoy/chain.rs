//! A small Envoy with filters of a test's own choice: for what Envoy itself does, where a shipped file would hide it.

use std::net::SocketAddr;

use serde_json::{Value, json};

const TYPE: &str = "type.googleapis.com/envoy.extensions";

/// A bootstrap with one listener, these HTTP filters before the router, and one route to the cluster `upstream`. Each service is a gRPC
/// cluster of its name.
#[must_use]
pub fn bootstrap(filters: &[Value], upstream: SocketAddr, services: &[(&str, SocketAddr)]) -> Value {
    let mut chain = filters.to_vec();
    chain
        .push(json!({ "name": "envoy.filters.http.router", "typed_config": { "@type": format!("{TYPE}.filters.http.router.v3.Router") } }));
    let mut clusters = vec![cluster("upstream", upstream)];
    clusters.extend(services.iter().map(|(name, address)| {
        let mut cluster = cluster(name, *address);
        cluster["typed_extension_protocol_options"] = http2();
        cluster
    }));
    json!({
        "admin": { "address": address(SocketAddr::from(([127, 0, 0, 1], 0))) },
        "static_resources": {
            "listeners": [{
                "name": "gateway",
                "address": address(SocketAddr::from(([127, 0, 0, 1], 0))),
                "filter_chains": [{ "filters": [{
                    "name": "envoy.filters.network.http_connection_manager",
                    "typed_config": {
                        "@type": format!("{TYPE}.filters.network.http_connection_manager.v3.HttpConnectionManager"),
                        "stat_prefix": "gateway",
                        "route_config": { "virtual_hosts": [{
                            "name": "all",
                            "domains": ["*"],
                            "routes": [{ "match": { "prefix": "/" }, "route": { "cluster": "upstream" } }],
                        }] },
                        "http_filters": chain,
                    },
                }] }],
            }],
            "clusters": clusters,
        },
    })
}

/// ext_authz asking the cluster `ext-authz`, failing closed with 503.
#[must_use]
pub fn ext_authz() -> Value {
    json!({
        "name": "envoy.filters.http.ext_authz",
        "typed_config": {
            "@type": format!("{TYPE}.filters.http.ext_authz.v3.ExtAuthz"),
            "transport_api_version": "V3",
            "grpc_service": { "envoy_grpc": { "cluster_name": "ext-authz" }, "timeout": "5s" },
            "status_on_error": { "code": "ServiceUnavailable" },
        },
    })
}

/// The rate limit filter asking the cluster `ratelimit` about these descriptors (`rate_limits` entries), failing closed with 503.
#[must_use]
pub fn ratelimit(rate_limits: &Value) -> Value {
    json!({
        "name": "envoy.filters.http.ratelimit",
        "typed_config": {
            "@type": format!("{TYPE}.filters.http.ratelimit.v3.RateLimit"),
            "domain": "bulkhead",
            "timeout": "5s",
            "failure_mode_deny": true,
            "status_on_error": { "code": "ServiceUnavailable" },
            "rate_limit_service": { "transport_api_version": "V3", "grpc_service": { "envoy_grpc": { "cluster_name": "ratelimit" } } },
            "rate_limits": rate_limits,
        },
    })
}

/// ext_proc asking the cluster `ext-proc` about buffered request bodies, failing closed.
#[must_use]
pub fn ext_proc(request_header_mode: &str) -> Value {
    json!({
        "name": "envoy.filters.http.ext_proc",
        "typed_config": {
            "@type": format!("{TYPE}.filters.http.ext_proc.v3.ExternalProcessor"),
            "grpc_service": { "envoy_grpc": { "cluster_name": "ext-proc" }, "timeout": "10s" },
            "failure_mode_allow": false,
            "message_timeout": "5s",
            "processing_mode": { "request_header_mode": request_header_mode, "request_body_mode": "BUFFERED", "response_header_mode": "SKIP" },
            "metadata_options": { "forwarding_namespaces": { "untyped": ["envoy.filters.http.ext_authz"] } },
        },
    })
}

/// A descriptor entry from ext_authz's metadata.
#[must_use]
pub fn metadata_entry(key: &str, default_value: Option<&str>) -> Value {
    let mut action = json!({
        "descriptor_key": key,
        "source": "DYNAMIC",
        "metadata_key": { "key": "envoy.filters.http.ext_authz", "path": [{ "key": key }] },
    });
    if let Some(default) = default_value {
        action["default_value"] = default.into();
    }
    json!({ "metadata": action })
}

fn cluster(name: &str, to: SocketAddr) -> Value {
    json!({
        "name": name,
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": { "cluster_name": name, "endpoints": [{ "lb_endpoints": [{ "endpoint": { "address": address(to) } }] }] },
    })
}

fn http2() -> Value {
    json!({ "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
        "@type": format!("{TYPE}.upstreams.http.v3.HttpProtocolOptions"),
        "explicit_http_config": { "http2_protocol_options": {} },
    } })
}

fn address(of: SocketAddr) -> Value {
    json!({ "socket_address": { "address": of.ip().to_string(), "port_value": of.port() } })
}

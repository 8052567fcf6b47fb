//! The real Envoy's rate limit filter asks the drop-in, as it would ask envoyproxy/ratelimit.

use bulkhead_tests::{
    client::Request,
    envoy::{Envoy, chain},
    upstream::Upstream,
};
use serde_json::json;

use crate::standing_in::StandIn;

const RULES: &str = "domain: edge
descriptors:
- { key: user, rate_limit: { name: per-user, unit: day, requests_per_unit: 2 } }
- { key: path, rate_limit: { unit: day, requests_per_unit: 100 } }
";

#[tokio::test]
async fn envoy_limits_and_tells_by_its_own_headers_and_ours() {
    let service = StandIn::in_memory(&[("LIMIT_RESPONSE_HEADERS_ENABLED", "true")], RULES).await;
    let upstream = Upstream::start("upstream").await;
    let filter = json!({
        "name": "envoy.filters.http.ratelimit",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.ratelimit.v3.RateLimit",
            "domain": "edge",
            "timeout": "5s",
            "failure_mode_deny": true,
            "enable_x_ratelimit_headers": "DRAFT_VERSION_03",
            "rate_limit_service": { "transport_api_version": "V3", "grpc_service": { "envoy_grpc": { "cluster_name": "ratelimit" } } },
            "rate_limits": [
                { "actions": [{ "request_headers": { "header_name": ":path", "descriptor_key": "path" } }] },
                { "actions": [{ "request_headers": { "header_name": "x-user", "descriptor_key": "user" } }] },
            ],
        },
    });
    let envoy = Envoy::start(&chain::bootstrap(&[filter], upstream.address(), &[("ratelimit", service.grpc)])).await;
    let ask = |user: &'static str| Request::get("/a").header("x-user", user);
    for left in ["1", "0"] {
        let answer = ask("jo").send(envoy.address()).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.header("x-ratelimit-limit"), Some("2, 100;w=86400, 2;w=86400;name=\"per-user\""));
        assert_eq!((answer.header("x-ratelimit-remaining"), answer.header("ratelimit-remaining")), (Some(left), Some(left)));
        let reset: u64 = answer.header("x-ratelimit-reset").unwrap().parse().unwrap();
        assert!((1..=86_400).contains(&reset), "{reset}");
    }
    let over = ask("jo").send(envoy.address()).await;
    assert_eq!((over.status, over.header("x-envoy-ratelimited"), over.header("x-ratelimit-remaining")), (429, Some("true"), Some("0")));
    assert_eq!(over.header("ratelimit-limit"), Some("2"));
    assert_eq!(ask("other").send(envoy.address()).await.status, 200);
    assert_eq!(service.stat("ratelimit.service.rate_limit.edge.user.over_limit").await, 1);
}

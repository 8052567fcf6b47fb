//! What is asked: requests of many tenants, as Envoy would send them, some tenants far more often than others (Zipf).

use std::{
    collections::HashMap,
    sync::atomic::{AtomicUsize, Ordering},
};

use bulkhead_proto::{
    contract::{self, descriptor},
    pb::envoy::{
        config::core::v3::{Address, HeaderMap, HeaderValue, SocketAddress, address, socket_address},
        extensions::common::ratelimit::v3::{RateLimitDescriptor, rate_limit_descriptor::Entry},
        service::{
            auth::v3::{
                AttributeContext, CheckRequest, CheckResponse,
                attribute_context::{HttpRequest, Peer, Request},
                authorization_client::AuthorizationClient,
            },
            ratelimit::v3::{RateLimitRequest, rate_limit_response::Code, rate_limit_service_client::RateLimitServiceClient},
        },
    },
};
use bulkhead_tests::{
    issuer::{key::Key, token},
    scale::Scale,
};
use serde_json::json;
use tonic::transport::Channel;

/// How many different requests are prepared; they are sent round and round.
const PREPARED: usize = 20_000;

/// Requests to either service.
pub(crate) enum Calls {
    /// To ext-authz.
    Check(Checks),
    /// To ratelimit.
    RateLimit(Limitations),
}

impl Calls {
    /// Sends one, and says whether it was answered, and with an allow.
    pub(crate) async fn send(&self, channel: &Channel) -> bool {
        match self {
            Self::Check(checks) => {
                let request = next(&checks.requests, &checks.next);
                let answer = AuthorizationClient::new(channel.clone()).check(request).await;
                answer.is_ok_and(|answer| allowed(answer.get_ref()))
            }
            Self::RateLimit(limits) => {
                let request = next(&limits.requests, &limits.next);
                let answer = RateLimitServiceClient::new(channel.clone()).should_rate_limit(request).await;
                answer.is_ok_and(|answer| answer.get_ref().overall_code == i32::from(Code::Ok))
            }
        }
    }
}

fn next<T: Clone>(requests: &[T], at: &AtomicUsize) -> T {
    requests[at.fetch_add(1, Ordering::Relaxed) % requests.len()].clone()
}

fn allowed(answer: &CheckResponse) -> bool {
    answer.status.as_ref().is_none_or(|status| status.code == 0)
}

/// Requests to ext-authz: a token of the tenant each, seen before after the first round.
pub(crate) struct Checks {
    requests: Vec<CheckRequest>,
    next: AtomicUsize,
}

impl Checks {
    /// Requests of these tenants, with tokens that this key signs.
    pub(crate) fn new(scale: &Scale, key: &Key) -> Self {
        let mut tokens = HashMap::new();
        let requests = zipf(scale.tenants)
            .map(|tenant| {
                let token = tokens.entry(tenant).or_insert_with(|| sign(tenant, key));
                let name = Scale::tenant(tenant);
                check(&format!("/{name}/api-1/invoices/17?page=2"), &[("authorization", &format!("Bearer {token}"))])
            })
            .collect();
        Self { requests, next: AtomicUsize::new(0) }
    }
}

fn sign(tenant: usize, key: &Key) -> String {
    let header = json!({ "alg": key.algorithm(), "typ": "JWT", "kid": key.kid() });
    let claims = json!({
        "iss": Scale::issuer(tenant), "sub": "user-123", "azp": Scale::client(tenant, 1), "tenant_id": Scale::tenant(tenant),
        "exp": token::now() + 3600, "roles": ["billing-reader"],
    });
    token::jws(&header.to_string(), &claims.to_string(), |message| key.sign(message))
}

/// A CheckRequest as Envoy sends it for a small GET.
pub(crate) fn check(path: &str, headers: &[(&str, &str)]) -> CheckRequest {
    let usual = [(":authority", "gateway.example.com"), (":path", path), (":method", "GET"), (":scheme", "https")];
    let more = [("user-agent", "curl/8.5.0"), ("accept", "*/*"), ("x-forwarded-proto", "https"), ("x-request-id", "a68ecdd8")];
    let headers = usual.iter().chain(&more).chain(headers).map(|(key, value)| HeaderValue {
        key: (*key).to_owned(),
        raw_value: value.as_bytes().to_vec(),
        ..HeaderValue::default()
    });
    let http = HttpRequest {
        method: "GET".to_owned(),
        path: path.to_owned(),
        host: "gateway.example.com".to_owned(),
        scheme: "https".to_owned(),
        protocol: "HTTP/2".to_owned(),
        header_map: Some(HeaderMap { headers: headers.collect() }),
        ..HttpRequest::default()
    };
    let socket = SocketAddress {
        address: "192.0.2.7".to_owned(),
        port_specifier: Some(socket_address::PortSpecifier::PortValue(50_000)),
        ..SocketAddress::default()
    };
    let source = Peer { address: Some(Address { address: Some(address::Address::SocketAddress(socket)) }), ..Peer::default() };
    let request = Request { http: Some(http), ..Request::default() };
    CheckRequest { attributes: Some(AttributeContext { source: Some(source), request: Some(request), ..AttributeContext::default() }) }
}

/// Requests to ratelimit: the descriptor that our Envoy files send.
pub(crate) struct Limitations {
    requests: Vec<RateLimitRequest>,
    next: AtomicUsize,
}

impl Limitations {
    /// Requests of these tenants.
    pub(crate) fn new(scale: &Scale) -> Self {
        let requests = zipf(scale.tenants)
            .enumerate()
            .map(|(number, tenant)| {
                let name = Scale::tenant(tenant);
                let entries = [
                    (descriptor::TENANT, name.clone()),
                    (descriptor::SUBSCRIPTION, format!("{name}-sub-{}", number % scale.subscriptions)),
                    (descriptor::API, "api-1".to_owned()),
                    (descriptor::DECISION, format!("decision-{number}")),
                ];
                let entries = entries.into_iter().map(|(key, value)| Entry { key: key.to_owned(), value }).collect();
                let descriptors = vec![RateLimitDescriptor { entries, ..RateLimitDescriptor::default() }];
                RateLimitRequest { domain: contract::DOMAIN.to_owned(), descriptors, hits_addend: 1 }
            })
            .collect();
        Self { requests, next: AtomicUsize::new(0) }
    }
}

/// Tenants by their number, as often as Zipf's law has it (exponent 1), in an order that only looks random.
fn zipf(tenants: usize) -> impl Iterator<Item = usize> {
    let mut sums = Vec::with_capacity(tenants);
    let mut sum = 0.0;
    for rank in 1..=tenants {
        #[expect(clippy::cast_precision_loss, reason = "ranks are small")]
        let weight = 1.0 / rank as f64;
        sum += weight;
        sums.push(sum);
    }
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    (0..PREPARED).map(move |_| {
        // xorshift64: the same order in every run.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        #[expect(clippy::cast_precision_loss, reason = "53 bits are kept")]
        let point = (state >> 11) as f64 / (1_u64 << 53) as f64 * sum;
        sums.partition_point(|sum| *sum < point).min(tenants - 1)
    })
}

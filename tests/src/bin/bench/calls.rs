//! What is asked: requests of many tenants, as Envoy would send them, some tenants far more often than others (Zipf).

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use bulkhead_proto::{
    contract::{self, descriptor},
    pb::envoy::{
        config::core::v3::{Address, HeaderMap, HeaderValue, SocketAddress, address, socket_address},
        extensions::common::ratelimit::v3::{RateLimitDescriptor, rate_limit_descriptor::Entry},
        service::{
            auth::v3::{
                AttributeContext, CheckRequest,
                attribute_context::{HttpRequest, Peer, Request},
            },
            ratelimit::v3::{RateLimitRequest, rate_limit_response::Code},
        },
    },
};
use bulkhead_tests::{
    issuer::{key::Key, token},
    scale::Scale,
};
use http::uri::PathAndQuery;
use prost::{Message, bytes::Bytes};
use serde_json::json;

/// How many different requests are prepared where each has a token's length; they are sent round and round.
pub(crate) const PREPARED: usize = 20_000;
/// How many are prepared where none may be seen twice, or where it matters how seldom a name comes again: more than are sent, with the warm-up, in five rounds.
const SELDOM: usize = 200_000;

/// Requests to one service, encoded, in the order in which they are sent. Clones continue one order.
#[derive(Clone)]
pub(crate) struct Calls {
    path: PathAndQuery,
    requests: Arc<[Bytes]>,
    next: Arc<AtomicUsize>,
    allows: fn(Bytes) -> bool,
}

impl Calls {
    /// Requests to ext-authz: a token of the tenant each, signed by this key and seen before after the first round.
    pub(crate) fn check(scale: &Scale, key: &Key) -> Self {
        let mut tokens = HashMap::new();
        let requests =
            zipf(scale.tenants, PREPARED).map(|tenant| bearer(tenant, tokens.entry(tenant).or_insert_with(|| sign(tenant, key, 0))));
        Self::new(CHECK, requests, allowed)
    }

    /// Requests to ext-authz: an API key each.
    pub(crate) fn check_by_key(scale: &Scale) -> Self {
        let requests = zipf(scale.tenants, PREPARED).map(|tenant| {
            let path = format!("/{}/api-0/invoices/17?page=2", Scale::tenant(tenant));
            check(&path, &[("x-api-key", &Scale::api_key(tenant, 0))])
        });
        Self::new(CHECK, requests, allowed)
    }

    /// Requests to ext-authz: a token each that no other has.
    pub(crate) fn check_first_sight(scale: &Scale, key: &Key) -> Self {
        let requests = zipf(scale.tenants, SELDOM).enumerate().map(|(number, tenant)| bearer(tenant, &sign(tenant, key, number)));
        Self::new(CHECK, requests, allowed)
    }

    /// The same of one tenant.
    pub(crate) fn check_first_sight_of(tenant: usize, key: &Key) -> Self {
        let requests = (0..SELDOM).map(|number| bearer(tenant, &sign(tenant, key, number)));
        Self::new(CHECK, requests, allowed)
    }

    /// Requests of one tenant to ext-authz with one token, seen before after the first.
    pub(crate) fn check_one(tenant: usize, key: &Key) -> Self {
        Self::new(CHECK, [bearer(tenant, &sign(tenant, key, 0))].into_iter(), allowed)
    }

    /// The same, with tokens that nobody signed: the last character of the signature's first half is another.
    pub(crate) fn check_forged(tenant: usize, key: &Key) -> Self {
        let forged = (0..PREPARED).map(|number| {
            let mut token = sign(tenant, key, number);
            let at = token.len() - 43;
            let other = if token.as_bytes()[at] == b'A' { "B" } else { "A" };
            token.replace_range(at..=at, other);
            // From many places: the failures of one are soon refused unread (S5), and so is whoever else is there.
            from(bearer(tenant, &token), &format!("198.51.100.{}", number % 256))
        });
        Self::new(CHECK, forged, allowed)
    }

    /// Requests of one tenant to ext-authz with a JSON body that Envoy shows.
    pub(crate) fn check_body(tenant: usize, key: &Key, body: &str) -> Self {
        let mut request = bearer(tenant, &sign(tenant, key, 0));
        let attributes = request.attributes.as_mut().and_then(|attributes| attributes.request.as_mut());
        let http = attributes.and_then(|request| request.http.as_mut()).expect("it was just made");
        http.raw_body = body.as_bytes().to_vec();
        http.method = "POST".to_owned();
        let headers = &mut http.header_map.as_mut().expect("it was just made").headers;
        for header in headers.iter_mut().filter(|header| header.key == ":method") {
            header.raw_value = b"POST".to_vec();
        }
        let more = [("content-type", "application/json".to_owned()), ("content-length", body.len().to_string())];
        headers.extend(more.map(|(key, value)| HeaderValue {
            key: key.to_owned(),
            raw_value: value.into_bytes(),
            ..HeaderValue::default()
        }));
        Self::new(CHECK, [request].into_iter(), allowed)
    }

    /// Requests to ratelimit: the descriptor that our Envoy files send.
    pub(crate) fn should_rate_limit(scale: &Scale) -> Self {
        let requests = zipf(scale.tenants, SELDOM).enumerate().map(|(number, tenant)| limit(tenant, number % scale.subscriptions, number));
        Self::new("/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit", requests, |answer| {
            LimitVerdict::decode(answer).is_ok_and(|answer| answer.overall_code == i32::from(Code::Ok))
        })
    }

    fn new(path: &'static str, requests: impl Iterator<Item = impl Message>, allows: fn(Bytes) -> bool) -> Self {
        let requests = requests.map(|request| request.encode_to_vec().into()).collect();
        Self { path: PathAndQuery::from_static(path), requests, next: Arc::default(), allows }
    }

    /// The method that is called.
    pub(crate) fn path(&self) -> PathAndQuery {
        self.path.clone()
    }

    /// The next request.
    pub(crate) fn next(&self) -> Bytes {
        self.requests[self.next.fetch_add(1, Ordering::Relaxed) % self.requests.len()].clone()
    }

    /// Whether an answer is an allow.
    pub(crate) fn allows(&self, answer: Bytes) -> bool {
        (self.allows)(answer)
    }
}

/// Of a RateLimitResponse, the field that Envoy decides by; the client is no part of what is measured, and skips the rest.
#[derive(Clone, PartialEq, Message)]
struct LimitVerdict {
    #[prost(int32, tag = "1")]
    overall_code: i32,
}

/// The same of a CheckResponse.
#[derive(Clone, PartialEq, Message)]
struct CheckVerdict {
    #[prost(message, optional, tag = "1")]
    status: Option<CheckStatus>,
}

#[derive(Clone, PartialEq, Message)]
struct CheckStatus {
    #[prost(int32, tag = "1")]
    code: i32,
}

const CHECK: &str = "/envoy.service.auth.v3.Authorization/Check";

fn allowed(answer: Bytes) -> bool {
    CheckVerdict::decode(answer).is_ok_and(|answer| answer.status.is_none_or(|status| status.code == 0))
}

/// A token of a tenant's.
pub(crate) fn sign(tenant: usize, key: &Key, number: usize) -> String {
    let header = json!({ "alg": key.algorithm(), "typ": "JWT", "kid": key.kid() });
    let claims = json!({
        "iss": Scale::issuer(tenant), "sub": "user-123", "azp": Scale::client(tenant, 1), "tenant_id": Scale::tenant(tenant),
        "jti": number, "exp": token::now() + 3600, "roles": ["billing-reader"],
    });
    token::jws(&header.to_string(), &claims.to_string(), |message| key.sign(message))
}

/// A tenant's request with a token.
pub(crate) fn bearer(tenant: usize, token: &str) -> CheckRequest {
    check(&format!("/{}/api-1/invoices/17?page=2", Scale::tenant(tenant)), &[("authorization", &format!("Bearer {token}"))])
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

/// The same request from another address.
fn from(mut request: CheckRequest, place: &str) -> CheckRequest {
    let source = request.attributes.as_mut().and_then(|attributes| attributes.source.as_mut());
    if let Some(address::Address::SocketAddress(socket)) = source.and_then(|source| source.address.as_mut()?.address.as_mut()) {
        socket.address = place.to_owned();
    }
    request
}

/// A RateLimitRequest as Envoy sends it.
fn limit(tenant: usize, subscription: usize, number: usize) -> RateLimitRequest {
    let name = Scale::tenant(tenant);
    let entries = [
        (descriptor::TENANT, name.clone()),
        (descriptor::SUBSCRIPTION, format!("{name}-sub-{subscription}")),
        (descriptor::API, "api-1".to_owned()),
        (descriptor::DECISION, format!("decision-{number}")),
    ];
    let entries = entries.into_iter().map(|(key, value)| Entry { key: key.to_owned(), value }).collect();
    let descriptors = vec![RateLimitDescriptor { entries, ..RateLimitDescriptor::default() }];
    RateLimitRequest { domain: contract::DOMAIN.to_owned(), descriptors, hits_addend: 1 }
}

/// Tenants by their number, as often as Zipf's law has it (exponent 1), in an order that only looks random.
pub(crate) fn zipf(tenants: usize, requests: usize) -> impl Iterator<Item = usize> {
    let mut sums = Vec::with_capacity(tenants);
    let mut sum = 0.0;
    for rank in 1..=tenants {
        #[expect(clippy::cast_precision_loss, reason = "ranks are small")]
        let weight = 1.0 / rank as f64;
        sum += weight;
        sums.push(sum);
    }
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    (0..requests).map(move |_| {
        // xorshift64: the same order in every run.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        #[expect(clippy::cast_precision_loss, reason = "53 bits are kept")]
        let point = (state >> 11) as f64 / (1_u64 << 53) as f64 * sum;
        sums.partition_point(|sum| *sum < point).min(tenants - 1)
    })
}

use std::collections::HashMap;

use bulkhead_proto::pb::{
    envoy::{
        config::core::v3::{Address, HeaderMap, HeaderValue, Pipe, SocketAddress, address},
        service::auth::v3::{
            AttributeContext, CheckRequest,
            attribute_context::{HttpRequest, Peer, Request},
        },
    },
    google::protobuf::ListValue,
};

use super::*;

fn http(headers: &[(&str, &[u8])]) -> HttpRequest {
    let header = |(key, value): &(&str, &[u8])| HeaderValue { key: (*key).to_owned(), raw_value: value.to_vec(), ..HeaderValue::default() };
    HttpRequest {
        method: "GET".to_owned(),
        path: "/a?b=c?d".to_owned(),
        host: "gateway".to_owned(),
        header_map: Some(HeaderMap { headers: headers.iter().map(header).collect() }),
        ..HttpRequest::default()
    }
}

fn context_of(http: HttpRequest) -> AttributeContext {
    AttributeContext { request: Some(Request { http: Some(http), ..Request::default() }), ..AttributeContext::default() }
}

fn of(http: HttpRequest) -> Result<Attributes<'static>, Denial> {
    Attributes::of(CheckRequest { attributes: Some(context_of(http)) })
}

#[test]
fn what_is_missing_denies() {
    assert_eq!(Attributes::of(CheckRequest::default()).unwrap_err().reason, Reason::Unavailable);
    assert_eq!(Attributes::of(CheckRequest { attributes: Some(AttributeContext::default()) }).unwrap_err().reason, Reason::Unavailable);
    assert_eq!(of(HttpRequest { method: String::new(), ..http(&[]) }).unwrap_err().reason, Reason::Unavailable);
}

#[test]
fn path_and_query_are_taken_apart() {
    let attributes = of(http(&[])).unwrap();
    assert_eq!((attributes.path, attributes.query), ("/a", Some("b=c?d")));
    let attributes = of(HttpRequest { path: "/a".to_owned(), ..http(&[]) }).unwrap();
    assert_eq!((attributes.path, attributes.query), ("/a", None));
}

#[test]
fn s6_the_path_that_is_judged_is_the_one_that_is_forwarded() {
    assert!(of(http(&[(":path", b"/a?other=query")])).is_ok());
    assert_eq!(of(http(&[(":path", b"/b?b=c")])).unwrap_err().reason, Reason::BadPath);
    assert_eq!(of(http(&[(":path", b"/\xff")])).unwrap_err().reason, Reason::BadPath);
}

#[test]
fn both_forms_of_headers_are_read_and_duplicates_kept() {
    let mut request = http(&[("authorization", b"one"), ("authorization", b"two")]);
    request.headers.insert("Authorization".to_owned(), "three".to_owned());
    request.header_map.as_mut().unwrap().headers.push(HeaderValue {
        key: "x-api-key".to_owned(),
        value: "four".to_owned(),
        ..HeaderValue::default()
    });
    let headers = of(request).unwrap().headers;
    assert_eq!(headers.all("authorization").collect::<Vec<_>>(), [b"one".as_slice(), b"two", b"three"]);
    assert_eq!(headers.all("x-api-key").collect::<Vec<_>>(), [b"four".as_slice()]);
}

#[test]
fn too_many_headers_are_not_read() {
    let many = vec![("a", b"b".as_slice()); MAX_HEADERS + 1];
    assert_eq!(of(http(&many)).unwrap_err().reason, Reason::Unreadable);
}

#[test]
fn the_source_is_an_address_in_its_own_family() {
    let source = |address: address::Address| {
        let peer = Peer { address: Some(Address { address: Some(address) }), ..Peer::default() };
        let context = AttributeContext { source: Some(peer), ..context_of(http(&[])) };
        Attributes::of(CheckRequest { attributes: Some(context) }).unwrap().source.map(|ip| ip.to_string())
    };
    let socket = |address: &str| address::Address::SocketAddress(SocketAddress { address: address.to_owned(), ..SocketAddress::default() });
    assert_eq!(source(socket("192.0.2.7")).as_deref(), Some("192.0.2.7"));
    assert_eq!(source(socket("::ffff:192.0.2.7")).as_deref(), Some("192.0.2.7"));
    assert_eq!(source(socket("not an address")), None);
    assert_eq!(source(address::Address::Pipe(Pipe::default())), None);
}

#[test]
fn s13_the_namespaces_of_a_gateways_route_are_read_and_an_unreadable_one_is_nobodys() {
    let text = |text: &str| Value { kind: Some(Kind::StringValue(text.to_owned())) };
    let structure =
        |fields: Vec<(&str, Value)>| Struct { fields: fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect() };
    let route = |resources: Vec<Value>| {
        let list = Value { kind: Some(Kind::ListValue(ListValue { values: resources })) };
        let metadata = Metadata {
            filter_metadata: HashMap::from([(ENVOY_GATEWAY.to_owned(), structure(vec![("resources", list)]))]),
            ..Metadata::default()
        };
        let context = AttributeContext { route_metadata_context: Some(metadata), ..context_of(http(&[])) };
        Attributes::of(CheckRequest { attributes: Some(context) }).unwrap().route
    };
    let resource = structure(vec![("kind", text("HTTPRoute")), ("name", text("r")), ("namespace", text("tenant-acme"))]);
    let resource = Value { kind: Some(Kind::StructValue(resource)) };
    assert_eq!(route(vec![resource]), RouteOwner::Namespaces(vec!["tenant-acme".to_owned()]));
    assert_eq!(route(vec![text("?")]), RouteOwner::Namespaces(vec![String::new()]));
    assert_eq!(route(Vec::new()), RouteOwner::Namespaces(Vec::new()));
    assert_eq!(of(http(&[])).unwrap().route, RouteOwner::Unstated);
}

#[test]
fn s14_the_state_of_a_body_is_never_guessed() {
    let body = |headers: &[(&str, &[u8])], raw: &[u8], text: &str| {
        of(HttpRequest { raw_body: raw.to_vec(), body: text.to_owned(), ..http(headers) }).unwrap().body
    };
    assert_eq!(body(&[], b"", ""), Body::Absent);
    assert_eq!(body(&[("content-length", b"0")], b"", ""), Body::Absent);
    assert_eq!(body(&[("content-length", b"1")], b"", ""), Body::Unseen);
    assert_eq!(body(&[("content-length", b"0x")], b"", ""), Body::Unseen);
    assert_eq!(body(&[("transfer-encoding", b"chunked")], b"", ""), Body::Unseen);
    assert_eq!(body(&[(body::PARTIAL, b"false")], b"raw", "text"), Body::Whole(b"raw"));
    assert_eq!(body(&[], b"", "text"), Body::Whole(b"text"));
    assert_eq!(body(&[], b"", "te!xt"), Body::Doubtful(b"te!xt"), "it may have been another byte");
    assert_eq!(body(&[], b"te!xt", ""), Body::Whole(b"te!xt"));
    assert_eq!(body(&[(body::PARTIAL, b"true")], b"raw", ""), Body::Truncated);
    // A client's own `false` beside Envoy's `true` makes nothing whole.
    assert_eq!(body(&[(body::PARTIAL, b"false"), (body::PARTIAL, b"true")], b"raw", ""), Body::Truncated);
}

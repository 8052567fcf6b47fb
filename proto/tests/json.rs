//! Proto-JSON against messages that a real Envoy 1.40 sent (`wire-samples.jsonl`), and against its own rules.

#![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use bulkhead_proto::{
    json::{check, ratelimit},
    pb::{
        envoy::{
            config::core::v3::{HeaderValue, HeaderValueOption, address, socket_address::PortSpecifier},
            service::{
                auth::v3::{CheckResponse, DeniedHttpResponse, OkHttpResponse, check_response::HttpResponse},
                ratelimit::v3::{
                    RateLimitResponse,
                    rate_limit_response::{Code, DescriptorStatus, RateLimit, rate_limit::Unit},
                },
            },
            r#type::v3::{HttpStatus, RateLimitUnit},
        },
        google::{
            protobuf::{Duration, value::Kind},
            rpc::Status,
        },
    },
};
use serde_json::{Value, json};

fn sample(kind: &str) -> String {
    let lines = include_str!("wire-samples.jsonl").lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.into_iter().find(|line| line["k"] == kind).unwrap()["m"].to_string()
}

#[test]
fn a_check_request_of_a_real_envoy_is_read() {
    let attributes = check::read_request(&sample("authz")).unwrap().attributes.unwrap();
    let address::Address::SocketAddress(source) = attributes.source.unwrap().address.unwrap().address.unwrap() else {
        panic!("a socket address")
    };
    assert_eq!((source.address.as_str(), source.port_specifier), ("127.0.0.1", Some(PortSpecifier::PortValue(56392))));
    let request = attributes.request.unwrap();
    assert_eq!(request.time.map(|time| (time.seconds, time.nanos)), Some((1_795_301_741, 764_942_000)));
    let http = request.http.unwrap();
    assert_eq!((http.method.as_str(), http.path.as_str(), http.size), ("POST", "/v1/chat", 32));
    assert_eq!(http.raw_body, br#"{"m":"my ssn is 123-45-6789 ok"}"#);
    let headers = http.header_map.unwrap().headers;
    assert_eq!(headers.len(), 14);
    assert_eq!((headers[6].key.as_str(), headers[6].raw_value.as_slice()), ("authorization", b"Bearer abc".as_slice()));
    assert_eq!(attributes.context_extensions["route_kind"], "llm");
    let mcp = &attributes.metadata_context.unwrap().filter_metadata["envoy.filters.http.mcp"].fields;
    assert_eq!(mcp["is_mcp_request"].kind, Some(Kind::BoolValue(false)));
    assert!(attributes.tls_session.is_some() && attributes.route_metadata_context.is_some());
}

#[test]
fn a_rate_limit_request_of_a_real_envoy_is_read() {
    let request = ratelimit::read_request(&sample("rls")).unwrap();
    assert_eq!(request.domain, "tenancy");
    let first = &request.descriptors[0];
    assert_eq!((first.entries[1].key.as_str(), first.entries[1].value.as_str()), ("subscription", "gold"));
    assert_eq!(first.hits_addend.map(|hits| hits.value), Some(7));
    assert_eq!(first.limit.map(|limit| (limit.requests_per_unit, limit.unit)), Some((42, RateLimitUnit::Hour.into())));
}

#[test]
fn both_spellings_are_read_and_mean_the_same() {
    let snake = r#"{"attributes":{"request":{"http":{"raw_body":"-_8","header_map":{"headers":[{"key":"a","raw_value":"Yg"}]}}}}}"#;
    let camel = r#"{"attributes":{"request":{"http":{"rawBody":"+/8=","headerMap":{"headers":[{"key":"a","rawValue":"Yg=="}]}}}}}"#;
    assert_eq!(check::read_request(snake).unwrap(), check::read_request(camel).unwrap());
}

#[test]
fn integers_and_enums_are_read_in_each_form() {
    let read = |size: Value, protocol: Value| {
        let address = json!({"socketAddress": {"address": "::1", "protocol": protocol, "portValue": "8"}});
        check::read_request(
            &json!({"attributes": {"source": {"address": address}, "request": {"http": {"size": size, "method": null}}}}).to_string(),
        )
    };
    let one = read(json!("-1"), json!("UDP")).unwrap();
    assert_eq!(one, read(json!(-1), json!(1)).unwrap());
    assert_eq!(one, read(json!(-1.0), json!(1)).unwrap());
    assert_eq!(read(json!(1.5), json!(1)).unwrap_err().path, "attributes.request.http.size");
    assert_eq!(read(json!(1), json!("XYZ")).unwrap_err().path, "attributes.source.address.socketAddress.protocol");
}

#[test]
fn errors_say_where_and_quote_no_value() {
    let error = |text: &str| check::read_request(text).unwrap_err().to_string();
    assert_eq!(error("{\"attributes\": secret}"), "message: is not JSON (line 1, column 16)");
    assert_eq!(error("[]"), "message: must be an object");
    assert_eq!(error(r#"{"attributes":{"reqest":{}}}"#), "attributes.reqest: is not a field of this message");
    assert_eq!(error(r#"{"attributes":{"request":{"http":{"path":7}}}}"#), "attributes.request.http.path: must be text");
    assert_eq!(
        error(r#"{"attributes":{"request":{"http":{"rawBody":"","raw_body":""}}}}"#),
        "attributes.request.http.raw_body: stands here twice, once in each spelling"
    );
    assert_eq!(
        error(r#"{"attributes":{"request":{"http":{"headerMap":{"headers":[{"rawValue":"*"}]}}}}}"#),
        "attributes.request.http.headerMap.headers[0].rawValue: must be base64 text"
    );
    assert_eq!(error(r#"{"attributes":{"request":{"time":"yesterday"}}}"#), "attributes.request.time: must be a time of RFC 3339");
}

#[test]
fn a_check_response_is_written_in_canonical_form() {
    let header = HeaderValueOption {
        header: Some(HeaderValue { key: "allow".to_owned(), value: "GET".to_owned(), ..HeaderValue::default() }),
        append_action: 2,
        ..HeaderValueOption::default()
    };
    let denied = CheckResponse {
        status: Some(Status { code: 7, ..Status::default() }),
        dynamic_metadata: Some(bulkhead_proto::pb::google::protobuf::Struct {
            fields: [("cost".to_owned(), bulkhead_proto::pb::google::protobuf::Value { kind: Some(Kind::NumberValue(1.0)) })].into(),
        }),
        http_response: Some(HttpResponse::DeniedResponse(DeniedHttpResponse {
            status: Some(HttpStatus { code: 508 }),
            headers: vec![header],
            body: "{}".to_owned(),
        })),
    };
    assert_eq!(
        check::write_response(&denied),
        json!({
            "status": {"code": 7},
            "dynamicMetadata": {"cost": 1},
            "deniedResponse": {
                "status": {"code": "LoopDetected"},
                "headers": [{"header": {"key": "allow", "value": "GET"}, "appendAction": "OVERWRITE_IF_EXISTS_OR_ADD"}],
                "body": "{}"
            }
        })
    );
    let ok = OkHttpResponse { headers_to_remove: vec!["authorization".to_owned()], ..OkHttpResponse::default() };
    let allowed =
        CheckResponse { status: Some(Status::default()), http_response: Some(HttpResponse::OkResponse(ok)), ..CheckResponse::default() };
    assert_eq!(check::write_response(&allowed), json!({"status": {}, "okResponse": {"headersToRemove": ["authorization"]}}));
}

#[test]
fn a_rate_limit_response_is_written_in_canonical_form() {
    let response = RateLimitResponse {
        overall_code: Code::OverLimit.into(),
        statuses: vec![DescriptorStatus {
            code: Code::OverLimit.into(),
            current_limit: Some(RateLimit { name: "tenant".to_owned(), requests_per_unit: 10, unit: Unit::Minute.into() }),
            duration_until_reset: Some(Duration { seconds: 1, nanos: 500_000_000 }),
            ..DescriptorStatus::default()
        }],
        raw_body: b"{}".to_vec(),
        ..RateLimitResponse::default()
    };
    assert_eq!(
        ratelimit::write_response(&response),
        json!({
            "overallCode": "OVER_LIMIT",
            "statuses": [{
                "code": "OVER_LIMIT",
                "currentLimit": {"name": "tenant", "requestsPerUnit": 10, "unit": "MINUTE"},
                "durationUntilReset": "1.500s"
            }],
            "rawBody": "e30="
        })
    );
}

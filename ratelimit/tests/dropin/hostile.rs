//! Every RateLimitRequest that can be decoded gets an answer or a clear status, in both domains, and the process outlives them all.

use bulkhead_proto::pb::{
    envoy::{
        extensions::common::ratelimit::v3::{
            RateLimitDescriptor,
            rate_limit_descriptor::{Entry, RateLimitOverride},
        },
        service::ratelimit::v3::{RateLimitRequest, rate_limit_response::Code},
    },
    google::protobuf::UInt64Value,
};
use proptest::{prelude::*, test_runner::TestRunner};
use prost::Message as _;
use tempfile::TempDir;

use crate::{
    case::{call, told},
    standing_in::StandIn,
};

const RULES: &str = "domain: d
descriptors:
- { key: k, detailed_metric: true, rate_limit: { unit: second, requests_per_unit: 3 } }
- { key: k, value: 'pre*', shadow_mode: true, rate_limit: { unit: day, requests_per_unit: 0 } }
- { key: q, quota_mode: true, rate_limit: { unit: hour, requests_per_unit: 4294967295 } }
- { key: u, rate_limit: { unlimited: true } }
- { key: tenant, value_to_metric: true, descriptors: [{ key: subscription, rate_limit: { unit: week, requests_per_unit: 1 } }] }
";

const PLATFORM: &str = "
apiVersion: gostoa.dev/v1alpha1
kind: Platform
metadata: { name: platform }
spec:
  issuerTemplate: https://auth.gostoa.dev/realms/tenant-{tenant}
  addressing: { path: \"/{tenant}/{api}\" }
  rateLimit: { requestsPerMinute: 600 }
";

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => prop_oneof![Just("k"), Just("q"), Just("u"), Just("tenant"), Just("subscription"), Just("api"), Just("decision"), Just("prefix"), Just("")]
            .prop_map(str::to_owned),
        2 => any::<String>(),
        1 => (0_usize..20_000).prop_map(|length| "x".repeat(length)),
    ]
}

fn descriptor() -> impl Strategy<Value = RateLimitDescriptor> {
    let entries = prop::collection::vec((text(), text()).prop_map(|(key, value)| Entry { key, value }), 0..5);
    let limit = prop::option::weighted(0.3, (any::<u32>(), prop_oneof![0..9, any::<i32>()]));
    let hits = prop::option::of(prop_oneof![Just(0), Just(1), Just(u64::MAX), any::<u64>()]);
    (entries, limit, hits, prop::bool::weighted(0.05)).prop_map(|(entries, limit, hits, is_negative_hits)| RateLimitDescriptor {
        entries,
        limit: limit.map(|(requests_per_unit, unit)| RateLimitOverride { requests_per_unit, unit }),
        hits_addend: hits.map(|value| UInt64Value { value }),
        is_negative_hits,
    })
}

fn request() -> impl Strategy<Value = RateLimitRequest> {
    let domain = prop_oneof![4 => Just("d".to_owned()), 3 => Just("bulkhead".to_owned()), 1 => text()];
    let descriptors = prop_oneof![
        8 => prop::collection::vec(descriptor(), 0..8),
        1 => (descriptor(), 0_usize..3_000).prop_map(|(one, times)| vec![one; times]),
    ];
    (domain, descriptors, prop_oneof![Just(0), Just(1), Just(u32::MAX), any::<u32>()])
        .prop_map(|(domain, descriptors, hits_addend)| RateLimitRequest { domain, descriptors, hits_addend })
}

/// Any bytes that happen to be a request.
fn decoded() -> impl Strategy<Value = RateLimitRequest> {
    prop::collection::vec(any::<u8>(), 0..200).prop_filter_map("no message", |bytes| RateLimitRequest::decode(bytes.as_slice()).ok())
}

#[test]
fn every_request_gets_an_answer_or_a_clear_status() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let tenants = TempDir::new().unwrap();
    std::fs::write(tenants.path().join("platform.yaml"), PLATFORM).unwrap();
    let flags = ["--store", "memory", "--config", tenants.path().to_str().unwrap()];
    for variables in [&[("LOCAL_CACHE_SIZE_IN_BYTES", "100000")][..], &[("STOP_CACHE_KEY_INCREMENT_WHEN_OVERLIMIT", "true")]] {
        let service = runtime.block_on(StandIn::start_with(variables, &[("d.yaml", RULES)], &flags));
        let client = runtime.block_on(service.client());
        let mut runner = TestRunner::new(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() });
        let ask = |request: RateLimitRequest| {
            // Without descriptors the domain `bulkhead` still charges one bucket (S9), and says how it stands.
            let descriptors = request.descriptors.len().max(usize::from(request.domain == "bulkhead"));
            match runtime.block_on(client.clone().should_rate_limit(request)) {
                Ok(answer) => {
                    let answer = answer.into_inner();
                    prop_assert!(matches!(answer.overall_code(), Code::Ok | Code::OverLimit), "Envoy lets UNKNOWN through");
                    prop_assert!(answer.statuses.iter().all(|status| status.code() != Code::Unknown));
                    prop_assert!(answer.statuses.len() == descriptors);
                }
                Err(status) => {
                    // A word of its own for each: what is no call, what no answer fits, what is too large.
                    use tonic::Code::{InvalidArgument, OutOfRange, ResourceExhausted, Unknown};
                    prop_assert!(matches!(status.code(), Unknown | InvalidArgument | OutOfRange | ResourceExhausted), "{status}");
                    prop_assert!(!status.message().is_empty() && !status.message().contains("transport"), "{status}");
                }
            }
            Ok(())
        };
        runner.run(&request(), ask).unwrap();
        runner.run(&decoded(), ask).unwrap();
        let log = service.process.log();
        assert!(!log.contains("panicked"), "{log}");
        assert_eq!(told(&runtime.block_on(service.ask(call("d: u=still"))).unwrap()), "ok max");
    }
}

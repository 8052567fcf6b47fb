//! Memory under a flood of descriptors that never come twice. `BULKHEAD_FLOOD=1000000` makes it a larger one, and `--nocapture` shows the figures.

use std::fs;

use bulkhead_proto::pb::envoy::{
    extensions::common::ratelimit::v3::{RateLimitDescriptor, rate_limit_descriptor::Entry},
    service::ratelimit::v3::RateLimitRequest,
};
use bulkhead_tests::{client::Request, valkey::Valkey};

use crate::standing_in::StandIn;

/// Descriptors of one call.
const CALL: usize = 1_000;

/// Every one is over its limit at once, has a name of its own in the statistics, and goes into the local cache.
const RULES: &str = "domain: d
descriptors:
- { key: k, detailed_metric: true, rate_limit: { unit: day, requests_per_unit: 0 } }
- { key: passes, rate_limit: { unit: second, requests_per_unit: 1 } }
";

fn descriptors() -> usize {
    std::env::var("BULKHEAD_FLOOD").ok().map_or(150_000, |text| text.parse().unwrap())
}

/// The resident memory of a process, in kilobytes.
fn resident(id: u32) -> usize {
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Sends so many descriptors of one key, each with a value of its own; gives by how many kilobytes the process grew.
async fn flood(service: &StandIn, key: &str, name: &str) -> usize {
    let mut client = service.client().await;
    let mut before = 0;
    for call in 0..descriptors().div_ceil(CALL) {
        let one = |number: usize| RateLimitDescriptor {
            entries: vec![Entry { key: key.to_owned(), value: format!("10.20.{call}.{number}-and-what-a-caller-puts-behind-it") }],
            ..RateLimitDescriptor::default()
        };
        let request = RateLimitRequest { domain: "d".to_owned(), descriptors: (0..CALL).map(one).collect(), hits_addend: 0 };
        client.should_rate_limit(request).await.unwrap();
        if call == 0 {
            before = resident(service.process.id());
        }
    }
    let grown = resident(service.process.id()).saturating_sub(before);
    println!("{name}: {} distinct descriptors, {before} kB at first, {grown} kB more after", descriptors());
    grown
}

#[tokio::test]
async fn a_flood_of_distinct_descriptors_stays_bounded() {
    let valkey = Valkey::start().await;
    let url = valkey.url();
    let variables = [("REDIS_SOCKET_TYPE", "tcp"), ("REDIS_URL", url.as_str()), ("LOCAL_CACHE_SIZE_IN_BYTES", "4000000")];
    let service = StandIn::start(&variables, &[("d.yaml", RULES)]).await;
    let grown = flood(&service, "k", "valkey, local cache of 4 MB, detailed metrics").await;
    // The cache's 4 MB, the statistics' 10,000 keys, and what an allocator keeps: between 30 and 60 MB, whether 50,000 came or 300,000.
    assert!(grown < 96 * 1024, "it grew by {grown} kB");
    let lines = Request::get("/stats").send(service.debug).await.text().lines().count();
    assert!(lines < 10_010 * 6 + 20, "{lines} lines");
}

#[tokio::test]
async fn in_memory_windows_that_ended_are_forgotten() {
    let service = StandIn::in_memory(&[], RULES).await;
    let grown = flood(&service, "passes", "memory, windows of a second").await;
    // What a second brings and a sweep has not yet taken; never all of a longer flood.
    assert!(grown < 256 * 1024, "it grew by {grown} kB");
}

//! Memory under a flood of names that never come twice, through the binary. `BULKHEAD_FLOOD=1000000` makes it a larger one, and `--nocapture`
//! shows the figures.

use std::fs;

use bulkhead_proto::pb::envoy::service::ratelimit::v3::{RateLimitRequest, rate_limit_service_client::RateLimitServiceClient};
use bulkhead_tests::{client::Request, deadline, process::Process};
use serde_json::Value;
use tonic::transport::Channel;

use crate::world::{PLATFORM, TENANTS, descriptor};

/// Descriptors of one call: the most that there may be.
const CALL: usize = 12;

fn names() -> usize {
    std::env::var("BULKHEAD_FLOOD").ok().map_or(24_000, |text| text.parse().unwrap())
}

/// The resident memory of a process, in kilobytes.
fn resident(id: u32) -> usize {
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[tokio::test]
async fn s12_a_flood_of_names_that_nobody_knows_stays_bounded() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("platform.yaml"), [PLATFORM, TENANTS].join("---")).unwrap();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_bulkhead-ratelimit"));
    command.args(["--store", "memory", "--grpc", "127.0.0.1:0", "--health", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
    command.arg("--config").arg(folder.path());
    let service = Process::spawn("bulkhead-ratelimit", &mut command, folder.path());
    let listening = deadline::until("it to listen", deadline::PATIENCE, || {
        let lines = service.log();
        let line = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()).find(|line| line["message"] == "listening");
        std::future::ready(line)
    })
    .await;
    let door = |name: &str| listening[name].as_str().unwrap().to_owned();
    let channel = Channel::from_shared(format!("http://{}", door("door.grpc"))).unwrap().connect().await.unwrap();
    let mut client = RateLimitServiceClient::new(channel);

    let mut before = 0;
    for call in 0..names().div_ceil(CALL) {
        let one = |place: usize| {
            let name = format!("n-{call}-{place}-and-what-a-caller-puts-behind-it");
            // Unknown tenants, and unknown subscriptions and APIs of a known one.
            if place.is_multiple_of(2) { descriptor(&name, &name, &name) } else { descriptor("acme", &name, &name) }
        };
        let descriptors = (0..CALL).map(one).collect();
        client.should_rate_limit(RateLimitRequest { domain: "bulkhead".into(), descriptors, hits_addend: 0 }).await.unwrap();
        if call == 100 {
            before = resident(service.id());
        }
    }
    let grown = resident(service.id()).saturating_sub(before);
    let address = door("door.health").replace("0.0.0.0", "127.0.0.1").parse().unwrap();
    let metrics = Request::get("/metrics").send(address).await.text();
    println!("{} names in threes, {before} kB at first, {grown} kB more after, {} lines of metrics", names(), metrics.lines().count());
    assert!(grown < 24 * 1024, "it grew by {grown} kB");
    assert!(metrics.lines().count() < 300 && !metrics.contains("what-a-caller-puts"), "{metrics}");
}

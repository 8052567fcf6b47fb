//! How long a large configuration takes to load, how much memory it takes, and how long an edit takes until it is decided upon.

use std::{
    fs,
    time::{Duration, Instant},
};

use bulkhead_proto::pb::envoy::service::auth::v3::{
    CheckResponse, authorization_client::AuthorizationClient, check_response::HttpResponse,
};
use bulkhead_tests::{scale::Scale, service::Service};
use tempfile::TempDir;

use crate::calls;

/// What was measured.
pub(crate) struct Loading {
    /// From the start of the process until it is ready.
    pub(crate) start: Duration,
    /// Resident memory when it is ready, in MB, and at its highest.
    pub(crate) resident_mb: u64,
    pub(crate) peak_mb: u64,
    /// From the rename of an edited contract until a Check is decided by it, one for each edit, sorted.
    pub(crate) edits: Vec<Duration>,
    /// From the rename of the operator's resource that suspends a tenant until its requests are refused, sorted.
    pub(crate) suspensions: Vec<Duration>,
}

/// How many edits are measured.
const EDITS: usize = 20;

/// Measures ext-authz, which holds all of it.
pub(crate) async fn measure(scale: &Scale) -> Loading {
    let config = TempDir::new().expect("a temporary directory");
    scale.write(config.path()).expect("a writable directory");
    let start = Instant::now();
    let service = Service::ext_authz(config.path(), &[]).await;
    let start = start.elapsed();
    let (resident_mb, peak_mb) = memory(service.id());

    let mut client = AuthorizationClient::connect(format!("http://{}", service.grpc())).await.expect("it listens");
    let mut changes = [Vec::with_capacity(EDITS), Vec::with_capacity(EDITS)];
    for edit in 0..EDITS {
        let tenant = edit * 37 % scale.tenants;
        let request = calls::check(&format!("/{}/api-0/x", Scale::tenant(tenant)), &[("x-api-key", &Scale::api_key(tenant, 0))]);
        let wanted = format!("/v{}/x", edit + 2);
        let contract = (Scale::contract_path(config.path(), tenant), scale.contract(tenant, edit + 2));
        let suspension = (Scale::tenant_path(config.path(), tenant), scale.tenant_file(tenant) + "  status: suspended\n");
        for (which, (path, text)) in [contract, suspension].into_iter().enumerate() {
            let next = path.with_extension("next");
            fs::write(&next, text).expect("a writable directory");
            fs::rename(&next, &path).expect("a writable directory");
            let renamed = Instant::now();
            loop {
                let answer = client.check(request.clone()).await.expect("it answers").into_inner();
                if if which == 0 { path_of(&answer) == Some(&wanted) } else { path_of(&answer).is_none() } {
                    break;
                }
                // Asking without a pause would take the processor from what is measured.
                tokio::time::sleep(Duration::from_millis(1)).await;
                assert!(renamed.elapsed() < Duration::from_secs(30), "the edit of {} was never decided upon", path.display());
            }
            changes[which].push(renamed.elapsed());
        }
    }
    for times in &mut changes {
        times.sort_unstable();
    }
    let [edits, suspensions] = changes;
    Loading { start, resident_mb, peak_mb, edits, suspensions }
}

/// The path that an allow sends on.
fn path_of(answer: &CheckResponse) -> Option<&str> {
    let Some(HttpResponse::OkResponse(ok)) = &answer.http_response else { return None };
    ok.headers.iter().filter_map(|option| option.header.as_ref()).find(|header| header.key == ":path").map(|header| header.value.as_str())
}

/// Resident memory of a process now and at its highest, in MB.
fn memory(process: u32) -> (u64, u64) {
    (memory_kb(process) / 1024, status_kb(process, "VmHWM:") / 1024)
}

/// Resident memory of a process, in KiB.
pub(crate) fn memory_kb(process: u32) -> u64 {
    status_kb(process, "VmRSS:")
}

/// What Linux says of a process.
fn status_kb(process: u32, field: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("Linux tells of processes");
    let line = status.lines().find(|line| line.starts_with(field));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok()).unwrap_or(0)
}

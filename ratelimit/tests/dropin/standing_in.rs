//! The binary as envoyproxy/ratelimit's users start it: by environment variables alone.

use std::{net::SocketAddr, path::Path, process::Command};

use bulkhead_proto::pb::envoy::service::ratelimit::v3::{
    RateLimitRequest, RateLimitResponse, rate_limit_service_client::RateLimitServiceClient,
};
use bulkhead_tests::{
    client::Request,
    deadline::{self, PATIENCE},
    process::Process,
};
use serde_json::Value;
use tempfile::TempDir;
use tonic::{Status, transport::Channel};

/// A running drop-in on free ports, with its rules below RUNTIME_ROOT/ratelimit/config.
pub(crate) struct StandIn {
    pub(crate) process: Process,
    pub(crate) http: SocketAddr,
    pub(crate) debug: SocketAddr,
    pub(crate) grpc: SocketAddr,
    pub(crate) prometheus: Option<SocketAddr>,
    directory: TempDir,
}

impl StandIn {
    /// Starts it with these variables beside the ones every test needs, and these rules (files by name); waits until it listens.
    pub(crate) async fn start(variables: &[(&str, &str)], rules: &[(&str, &str)]) -> Self {
        Self::start_with(variables, rules, &[]).await
    }

    /// The same, in memory.
    pub(crate) async fn in_memory(variables: &[(&str, &str)], rules: &str) -> Self {
        Self::start_with(variables, &[("rules.yaml", rules)], &["--store", "memory"]).await
    }

    /// The same with flags.
    pub(crate) async fn start_with(variables: &[(&str, &str)], rules: &[(&str, &str)], flags: &[&str]) -> Self {
        let directory = TempDir::new().unwrap();
        let config = directory.path().join("ratelimit/config");
        std::fs::create_dir_all(&config).unwrap();
        for (name, text) in rules {
            std::fs::write(config.join(name), text).unwrap();
        }
        let mut process = spawn(directory.path(), variables, flags);
        let said = |process: &Process, what: &str| {
            let line =
                process.log().lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()).find(|line| line["message"] == what);
            std::future::ready(line)
        };
        let ports = deadline::until("the ports", PATIENCE, || {
            assert!(process.ended().is_none(), "it ended:\n{}", process.log());
            said(&process, "listening as envoyproxy/ratelimit")
        })
        .await;
        let doors = deadline::until("the doors", PATIENCE, || said(&process, "listening")).await;
        let address = |line: &Value, name: &str| line[name].as_str().and_then(|text| text.parse().ok());
        Self {
            http: address(&ports, "port.http").unwrap(),
            debug: address(&ports, "port.debug").unwrap(),
            prometheus: address(&ports, "port.prometheus"),
            grpc: address(&doors, "door.grpc").unwrap_or_else(|| SocketAddr::from(([0; 4], 0))),
            process,
            directory,
        }
    }

    /// RUNTIME_ROOT.
    pub(crate) fn root(&self) -> &Path {
        self.directory.path()
    }

    /// Replaces a file of rules by a rename, as editors and deployments do.
    pub(crate) fn write(&self, file: &str, text: &str) {
        let config = self.root().join("ratelimit/config");
        let new = self.root().join("new");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(&new, config.join(file)).unwrap();
    }

    pub(crate) async fn client(&self) -> RateLimitServiceClient<Channel> {
        let channel = Channel::from_shared(format!("http://{}", self.grpc)).unwrap().connect().await.unwrap();
        RateLimitServiceClient::new(channel)
    }

    pub(crate) async fn ask(&self, request: RateLimitRequest) -> Result<RateLimitResponse, Status> {
        self.client().await.should_rate_limit(request).await.map(tonic::Response::into_inner)
    }

    /// A counter of `/stats`; 0 where it is not there.
    pub(crate) async fn stat(&self, name: &str) -> u64 {
        let text = Request::get("/stats").send(self.debug).await.text();
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")?.parse().ok());
        value.unwrap_or(0)
    }

    pub(crate) async fn rlconfig(&self) -> String {
        Request::get("/rlconfig").send(self.debug).await.text()
    }

    /// Waits until a counter has a value.
    pub(crate) async fn until_stat(&self, name: &str, value: u64) {
        deadline::until(&format!("{name} to be {value}"), PATIENCE, || async { (self.stat(name).await == value).then_some(()) }).await;
    }
}

/// Starts the binary with nothing of this process's environment.
pub(crate) fn spawn(root: &Path, variables: &[(&str, &str)], flags: &[&str]) -> Process {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bulkhead-ratelimit"));
    command.env_clear().args(flags);
    for (name, value) in [
        ("RUNTIME_SUBDIRECTORY", "ratelimit"),
        ("HOST", "127.0.0.1"),
        ("PORT", "0"),
        ("DEBUG_HOST", "127.0.0.1"),
        ("DEBUG_PORT", "0"),
        ("GRPC_HOST", "127.0.0.1"),
        ("GRPC_PORT", "0"),
        ("PROMETHEUS_ADDR", "127.0.0.1:0"),
        ("USE_STATSD", "false"),
        ("LOG_LEVEL", "info"),
        ("LOG_FORMAT", "json"),
        ("BULKHEAD_RATELIMIT_HEALTH", "127.0.0.1:0"),
        ("BULKHEAD_RATELIMIT_ADMIN", "127.0.0.1:0"),
        ("BULKHEAD_RATELIMIT_DRAIN_DELAY", "0ms"),
    ] {
        command.env(name, value);
    }
    command.env("RUNTIME_ROOT", root);
    command.envs(variables.iter().copied());
    Process::spawn("bulkhead-ratelimit", &mut command, root)
}

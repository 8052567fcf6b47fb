//! The service as the process that an operator runs.

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
};

const PLATFORM: &str = "
apiVersion: gostoa.dev/v1alpha1
kind: Platform
metadata: { name: platform }
spec:
  issuerTemplate: https://auth.gostoa.dev/realms/tenant-{tenant}
  addressing: { path: \"/{tenant}/{api}\" }
  rateLimit: { requestsPerMinute: 600 }
";

#[test]
fn a_log_collector_that_went_away_takes_nothing_with_it() {
    let config = tempfile::tempdir().unwrap();
    std::fs::write(config.path().join("platform.yaml"), PLATFORM).unwrap();
    let mut service = Command::new(env!("CARGO_BIN_EXE_bulkhead-ratelimit"))
        .args(["--store", "memory", "--grpc", "127.0.0.1:0", "--health", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--drain-delay", "0ms"])
        .arg("--config")
        .arg(config.path())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = BufReader::new(service.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("listening") {
        line.clear();
        assert!(log.read_line(&mut line).unwrap() > 0, "it ended before it listened");
    }
    drop(log);
    // What it logs from now on cannot be written.
    assert!(Command::new("kill").arg("-TERM").arg(service.id().to_string()).status().unwrap().success());
    assert_eq!(service.wait().unwrap().code(), Some(0));
}

//! A primary, a replica, and three sentinels that watch over them.

use std::{net::SocketAddr, process::Command};

use tempfile::TempDir;

use super::{Valkey, try_ask};
use crate::{deadline, parts, port::free_address, process::Process};

/// The name that the sentinels know the primary by.
pub const PRIMARY: &str = "buckets";

/// The five processes.
pub struct Sentinel {
    /// The two servers: the first began as the primary.
    pub servers: [Valkey; 2],
    sentinels: Vec<(SocketAddr, Process)>,
    _directory: TempDir,
}

impl Sentinel {
    /// Starts them, and waits until the replica follows and every sentinel knows both others and the replica.
    ///
    /// # Panics
    /// Where they cannot be started.
    pub async fn start() -> Self {
        let first = Valkey::with(&["--repl-ping-replica-period", "1"]).await;
        let port = first.address().port().to_string();
        let second = Valkey::with(&["--replicaof", "127.0.0.1", &port, "--repl-ping-replica-period", "1"]).await;
        let directory = TempDir::new().expect("a temporary directory");
        let sentinels = (0..3).map(|number| sentinel(number, first.address(), &directory)).collect();
        let all = Self { servers: [first, second], sentinels, _directory: directory };
        deadline::until("the replica to follow", deadline::PATIENCE, || async {
            let told: String = all.servers[1].try_ask(&["INFO", "replication"]).await.ok()?;
            told.contains("master_link_status:up").then_some(())
        })
        .await;
        for (address, _) in &all.sentinels {
            deadline::until("a sentinel to know all", deadline::PATIENCE, || async {
                let url = format!("redis://{address}");
                let told: String = try_ask(&url, &["INFO", "sentinel"]).await.ok()?;
                told.contains("slaves=1,sentinels=3").then_some(())
            })
            .await;
        }
        all
    }

    /// `redis-sentinel://...`
    #[must_use]
    pub fn url(&self) -> String {
        let hosts: Vec<String> = self.sentinels.iter().map(|(address, _)| address.to_string()).collect();
        format!("redis-sentinel://{}/{PRIMARY}", hosts.join(","))
    }

    /// Kills one of the three sentinels.
    pub fn kill_sentinel(&mut self, number: usize) {
        self.sentinels[number].1.kill();
    }

    /// Waits until a server says that it is the primary.
    pub async fn until_primary(&self, number: usize) {
        deadline::until("the replica to be promoted", deadline::PATIENCE, || async {
            let told: String = self.servers[number].try_ask(&["INFO", "replication"]).await.ok()?;
            told.contains("role:master").then_some(())
        })
        .await;
    }
}

fn sentinel(number: usize, primary: SocketAddr, directory: &TempDir) -> (SocketAddr, Process) {
    let address = free_address();
    let file = directory.path().join(format!("sentinel-{number}.conf"));
    let lines = [
        format!("port {}", address.port()),
        "bind 127.0.0.1".to_owned(),
        format!("dir {}", directory.path().display()),
        format!("sentinel monitor {PRIMARY} 127.0.0.1 {} 2", primary.port()),
        format!("sentinel down-after-milliseconds {PRIMARY} 600"),
        format!("sentinel failover-timeout {PRIMARY} 5000"),
    ];
    std::fs::write(&file, lines.join("\n") + "\n").expect("a writable directory");
    let mut command = Command::new(parts::valkey());
    command.arg(&file).arg("--sentinel");
    (address, Process::spawn(&format!("sentinel-{number}"), &mut command, directory.path()))
}

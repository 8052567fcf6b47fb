//! The real Envoy.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    process::Command,
};

use serde_json::Value;
use tempfile::TempDir;

use crate::{client::Request, parts, process::Process};

pub mod chain;
pub mod shipped;

/// A running Envoy that is ready: its services passed their first health check, or failed it.
pub struct Envoy {
    process: Process,
    admin: SocketAddr,
    listeners: BTreeMap<String, SocketAddr>,
    _directory: TempDir,
}

impl Envoy {
    /// Starts Envoy with a bootstrap whose listeners and admin have port 0 ([`shipped`] and [`chain`] make such).
    ///
    /// # Panics
    /// Where it does not become ready.
    pub async fn start(bootstrap: &Value) -> Self {
        let directory = TempDir::new().expect("a temporary directory");
        let file = directory.path().join("envoy.json");
        std::fs::write(&file, bootstrap.to_string()).expect("a writable directory");
        let told = directory.path().join("admin");
        let mut command = Command::new(parts::envoy());
        command.arg("-c").arg(&file).arg("--admin-address-path").arg(&told);
        command.args(["--concurrency", "2", "--disable-hot-restart", "--log-level", "warning"]);
        let mut process = Process::spawn("envoy", &mut command, directory.path());
        let admin = process
            .until("Envoy tells its admin address", || {
                std::future::ready(std::fs::read_to_string(&told).ok().and_then(|text| text.trim().parse::<SocketAddr>().ok()))
            })
            .await;
        process.until("Envoy is ready", || async move { (Request::get("/ready").send(admin).await.status == 200).then_some(()) }).await;
        let listeners = listeners(&Request::get("/listeners?format=json").send(admin).await.json());
        Self { process, admin, listeners, _directory: directory }
    }

    /// Checks a file as it is shipped, with `envoy --mode validate`.
    ///
    /// # Errors
    /// What Envoy says against it.
    pub fn validate(file: &Path) -> Result<(), String> {
        let output = Command::new(parts::envoy()).args(["--mode", "validate", "--log-level", "warning", "-c"]).arg(file).output();
        let output = output.map_err(|error| error.to_string())?;
        if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
    }

    /// Where the one listener (or the first by name) takes requests.
    ///
    /// # Panics
    /// Where there is no listener.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        *self.listeners.values().next().expect("a listener")
    }

    /// The admin port.
    #[must_use]
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// A counter or gauge; 0 where Envoy has none of that name.
    pub async fn stat(&self, name: &str) -> u64 {
        let stats = Request::get(&format!("/stats?format=json&filter=^{name}$")).send(self.admin).await.json();
        let found = stats["stats"].as_array().into_iter().flatten().find(|stat| stat["name"] == name);
        found.and_then(|stat| stat["value"].as_u64()).unwrap_or_default()
    }

    /// What Envoy printed: its warnings and its access log.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.log()
    }
}

fn listeners(answer: &Value) -> BTreeMap<String, SocketAddr> {
    let statuses = answer["listener_statuses"].as_array().cloned().unwrap_or_default();
    statuses
        .iter()
        .filter_map(|status| {
            let port = status["local_address"]["socket_address"]["port_value"].as_u64()?;
            Some((status["name"].as_str()?.to_owned(), SocketAddr::from((Ipv4Addr::LOCALHOST, u16::try_from(port).ok()?))))
        })
        .collect()
}

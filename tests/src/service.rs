//! The two services, as the processes that an operator would run.

use std::{net::SocketAddr, path::Path, process::Command, process::ExitStatus};

use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::{
    client::{Answer, Request},
    deadline, parts,
    process::Process,
};

/// The operator's token of the admin doors.
pub const ADMIN_TOKEN: &str = "an-operator-of-the-tests";

/// A running service, with all its doors on free loopback ports.
pub struct Service {
    process: Process,
    binary: &'static str,
    arguments: Vec<String>,
    doors: Doors,
    directory: TempDir,
}

/// Where it listens.
#[derive(Debug, Clone, Copy)]
struct Doors {
    /// None where the arguments name a door of their own: a unix socket.
    grpc: Option<SocketAddr>,
    health: SocketAddr,
    admin: SocketAddr,
}

impl Service {
    /// `bulkhead-ext-authz`, with more arguments of a test's own; ready.
    pub async fn ext_authz(config: &Path, arguments: &[&str]) -> Self {
        Self::start("bulkhead-ext-authz", config, arguments).await
    }

    /// `bulkhead-ratelimit` with a store (`memory`, or a URL); ready.
    pub async fn ratelimit(config: &Path, store: &str, arguments: &[&str]) -> Self {
        Self::start("bulkhead-ratelimit", config, &[&["--store", store], arguments].concat()).await
    }

    async fn start(binary: &'static str, config: &Path, arguments: &[&str]) -> Self {
        let directory = TempDir::new().expect("a temporary directory");
        let token = directory.path().join("admin-token");
        std::fs::write(&token, ADMIN_TOKEN).expect("a writable directory");
        let mut all = vec!["serve".to_owned(), "--config".to_owned(), config.display().to_string()];
        all.extend(["--admin-token-file".to_owned(), token.display().to_string(), "--drain-delay".to_owned(), "0ms".to_owned()]);
        all.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let grpc = if arguments.contains(&"--grpc") { None } else { Some(any) };
        let mut process = spawn(binary, &all, Doors { grpc, health: any, admin: any }, &directory);
        let log = directory.path().join(format!("{binary}.log"));
        let doors = process.until("it tells where it listens", || std::future::ready(listening(&log))).await;
        let mut service = Self { process, binary, arguments: all, doors, directory };
        service.ready().await;
        service
    }

    /// The gRPC door: what Envoy calls.
    ///
    /// # Panics
    /// Where its arguments (`--grpc`) put that door on a unix socket.
    #[must_use]
    pub fn grpc(&self) -> SocketAddr {
        self.doors.grpc.expect("a gRPC door on TCP")
    }

    /// The health door: `/healthz`, `/readyz`, `/metrics`.
    #[must_use]
    pub fn health(&self) -> SocketAddr {
        self.doors.health
    }

    /// The admin door.
    #[must_use]
    pub fn admin(&self) -> SocketAddr {
        self.doors.admin
    }

    /// A page of the admin door, with the operator's token.
    pub async fn admin_page(&self, path: &str) -> Answer {
        Request::get(path).bearer(ADMIN_TOKEN).send(self.doors.admin).await
    }

    /// A request to the admin door, with the operator's token.
    pub async fn admin_request(&self, request: Request) -> Answer {
        request.bearer(ADMIN_TOKEN).send(self.doors.admin).await
    }

    /// `/snapshot` of the admin door.
    pub async fn snapshot(&self) -> Value {
        self.admin_page("/snapshot").await.json()
    }

    /// What `/snapshot` says of a tenant: `ready`, `last_good` or `unavailable`; none where it knows no such tenant.
    pub async fn tenant_state(&self, tenant: &str) -> Option<String> {
        let snapshot = self.snapshot().await;
        let found = snapshot["tenants"].as_array()?.iter().find(|state| state["tenant"] == tenant)?;
        Some(found["state"].as_str()?.to_owned())
    }

    /// Waits until `/snapshot` says so of a tenant.
    ///
    /// # Panics
    /// Where it never does.
    pub async fn until_tenant(&self, tenant: &str, state: &str) {
        let what = format!("{} to say that {tenant} is {state}", self.binary);
        deadline::until(&what, deadline::PATIENCE, || async { (self.tenant_state(tenant).await.as_deref() == Some(state)).then_some(()) })
            .await;
    }

    /// `/metrics`.
    pub async fn metrics(&self) -> String {
        Request::get("/metrics").send(self.doors.health).await.text()
    }

    /// What it logged, JSON lines.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// Waits until `/readyz` says 200.
    pub async fn ready(&mut self) {
        let health = self.doors.health;
        let probe = || async move {
            TcpStream::connect(health).await.ok()?;
            (Request::get("/readyz").send(health).await.status == 200).then_some(())
        };
        self.process.until("it is ready", probe).await;
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Kills it (SIGKILL).
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Asks it to stop (SIGTERM), and tells how it ended.
    pub async fn terminate(&mut self) -> ExitStatus {
        self.process.terminate().await
    }

    /// Starts it again on the same ports; ready.
    pub async fn restart(&mut self) {
        self.process.kill();
        self.process = spawn(self.binary, &self.arguments, self.doors, &self.directory);
        deadline::until("the restarted service to listen", deadline::PATIENCE, || {
            let address = self.doors.grpc.unwrap_or(self.doors.health);
            async move { TcpStream::connect(address).await.ok() }
        })
        .await;
        self.ready().await;
    }
}

/// Runs a command of a service to its end: `validate --config DIR`.
///
/// # Panics
/// Where the binary is not built.
#[must_use]
pub fn run(binary: &str, arguments: &[&str]) -> std::process::Output {
    Command::new(parts::service(binary)).args(arguments).output().unwrap_or_else(|error| panic!("{binary}: {error}"))
}

fn spawn(binary: &str, arguments: &[String], doors: Doors, directory: &TempDir) -> Process {
    let mut command = Command::new(parts::service(binary));
    command.args(arguments);
    for (flag, address) in [("--grpc", doors.grpc), ("--health", Some(doors.health)), ("--admin", Some(doors.admin))] {
        if let Some(address) = address {
            command.arg(flag).arg(address.to_string());
        }
    }
    Process::spawn(binary, &mut command, directory.path())
}

/// The line with which a service tells what port 0 became.
fn listening(log: &Path) -> Option<Doors> {
    let text = std::fs::read_to_string(log).ok()?;
    let line: Value =
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).find(|line: &Value| line["message"] == "listening")?;
    let door = |name: &str| line[name].as_str()?.parse().ok();
    Some(Doors { grpc: door("door.grpc"), health: door("door.health")?, admin: door("door.admin")? })
}

//! A Valkey (or Redis) of a test's own.

use std::{net::SocketAddr, process::Command};

use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::{
    deadline, parts,
    process::{Process, free_address},
};

/// The name of its unix socket, in its directory.
const SOCKET: &str = "socket";

/// A running store, empty, that writes nothing to disk.
pub struct Valkey {
    process: Process,
    address: SocketAddr,
    directory: TempDir,
}

impl Valkey {
    /// Starts one.
    ///
    /// # Panics
    /// Where it cannot be started.
    pub async fn start() -> Self {
        let directory = TempDir::new().expect("a temporary directory");
        // It cannot tell which port 0 became, so a port is chosen for it; another process may be faster.
        for _ in 0..5 {
            let address = free_address();
            let mut process = spawn(address, &directory);
            let up = deadline::until("Valkey to listen or to give up", deadline::PATIENCE, || {
                let ended = process.ended().is_some();
                async move { if ended { Some(false) } else { TcpStream::connect(address).await.is_ok().then_some(true) } }
            });
            if up.await {
                return Self { process, address, directory };
            }
        }
        panic!("Valkey found no free port in five tries");
    }

    /// `redis://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// Its unix socket: `redis+unix://PATH`.
    #[must_use]
    pub fn unix_url(&self) -> String {
        format!("redis+unix://{}", self.directory.path().join(SOCKET).display())
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Kills it: what it held is gone.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again at the same address, empty.
    pub async fn restart(&mut self) {
        self.process.kill();
        self.process = spawn(self.address, &self.directory);
        let address = self.address;
        self.process.until("it listens", || async move { TcpStream::connect(address).await.is_ok().then_some(()) }).await;
    }

    /// Stops it without closing its connections (SIGSTOP): a store that hangs. [`Valkey::resume`] ends it.
    pub fn pause(&self) {
        self.signal("-STOP");
    }

    /// Ends [`Valkey::pause`].
    pub fn resume(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let sent = Command::new("kill").arg(signal).arg(self.process.id().to_string()).status();
        assert!(sent.is_ok_and(|status| status.success()), "{signal} could not be sent to Valkey");
    }
}

fn spawn(address: SocketAddr, directory: &TempDir) -> Process {
    let mut command = Command::new(parts::valkey());
    command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--port"]).arg(address.port().to_string());
    command.arg("--dir").arg(directory.path()).arg("--unixsocket").arg(directory.path().join(SOCKET));
    Process::spawn("valkey", &mut command, directory.path())
}

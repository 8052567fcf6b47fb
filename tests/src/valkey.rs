//! A Valkey (or Redis) of a test's own: alone, under Sentinel, as a cluster, with TLS, or behind a slow way.

pub mod cluster;
pub mod sentinel;
pub mod slow;
pub mod tls;

use std::{net::SocketAddr, path::Path, path::PathBuf, process::Command};

use redis::FromRedisValue;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
};

use crate::{deadline, parts, port::free_address, process::Process};

/// The name of its unix socket, in its directory.
const SOCKET: &str = "socket";

/// A running store, empty, that writes nothing to disk unless its arguments say so.
pub struct Valkey {
    process: Process,
    binary: PathBuf,
    arguments: Vec<String>,
    address: SocketAddr,
    directory: TempDir,
}

impl Valkey {
    /// Starts one.
    ///
    /// # Panics
    /// Where it cannot be started.
    pub async fn start() -> Self {
        Self::with(&[]).await
    }

    /// Starts one with more arguments: `--requirepass`, `hunter2`.
    ///
    /// # Panics
    /// Where it cannot be started.
    pub async fn with(arguments: &[&str]) -> Self {
        // It cannot tell which port 0 became, so a port is chosen for it; another process may be faster.
        for _ in 0..5 {
            let address = free_address();
            if let Some(valkey) = Self::at(parts::valkey(), address, "--port", arguments).await {
                return valkey;
            }
        }
        panic!("Valkey found no free port in five tries");
    }

    /// Starts a binary on an address. `None`: it ended before it listened, as it does where the port is taken.
    async fn at(binary: PathBuf, address: SocketAddr, port: &str, arguments: &[&str]) -> Option<Self> {
        let directory = TempDir::new().expect("a temporary directory");
        let mut all: Vec<String> =
            ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--repl-diskless-sync-delay", "0"].map(str::to_owned).into();
        all.extend([port.to_owned(), address.port().to_string(), "--dir".to_owned(), directory.path().display().to_string()]);
        all.extend(["--unixsocket".to_owned(), directory.path().join(SOCKET).display().to_string()]);
        all.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        let mut process = spawn(&binary, &all, directory.path());
        let socket = &directory.path().join(SOCKET);
        let up = deadline::until("Valkey to listen or to give up", deadline::PATIENCE, || {
            let ended = process.ended().is_some();
            // At the port may be another one, at the socket in its own directory cannot; and who answers there has every port that it wanted.
            async move { if ended { Some(false) } else { answers(socket).await.then_some(true) } }
        });
        up.await.then_some(Self { process, binary, arguments: all, address, directory })
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

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A directory of its own: its log, its dumps, and whatever a test puts there.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Runs a command on a connection of its own, and gives its answer.
    ///
    /// # Errors
    /// What the server answered, or that there is none.
    pub async fn try_ask<T: FromRedisValue>(&self, words: &[&str]) -> redis::RedisResult<T> {
        try_ask(&self.url(), words).await
    }

    /// Runs a command that must succeed.
    ///
    /// # Panics
    /// Where it does not.
    pub async fn ask<T: FromRedisValue>(&self, words: &[&str]) -> T {
        self.try_ask(words).await.unwrap_or_else(|error| panic!("{words:?}: {error}"))
    }

    /// Kills it: what it held is gone, unless it was saved.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again at the same address; empty, unless something was saved.
    pub async fn restart(&mut self) {
        self.restart_with(&[]).await;
    }

    /// Starts it again with more arguments.
    pub async fn restart_with(&mut self, arguments: &[&str]) {
        self.process.kill();
        let mut all = self.arguments.clone();
        all.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        self.process = spawn(&self.binary, &all, self.directory.path());
        let socket = self.directory.path().join(SOCKET);
        self.process.until("it answers", || async { answers(&socket).await.then_some(()) }).await;
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

/// Runs a command at an address.
///
/// # Errors
/// What the server answered, or that there is none.
pub async fn try_ask<T: FromRedisValue>(url: &str, words: &[&str]) -> redis::RedisResult<T> {
    let mut connection = redis::Client::open(url)?.get_multiplexed_async_connection().await?;
    let mut command = redis::Cmd::new();
    command.arg(words);
    command.query_async(&mut connection).await
}

/// Whether something is answered at a unix socket: an error too.
async fn answers(socket: &Path) -> bool {
    let ask = async {
        let mut stream = UnixStream::connect(socket).await.ok()?;
        stream.write_all(b"PING\r\n").await.ok()?;
        stream.read_u8().await.ok()
    };
    ask.await.is_some()
}

fn spawn(binary: &Path, arguments: &[String], directory: &Path) -> Process {
    Process::spawn("valkey", Command::new(binary).args(arguments), directory)
}

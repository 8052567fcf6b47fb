//! A store of a test's own: Valkey or Redis on a unix socket, writing nothing to disk.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use bulkhead_ratelimit::store::redis::RedisStore;
use tempfile::TempDir;

/// A running server. It ends with the test.
pub(crate) struct Valkey {
    child: Child,
    directory: TempDir,
}

impl Valkey {
    /// Starts one.
    pub(crate) fn start() -> Self {
        let directory = TempDir::new().expect("a temporary directory");
        let child = spawn(directory.path());
        Self { child, directory }
    }

    /// `redis+unix://...`
    pub(crate) fn url(&self) -> String {
        format!("redis+unix://{}", self.directory.path().join("s").display())
    }

    /// Kills it: what it held is gone.
    pub(crate) fn kill(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }

    /// Starts it again, empty, at the same address.
    pub(crate) fn restart(&mut self) {
        self.kill();
        self.child = spawn(self.directory.path());
    }

    /// It hangs: its connections stay open and nothing is answered.
    pub(crate) fn pause(&self) {
        self.signal("-STOP");
    }

    /// It hangs no longer.
    pub(crate) fn resume(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let sent = Command::new("kill").arg(signal).arg(self.child.id().to_string()).status();
        assert!(sent.is_ok_and(|status| status.success()), "{signal} could not be sent");
    }
}

impl Drop for Valkey {
    fn drop(&mut self) {
        self.kill();
    }
}

fn spawn(directory: &Path) -> Child {
    let socket = directory.join("s");
    drop(std::fs::remove_file(&socket));
    let binary = binary();
    let mut child = Command::new(&binary)
        .args(["--port", "0", "--save", "", "--appendonly", "no", "--unixsocket"])
        .arg(&socket)
        .arg("--dir")
        .arg(directory)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| panic!("{}: {error}", binary.display()));
    let start = Instant::now();
    while std::os::unix::net::UnixStream::connect(&socket).is_err() {
        assert!(child.try_wait().expect("its state").is_none(), "{} ended at once", binary.display());
        assert!(start.elapsed() < Duration::from_secs(30), "{} does not listen", binary.display());
        std::thread::sleep(Duration::from_millis(2));
    }
    child
}

/// `REDIS_SERVER_BIN`, else what `cargo xtask parts` fetched. Never skipped: a machine without one fails the test.
fn binary() -> PathBuf {
    if let Some(given) = env::var_os("REDIS_SERVER_BIN").filter(|given| !given.is_empty()) {
        return given.into();
    }
    let me = env::current_exe().expect("a running test has a path");
    let parts = me.ancestors().nth(3).map(|target| target.join("parts")).unwrap_or_default();
    let mut open = vec![parts];
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(&directory).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                open.push(path);
            } else if path.ends_with("valkey-server") {
                return path;
            }
        }
    }
    panic!("no valkey-server: run `cargo xtask parts`, or set REDIS_SERVER_BIN or REDIS_URL")
}

/// The store that `REDIS_URL` names, else one of the test's own.
pub(crate) struct Server {
    url: String,
    _own: Option<Valkey>,
}

impl Server {
    /// Finds or starts it.
    pub(crate) fn get() -> Self {
        match env::var("REDIS_URL") {
            Ok(url) if !url.is_empty() => Self { url, _own: None },
            _ => {
                let own = Valkey::start();
                Self { url: own.url(), _own: Some(own) }
            }
        }
    }

    /// A client of it.
    pub(crate) fn client(&self) -> redis::Client {
        redis::Client::open(self.url.as_str()).expect("a store's address")
    }

    /// Our store on it, which begins to connect.
    pub(crate) fn cold_store(&self) -> RedisStore {
        RedisStore::start(&self.url, Duration::from_secs(20)).expect("a store's address")
    }

    /// Our store on it, connected. The deadline is a guard against hanging, not a measure.
    pub(crate) async fn store(&self) -> RedisStore {
        let store = self.cold_store();
        assert!(store.ready(Duration::from_secs(30)).await, "the store cannot be reached");
        store
    }
}

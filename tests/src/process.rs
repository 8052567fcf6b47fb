//! A child process that does not outlive its test, and whose log is shown where the test fails.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
};

use crate::deadline;

/// A running child.
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a command; what it prints goes to `<directory>/<name>.log`, after what an earlier one of that name printed.
    ///
    /// # Panics
    /// Where it cannot be started.
    #[must_use]
    pub fn spawn(name: &str, command: &mut Command, directory: &Path) -> Self {
        let log = directory.join(format!("{name}.log"));
        let file = File::options().create(true).append(true).open(&log).unwrap_or_else(|error| panic!("{}: {error}", log.display()));
        let errors = file.try_clone().expect("a file handle can be duplicated");
        let child = command
            .stdin(Stdio::null())
            .stdout(file)
            .stderr(errors)
            .spawn()
            .unwrap_or_else(|error| panic!("{name} ({:?}): {error}", command.get_program()));
        Self { name: name.to_owned(), child, log }
    }

    /// What it printed so far.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it did.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Polls until the probe gives a value.
    ///
    /// # Panics
    /// At the deadline, or as soon as the process has ended, with the end of its log.
    pub async fn until<T, F: Future<Output = Option<T>>>(&mut self, what: &str, mut probe: impl FnMut() -> F) -> T {
        let start = std::time::Instant::now();
        loop {
            if let Some(value) = probe().await {
                return value;
            }
            if let Some(status) = self.ended() {
                panic!("{} ended with {status} before {what}:\n{}", self.name, self.tail());
            }
            assert!(start.elapsed() < deadline::PATIENCE, "{}: waited for {what}:\n{}", self.name, self.tail());
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    }

    /// Kills it (SIGKILL) and waits until it is gone.
    pub fn kill(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }

    /// Asks it to stop (SIGTERM) and waits until it has.
    ///
    /// # Panics
    /// Where it does not stop in time.
    pub async fn terminate(&mut self) -> ExitStatus {
        let asked = Command::new("kill").arg("-TERM").arg(self.id().to_string()).status();
        assert!(asked.is_ok_and(|status| status.success()), "{} could not be asked to stop", self.name);
        let name = format!("{} to stop", self.name);
        deadline::until(&name, deadline::PATIENCE, || std::future::ready(self.ended())).await
    }

    fn tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("---- the end of {}'s log\n{}\n----", self.name, self.tail());
        }
    }
}

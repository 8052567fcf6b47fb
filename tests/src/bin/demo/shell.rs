//! The lines of the story: printed as they can be pasted, and run as they are printed.

use std::{fmt::Write as _, net::SocketAddr, path::Path};

use bulkhead_tests::client::{Answer, Request};
use tempfile::TempDir;
use tokio::process::Command;

/// A shell in which the lines are run: the variables that they use are set, here and in a file that a reader can source.
pub(crate) struct Shell {
    gateway: SocketAddr,
    variables: Vec<(&'static str, String)>,
    directory: TempDir,
    curl: bool,
}

/// What a line came to.
pub(crate) struct Output {
    /// The status that curl saw; 0 where the line is not one request.
    pub(crate) status: u16,
    /// What it printed before that.
    pub(crate) body: String,
}

impl Shell {
    pub(crate) async fn new(gateway: SocketAddr, mut variables: Vec<(&'static str, String)>) -> Self {
        variables.insert(0, ("GATEWAY", format!("http://{gateway}")));
        let directory = TempDir::new().expect("a temporary directory");
        let mut text = String::new();
        for (name, value) in &variables {
            writeln!(text, "export {name}='{value}'").expect("writing to a string");
        }
        std::fs::write(directory.path().join("env"), text).expect("a writable directory");
        let curl = Command::new("curl").arg("--version").output().await.is_ok_and(|output| output.status.success());
        Self { gateway, variables, directory, curl }
    }

    /// The file that sets the variables.
    pub(crate) fn environment(&self) -> impl AsRef<Path> {
        self.directory.path().join("env")
    }

    /// Whether lines with curl can be run as they are printed.
    pub(crate) fn has_curl(&self) -> bool {
        self.curl
    }

    /// Runs a line as it is printed, whatever it is.
    pub(crate) async fn run(&self, line: &str) -> String {
        let mut command = Command::new("sh");
        command.arg("-c").arg(line).kill_on_drop(true);
        for (name, value) in &self.variables {
            command.env(name, value);
        }
        let output = command.output().await.expect("a shell");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Makes one request: with curl as the line says, else with the harness's own client.
    pub(crate) async fn request(&self, ask: &Ask) -> Output {
        if !self.curl {
            let answer: Answer = ask.request(&self.variables).send(self.gateway).await;
            return Output { status: answer.status, body: answer.text() };
        }
        let printed = self.run(&ask.line()).await;
        let (body, status) = printed.trim_end().rsplit_once('\n').unwrap_or(("", printed.trim()));
        Output { status: status.trim().parse().unwrap_or_default(), body: body.to_owned() }
    }
}

/// One request of the story.
#[derive(Clone)]
pub(crate) struct Ask {
    /// The variable that holds the token.
    pub(crate) token: &'static str,
    /// More headers.
    pub(crate) headers: &'static [(&'static str, &'static str)],
    /// The path at the gateway.
    pub(crate) path: &'static str,
    /// What is posted, as JSON; none: a GET.
    pub(crate) posts: Option<&'static str>,
}

impl Ask {
    /// The curl line: the answer's body, then its status.
    pub(crate) fn line(&self) -> String {
        format!(r#"curl -s -w '\n%{{http_code}}\n' {} "$GATEWAY{}""#, self.flags(), self.path)
    }

    /// The curl line that sends it many times at once and prints the statuses alone.
    pub(crate) fn burst(&self, times: u32) -> String {
        let many = r"curl -s -o /dev/null -w '%{http_code}\n' --parallel --parallel-max 8";
        format!(r#"{many} {} "$GATEWAY{}?n=[1-{times}]""#, self.flags(), self.path)
    }

    fn flags(&self) -> String {
        let mut flags = format!(r#"-H "Authorization: Bearer ${}""#, self.token);
        for (name, value) in self.headers {
            write!(flags, " -H '{name}: {value}'").expect("writing to a string");
        }
        if let Some(body) = self.posts {
            write!(flags, " -H 'content-type: application/json' -d '{body}'").expect("writing to a string");
        }
        flags
    }

    fn request(&self, variables: &[(&'static str, String)]) -> Request {
        let token = variables.iter().find(|(name, _)| *name == self.token).map_or("", |(_, value)| value.as_str());
        let request = match self.posts {
            None => Request::get(self.path),
            Some(body) => Request::post(self.path, body).header("content-type", "application/json"),
        };
        self.headers.iter().fold(request.bearer(token), |request, (name, value)| request.header(name, value))
    }

    /// As [`Ask::burst`], with the harness's own client; the statuses.
    pub(crate) async fn burst_without_curl(&self, shell: &Shell, times: u32) -> String {
        let mut printed = String::new();
        for _ in 0..times {
            let answer = self.request(&shell.variables).send(shell.gateway).await;
            writeln!(printed, "{}", answer.status).expect("writing to a string");
        }
        printed
    }
}

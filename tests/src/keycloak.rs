//! The real Keycloak with the realms of `compose/keycloak`, started as docker-compose.yml starts it.

use std::{fs, net::SocketAddr, path::Path, process::Command, time::Duration};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    compose, deadline, parts,
    process::{Process, free_address},
};

/// A first start imports two realms and makes their keys: a minute of two busy cores.
const STARTS_WITHIN: Duration = Duration::from_secs(300);
/// What the launcher `kc.sh` hands to Java. It is not used here: killed, it would leave its Java behind.
const JAVA: [&str; 9] = [
    "-Xms128m",
    "-Xmx512m",
    "-XX:TieredStopAtLevel=1",
    "-Dfile.encoding=UTF-8",
    "-Djava.net.preferIPv4Stack=true",
    "-Djava.util.logging.manager=org.jboss.logmanager.LogManager",
    "-Djava.util.concurrent.ForkJoinPool.common.threadFactory=io.quarkus.bootstrap.forkjoin.QuarkusForkJoinWorkerThreadFactory",
    "--add-opens=java.base/java.util=ALL-UNNAMED",
    "--add-opens=java.base/java.security=ALL-UNNAMED",
];
/// The exit status with which a Keycloak that was built with other options asks to be started again, built anew.
const BUILT_ANEW: i32 = 10;

/// A running Keycloak.
pub struct Keycloak {
    address: SocketAddr,
    admin: (String, String),
    client: reqwest::Client,
    _process: Process,
    _directory: TempDir,
}

impl Keycloak {
    /// Starts one with a fresh database; ready.
    ///
    /// # Panics
    /// Where Java or Keycloak is missing, or it does not start.
    pub async fn start() -> Self {
        let java = Command::new("java").arg("-version").output();
        assert!(java.is_ok_and(|output| output.status.success()), "Keycloak needs Java 17 or later: there is no `java`");
        let directory = TempDir::new().expect("a temporary directory");
        // A copy: its database, and what it may build anew, are its own.
        let home = directory.path().join("keycloak");
        let copied = Command::new("cp").arg("-R").arg(parts::keycloak()).arg(&home).status();
        assert!(copied.is_ok_and(|status| status.success()), "Keycloak can be copied");
        import_realms(&home);

        let file = compose::file();
        let variable = |name: &str| {
            let value = &file["services"]["keycloak"]["environment"][name];
            value.as_str().unwrap_or_else(|| panic!("compose sets {name}")).to_owned()
        };
        let admin = (variable("KC_BOOTSTRAP_ADMIN_USERNAME"), variable("KC_BOOTSTRAP_ADMIN_PASSWORD"));
        // It cannot tell which port 0 became, so ports are chosen for it; another process may be faster. Status 10 costs a try as well.
        for _ in 0..5 {
            let (address, management) = (free_address(), free_address());
            let mut command = Command::new("java");
            command.args(JAVA).arg(format!("-Dkc.home.dir={}", home.display()));
            command.arg(format!("-Djboss.server.config.dir={}", home.join("conf").display()));
            command.arg("-cp").arg(home.join("lib/quarkus-run.jar")).arg("io.quarkus.bootstrap.runner.QuarkusEntryPoint");
            command.args(on(address, management)).env("KC_BOOTSTRAP_ADMIN_USERNAME", &admin.0).env("KC_BOOTSTRAP_ADMIN_PASSWORD", &admin.1);
            let mut process = Process::spawn("keycloak", &mut command, directory.path());
            if ready(&mut process, management).await {
                return Self { address, admin, client: reqwest::Client::new(), _process: process, _directory: directory };
            }
        }
        panic!("Keycloak did not start in five tries");
    }

    /// Where it answers: tokens, and keys over the back channel. What it writes into `iss` is the public name that compose gives it.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A token of a realm's client, by its client credentials.
    ///
    /// # Panics
    /// Where Keycloak gives none.
    pub async fn token(&self, realm: &str, client: &str, secret: &str) -> String {
        let form = [("grant_type", "client_credentials"), ("client_id", client), ("client_secret", secret)];
        self.token_of(realm, &form).await
    }

    /// Rotates a realm's keys: a new RSA key signs at once, and the one that signed until now is withdrawn, as after a leak.
    ///
    /// # Panics
    /// Where Keycloak refuses.
    pub async fn rotate(&self, realm: &str) {
        let form = [("grant_type", "password"), ("client_id", "admin-cli"), ("username", &self.admin.0), ("password", &self.admin.1)];
        let token = self.token_of("master", &form).await;
        let base = format!("http://{}/admin/realms/{realm}", self.address);
        let get = async |path: &str| -> Value { read(self.client.get(format!("{base}{path}")).bearer_auth(&token)).await };
        let id = get("").await["id"].clone();
        let providers = get("/components?type=org.keycloak.keys.KeyProvider").await;
        let key = json!({
            "name": "rotated", "providerId": "rsa-generated", "providerType": "org.keycloak.keys.KeyProvider", "parentId": id,
            "config": { "priority": ["200"], "enabled": ["true"], "active": ["true"], "keySize": ["2048"], "algorithm": ["RS256"] }
        });
        let added = self
            .client
            .post(format!("{base}/components"))
            .bearer_auth(&token)
            .header("content-type", "application/json")
            .body(key.to_string())
            .send()
            .await;
        assert_eq!(added.map(|answer| answer.status().as_u16()).ok(), Some(201), "a key is added");
        let providers = providers.as_array().expect("a list of key providers");
        for old in providers.iter().filter(|provider| provider["providerId"] == "rsa-generated") {
            let url = format!("{base}/components/{}", old["id"].as_str().expect("a component has an id"));
            let gone = self.client.delete(url).bearer_auth(&token).send().await;
            assert_eq!(gone.map(|answer| answer.status().as_u16()).ok(), Some(204), "the old key is withdrawn");
        }
    }

    async fn token_of(&self, realm: &str, form: &[(&str, &str)]) -> String {
        let url = format!("http://{}/realms/{realm}/protocol/openid-connect/token", self.address);
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let request = self.client.post(url).header("content-type", "application/x-www-form-urlencoded").body(body);
        read(request).await["access_token"].as_str().expect("an access token").to_owned()
    }
}

async fn read(request: reqwest::RequestBuilder) -> Value {
    let answer = request.send().await.expect("Keycloak answers");
    let status = answer.status();
    assert!(status.is_success(), "Keycloak answers {status}");
    serde_json::from_str(&answer.text().await.expect("a body")).expect("JSON")
}

/// The realms, as compose mounts them.
fn import_realms(home: &Path) {
    let import = home.join("data/import");
    fs::create_dir_all(&import).expect("a writable directory");
    for realm in fs::read_dir(parts::workspace().join("compose/keycloak")).expect("compose/keycloak").filter_map(Result::ok) {
        fs::copy(realm.path(), import.join(realm.file_name())).expect("a writable directory");
    }
}

/// The command of compose on other ports.
fn on(address: SocketAddr, management: SocketAddr) -> Vec<String> {
    let mut replaced = 0;
    let mut words: Vec<String> = compose::command("keycloak")
        .into_iter()
        .map(|word| {
            let port = match word.split_once('=') {
                Some(("--http-port", _)) => address.port(),
                Some(("--http-management-port", _)) => management.port(),
                _ => return word,
            };
            replaced += 1;
            format!("{}={port}", word.split('=').next().unwrap_or_default())
        })
        .collect();
    assert_eq!(replaced, 2, "compose states both of Keycloak's ports");
    words.push("--http-host=127.0.0.1".to_owned());
    words
}

/// Waits until it is ready (the log says "started" earlier); false where it ended because a port was taken, or to be started again.
async fn ready(process: &mut Process, management: SocketAddr) -> bool {
    let client = reqwest::Client::new();
    let url = format!("http://{management}/health/ready");
    deadline::until("Keycloak to be ready", STARTS_WITHIN, || {
        let ended = process.ended();
        let log = if ended.is_some() { process.log() } else { String::new() };
        let request = client.get(&url).timeout(Duration::from_secs(5));
        async move {
            match ended {
                Some(status) => {
                    assert!(status.code() == Some(BUILT_ANEW) || log.contains("already in use"), "Keycloak ended with {status}:\n{log}");
                    Some(false)
                }
                None if request.send().await.is_ok_and(|answer| answer.status().is_success()) => Some(true),
                None => {
                    // Each question costs a line of its log.
                    tokio::time::sleep(Duration::from_millis(250)).await;
                    None
                }
            }
        }
    })
    .await
}

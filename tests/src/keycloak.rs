//! The real Keycloak with the realms of `compose/keycloak`, started as docker-compose.yml starts it.

use std::{fs, net::SocketAddr, path::Path, process::Command, time::Duration};

use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{compose, deadline, parts, port::free_address, process::Process};

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
        let old = self.key_providers(realm, "rsa-generated").await;
        self.add_key(realm, "rsa-generated", "RS256", 200).await;
        for id in old {
            let gone = self.admin(Method::DELETE, &format!("/{realm}/components/{id}"), None).await;
            assert_eq!(gone.0, 204, "the old key is withdrawn");
        }
    }

    /// A new key signs from now on: of the provider `rsa-generated` or `ecdsa-generated`, above all keys of a lower priority.
    ///
    /// # Panics
    /// Where Keycloak refuses.
    pub async fn add_key(&self, realm: &str, provider: &str, algorithm: &str, priority: u32) {
        let (_, of_realm) = self.admin(Method::GET, &format!("/{realm}"), None).await;
        let mut key = json!({
            "name": format!("{provider}-{priority}"), "providerId": provider, "providerType": "org.keycloak.keys.KeyProvider",
            "parentId": of_realm["id"],
            "config": { "priority": [priority.to_string()], "enabled": ["true"], "active": ["true"], "algorithm": [algorithm] }
        });
        match provider {
            "ecdsa-generated" => key["config"]["ecdsaEllipticCurveKey"] = json!(["P-256"]),
            _ => key["config"]["keySize"] = json!(["2048"]),
        }
        let added = self.admin(Method::POST, &format!("/{realm}/components"), Some(&key)).await;
        assert_eq!(added.0, 201, "a key is added");
    }

    /// Keys of a provider sign no more, and stay in the key set.
    ///
    /// # Panics
    /// Where Keycloak refuses.
    pub async fn retire(&self, realm: &str, provider: &str) {
        for id in self.key_providers(realm, provider).await {
            let path = format!("/{realm}/components/{id}");
            let (_, mut component) = self.admin(Method::GET, &path, None).await;
            component["config"]["active"] = json!(["false"]);
            assert_eq!(self.admin(Method::PUT, &path, Some(&component)).await.0, 204, "the key is retired");
        }
    }

    /// Clients of a realm sign their access tokens with this algorithm.
    ///
    /// # Panics
    /// Where Keycloak refuses.
    pub async fn sign_with(&self, realm: &str, algorithm: &str) {
        let change = json!({ "defaultSignatureAlgorithm": algorithm });
        assert_eq!(self.admin(Method::PUT, &format!("/{realm}"), Some(&change)).await.0, 204, "the algorithm is changed");
    }

    /// Disables a realm: it gives no tokens.
    ///
    /// # Panics
    /// Where Keycloak refuses.
    pub async fn disable(&self, realm: &str) {
        assert_eq!(self.admin(Method::PUT, &format!("/{realm}"), Some(&json!({ "enabled": false }))).await.0, 204, "the realm is disabled");
    }

    /// Deletes a realm, with all its keys.
    ///
    /// # Panics
    /// Where Keycloak refuses.
    pub async fn delete(&self, realm: &str) {
        assert_eq!(self.admin(Method::DELETE, &format!("/{realm}"), None).await.0, 204, "the realm is deleted");
    }

    /// The status with which a realm's key set is answered, and its keys.
    ///
    /// # Panics
    /// Where Keycloak does not answer.
    pub async fn keys(&self, realm: &str) -> (u16, Vec<Value>) {
        let url = format!("http://{}/realms/{realm}/protocol/openid-connect/certs", self.address);
        let answer = self.client.get(url).send().await.expect("Keycloak answers");
        let status = answer.status().as_u16();
        let set: Value = serde_json::from_str(&answer.text().await.expect("a body")).unwrap_or_default();
        (status, set["keys"].as_array().cloned().unwrap_or_default())
    }

    /// Whether a realm's token endpoint still gives tokens to a client.
    ///
    /// # Panics
    /// Where Keycloak does not answer.
    pub async fn gives_tokens(&self, realm: &str, client: &str, secret: &str) -> bool {
        let form = [("grant_type", "client_credentials"), ("client_id", client), ("client_secret", secret)];
        self.ask_for_token(realm, &form).send().await.expect("Keycloak answers").status().is_success()
    }

    async fn key_providers(&self, realm: &str, provider: &str) -> Vec<String> {
        let (_, all) = self.admin(Method::GET, &format!("/{realm}/components?type=org.keycloak.keys.KeyProvider"), None).await;
        let all = all.as_array().expect("a list of key providers");
        let of_kind = all.iter().filter(|one| one["providerId"] == provider);
        of_kind.map(|one| one["id"].as_str().expect("a component has an id").to_owned()).collect()
    }

    /// Calls the admin API below `/admin/realms`: the status, and what is answered.
    async fn admin(&self, method: Method, path: &str, body: Option<&Value>) -> (u16, Value) {
        let form = [("grant_type", "password"), ("client_id", "admin-cli"), ("username", &self.admin.0), ("password", &self.admin.1)];
        // A new one each time: they live for a minute.
        let token = self.token_of("master", &form).await;
        let mut request = self.client.request(method, format!("http://{}/admin/realms{path}", self.address)).bearer_auth(&token);
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let answer = request.send().await.expect("Keycloak answers");
        let status = answer.status().as_u16();
        (status, serde_json::from_str(&answer.text().await.expect("a body")).unwrap_or_default())
    }

    async fn token_of(&self, realm: &str, form: &[(&str, &str)]) -> String {
        read(self.ask_for_token(realm, form)).await["access_token"].as_str().expect("an access token").to_owned()
    }

    fn ask_for_token(&self, realm: &str, form: &[(&str, &str)]) -> reqwest::RequestBuilder {
        let url = format!("http://{}/realms/{realm}/protocol/openid-connect/token", self.address);
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        self.client.post(url).header("content-type", "application/x-www-form-urlencoded").body(body)
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

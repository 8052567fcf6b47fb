//! Who may speak to the services at all: S2.

use std::{fs, process::Command};

use bulkhead_tests::{
    client::Request,
    config::Config,
    deadline::{self, PATIENCE},
    envoy::{
        Envoy,
        shipped::{Shipped, cluster, patient},
    },
    parts,
    process::Process,
    service::ADMIN_TOKEN,
};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, SanType, string::Ia5String,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{INVOICES, SERVICES, world};

#[tokio::test(flavor = "multi_thread")]
async fn s2_a_service_does_not_start_in_plaintext_where_others_reach_it() {
    let config = Config::examples();
    let directory = tempfile::TempDir::new().expect("a temporary directory");
    for binary in SERVICES {
        for door in ["--grpc", "--admin"] {
            let mut command = Command::new(parts::service(binary));
            command.args(["serve", "--config"]).arg(config.path()).args(["--health", "127.0.0.1:0"]);
            for other in ["--grpc", "--admin"] {
                command.args([other, if other == door { "0.0.0.0:0" } else { "127.0.0.1:0" }]);
            }
            if binary == "bulkhead-ratelimit" {
                command.args(["--store", "memory"]);
            }
            let mut process = Process::spawn(&format!("{binary}{door}"), &mut command, directory.path());
            let status = deadline::until("it to refuse", PATIENCE, || std::future::ready(process.ended())).await;
            assert_eq!(status.code(), Some(2), "{binary} {door}: {}", process.log());
            assert!(!process.log().contains("listening"), "{binary} {door} bound nothing");
        }
    }
}

/// An authority, and what it signed, in files.
struct Pki {
    folder: tempfile::TempDir,
    authority: CertifiedIssuer<'static, KeyPair>,
}

impl Pki {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "platform");
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a certificate");
        let pki = Self { folder: tempfile::TempDir::new().expect("a temporary directory"), authority };
        fs::write(pki.file("ca.pem"), pki.authority.pem()).expect("a writable directory");
        pki
    }

    fn file(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// A certificate and its key, `<name>.pem` and `<name>.key`.
    fn issue(&self, name: &str) {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.subject_alt_names = vec![SanType::DnsName(Ia5String::try_from(name).expect("a name"))];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().expect("a key");
        fs::write(self.file(&format!("{name}.pem")), params.signed_by(&key, &self.authority).expect("signed").pem()).expect("written");
        fs::write(self.file(&format!("{name}.key")), key.serialize_pem()).expect("written");
    }

    /// Envoy speaks TLS to both services, as this client.
    fn client(&self, name: &str) -> impl FnOnce(&mut Value) + use<> {
        let socket = json!({
            "name": "envoy.transport_sockets.tls",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
                "sni": "services.test",
                "common_tls_context": {
                    "alpn_protocols": ["h2"],
                    "tls_certificates": [{
                        "certificate_chain": { "filename": self.file(&format!("{name}.pem")) },
                        "private_key": { "filename": self.file(&format!("{name}.key")) },
                    }],
                    "validation_context": {
                        "trusted_ca": { "filename": self.file("ca.pem") },
                        "match_typed_subject_alt_names": [{ "san_type": "DNS", "matcher": { "exact": "services.test" } }],
                    },
                },
            },
        });
        move |bootstrap| {
            for service in ["ext-authz", "ratelimit"] {
                cluster(bootstrap, service)["transport_socket"] = socket.clone();
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s2_with_mutual_tls_envoy_is_let_in_by_its_listed_name_alone() {
    let pki = Pki::new();
    for name in ["services.test", "envoy.test", "stranger.test"] {
        pki.issue(name);
    }
    let (cert, key, ca) = (pki.file("services.test.pem"), pki.file("services.test.key"), pki.file("ca.pem"));
    let flags = ["--grpc-tls-cert", &cert, "--grpc-tls-key", &key, "--grpc-tls-client-ca", &ca, "--grpc-tls-client-name", "envoy.test"];
    let world = world().ext_authz(&flags).ratelimit(&flags).bootstrap(pki.client("envoy.test")).start().await;
    let request = Request::get(INVOICES).bearer(&world.acme.issuer.token().sign());
    assert_eq!(world.send(&request).await.status, 200);
    assert_eq!(world.acme.requests(), 1);

    let shipped = || Shipped::contract_routing(world.ext_authz.grpc(), world.ratelimit.grpc()).edit(patient);
    for (who, shipped) in [("a certificate of another name", shipped().edit(pki.client("stranger.test"))), ("plaintext", shipped())] {
        let envoy = Envoy::start(shipped.bootstrap()).await;
        assert_eq!(request.send(envoy.address()).await.status, 503, "{who}");
    }
    assert_eq!(world.acme.requests(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn s22_a_decision_is_explained_through_the_admin_door_to_its_own_tenant_alone() {
    const RULES: &str = "
apiVersion: gostoa.dev/v1alpha1
kind: GuardrailPolicy
metadata: { name: rules, namespace: tenant-acme }
spec: { rules: 'allow if input.resource.api == \"billing-api\"' }
";
    let folder = tempfile::TempDir::new().expect("a temporary directory");
    let file = folder.path().join("tenants");
    let line = |tenant: &str| format!("{tenant}: sha256:{}\n", hex::encode(Sha256::digest(format!("{tenant}-door"))));
    fs::write(&file, line("acme") + &line("globex")).expect("a writable directory");
    let flags = ["--admin-tenant-tokens", file.to_str().expect("a path of text")];
    let world = world().ext_authz(&flags).config(|config| config.write("namespaces/tenant-acme/rules.yaml", RULES)).start().await;
    let (door, token) = (world.ext_authz.admin(), world.acme.issuer.token().sign());

    // Acme's own decision, at globex's address: it is in nobody's record but acme's.
    let foreign = world.send(&Request::get(super::PRODUCTS).bearer(&token)).await;
    let own = format!("/explain/{}", foreign.json()["decision_id"].as_str().expect("an id"));
    let told = deadline::until("the decision to be remembered", PATIENCE, || async {
        let answer = world.ext_authz.admin_page(&own).await;
        (answer.status == 200).then(|| answer.json())
    })
    .await;
    assert_eq!((&told["tenant"], &told["verdict"]), (&json!("acme"), &json!("wrong_tenant")));
    let as_tenant = async |tenant: &str, path: &str| Request::get(path).bearer(&format!("{tenant}-door")).send(door).await;
    let to_acme = as_tenant("acme", &own).await;
    assert_eq!((to_acme.status, to_acme.json()["verdict"].as_str()), (200, Some("wrong_tenant")));
    let (others, nobodys) = (as_tenant("globex", &own).await, as_tenant("globex", "/explain/no-such-decision").await);
    assert_eq!((others.status, others.text()), (404, nobodys.text()), "as a decision that nobody made");
    assert_eq!(Request::get(&own).send(door).await.status, 401);

    // A request that somebody recorded is the operator's alone to try; what the rules are asked about is told, and no credential.
    let http = json!({ "method": "GET", "host": "gateway.example.com", "path": INVOICES, "scheme": "http", "headers": { "authorization": format!("Bearer {token}") } });
    let recorded = Request::post("/explain", json!({ "attributes": { "request": { "http": http } } }).to_string());
    for tenant in ["acme", "globex"] {
        assert_eq!(recorded.clone().bearer(&format!("{tenant}-door")).send(door).await.status, 404);
    }
    let anew = recorded.bearer(ADMIN_TOKEN).send(door).await;
    let input = &anew.json()["rule_input"][0];
    assert_eq!((anew.status, anew.json()["verdict"].as_str()), (200, Some("allow")), "{}", anew.text());
    assert_eq!((&input["caller"]["tenant"], &input["resource"]["api"]), (&json!("acme"), &json!("billing-api")));
    assert!(input.get("mcp").is_none() && !anew.text().contains(&token));
}

//! A server that speaks TLS alone, and asks for a client's certificate.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use tempfile::TempDir;

use super::Valkey;
use crate::{parts, port::free_address};

/// A server with TLS, and the files that a client needs.
pub struct TlsServer {
    /// The server.
    pub server: Valkey,
    directory: TempDir,
}

impl TlsServer {
    /// Starts Redis (the Valkey of the wheel has no TLS), with more arguments.
    ///
    /// # Panics
    /// Where it cannot be started.
    pub async fn start(arguments: &[&str]) -> Self {
        let directory = certificates();
        let file = |name: &str| directory.path().join(name).display().to_string();
        let (ca, cert, key) = (file("ca.pem"), file("server.pem"), file("server.key"));
        let mut all = vec!["--port", "0", "--tls-ca-cert-file", &ca, "--tls-cert-file", &cert, "--tls-key-file", &key];
        all.extend(arguments);
        for _ in 0..5 {
            if let Some(server) = Valkey::at(parts::redis_tls(), free_address(), "--tls-port", &all).await {
                return Self { server, directory };
            }
        }
        panic!("Redis found no free port in five tries");
    }

    /// `rediss://` with the name that its certificate holds.
    #[must_use]
    pub fn url(&self) -> String {
        format!("rediss://localhost:{}", self.server.address().port())
    }

    /// A file for a client: `ca.pem`, `client.pem`, `client.key`; `stranger.pem` and `stranger.key` are of another authority.
    #[must_use]
    pub fn file(&self, name: &str) -> String {
        self.directory.path().join(name).display().to_string()
    }
}

fn certificates() -> TempDir {
    let directory = TempDir::new().expect("a temporary directory");
    let write = |name: &str, text: String| std::fs::write(directory.path().join(name), text).expect("a writable directory");
    let ours = authority();
    write("ca.pem", ours.pem());
    for (name, issuer) in [("server", &ours), ("client", &ours), ("stranger", &authority())] {
        let mut params = CertificateParams::new(["localhost".to_owned()]).expect("a name");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        // Each its own name: one that is its issuer's namesake passes for self-signed.
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("a key pair");
        write(&format!("{name}.pem"), params.signed_by(&key, issuer).expect("a certificate").pem());
        write(&format!("{name}.key"), key.serialize_pem());
    }
    directory
}

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "an authority of the tests");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key pair")).expect("an authority")
}

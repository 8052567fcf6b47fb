//! Mutual TLS for doors that others than this machine reach (S2): a chain to a given authority, and one of the listed names on the certificate.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use rustls::{
    DigitallySignedStruct, DistinguishedName, Error, RootCertStore, ServerConfig, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    crypto::{CryptoProvider, aws_lc_rs},
    server::{
        WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, UnixTime, pem::PemObject};
use tokio_rustls::TlsAcceptor;

use crate::fatal::Fatal;

/// The TLS of a door. All of it, or none.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct TlsArgs {
    /// This service's certificate chain (PEM)
    #[arg(long, value_name = "FILE")]
    pub grpc_tls_cert: Option<PathBuf>,
    /// Its private key (PEM)
    #[arg(long, value_name = "FILE")]
    pub grpc_tls_key: Option<PathBuf>,
    /// The authority that client certificates must chain to (PEM)
    #[arg(long, value_name = "FILE")]
    pub grpc_tls_client_ca: Option<PathBuf>,
    /// A DNS or URI name that a client certificate may carry (repeatable); one of them must match exactly
    #[arg(long, value_name = "NAME")]
    pub grpc_tls_client_name: Vec<String>,
    /// Without an authority every client is let in, and without a name every certificate of the authority; no flag. See [`TlsArgs::is_mutual`]
    #[arg(skip)]
    pub lenient: bool,
}

impl TlsArgs {
    /// Reads the files. `None` where no TLS flag is given.
    ///
    /// # Errors
    /// Only some of the flags are given, no client name is listed (any certificate of the authority would do, S2), or a file cannot be
    /// read or used. The text names the flag and the file, never the content.
    pub fn load(&self) -> Result<Option<ServerConfig>, Fatal> {
        let (cert, key, ca) = match (&self.grpc_tls_cert, &self.grpc_tls_key, &self.grpc_tls_client_ca) {
            (None, None, None) if self.grpc_tls_client_name.is_empty() => return Ok(None),
            (Some(cert), Some(key), Some(ca)) => (cert, key, Some(ca)),
            (Some(cert), Some(key), None) if self.lenient && self.grpc_tls_client_name.is_empty() => (cert, key, None),
            _ => {
                return Err(Fatal::usage(
                    "TLS needs --grpc-tls-cert, --grpc-tls-key, --grpc-tls-client-ca and --grpc-tls-client-name together",
                ));
            }
        };
        if !self.lenient && !self.is_mutual() {
            return Err(Fatal::usage(
                "TLS needs at least one --grpc-tls-client-name: without it every certificate of the authority would be let in (S2)",
            ));
        }
        let wrong = |flag: &str, path: &PathBuf, why: String| Fatal::usage(format!("{flag} {}: {why}", path.display()));
        let chain = certificates(cert).map_err(|why| wrong("--grpc-tls-cert", cert, why))?;
        let key_der = PrivateKeyDer::from_pem_file(key).map_err(|why| wrong("--grpc-tls-key", key, why.to_string()))?;
        let provider = Arc::new(aws_lc_rs::default_provider());
        let clients = match ca {
            Some(ca) => self.clients(ca, &provider).map_err(|why| wrong("--grpc-tls-client-ca", ca, why))?,
            None => WebPkiClientVerifier::no_client_auth(),
        };
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|why| Fatal::usage(why.to_string()))?
            .with_client_cert_verifier(clients)
            .with_single_cert(chain, key_der)
            .map_err(|why| wrong("--grpc-tls-cert", cert, why.to_string()))?;
        Ok(Some(config))
    }

    /// Whether a client must show a certificate of a listed name (S2).
    #[must_use]
    pub fn is_mutual(&self) -> bool {
        self.grpc_tls_client_ca.is_some() && self.names().next().is_some()
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.grpc_tls_client_name.iter().map(|name| name.trim()).filter(|name| !name.is_empty())
    }

    /// What lets clients of an authority in: those of a listed name, or all of them where none is listed (only where [`Self::lenient`] allows it).
    fn clients(&self, ca: &PathBuf, provider: &Arc<CryptoProvider>) -> Result<Arc<dyn ClientCertVerifier>, String> {
        let mut roots = RootCertStore::empty();
        for root in certificates(ca)? {
            roots.add(root).map_err(|why| why.to_string())?;
        }
        let chains = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
        let chains = chains.build().map_err(|why| why.to_string())?;
        if !self.is_mutual() {
            return Ok(chains);
        }
        Ok(Arc::new(ListedClient { chains, names: self.names().map(str::to_owned).collect() }))
    }

    fn stamp(&self) -> Stamp {
        [&self.grpc_tls_cert, &self.grpc_tls_key, &self.grpc_tls_client_ca].map(|file| {
            let found = fs::metadata(file.as_ref()?).ok()?;
            Some((found.ino(), found.len(), found.ctime(), found.ctime_nsec()))
        })
    }
}

fn certificates(path: &PathBuf) -> Result<Vec<CertificateDer<'static>>, String> {
    let list = CertificateDer::pem_file_iter(path).map_err(|why| why.to_string())?;
    let list = list.collect::<Result<Vec<_>, _>>().map_err(|why| why.to_string())?;
    if list.is_empty() { Err("holds no certificate".to_owned()) } else { Ok(list) }
}

/// The TLS of one door. Its files are looked at whenever somebody connects, and read anew where they changed: short-lived certificates are
/// replaced while the service runs. Connections that are open stay as they were let in.
#[derive(Debug)]
pub struct DoorTls {
    args: TlsArgs,
    protocol: &'static [u8],
    current: Mutex<(Stamp, Arc<ServerConfig>)>,
}

/// What shows that a file was written or replaced: its inode, its length, and when it was changed, in nanoseconds.
type Stamp = [Option<(u64, u64, i64, i64)>; 3];

impl DoorTls {
    /// The TLS of a door that speaks one application protocol (`h2`). `None` where no TLS flag is given.
    ///
    /// # Errors
    /// See [`TlsArgs::load`].
    pub fn new(args: &TlsArgs, protocol: &'static [u8]) -> Result<Option<Self>, Fatal> {
        let stamp = args.stamp();
        let Some(config) = args.load()? else { return Ok(None) };
        Ok(Some(Self { args: args.clone(), protocol, current: Mutex::new((stamp, speaking(config, protocol))) }))
    }

    /// What accepts the next connection. Files that changed and do not do leave in force what was read last.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        let stamp = self.args.stamp();
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.0 != stamp {
            current.0 = stamp;
            match self.args.load() {
                Ok(Some(config)) => {
                    current.1 = speaking(config, self.protocol);
                    tracing::info!("read the TLS files anew");
                }
                Ok(None) => {}
                Err(why) => tracing::error!(error = %why, "the TLS files changed and do not do: what was read before stays in force"),
            }
        }
        TlsAcceptor::from(Arc::clone(&current.1))
    }
}

/// `config` with the one application protocol that its door speaks.
fn speaking(mut config: ServerConfig, protocol: &[u8]) -> Arc<ServerConfig> {
    config.alpn_protocols = vec![protocol.to_vec()];
    Arc::new(config)
}

/// Lets in a client whose chain is good and whose certificate carries a listed name. The names are compared whole: no wildcard, no
/// suffix, and the subject's common name counts for nothing.
#[derive(Debug)]
struct ListedClient {
    chains: Arc<dyn ClientCertVerifier>,
    names: Vec<String>,
}

impl ListedClient {
    fn lists(&self, certificate: &CertificateDer<'_>) -> bool {
        let Ok(certificate) = webpki::EndEntityCert::try_from(certificate) else { return false };
        // DNS names have no case (RFC 4343); URIs (SPIFFE ids) are compared byte by byte. A listed URI is matched by a URI alone, a listed
        // DNS name by a DNS name alone: authorities do not check both alike.
        let (uris, hosts): (Vec<_>, Vec<_>) = self.names.iter().partition(|name| name.contains(':'));
        certificate.valid_dns_names().any(|name| hosts.iter().any(|listed| listed.eq_ignore_ascii_case(name)))
            || certificate.valid_uri_names().any(|name| uris.iter().any(|listed| *listed == name))
    }
}

impl ClientCertVerifier for ListedClient {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.chains.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.chains.verify_client_cert(end_entity, intermediates, now)?;
        if self.lists(end_entity) { Ok(verified) } else { Err(Error::General("the client certificate carries no listed name".to_owned())) }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chains.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chains.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chains.supported_verify_schemes()
    }
}

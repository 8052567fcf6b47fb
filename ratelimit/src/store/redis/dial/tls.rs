//! TLS to a store.

use std::sync::Arc;

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::aws_lc_rs,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject as _};

/// The PEM files of TLS: what the store's certificate must chain to (the system's authorities if absent), and our own certificate.
#[derive(Clone, Default)]
pub struct TlsFiles {
    /// The authority.
    pub ca: Option<Vec<u8>>,
    /// Our certificate and its private key.
    pub identity: Option<(Vec<u8>, Vec<u8>)>,
    /// Whether the store's certificate may bear any name, as long as it chains to the authority (stores that are reached by address).
    pub any_name: bool,
}

/// The files are not what they should be.
#[derive(Debug, thiserror::Error)]
#[error("the TLS files cannot be used")]
pub(in crate::store::redis) struct Unusable;

impl TlsFiles {
    /// What a connection is made with.
    pub(super) fn config(&self) -> Result<ClientConfig, Unusable> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let roots = Arc::new(self.roots()?);
        let config = ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
        let config = config.map_err(|_| Unusable)?.with_root_certificates(Arc::clone(&roots));
        let mut config = match &self.identity {
            None => config.with_no_client_auth(),
            Some((chain, key)) => {
                let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| Unusable)?;
                config.with_client_auth_cert(certificates(chain)?, key).map_err(|_| Unusable)?
            }
        };
        if self.any_name {
            let chains = WebPkiServerVerifier::builder_with_provider(roots, provider).build().map_err(|_| Unusable)?;
            config.dangerous().set_certificate_verifier(Arc::new(AnyName(chains)));
        }
        Ok(config)
    }

    fn roots(&self) -> Result<RootCertStore, Unusable> {
        let mut roots = RootCertStore::empty();
        match &self.ca {
            Some(ca) => certificates(ca)?.into_iter().try_for_each(|root| roots.add(root)).map_err(|_| Unusable)?,
            // What cannot be read of the system's vouches for nobody.
            None => drop(roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs)),
        }
        Ok(roots)
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Unusable> {
    let list = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>().map_err(|_| Unusable)?;
    if list.is_empty() { Err(Unusable) } else { Ok(list) }
}

/// Judges everything of a certificate but the name.
#[derive(Debug)]
struct AnyName(Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match self.0.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            // The name is judged last: its chain, its time and its use were right.
            Err(Error::InvalidCertificate(CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. })) => {
                Ok(ServerCertVerified::assertion())
            }
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

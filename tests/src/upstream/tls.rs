//! An upstream's certificate and its TLS connections.

use std::sync::Arc;

use axum::Router;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto::Builder,
    service::TowerToHyperService,
};
use rcgen::{CertificateParams, KeyPair};
use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

/// What accepts connections with a fresh self-signed certificate for this host, and the certificate's PEM.
pub(super) fn acceptor(host: &str) -> (TlsAcceptor, String) {
    let key = KeyPair::generate().expect("a key pair");
    let certificate = CertificateParams::new([host.to_owned()]).and_then(|params| params.self_signed(&key)).expect("a certificate");
    let private = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider's own versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], private)
        .expect("a certificate and its own key");
    (TlsAcceptor::from(Arc::new(config)), certificate.pem())
}

/// Serves one connection; a client that does not trust the certificate ends it.
pub(super) async fn serve(acceptor: TlsAcceptor, stream: TcpStream, app: Router) {
    if let Ok(stream) = acceptor.accept(stream).await {
        let builder = Builder::new(TokioExecutor::new());
        drop(builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(app)).await);
    }
}

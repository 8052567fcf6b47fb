//! The connection to the management server.

use std::{fs, path::Path, time::Duration};

use rustls_pki_types::TrustAnchor;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity};

use crate::dropin::{
    follow::CannotFollow,
    settings::{ClientTls, Xds},
};

/// A server that is silent for so long is asked whether it is there, and is given up after [`ANSWER`].
const SILENCE: Duration = Duration::from_secs(30);
const ANSWER: Duration = Duration::from_secs(10);
/// The least and the most time that connecting may take.
const CONNECT: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// Where and how to connect. The files are read each time: certificates are replaced while we run.
pub(super) fn endpoint(settings: &Xds) -> Result<Endpoint, CannotFollow> {
    let scheme = if settings.tls.is_some() { "https" } else { "http" };
    let server = settings.server.strip_prefix("dns:///").unwrap_or(&settings.server);
    let unusable = || CannotFollow { variable: "CONFIG_GRPC_XDS_SERVER_URL", what: "must be host:port".to_owned() };
    if server.contains(['/', '@', '?', '#']) {
        return Err(unusable());
    }
    let endpoint = Endpoint::from_shared(format!("{scheme}://{server}")).map_err(|_| unusable())?;
    let endpoint = endpoint
        .connect_timeout(settings.connect_interval.clamp(CONNECT.0, CONNECT.1))
        .http2_keep_alive_interval(SILENCE)
        .keep_alive_timeout(ANSWER)
        .keep_alive_while_idle(true);
    let Some(files) = &settings.tls else { return Ok(endpoint) };
    let variable = "CONFIG_GRPC_XDS_SERVER_USE_TLS";
    endpoint.tls_config(tls(files)?).map_err(|_| CannotFollow { variable, what: "the TLS files cannot be used".to_owned() })
}

fn tls(files: &ClientTls) -> Result<ClientTlsConfig, CannotFollow> {
    let mut tls = match &files.ca {
        Some(ca) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read("CONFIG_GRPC_XDS_SERVER_TLS_CACERT", ca)?)),
        None => ClientTlsConfig::new().trust_anchors(system_authorities()),
    };
    if let Some((cert, key)) = &files.identity {
        let cert = read("CONFIG_GRPC_XDS_CLIENT_TLS_CERT", cert)?;
        tls = tls.identity(Identity::from_pem(cert, read("CONFIG_GRPC_XDS_CLIENT_TLS_KEY", key)?));
    }
    Ok(match &files.server_name {
        Some(name) => tls.domain_name(name),
        None => tls,
    })
}

/// The system's authorities, for a server whose own was not named. What cannot be read vouches for nobody.
fn system_authorities() -> Vec<TrustAnchor<'static>> {
    let found = rustls_native_certs::load_native_certs();
    let anchor = |cert: &_| webpki::anchor_from_trusted_cert(cert).ok().map(|anchor| anchor.to_owned());
    found.certs.iter().filter_map(anchor).collect()
}

fn read(variable: &'static str, file: &Path) -> Result<Vec<u8>, CannotFollow> {
    fs::read(file).map_err(|why| CannotFollow { variable, what: format!("{}: {why}", file.display()) })
}

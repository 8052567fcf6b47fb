//! Mutual TLS: an authority's word is not enough, the name must be listed (S2).

use std::{fs, path::PathBuf};

use bulkhead_doors::{address::Address, fatal::Fatal};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, SanType, string::Ia5String,
};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Identity};

use crate::house::{House, fetch, refused, serving};

/// An authority, and the files that a service on TLS is given.
struct Pki {
    folder: tempfile::TempDir,
    authority: CertifiedIssuer<'static, KeyPair>,
}

struct Pair {
    cert: String,
    key: String,
}

fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, name);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn dns(name: &str) -> SanType {
    SanType::DnsName(Ia5String::try_from(name).unwrap())
}

fn uri(name: &str) -> SanType {
    SanType::URI(Ia5String::try_from(name).unwrap())
}

fn issue(by: &CertifiedIssuer<'static, KeyPair>, names: &[SanType], change: impl FnOnce(&mut CertificateParams)) -> Pair {
    let mut params = CertificateParams::default();
    params.subject_alt_names = names.to_vec();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    change(&mut params);
    let key = KeyPair::generate().unwrap();
    Pair { cert: params.signed_by(&key, by).unwrap().pem(), key: key.serialize_pem() }
}

impl Pki {
    fn new() -> Self {
        let pki = Self { folder: tempfile::tempdir().unwrap(), authority: authority("platform") };
        let server = issue(&pki.authority, &[dns("authz.test")], |_| {});
        for (file, text) in [("cert", &server.cert), ("key", &server.key), ("ca", &pki.authority.pem())] {
            fs::write(pki.folder.path().join(file), text).unwrap();
        }
        pki
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The flags of a gRPC door open to all addresses, for these client names.
    fn flags(&self, names: &[&str]) -> Vec<String> {
        let mut flags = vec!["--grpc".to_owned(), "0.0.0.0:0".to_owned()];
        for (flag, file) in [("--grpc-tls-cert", "cert"), ("--grpc-tls-key", "key"), ("--grpc-tls-client-ca", "ca")] {
            flags.extend([flag.to_owned(), self.file(file).display().to_string()]);
        }
        flags.extend(names.iter().flat_map(|name| ["--grpc-tls-client-name".to_owned(), (*name).to_owned()]));
        flags
    }

    async fn house(&self) -> House {
        let flags = self.flags(&["envoy.test", "spiffe://platform.test/envoy"]);
        House::open(&flags.iter().map(String::as_str).collect::<Vec<_>>()).await
    }

    /// Whether a client with this identity gets an answer out of the gRPC door.
    async fn lets_in(&self, house: &House, client: Option<&Pair>) -> bool {
        let mut tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(self.authority.pem())).domain_name("authz.test");
        if let Some(pair) = client {
            tls = tls.identity(Identity::from_pem(&pair.cert, &pair.key));
        }
        let port = port(&house.at.grpc);
        let endpoint = Channel::from_shared(format!("https://127.0.0.1:{port}")).unwrap().tls_config(tls).unwrap();
        // In TLS 1.3 a client hears of a refused certificate only after its own handshake ended: the call tells.
        let Ok(channel) = endpoint.connect().await else { return false };
        serving(channel, "").await.is_ok()
    }
}

fn port(address: &Address) -> u16 {
    address.to_string().rsplit_once(':').unwrap().1.parse().unwrap()
}

#[tokio::test]
async fn s2_a_client_with_a_listed_name_is_let_in() {
    let pki = Pki::new();
    let house = pki.house().await;
    for names in [
        vec![dns("envoy.test")],
        vec![dns("ENVOY.test")],
        vec![uri("spiffe://platform.test/envoy")],
        vec![dns("other.test"), dns("envoy.test")],
    ] {
        let client = issue(&pki.authority, &names, |_| {});
        assert!(pki.lets_in(&house, Some(&client)).await, "{names:?}");
    }
}

#[tokio::test]
async fn s2_a_client_without_a_listed_name_is_refused_though_its_chain_is_good() {
    let pki = Pki::new();
    let house = pki.house().await;
    let others = [
        vec![dns("acme-app.test")],
        vec![dns("envoy.test.acme.test")],
        vec![dns("xenvoy.test")],
        vec![dns("*.test")],
        vec![uri("spiffe://platform.test/envoy/acme")],
        vec![uri("spiffe://platform.test/ENVOY")],
        vec![uri("envoy.test")],
        vec![SanType::IpAddress([127, 0, 0, 1].into())],
    ];
    for names in others {
        let client = issue(&pki.authority, &names, |_| {});
        assert!(!pki.lets_in(&house, Some(&client)).await, "{names:?}");
    }
    let by_common_name =
        issue(&pki.authority, &[dns("acme-app.test")], |params| params.distinguished_name.push(DnType::CommonName, "envoy.test"));
    assert!(!pki.lets_in(&house, Some(&by_common_name)).await, "a common name is no name");
}

#[tokio::test]
async fn s2_a_client_without_a_good_certificate_is_refused() {
    let pki = Pki::new();
    let house = pki.house().await;
    assert!(!pki.lets_in(&house, None).await, "no certificate");
    let foreign = issue(&authority("platform"), &[dns("envoy.test")], |_| {});
    assert!(!pki.lets_in(&house, Some(&foreign)).await, "another authority of the same name");
    let expired = issue(&pki.authority, &[dns("envoy.test")], |params| params.not_after = rcgen::date_time_ymd(2020, 1, 1));
    assert!(!pki.lets_in(&house, Some(&expired)).await, "expired");
    let server_only =
        issue(&pki.authority, &[dns("envoy.test")], |params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth]);
    assert!(!pki.lets_in(&house, Some(&server_only)).await, "a certificate for servers");
    let good = issue(&pki.authority, &[dns("envoy.test")], |_| {});
    assert!(pki.lets_in(&house, Some(&good)).await, "and the door still works");
}

#[tokio::test]
async fn s2_plaintext_on_a_tls_door_gets_nothing() {
    let pki = Pki::new();
    let house = pki.house().await;
    let plain = Channel::from_shared(format!("http://127.0.0.1:{}", port(&house.at.grpc))).unwrap();
    if let Ok(channel) = plain.connect().await {
        assert!(serving(channel, "").await.is_err());
    }
}

#[tokio::test]
async fn s2_a_client_that_never_finishes_its_handshake_holds_nobody_up() {
    let pki = Pki::new();
    let house = pki.house().await;
    let port = port(&house.at.grpc);
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap());
    }
    let good = issue(&pki.authority, &[dns("envoy.test")], |_| {});
    assert!(pki.lets_in(&house, Some(&good)).await);
    drop(silent);
}

#[tokio::test]
async fn s2_replaced_files_hold_for_the_next_connection_and_broken_ones_change_nothing() {
    let pki = Pki::new();
    let house = pki.house().await;
    let before = issue(&pki.authority, &[dns("envoy.test")], |_| {});
    assert!(pki.lets_in(&house, Some(&before)).await);

    fs::write(pki.file("ca"), "broken").unwrap();
    assert!(pki.lets_in(&house, Some(&before)).await, "what was read last stays in force");

    let next = authority("platform");
    let after = issue(&next, &[dns("envoy.test")], |_| {});
    assert!(!pki.lets_in(&house, Some(&after)).await, "not yet");
    fs::write(pki.file("staged"), next.pem()).unwrap();
    fs::rename(pki.file("staged"), pki.file("ca")).unwrap();
    assert!(pki.lets_in(&house, Some(&after)).await);
    assert!(!pki.lets_in(&house, Some(&before)).await, "the old authority counts no longer");
}

#[tokio::test]
async fn s2_tls_that_would_let_in_any_certificate_refuses_to_start() {
    let pki = Pki::new();
    for names in [&[][..], &[""], &[" "]] {
        let flags = pki.flags(names);
        let fatal = refused(&flags.iter().map(String::as_str).collect::<Vec<_>>()).await;
        assert!(matches!(&fatal, Fatal::Usage(text) if text.contains("--grpc-tls-client-name")), "{fatal}");
    }
}

#[tokio::test]
async fn s2_half_of_the_tls_flags_refuse_to_start_even_where_plaintext_is_allowed() {
    let pki = Pki::new();
    let all = pki.flags(&["envoy.test"]);
    // Pairs of flag and value, --grpc first.
    for left_out in 1..4 {
        let mut flags: Vec<&str> = all.iter().map(String::as_str).collect();
        flags.drain(2 * left_out..2 * left_out + 2);
        flags.push("--allow-plaintext");
        assert!(matches!(refused(&flags).await, Fatal::Usage(_)), "without {}", all[2 * left_out]);
    }
}

#[tokio::test]
async fn bad_tls_files_are_named_and_their_content_is_not() {
    let pki = Pki::new();
    for (file, flag) in [("cert", "--grpc-tls-cert"), ("key", "--grpc-tls-key"), ("ca", "--grpc-tls-client-ca")] {
        let good = fs::read_to_string(pki.file(file)).unwrap();
        for bad in ["", "-----BEGIN SECRET-----"] {
            fs::write(pki.file(file), bad).unwrap();
            let flags = pki.flags(&["envoy.test"]);
            let fatal = refused(&flags.iter().map(String::as_str).collect::<Vec<_>>()).await;
            let names_it =
                |text: &str| text.contains(flag) && text.contains(&pki.file(file).display().to_string()) && !text.contains("SECRET");
            assert!(matches!(&fatal, Fatal::Usage(text) if names_it(text)), "{fatal}");
        }
        fs::write(pki.file(file), good).unwrap();
    }
}

#[tokio::test]
async fn s2_an_admin_door_that_others_reach_speaks_mutual_tls_too() {
    let pki = Pki::new();
    let token = pki.file("token");
    fs::write(&token, "operator-token").unwrap();
    let token = token.display().to_string();
    let mut flags = pki.flags(&["operator.test"]);
    flags.extend(["--admin", "0.0.0.0:0", "--admin-token-file", &token].map(str::to_owned));
    let house = House::open(&flags.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let admin: std::net::SocketAddr = format!("127.0.0.1:{}", port(&house.at.admin)).parse().unwrap();
    let ca = reqwest::Certificate::from_pem(pki.authority.pem().as_bytes()).unwrap();
    let ask = async |identity: Option<Pair>| {
        let mut client = reqwest::Client::builder().tls_certs_only([ca.clone()]).resolve("authz.test", admin);
        if let Some(pair) = identity {
            client = client.identity(reqwest::Identity::from_pem(format!("{}{}", pair.cert, pair.key).as_bytes()).unwrap());
        }
        let request = client.build().unwrap().get(format!("https://authz.test:{}/snapshot", admin.port())).bearer_auth("operator-token");
        fetch(request).await.map(|(status, _)| status)
    };
    assert_eq!(ask(Some(issue(&pki.authority, &[dns("operator.test")], |_| {}))).await.unwrap(), 200);
    assert!(ask(Some(issue(&pki.authority, &[dns("acme-app.test")], |_| {}))).await.is_err(), "the token alone is not enough");
    assert!(ask(None).await.is_err());
    let plain = reqwest::Client::new().get(format!("http://{admin}/snapshot")).bearer_auth("operator-token");
    assert!(fetch(plain).await.is_err());
}

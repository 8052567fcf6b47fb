//! Which switch beats which, what is refused, and who is let in (S2).

use std::{fs, net::SocketAddr, path::Path};

use bulkhead_proto::pb::envoy::service::ratelimit::v3::rate_limit_service_client::RateLimitServiceClient;
use bulkhead_tests::{
    deadline::{self, PATIENCE},
    process::Process,
    valkey::Valkey,
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tonic::transport::{Certificate, Channel, ClientTlsConfig};

use crate::{
    case::{call, told},
    standing_in::{StandIn, spawn},
};

const RULES: &str = "domain: d\ndescriptors: [{ key: k, rate_limit: { unit: year, requests_per_unit: 5 } }]\n";

const PLATFORM: &str = "
apiVersion: gostoa.dev/v1alpha1
kind: Platform
metadata: { name: platform }
spec:
  issuerTemplate: https://auth.gostoa.dev/realms/tenant-{tenant}
  addressing: { path: \"/{tenant}/{api}\" }
  rateLimit: { requestsPerMinute: 600 }
  unresolved: { requestsPerMinute: 60 }
";

/// A configuration folder of Bulkhead's own.
fn tenants() -> TempDir {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("platform.yaml"), PLATFORM).unwrap();
    folder
}

fn folder(tenants: &TempDir) -> &str {
    tenants.path().to_str().unwrap()
}

#[tokio::test]
async fn a_flag_beats_bulkheads_variable_and_that_the_originals() {
    // REDIS_URL names nothing that listens: only the memory store can decide.
    let variables = [
        ("REDIS_SOCKET_TYPE", "tcp"),
        ("REDIS_URL", "127.0.0.1:1"),
        ("BULKHEAD_RATELIMIT_STORE", "memory"),
        ("GRPC_HOST", "nobody.invalid"),
    ];
    let directory = TempDir::new().unwrap();
    let mut wrong = spawn(directory.path(), &variables, &[]);
    assert_eq!(status(&mut wrong).await, 2, "GRPC_HOST has no address:\n{}", wrong.log());
    let service = StandIn::start_with(&variables[..3], &[("d.yaml", RULES)], &["/bin/ratelimit", "--grpc", "127.0.0.2:0"]).await;
    assert_eq!(service.grpc.ip().to_string(), "127.0.0.2");
    assert_eq!(told(&service.ask(call("d: k=a")).await.unwrap()), "ok ok4");
}

#[tokio::test]
async fn every_bad_variable_is_named_and_none_is_shown() {
    let directory = TempDir::new().unwrap();
    let variables = [("PORT", "hunter2"), ("NEAR_LIMIT_RATIO", "7"), ("BACKEND_TYPE", "memcache")];
    let mut process = spawn(directory.path(), &variables, &[]);
    assert_eq!(status(&mut process).await, 2);
    let log = process.log();
    for name in ["PORT", "NEAR_LIMIT_RATIO", "BACKEND_TYPE"] {
        assert!(log.contains(&format!("error: {name}: ")), "{log}");
    }
    assert!(!log.contains("hunter2"), "{log}");
}

#[tokio::test]
async fn the_tenants_of_a_configuration_folder_are_served_beside_it() {
    let tenants = tenants();
    let service = StandIn::start_with(&[], &[("d.yaml", RULES)], &["--store", "memory", "--config", folder(&tenants)]).await;
    assert_eq!(told(&service.ask(call("d: k=a")).await.unwrap()), "ok ok4");
    let own = service.ask(call("bulkhead: tenant=nobody,subscription=__none__,api=__none__ @0/YEAR")).await.unwrap();
    assert_eq!(own.statuses[0].current_limit.as_ref().unwrap().requests_per_unit, 60, "its limits come from the snapshot alone");
}

#[tokio::test]
async fn s2_tenants_are_not_served_where_anybody_may_connect() {
    let tenants = tenants();
    let everywhere = [("GRPC_HOST", "0.0.0.0")];
    let flags = ["--store", "memory", "--config", folder(&tenants)];
    let asked = "bulkhead: tenant=nobody,subscription=__none__,api=__none__";
    let mut service = StandIn::start_with(&everywhere, &[("d.yaml", RULES)], &flags).await;
    service.grpc = SocketAddr::from(([127, 0, 0, 1], service.grpc.port()));
    assert_eq!(service.ask(call(asked)).await.unwrap_err().code(), tonic::Code::PermissionDenied);
    assert_eq!(told(&service.ask(call("d: k=a")).await.unwrap()), "ok ok4");
    let mut allowed = StandIn::start_with(&everywhere, &[("d.yaml", RULES)], &[&flags[..], &["--allow-plaintext"]].concat()).await;
    allowed.grpc = SocketAddr::from(([127, 0, 0, 1], allowed.grpc.port()));
    assert!(allowed.ask(call(asked)).await.is_ok());
}

#[tokio::test]
async fn a_configuration_folder_alone_is_no_drop_in() {
    let (tenants, directory) = (tenants(), TempDir::new().unwrap());
    let variables = [("RUNTIME_ROOT", ""), ("REDIS_URL", "127.0.0.1:1"), ("PORT", "nonsense")];
    let flags = ["--store", "memory", "--grpc", "127.0.0.1:0", "--config", folder(&tenants)];
    let process = spawn(directory.path(), &variables, &flags);
    deadline::until("it listens", PATIENCE, || std::future::ready(process.log().contains("\"listening\"").then_some(()))).await;
    assert!(!process.log().contains("as envoyproxy/ratelimit"), "{}", process.log());
}

#[tokio::test]
async fn the_originals_tls_lets_in_whom_it_says() {
    let directory = TempDir::new().unwrap();
    let own = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (cert, key) = (directory.path().join("cert.pem"), directory.path().join("key.pem"));
    fs::write(&cert, own.cert.pem()).unwrap();
    fs::write(&key, own.signing_key.serialize_pem()).unwrap();
    let path = |path: &Path| path.to_str().unwrap().to_owned();
    let (cert, key) = (path(&cert), path(&key));
    let tls = [("GRPC_SERVER_USE_TLS", "true"), ("GRPC_SERVER_TLS_CERT", cert.as_str()), ("GRPC_SERVER_TLS_KEY", key.as_str())];
    let tenants = tenants();
    let flags = ["--store", "memory", "--config", folder(&tenants)];
    let ask = |grpc: SocketAddr, asked: &'static str| {
        let trusted = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(own.cert.pem())).domain_name("localhost");
        async move {
            let channel = Channel::from_shared(format!("https://{grpc}")).unwrap().tls_config(trusted).unwrap().connect().await;
            let channel = channel.map_err(|why| tonic::Status::aborted(why.to_string()))?;
            let mut client = RateLimitServiceClient::new(channel);
            client.should_rate_limit(call(asked)).await.map(tonic::Response::into_inner)
        }
    };
    let service = StandIn::start_with(&tls, &[("d.yaml", RULES)], &flags).await;
    assert_eq!(told(&ask(service.grpc, "d: k=a").await.unwrap()), "ok ok4");
    let plaintext = Channel::from_shared(format!("http://{}", service.grpc)).unwrap().connect().await;
    let refused = match plaintext {
        Ok(channel) => RateLimitServiceClient::new(channel).should_rate_limit(call("d: k=a")).await.is_err(),
        Err(_) => true,
    };
    assert!(refused, "plaintext gets nothing");
    // With an authority for clients, who has no certificate gets nothing.
    let mutual = [&tls[..], &[("GRPC_CLIENT_TLS_CACERT", cert.as_str())]].concat();
    let service = StandIn::start_with(&mutual, &[("d.yaml", RULES)], &flags).await;
    assert!(ask(service.grpc, "d: k=a").await.is_err());
}

#[tokio::test]
async fn a_connection_is_told_to_go_at_its_age_and_its_call_is_finished() {
    let valkey = Valkey::start().await;
    let url = valkey.url();
    let store = [("REDIS_SOCKET_TYPE", "tcp"), ("REDIS_URL", url.as_str())];
    let age = [("GRPC_MAX_CONNECTION_AGE", "300ms"), ("GRPC_MAX_CONNECTION_AGE_GRACE", "1ms")];
    let service = StandIn::start(&[&store[..], &age].concat(), &[("d.yaml", RULES)]).await;
    valkey.pause();
    let mut client = service.client().await;
    let waiting = tokio::spawn(async move { client.should_rate_limit(call("d: k=a")).await });
    // Younger connections reach the age later than the one of the call in progress, and the second of them after the original's grace too.
    for _ in 0..2 {
        told_to_go(service.grpc).await;
    }
    assert!(!waiting.is_finished(), "it waits for the store");
    valkey.resume();
    assert_eq!(told(waiting.await.unwrap().unwrap().get_ref()), "ok ok4");
}

#[tokio::test]
async fn a_connection_without_an_age_stays() {
    let service = StandIn::in_memory(&[("GRPC_MAX_CONNECTION_AGE", "0")], RULES).await;
    let mut client = service.client().await;
    for left in ["ok ok4", "ok ok3", "ok ok2"] {
        assert_eq!(told(client.should_rate_limit(call("d: k=a")).await.unwrap().get_ref()), left);
    }
}

/// Connects, and waits for the frame that tells a client to go: GOAWAY.
async fn told_to_go(to: SocketAddr) {
    let mut connection = TcpStream::connect(to).await.unwrap();
    // HTTP/2's preface and an empty SETTINGS frame; then nothing more is said.
    connection.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    let heard = async {
        loop {
            let mut head = [0; 9];
            connection.read_exact(&mut head).await.expect("a GOAWAY before the end");
            let mut body = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
            connection.read_exact(&mut body).await.unwrap();
            if head[3] == 7 {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, heard).await.expect("it is still open");
}

/// The exit status of a process that ends by itself.
async fn status(process: &mut Process) -> i32 {
    let ended = deadline::until("it to end", PATIENCE, || std::future::ready(process.ended())).await;
    ended.code().unwrap()
}
